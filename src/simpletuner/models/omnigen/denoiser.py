"""diffusers' OmniGen with a memory of how its blocks run."""

from __future__ import annotations

from collections.abc import Callable

from diffusers import OmniGenTransformer2DModel
from torch import Tensor

from simpletuner.models.blocks import BlockRunner
from simpletuner.models.execution import Execution
from simpletuner.models.omnigen.attention import Sequence, run_block, run_last_block
from simpletuner.models.omnigen.rotary import RotaryStore


class Running:
    """What one model needs from pass to pass and no file holds."""

    def __init__(self, model: OmniGenTransformer2DModel, execution: Execution) -> None:
        """Raises ConfigError when ``execution`` asks for more than ``model`` can do."""
        self.blocks: BlockRunner[Sequence] = BlockRunner(model.layers, run_block, execution, last=run_last_block)
        self.rotary = RotaryStore(model.rope)


class OmniGenDenoiser(OmniGenTransformer2DModel):  # type: ignore[misc]
    """diffusers' model: its weights under its names, and no others."""

    running: Running | None = None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> OmniGenDenoiser:  # noqa: FBT001, FBT002
        # torch's signature; every move of a module comes through here.
        if self.running is None:
            return super()._apply(fn, recurse)
        with self.running.blocks.move():
            return super()._apply(fn, recurse)


def running(model: OmniGenTransformer2DModel) -> Running:
    """How ``model`` runs; one that nobody configured heeds diffusers' own flag and forgets its tables."""
    if isinstance(model, OmniGenDenoiser) and model.running is not None:
        return model.running
    return Running(model, Execution(recompute=model.gradient_checkpointing))
