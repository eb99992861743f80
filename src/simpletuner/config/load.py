"""From a selection and words to a checked run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.datasets.file import Dataloader, read_datasets
from simpletuner.config.datasets.surroundings import Surroundings
from simpletuner.config.files.adapter import require_kind
from simpletuner.config.files.deepspeed import ZeroConfig, read_zero
from simpletuner.config.files.destinations import Destination, read_destinations
from simpletuner.config.files.lycoris import LycorisConfig, read_lycoris
from simpletuner.config.files.lycoris_rules import quantised_problems
from simpletuner.config.files.prompts import LibraryPrompt, read_prompts
from simpletuner.config.files.webhooks import Webhook, read_webhooks
from simpletuner.config.option import Section
from simpletuner.config.problems import raise_all
from simpletuner.config.reading.environment import substitute
from simpletuner.config.reading.fill import Source, fill
from simpletuner.config.reading.find import Found, Selection, find_config, locate
from simpletuner.config.reading.launch import launch_values
from simpletuner.config.reading.names import name_options
from simpletuner.config.reading.read import read_options
from simpletuner.config.reading.variables import variable_notices
from simpletuner.config.rules.checkpoints import resume_problems, space_notices
from simpletuner.config.rules.data import data_notices, placeholder_notices, require_adapter
from simpletuner.config.rules.folders import held_out_problems, output_problems
from simpletuner.config.rules.together import contradictions, notices
from simpletuner.config.rules.validation import preview_notices, validation_notices
from simpletuner.config.run import SECTIONS, RunConfig
from simpletuner.core.errors import ConfigError

COMMAND_LINE = "command line"
_DATALOADER = "multidatabackend.json"


@dataclass(frozen=True)
class LoadedRun:
    """Everything that the files and words of a run say, read and checked.

    ``name`` is the environment's or the example's; ``values`` are the options the user gave, unconverted, by their
    flat names; ``inputs`` are the input pictures of validation; ``text_cache`` is the full path of the token cache;
    ``zero`` is what DeepSpeed shares out;
    ``environ`` is the environment with the variables of the ``config.env`` files; ``origins`` says where options stand
    that are not in ``config_file``.
    """

    config: RunConfig
    datasets: tuple[DatasetConfig, ...]
    lycoris: LycorisConfig | None
    prompts: tuple[LibraryPrompt, ...]
    inputs: tuple[Path, ...]
    text_cache: Path
    webhooks: tuple[Webhook, ...]
    destinations: tuple[Destination, ...]
    zero: ZeroConfig | None
    name: str
    config_file: Path | None
    dataloader_file: Path
    lycoris_file: Path | None
    init_lora: Path | None
    init_lora_ema: Path | None
    notices: tuple[str, ...]
    values: Mapping[str, object]
    environ: Mapping[str, str]
    origins: Mapping[str, str] = field(default_factory=dict)

    def place_of(self, key: str | None) -> Path | str:
        """Where an option stands, for messages: the command line, a variable, or the configuration's file."""
        return self.origins.get(key or "") or self.config_file or COMMAND_LINE


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
    found = replace(found, origins=given.source.origins)
    config = _build(given)
    dataloader_file, more = _dataloader_file(config, given.source, found, cwd)
    dataloader = read_datasets(Surroundings(dataloader_file, config, cwd, found.environ))
    destinations = read_destinations(config.publishing.publishing_config, given.source, found, cwd)
    _require_places(config, dataloader, dataloader_file, given.source, cwd)
    raise_all([*resume_problems(config, given.source, cwd, has_stores=bool(destinations))])
    lycoris_file = _lycoris_file(config, found, cwd)
    library = config.validation.user_prompt_library
    prompts = read_prompts(locate(library, "user_prompt_library", found, cwd)) if library else ()
    webhooks = read_webhooks(config.report.webhook_config, given.source, found, cwd)
    told = (
        *given.notices,
        *notices(config, given.values.keys()),
        *validation_notices(config),
        *space_notices(config, cwd),
    )
    previews = preview_notices(config, given.values.keys(), webhooks)
    of_data = (*dataloader.notices, *data_notices(config, given.values.keys(), dataloader.datasets))
    return LoadedRun(
        config=config,
        datasets=dataloader.datasets,
        lycoris=_lycoris(config, lycoris_file) if lycoris_file else None,
        prompts=prompts,
        inputs=_inputs(config, found, cwd),
        text_cache=dataloader.text_cache,
        webhooks=webhooks,
        destinations=destinations,
        zero=read_zero(config, given.source, found, cwd),
        name=found.name,
        config_file=found.file,
        dataloader_file=dataloader_file,
        lycoris_file=lycoris_file,
        init_lora=_init_lora(config, found, cwd),
        init_lora_ema=_located(config.adapter.init_lora_ema, "init_lora_ema", found, cwd),
        notices=(*told, *previews, *more, *of_data, *placeholder_notices(config, dataloader.datasets, prompts)),
        values=given.values,
        environ=found.environ,
        origins=found.origins,
    )


def _gather(found: Found, overrides: Mapping[str, str]) -> _Given:
    pairs = read_options(found.file, found.backend) if found.file else {}
    file = str(found.file or COMMAND_LINE)
    written = name_options(dict(_substituted(pairs, found.environ)), Source(file))
    words = name_options(overrides, Source(COMMAND_LINE))
    raise_all([*written.problems, *words.problems])
    values = {key: value for key, value in {**written.values, **words.values}.items() if value is not None}
    origins = dict.fromkeys(words.values, COMMAND_LINE)
    try:
        launched = launch_values(values, found.environ)
    except ConfigError as error:
        raise (error if error.file else Source(file, origins=origins).problem(*_parts(error))) from None
    values |= launched.values
    origins |= launched.origins
    told = (*written.notices, *words.notices, *launched.notices, *variable_notices(found))
    return _Given(values, Source(file, origins=origins), told)


def _parts(error: ConfigError) -> tuple[str, str, str | None]:
    return str(error.key), error.reason, error.cure


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


def _init_lora(config: RunConfig, found: Found, cwd: Path) -> Path | None:
    """The adapter file that training starts from, of the kind that is trained."""
    path = _located(config.adapter.init_lora, "init_lora", found, cwd)
    if path is not None and config.model.model_type == "lora":
        require_kind(path, config.adapter.lora_type)
    return path


def _require_places(config: RunConfig, dataloader: Dataloader, file: Path, source: Source, cwd: Path) -> None:
    """Refuse data sets that cannot be used in this run, or where they lie."""
    require_adapter(config, dataloader.datasets, file)
    raise_all([*held_out_problems(dataloader.datasets, file)])
    raise_all([*output_problems(config, dataloader.datasets, source, cwd)])


def _inputs(config: RunConfig, found: Found, cwd: Path) -> tuple[Path, ...]:
    named = (config.validation.validation_input or "").split(",")
    return tuple(locate(name.strip(), "validation_input", found, cwd) for name in named if name.strip())
