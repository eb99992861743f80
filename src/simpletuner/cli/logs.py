"""How much the program's own loggers print."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from simpletuner.config.reading.variables import log_level

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def set_level(environ: Mapping[str, str]) -> None:
    """Print to stderr what ``SIMPLETUNER_LOG_LEVEL`` asks for; where it asks for nothing, nothing changes."""
    level = log_level(environ)
    if not level:
        return
    logger = logging.getLogger("simpletuner")
    logger.setLevel(level)
    if not logger.handlers:
        told = logging.StreamHandler()
        told.setFormatter(logging.Formatter(_FORMAT))
        logger.addHandler(told)
