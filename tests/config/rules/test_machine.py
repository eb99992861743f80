from __future__ import annotations

from typing import Any

import pytest

from simpletuner.config.optimizers.names import OPTIMIZERS, SHARDS, ZEROES
from simpletuner.core.errors import ConfigError

SHARDED = {"fsdp_enable": True, "num_processes": 2}
ZERO = {
    "deepspeed_config": {"zero_optimization": {"stage": 2}},
    "num_processes": 2,
    "model_type": "full",
    "optimizer": "torch-adamw",
}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"num_processes": 3, "num_machines": 2, "main_process_ip": "10.0.0.1"}, "cannot be shared evenly"),
        ({"machine_rank": 1}, "machine_rank: there is no machine 1 of 1"),
        ({"num_processes": 2, "num_machines": 2}, "main_process_ip: is 127.0.0.1, which is each machine itself"),
        ({"num_processes": 0}, "num_processes: '0' is out of range"),
        ({"main_process_port": 70000}, "main_process_port: '70000' is out of range"),
        (SHARDED | {"musubi_blocks_to_swap": 4}, "musubi_blocks_to_swap: moves whole weights"),
        (SHARDED | {"activation_memory_budget": 4}, "activation_memory_budget: measures blocks"),
        (SHARDED | {"dynamo_backend": "inductor"}, "dynamo_backend: compiles over whole weights"),
        (SHARDED | {"base_model_precision": "int8-quanto"}, "base_model_precision: packs weights"),
        (SHARDED | {"fsdp_version": 1}, "fsdp_version: '1' is the older FSDP"),
        (SHARDED | {"fsdp_auto_wrap_policy": "NO_WRAP"}, "blocks of the transformer are the units"),
        (SHARDED | {"context_parallel_size": 2}, "context_parallel_size: '2' is out of range"),
        (ZERO | SHARDED, "fsdp_enable cannot be enabled"),
        (ZERO | {"model_type": "lora"}, "an adapter is too small"),
        (ZERO | {"optimizer": "prodigy"}, "prodigy does not work on parts of weights as DeepSpeed cuts them"),
        (ZERO | {"musubi_blocks_to_swap": 4}, "deepspeed_config leaves no whole ones"),
        (ZERO | {"dynamo_backend": "inductor"}, "dynamo_backend: compiles over whole weights"),
        (SHARDED | {"model_type": "full", "optimizer": "prodigy"}, "prodigy does not work on parts of weights"),
    ],
)
def test_what_cannot_be(project: Any, options: dict[str, object], told: str) -> None:
    project.set(**options)
    with pytest.raises(ConfigError) as caught:
        project.load()
    assert told in str(caught.value)


def test_what_can_be(project: Any) -> None:
    project.set(**SHARDED, optimizer="prodigy", fsdp_cpu_offload=True, fsdp_version=2)
    loaded = project.load()
    assert loaded.config.shard.fsdp_cpu_offload
    assert not any("fsdp" in notice for notice in loaded.notices)
    project.set(num_processes=4, num_machines=2, machine_rank=1, main_process_ip="10.0.0.1", fsdp_enable=False)
    assert project.load().config.machine.machine_rank == 1
    assert "torch-adamw" in SHARDS < set(OPTIMIZERS)
    assert set(OPTIMIZERS) > ZEROES > {"adamw_bf16", "torch-adamw"}
    whole = {"soap", "muon", "prodigy", "torch-adafactor", "optimi-stableadamw", "adamw_schedulefree"}
    assert not ZEROES & whole, "they look at more than a value and its gradient, or mean other weights"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"fsdp_enable": True},
            "fsdp_enable: a single process has nothing to share weights with, and holds them whole",
        ),
        (ZERO | {"num_processes": 1}, "deepspeed_config: a single process has nothing to share weights with"),
        (
            {"fsdp_reshard_after_forward": False, "fsdp_cpu_offload": True},
            "not read: fsdp_cpu_offload, fsdp_reshard_after_forward (fsdp_enable is off)",
        ),
        (SHARDED | {"fsdp_state_dict_type": "SHARDED_STATE_DICT"}, "checkpoints hold whole tensors"),
        (
            SHARDED | {"model_type": "full", "optimizer": "torch-adamw", "use_ema": True, "ema_device": "cpu"},
            "not read: ema_device (the average of sharded weights lies where they do)",
        ),
        ({"accelerate_extra_args": "--multi_gpu"}, "processes are started by `simpletuner train` itself"),
    ],
)
def test_what_is_told(project: Any, options: dict[str, object], told: str) -> None:
    project.entries(project.entry())
    project.set(**options)
    assert told in "\n".join(project.load().notices)
