"""Publishing: what a run uploads, when, and how it ends where that fails."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from simpletuner.assemble.outgoing import bundle_of, hub_job, store_job
from simpletuner.assemble.stage import Stage
from simpletuner.assemble.stopping import Stopping
from simpletuner.assemble.training.actions import Intervals
from simpletuner.assemble.training.output import HUB
from simpletuner.config.files.destinations import Destination
from simpletuner.config.load import LoadedRun
from simpletuner.config.rules.publishing import repository
from simpletuner.core.checkpoints import checkpoint_name
from simpletuner.core.errors import ConfigError, PublishError
from simpletuner.core.events import Notice, Publishing
from simpletuner.core.files import remove_folder
from simpletuner.core.progress import Progress
from simpletuner.observe.publish.bundle import lay_out
from simpletuner.observe.publish.courier import Courier, Parcel
from simpletuner.observe.publish.job import Answer, Job, hub_command
from simpletuner.observe.publish.shareable import scrub_of
from simpletuner.training.parallel.base import Parallel

_PACKAGES = {"s3": "s3fs", "backblaze_b2": "s3fs", "azure_blob": "adlfs", "dropbox": "dropboxdrivefs"}
_STAGED = ".hub-"


def require_publishable(stage: Stage) -> str:
    """The repository of the run with its owner; empty where nothing goes to the hub. Called before anything trains.

    Raises ConfigError when nobody is logged in, the token may not write, or a package is missing.
    """
    return stage.processes.of_first(lambda: _checked(stage))


def _checked(stage: Stage) -> str:
    for destination in stage.loaded.destinations:
        _require_package(destination)
    config = stage.loaded.config
    if not config.publishing.push_to_hub:
        return ""
    name = repository(config)
    courier = _courier(stage.loaded)
    try:
        answer = courier.wait(courier.send(Job("login", name)), lambda: False)
    finally:
        courier.close()
    assert answer is not None
    if answer.outcome == "unreachable":
        told = f"the hub cannot be reached now ({answer.reason}); the upload is tried all the same when its time comes"
        stage.emit(Notice(told, level="warning"))
        return name
    if answer.outcome != "done":
        cure = {"offline": "unset HF_HUB_OFFLINE"}.get(answer.outcome, "hf auth login, with a token that may write")
        raise ConfigError(answer.reason, key="push_to_hub", cure=f"{cure}; or push_to_hub=false")
    return name if "/" in name or not answer.where else f"{answer.where}/{name}"


def _require_package(destination: Destination) -> None:
    package = _PACKAGES[destination.provider]
    if importlib.util.find_spec(package) is None:
        reason = f"{destination.provider} needs the package {package}, which is not installed"
        raise ConfigError(reason, key="publishing_config", cure=f"pip install {package}, into the same environment")


def _courier(loaded: LoadedRun) -> Courier:
    return Courier(loaded.environ, scrub_of(loaded))


@dataclass
class Publisher:
    """Uploads checkpoints between updates, and the result at the end. The first process does it, the others wait.

    ``target`` is the repository, empty where nothing goes to the hub; ``intervals`` are those of checkpoints.
    """

    stage: Stage
    target: str
    intervals: Intervals
    parallel: Parallel
    stopping: Stopping
    _courier: Courier | None = None
    _pending: list[tuple[int, Path, Parcel]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Remove what a killed run had laid out."""
        if self.parallel.is_first and self.stage.output_dir.is_dir():
            for staged in self.stage.output_dir.glob(f"{_STAGED}*"):
                remove_folder(staged)

    def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
        """Upload the checkpoint of this update, where there is one and that is asked for."""
        self._collect()
        config = self.stage.loaded.config.publishing
        due = config.push_checkpoints_to_hub and self.intervals.is_due(progress, epoch_ended=epoch_ended)
        if not due:
            return
        with self.parallel.together():
            if self.parallel.is_first:
                self._push_checkpoint(progress, waits=not config.push_to_hub_background)
        self._collect()

    def at_end(self, progress: Progress) -> None:
        """Upload the finished result everywhere. Raises PublishError where that fails: the result is whole here.

        Raises Interrupted or Terminated when the run is asked to stop meanwhile.
        """
        if not self.target and not self.stage.loaded.destinations:
            return
        with self.parallel.together():
            if self.parallel.is_first:
                self._publish(progress)

    def close(self) -> None:
        """End what is under way."""
        if self._courier is not None:
            self._courier.close()
            self._collect()

    def _send(self, job: Job, *, is_last: bool = False) -> Parcel:
        self._courier = self._courier or _courier(self.stage.loaded)
        return self._courier.send(job, is_last=is_last)

    def _wait(self, parcel: Parcel) -> Answer | None:
        assert self._courier is not None
        return self._courier.wait(parcel, lambda: self.stopping.asked)

    def _push_checkpoint(self, progress: Progress, *, waits: bool) -> None:
        """The checkpoint is linked aside first, so that it may be removed while it is uploaded."""
        path = self.stage.output_dir / checkpoint_name(progress.step)
        if not path.is_dir():
            return
        folder = self.stage.output_dir / f"{_STAGED}{progress.step}"
        try:
            lay_out(bundle_of(self.stage, self.target, path, progress), folder, ("", path.name))
        except OSError as error:
            self._warn(progress.step, str(error))
            return
        parcel = self._send(hub_job(self.stage, self.target, folder, progress))
        self._pending.append((progress.step, folder, parcel))
        self._tell(progress.step, "uploading_model", path)
        if waits:
            self._wait(parcel)

    def _collect(self) -> None:
        """Tell of checkpoints whose upload is over, and forget their links."""
        for step, folder, parcel in [entry for entry in self._pending if entry[2].is_over.is_set()]:
            self._pending.remove((step, folder, parcel))
            remove_folder(folder)
            answer = parcel.answer
            if answer is not None and answer.outcome == "done":
                self._tell(step, "model_available", self.stage.output_dir / checkpoint_name(step), answer.where)
                self._available(f"{checkpoint_name(step)} is at {answer.where}", answer)
            elif answer is not None:
                self._warn(step, answer.reason)

    def _warn(self, step: int, reason: str) -> None:
        told = f"{checkpoint_name(step)} was not uploaded: {reason}; training goes on"
        self.stage.emit(Notice(told, level="warning"))

    def _tell(self, step: int, status: str, folder: Path, where: str = "") -> None:
        place = where or f"{self.target}"
        self.stage.emit(Publishing(step, status, folder, place, self.target))

    def _publish(self, progress: Progress) -> None:
        failures = [*self._publish_to_hub(progress), *self._publish_to_stores(progress)]
        if failures:
            reasons, cures = zip(*failures, strict=True)
            whole = f"the result is whole in {self.stage.output_dir}, and could not be uploaded: {'; '.join(reasons)}"
            raise PublishError(whole, cure="; ".join(dict.fromkeys(cures)))

    def _publish_to_hub(self, progress: Progress) -> Iterator[tuple[str, str]]:
        """Upload the result; the reason and the cure where it failed."""
        if not self.target:
            return
        folder = self.stage.output_dir / HUB
        command = hub_command(self.target, folder, private=self.stage.loaded.config.publishing.model_card_private)
        bundle = bundle_of(self.stage, self.target, self.stage.output_dir, progress)
        with_checkpoint = self.stage.loaded.config.publishing.push_checkpoints_to_hub
        lay_out(bundle, folder, ("", checkpoint_name(progress.step)) if with_checkpoint else ("",))
        parcel = self._send(hub_job(self.stage, self.target, folder, progress), is_last=True)
        self._tell(progress.step, "uploading_model", folder)
        if bundle.pictures:
            self._tell(progress.step, "uploading_validation_samples", folder)
        answer = self._outcome(parcel, command)
        self._collect()
        if answer.outcome != "done":
            yield f"{self.target}: {answer.reason}", command
            return
        self._tell(progress.step, "model_available", folder, answer.where)
        self._available(f"the result is at {answer.where}", answer)

    def _available(self, told: str, answer: Answer) -> None:
        self.stage.emit(Notice(told))
        if answer.reason:
            self.stage.emit(Notice(answer.reason, level="warning"))

    def _outcome(self, parcel: Parcel, command: str) -> Answer:
        answer = self._wait(parcel)
        if answer is None:
            self.close()
            told = f"stopped while uploading; the result is whole in {self.stage.output_dir}"
            raise self.stopping.ending(f"{told}\n  to upload it: {command}")
        return answer

    def _publish_to_stores(self, progress: Progress) -> Iterator[tuple[str, str]]:
        again = "start the same command again: it trains nothing more, and uploads"
        for destination in self.stage.loaded.destinations:
            self.stage.emit(Publishing(progress.step, "uploading_model", self.stage.output_dir, destination.where))
            answer = self._outcome(self._send(store_job(self.stage, destination), is_last=True), again)
            if answer.outcome != "done":
                yield f"{destination.where}: {answer.reason}", again
                continue
            where = destination.shown_as("")
            self.stage.emit(Publishing(progress.step, "model_available", self.stage.output_dir, where))
            self.stage.emit(Notice(f"the result is at {where}"))
