"""Weights from a folder in diffusers layout or from the hub, with errors a user can act on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from diffusers.utils import logging as diffusers_logging

from simpletuner.core.downloads import fetched_folder, require_whole
from simpletuner.core.errors import ConfigError
from simpletuner.core.hub import why_unreachable
from simpletuner.models.source import HubCommit, Source

_KEY = "pretrained_model_name_or_path"
_T_co = TypeVar("_T_co", covariant=True)


class Pretrained(Protocol[_T_co]):
    """A class of diffusers or transformers that loads itself."""

    @classmethod
    def from_pretrained(cls, source: str, **options: object) -> _T_co:
        """Load from ``source``."""
        ...


def load_pretrained(
    kind: Pretrained[_T_co], source: Source, subfolder: str, dtype: torch.dtype | None, **extra: object
) -> _T_co:
    """One component of ``source``: safetensors only, no remote code. Without the hub, what was fetched before.

    Raises ConfigError when the folder or the hub repository does not hold it, or a file is not what the hub has.
    """
    options: dict[str, object] = {"subfolder": subfolder, **extra}
    place = str(source)
    if isinstance(source, HubCommit):
        place, options["revision"] = source.repository, source.commit
    if dtype is not None:
        options |= {"torch_dtype": dtype, "use_safetensors": True}
    alone = None if Path(place).is_dir() else why_unreachable()
    if alone is not None:
        options["local_files_only"] = True
    _require_whole(source, subfolder)
    try:
        with warnings.catch_warnings():
            # diffusers hands the hub's client an argument that it has given up.
            warnings.filterwarnings("ignore", "The `local_dir_use_symlinks` argument", UserWarning)
            loaded = kind.from_pretrained(place, **options)
    except (OSError, ValueError) as error:
        _require_whole(source, subfolder)
        said = _first_line(error) if alone is None else f"it was not fetched before, and {alone}"
        raise ConfigError(
            f"cannot load '{subfolder}' from '{source}': {said}",
            key=_KEY,
            cure="give a folder in diffusers layout or a hub id you can reach (`hf auth login`, HF_ENDPOINT); "
            "the bundled tiny model (model_flavour=tiny, --model tiny) needs neither",
        ) from error
    # Now those that were fetched just now.
    _require_whole(source, subfolder)
    return loaded


def _require_whole(source: Source, subfolder: str) -> None:
    """Refuse files of ``source`` on this machine that are not what the hub has. Raises ConfigError."""
    if isinstance(source, HubCommit):
        folder = fetched_folder(source.repository, source.commit)
    else:
        folder = Path(source) if Path(source).is_dir() else fetched_folder(str(source), None)
    require_whole(folder / subfolder, _KEY)


def load_checked(kind: Any, source: Source, subfolder: str, dtype: torch.dtype, computed: frozenset[str]) -> Any:
    """A diffusers model every weight of which was in the file, but for ``computed`` ones that are formulas.

    diffusers fills a missing weight with random numbers and a warning; here it is a ConfigError.
    """
    with quiet_diffusers():
        model, info = load_pretrained(kind, source, subfolder, dtype, output_loading_info=True)
    if missing := sorted(set(info["missing_keys"]) - computed):
        raise ConfigError(
            f"'{subfolder}' of '{source}' lacks {len(missing)} weights, the first is {missing[0]}",
            key=_KEY,
            cure="the download is incomplete or the folder holds another model",
        )
    return model


@contextmanager
def quiet_diffusers() -> Iterator[None]:
    """Remarks of diffusers are about things that are meant; what matters is checked and raised."""
    former = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity_error()
    try:
        yield
    finally:
        diffusers_logging.set_verbosity(former)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
