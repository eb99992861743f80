"""The numbers of a model card: how it was trained, how far it came, on what. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.option import spelled
from simpletuner.config.rules.together import scheduler_in_force
from simpletuner.config.sections.optimizer import clipping_threshold
from simpletuner.observe.publish.facts import Facts

_METRICS = {
    "train_loss": "loss, smoothed over the last updates",
    "loss/explained": "share of the target's variance that is explained (1 is all of it)",
    "loss/linear_reference": "loss of the best linear denoiser of these pictures",
    "clip/mean": "CLIP score of the pictures, mean",
    "clip/min": "CLIP score, lowest",
    "clip/max": "CLIP score, highest",
    "clip/std": "CLIP score, standard deviation",
}
_EVALUATED = "loss/val/"


def setting_lines(facts: Facts) -> Iterator[str]:
    """A list of what was set, and the adapter's configuration as JSON."""
    config = facts.loaded.config
    rate, length = config.optimizer, config.length
    whole = length.train_batch_size * length.gradient_accumulation_steps * facts.processes
    yield f"- steps: {facts.step}, whole epochs: {facts.epoch}"
    yield f"- learning rate {rate.learning_rate:g}, {scheduler_in_force(rate)}, {rate.lr_warmup_steps} warm-up steps"
    yield f"- gradients clipped by {rate.grad_clip_method} at {clipping_threshold(rate):g}"
    sliced = f"batch {length.train_batch_size}, accumulation {length.gradient_accumulation_steps}"
    yield f"- pictures an update: {whole} ({sliced}, processes {facts.processes})"
    yield f"- gradient checkpointing: {spelled(config.memory.gradient_checkpointing)}"
    yield f"- prediction: flow matching (velocity), loss {config.objective.loss_type}"
    yield f"- optimizer {rate.optimizer}{_told(rate.optimizer_config)}"
    yield f"- mixed precision {config.model.mixed_precision}, base {config.precision.base_model_precision}"
    yield f"- captions dropped: {config.data.caption_dropout_probability:.1%}"
    yield from _adapter(facts)


def _told(settings: str | None) -> str:
    return f" ({settings})" if settings else ""


def _adapter(facts: Facts) -> Iterator[str]:
    ours = facts.loaded.config.adapter
    if facts.kind == "lora":
        alpha = ours.lora_rank if ours.lora_alpha is None else ours.lora_alpha
        yield f"- LoRA: rank {ours.lora_rank}, alpha {alpha:g}, dropout {ours.lora_dropout:g}"
    lycoris = facts.loaded.lycoris
    if facts.kind == "lycoris" and lycoris is not None:
        yield from ("", "The adapter:", "", "```json", json.dumps(lycoris.raw, indent=2), "```")


def metric_lines(facts: Facts) -> Iterator[str]:
    """A table of the last values; a sentence where there are none."""
    rows = [(words, facts.metrics[name]) for name, words in _METRICS.items() if name in facts.metrics]
    evaluated = sorted(name for name in facts.metrics if name.startswith(_EVALUATED) and not name.endswith("/se"))
    for name in evaluated:
        error = facts.metrics.get(f"{name}/se")
        rows.append((f"{name}{f' (standard error {error:.4f})' if error is not None else ''}", facts.metrics[name]))
    if not rows:
        yield "No update was recorded."
        return
    yield from ("| | |", "| --- | --- |")
    yield from (f"| {words} | {value:.4f} |" for words, value in rows)


def dataset_lines(facts: Facts) -> Iterator[str]:
    """Each data set, with what became of its pictures."""
    for dataset in facts.loaded.datasets:
        found = facts.report.get(dataset.id, {})
        yield f"### {dataset.id}"
        yield ""
        yield from _counts(dataset, found)
        yield f"- resolution: {dataset.resolution:g} ({dataset.resolution_type})"
        crop = f"{dataset.crop_aspect}, {dataset.crop_style}" if dataset.crop else "no"
        yield f"- cropped: {crop}"
        yield f"- regularisation data: {'yes' if dataset.is_regularisation_data else 'no'}"
        yield from _schedule(dataset, found, facts)
        yield ""


def _counts(dataset: DatasetConfig, found: Mapping[str, Any]) -> Iterator[str]:
    kind = f", {dataset.dataset_type}" if dataset.dataset_type != "image" else ""
    yield f"- pictures: {found.get('used', 'unknown')}, repeats: {dataset.repeats}{kind}"
    yield f"- buckets: {len(found.get('buckets', {}))}"


def _schedule(dataset: DatasetConfig, found: Mapping[str, Any], facts: Facts) -> Iterator[str]:
    """When it was used: after ``start_step`` updates, from ``start_epoch`` on."""
    starts_late = dataset.start_step > 1 or dataset.start_epoch > 1
    # The epoch of the last update, from 1.
    epoch = facts.metrics.get("epoch", max(facts.epoch, 1))
    if starts_late and (dataset.start_step >= facts.step or dataset.start_epoch > epoch):
        yield "- not used: the run ended before its start"
    elif dataset.dataset_type == "image" and dataset.probability > 0 and found.get("batches") == 0:
        yield "- not used: no update of the run fell to it"
    elif starts_late:
        first = dataset.start_step + 1 if dataset.start_step > 1 else 1
        yield f"- used from step {first}, epoch {max(dataset.start_epoch, 1)}"
