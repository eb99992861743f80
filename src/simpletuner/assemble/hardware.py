"""Device and number formats: what the configuration asks for, and what this machine can do well."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from simpletuner.config.sections.memory import MemoryConfig
from simpletuner.config.sections.model import ModelConfig
from simpletuner.config.sections.precision import PrecisionConfig
from simpletuner.config.sections.speed import SpeedConfig
from simpletuner.models.attention_kernel import require_kernel
from simpletuner.precision.quantise import require_format

_DTYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Precision:
    """``base`` holds the model, ``adapter`` the adapter, ``vae`` the codec; ``notices`` for the user.

    ``autocast`` is the type to compute in when it is not that of the weights.
    """

    base: torch.dtype
    adapter: torch.dtype
    vae: torch.dtype
    autocast: torch.dtype | None = None
    notices: tuple[str, ...] = ()


def best_device() -> torch.device:
    """CUDA, else Apple's GPU, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def set_arithmetic(speed: SpeedConfig, device: torch.device) -> None:
    """Tell torch how many threads it has, and on CUDA whether fp32 products may be rounded to TF32."""
    if speed.torch_num_threads is not None:
        torch.set_num_threads(speed.torch_num_threads)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("highest" if speed.disable_tf32 else "high")
        torch.backends.cudnn.allow_tf32 = not speed.disable_tf32


def resolve_precision(
    model: ModelConfig, frozen: PrecisionConfig, optimizer: str, device: torch.device, *, bf16_adapter: bool
) -> Precision:
    """The number formats of a run.

    On a CPU everything runs in fp32, and says so: most CPUs emulate bf16, 5 to 25 times slower. ``bf16_adapter``
    (the user set ``base_model_default_dtype`` to bf16) keeps the adapter in bf16 even there. Full training keeps
    fp32 weights.
    """
    asked = _DTYPES[model.mixed_precision]
    if asked != torch.float32 and device.type == "cpu":
        adapter = torch.bfloat16 if bf16_adapter and optimizer == "adamw_bf16" else torch.float32
        told = f"mixed_precision={model.mixed_precision}: fp32 on this CPU (most emulate bf16, 5 to 25 times slower)"
        return Precision(base=torch.float32, adapter=adapter, vae=torch.float32, notices=(told,))
    wide = model.model_type == "full" or frozen.base_model_default_dtype == "fp32"
    base = torch.float32 if wide else asked
    adapter = torch.bfloat16 if optimizer == "adamw_bf16" and asked == torch.bfloat16 else torch.float32
    notices: tuple[str, ...] = ()
    if optimizer == "adamw_bf16" and adapter == torch.float32:
        notices = ("adamw_bf16 with mixed_precision=no: fp32 weights and its fp32 form",)
    return Precision(
        base=base,
        adapter=adapter,
        vae=_vae_dtype(model, asked),
        autocast=None if base == asked else asked,
        notices=notices,
    )


def require_available(precision: PrecisionConfig, memory: MemoryConfig, device: torch.device) -> None:
    """Refuse, before hours of caching, what ``device`` or the installed packages cannot do. Raises ConfigError."""
    if precision.base_model_precision != "no_change":
        require_format(precision.base_model_precision, device)
    require_kernel(memory.attention_mechanism, device)


def _vae_dtype(model: ModelConfig, asked: torch.dtype) -> torch.dtype:
    names = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "default": asked}
    return names[model.vae_dtype] if asked != torch.float32 else torch.float32
