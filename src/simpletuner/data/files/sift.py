"""Which of the pictures found are used, and why the others are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simpletuner.core.keyed import derive_seed
from simpletuner.data.captions.candidates import CaptionSpec, captions
from simpletuner.data.captions.notes import Wording, caption_warnings, named_for_want, unshuffled
from simpletuner.data.entries import Dropped, NoPicturesError, Refusal, printable
from simpletuner.data.files.changes import NO_CHANGES, Changes
from simpletuner.data.files.index import Known
from simpletuner.data.files.probe import focus_of
from simpletuner.data.files.table import Derived, PictureTable
from simpletuner.data.places.aspects import choose_aspect
from simpletuner.data.places.crops import CropStyle
from simpletuner.data.places.geometry import GeometrySpec, Size, bucket_of
from simpletuner.data.places.limits import aspect_refusal, edge_refusal, size_refusal, upscale_refusal
from simpletuner.data.sources.base import NO_FACTS, Listing
from simpletuner.data.sources.kinds import RAW_SUFFIXES, sample, stem, suffix


@dataclass(frozen=True)
class ScanSpec:
    """What a scan needs to know of a data set.

    ``maximum_edge`` is the longest edge that the model takes, in pixels; ``known_sizes`` is the user's resolution map.
    """

    id: str
    geometry: GeometrySpec
    captions: CaptionSpec
    crop_style: CropStyle = "random"
    max_num_samples: int | None = None
    maximum_edge: int | None = None
    known_sizes: Mapping[str, Size] | None = None


@dataclass(frozen=True)
class ScannedDataset:
    """A data set after its scan. ``files`` counts the pictures found; ``notes`` and ``warnings`` are for the user.

    ``uncaptioned`` are pictures that are trained on their file names because a table has no caption for them.
    """

    id: str
    where: str
    files: int
    table: PictureTable
    dropped: tuple[Dropped, ...]
    changes: Changes = NO_CHANGES
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    uncaptioned: tuple[str, ...] = ()


class Sifting:
    """Decides from what is known which pictures are used."""

    def __init__(self, spec: ScanSpec, listing: Listing) -> None:
        self._spec = spec
        self._listing = listing
        # By width and height as plain numbers: a million pictures are looked up.
        self._sizes: dict[tuple[int, int], Refusal | None] = {}
        self._dropped = list(listing.dropped)

    def sift(self, where: str, known: Mapping[str, Known], changes: Changes) -> ScannedDataset:
        """The data set. Raises DataError when no picture is left."""
        files = len(known) + len(self._listing.dropped)
        texts = {path: found for path in known if (found := self._candidates(path, known[path])) is not None}
        if not texts:
            raise _empty(self._spec, where, files, self._dropped, self._listing.notes)
        raws = self._pass_over_raws(texts)
        kept = _subset(list(texts), self._spec)
        about = f'data set "{self._spec.id}": '
        named, plain = self._worded(kept, known)
        return ScannedDataset(
            id=self._spec.id,
            where=where,
            files=files - len(raws),
            table=self._table(kept, texts, known),
            dropped=tuple(self._dropped),
            changes=changes,
            notes=(
                *_notes(texts, kept, known, self._spec),
                *(about + note for note in (*_of_raws(raws), *self._listing.notes)),
            ),
            warnings=tuple(about + told for told in caption_warnings(named, plain, len(kept))),
            uncaptioned=named,
        )

    def _pass_over_raws(self, usable: Collection[str]) -> list[str]:
        """The camera's files of pictures that are used as they are: nothing is missing for want of them."""
        listed = [item.file for item in self._listing.dropped if suffix(item.file) in RAW_SUFFIXES]
        if not listed:
            return []
        stems = {stem(printable(path)) for path in usable}
        raws = [file for file in listed if stem(file) in stems]
        passed = frozenset(raws)
        self._dropped = [item for item in self._dropped if item.file not in passed]
        return raws

    def _worded(self, kept: Sequence[str], known: Mapping[str, Known]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The pictures without a caption of their own, and those with one that cannot be shuffled."""
        facts = self._listing.facts

        def wordings() -> Iterator[Wording]:
            return ((path, known[path].text, facts.get(path, NO_FACTS).captions) for path in kept)

        return named_for_want(wordings(), self._spec.captions), unshuffled(wordings(), self._spec.captions)

    def _candidates(self, path: str, known: Known) -> tuple[str, ...] | None:
        """The captions of a picture that is used, () when its name says them later; None when it is dropped."""
        if known.reason:
            self._dropped.append(Dropped(printable(path), known.reason, known.cure))
            return None
        size = (known.width, known.height)
        if size not in self._sizes:
            spec = self._spec
            self._sizes[size] = unfit(Size(*size), spec.geometry, spec.known_sizes, spec.maximum_edge)
        if (refusal := self._sizes[size]) is not None:
            self._dropped.append(Dropped(printable(path), refusal.reason, refusal.cure, "size"))
            return None
        if self._spec.captions.follows_from_name:
            return ()
        found = captions(path, self._spec.captions, known.text, self._listing.facts.get(path, NO_FACTS).captions)
        if isinstance(found, Refusal):
            self._dropped.append(Dropped(printable(path), found.reason, found.cure, "caption"))
            return None
        return found

    def _table(
        self, kept: Sequence[str], texts: Mapping[str, tuple[str, ...]], known: Mapping[str, Known]
    ) -> PictureTable:
        rows = [known[path] for path in kept]
        spec = self._spec.captions
        return PictureTable(
            dataset=self._spec.id,
            paths=kept,
            widths=np.fromiter((row.width for row in rows), np.int32, len(rows)),
            heights=np.fromiter((row.height for row in rows), np.int32, len(rows)),
            captions=named_captions(kept, spec) if spec.follows_from_name else [texts[path] for path in kept],
            digests={path: row.digest for path, row in zip(kept, rows, strict=True) if row.digest},
            foci={path: found for path, row in zip(kept, rows, strict=True) if (found := focus_of(row))},
        )


def named_captions(paths: Sequence[str], spec: CaptionSpec) -> Sequence[tuple[str, ...]]:
    """The captions of pictures whose names are all that is needed, made when they are asked for."""

    def made(row: int) -> tuple[str, ...]:
        found = captions(paths[row], spec)
        assert not isinstance(found, Refusal)
        return found

    return Derived(len(paths), made)


def unfit(
    size: Size, geometry: GeometrySpec, known_sizes: Mapping[str, Size] | None = None, maximum_edge: int | None = None
) -> Refusal | None:
    """Why a picture of this size is left out, or None. The arguments are those of :class:`ScanSpec`."""
    aspect = choose_aspect(size, geometry, known=known_sizes, maximum_edge=maximum_edge)
    if isinstance(aspect, Refusal):
        return aspect
    key, own = bucket_of(size, geometry, aspect)
    target = (known_sizes or {}).get(key, own)
    return (
        size_refusal(size, geometry)
        or edge_refusal(size, target, maximum_edge)
        or aspect_refusal(key, geometry)
        or upscale_refusal(size, target, geometry)
    )


def _subset(paths: list[str], spec: ScanSpec) -> list[str]:
    """At most ``max_num_samples``, chosen by name: a picture added later moves few others in or out."""
    if spec.max_num_samples is None or len(paths) <= spec.max_num_samples:
        return paths
    ranked = sorted(paths, key=lambda path: (derive_seed(spec.id, path, "subset"), path))
    return sorted(ranked[: spec.max_num_samples])


def _of_raws(raws: Sequence[str]) -> Iterator[str]:
    if raws:
        yield f"{len(raws)} raw files passed over, each beside a picture of its name that is used: {sample(raws)}"


def _notes(
    usable: Mapping[str, object], kept: Sequence[str], known: Mapping[str, Known], spec: ScanSpec
) -> tuple[str, ...]:
    notes = [f'data set "{spec.id}": {note}' for note in spec.captions.notes]
    if len(kept) < len(usable):
        notes.append(f'data set "{spec.id}": max_num_samples keeps {len(kept)} of {len(usable)} pictures')
    if animated := [path for path in kept if known[path].animated]:
        notes.append(
            f'data set "{spec.id}": the first frame of {len(animated)} animations is used, such as {animated[0]}'
        )
    return tuple(notes)


def _empty(spec: ScanSpec, where: str, files: int, dropped: Sequence[Dropped], notes: Sequence[str]) -> NoPicturesError:
    # Reasons begin with what is common to many pictures; the commonest one is what to cure.
    reasons = Counter(item.reason.partition(":")[0] for item in dropped)
    counted = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(5))
    usual = next((item for item in dropped if item.reason.startswith(reasons.most_common(1)[0][0])), None)
    first = f" ({counted}; such as {usual.file}: {usual.reason})" if usual else ""
    first += "".join(f"; {note}" for note in notes)
    cure = usual.cure if usual else "put JPEG, PNG or WebP pictures into the folder, or correct the path"
    return NoPicturesError(
        tuple(dropped),
        f'no images detected in dataset "{spec.id}": {files} picture files found, {len(dropped)} dropped, 0 usable'
        + first,
        file=where,
        key=spec.id,
        cure=f"{cure}; repeats multiply usable pictures, so raising them cannot help here",
    )
