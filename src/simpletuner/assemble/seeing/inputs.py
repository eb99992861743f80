"""The input pictures of validation: files that the user names, and references of data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from simpletuner.assemble.data.prepared import Prepared
from simpletuner.data.cache.decode import naming, picture_pixels
from simpletuner.data.cache.keys import content_digest
from simpletuner.data.entries import Entry, PictureError
from simpletuner.data.files.images import open_rgb, resize_and_crop
from simpletuner.data.places.crops import plan_crop
from simpletuner.data.places.geometry import Placement, Size, cover
from simpletuner.validation.prompts import InputPicture, PromptSpec
from simpletuner.validation.render import to_picture


def read_input(file: Path, longest_edge: int, multiple: int) -> InputPicture:
    """A file as an input picture: no edge above ``longest_edge``, both cut in the middle to a ``multiple``.

    Raises PictureError when it cannot be read.
    """
    with naming(str(file)):
        try:
            content = file.read_bytes()
        except OSError as error:
            raise PictureError(f"cannot be read ({error})", cure="correct validation_input") from error
        image = open_rgb(content)
    scale = min(1.0, longest_edge / max(image.size))
    target = Size(*(max(multiple, int(edge * scale) // multiple * multiple) for edge in image.size))
    placement = Placement("", target, cover(Size(*image.size), target))
    window = resize_and_crop(image, placement, plan_crop(placement, "center"))
    return InputPicture(_named(file.name, content, target), window)


def examples(datasets: Sequence[Prepared], count: int) -> Iterator[PromptSpec]:
    """Captions of each data set that has references, with these: ``count``, spread over its pictures, at their sizes.

    Raises PictureError when a reference cannot be read.
    """
    for made in datasets:
        table = made.surveyed.scanned.table
        spread = sorted({place * len(table) // count for place in range(count)}) if made.pictures else ()
        yield from (_example(made, row) for row in spread)


def _example(made: Prepared, row: int) -> PromptSpec:
    entry = made.arrangement(0).entry(row)
    seen = [_reference(other, other.beside(made, entry, 0)) for other in made.reference_sets[: made.pictures]]
    size = entry.placement.target
    nickname = f"{made.config.id}_{PurePosixPath(entry.sample.path).stem}"
    return PromptSpec(nickname, entry.captions[0], tuple(seen), (size.width, size.height))


def _reference(made: Prepared, entry: Entry) -> InputPicture:
    with naming(str(entry.sample)):
        content = made.cache.source.read(entry.sample.path)
        seen = to_picture(picture_pixels(entry, content))
    return InputPicture(_named(str(entry.sample), content, entry.placement.target), seen)


def _named(name: str, content: bytes, size: Size) -> str:
    """What tells a picture apart from another of its name, and from itself at another size."""
    return f"{name} {size} {content_digest(content)[:16]}"
