"""Where the files of a CLIP lie: a folder, or the hub, from which they are fetched before anything trains. No torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import snapshot_download

from simpletuner.config.reading.read import read_object
from simpletuner.core.downloads import require_whole
from simpletuner.core.errors import ConfigError
from simpletuner.core.hub import why_unreachable

KEY = "pretrained_evaluation_model_name_or_path"
DEFAULT = "openai/clip-vit-large-patch14-336"
FALLBACK = "openai/clip-vit-large-patch14"
"""What stands in for a repository without safetensors: nothing is unpickled here."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.\-]*/[A-Za-z0-9][\w.\-]*")
_WEIGHTS = "model*.safetensors"
_WANTED = ("*.json", "*.txt", _WEIGHTS)
_PARTS = ("config.json", "preprocessor_config.json", "tokenizer_config.json")


@dataclass(frozen=True)
class FoundClip:
    """The folder of a CLIP, and the commits of the repositories that were asked for it, by repository."""

    folder: Path
    commits: Mapping[str, str] = field(default_factory=dict)


def find_clip(
    named: str,
    cwd: Path,
    tell: Callable[[str], None],
    commits: Mapping[str, str] | None = None,
    hub_cache: Path | None = None,
) -> FoundClip:
    """The CLIP ``named``: a folder below ``cwd``, or what the hub has of that name, at the commit in ``commits``.

    A repository without safetensors is replaced by ``FALLBACK``, which ``tell`` hears; ``hub_cache`` None is the
    hub's own. Raises ConfigError when there is no such CLIP, it cannot be fetched, or a file is not what the hub has.
    """
    require_clip_name(named, cwd)
    folder = cwd / named
    if folder.exists():
        require_whole(folder, KEY)
        return FoundClip(_whole(folder, named))
    known = commits or {}
    found = _fetched(named, known.get(named), hub_cache)
    used = {named: found.name}
    if any(found.glob(_WEIGHTS)):
        return FoundClip(_whole(found, named), used)
    if named == FALLBACK:
        raise _problem(f"'{named}' has no {_WEIGHTS}", f"fetch it again: `hf download {FALLBACK}`")
    tell(f"{KEY}: '{named}' has no weights in safetensors, scores are {FALLBACK}'s")
    found = _fetched(FALLBACK, known.get(FALLBACK), hub_cache)
    return FoundClip(_whole(found, FALLBACK), used | {FALLBACK: found.name})


def require_clip_name(named: str, cwd: Path) -> None:
    """Refuse what is neither a folder with a CLIP nor the form of a hub id. Asks nobody. Raises ConfigError."""
    folder = cwd / named
    if folder.exists():
        _whole(folder, named)
    elif not _HUB_ID.fullmatch(named):
        raise _problem(f"there is no folder '{named}'", f"give a folder with a CLIP, or a hub id such as {FALLBACK}")


def _whole(folder: Path, named: str) -> Path:
    """``folder``, which holds what it takes to score."""
    missing = [part for part in _PARTS if not (folder / part).is_file()]
    missing += [] if any(folder.glob(_WEIGHTS)) else ["model.safetensors"]
    if missing:
        raise _problem(f"'{named}' lacks {', '.join(missing)}", "give a CLIP as transformers saves it, in safetensors")
    kind = read_object(folder / "config.json").get("model_type")
    if kind != "clip":
        raise _problem(f"'{named}' is a model of type '{kind}', not a CLIP", f"for example {FALLBACK}")
    return folder


def _fetched(named: str, commit: str | None, hub_cache: Path | None) -> Path:
    """The folder of ``commit`` of the repository ``named``, of its newest for None; it has the commit for a name."""
    alone = why_unreachable()
    try:
        wanted, is_alone = list(_WANTED), alone is not None
        found = snapshot_download(
            named, revision=commit, allow_patterns=wanted, cache_dir=hub_cache, local_files_only=is_alone
        )
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        said = first if alone is None else f"it was not fetched before, and {alone}"
        cure = (
            "give a hub id you can reach (`hf auth login`, HF_ENDPOINT), a folder, or evaluation_type=none; "
            f"fetched once with `hf download {named}` it needs no network"
        )
        raise _problem(f"cannot fetch '{named}': {said}", cure) from error
    require_whole(Path(found), KEY)
    return Path(found)


def _problem(reason: str, cure: str) -> ConfigError:
    return ConfigError(reason, key=KEY, cure=cure)
