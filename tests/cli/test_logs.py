from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from simpletuner.cli.logs import set_level
from simpletuner.config.reading.variables import LEVEL
from simpletuner.core.errors import ConfigError


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The program's logger, without handlers; left as it was."""
    found = logging.getLogger("simpletuner")
    before = found.level, found.handlers[:]
    found.handlers.clear()
    yield found
    found.setLevel(before[0])
    found.handlers[:] = before[1]


def test_without_the_variable_nothing_changes(logger: logging.Logger) -> None:
    level = logger.level
    set_level({})
    assert (logger.level, logger.handlers) == (level, [])


def test_a_level_prints_what_is_at_or_above_it_once(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        set_level({LEVEL: "info"})
    logger.getChild("observe").info("charts")
    logger.getChild("observe").debug("too much")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("INFO simpletuner.observe: charts")


def test_an_unknown_level_is_refused(logger: logging.Logger) -> None:
    with pytest.raises(ConfigError, match="unknown level 'loud'"):
        set_level({LEVEL: "loud"})
    assert logger.handlers == []
