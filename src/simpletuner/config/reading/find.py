"""Where the configuration of a run lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from simpletuner.config.problems import near
from simpletuner.config.reading.environment import with_env_files
from simpletuner.core.errors import ConfigError

EXAMPLES = Path(__file__).parents[2] / "examples"
BACKENDS = ("json", "toml", "env")
_DEFAULT = "default"
_ENVIRONMENT_VARIABLES = ("SIMPLETUNER_ENVIRONMENT", "SIMPLETUNER_ENV", "ENV")
_BACKEND_VARIABLES = ("SIMPLETUNER_CONFIG_BACKEND", "CONFIG_BACKEND", "CONFIG_TYPE")


@dataclass(frozen=True)
class Selection:
    """What the command line says about the configuration to take; at most one of the first three is given."""

    environment: str | None = None
    config_file: Path | None = None
    example: str | None = None
    backend: str | None = None


@dataclass(frozen=True)
class Found:
    """A configuration: its file (None when all options stand on the command line), format, name and folder.

    ``environ`` is the environment with the variables of the ``config.env`` files; ``unread`` are those beside it that
    belong to no choice of this configuration. ``origins`` says where options stand that are not in the file.
    """

    file: Path | None
    backend: str
    name: str
    folder: Path
    environ: Mapping[str, str]
    unread: tuple[Path, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)


def example_names() -> tuple[str, ...]:
    """The bundled examples, sorted."""
    return tuple(sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir() and not path.name.startswith("_")))


def example_folder(name: str) -> Path:
    """The folder of the bundled example ``name``. Raises ConfigError listing the examples there are."""
    if name not in example_names():
        hint = near(name, example_names())
        cure = hint or f"one of: {', '.join(example_names())}"
        raise ConfigError(f"there is no bundled example '{name}'", key="example", cure=cure)
    return EXAMPLES / name


def find_config(selection: Selection, cwd: Path, environ: Mapping[str, str]) -> Found:
    """The configuration that ``selection``, the environment and the folders give.

    Raises ConfigError that lists every path tried.
    """
    _require_one(selection)
    read = [cwd / "config" / "config.env"]
    environ = with_env_files(environ, read)
    name = _first(environ, _ENVIRONMENT_VARIABLES, selection.environment) or _DEFAULT
    if not _is_explicit(selection) and name != _DEFAULT:
        # SPEC 1.5: a folder's variables go with the name of an environment, and the other two choices have none.
        read.append(cwd / "config" / name / "config.env")
        environ = with_env_files(environ, read[1:])
    found = _find(selection, name, cwd, environ)
    beside = (found.folder / "config.env", cwd / "config" / found.name / "config.env")
    unread = [file for file in dict.fromkeys(beside) if file.is_file() and file not in (found.file, *read)]
    return replace(found, unread=tuple(unread))


def _find(selection: Selection, name: str, cwd: Path, environ: Mapping[str, str]) -> Found:
    backend = _backend(selection, environ)
    if selection.config_file is not None:
        return _given_file(selection.config_file, backend, cwd, environ)
    if selection.example is not None:
        return _search((example_folder(selection.example),), selection.example, backend, environ)
    if backend == "cmd":
        return Found(None, backend, name, cwd, environ)
    if environ.get("CONFIG_PATH") and not selection.environment and backend in (None, "json"):
        return _config_path(environ["CONFIG_PATH"], name, cwd, environ)
    return _search(_folders(name, cwd, environ), name, backend, environ)


def _require_one(selection: Selection) -> None:
    given = {"env": selection.environment, "config": selection.config_file, "example": selection.example}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ConfigError(f"{' and '.join(names)} exclude each other", file="command line", cure="give one of them")


def _is_explicit(selection: Selection) -> bool:
    return selection.config_file is not None or selection.example is not None


def _first(environ: Mapping[str, str], names: tuple[str, ...], given: str | None) -> str:
    return next((value for value in (given, *(environ.get(name) for name in names)) if value), "")


def _backend(selection: Selection, environ: Mapping[str, str]) -> str | None:
    backend = _first(environ, _BACKEND_VARIABLES, selection.backend).lower() or None
    if backend is not None and backend not in (*BACKENDS, "cmd"):
        cure = "json, toml, env or cmd"
        raise ConfigError(f"unknown format '{backend}'", key="config_backend", cure=cure)
    return backend


def _folders(name: str, cwd: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
    if name == _DEFAULT:
        return (cwd, cwd / "config")
    elsewhere = environ.get("SIMPLETUNER_CONFIG_DIR")
    return (
        cwd / name,
        cwd / "config" / name,
        _home(environ) / "config" / name,
        *((Path(elsewhere) / name,) if elsewhere else ()),
        EXAMPLES / name,
    )


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def _search(folders: tuple[Path, ...], name: str, backend: str | None, environ: Mapping[str, str]) -> Found:
    formats = BACKENDS if backend is None else (backend,)
    tried = [(folder / f"config.{kind}", kind) for folder in folders for kind in formats]
    for file, kind in tried:
        if file.is_file():
            return Found(file, kind, name, file.parent, environ)
    what = "no configuration was found" if name == _DEFAULT else f"there is no configuration named '{name}'"
    source = _source_of(name, environ)
    places = "".join(f"\n  tried {file}" for file, _ in tried)
    raise ConfigError(f"{what}{source}{places}", cure=_cure(name))


def _source_of(name: str, environ: Mapping[str, str]) -> str:
    variable = next((key for key in _ENVIRONMENT_VARIABLES if environ.get(key) == name), None)
    return f" (the name stands in the environment variable {variable})" if variable else ""


def _cure(name: str) -> str:
    example = example_names()[0] if example_names() else "NAME"
    if name == _DEFAULT:
        asked = "simpletuner configure asks for what is needed and writes config/config.json"
        return f"{asked}; or try a bundled one: simpletuner train --example {example}"
    return f"write config/{name}/config.json, or see the bundled ones: simpletuner examples list"


def _given_file(given: Path, backend: str | None, cwd: Path, environ: Mapping[str, str]) -> Found:
    file = cwd / _expand(str(given), environ)
    if file.is_dir():
        return _search((_require_config(file, backend),), file.name, backend, environ)
    if not file.is_file():
        raise ConfigError("there is no such file", file=file, key="config", cure="check the path given with --config")
    kind = backend or file.suffix.lstrip(".").lower()
    if kind not in BACKENDS:
        raise ConfigError("its name tells no format", file=file, cure="name it .json, .toml or .env")
    name = file.stem if file.stem != "config" else file.parent.name
    return Found(file, kind, name, file.parent, environ)


def _require_config(folder: Path, backend: str | None) -> Path:
    names = [f"config.{kind}" for kind in (BACKENDS if backend is None else (backend,))]
    if not any((folder / name).is_file() for name in names):
        cure = "name a folder that holds one, or the file itself"
        raise ConfigError(f"holds no {' and no '.join(names)}", file=folder, key="config", cure=cure)
    return folder


def _config_path(given: str, name: str, cwd: Path, environ: Mapping[str, str]) -> Found:
    path = cwd / _expand(given, environ)
    if path.is_dir():
        path /= "config.json"
    elif not path.suffix:
        path = path.with_name(f"{path.name}.json")
    if not path.is_file():
        cure = "unset it, or point it at a JSON file or its folder"
        raise ConfigError("CONFIG_PATH points at no file", file=path, key="CONFIG_PATH", cure=cure)
    return Found(path, "json", name, path.parent, environ)


def _expand(path: str, environ: Mapping[str, str]) -> str:
    return str(_home(environ) / path[2:]) if path.startswith("~/") else path


def locate(given: str, key: str, found: Found, cwd: Path) -> Path:
    """A file that an option names: a full path as it is, else beside the configuration, else below ``cwd``.

    Raises ConfigError that lists where it was looked for.
    """
    path = Path(_expand(given, found.environ))
    places = [path] if path.is_absolute() else list(dict.fromkeys((found.folder / path, cwd / path)))
    for place in places:
        if place.is_file():
            return place
    tried = "".join(f"\n  tried {place}" for place in places)
    reason = f"there is no file '{given}'{tried}"
    where = found.origins.get(key) or found.file or "command line"
    raise ConfigError(reason, file=where, key=key, cure="write the file, or correct the path")
