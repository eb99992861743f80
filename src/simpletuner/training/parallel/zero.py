"""DeepSpeed's ZeRO (Rajbhandari et al. 2020, arXiv 1910.02054): called here and by nobody else.

Each process keeps a share of the optimizer's state (stage 1), of the gradients too (2), and of the weights too (3).
DeepSpeed cuts, sums and steps; the order of samples, clipping, checks and checkpoints stay those of every other run.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import Parameter

from simpletuner.core.errors import SimpletunerError
from simpletuner.core.optional import optional
from simpletuner.training.gradients import GradientSize, Trained
from simpletuner.training.model import TrainedModel
from simpletuner.training.objectives.predict import Predict
from simpletuner.training.parallel.pieces import is_parted
from simpletuner.training.parallel.replicas import Replicas
from simpletuner.training.parallel.sharded import Sharded
from simpletuner.training.parallel.zero_optimizer import ZeroOptimizer

KEY = "deepspeed_config"
_ALL_IN_ONE = 1 << 62
"""Values in a group that stage 3 steps at once: an optimizer that counts its steps would count each group."""
_ENGINE = "DeepSpeedEngine"
_SHARED = ("optimizer's state", "gradients", "weights")


@dataclass(frozen=True)
class ZeroSettings:
    """``stage`` 1 to 3; how many values are exchanged at a time: gradients (``reduce``) and weights (``gather``)."""

    stage: int
    reduce: int = 50_000_000
    gather: int = 50_000_000


class NotInForceError(SimpletunerError):
    """DeepSpeed was asked for, and something else came."""


@dataclass(frozen=True)
class Held:
    """A summed gradient, or a piece of one."""

    grad: Tensor | None


@dataclass(frozen=True)
class Zero(Sharded):
    """Processes that share by DeepSpeed's ``engine``, in step as those of FSDP2 are."""

    engine: Any = None

    @contextmanager
    def micro_batch(self, *, is_last: bool) -> Iterator[None]:
        """DeepSpeed is told whether the sums of an update are complete after it."""
        self.engine.set_gradient_accumulation_boundary(is_boundary=is_last)
        yield

    def computing(self, model: TrainedModel) -> Predict:
        """DeepSpeed's engine, which prepares for the backward pass."""
        del model
        predict: Predict = self.engine
        return predict

    def backward(self, loss: Tensor) -> None:
        """DeepSpeed's, which hands out gradients as they come."""
        self.engine.backward(loss)

    def sum_gradients(self, parameters: Sequence[Parameter]) -> None:
        """They are averaged already: as many times that is the sum."""
        del parameters
        torch._foreach_mul_(self._gradients(), float(self.count))

    def held(self, parameters: Sequence[Parameter]) -> Sequence[Trained]:
        """Those of this process's share."""
        del parameters
        return [Held(grad) for grad in self._gradients()]

    def line(self) -> str:
        """What is shared out, for a person."""
        stage = self.engine.zero_optimization_stage()
        return f"DeepSpeed, ZeRO stage {stage}: {', '.join(_SHARED[:stage])} shared out among {self.count} processes"

    def _gradients(self) -> list[Tensor]:
        averaged = self.engine.optimizer.averaged_gradients
        return [grad for group in averaged.values() if group is not None for grad in group]

    def settle(self) -> None:
        """Give back weights that a pass without a backward pass has left gathered."""
        if self.engine.zero_optimization_stage() == 3:
            self.engine.empty_partition_cache()

    def whole_size(self, size: GradientSize) -> GradientSize:
        """The size of all gradients from that of each process's share."""
        return self.size_of_parts(size)


def share_out(
    model: TrainedModel, optimizer: torch.optim.Optimizer, whole: Replicas, settings: ZeroSettings
) -> tuple[Zero, ZeroOptimizer]:
    """Hand ``model`` and its ``optimizer`` to DeepSpeed, on the device of each process; what takes their places.

    Raises ConfigError when DeepSpeed is not installed, NotInForceError when it does something else than asked for.
    """
    deepspeed = load_deepspeed(whole.device)
    parameters = list(model.trainable().values())
    if settings.stage == 3:
        # Cut one by one, so that no card ever has all weights; what is no weight is moved by us then.
        deepspeed.zero.Init(module=model, mem_efficient_linear=False, dtype=torch.float32)
        for buffer in model.buffers():
            buffer.data = buffer.data.to(whole.device)
    engine = deepspeed.initialize(model=model, optimizer=optimizer, config=config_of(settings))[0]
    _require_in_force(engine, whole, settings)
    whole.processes.listen(_groups(engine, parameters))
    zero = Zero(device=whole.device, processes=whole.processes, engine=engine)
    return zero, ZeroOptimizer(engine, parameters, whole.processes)


def config_of(settings: ZeroSettings) -> dict[str, Any]:
    """What DeepSpeed is told: micro-batches, clipping, rates and number formats are ours, and it leaves them be."""
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": 0.0,
        "steps_per_print": sys.maxsize,
        "zero_allow_untested_optimizer": True,
        "zero_optimization": {
            "stage": settings.stage,
            "overlap_comm": False,
            "reduce_bucket_size": settings.reduce,
            "allgather_bucket_size": settings.gather,
            "sub_group_size": _ALL_IN_ONE,
            # It would replace torch's own function for the whole program.
            "memory_efficient_linear": False,
            # No weight stays gathered after it was used: pictures of the average would be drawn with the others.
            "stage3_param_persistence_threshold": 0,
            "stage3_max_reuse_distance": 0,
            "stage3_prefetch_bucket_size": 0,
        },
    }


def load_deepspeed(device: torch.device) -> Any:
    """The package, made quiet. Raises ConfigError when it is not installed."""
    # It looks for its device when it is imported, and complains aloud when it finds none.
    os.environ.setdefault("DS_ACCELERATOR", device.type)
    os.environ.setdefault("LOCAL_RANK", "0")
    deepspeed = optional("deepspeed", extra="deepspeed", needed_for=KEY)
    # It warns of optimizers that it has not tested, which we have, and calls functions of torch by their older names.
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", r"`torch\.distributed\.\w+` is deprecated", FutureWarning)
    if device.type == "cpu":
        # Otherwise it compiles a kernel (80 s) that only its inference calls; an empty list of kernels is what it finds
        # where there is no compiler.
        vars(deepspeed.ops)["__compatible_ops__"] = {}
    return deepspeed


def _groups(engine: Any, parameters: Sequence[Any]) -> set[dist.ProcessGroup]:
    """Where DeepSpeed exchanges."""
    parted = {parameter.ds_process_group for parameter in parameters if is_parted(parameter)}
    world = [dist.group.WORLD] if dist.group.WORLD else []
    return {engine.data_parallel_group, engine.seq_data_parallel_group, *parted, *world}


def _require_in_force(engine: Any, whole: Replicas, settings: ZeroSettings) -> None:
    found = (type(engine).__name__, engine.zero_optimization_stage(), engine.dp_world_size)
    if found != (_ENGINE, settings.stage, whole.count):
        asked = f"{_ENGINE}, stage {settings.stage}, {whole.count} processes"
        raise NotInForceError(
            f"{KEY} asks for {asked}, and what runs is {found[0]}, stage {found[1]}, {found[2]} processes",
            cure="this is a mistake of the program or of this version of DeepSpeed: use fsdp_enable",
        )
