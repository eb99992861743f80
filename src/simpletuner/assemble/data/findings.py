"""What `check` has to say of a data set beyond its numbers: problems to look at, and notes that are good to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from simpletuner.assemble.data.survey import Surveyed
from simpletuner.core.samples import SampleId
from simpletuner.data.captions.report import CaptionReport
from simpletuner.data.order.plan import PlannedDataset
from simpletuner.data.order.shortages import Shortage, explain, oversubscribed, shortages
from simpletuner.data.places.upscaling import STRONG
from simpletuner.data.report.deep import Leak
from simpletuner.data.report.report import DatasetReport, dataset_report
from simpletuner.observe.progress import plural

_NAMED = 5
_SHORTAGES = 3
_LEAKS = 10


def trained_report(found: Surveyed, *, never: bool = False) -> DatasetReport:
    """What became of the pictures of a data set, and which of its buckets cannot fill an update.

    One that the run ``never`` trains on has no updates.
    """
    planned, kind = found.planned(), found.config.dataset_type
    report = dataset_report(found.scanned, found.arrangement, planned, kind=kind, later=found.later)
    if never or not report.batches:
        return replace(report, updates={}, batches=0, partners=tuple(found.config.conditioning_data))
    pools = planned.pools
    return replace(
        report,
        shortages=_shortage_texts(found),
        short_buckets={short.bucket: tuple(_paths(pools[short.bucket], None)) for short in shortages(planned)},
        notes=_repeated(planned),
        partners=tuple(found.config.conditioning_data),
    )


def _repeated(planned: PlannedDataset) -> tuple[str, ...]:
    """Buckets whose pictures are used more often than they were asked to be."""
    return tuple(
        f"allow_dataset_oversubscription: bucket {bucket} is filled with {added} further uses an epoch; its pictures "
        f"count {factor:.1f} times as much as the others"
        for bucket, (added, factor) in oversubscribed(planned).items()
    )


def _shortage_texts(found: Surveyed) -> tuple[str, ...]:
    planned, around = found.planned(), found.around
    pools = planned.pools

    def text(short: Shortage) -> str:
        names = _paths(pools[short.bucket], _NAMED)
        return explain(planned, short, names, planned.micro_batch, around.ranks.count, around.accumulation)

    return tuple(text(short) for short in shortages(planned))


def _paths(samples: Sequence[SampleId], most: int | None) -> list[str]:
    return [sample.path for sample in islice(samples, most)]


def dataset_problems(report: DatasetReport) -> list[str]:
    """What is worth a look in one data set; nothing here stops a run."""
    captions = report.captions
    found = [
        *report.shortages[:_SHORTAGES],
        *_rest(report.shortages, "buckets that cannot fill one update", _SHORTAGES),
    ]
    found += [*_enlarged(report), *(_caption_problems(captions) if captions else [])]
    found += [f"these files are the same, byte for byte: {_named(files)}" for files in report.identical[:_NAMED]]
    found += _rest(report.identical, "groups of identical files")
    found += [f"these pictures look alike: {_named(files)}" for files in report.similar[:_NAMED]]
    found += _rest(report.similar, "groups of pictures that look alike")
    if report.mislabelled:
        found.append(
            f"files that hold another format than their name says, used all the same: {_named(report.mislabelled)}"
        )
    about = f'data set "{report.id}": '
    return [text if text.startswith(about) else about + text for text in found]


def leak_problems(leaks: Sequence[Leak]) -> list[str]:
    """Held-out pictures that are trained on: their loss says nothing about new pictures."""
    told = [f"leak: {leak.held_out} is held out, and {_how(leak)} {leak.trained}" for leak in leaks[:_LEAKS]]
    return told + _rest(leaks, "leaks", _LEAKS)


def dataset_notes(report: DatasetReport, vae_batch_size: int) -> list[str]:
    """What is good to know of a data set and needs nothing done."""
    notes = list(report.notes)
    if report.type == "image" and report.batches and report.used <= vae_batch_size:
        notes.append(
            f"{plural(report.used, 'picture')} and vae_batch_size {vae_batch_size}: the quickstart asks for more "
            "pictures than that; here they are cached in one smaller batch and all of them are trained"
        )
    return notes


def _enlarged(report: DatasetReport) -> list[str]:
    found = report.upscaled
    if not found.strong:
        return []
    return [
        f"{plural(found.strong, 'picture')} enlarged more than {STRONG:g} times, the most {found.file} "
        f"({found.shown} times): the blur is learned with them; use larger pictures, lower resolution, or leave "
        "them out with minimum_image_size or max_upscale_threshold"
    ]


def _caption_problems(captions: CaptionReport) -> list[str]:
    found = [
        f"{len(files)} pictures share the caption {_quoted(text)}: {_named(files)}"
        for text, files in captions.duplicates[:_NAMED]
    ]
    found += _rest(captions.duplicates, "captions that pictures share")
    if captions.over_count:
        named = [f"{file} ({length})" for file, length in captions.over]
        guess = ", estimated without the tokenizer" if captions.estimated else ""
        found.append(
            f"{plural(captions.over_count, 'caption')} longer than the {captions.advised} tokens that are advised"
            f"{guess}: {_named(named, captions.over_count)}; the model may overlook what comes late"
        )
    return found


def _how(leak: Leak) -> str:
    if leak.identical:
        return "is the same file as"
    return "looks just like" if leak.distance == 0 else "looks nearly like"


def _rest(found: Sequence[object], what: str, told: int = _NAMED) -> list[str]:
    more = len(found) - told
    return [f"... and {more} more {what}, in report.json"] if more > 0 else []


def _named(names: Sequence[str], total: int = 0) -> str:
    more = max(total, len(names)) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _quoted(text: str, longest: int = 60) -> str:
    return f'"{text}"' if len(text) <= longest else f'"{text[:longest]}..."'
