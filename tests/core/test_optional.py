from __future__ import annotations

import sys
from pathlib import Path

import pytest

from simpletuner.core.errors import ConfigError
from simpletuner.core.optional import optional


def test_what_is_installed_is_imported() -> None:
    assert optional("json.decoder", extra="data", needed_for="x").JSONDecodeError is not None


def test_what_is_missing_is_named_with_the_command_that_brings_it() -> None:
    with pytest.raises(ConfigError, match="'no_such_package' is not installed") as caught:
        optional("no_such_package", extra="data", needed_for='type "aws"')
    assert caught.value.key == 'type "aws"'
    assert caught.value.cure is not None
    assert f"{sys.executable} -m pip install -c constraints.txt '.[data]'" in caught.value.cure


def test_a_package_that_is_there_but_broken_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "halved.py").write_text("import another_that_is_gone\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="another_that_is_gone"):
        optional("halved", extra="data", needed_for="x")
