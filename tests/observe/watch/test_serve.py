from __future__ import annotations

import pytest

from simpletuner.core.errors import ConfigError
from simpletuner.observe.watch.serve import TOKEN, Place, listen, make_token


def test_a_token_is_long_and_new_each_time() -> None:
    tokens = {make_token({}) for _ in range(10)}
    assert len(tokens) == 10
    assert min(len(token) for token in tokens) >= 32


def test_a_token_that_is_given_is_kept_if_it_is_good() -> None:
    assert make_token({TOKEN: "abcdefgh-12345678"}) == "abcdefgh-12345678"
    for bad in ("short", "with/slash/and/more/letters", "with spaces and more letters"):
        with pytest.raises(ConfigError, match=TOKEN):
            make_token({TOKEN: bad})


def test_the_line_for_a_configuration() -> None:
    line = Place(8737, "token").webhook
    assert line == '"webhook_config": {"webhook_type": "raw", "webhook_url": "http://127.0.0.1:8737/token/webhook"}'


def test_only_this_machine_is_listened_to_and_a_taken_port_is_told() -> None:
    with listen(0) as first:
        address, port = first.getsockname()
        assert address == "127.0.0.1"
        first.listen()
        with pytest.raises(ConfigError, match=f"port {port} cannot be listened on"):
            listen(port)
