"""How much a run will write, and how much room its disks have. No torch here.

Sizes are of what takes the room: latents in the cache, what is trained, optimizer states. Headers, logs and pictures
come on top, so every size is said to be *about*.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from simpletuner.assemble.adapter_plan import Trained
from simpletuner.config.load import LoadedRun
from simpletuner.config.optimizers.state import state_bytes
from simpletuner.core.disk import free_bytes, shown_bytes

# A latent entry holds the mean and the log-variance of 4 channels in fp32, each cell standing for 8 x 8 pixels.
_BYTES_PER_PIXEL = 2 * 4 * 4 / (8 * 8)


@dataclass(frozen=True)
class Need:
    """What is written to one folder: ``what`` it is, how many bytes, and what is free there now; None is not known.

    Needs of one ``device`` share what is free.
    """

    what: str
    folder: Path
    wanted: int
    free: int | None
    device: int | None = None

    def line(self) -> str:
        """For a person."""
        return self.text() + ("" if self.free is None else f"; {shown_bytes(self.free)} are free")

    def text(self) -> str:
        """The same without what is free."""
        return f"{self.what}: about {shown_bytes(self.wanted)} in {self.folder}"


def full_disks(needs: Iterable[Need]) -> tuple[str, ...]:
    """For the user, the disks that will be full before all that is written to them."""
    by_device: dict[int, list[Need]] = {}
    for need in needs:
        if need.device is not None and need.free is not None and need.wanted:
            by_device.setdefault(need.device, []).append(need)
    return tuple(told for shared in by_device.values() if (told := _too_small(shared)))


def _too_small(shared: Sequence[Need]) -> str | None:
    """A line where what is wanted of one disk is more than is free there."""
    wanted, free = sum(need.wanted for need in shared), min(need.free or 0 for need in shared)
    if wanted <= free:
        return None
    told = "; ".join(need.text() for need in shared) + (f"; {shown_bytes(wanted)} together" if len(shared) > 1 else "")
    return f"the disk is too small for {told}; {shown_bytes(free)} are free; make room, or choose another folder"


def latent_bytes(sizes: Iterable[tuple[int, int, int]]) -> int:
    """The latents of ``(count, width, height)`` pictures, edges in pixels."""
    return math.ceil(sum(count * width * height for count, width, height in sizes) * _BYTES_PER_PIXEL)


def checkpoint_bytes(trained: Trained, loaded: LoadedRun) -> int:
    """One checkpoint: what is trained, its optimizer's state, and with ``use_ema`` the average, once more in fp32.

    An averaged adapter lies there as a file for others too; averaged weights do in the result alone.
    """
    config = loaded.config
    state = sum(state_bytes(config.optimizer.optimizer, shape, trained.width) for shape in trained.tensors)
    public = 0 if config.model.model_type == "full" else trained.file_bytes
    average = public + 4 * trained.parameters if config.ema.use_ema else 0
    return trained.file_bytes + state + average


def checkpoints_kept(loaded: LoadedRun, steps: int) -> int:
    """How many checkpoints lie side by side at most: those that stay and the one being written.

    ``steps`` is the length of the run, which may not make as many; 0 where it is not known yet.
    """
    ours = loaded.config.checkpoints
    if ours.checkpoint_step_interval < 1:
        return 1
    made = max(1, math.ceil(steps / ours.checkpoint_step_interval)) if steps else None
    kept = max(2, ours.checkpoints_total_limit) + 1 if ours.checkpoints_total_limit > 0 else made or 1
    return min(kept, made) if made else kept


def checkpoint_need(loaded: LoadedRun, trained: Trained | None, steps: int) -> Need | None:
    """The checkpoints and the result of a run; None where the size of what is trained is not known."""
    if trained is None:
        return None
    each, kept = checkpoint_bytes(trained, loaded), checkpoints_kept(loaded, steps)
    result = trained.file_bytes * (2 if loaded.config.ema.use_ema else 1)
    word = "checkpoint" if kept == 1 else "checkpoints"
    folder = Path(loaded.config.report.output_dir)
    return _need(f"{kept} {word} of {shown_bytes(each)}", folder, each * kept + result)


def latent_need(folder: Path, sizes: Sequence[tuple[int, int, int]]) -> Need:
    """The latents of one cache folder; what is there already is not written again."""
    count = sum(count for count, _, _ in sizes)
    # The names are counted, not their bytes: a million files are not asked for their size.
    there = sum(1 for _ in folder.glob("*/*.safetensors")) if folder.is_dir() else 0
    missing = max(0, count - there) / count if count else 0
    return _need("latents", folder, math.ceil(latent_bytes(sizes) * missing))


def _need(what: str, folder: Path, wanted: int) -> Need:
    place = _nearest(folder)
    return Need(what, folder, wanted, free_where(folder), None if place is None else place.stat().st_dev)


def free_where(folder: Path) -> int | None:
    """Of the disk on which the folder lies or will lie."""
    place = _nearest(folder)
    try:
        return None if place is None else free_bytes(place)
    except OSError:
        return None


def _nearest(folder: Path) -> Path | None:
    """The folder itself, or the first one above it that is there."""
    return next((path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir()), None)
