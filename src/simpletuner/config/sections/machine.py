"""Options of processes, machines and sharding."""

from __future__ import annotations

from typing import Annotated, Literal

from simpletuner.config.lenient import OBJECT_TOO
from simpletuner.config.option import Section, option

LOOPBACK = "127.0.0.1"


class MachineConfig(Section):
    """What the run runs on."""

    num_processes: int = option(1, reads=("config",), ge=1)
    """Processes in all, one for each device. Each takes its share of every weight update, which holds
    `train_batch_size` x `gradient_accumulation_steps` x `num_processes` pictures.
    """
    num_machines: int = option(1, reads=("config",), ge=1)
    """Machines, each with the same number of processes. The same command is started on each of them."""
    machine_rank: int = option(0, reads=("config",), ge=0)
    """Which of the machines this one is, from 0."""
    main_process_ip: str = option(LOOPBACK, reads=("config",))
    """Address of machine 0, where processes find each other."""
    main_process_port: int | None = option(None, reads=("config",), ge=1, le=65535)
    """Port of machine 0; not given, a free one, and 29500 with several machines."""
    accelerate_visible_devices: str | None = option(None, reads=("config",))
    """Indices of the cards to use, as a list or with commas; not given, all of them."""
    accelerate_config: str | None = option(None, reads=("config",))
    """A YAML file that `accelerate config` wrote; its numbers of processes and machines and its address are taken where
    the run's own configuration says nothing.
    """
    accelerate_extra_args: str | None = option(
        None, unread="processes are started by `simpletuner train` itself; under `accelerate launch` give them there"
    )
    """Arguments of `accelerate launch`."""
    seed_for_each_device: bool = option(default=True, reads=("assemble",))
    """Give each process its own draws of what is random inside the model (an adapter's dropout). Noise, timesteps and
    captions belong to pictures, and are the same on any number of processes.
    """


class ShardConfig(Section):
    """Weights in parts, one for each process (FSDP2)."""

    fsdp_enable: bool = option(default=False, reads=("config", "assemble"))
    """Let each process hold a part of every block's weights, gathered while the block computes: models that no card
    holds alone. Slower than whole copies where these fit.
    """
    fsdp_version: int = option(
        2, reads=("config",), ge=1, le=2, refused={"1": "is the older FSDP, which this program does not use"}
    )
    """FSDP's version."""
    fsdp_reshard_after_forward: bool = option(default=True, reads=("assemble",))
    """Give a block's gathered weights back after its forward pass and gather them again in the backward pass: less
    memory. `false` keeps them in between: fewer transfers.
    """
    fsdp_cpu_offload: bool = option(default=False, reads=("assemble",))
    """Keep the parts in the computer's memory while no block needs them."""
    fsdp_auto_wrap_policy: Literal["TRANSFORMER_BASED_WRAP"] = option(
        "TRANSFORMER_BASED_WRAP",
        reads=("config",),
        refused=dict.fromkeys(
            ("SIZE_BASED_WRAP", "NO_WRAP"), "is not available: blocks of the transformer are the units here"
        ),
    )
    """What is gathered at a time: one block of the transformer."""
    fsdp_transformer_layer_cls_to_wrap: str | None = option(
        None, unread="every block of the transformer is a unit, whatever its class is called"
    )
    """Classes of the units."""
    fsdp_state_dict_type: Literal["SHARDED_STATE_DICT", "FULL_STATE_DICT"] = option(
        "FULL_STATE_DICT", unread="checkpoints hold whole tensors, so that any number of processes goes on from them"
    )
    """The form of checkpoints."""
    fsdp_cpu_ram_efficient_loading: bool = option(
        default=False, unread="every process reads the weights itself, and keeps its part"
    )
    """Let one process read the weights."""
    context_parallel_size: int = option(1, reads=("config",), ge=1, le=1)
    """Processes that share one picture; OmniGen's sequences are short enough for one."""
    context_parallel_comm_strategy: Literal["allgather", "alltoall"] = option(
        "allgather", unread="context_parallel_size is 1"
    )
    """How they would share it."""
    deepspeed_config: Annotated[str, OBJECT_TOO] | None = option(None, reads=("config",))
    """DeepSpeed's settings, as an object or the path of a file: `{"zero_optimization": {"stage": 2}}`. Stage 1 shares
    out the optimizer's state, 2 the gradients too, 3 the weights too. Only with `model_type` `full`. What has an option
    of its own here (batches, clipping, number formats) may be "auto" or say the same.
    """
