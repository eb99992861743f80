"""The folder that goes to the hub: what other programs read, without the state that only a resume needs.

Files are linked, not copied: that costs no room, and no upload minds when the checkpoint that it came from is removed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from simpletuner.core.files import files_below, remove_folder, write_text

CARD = "README.md"
CONFIG = "simpletuner_config.json"
ASSETS = "assets"
# A checkpoint keeps its average under a name of its own, and the adapter's configuration once, for both.
_RENAMED = {"ema/ema_model.safetensors": "ema/pytorch_lora_weights.safetensors"}
_ADAPTER_CONFIG, _EMA = "lycoris_config.json", "ema"
_WEIGHTS = ("pytorch_lora_weights.safetensors", _ADAPTER_CONFIG, "transformer", _EMA)


@dataclass(frozen=True)
class Bundle:
    """What is uploaded together: the weights of ``source`` (an output folder or a checkpoint), texts by their names,
    and pictures, which become ``assets/image_<n>``: as they are, or where they are among ``cut``, as that writes them.
    """

    source: Path
    texts: Mapping[str, str]
    pictures: Sequence[Path] = ()
    cut: Mapping[Path, Callable[[Path], None]] = field(default_factory=dict)


def asset_name(number: int, picture: Path) -> str:
    """What the picture is called in the repository."""
    return f"{ASSETS}/image_{number}{picture.suffix}"


def lay_out(bundle: Bundle, folder: Path, inner: Sequence[str] = ("",)) -> None:
    """Make ``folder`` anew with the bundle in it, once in each of the ``inner`` folders; "" is the root.

    Raises OSError.
    """
    remove_folder(folder)
    for below in inner:
        for name, file in _files(bundle):
            _link(file, folder / below / name)
        for number, picture in enumerate(bundle.pictures):
            target = folder / below / asset_name(number, picture)
            target.parent.mkdir(parents=True, exist_ok=True)
            bundle.cut.get(picture, partial(_link, picture))(target)
        for name, text in bundle.texts.items():
            write_text(folder / below / name, text, durable=False)


def _files(bundle: Bundle) -> Iterator[tuple[str, Path]]:
    for part in _WEIGHTS:
        path = bundle.source / part
        if path.is_dir():
            names = ((f"{part}/{file.relative_to(path)}", file) for file in files_below(path))
            yield from ((_RENAMED.get(name, name), file) for name, file in names)
        elif path.is_file():
            yield part, path
    config = bundle.source / _ADAPTER_CONFIG
    if config.is_file() and (bundle.source / _EMA).is_dir() and not (bundle.source / _EMA / _ADAPTER_CONFIG).exists():
        yield f"{_EMA}/{_ADAPTER_CONFIG}", config


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        # Some file systems have no links.
        shutil.copyfile(source, target)


def size_of(folder: Path) -> int:
    """Bytes below ``folder``."""
    return sum(file.stat().st_size for file in files_below(folder))


def everything(output_dir: Path, left_out: Sequence[str]) -> tuple[str, ...]:
    """What goes to a store: all files of an output folder but hidden ones and the folders ``left_out``.

    Paths are relative to it. A manifest comes after all else, so that a checkpoint that has one there is whole.
    """
    found = [str(file.relative_to(output_dir)) for file in files_below(output_dir)]
    kept = [name for name in found if not _is_hidden(name) and Path(name).parts[0] not in left_out]
    return tuple(sorted(kept, key=lambda name: (Path(name).name == "manifest.json", name)))


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in Path(name).parts)
