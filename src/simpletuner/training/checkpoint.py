"""What a checkpoint holds, and how a run goes on from one.

``pytorch_lora_weights.safetensors`` and ``lycoris_config.json`` (an adapter) or ``transformer/`` (all weights);
``adapter_state.safetensors`` what that file does not hold, for the few adapters whose public file is not their state;
``ema/ema_model.safetensors`` the averaged adapter; ``ema_shadow.safetensors`` the average in fp32;
``optimizer.safetensors``; ``training_state.json``. Order and randomness need no file:
they are pure functions of the seed and of where the run stands.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from simpletuner.core.checkpoints import manifest_of, problem_with
from simpletuner.core.errors import DataError
from simpletuner.core.files import write_bytes, write_json
from simpletuner.core.progress import Progress
from simpletuner.training.ema import Ema
from simpletuner.training.fingerprint import Identity, require_same_run
from simpletuner.training.health import require_sound
from simpletuner.training.model import TrainedModel
from simpletuner.training.optimizers import evaluating
from simpletuner.training.parallel.base import Parallel
from simpletuner.training.parallel.equal import require_equal
from simpletuner.training.parallel.shards import fill, gathered
from simpletuner.training.state import load_optimizer, save_optimizer
from simpletuner.training.tensor_file import write_tensors

ADAPTER_FILE = "pytorch_lora_weights.safetensors"
ADAPTER_CONFIG = "lycoris_config.json"
_PRIVATE_FILE = "adapter_state.safetensors"
_EMA_FILE = "ema_model.safetensors"
_SHADOW_FILE = "ema_shadow.safetensors"
_OPTIMIZER_FILE = "optimizer.safetensors"
_STATE_FILE = "training_state.json"
_STATE_KEYS = ("progress", "fingerprint", "settings", "data", "steps")
_LATER_KEYS = ("evaluation", "commits")


@dataclass(frozen=True)
class Saver:
    """Writes weights for other programs and state for this one.

    ``metadata`` goes into the adapter file (all values text); ``lycoris`` is the user's own file, copied beside;
    ``identity`` holds the settings that a resume compares; ``data`` stands for the pictures;
    ``steps`` is the planned length of the run; ``parallel`` the processes that train together; ``evaluation`` gives
    what the evaluations have found so far, as JSON values; ``comment`` metadata that is made at each save.
    """

    model: TrainedModel
    optimizer: torch.optim.Optimizer
    ema: Ema | None
    metadata: Mapping[str, str]
    lycoris: bytes | None
    identity: Identity
    data: str
    steps: int
    parallel: Parallel
    evaluation: Callable[[], Mapping[str, Any]] = dict
    comment: Callable[[Progress], Mapping[str, str]] = lambda _progress: {}

    def save(self, folder: Callable[[], AbstractContextManager[Path]], progress: Progress) -> None:
        """Everything a resume needs, into an empty folder that ``folder`` gives the first process alone.

        All processes call this, and leave it when the folder is whole. Raises NonFiniteError when something is not
        finite, DivergedError when the processes are not equal.
        """
        with self.parallel.together():
            self._require_sound(progress)
            require_equal(self.parallel, self._state_tensors(), "what is trained")
            self._once(self._write, folder, progress)

    def finish(self, folder: Callable[[], AbstractContextManager[Path]], progress: Progress) -> None:
        """The finished weights, and the averaged ones in ``ema/``; else as :meth:`save`."""
        with self.parallel.together():
            self._require_sound(progress)
            self._once(self._write_final, folder, progress)

    def _once(
        self,
        write: Callable[[Path | None, Progress], None],
        folder: Callable[[], AbstractContextManager[Path]],
        progress: Progress,
    ) -> None:
        if self.parallel.is_first:
            with folder() as opened:
                write(opened, progress)
        elif self.parallel.is_sharded:
            # Nothing is written, and the parts that this process holds are handed out.
            write(None, progress)

    def _state_tensors(self) -> dict[str, Tensor]:
        """What whole copies of the model must agree about: weights, average, and what the optimizer keeps."""
        trained = self.model.trainable()
        kept = {
            f"{name}/{key}": value
            for name, parameter in trained.items()
            for key, value in self.optimizer.state.get(parameter, {}).items()
            if isinstance(value, Tensor)
        }
        return {
            **trained,
            **kept,
            **({f"ema/{name}": value for name, value in self.ema.shadow.items()} if self.ema else {}),
        }

    def _write(self, folder: Path | None, progress: Progress) -> None:
        self._write_weights(folder, progress)
        self._write_private(folder)
        save_optimizer(self.optimizer, self.model.trainable(), folder / _OPTIMIZER_FILE if folder else None)
        if self.ema is not None:
            self._write_average(folder, progress)
        if folder is not None:
            self._write_state(folder, progress)

    def _write_state(self, folder: Path, progress: Progress) -> None:
        state = {
            "version": 1,
            "progress": asdict(progress),
            "fingerprint": dict(self.identity.fixed),
            "settings": dict(self.identity.settings),
            "data": self.data,
            "steps": self.steps,
            "evaluation": self.evaluation(),
            "commits": dict(self.identity.commits),
        }
        write_json(folder / _STATE_FILE, state)

    def _require_sound(self, progress: Progress) -> None:
        average = self.ema.shadow if self.ema is not None else {}
        with self.parallel.in_step():
            require_sound(self.model.trainable(), self.optimizer, average, progress.step)

    def _write_private(self, folder: Path | None) -> None:
        private = self.model.adapter.private_tensors() if self.model.adapter is not None else {}
        if private and folder is not None:
            write_tensors(folder / _PRIVATE_FILE, private)

    def _write_average(self, folder: Path | None, progress: Progress) -> None:
        """The shadow in fp32 for a resume, and for an adapter a file that other programs load."""
        assert self.ema is not None
        whole = gathered(self.ema.shadow, keep=folder is not None)
        if folder is None:
            return
        write_tensors(folder / _SHADOW_FILE, whole)
        if self.model.adapter is not None:
            (folder / "ema").mkdir()
            with self.ema.applied():
                self._write_adapter(folder / "ema" / _EMA_FILE, progress)

    def _write_adapter(self, file: Path, progress: Progress) -> None:
        assert self.model.adapter is not None
        metadata = {**self.metadata, **self.model.adapter.metadata(), **self.comment(progress)}
        metadata["global_step"] = str(progress.step)
        write_tensors(file, self.model.adapter.tensors(), metadata)

    def _write_weights(self, folder: Path | None, progress: Progress) -> None:
        """What other programs read: the adapter file with its configuration, or the transformer."""
        with evaluating(self.optimizer):
            self._write_weights_held(folder, progress)

    def _write_weights_held(self, folder: Path | None, progress: Progress) -> None:
        if self.model.adapter is None:
            state = gathered(self.model.denoiser.state_dict(keep_vars=True), keep=folder is not None)
            if folder is not None:
                self._write_denoiser(folder / "transformer", state)
        elif folder is not None:
            self._write_adapter(folder / ADAPTER_FILE, progress)
            if self.lycoris is not None:
                write_bytes(folder / ADAPTER_CONFIG, self.lycoris)

    def _write_denoiser(self, folder: Path, state: Mapping[str, Tensor]) -> None:
        try:
            self.model.family.save_denoiser(self.model.denoiser, folder, torch.float32, state)
        except SafetensorError as error:
            raise _disk_error(error, folder) from error

    def _write_final(self, folder: Path | None, progress: Progress) -> None:
        self._write_weights(folder, progress)
        if self.ema is not None:
            below = folder / "ema" if folder else None
            if below is not None:
                below.mkdir(exist_ok=True)
            with self.ema.applied():
                self._write_weights_held(below, progress)

    def restore(self, folder: Path) -> Progress:
        """Put weights, optimizer and average back as they were; where the run stood.

        Raises DataError when the checkpoint is damaged or belongs to another run.
        """
        state = read_state(folder)
        require_same_run(folder, state["fingerprint"], self.identity)
        self._restore_weights(folder)
        load_optimizer(self.optimizer, self.model.trainable(), folder / _OPTIMIZER_FILE)
        if self.ema is not None:
            self._restore_average(folder)
        return Progress.read(state["progress"])

    def _restore_weights(self, folder: Path) -> None:
        if self.model.adapter is not None:
            self.model.adapter.load_tensors(load_file(folder / ADAPTER_FILE))
            private = _PRIVATE_FILE in manifest_of(folder)
            self.model.adapter.load_private(load_file(folder / _PRIVATE_FILE) if private else {})
            return
        saved = self.model.family.load_denoiser(folder, torch.float32).state_dict()
        for name, value in self.model.denoiser.state_dict(keep_vars=True).items():
            fill(value, saved[name])

    def _restore_average(self, folder: Path) -> None:
        if _SHADOW_FILE not in manifest_of(folder):
            raise DataError("has no average (EMA) to go on with", file=folder, key="use_ema", cure="use_ema=false")
        shadow: dict[str, Tensor] = load_file(folder / _SHADOW_FILE)
        assert self.ema is not None
        self.ema.load(shadow)


def read_state(folder: Path) -> dict[str, Any]:
    """The state file of a verified checkpoint. Raises DataError when anything in ``folder`` is damaged."""
    if problem := problem_with(folder):
        raise DataError(f"cannot resume: {problem}", file=folder, cure="resume from another checkpoint, or use --fresh")
    return state_of(folder)


def state_of(folder: Path) -> dict[str, Any]:
    """The state file of a checkpoint that was verified before. Raises DataError when it is none of ours."""
    try:
        state: dict[str, Any] = json.loads((folder / _STATE_FILE).read_text("utf-8"))
        return {key: state[key] for key in _STATE_KEYS} | {key: state.get(key, {}) for key in _LATER_KEYS}
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        cure = "resume from another checkpoint, or use --fresh"
        raise DataError(f"cannot resume: {_STATE_FILE} cannot be read ({error!r})", file=folder, cure=cure) from error


def _disk_error(error: SafetensorError, folder: Path) -> Exception:
    """What the disk answered, which the library hides in a text."""
    found = re.search(r"os error (\d+)", str(error))
    return OSError(int(found[1]), os.strerror(int(found[1])), str(folder)) if found else error
