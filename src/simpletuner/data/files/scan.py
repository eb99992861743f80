"""From a source to the pictures that are trained on and a reason for every one that is not. Decodes no pixel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from simpletuner.core.events import Emit, StageProgress
from simpletuner.data.captions.candidates import composed, odd_texts, text_path
from simpletuner.data.files.changes import NO_CHANGES, compare
from simpletuner.data.files.headers import quiet_pillow
from simpletuner.data.files.index import Index, Known
from simpletuner.data.files.probe import Probe
from simpletuner.data.files.sift import ScannedDataset, ScanSpec, Sifting
from simpletuner.data.files.versions import bare, is_settled, unsettled
from simpletuner.data.sources.base import NO_FACTS, Listing, Source

__all__ = ["ScanSpec", "ScannedDataset", "scan"]

_THREADS = 8
_WINDOW = 256


def scan(spec: ScanSpec, source: Source, index: Index, *, emit: Emit, now: float) -> ScannedDataset:
    """Find, measure and caption every picture, in path order; what the index knows is not read again.

    ``now`` is the time in seconds since the epoch. What is read is in the index at once, a window at a time, so that a
    killed scan goes on where it was.

    Raises:
        ConfigError: the source does not exist.
        DataError: no picture is left; the message counts what was found and why it was dropped.
    """
    listing = source.listing()
    before = index.load()
    versions = {path: bare(known.version) for path, known in before.items()}
    changes = compare(versions, listing.pictures, source.renamed_from) if before else NO_CHANGES
    # Its header is what it was; its bytes are read again, because a rename could hide an edit.
    moved = {
        new: before[old]._replace(version=listing.pictures[new], digest="")
        for old, new in changes.renamed
        if _is_sound(before[old])
    }
    index.save((path, _stored(known, now)) for path, known in moved.items())
    before.update(moved)
    known = _Probing(spec, source, index, listing, now).run(before, emit)
    index.forget(path for path in before if path not in listing.pictures)
    return Sifting(spec, listing).sift(source.where, known, changes)


class _Probing:
    """Reads what the index does not know."""

    def __init__(self, spec: ScanSpec, source: Source, index: Index, listing: Listing, now: float) -> None:
        self._spec = spec
        self._source = source
        self._index = index
        self._listing = listing
        self._now = now
        self._odd_texts = odd_texts(listing.texts)

    def run(self, before: Mapping[str, Known], emit: Emit) -> dict[str, Known]:
        """Everything known afterwards, by path in path order."""
        found: dict[str, Known] = {}
        probes: list[Probe] = []
        for path, version in self._listing.pictures.items():
            probe = self._probe(path, version, before.get(path))
            if probe.needed:
                probes.append(probe)
            elif probe.known is not None:
                found[path] = probe.sized(probe.known)
        for probe, known in self._read(probes, emit):
            found[probe.path] = probe.sized(known)
        return {path: found[path] for path in self._listing.pictures}

    def _text(self, path: str) -> str:
        """The caption file of a picture, "" when nobody asks for it."""
        if not self._spec.captions.reads_text:
            return ""
        usual = text_path(path)
        return usual if usual in self._listing.texts else self._odd_texts.get(composed(usual), usual)

    def _probe(self, path: str, version: str, known: Known | None) -> Probe:
        text = self._text(path)
        return Probe(
            path=path,
            version=version,
            known=known if known is not None and known.version == version else None,
            text=text,
            text_version=self._listing.texts.get(text, ""),
            face=self._spec.crop_style == "face",
            facts=self._listing.facts.get(path, NO_FACTS),
        )

    def _read(self, probes: Sequence[Probe], emit: Emit) -> Iterator[tuple[Probe, Known]]:
        """Probe in threads, a window at a time; each window is in the index before the next one begins."""
        rest, done = iter(probes), 0
        with quiet_pillow(), ThreadPoolExecutor(_THREADS) as pool:
            while window := list(islice(rest, _WINDOW)):
                rows = list(zip(window, pool.map(lambda probe: probe.run(self._source), window), strict=True))
                self._index.save((probe.path, _stored(known, self._now)) for probe, known in rows)
                done += len(window)
                emit(StageProgress("init_data_backend", f"Scanning {self._spec.id}", done, len(probes)))
                yield from rows


def _is_sound(known: Known) -> bool:
    """Whether a row may be taken over under another name: trusted, and of a picture that can be used."""
    return known.version == bare(known.version) and not known.reason


def _stored(known: Known, now: float) -> Known:
    settled = is_settled(known.version, now) and is_settled(known.text_version, now)
    return known if settled else known._replace(version=unsettled(known.version))
