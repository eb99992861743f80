"""Finding the others; what is missing for it is named."""

from __future__ import annotations

import pytest
import torch

from simpletuner.core.errors import ConfigError
from simpletuner.training.parallel.joining import join


def test_one_alone_looks_for_nobody() -> None:
    for environ in ({}, {"WORLD_SIZE": "1"}):
        alone = join(environ, torch.device("cpu"))
        assert (alone.rank, alone.count, alone.is_first) == (0, 1, True)


def test_what_a_launcher_has_not_set_is_named() -> None:
    with pytest.raises(ConfigError, match="2 processes, and RANK, MASTER_PORT are not set"):
        join({"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}, torch.device("cpu"))


def test_a_process_without_a_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="one device, for one process"):
        join({"WORLD_SIZE": "2", "LOCAL_RANK": "0"}, torch.device("mps"))
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="process 1 of this machine has no device"):
            join({"WORLD_SIZE": "2", "LOCAL_RANK": "0"}, torch.device("cuda"))
