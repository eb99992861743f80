"""How the processes of a run find each other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from simpletuner.core.errors import ConfigError
from simpletuner.training.parallel.processes import Processes

TIMEOUT = "SIMPLETUNER_PROCESS_GROUP_TIMEOUT_SECONDS"
_TIMEOUT_SECONDS = "5400"


def join(environ: Mapping[str, str], device: torch.device) -> Processes:
    """Find the other processes that a launcher has started, by the variables it set; alone when there are none.

    Raises ConfigError when there is no device for this one, or a variable is missing.
    """
    if environ.get("WORLD_SIZE", "1") == "1":
        return Processes()
    _require_device(int(environ.get("LOCAL_RANK", "0")), device)
    _require_launcher(environ)
    timeout = timedelta(seconds=float(environ.get(TIMEOUT) or _TIMEOUT_SECONDS))
    store, rank, world = next(iter(rendezvous("env://", timeout=timeout)))
    store.set_timeout(timeout)
    # Values that lie in the computer's memory are exchanged too.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    group = PrefixStore("group", store)
    dist.init_process_group(backend, store=group, rank=rank, world_size=world, timeout=timeout)
    return Processes(rank, world, PrefixStore("simpletuner", store))


def _require_launcher(environ: Mapping[str, str]) -> None:
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if not environ.get(name)]
    if missing:
        raise ConfigError(
            f"{environ['WORLD_SIZE']} processes, and {', '.join(missing)} are not set",
            key="WORLD_SIZE",
            cure="start `simpletuner train num_processes=...` or torchrun, or unset WORLD_SIZE",
        )


def _require_device(local_rank: int, device: torch.device) -> None:
    if device.type == "cuda" and local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"process {local_rank + 1} of this machine has no device: there are {torch.cuda.device_count()}",
            key="num_processes",
            cure=f"start {torch.cuda.device_count()} processes at most",
        )
    if device.type == "cuda":
        torch.cuda.set_device(local_rank)
    elif device.type == "mps":
        raise ConfigError("Apple's GPU is one device, for one process", key="num_processes", cure="set it to 1")
