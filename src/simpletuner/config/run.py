"""The whole configuration of a run: flat on disk, in sections here."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic.fields import FieldInfo

from simpletuner.config.adapter import AdapterConfig
from simpletuner.config.data import DataConfig
from simpletuner.config.length import FlowConfig, LengthConfig, MachineConfig
from simpletuner.config.memory import MemoryConfig
from simpletuner.config.model import ModelConfig
from simpletuner.config.optimizer import EmaConfig, OptimizerConfig
from simpletuner.config.option import Section
from simpletuner.config.precision import PrecisionConfig
from simpletuner.config.report import CheckpointConfig, ReportConfig
from simpletuner.config.validation import EvaluationConfig, ValidationConfig

__all__ = [
    "OPTIONS",
    "SECTIONS",
    "AdapterConfig",
    "CheckpointConfig",
    "DataConfig",
    "EmaConfig",
    "EvaluationConfig",
    "FlowConfig",
    "LengthConfig",
    "MachineConfig",
    "MemoryConfig",
    "ModelConfig",
    "Option",
    "OptimizerConfig",
    "PrecisionConfig",
    "ReportConfig",
    "RunConfig",
    "ValidationConfig",
]


class RunConfig(Section):
    """Every section. A part of the program receives its own section, not this."""

    model: ModelConfig
    """Weights."""
    precision: PrecisionConfig
    """Number formats of frozen weights."""
    memory: MemoryConfig
    """Time against memory."""
    adapter: AdapterConfig
    """What is laid over them."""
    length: LengthConfig
    """Steps and batches."""
    optimizer: OptimizerConfig
    """Weight updates."""
    ema: EmaConfig
    """Averaged weights."""
    data: DataConfig
    """Defaults of the data sets."""
    validation: ValidationConfig
    """Pictures drawn during training."""
    evaluation: EvaluationConfig
    """Loss on held-out pictures."""
    checkpoints: CheckpointConfig
    """Saves and resumes."""
    report: ReportConfig
    """Output and trackers."""
    flow: FlowConfig
    """Schedule shifts."""
    machine: MachineConfig
    """Processes."""


@dataclass(frozen=True)
class Option:
    """One option, by its flat name: the section it lives in and its declaration."""

    name: str
    section: str
    declared: FieldInfo


SECTIONS: dict[str, type[Section]] = {
    "model": ModelConfig,
    "precision": PrecisionConfig,
    "memory": MemoryConfig,
    "adapter": AdapterConfig,
    "length": LengthConfig,
    "optimizer": OptimizerConfig,
    "ema": EmaConfig,
    "data": DataConfig,
    "validation": ValidationConfig,
    "evaluation": EvaluationConfig,
    "checkpoints": CheckpointConfig,
    "report": ReportConfig,
    "flow": FlowConfig,
    "machine": MachineConfig,
}

OPTIONS: dict[str, Option] = {
    name: Option(name, section, declared)
    for section, kind in SECTIONS.items()
    for name, declared in kind.model_fields.items()
}
