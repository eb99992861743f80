"""What a refusal depends on beside the file: one that was made under other rules is not believed."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files

import PIL

from simpletuner.data.files import room

_CODE = ("simpletuner.data.files", "simpletuner.data.sources")


def refusal_rules() -> str:
    """Text that changes with our code that reads pictures, with Pillow, and with the memory that a picture may take.

    The code counts whole, so that nobody has to think of raising a number. A change that refuses nothing else costs
    little: what was refused is read once more.
    """
    code = sha256()
    for package in _CODE:
        for file in sorted(files(package).iterdir(), key=lambda file: file.name):
            if file.name.endswith(".py"):
                code.update(file.read_bytes())
    return f"code {code.hexdigest()[:16]}, Pillow {PIL.__version__}, {room.MEMORY} bytes"
