"""What has to be read of one picture file to know whether and how it can be used. Runs in threads."""

from __future__ import annotations

from pathlib import PurePosixPath
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

    ``text`` is the path of its caption file at ``text_version``, which is "" when there is none; "" when nobody asks.
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
        return known is None or self._lacks_header(known) or self._lacks_text(known) or self._lacks_focus(known)

    def run(self, source: Source) -> Known:
        """Read what is missing. A picture that cannot be used comes back with the reason."""
        known = self.known or Known(self.version)
        if self._lacks_header(known):
            known = self._header(source, known)
        if self._lacks_text(known):
            known = self._text(source, known)
        if self._lacks_focus(known):
            known = self._focus(source, known)
        return known

    def sized(self, known: Known) -> Known:
        """``known`` with the size that a table says, which is not kept: it may say another one the next time."""
        size = self.facts.size
        return known if size is None or known.reason else known._replace(width=size.width, height=size.height)

    def _lacks_header(self, known: Known) -> bool:
        return not known.width and not known.reason and self.facts.size is None

    def _lacks_text(self, known: Known) -> bool:
        return bool(self.text) and known.text_version != self.text_version

    def _lacks_focus(self, known: Known) -> bool:
        return self.face and not known.focus and not known.reason

    def _header(self, source: Source, known: Known) -> Known:
        try:
            header = checked_header(source, self.path)
        except PictureError as error:
            return self._refused(known, error)
        return known._replace(width=header.size.width, height=header.size.height, animated=header.animated)

    def _refused(self, known: Known, error: PictureError) -> Known:
        """What was found wrong; what may be well the next time is not remembered."""
        version = unsettled(self.version) if error.passing else self.version
        return known._replace(version=version, reason=error.reason, cure=error.cure or "replace or remove the file")

    def _text(self, source: Source, known: Known) -> Known:
        missing = known._replace(text=None, text_version="")
        if not self.text_version:
            return missing
        try:
            with source.open(self.text) as stream:
                # One byte more than is allowed says that it is too long, and a huge file is not read to know it.
                return known._replace(text=stream.read(LONGEST_TEXT + 1), text_version=self.text_version)
        except FileNotFoundError:
            # It vanished since it was listed.
            return missing
        except OSError as error:
            return missing if known.reason else self._refused(missing, _unread_text(self.text, error))

    def _focus(self, source: Source, known: Known) -> Known:
        try:
            focus = find_focus(open_rgb(source.read(self.path)))
        except PictureError as error:
            return self._refused(known, error)
        return known._replace(focus=f"{focus[0]:.4f},{focus[1]:.4f}" if focus else _NO_FACE)


def _unread_text(text: str, error: OSError) -> UnreachableError:
    return UnreachableError(
        f"its caption file {PurePosixPath(text).name} cannot be read ({_said(error)})",
        cure="check the network and that the file may be read, then start again",
    )


def _said(error: OSError) -> str:
    """What the system says, without the path; what a source says, which has no number of the system."""
    return error.strerror or str(error) or type(error).__name__


def focus_of(known: Known) -> tuple[float, float] | None:
    """Where a face was found, as fractions of width and height; None when there is none or nobody looked."""
    if known.focus in ("", _NO_FACE):
        return None
    across, down = known.focus.split(",")
    return float(across), float(down)


def checked_header(source: Source, path: str) -> Header:
    """The header; a picture whose end is not where it should be is decoded to see whether it is truncated.

    Raises :class:`PictureError`; where a source had one of its own, that one.
    """
    try:
        with source.open(path) as stream:
            header = read_header(stream)
    except OSError as error:
        if isinstance(error.__cause__, PictureError):
            raise error.__cause__ from None
        cure = "check that it exists and may be read"
        raise UnreachableError(f"cannot be read ({_said(error)})", cure=cure) from error
    if not header.complete:
        open_rgb(source.read(path))
    return header
