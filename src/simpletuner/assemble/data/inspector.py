"""Data sets surveyed one by one, so that one that cannot be used hides none of the others."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from simpletuner.assemble.data.scanning import index_path, unusable_index
from simpletuner.assemble.data.survey import Around, Surveyed, paired, survey
from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.core.errors import ConfigError, DataError, SimpletunerError
from simpletuner.core.events import Emit, Event, Notice
from simpletuner.core.ranks import Ranks
from simpletuner.data.entries import Dropped, printable
from simpletuner.data.files.damage import damage_of
from simpletuner.data.files.index import open_index
from simpletuner.data.files.pairs import without_partner
from simpletuner.data.report.deep import Depths, Diver


@dataclass
class Findings:
    """What was found, by data set: those that can be used, why the others cannot, and what the scan had to say.

    ``depths`` is empty unless pictures were decoded.
    """

    surveyed: dict[str, Surveyed] = field(default_factory=dict)
    failures: dict[str, SimpletunerError] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    depths: dict[str, Depths] = field(default_factory=dict)


def inspect_datasets(
    datasets: Sequence[DatasetConfig], around: Around, processes: int, diver: Diver | None, emit: Emit
) -> Findings:
    """Survey ``datasets``, pair them, and decode all their pictures where there is a ``diver``. Raises nothing."""
    inspector = _Inspector(around, processes, emit)
    for dataset in datasets:
        inspector.attempt(dataset.id, partial(inspector.survey, dataset))
    for name in tuple(inspector.found.surveyed):
        inspector.attempt(name, partial(inspector.pair, name))
    if diver:
        for name in tuple(inspector.found.surveyed):
            inspector.attempt(name, partial(inspector.dive, name, diver))
        for name in tuple(inspector.found.surveyed):
            inspector.attempt(name, partial(inspector.leave_out_unpaired, name))
    return inspector.found


class _Inspector:
    def __init__(self, around: Around, processes: int, emit: Emit) -> None:
        self._around = replace(around, accumulation=around.accumulation * processes)
        self._told = replace(around, ranks=Ranks(count=processes))
        self._emit = emit
        self.found = Findings()

    def attempt(self, name: str, act: Callable[[], None]) -> None:
        """Do something with one data set; when it fails, the data set is out and the reason is kept."""
        try:
            act()
        except (ConfigError, DataError) as error:
            self._fail(name, error)
        except (OSError, sqlite3.Error) as error:
            self._fail(name, unusable_index(error))

    def _fail(self, name: str, error: SimpletunerError) -> None:
        self.found.surveyed.pop(name, None)
        self.found.failures[name] = error

    def survey(self, dataset: DatasetConfig) -> None:
        """Scan and arrange a data set without its partners."""
        heard: list[str] = []

        def hear(event: Event) -> None:
            if isinstance(event, Notice):
                heard.append(event.text)
            else:
                self._emit(event)

        alone = dataset.model_copy(update={"conditioning_data": ()})
        made = survey([alone], self._around, hear)[dataset.id]
        # It is surveyed by one process, and the report counts with those that will train.
        self.found.surveyed[dataset.id] = replace(made, config=dataset, around=self._told)
        about = f'data set "{dataset.id}": '
        told = [text.removeprefix(about) for text in heard]
        self.found.notes[dataset.id] = tuple(text for text in told if text not in made.scanned.changes.lines())

    def pair(self, name: str) -> None:
        """Find the partner of every picture. Raises DataError when one has none."""
        self._require_partners(name)
        self.found.surveyed[name] = paired(self.found.surveyed[name], self.found.surveyed)

    def _require_partners(self, name: str) -> None:
        """Raise DataError when a data set that holds the partners is out."""
        for other in self.found.surveyed[name].config.conditioning_data:
            if other not in self.found.surveyed:
                raise DataError(f'it needs the pictures of data set "{other}", which cannot be used')

    def dive(self, name: str, diver: Diver) -> None:
        """Decode every picture; leave out what is damaged. Raises DataError when nothing is left."""
        found = self.found.surveyed[name]
        with open_index(index_path(found.config)) as index:
            depths = diver.dive(found.scanned.table, found.source, index)
            # The next start drops them unread.
            index.learn_damage(damage_of(found.source, depths.dropped))
        self.found.depths[name] = depths
        self._leave_out(name, depths.dropped, depths.damaged)

    def leave_out_unpaired(self, name: str) -> None:
        """Leave out the pictures whose partner is damaged. Raises DataError when all partners are."""
        self._require_partners(name)
        gone: dict[str, Dropped] = {}
        for other, partners in self.found.surveyed[name].partners.items():
            reasons = {item.file: item for item in self.found.depths[other].dropped}
            for path, partner in partners.items():
                if (item := reasons.get(printable(partner))) is not None:
                    gone[path] = without_partner(path, item, other)
        gone = {path: item for path, item in gone.items() if path not in self.found.depths[name].damaged}
        self._leave_out(name, tuple(gone.values()), frozenset(gone))

    def _leave_out(self, name: str, dropped: Sequence[Dropped], paths: frozenset[str]) -> None:
        found = self.found.surveyed[name]
        self.found.surveyed[name] = found.without(dropped, paths)
