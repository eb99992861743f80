"""Which weights a run starts from. No torch here."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from simpletuner.config.load import LoadedRun
from simpletuner.core.errors import ConfigError
from simpletuner.models.facts import FamilyFacts, Flavour
from simpletuner.models.source import REVISION, HubCommit, Source

_REVISION = re.compile(r"\w[\w./+-]*")


@dataclass(frozen=True)
class Weights:
    """Where the model comes from: a folder or hub id, and what sampling does without a negative prompt.

    ``revision`` is what the user asked for of a hub id; ``commit`` the one that all of the model is loaded from, once
    it is known.
    """

    source: str | Path
    builtin_negative: bool
    revision: str | None = None
    commit: str | None = None

    @property
    def is_on_hub(self) -> bool:
        """Whether the hub has them, and not a folder."""
        return isinstance(self.source, str) and not Path(self.source).is_dir()

    @property
    def origin(self) -> Source:
        """What the parts of the model are loaded from."""
        return self.source if self.commit is None else HubCommit(str(self.source), self.commit)


def choose_weights(loaded: LoadedRun, facts: FamilyFacts) -> Weights:
    """The flavour's weights, or those that ``pretrained_model_name_or_path`` names (a flavour's name works too).

    Raises ConfigError for a revision that is none, or is asked of a folder.
    """
    weights = _named(loaded, facts)
    revision = loaded.config.model.pretrained_model_revision
    if revision is None:
        return weights
    if not weights.is_on_hub:
        raise ConfigError(
            f"'{revision}' would be a revision on the hub, but the weights are in the folder {weights.source}",
            file=loaded.place_of(REVISION),
            key=REVISION,
            cure="leave it out, or name a hub id in pretrained_model_name_or_path",
        )
    if not _REVISION.fullmatch(revision) or ".." in revision:
        reason, cure = f"'{revision}' cannot be the name of a revision", "a branch, a tag or a commit of the repository"
        raise ConfigError(reason, file=loaded.place_of(REVISION), key=REVISION, cure=cure)
    return replace(weights, revision=revision)


def _named(loaded: LoadedRun, facts: FamilyFacts) -> Weights:
    model = loaded.config.model
    flavour = facts.flavour(model.model_flavour)
    named = model.pretrained_model_name_or_path
    if named is None:
        return Weights(flavour.source, flavour.builtin_negative)
    by_name: Flavour | None = facts.flavours.get(named)
    if by_name is not None and not Path(named).exists():
        return Weights(by_name.source, by_name.builtin_negative)
    return Weights(named, flavour.builtin_negative and not _is_tiny(named, facts))


def _is_tiny(named: str, facts: FamilyFacts) -> bool:
    return Path(named).resolve() == Path(facts.flavours["tiny"].source).resolve()
