"""The captions a picture may be trained with (SPEC 3.9). One of them is drawn at each use, elsewhere."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

from simpletuner.core.errors import ConfigError
from simpletuner.data.captions.filters import Filter, apply_filters
from simpletuner.data.captions.shuffle import ShuffleSpec, shuffled
from simpletuner.data.entries import Refusal

CaptionStrategy = Literal["filename", "textfile", "instanceprompt", "table"]
"""Where captions come from; ``table`` is parquet, CSV, the Hub or a shard, whose captions are given."""

LONGEST_TEXT = 1 << 20
"""Bytes of the longest caption file that is read."""

# Not splitlines: it tears a caption at a form feed, at U+0085 and at U+2028 too.
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class CaptionSpec:
    """What decides captions.

    ``split_lines``: each line of a text file is a caption of its own. ``filters``, then ``shuffle``, work on captions
    before an instance prompt is put in front. ``fallback_to_filename``: a picture that the table has no caption for
    gets that of its file name. ``notes`` are lines for the user about what was asked.
    """

    strategy: CaptionStrategy = "filename"
    instance_prompts: tuple[str, ...] = ()
    prepend: bool = False
    only: bool = False
    split_lines: bool = True
    filters: tuple[Filter, ...] = ()
    shuffle: ShuffleSpec | None = None
    fallback_to_filename: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """An instance prompt that is asked for must be there; one of several must not be empty."""
        if not (self.prepend or self.only or self.strategy == "instanceprompt"):
            return
        if not any(prompt.strip() for prompt in self.instance_prompts):
            raise ConfigError(
                "the captions need an instance prompt, and there is none", key="instance_prompt", cure="set it"
            )
        if not all(prompt.strip() for prompt in self.instance_prompts):
            raise ConfigError("one of the instance prompts is empty", key="instance_prompt", cure="take it out")
        if not _is_text(self.instance_prompts):
            raise ConfigError("holds half a character", key="instance_prompt", cure="write it again")

    @property
    def reads_text(self) -> bool:
        """Whether a picture's text file is needed."""
        return self.strategy == "textfile" and not self.only

    @property
    def follows_from_name(self) -> bool:
        """Whether every picture has captions, and its path says which."""
        return self.only or (self.strategy in ("filename", "instanceprompt") and not self.filters)


def text_path(path: str) -> str:
    """The text file beside a picture: the same stem with ``.txt``."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{_stem(name)}.txt"


def _stem(name: str) -> str:
    """What pathlib calls the stem, in a tenth of its time: a start asks for 100,000 of them."""
    stem, _, last = name.rpartition(".")
    return stem if stem and last else name


def odd_texts(texts: Iterable[str]) -> dict[str, str]:
    """The text files that :func:`text_path` may not name to the letter, by what :func:`composed` makes of its path.

    Windows and cameras write ``.TXT`` or the like, and a Mac writes an accent as a letter of its own; of several the
    first one counts.
    """
    odd = (path for path in texts if not (path.isascii() and path.endswith(".txt")))
    return {composed(text_path(path)): path for path in sorted(odd, reverse=True)}


def composed(name: str) -> str:
    """``name`` with each accent joined to its letter (NFC): two names that look the same are then the same."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def lines_of(text: str) -> list[str]:
    """The lines of a text file, which end in LF, CR LF or CR and in nothing else."""
    return _LINE_END.split(text)


def captions(
    path: str, spec: CaptionSpec, text: bytes | None = None, given: Sequence[str] | None = None
) -> tuple[str, ...] | Refusal:
    """The candidate captions of the picture at ``path``, at least one; or why there is none.

    ``text`` is the content of its text file, None when there is no such file. ``given`` are the captions that a table
    has for it, None when it has no row. Captions stay as they were written, but for white space around those of texts
    and tables; all of them can be encoded as UTF-8.
    """
    if spec.only:
        return spec.instance_prompts
    found = _source(path, spec, text, given)
    if isinstance(found, Refusal):
        return found
    found = _worked(found, spec)
    if isinstance(found, Refusal) or not spec.prepend or spec.strategy == "instanceprompt":
        return found
    return tuple(f"{prompt} {caption}" for prompt in spec.instance_prompts for caption in found)


def _source(path: str, spec: CaptionSpec, text: bytes | None, given: Sequence[str] | None) -> tuple[str, ...] | Refusal:
    match spec.strategy:
        case "instanceprompt":
            return spec.instance_prompts
        case "filename":
            return _from_name(path)
        case "textfile":
            return _from_text(path, spec, text)
        case "table":
            found = _stripped(given or ())
            return found or (_from_name(path) if spec.fallback_to_filename else _no_row(given))
        case _:
            assert_never(spec.strategy)


def _worked(found: tuple[str, ...], spec: CaptionSpec) -> tuple[str, ...] | Refusal:
    if spec.filters:
        filtered = (apply_filters(caption, spec.filters) for caption in found)
        found = tuple(caption for caption in filtered if caption)
        if not found:
            return Refusal(
                "its captions are empty after caption_filter_list", "write more into them, or loosen the filters"
            )
    if not _is_text(found):
        return Refusal("its caption holds half a character (a lone surrogate)", "write the caption again, as UTF-8")
    if spec.shuffle is None:
        return found
    return tuple(variant for caption in found for variant in shuffled(caption, spec.shuffle))


def _from_name(path: str) -> tuple[str, ...]:
    return (_stem(path.rpartition("/")[2]).replace("_", " "),)


def _from_text(path: str, spec: CaptionSpec, text: bytes | None) -> tuple[str, ...] | Refusal:
    name = text_path(path).rpartition("/")[2]
    if text is None:
        return Refusal(
            f"its caption file is missing: {name}", 'write it, or use another caption_strategy, such as "filename"'
        )
    if len(text) > LONGEST_TEXT:
        return Refusal(f"its caption file is larger than 1 MiB: {name}", "keep only the caption in it")
    try:
        whole = _decode(text)
    except UnicodeDecodeError as error:
        return Refusal(f"its caption file is not UTF-8: {name}, byte {error.start}", "save the text as UTF-8")
    if "\0" in whole:
        # UTF-16 without its mark looks like this, and would be trained letter by letter.
        return Refusal(f"its caption file holds NUL characters: {name}", "save the text as UTF-8")
    lines = lines_of(whole) if spec.split_lines else ["\n".join(lines_of(whole))]
    return _stripped(lines) or Refusal(f"its caption file is empty: {name}", "write a caption into it")


def _no_row(given: Sequence[str] | None) -> Refusal:
    cure = "add it to the table, or use another caption_strategy"
    if given is None:
        return Refusal("the table has no row for it", cure)
    return Refusal("its caption in the table is empty", cure)


def _stripped(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(stripped for text in texts if (stripped := text.strip()))


def _is_text(texts: Sequence[str]) -> bool:
    """Whether all can be written as UTF-8: JSON and file names may hold halves of surrogate pairs."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def _decode(text: bytes) -> str:
    """UTF-8 with or without a byte order mark, or UTF-16 with one, as Windows editors write it."""
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return text.decode("utf-16")
    return text.decode("utf-8-sig")
