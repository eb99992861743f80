"""The captions a picture may be trained with (SPEC 3.9). One of them is drawn at each use, elsewhere."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, assert_never

from simpletuner.core.errors import ConfigError
from simpletuner.data.entries import Refusal

CaptionStrategy = Literal["filename", "textfile", "instanceprompt"]


@dataclass(frozen=True)
class CaptionSpec:
    """What decides captions. ``split_lines``: each line of a text file is a caption of its own."""

    strategy: CaptionStrategy = "filename"
    instance_prompts: tuple[str, ...] = ()
    prepend: bool = False
    only: bool = False
    split_lines: bool = True

    def __post_init__(self) -> None:
        """An instance prompt that is asked for must be there."""
        if (self.prepend or self.only or self.strategy == "instanceprompt") and not any(self.instance_prompts):
            raise ConfigError(
                "the captions need an instance prompt, and there is none", key="instance_prompt", cure="set it"
            )

    @property
    def reads_text(self) -> bool:
        """Whether a picture's text file is needed."""
        return self.strategy == "textfile" and not self.only


def text_path(path: str) -> str:
    """The text file beside a picture: the same stem with ``.txt``."""
    return str(PurePosixPath(path).with_suffix(".txt"))


def captions(path: str, spec: CaptionSpec, text: bytes | None = None) -> tuple[str, ...] | Refusal:
    """The candidate captions of the picture at ``path``, at least one; or why there is none.

    ``text`` is the content of its text file, None when there is no such file.
    """
    if spec.only:
        return spec.instance_prompts
    match spec.strategy:
        case "instanceprompt":
            return spec.instance_prompts
        case "filename":
            found: tuple[str, ...] | Refusal = (PurePosixPath(path).stem.replace("_", " "),)
        case "textfile":
            found = _from_text(path, spec, text)
        case _:
            assert_never(spec.strategy)
    if isinstance(found, Refusal) or not spec.prepend:
        return found
    return tuple(f"{prompt} {caption}" for prompt in spec.instance_prompts for caption in found)


def _from_text(path: str, spec: CaptionSpec, text: bytes | None) -> tuple[str, ...] | Refusal:
    name = PurePosixPath(text_path(path)).name
    if text is None:
        return Refusal(
            f"its caption file {name} is missing", 'write it, or use another caption_strategy, such as "filename"'
        )
    try:
        whole = _decode(text)
    except UnicodeDecodeError as error:
        return Refusal(f"its caption file {name} is not UTF-8 (byte {error.start})", "save the text as UTF-8")
    lines = whole.splitlines() if spec.split_lines else ["\n".join(whole.splitlines())]
    found = tuple(stripped for line in lines if (stripped := line.strip()))
    return found or Refusal(f"its caption file {name} is empty", "write a caption into it")


def _decode(text: bytes) -> str:
    """UTF-8 with or without a byte order mark, or UTF-16 with one, as Windows editors write it."""
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return text.decode("utf-16")
    return text.decode("utf-8-sig")
