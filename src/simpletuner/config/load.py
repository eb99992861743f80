"""From a selection and words to a checked run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simpletuner.config.dataset import DatasetConfig
from simpletuner.config.datasets import Dataloader, read_datasets
from simpletuner.config.environment import substitute
from simpletuner.config.fill import Source, fill
from simpletuner.config.find import Found, Selection, find_config, locate
from simpletuner.config.lenient import is_given
from simpletuner.config.lycoris import LycorisConfig, read_lycoris
from simpletuner.config.lycoris_rules import quantised_problems
from simpletuner.config.names import name_options
from simpletuner.config.option import Section
from simpletuner.config.problems import raise_all
from simpletuner.config.prompts import LibraryPrompt, read_prompts
from simpletuner.config.read import read_options
from simpletuner.config.rules import contradictions, notices
from simpletuner.config.run import SECTIONS, RunConfig
from simpletuner.config.surroundings import Surroundings
from simpletuner.core.errors import ConfigError

COMMAND_LINE = "command line"
_PROCESSES = "TRAINING_NUM_PROCESSES"
_DATALOADER = "multidatabackend.json"


@dataclass(frozen=True)
class LoadedRun:
    """Everything that the files and words of a run say, read and checked.

    ``name`` is the environment's or the example's; ``values`` are the options the user gave, unconverted, by their
    flat names; ``text_cache`` is the full path of the token cache; ``environ`` is the environment with the variables
    of the ``config.env`` files.
    """

    config: RunConfig
    datasets: tuple[DatasetConfig, ...]
    lycoris: LycorisConfig | None
    prompts: tuple[LibraryPrompt, ...]
    text_cache: Path
    name: str
    config_file: Path | None
    dataloader_file: Path
    lycoris_file: Path | None
    init_lora: Path | None
    init_lora_ema: Path | None
    notices: tuple[str, ...]
    values: Mapping[str, object]
    environ: Mapping[str, str]


@dataclass(frozen=True)
class _Given:
    """The options the user gave, and where each of them stands."""

    values: Mapping[str, Any]
    source: Source
    notices: tuple[str, ...]


def load_run(selection: Selection, overrides: Mapping[str, str], cwd: Path, environ: Mapping[str, str]) -> LoadedRun:
    """Find, read and check every file of a run; ``overrides`` are the words of the command line and win.

    Nothing is written and ``environ`` is not changed. Raises ConfigError telling all that is wrong in one file.
    """
    found = find_config(selection, cwd, environ)
    given = _gather(found, overrides)
    config = _build(given)
    dataloader_file, more = _dataloader_file(config, given.source, found, cwd)
    dataloader = read_datasets(Surroundings(dataloader_file, config, cwd, found.environ))
    _require_adapter(config, dataloader, dataloader_file)
    lycoris_file = _lycoris_file(config, found, cwd)
    library = config.validation.user_prompt_library
    return LoadedRun(
        config=config,
        datasets=dataloader.datasets,
        lycoris=_lycoris(config, lycoris_file) if lycoris_file else None,
        prompts=read_prompts(locate(library, "user_prompt_library", found, cwd)) if library else (),
        text_cache=dataloader.text_cache,
        name=found.name,
        config_file=found.file,
        dataloader_file=dataloader_file,
        lycoris_file=lycoris_file,
        init_lora=_located(config.adapter.init_lora, "init_lora", found, cwd),
        init_lora_ema=_located(config.adapter.init_lora_ema, "init_lora_ema", found, cwd),
        notices=(*given.notices, *notices(config, given.values.keys()), *more, *_data_notices(config, dataloader)),
        values=given.values,
        environ=found.environ,
    )


def _gather(found: Found, overrides: Mapping[str, str]) -> _Given:
    pairs = read_options(found.file, found.backend) if found.file else {}
    file = str(found.file or COMMAND_LINE)
    written = name_options(dict(_substituted(pairs, found.environ)), Source(file))
    words = name_options(overrides, Source(COMMAND_LINE))
    raise_all([*written.problems, *words.problems])
    values = {key: value for key, value in {**written.values, **words.values}.items() if value is not None}
    origins = dict.fromkeys(words.values, COMMAND_LINE)
    if "num_processes" not in values and is_given(found.environ.get(_PROCESSES)):
        values["num_processes"] = found.environ[_PROCESSES]
        origins["num_processes"] = f"environment variable {_PROCESSES}"
    return _Given(values, Source(file, origins=origins), written.notices + words.notices)


def _substituted(pairs: Mapping[str, Any], environ: Mapping[str, str]) -> Mapping[str, Any]:
    return {key: substitute(value, environ) for key, value in pairs.items()}


def _build(given: _Given) -> RunConfig:
    sections: dict[str, Section | None] = {}
    problems: list[ConfigError] = []
    if isinstance(given.values.get("instance_prompt"), list):
        cure = "write the list into the entries of the data sets"
        problems.append(given.source.problem("instance_prompt", "is one text here, not a list", cure))
    for name, kind in SECTIONS.items():
        sections[name], found = fill(kind, given.values, given.source)
        problems += found
    raise_all(problems)
    config = RunConfig.model_validate(sections)
    raise_all(contradictions(config, given.source))
    return config


def _dataloader_file(config: RunConfig, source: Source, found: Found, cwd: Path) -> tuple[Path, tuple[str, ...]]:
    key = "data_backend_config"
    if config.data.data_backend_config:
        return locate(config.data.data_backend_config, key, found, cwd), ()
    beside = found.folder / _DATALOADER
    if not beside.is_file():
        cure = f'add "{key}": "config/{_DATALOADER}"'
        raise source.problem(key, f"is missing, and {beside} does not exist", cure)
    return beside, (f"{key} is not given: {beside} is used",)


def _lycoris_file(config: RunConfig, found: Found, cwd: Path) -> Path | None:
    if config.model.model_type == "full" or config.adapter.lora_type != "lycoris":
        return None
    return locate(config.adapter.lycoris_config, "lycoris_config", found, cwd)


def _lycoris(config: RunConfig, file: Path) -> LycorisConfig:
    lycoris = read_lycoris(file)
    if config.precision.base_model_precision != "no_change":
        raise_all(quantised_problems(lycoris.raw, Source(str(file))))
    return lycoris


def _located(given: str | None, key: str, found: Found, cwd: Path) -> Path | None:
    return None if given is None else locate(given, key, found, cwd)


def _require_adapter(config: RunConfig, dataloader: Dataloader, file: Path) -> None:
    """Regularisation compares with the model without its adapter; when all weights train there is no such model."""
    if config.model.model_type == "full":
        for dataset in dataloader.datasets:
            if dataset.is_regularisation_data:
                raise ConfigError(
                    f"data set '{dataset.id}' is regularisation data, which needs an adapter, and model_type is full",
                    file=file,
                    key="is_regularisation_data",
                    cure="use model_type=lora, or train on it like any other with is_regularisation_data false",
                )


def _data_notices(config: RunConfig, dataloader: Dataloader) -> tuple[str, ...]:
    evaluated = [dataset.id for dataset in dataloader.datasets if dataset.dataset_type == "eval"]
    left_out = "is for evaluation, which this version does not do yet: it is left out"
    wanted = config.evaluation.eval_steps_interval or config.evaluation.eval_epoch_interval
    lonely = ("an evaluation is asked for, but no data set has dataset_type eval",) if wanted and not evaluated else ()
    return (*dataloader.notices, *(f"data set '{name}' {left_out}" for name in evaluated), *lonely)
