"""What an interrupted fit needs to go on, in one safetensors file with a JSON header."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Progress:
    """How far training came: steps taken and wall-clock seconds spent."""

    steps: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Trainee(Generic[Network]):
    """The parts that training changes in place."""

    network: Network
    average: Network
    optimizer: torch.optim.AdamW
    generator: torch.Generator


def save_state(path: Path, trainee: Trainee[Network], progress: Progress) -> None:
    """Write everything beside the target, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    tensors = {name: tensor.contiguous() for name, tensor in state_tensors(trainee).items()}
    save_file(tensors, unfinished, metadata={"progress": json.dumps(asdict(progress))})
    unfinished.replace(path)


def state_tensors(trainee: Trainee[Network]) -> dict[str, Tensor]:
    """Name all tensors of weights, average, optimizer moments and random generator."""
    tensors = {f"network.{name}": tensor for name, tensor in trainee.network.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in trainee.average.state_dict().items()}
    for name, parameter in trainee.network.named_parameters():
        moments = trainee.optimizer.state[parameter]
        tensors |= {f"optimizer.{key}.{name}": moments[key] for key in _MOMENTS}
    return tensors | {"generator": trainee.generator.get_state()}


def load_state(path: Path, trainee: Trainee[Network]) -> Progress:
    """Restore `trainee` in place and return how far it was."""
    with safe_open(path, framework="pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - not a mapping
        progress = Progress(**json.loads(stored.metadata()["progress"]))
    trainee.network.load_state_dict(with_prefix(tensors, "network."))
    trainee.average.load_state_dict(with_prefix(tensors, "average."))
    for name, parameter in trainee.network.named_parameters():
        trainee.optimizer.state[parameter] = {
            # AdamW keeps its step count on the CPU.
            key: tensors[f"optimizer.{key}.{name}"].to("cpu" if key == "step" else parameter.device)
            for key in _MOMENTS
        }
    trainee.generator.set_state(tensors["generator"])
    return progress


def with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Select the tensors of one part under their own names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
