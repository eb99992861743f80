"""The whole configuration of a run: flat on disk, in sections here."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic.fields import FieldInfo

from simpletuner.config.option import Section
from simpletuner.config.sections.adapter import AdapterConfig
from simpletuner.config.sections.data import DataConfig
from simpletuner.config.sections.length import LengthConfig
from simpletuner.config.sections.machine import MachineConfig, ShardConfig
from simpletuner.config.sections.memory import MemoryConfig
from simpletuner.config.sections.model import ModelConfig
from simpletuner.config.sections.objective import ObjectiveConfig
from simpletuner.config.sections.optimizer import EmaConfig, OptimizerConfig
from simpletuner.config.sections.precision import PrecisionConfig
from simpletuner.config.sections.publishing import PublishingConfig
from simpletuner.config.sections.report import CheckpointConfig, ReportConfig
from simpletuner.config.sections.rollout import RolloutConfig
from simpletuner.config.sections.sampler import SamplerConfig
from simpletuner.config.sections.speed import SpeedConfig
from simpletuner.config.sections.text_encoder import TextEncoderConfig
from simpletuner.config.sections.timesteps import FlowConfig
from simpletuner.config.sections.validation import EvaluationConfig, ValidationConfig

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
    "ObjectiveConfig",
    "Option",
    "OptimizerConfig",
    "PrecisionConfig",
    "PublishingConfig",
    "ReportConfig",
    "RolloutConfig",
    "RunConfig",
    "SamplerConfig",
    "ShardConfig",
    "SpeedConfig",
    "TextEncoderConfig",
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
    speed: SpeedConfig
    """Threads and rounding."""
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
    sampler: SamplerConfig
    """How they are sampled."""
    evaluation: EvaluationConfig
    """Loss on held-out pictures."""
    checkpoints: CheckpointConfig
    """Saves and resumes."""
    report: ReportConfig
    """Output and trackers."""
    publishing: PublishingConfig
    """Where the result goes beside."""
    objective: ObjectiveConfig
    """What is minimised."""
    flow: FlowConfig
    """Shares of noise."""
    rollout: RolloutConfig
    """Scheduled sampling."""
    machine: MachineConfig
    """Processes."""
    shard: ShardConfig
    """Weights in parts."""
    text_encoder: TextEncoderConfig
    """What OmniGen has not."""


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
    "speed": SpeedConfig,
    "adapter": AdapterConfig,
    "length": LengthConfig,
    "optimizer": OptimizerConfig,
    "ema": EmaConfig,
    "data": DataConfig,
    "validation": ValidationConfig,
    "sampler": SamplerConfig,
    "evaluation": EvaluationConfig,
    "checkpoints": CheckpointConfig,
    "report": ReportConfig,
    "publishing": PublishingConfig,
    "objective": ObjectiveConfig,
    "flow": FlowConfig,
    "rollout": RolloutConfig,
    "machine": MachineConfig,
    "shard": ShardConfig,
    "text_encoder": TextEncoderConfig,
}

OPTIONS: dict[str, Option] = {
    name: Option(name, section, declared)
    for section, kind in SECTIONS.items()
    for name, declared in kind.model_fields.items()
}
