"""What has to be read of one picture file to know whether and how it can be used. Runs in threads."""

from __future__ import annotations

from typing import NamedTuple

from simpletuner.data.captions.candidates import LONGEST_TEXT
from simpletuner.data.entries import PictureError, UnreachableError
from simpletuner.data.files.faces import find_focus
from simpletuner.data.files.headers import Header, read_header
from simpletuner.data.files.images import open_rgb
from simpletuner.data.files.index import Known
from simpletuner.data.files.versions import unsettled
from simpletuner.data.sources.base import NO_FACTS, Facts, Source

_NO_FACE = "none"


class Probe(NamedTuple):
    """One file to read, and what of it: ``known`` is what the index has, None for a new or changed file.

    ``text`` is the path of its caption file, "" for none, at ``text_version``.
    """

    path: str
    version: str
    known: Known | None
    text: str = ""
    text_version: str = ""
    face: bool = False
    facts: Facts = NO_FACTS

    @property
    def needed(self) -> bool:
        """Whether anything has to be read at all."""
        known = self.known
        return known is None or known.text_version != self.text_version or (self.face and not known.focus)

    def run(self, source: Source) -> Known:
        """Read what is missing. A picture that cannot be used comes back with the reason."""
        known = self.known or self._header(source)
        if known.text_version != self.text_version:
            known = self._text(source, known)
        if self.face and not known.focus and not known.reason:
            known = self._focus(source, known)
        return known

    def _header(self, source: Source) -> Known:
        if self.facts.size is not None:
            return Known(self.version, self.facts.size.width, self.facts.size.height)
        try:
            header = checked_header(source, self.path)
        except PictureError as error:
            version = unsettled(self.version) if error.passing else self.version
            return Known(version, reason=error.reason, cure=error.cure or "replace or remove the file")
        return Known(self.version, header.size.width, header.size.height, header.animated)

    def _text(self, source: Source, known: Known) -> Known:
        try:
            with source.open(self.text) as stream:
                # One byte more than is allowed says that it is too long, and a huge file is not read to know it.
                return known._replace(text=stream.read(LONGEST_TEXT + 1), text_version=self.text_version)
        except OSError:
            # It vanished since it was listed; the caption is missing then.
            return known._replace(text=None, text_version="")

    def _focus(self, source: Source, known: Known) -> Known:
        try:
            focus = find_focus(open_rgb(source.read(self.path)))
        except PictureError as error:
            return known._replace(reason=error.reason, cure=error.cure or "replace or remove the file")
        return known._replace(focus=f"{focus[0]:.4f},{focus[1]:.4f}" if focus else _NO_FACE)


def focus_of(known: Known) -> tuple[float, float] | None:
    """Where a face was found, as fractions of width and height; None when there is none or nobody looked."""
    if known.focus in ("", _NO_FACE):
        return None
    across, down = known.focus.split(",")
    return float(across), float(down)


def checked_header(source: Source, path: str) -> Header:
    """The header; a picture whose end is not where it should be is decoded to see whether it is truncated."""
    try:
        with source.open(path) as stream:
            header = read_header(stream)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UnreachableError(f"cannot be read ({reason})", cure="check that it exists and may be read") from error
    if not header.complete:
        open_rgb(source.read(path))
    return header
