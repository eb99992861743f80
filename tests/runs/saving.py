"""A script that saves as a run does, to be killed or failed at any of its system calls: no torch in it.

`python saving.py SCENARIO FOLDER` plays one scenario in a folder that ``laid_out`` made for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from simpletuner.core.checkpoints import sweep, written_checkpoint, written_result
from simpletuner.core.errors import SimpletunerError
from simpletuner.core.files import write_json
from simpletuner.core.retention import Limits, promote, prune

SIZE = 20_000
LIMITS = Limits(ordinary=2, rolling=1)


def save(output_dir: Path, step: int, mark: str, *, is_rolling: bool = False) -> None:
    """A checkpoint of two files and a folder; ``mark`` tells one writing of a step from another."""
    with written_checkpoint(output_dir, step, is_rolling=is_rolling) as folder:
        (folder / "weights.bin").write_bytes(mark.encode() * SIZE)
        (folder / "ema").mkdir()
        (folder / "ema" / "average.bin").write_bytes(mark.encode() * SIZE)
        write_json(folder / "training_state.json", {"step": step, "mark": mark})


def finish(output_dir: Path, mark: str) -> None:
    """The final files: one beside the checkpoints, and a folder."""
    with written_result(output_dir) as folder:
        (folder / "adapter.bin").write_bytes(mark.encode() * SIZE)
        (folder / "ema").mkdir()
        (folder / "ema" / "average.bin").write_bytes(mark.encode() * SIZE)


def tell(line: str) -> None:
    """Where a run tells what hinders it."""
    sys.stdout.write(f"told: {line}\n")


def _leftovers(output_dir: Path) -> None:
    for step in (1, 2):
        save(output_dir, step, "a")
    (output_dir / "checkpoint-2").rename(output_dir / ".checkpoint-2.replaced")
    save(output_dir, 3, "a")
    (output_dir / "checkpoint-3").rename(output_dir / ".checkpoint-3.removed")
    (output_dir / ".checkpoint-4.partial" / "ema").mkdir(parents=True)
    (output_dir / ".checkpoint-4.partial" / "ema" / "average.bin").touch()


def _ordinary(*steps: int) -> Callable[[Path], None]:
    def lay(output_dir: Path) -> None:
        for step in steps:
            save(output_dir, step, "a")

    return lay


def _mixed(output_dir: Path) -> None:
    _ordinary(1, 3)(output_dir)
    for step in (2, 4):
        save(output_dir, step, "a", is_rolling=True)


def _save_and_prune(output_dir: Path) -> None:
    save(output_dir, 5, "b")
    prune(output_dir, LIMITS, tell)


LAID_OUT: Mapping[str, Callable[[Path], None]] = {
    "first": lambda output_dir: None,
    "save": _ordinary(3, 4),
    "again": _ordinary(4, 5),
    "again-alone": _ordinary(5),
    "save-and-prune": _ordinary(2, 3, 4),
    "rolling": _mixed,
    "promote": _mixed,
    "finish": lambda output_dir: (save(output_dir, 5, "b"), finish(output_dir, "a"))[0],
    "sweep": _leftovers,
}
"""What lies in the folder before each scenario."""
SCENARIOS: Mapping[str, Callable[[Path], object]] = {
    **dict.fromkeys(("first", "save", "again", "again-alone"), lambda output_dir: save(output_dir, 5, "b")),
    **dict.fromkeys(("save-and-prune", "rolling"), _save_and_prune),
    "promote": lambda output_dir: promote(output_dir, 4),
    "finish": lambda output_dir: finish(output_dir, "b"),
    "sweep": sweep,
}


def main(scenario: str, folder: str) -> int:
    """Play ``scenario`` in ``folder``; the exit code, as a command has it."""
    try:
        SCENARIOS[scenario](Path(folder))
    except SimpletunerError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
