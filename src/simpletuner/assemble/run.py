"""A whole run, in the order a person would tell it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from simpletuner.assemble.mishaps import mishaps_named
from simpletuner.assemble.parts import Parts, build_parts
from simpletuner.assemble.publishing import Publisher, require_publishable
from simpletuner.assemble.rank_zero import checkpoint_of_first, one_voice
from simpletuner.assemble.seeing.evaluation import announce_references
from simpletuner.assemble.stage import Stage, find_processes, pinned, set_stage
from simpletuner.assemble.stopping import Phase, StopAction, Stopping
from simpletuner.assemble.training.fetching import resumed_from
from simpletuner.assemble.training.network import coverage_lines
from simpletuner.assemble.training.output import choose_checkpoint, leave_branch, occupied, start_over
from simpletuner.assemble.training.recovery import Journey
from simpletuner.assemble.training.resume import saved_commit, saved_seed
from simpletuner.assemble.training.script import checkpoint_script, upload_script
from simpletuner.config.load import LoadedRun
from simpletuner.config.rules.together import trackers
from simpletuner.core.checkpoints import Checkpoint, written_result
from simpletuner.core.endings import OnError
from simpletuner.core.errors import Interrupted, SimpletunerError, Terminated
from simpletuner.core.events import CheckpointSaved, Emit, Event, RunEnded, RunStarted, StepDone
from simpletuner.core.foot import Foot
from simpletuner.core.stages import told_stage
from simpletuner.observe.build import Terminal, build_console, build_listeners, tracker_listeners
from simpletuner.observe.fan_out import FanOut, Listener
from simpletuner.observe.trackers.installed import require_trackers
from simpletuner.observe.webhook.listener import webhook_listeners
from simpletuner.training.loop import Course
from simpletuner.training.parallel.base import Parallel
from simpletuner.training.parallel.processes import Processes


def run(loaded: LoadedRun, *, fresh: bool, delete: bool, confirm: Callable[[str], bool]) -> None:
    """Train what ``loaded`` describes, from caching to the final file.

    ``fresh`` moves an earlier run in the output folder aside, after ``confirm``; ``delete`` lets data sets that ask for
    it delete pictures that cannot be used. Raises SimpletunerError for everything that a user can act on.
    """
    report = loaded.config.report
    require_trackers(trackers(report.report_to), loaded.environ, Path.cwd())
    processes = find_processes(loaded)
    output_dir = Path(report.output_dir)
    with one_voice(processes), occupied(output_dir, _say) if processes.is_first else nullcontext():
        chosen = checkpoint_of_first(processes, lambda: _chosen(loaded, confirm if fresh else None))
        _run(loaded, processes, chosen, delete=delete)


def _chosen(loaded: LoadedRun, confirm: Callable[[str], bool] | None) -> Checkpoint | None:
    """The checkpoint to go on from, in a folder that is ready; with ``confirm`` an earlier run is moved aside."""
    output_dir = Path(loaded.config.report.output_dir)
    if confirm is not None:
        start_over(output_dir, confirm)
    asked = resumed_from(loaded, _say)
    damaged = loaded.config.checkpoints.delete_invalid_checkpoints
    return choose_checkpoint(output_dir, asked, _say, delete_damaged=damaged)


def _say(event: Event) -> None:
    """Before there are listeners: metrics.jsonl has to know the step resumed from."""
    console = FanOut([build_console()])
    console(event)
    console.close()


def _run(loaded: LoadedRun, processes: Processes, chosen: Checkpoint | None, *, delete: bool) -> None:
    """The run itself, told to the listeners of the first process."""
    report, first_step = loaded.config.report, chosen.step if chosen else 0
    output_dir = Path(report.output_dir)
    listeners, foot = FanOut([]), Foot()
    if processes.is_first:
        names = trackers(report.report_to)
        more = [*tracker_listeners(loaded, first_step), *_more_listeners(loaded)]
        listeners = build_listeners(
            names, output_dir, report.logging_dir, first_step, more=more, terminal=Terminal(foot=foot)
        )
    heard = _Heard(listeners, first_step)
    stopping = Stopping(foot)
    with closing(listeners), OnError(heard.failed):
        with stopping.listening(), mishaps_named(loaded.config):
            stage = set_stage(loaded, saved_seed(chosen), heard, processes)
            _train(replace(stage, emit=stopping.ear(stage.emit)), chosen, stopping, delete=delete)
        heard.ended("completed")


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, SimpletunerError) else f"{type(error).__name__}: {error}"


def _more_listeners(loaded: LoadedRun) -> list[Listener]:
    """The user's script and receivers."""
    scripts, report = (checkpoint_script(loaded.config), upload_script(loaded.config)), loaded.config.report
    prefix = f"{report.tracker_project_name} {report.tracker_run_name}"
    return [*(script for script in scripts if script), *webhook_listeners(loaded.webhooks, prefix, loaded.environ)]


class _Heard:
    """Passes events on and remembers the last step, so that a run that ends early can say where."""

    def __init__(self, emit: Emit, first_step: int) -> None:
        self._emit = emit
        self._began = time.monotonic()
        self.step = first_step

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepDone):
            self.step = event.step
        self._emit(event)

    def ended(self, status: str, message: str = "", trace: str = "") -> None:
        """Tell that the run is over."""
        self._emit(RunEnded(self.step, status, time.monotonic() - self._began, message, trace))

    def failed(self, error: BaseException) -> None:
        """Tell what ended it. A bug of ours, too: whoever watches from elsewhere learns that nothing goes on."""
        if isinstance(error, Interrupted | Terminated):
            self.ended("interrupted", str(error))
        elif isinstance(error, Exception):
            self.ended("failed", _told(error), "".join(traceback.format_exception(error)))


def _train(stage: Stage, chosen: Checkpoint | None, stopping: Stopping, *, delete: bool) -> None:
    """Everything between the checks and the end."""
    repository = require_publishable(stage)
    with stopping.anywhere():
        stage = pinned(stage, saved_commit(chosen))
    parts = build_parts(stage, chosen, stopping, delete=delete)
    start, together = parts.start, parts.engine.parallel
    if chosen:
        _leave(stage, chosen, together)
    publisher = Publisher(stage, repository, parts.checkpoints.intervals, together, stopping)
    _announce(stage, parts)
    parts.validator.before_training(start)
    announce_references(stage, parts.engine, parts.data)
    parts.evaluator.before_training(start)
    stop = StopAction(stopping, together)
    stopping.phase, stopping.together = Phase.TRAINING, together.count > 1
    with closing(parts.data), OnError(lambda _: publisher.close()):
        journey = Journey(parts.engine, _course(stage, parts, chosen), parts.checkpoints, stopping, parts.evaluator)
        actions = (parts.checkpoints, stop, parts.evaluator, parts.validator, publisher, parts.early)
        end = parts.early.travelled(start, partial(journey.travel, start, actions))
    stopping.phase = Phase.FINISHING
    parts.checkpoints.save(end)
    with told_stage(stage.emit, "model_save"):
        parts.saver.finish(lambda: written_result(stage.output_dir), end)
        stage.emit(CheckpointSaved(end.step, stage.output_dir, is_final=True))
    stop.after_update(end, epoch_ended=False)
    parts.validator.at_end(end)
    stop.after_update(end, epoch_ended=False)
    stopping.phase = Phase.PUBLISHING
    publisher.at_end(end)


def _leave(stage: Stage, chosen: Checkpoint, together: Parallel) -> None:
    """What lies after a named checkpoint is moved aside once nothing refuses to go on from it."""
    if stage.loaded.config.checkpoints.resume_from_checkpoint == "latest":
        return
    with together.together():
        if together.is_first:
            leave_branch(stage.output_dir, chosen.step, stage.emit)


def _announce(stage: Stage, parts: Parts) -> None:
    length, start = parts.length, parts.start
    lines = coverage_lines(parts.model, stage.family.linears(parts.model.denoiser))
    told = (*lines, f"{length.updates_per_epoch} updates an epoch, {length.steps} in all")
    begun = start.epoch + bool(start.epoch_step)
    name, folder = stage.loaded.name, stage.output_dir
    stage.emit(RunStarted(name, folder, start.step, length.steps, length.epochs, told, begun))


def _course(stage: Stage, parts: Parts, chosen: Checkpoint | None) -> Course:
    return Course(
        plan=parts.data.plan,
        max_steps=parts.length.steps,
        first_step=parts.start.step,
        resumed_from=chosen.path.name if chosen else None,
        skips=stage.loaded.config.optimizer.skip_non_finite_updates,
    )
