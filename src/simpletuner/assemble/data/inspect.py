"""A run looked at without torch: its data sets, what is worth a look in them, and how long it will be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from simpletuner.assemble.data.findings import dataset_notes, dataset_problems, leak_problems, trained_report
from simpletuner.assemble.data.inspector import Findings, inspect_datasets
from simpletuner.assemble.data.survey import Around, Surveyed, around_of, calendar_of
from simpletuner.assemble.training.length import Length, resolve_length
from simpletuner.assemble.weights import choose_weights
from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.load import LoadedRun
from simpletuner.core.errors import ConfigError, ExitCode, SimpletunerError
from simpletuner.core.events import Emit
from simpletuner.data.captions.report import Yardstick, caption_report
from simpletuner.data.order.untrained import Span, untrained
from simpletuner.data.report.alike import looker
from simpletuner.data.report.deep import Diver, Reading, identical, leaks, similar
from simpletuner.data.report.report import DatasetReport, Report, failed_report
from simpletuner.models.catalogue import family_facts

_WRITTEN_ONE_BY_ONE = ("textfile", "parquet", "csv", "huggingface", "webshart")
_USUAL_SEED = 42
_NOTHING = Length(steps=0, epochs=0, updates_per_epoch=0, pictures_per_update=0)


@dataclass(frozen=True)
class Inspection:
    """The report, the data sets that can be used, what measures captions, and what `check` exits with."""

    report: Report
    surveyed: Mapping[str, Surveyed]
    yardstick: Yardstick
    exit_code: ExitCode


def inspect_run(loaded: LoadedRun, *, deep: bool, emit: Emit) -> Inspection:
    """Look at every data set of a run; ``deep`` decodes all their pictures.

    A data set that cannot be used is a problem of the report and decides the exit code. Raises ConfigError when the
    tokenizer is damaged, or when ``deep`` needs a package that is not installed.
    """
    facts = family_facts(loaded.config.model.model_family)
    yardstick = Yardstick(facts.count_tokens(choose_weights(loaded, facts).source), facts.advised_tokens)
    diver = Diver(looker(), emit) if deep else None
    around = around_of(loaded, _seed(loaded), facts.longest_edge)
    wanted = [made for made in loaded.datasets if made.dataset_type != "image" or made.probability > 0]
    found = inspect_datasets(wanted, around, loaded.config.machine.num_processes, diver, emit)
    length, endless, idle = _length(loaded, found, around)
    reports = tuple(_report(dataset, found, yardstick, loaded, never=dataset.id in idle) for dataset in wanted)
    leaked = tuple(leaks(_readings(found, "image"), _readings(found, "eval")))
    report = Report(
        datasets=reports,
        problems=(
            *_failed(found.failures),
            *endless,
            *idle.values(),
            *_worth_a_look(reports),
            *leak_problems(leaked),
        ),
        notes=_notes(loaded),
        updates=length.updates_per_epoch,
        steps=length.steps,
        epochs=length.epochs,
        leaks=leaked,
        deep=deep,
    )
    return Inspection(report, found.surveyed, yardstick, _exit_code(found.failures, endless))


def _seed(loaded: LoadedRun) -> int:
    """A seed that will be drawn at the start is not known yet: the usual one stands for it."""
    asked = loaded.config.length.seed
    return asked if asked is not None and asked > 0 else _USUAL_SEED


def _report(
    dataset: DatasetConfig, found: Findings, yardstick: Yardstick, loaded: LoadedRun, *, never: bool
) -> DatasetReport:
    name, kind = dataset.id, dataset.dataset_type
    if name in found.failures:
        where = str(dataset.instance_data_dir) if dataset.type == "local" else ""
        return failed_report(name, kind, where, found.failures[name])
    surveyed = found.surveyed[name]
    trained = trained_report(surveyed, never=never)
    report = replace(trained, notes=(*trained.notes, *found.notes[name]))
    if kind != "conditioning":
        report = _measured(report, surveyed, found, yardstick)
    return replace(report, notes=tuple(dataset_notes(report, loaded.config.data.vae_batch_size)))


def _measured(report: DatasetReport, surveyed: Surveyed, found: Findings, yardstick: Yardstick) -> DatasetReport:
    """With what captions and bytes say; nobody minds that masks are all alike."""
    table, config = surveyed.scanned.table, surveyed.config
    one_by_one = config.caption_strategy in _WRITTEN_ONE_BY_ONE and not config.only_instance_prompt
    captions = caption_report(
        table,
        config.caption_strategy,
        report.dropped,
        yardstick,
        written_one_by_one=one_by_one,
        uncaptioned=surveyed.scanned.uncaptioned,
    )
    report = replace(report, captions=captions)
    depths = found.depths.get(config.id)
    if depths is None:
        known = {path: table.digests[path] for path in table.paths if path in table.digests}
        return replace(report, identical=tuple(identical(known)))
    return replace(
        report,
        identical=tuple(identical({path: reading.digest for path, reading in depths.readings.items()})),
        similar=tuple(similar(depths.readings)),
        mislabelled=depths.mislabelled,
    )


def _readings(found: Findings, kind: str) -> dict[str, Reading]:
    return {
        f"{name}/{path}": reading
        for name, surveyed in found.surveyed.items()
        if surveyed.config.dataset_type == kind and name in found.depths
        for path, reading in found.depths[name].readings.items()
    }


def _length(loaded: LoadedRun, found: Findings, around: Around) -> tuple[Length, tuple[str, ...], Mapping[str, str]]:
    """How long the run is with the data sets that can be used, or why it cannot be as long as it is asked to be; and
    what is to be told of those that it never trains on, by their ids.
    """
    trained = [made for made in found.surveyed.values() if made.config.dataset_type == "image"]
    if not trained:
        return _NOTHING, (), {}
    asked = loaded.config.length
    try:
        calendar = calendar_of(trained, around)
        length = resolve_length(asked, calendar, loaded.config.machine.num_processes)
        return length, (), untrained(calendar, Span(length.steps, in_epochs=not asked.max_train_steps))
    except ConfigError as error:
        return _NOTHING, (str(error),), {}


def _failed(failures: Mapping[str, SimpletunerError]) -> list[str]:
    return [f'data set "{name}" cannot be used: {_told(error, name)}' for name, error in failures.items()]


def _told(error: SimpletunerError, name: str) -> str:
    """The whole message of an error, without the name that stands before it already."""
    key = None if error.key == name else error.key
    return SimpletunerError(error.reason, file=error.file, key=key, cure=error.cure).message()


def _worth_a_look(reports: Sequence[DatasetReport]) -> list[str]:
    return [problem for report in reports for problem in dataset_problems(report)]


def _notes(loaded: LoadedRun) -> tuple[str, ...]:
    left_out = [made.id for made in loaded.datasets if made.dataset_type == "image" and made.probability <= 0]
    return (*loaded.notices, *(f'data set "{name}" is left out: its probability is 0' for name in left_out))


def _exit_code(failures: Mapping[str, SimpletunerError], endless: Sequence[str]) -> ExitCode:
    if endless or any(isinstance(error, ConfigError) for error in failures.values()):
        return ExitCode.CONFIG
    return ExitCode.DATA if failures else ExitCode.OK
