"""Events as the JSON of a raw webhook: SPEC 7.3 to 7.5 and 5.9. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from simpletuner.core.events import (
    CheckpointSaved,
    Evaluated,
    Event,
    ImagesRendered,
    Notice,
    PreviewDrawn,
    Publishing,
    RunEnded,
    RunStarted,
    StageChanged,
    StageProgress,
    StepDone,
)
from simpletuner.observe.webhook.message import Around, Message, Pixels

_LABELS = {
    "init_load_base_model": "Loading base model",
    "init_data_backend": "Configuring data backends",
    "init_prepare_models": "Preparing model components",
    "init_resume_checkpoint": "Resume Checkpoint",
    "benchmark_base_model": "Benchmarking base model",
    "validation": "Running Validation",
    "checkpoint_save": "Saving Checkpoint",
    "final_validation": "Running Final Validations",
    "model_save": "Saving Final Model",
    "training_complete": "Training Complete",
    "training_abort": "Training Aborted",
}
_SEVERITIES = {"completed": "success", "interrupted": "warning", "failed": "error"}
_STATUS = "training.status"


def raw_messages(event: Event, around: Around) -> Iterator[Message]:
    """The messages of ``event``, in the order they are sent."""
    match event:
        case StepDone():
            yield _status(around, "running", event.step, _steps(event, around), replaces="step")
        case StageProgress() if event.total != 1:
            yield _counted(event, around)
        case StageChanged():
            yield _stage(around, event.stage, event.label, event.status)
        case PreviewDrawn():
            yield _preview(event, around)
        case ImagesRendered():
            yield from _pictures(event, around)
        case Evaluated():
            yield _evaluated(event, around)
        case _:
            yield from _words(event, around)


def _words(event: Event, around: Around) -> Iterator[Message]:
    match event:
        case Notice():
            yield _notice(event, around)
        case RunStarted():
            yield from _started(event, around)
        case CheckpointSaved():
            yield from _saved(event, around)
        case Publishing():
            yield _status(around, event.status, event.step, {"message": f"{event.status}: {event.where}"})
        case RunEnded():
            yield from _ended(event, around)


def _message(around: Around, kind: str, fields: Mapping[str, Any], severity: str = "info", **more: Any) -> Message:
    """A message with the fields that all have (SPEC 7.3)."""
    common = {"type": kind, "severity": severity, "job_id": around.job_id, "timestamp": around.at.isoformat()}
    level = "info" if severity == "success" else severity
    return Message({**common, **fields}, level=level, **more)


def _status(
    around: Around, status: str, step: int, more: Mapping[str, Any] | None = None, *, replaces: str = ""
) -> Message:
    training = around.story.training
    epoch = training.epoch if training else 0
    data = {"status": status, "global_step": step, "epoch": epoch, "total_steps": training.max_steps if training else 0}
    fields = {"title": f"Training: {status}", "message": f"step {step}: {status}", "data": data, **(more or {})}
    return _message(around, _STATUS, fields, _SEVERITIES.get(status, "info"), replaces=replaces)


def _steps(event: StepDone, around: Around) -> dict[str, Any]:
    training = around.story.training
    metrics = {
        "loss": event.loss,
        "learning_rate": event.learning_rate,
        "epoch": event.epoch,
        "effective_batch_size": event.samples,
        "total_batch_size": event.samples,
        "step_seconds": event.step_seconds,
        **event.metrics,
    }
    if "regularisation_loss" in event.metrics:
        metrics["parent_loss"] = event.metrics["regularisation_loss"]
    left = training.seconds_left if training else math.nan
    label = f"step {event.step}/{event.max_steps}"
    return {"message": label, "progress": _progress(label, event.step, event.max_steps, left, metrics)}


def _progress(
    label: str, current: int, total: int, seconds_left: float, metrics: Mapping[str, float] | None = None
) -> dict[str, Any]:
    told = {
        "label": label,
        "current": current,
        "total": total,
        "percent": round(100 * current / total if total else 100),
    }
    eta = round(seconds_left, 1) if math.isfinite(seconds_left) else None
    return {**told, "eta_seconds": eta, **({"metrics": _numbers(metrics)} if metrics else {})}


def _numbers(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """JSON knows neither NaN nor infinity."""
    return {key: value if math.isfinite(value) else None for key, value in metrics.items()}


def _stage(
    around: Around, key: str, label: str, status: str, progress: Mapping[str, Any] | None = None, *, replaces: str = ""
) -> Message:
    label = _LABELS.get(key, label)
    stage = {"key": key, "label": label, "status": status, **({"progress": progress} if progress else {})}
    severity = "error" if status == "failed" else "info"
    return _message(
        around, "lifecycle.stage", {"stage": stage, "message": f"{label}: {status}"}, severity, replaces=replaces
    )


def _counted(event: StageProgress, around: Around) -> Message:
    stage = around.story.stages.get(event.stage)
    left = math.nan
    if stage and event.done > 0:
        left = (around.now - stage.began) / event.done * (event.total - event.done)
    # A stage that was told to have begun says itself when it is over: its last count may be one of several.
    is_over = event.done >= event.total and event.stage not in around.story.begun
    status = "completed" if is_over else "running"
    progress = _progress(event.label, event.done, event.total, left)
    return _stage(around, event.stage, event.label, status, progress, replaces=f"stage {event.stage}")


def _notice(event: Notice, around: Around) -> Message:
    if event.level in ("error", "critical"):
        return _message(around, "error", {"title": "Error", "message": event.text}, event.level)
    title = "Warning" if event.level == "warning" else "Notice"
    return _message(around, "notification", {"title": title, "message": event.text}, event.level)


def _started(event: RunStarted, around: Around) -> Iterator[Message]:
    data = {"name": event.name, "output_dir": str(event.output_dir), "lines": list(event.lines)}
    told = f"{event.name}: step {event.first_step} of {event.max_steps}"
    yield _message(around, "notification", {"title": "Job started", "message": told, "data": data})
    progress = _progress("starting", event.first_step, event.max_steps, math.nan)
    yield _status(around, "starting", event.first_step, {"progress": progress})


def _saved(event: CheckpointSaved, around: Around) -> Iterator[Message]:
    checkpoint = {"path": str(event.path), "label": event.path.name, "is_final": event.is_final}
    told = "final result saved" if event.is_final else f"checkpoint saved: {event.path.name}"
    fields = {"checkpoint": checkpoint, "message": told, "data": {"global_step": event.step}}
    yield _message(around, "training.checkpoint", fields, "success")


def _pictures(event: ImagesRendered, around: Around) -> Iterator[Message]:
    by_prompt = groupby(event.pictures, key=lambda picture: (picture.nickname, picture.prompt))
    for (nickname, prompt), found in by_prompt:
        pictures = tuple(found)
        data = {
            "global_step": event.step,
            "validation_type": "base_model" if event.kind == "benchmark" else event.kind,
            "prompt": prompt,
            "nickname": nickname,
            "resolutions": [[picture.width, picture.height] for picture in pictures],
        }
        scores = [picture.score for picture in pictures if picture.score is not None]
        data |= {"clip_score": scores[-1]} if scores else {}
        fields = {"title": "Validation", "message": f"Validation: {nickname}", "body": prompt, "data": data}
        drawings = tuple(picture.path for picture in pictures)
        yield _message(around, "training.validation", fields, drawings=drawings)


def _preview(event: PreviewDrawn, around: Around) -> Message:
    step_label = f"{event.sampling_step}/{event.sampling_steps}"
    told = f"Validation preview {step_label}: {event.nickname}" + (f" ({event.panel})" if event.panel else "")
    data = {
        "step": event.sampling_step,
        "timestep": event.timestep,
        "resolution": [event.width, event.height],
        "validation_type": event.kind,
        "prompt": event.prompt,
        "step_label": step_label,
        "global_step": event.step,
        "nickname": event.nickname,
        "panel": event.panel,
    }
    drawings = (Pixels(event.width, event.height, event.rgb),)
    fields = {"title": told, "message": told, "body": event.prompt, "data": data}
    return _message(around, "validation.image", fields, drawings=drawings, is_preview=True)


def _evaluated(event: Evaluated, around: Around) -> Message:
    data = {"status": "evaluated", "global_step": event.step, "epoch": event.epoch, "metrics": _numbers(event.metrics)}
    return _message(around, _STATUS, {"title": "Evaluation", "message": f"step {event.step}: evaluated", "data": data})


def _ended(event: RunEnded, around: Around) -> Iterator[Message]:
    is_whole = event.status == "completed"
    yield _stage(around, "training_complete" if is_whole else "training_abort", "", "completed")
    more = {"message": event.message} if event.message else {}
    yield _status(around, event.status, event.step, more)
    if event.status == "failed":
        data = {"traceback": event.trace} if event.trace else {}
        yield _message(around, "error", {"title": "Error", "message": event.message, "data": data}, "error")
