"""Pictures that cannot be read: which of those that were dropped are damaged, and how many are too many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from simpletuner.data.entries import Dropped, NoPicturesError, PictureError
from simpletuner.data.files.images import open_rgb
from simpletuner.data.sources.base import Source

_NAMED = 5


def damage_of(source: Source, dropped: Iterable[Dropped]) -> dict[str, tuple[str, str, str]]:
    """Of pictures that were dropped while they were decoded those that cannot be, each looked at once more.

    Path to (version, reason, cure), as :meth:`~simpletuner.data.files.index.Index.learn_damage` takes it. What is sound
    is not in it: a file that was out of reach, a VAE that gave no number, a size that was told wrongly.
    """
    found: dict[str, tuple[str, str, str]] = {}
    for item in dropped:
        before = source.version(item.file) if item.cause == "unreadable" else ""
        error = _damage(source, item.file) if before else None
        if error is not None and before == source.version(item.file):
            found[item.file] = (before, error.reason, error.cure or item.cure)
    return found


def _damage(source: Source, path: str) -> PictureError | None:
    try:
        open_rgb(source.read(path))
    except PictureError as error:
        return None if error.passing else error
    return None


def require_few_unreadable(
    dropped: Sequence[Dropped], used: int, most_percent: float | None, *, dataset: str, where: str
) -> None:
    """Stop where more than ``most_percent`` of a data set's pictures cannot be read; None lets any number pass.

    ``used`` pictures are left beside ``dropped``, of which those count that were dropped for being unreadable.

    Raises:
        NoPicturesError: there are more; it has the counts, the first reasons and all of ``dropped``.
    """
    bad = [item for item in dropped if item.cause == "unreadable"]
    total = used + len(dropped)
    if most_percent is None or 100 * len(bad) <= most_percent * total:
        return
    first = "; ".join(f"{item.file}: {item.reason}" for item in bad[:_NAMED])
    more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
    raise NoPicturesError(
        tuple(dropped),
        f"{len(bad)} of {total} pictures ({100 * len(bad) / total:.3g} %) cannot be read, and "
        f"maximum_unreadable_percent is {most_percent:g} ({first}{more})",
        file=where,
        key=dataset,
        cure="mend or remove these files, or raise maximum_unreadable_percent",
    )
