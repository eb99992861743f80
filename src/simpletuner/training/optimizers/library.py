"""Importing a library of optimizers without what it says about parts that are not used here."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from simpletuner.core.optional import optional

_CHATTY = ("bitsandbytes", "torchao", "torch.utils._pytree")
"""At import they tell of compiled parts for other devices, and of each other's news."""


def library(module: str, optimizer: str) -> Any:
    """The module. Raises ConfigError naming the extra that brings it, and ``optimizer``, when it is missing."""
    with _quiet(_CHATTY):
        return optional(module, extra="optimizers", needed_for=f"optimizer {optimizer}")


@contextmanager
def _quiet(names: Sequence[str]) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
