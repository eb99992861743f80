"""What a checkpoint holds, and how a run goes on from one.

``pytorch_lora_weights.safetensors`` and ``lycoris_config.json`` (an adapter) or ``transformer/`` (all weights);
``adapter_state.safetensors`` what that file does not hold, for the few adapters whose public file is not their state;
``ema/ema_model.safetensors`` the averaged adapter; ``ema_shadow.safetensors`` the average in fp32;
``optimizer.safetensors``; ``training_state.json``. Order and randomness need no file:
they are pure functions of the seed and of where the run stands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from simpletuner.core.checkpoints import problem_with
from simpletuner.core.errors import DataError
from simpletuner.core.files import write_bytes, write_json
from simpletuner.core.progress import Progress
from simpletuner.training.ema import Ema
from simpletuner.training.model import TrainedModel
from simpletuner.training.optimizers import evaluating
from simpletuner.training.state import load_optimizer, save_optimizer

ADAPTER_FILE = "pytorch_lora_weights.safetensors"
ADAPTER_CONFIG = "lycoris_config.json"
_PRIVATE_FILE = "adapter_state.safetensors"
_EMA_FILE = "ema_model.safetensors"
_SHADOW_FILE = "ema_shadow.safetensors"
_OPTIMIZER_FILE = "optimizer.safetensors"
_STATE_FILE = "training_state.json"


@dataclass(frozen=True)
class Saver:
    """Writes weights for other programs and state for this one.

    ``metadata`` goes into the adapter file (all values text); ``lycoris`` is the user's own file, copied beside;
    ``fingerprint`` holds the settings that a resume must share, by flat name; ``data`` stands for the pictures;
    ``steps`` is the planned length of the run.
    """

    model: TrainedModel
    optimizer: torch.optim.Optimizer
    ema: Ema | None
    metadata: Mapping[str, str]
    lycoris: bytes | None
    fingerprint: Mapping[str, Any]
    data: str
    steps: int

    def write(self, folder: Path, progress: Progress) -> None:
        """Everything a resume needs, into an empty ``folder``."""
        self.write_weights(folder, progress)
        self._write_private(folder)
        save_optimizer(self.optimizer, self.model.trainable(), folder / _OPTIMIZER_FILE)
        if self.ema is not None:
            self._write_average(folder, progress)
        state = {
            "version": 1,
            "progress": asdict(progress),
            "fingerprint": dict(self.fingerprint),
            "data": self.data,
            "steps": self.steps,
        }
        write_json(folder / _STATE_FILE, state)

    def _write_private(self, folder: Path) -> None:
        private = self.model.adapter.private_tensors() if self.model.adapter is not None else {}
        if private:
            save_file({name: tensor.cpu().contiguous() for name, tensor in private.items()}, folder / _PRIVATE_FILE)

    def _write_average(self, folder: Path, progress: Progress) -> None:
        """The shadow in fp32 for a resume, and for an adapter a file that other programs load."""
        assert self.ema is not None
        save_file({name: shadow.cpu() for name, shadow in self.ema.shadow.items()}, folder / _SHADOW_FILE)
        if self.model.adapter is not None:
            (folder / "ema").mkdir()
            with self.ema.applied():
                self._write_adapter(folder / "ema" / _EMA_FILE, progress)

    def _write_adapter(self, file: Path, progress: Progress) -> None:
        assert self.model.adapter is not None
        metadata = {**self.metadata, **self.model.adapter.metadata(), "global_step": str(progress.step)}
        tensors = {name: tensor.cpu().contiguous() for name, tensor in self.model.adapter.tensors().items()}
        save_file(tensors, file, metadata=metadata)

    def write_weights(self, folder: Path, progress: Progress) -> None:
        """What other programs read: the adapter file with its configuration, or the transformer."""
        with evaluating(self.optimizer):
            self._write_weights_held(folder, progress)

    def _write_weights_held(self, folder: Path, progress: Progress) -> None:
        if self.model.adapter is None:
            self.model.family.save_denoiser(self.model.denoiser, folder / "transformer", torch.float32)
            return
        self._write_adapter(folder / ADAPTER_FILE, progress)
        if self.lycoris is not None:
            write_bytes(folder / ADAPTER_CONFIG, self.lycoris)

    def write_final(self, folder: Path, progress: Progress) -> None:
        """The finished weights, and the averaged ones in ``ema/``, into ``folder``."""
        self.write_weights(folder, progress)
        if self.ema is not None:
            (folder / "ema").mkdir(exist_ok=True)
            with self.ema.applied():
                self._write_weights_held(folder / "ema", progress)

    def restore(self, folder: Path) -> Progress:
        """Put weights, optimizer and average back as they were; where the run stood.

        Raises DataError when the checkpoint is damaged or belongs to another run.
        """
        state = read_state(folder)
        self._require_same_run(folder, state["fingerprint"])
        self._restore_weights(folder)
        load_optimizer(self.optimizer, self.model.trainable(), folder / _OPTIMIZER_FILE)
        if self.ema is not None:
            self._restore_average(folder)
        return Progress(**state["progress"])

    def _require_same_run(self, folder: Path, saved: Mapping[str, Any]) -> None:
        differing = [key for key in sorted({*saved, *self.fingerprint}) if saved.get(key) != self.fingerprint.get(key)]
        if differing:
            lines = "; ".join(f"{key} was {saved.get(key)!r}, is {self.fingerprint.get(key)!r}" for key in differing)
            cure = "put the former values back, start over with --fresh, or choose another output_dir"
            raise DataError(f"this checkpoint belongs to a different run: {lines}", file=folder, cure=cure)

    def _restore_weights(self, folder: Path) -> None:
        if self.model.adapter is not None:
            self.model.adapter.load_tensors(load_file(folder / ADAPTER_FILE))
            private = folder / _PRIVATE_FILE
            self.model.adapter.load_private(load_file(private) if private.is_file() else {})
            return
        saved = self.model.family.load_denoiser(folder, torch.float32)
        self.model.denoiser.load_state_dict(saved.state_dict())

    def _restore_average(self, folder: Path) -> None:
        file = folder / _SHADOW_FILE
        if not file.is_file():
            raise DataError("has no average (EMA) to go on with", file=folder, key="use_ema", cure="use_ema=false")
        shadow: dict[str, Tensor] = load_file(file)
        assert self.ema is not None
        self.ema.load(shadow)


def read_state(folder: Path) -> dict[str, Any]:
    """The state file of a verified checkpoint. Raises DataError when anything in ``folder`` is damaged."""
    if problem := problem_with(folder):
        raise DataError(f"cannot resume: {problem}", file=folder, cure="resume from another checkpoint, or use --fresh")
    state: dict[str, Any] = json.loads((folder / _STATE_FILE).read_text())
    return state
