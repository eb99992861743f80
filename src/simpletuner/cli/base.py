"""The base model that a command line names, before torch is imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from simpletuner.assemble.commands.arguments import Base
from simpletuner.cli.early import named_source
from simpletuner.core.errors import ConfigError
from simpletuner.models.catalogue import family_facts
from simpletuner.models.source import BASE_MODEL, BASE_REVISION, is_commit

_FAMILY = "omnigen"
_SAID = "modelspec.architecture"


def find_base(named: str | None, adapter: Path | None, cwd: Path) -> Base:
    """The model ``named``, else the one that the file ``adapter`` says it was trained on, else the usual one.

    Of the hub it is the commit that the file names, unless the model was ``named``.
    Raises ConfigError when there is none of that name.
    """
    facts = family_facts(_FAMILY)
    said = _said(adapter)
    name = named or _flavour(said) or facts.default_flavour
    try:
        source = named_source(name, facts, cwd)
    except ConfigError as error:
        raise ConfigError(error.reason, key="--model", cure=error.cure) from None
    flavour = facts.flavours.get(name) if source != cwd / name else None
    tiny = facts.flavours["tiny"]
    is_tiny = Path(source).resolve() == Path(tiny.source).resolve()
    builtin = flavour.builtin_negative if flavour is not None else not is_tiny
    commit = said.get(BASE_REVISION, "")
    is_known = named is None and said.get(BASE_MODEL) == str(source) and is_commit(commit)
    return Base(_FAMILY, name, source, builtin, commit if is_known else None)


def require_file(path: Path, key: str) -> None:
    """Refuse a path that is no file. Raises ConfigError."""
    if not path.is_file():
        reason = "is a folder" if path.is_dir() else "does not exist"
        raise ConfigError(reason, file=path, key=key, cure="check the path")


def adapter_file(path: Path) -> Path:
    """``path``, or the adapter in it where it is the folder of a run or a checkpoint. Raises ConfigError."""
    inside = path / "pytorch_lora_weights.safetensors"
    if path.is_dir() and not inside.is_file():
        cure = "name a .safetensors file, or the folder of a run or a checkpoint"
        raise ConfigError(f"holds no {inside.name}", file=path, key="--adapter", cure=cure)
    found = inside if path.is_dir() else path
    require_file(found, "--adapter")
    return found


def _said(adapter: Path | None) -> dict[str, str]:
    """The metadata of an adapter file; a file that cannot be read is refused where it is used."""
    if adapter is None:
        return {}
    try:
        with safe_open(adapter, "np") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError):
        return {}


def _flavour(said: Mapping[str, str]) -> str | None:
    flavour = said.get(_SAID, "").removeprefix(f"{_FAMILY}-").removesuffix("/lora")
    return flavour if flavour in family_facts(_FAMILY).flavours else None
