"""What can be wrong in the options of checkpoints together, and what is worth a line. All pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from simpletuner.config.reading.fill import Source
from simpletuner.config.reading.scripts import script_problem
from simpletuner.config.run import RunConfig
from simpletuner.core.checkpoints import list_checkpoints
from simpletuner.core.disk import as_bytes, free_bytes, shown_bytes
from simpletuner.core.errors import ConfigError

_WHEN_LOW = {"stop": "the run ends there", "wait": "the run waits there", "script": "disk_low_script is run"}


def checkpoint_problems(config: RunConfig, source: Source) -> Iterator[ConfigError]:
    """A threshold that is no size, an action without its script, a command that cannot be started."""
    ours = config.checkpoints
    try:
        as_bytes(ours.disk_low_threshold or "0")
    except ValueError as error:
        yield source.problem("disk_low_threshold", str(error), 'write for instance "20G"')
    if ours.disk_low_action == "script" and not ours.disk_low_script:
        yield source.problem("disk_low_script", "is missing, and disk_low_action is script", "name a command")
    if ours.disk_low_script and "{" in ours.disk_low_script:
        yield source.problem("disk_low_script", "has no placeholders", "write the words out")
    given = {"disk_low_script": ours.disk_low_script, "post_checkpoint_script": ours.post_checkpoint_script}
    for key, script in given.items():
        if script and (found := script_problem(script)):
            yield source.problem(key, *found)


def resume_problems(config: RunConfig, source: Source, cwd: Path, *, has_stores: bool) -> Iterator[ConfigError]:
    """A checkpoint that is named and not there. What may lie in a store, only a run can say (``has_stores``)."""
    asked = config.checkpoints.resume_from_checkpoint
    if not asked or asked == "latest" or "://" in asked or ("/" in asked and has_stores):
        return
    # Only the first machine reads it, and the others may not see its disk.
    if config.machine.machine_rank == 0 and named_folder(cwd / config.report.output_dir, asked, cwd) is None:
        yield source.problem("resume_from_checkpoint", *absent(cwd / config.report.output_dir, asked))


def named_folder(output_dir: Path, asked: str, cwd: Path) -> Path | None:
    """The folder that ``resume_from_checkpoint`` names: in ``output_dir``, else below ``cwd``. None: there is none."""
    return next((path for path in (output_dir / asked, cwd / Path(asked).expanduser()) if path.is_dir()), None)


def absent(output_dir: Path, asked: str) -> tuple[str, str]:
    """The reason and the cure where there is no such folder."""
    names = ", ".join(checkpoint.path.name for checkpoint in list_checkpoints(output_dir)) or "none"
    return f"there is no checkpoint '{asked}'", f"latest, or one of those present in {output_dir}: {names}"


def space_notices(config: RunConfig, cwd: Path) -> Iterator[str]:
    """A threshold of free space that the disk of ``output_dir`` is below already."""
    ours = config.checkpoints
    output = cwd / config.report.output_dir
    wanted, free = as_bytes(ours.disk_low_threshold or "0"), _free(output)
    if free is not None and free < wanted:
        then = f"at the first save {_WHEN_LOW[ours.disk_low_action]}"
        yield f"disk_low_threshold {ours.disk_low_threshold}: {shown_bytes(free)} are free for {output}: {then}"


def _free(folder: Path) -> int | None:
    place = next(path for path in (folder, *folder.parents) if path.is_dir())
    try:
        return free_bytes(place)
    except OSError:
        return None


def checkpoint_notices(config: RunConfig, given: Collection[str]) -> Iterator[str]:
    """Limits that are not taken literally, and options that the others leave without a reader."""
    ours = config.checkpoints
    if ours.checkpoints_total_limit == 1:
        yield "checkpoints_total_limit 1: the newest two checkpoints always stay, should one turn out unreadable"
    if ours.disk_low_threshold is None:
        idle = [key for key in ("disk_low_action", "disk_low_script") if key in given]
        if idle:
            yield f"not read: {', '.join(idle)} (disk_low_threshold is not given)"
    if not ours.checkpointing_rolling_steps and "checkpoints_rolling_total_limit" in given:
        yield "not read: checkpoints_rolling_total_limit (checkpointing_rolling_steps is 0)"
