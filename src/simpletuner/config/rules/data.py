"""What follows from the data sets together with the options of the run, and what in them is worth a look. All pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from simpletuner.config.datasets.conditioning_rules import REFERENCES
from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.datasets.rules import reads_instance_prompt
from simpletuner.config.files.prompts import LibraryPrompt
from simpletuner.config.run import RunConfig
from simpletuner.core.errors import ConfigError

# What documents and examples print where the user's own word belongs.
_GOES_HERE = "goes here"
_TOKEN = "<token>"
_MOST = 3


def require_adapter(config: RunConfig, datasets: Iterable[DatasetConfig], file: Path) -> None:
    """Regularisation compares with the model without its adapter; when all weights train there is no such model."""
    if config.model.model_type == "full":
        for dataset in datasets:
            if dataset.is_regularisation_data:
                raise ConfigError(
                    f"data set '{dataset.id}' is regularisation data, which needs an adapter, and model_type is full",
                    file=file,
                    key="is_regularisation_data",
                    cure="use model_type=lora, or train on it like any other with is_regularisation_data false",
                )


def data_notices(config: RunConfig, given: Collection[str], datasets: Sequence[DatasetConfig]) -> Iterator[str]:
    """Options that these data sets leave without effect, and data sets that these options do.

    ``given`` are the options the user set.
    """
    yield from _evaluation_notices(config, datasets)
    types = {dataset.id: dataset.conditioning_type for dataset in datasets}
    partners = {types[name] for dataset in datasets for name in dataset.conditioning_data}
    if "masked_loss_probability" in given and "segmentation" not in partners:
        yield "not read: masked_loss_probability (no data set has masks of conditioning_type segmentation)"
    if config.validation.validation_using_datasets and partners.isdisjoint(REFERENCES):
        yield "validation_using_datasets draws nothing: no data set has references (docs/data.md)"
    used = [dataset for dataset in datasets if dataset.dataset_type == "image" and dataset.probability > 0]
    if all(dataset.is_regularisation_data for dataset in used):
        yield "every data set is regularisation data, which teaches nothing new: add one without is_regularisation_data"
    if heavy := [f"{dataset.id} ({dataset.probability:g})" for dataset in used if dataset.probability > 1]:
        yield f"probability above 1: {', '.join(heavy)}: it is a weight beside the other data sets, not a chance"


def _evaluation_notices(config: RunConfig, datasets: Iterable[DatasetConfig]) -> Iterator[str]:
    evaluated = [dataset.id for dataset in datasets if dataset.dataset_type == "eval"]
    asked = config.evaluation
    if asked.wants_loss and not evaluated:
        yield "an evaluation is asked for, but no data set has dataset_type eval"
    if asked.eval_steps_interval and asked.eval_epoch_interval and asked.wants_loss:
        yield "eval_steps_interval and eval_epoch_interval are both given: either asks for an evaluation"
    if evaluated and not asked.wants_loss:
        why = "eval_loss_disable" if asked.eval_loss_disable else "neither eval_steps_interval nor eval_epoch_interval"
        yield from (f"data set '{name}' is for evaluation, and is left out: {why} is given" for name in evaluated)
    if asked.early_stop_patience and not (asked.wants_loss and evaluated):
        yield "early_stop_patience waits for evaluations, of which there are none"


def placeholder_notices(
    config: RunConfig, datasets: Iterable[DatasetConfig], prompts: Iterable[LibraryPrompt]
) -> Iterator[str]:
    """Texts as a document prints them, where the user's own words belong."""
    trained: dict[str, list[str]] = {}
    for dataset in datasets:
        for text in filter(_is_placeholder, dataset.instance_prompt if reads_instance_prompt(dataset) else ()):
            trained.setdefault(text, []).append(dataset.id)
    for text, names in trained.items():
        yield f"worth a look: instance_prompt of {', '.join(names)} still says '{text}', and is trained as it stands"
    if config.validation.validation_disable:
        return
    drawn = {prompt.nickname: prompt.prompt for prompt in prompts}
    drawn |= {"validation_prompt": config.validation.validation_prompt or ""}
    if left := [name for name, text in drawn.items() if _is_placeholder(text)]:
        told = ", ".join(left[:_MOST]) + (f" and {len(left) - _MOST} more" if len(left) > _MOST else "")
        yield f"worth a look: prompts are drawn as they stand, with '{_example(drawn[left[0]])}' in them: {told}"


def _is_placeholder(text: str) -> bool:
    return text.strip().lower().endswith(_GOES_HERE) or _TOKEN in text


def _example(text: str) -> str:
    return _TOKEN if _TOKEN in text else text.strip()
