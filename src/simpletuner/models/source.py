"""Where a model's files are: a folder, or one commit of a repository of the hub. No torch here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError, RevisionResolutionError

from simpletuner.core.errors import ConfigError
from simpletuner.core.hub import why_unreachable

REVISION = "pretrained_model_revision"
BASE_MODEL, BASE_REVISION = "base_model", "base_model_revision"
"""What the metadata of an adapter file calls the repository and the commit that it was trained over."""
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubCommit:
    """One state of a repository of models, for good: ``commit`` has 40 hexadecimal digits."""

    repository: str
    commit: str

    def __str__(self) -> str:
        """As messages name it."""
        return f"{self.repository}@{self.commit}"


Source = str | Path | HubCommit
"""A folder in diffusers layout, a hub id, or a commit of one."""


def is_commit(text: str) -> bool:
    """Whether ``text`` is a whole commit, and not a branch or a tag, which may move."""
    return _COMMIT.fullmatch(text) is not None


def find_commit(repository: str, revision: str | None) -> str:
    """The commit that a branch or tag of ``repository`` is at; None is its main branch, a commit is itself.

    Where the hub cannot be asked, the commit that was fetched last. Raises ConfigError when there is none.
    """
    if revision is not None and is_commit(revision):
        return revision
    alone = why_unreachable()
    try:
        found = HfApi().resolve_revision(repository, revision=revision, local_files_only=alone is not None)
    except RevisionNotFoundError as error:
        cure = f"a branch, a tag or a commit of {constants.ENDPOINT}/{repository}/commits/main"
        raise ConfigError(f"'{repository}' has no revision '{revision}'", key=REVISION, cure=cure) from error
    except (OSError, ValueError, RevisionResolutionError) as error:
        raise _not_found(repository, revision, error, alone) from error
    return found.resolved


def _not_found(repository: str, revision: str | None, error: Exception, alone: str | None) -> ConfigError:
    if isinstance(error, RevisionResolutionError) and alone is not None:
        said = f"it was not fetched before, and {alone}"
    elif isinstance(error, RepositoryNotFoundError):
        said = f"{constants.ENDPOINT} has no such model, or none for you"
    else:
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
    named = f"'{repository}'" if revision is None else f"revision '{revision}' of '{repository}'"
    return ConfigError(
        f"cannot load {named}: {said}",
        key="pretrained_model_name_or_path",
        cure="give a folder in diffusers layout or a hub id you can reach (`hf auth login`, HF_ENDPOINT); "
        "the bundled tiny model (model_flavour=tiny, --model tiny) needs neither",
    )
