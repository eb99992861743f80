"""A message as the bytes of one POST. Pictures are read and encoded here, on the sender's thread."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from PIL import Image

from simpletuner.config.files.webhooks import Kind
from simpletuner.observe.webhook.message import Drawing, Message, Pixels

_log = logging.getLogger(__name__)
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Body:
    """The bytes, and the header that says what they are."""

    content: bytes = field(repr=False)
    content_type: str


def body_of(message: Message, kind: Kind) -> Body:
    """JSON for a raw receiver, a form with files for Discord. A picture that cannot be read is left out."""
    pictures = tuple(_pngs(message.drawings))
    return _form(message, pictures) if kind == "discord" else _json(message, pictures)


def _pngs(drawings: tuple[Drawing, ...]) -> Iterator[bytes]:
    for drawing in drawings:
        try:
            yield png(drawing)
        except (OSError, ValueError) as error:
            _log.debug("a picture is not sent: %s", error)


def png(drawing: Drawing) -> bytes:
    """A picture as PNG: a PNG file as it lies on the disk, anything else encoded anew.

    Raises OSError for a file that cannot be read and ValueError for pixels that are too few.
    """
    if isinstance(drawing, Pixels):
        return _encoded(Image.frombytes("RGB", (drawing.width, drawing.height), drawing.rgb))
    return _of_file(drawing)


def _of_file(path: Path) -> bytes:
    content = path.read_bytes()
    if content.startswith(_PNG):
        return content
    with Image.open(io.BytesIO(content)) as image:
        return _encoded(image.convert("RGB"))


def _encoded(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    # Fast rather than small: the run shares its processor with this thread.
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _json(message: Message, pictures: tuple[bytes, ...]) -> Body:
    """The pictures are put in as bytes: to spell a long text letter by letter would hold up the training thread."""
    fields = {**message.fields, **({"images": []} if message.drawings else {})}
    head = json.dumps(fields, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    if message.drawings:
        texts = b",".join(b'"' + base64.b64encode(picture) + b'"' for picture in pictures)
        head = head.removesuffix(b"]}") + texts + b"]}"
    return Body(head, "application/json")


def _form(message: Message, pictures: tuple[bytes, ...]) -> Body:
    edge = uuid4().hex
    parts = [_part(edge, 'name="content"', str(message.fields["content"]).encode("utf-8", "replace"))]
    for number, picture in enumerate(pictures):
        name = f'name="file{number}"; filename="image{number}.png"\r\nContent-Type: image/png'
        parts.append(_part(edge, name, picture))
    return Body(b"".join((*parts, f"--{edge}--\r\n".encode())), f"multipart/form-data; boundary={edge}")


def _part(edge: str, name: str, content: bytes) -> bytes:
    return f"--{edge}\r\nContent-Disposition: form-data; {name}\r\n\r\n".encode() + content + b"\r\n"
