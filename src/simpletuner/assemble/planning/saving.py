"""What the checkpoints of a run take: one written whole into a temporary folder, and removed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from torch import Tensor

from simpletuner.assemble.planning.figures import SavingFigures
from simpletuner.assemble.room_plan import checkpoints_kept, free_where
from simpletuner.config.load import LoadedRun
from simpletuner.core.checkpoints import checkpoint_name, written_checkpoint, written_result
from simpletuner.core.disk import free_bytes
from simpletuner.core.files import files_below
from simpletuner.core.progress import Progress
from simpletuner.training.checkpoint import Saver

# Where the temporary folder is memory, more than this would be taken from the run.
_MOST_WRITTEN = 4_000_000_000


def measure_saving(saver: Saver, loaded: LoadedRun, steps: int, count: int) -> SavingFigures:
    """Bytes of one checkpoint, of the final files, and of all that lie side by side; seconds of one.

    Where there is no room to write them, their tensors are counted.
    """
    folder = Path(loaded.config.report.output_dir)
    each, final, seconds = _written(saver, steps) if _has_room(saver) else (*_counted(saver), None)
    return SavingFigures(count, checkpoints_kept(loaded, steps), each, final, seconds, folder, free_where(folder))


def _written(saver: Saver, steps: int) -> tuple[int, int, float]:
    with tempfile.TemporaryDirectory(prefix="simpletuner-plan-") as name:
        folder, progress = Path(name), Progress(step=steps)
        began = time.perf_counter()
        saver.save(lambda: written_checkpoint(folder, steps), progress)
        seconds = time.perf_counter() - began
        each = _bytes_below(folder / checkpoint_name(steps))
        result = folder / "result"
        result.mkdir()
        saver.finish(_opened(result), progress)
        return each, _bytes_below(result), seconds


def _opened(result: Path) -> Callable[[], AbstractContextManager[Path]]:
    return lambda: written_result(result)


def _bytes_below(folder: Path) -> int:
    return sum(file.stat().st_size for file in files_below(folder))


def _has_room(saver: Saver) -> bool:
    wanted = sum(_counted(saver))
    return wanted < _MOST_WRITTEN and 2 * wanted < free_bytes(Path(tempfile.gettempdir()))


def _counted(saver: Saver) -> tuple[int, int]:
    """Bytes of the tensors of a checkpoint and of the final files."""
    # All weights are written in fp32.
    whole = saver.model.adapter is None
    weights = sum((4 if whole else value.element_size()) * value.numel() for value in saver.model.trainable().values())
    kept = [value for state in saver.optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    state = sum(value.element_size() * value.numel() for value in kept)
    average = 4 * sum(value.numel() for value in saver.ema.shadow.values()) if saver.ema else 0
    copies = 1 + (saver.ema is not None)
    return weights * (1 if whole else copies) + state + average, weights * copies
