"""What `generate` and `export` are asked for. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simpletuner.models.source import HubCommit, Source


@dataclass(frozen=True)
class Base:
    """The base model: what the user called it, and its folder or hub id.

    ``builtin_negative`` says that sampling without a negative prompt uses the references' own text; ``commit`` is the
    one of the hub that the adapter was trained over, where its file names it.
    """

    family: str
    name: str
    source: str | Path
    builtin_negative: bool
    commit: str | None = None

    @property
    def origin(self) -> Source:
        """What the parts of the model are loaded from."""
        return self.source if self.commit is None else HubCommit(str(self.source), self.commit)


@dataclass(frozen=True)
class ExportArguments:
    """An adapter file to convert, and into what."""

    adapter: Path
    to: Literal["diffusers", "comfyui", "kohya", "merged"]
    output: Path
    base: Base
    layout: Literal["diffusers", "official"] = "diffusers"
    strength: float = 1.0
    dtype: Literal["fp32", "bf16", "fp16"] = "fp32"
    force: bool = False


@dataclass(frozen=True)
class GenerateArguments:
    """Pictures to draw. With ``like`` everything else is taken from that picture; ``probe`` is a question instead."""

    output: Path
    base: Base
    adapter: Path | None = None
    prompts: tuple[str, ...] = ()
    like: Path | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    steps: int = 1
    guidance: float = 1.0
    image_guidance: float = 1.0
    seed: int = 0
    count: int = 1
    strength: float = 1.0
    negative: str | None = None
    images: tuple[Path, ...] = ()
    probe: Literal["tokens", "buckets", "artifacts"] | None = None
