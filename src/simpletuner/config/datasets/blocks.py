"""The blocks of a data set: keys whose value is an object in braces or a list of objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simpletuner.config.option import LATER, REQUIRED, Section, option

_READ = ("data",)


@dataclass(frozen=True)
class AspectChoice:
    """One aspect (width / height) that a crop may have, and its share among all of them; the shares sum to 1."""

    aspect: float
    weight: float


class CaptionShuffle(Section):
    """Captions of tags, trained in several orders."""

    enable: bool = option(default=False, reads=_READ)
    """Turn it on."""
    count: int = option(1, reads=_READ, ge=1)
    """Shuffled variants of each caption."""
    seed: int | None = option(None, reads=_READ)
    """Decides the orders; the run's `seed` when not given."""
    split_on: Literal["comma", "space", "period"] = option("comma", reads=_READ)
    """What stands between two tags."""
    position_start: int = option(0, reads=_READ, ge=0)
    """Leading tags that stay where they are."""
    include_original: bool = option(default=True, reads=_READ)
    """Keep the caption as it is among the variants."""


class ParquetTable(Section):
    """A Parquet or JSONL table of captions and sizes."""

    path: str = option(REQUIRED, reads=_READ, examples=["datasets/captions.parquet"])
    """The table, a file on this machine."""
    filename_column: str = option(REQUIRED, reads=_READ, examples=["filename"])
    """Column of the file names."""
    caption_column: tuple[str, ...] = option((), reads=_READ, examples=["caption"])
    """Column of the captions, or several; a cell may hold a list of captions."""
    fallback_caption_column: str | None = option(None, reads=_READ)
    """Column that is used where the caption is empty."""
    width_column: str | None = option(None, reads=_READ)
    """Column of the widths; with `height_column` no picture is opened for its size."""
    height_column: str | None = option(None, reads=_READ)
    """Column of the heights."""
    identifier_includes_extension: bool = option(default=False, reads=_READ)
    """The names in the table end in `.png` or the like; otherwise `.png` is put behind them."""


class HubFilter(Section):
    """Which rows of a hub data set are used."""

    collection: tuple[str, ...] = option((), reads=_READ)
    """Use only rows of these collections."""
    quality_thresholds: tuple[tuple[str, float], ...] = option((), reads=_READ)
    """Least value of each measure of quality."""
    quality_column: str | None = option(None, reads=_READ)
    """Column that holds the measures."""
    min_width: int | None = option(None, reads=_READ, ge=0)
    """Least width in pixels."""
    min_height: int | None = option(None, reads=_READ, ge=0)
    """Least height in pixels."""


class CompositeImages(Section):
    """Pictures that are several pictures side by side."""

    enabled: bool = option(
        default=False, reads=("config",), refused={"true": f"{LATER}: composite pictures are not taken apart"}
    )
    """Turn it on."""
    image_count: int | None = option(None, unread="composite pictures are not taken apart", ge=1)
    """Pictures in one composite."""
    select_index: int | None = option(None, unread="composite pictures are not taken apart", ge=0)
    """Which of them is used."""


class HubColumns(Section):
    """Where in a hub data set captions and sizes stand, and which rows are used."""

    caption_column: tuple[str, ...] = option((), reads=_READ)
    """Column of the captions, or several; `a.b` is the field `b` of the column `a`."""
    fallback_caption_column: str | None = option(None, reads=_READ)
    """Column that is used where the caption is empty."""
    description_column: str | None = option(None, reads=_READ)
    """Column that is used where the caption is empty and `fallback_caption_column` is not given."""
    width_column: str | None = option(None, reads=_READ)
    """Column of the widths; with `height_column` no picture is opened for its size."""
    height_column: str | None = option(None, reads=_READ)
    """Column of the heights."""
    filter_func: HubFilter = option(HubFilter(), reads=_READ)
    """Which rows are used."""
    composite_image_config: CompositeImages = option(CompositeImages(), reads=("config",))
    """Composite pictures."""
