from __future__ import annotations

from typing import Any

import pytest

from simpletuner.adapters.lycoris.unsaved import unsaved_names


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        *(({"algo": algo}, ()) for algo in ("lora", "locon", "loha", "lokr", "ia3", "dylora", "full", "glora")),
        *(({"algo": algo}, ()) for algo in ("diag-oft", "boft")),
        ({"algo": "tlora"}, ("base_q", "base_p", "base_lambda")),
        ({"algo": "lora", "use_scalar": True}, ("scalar", "lora_up.weight")),
        ({"algo": "loha", "use_scalar": True}, ("scalar", "hada_w1_a")),
        ({"algo": "lokr", "use_scalar": True}, ("scalar", "lokr_w1", "lokr_w1_a")),
        ({"algo": "glora", "use_scalar": True}, ("scalar", "a2.weight", "b2.weight")),
    ],
)
def test_what_a_method_does_not_save(settings: Any, names: tuple[str, ...]) -> None:
    assert unsaved_names(settings) == names
