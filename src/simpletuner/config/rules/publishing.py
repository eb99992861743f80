"""What can be wrong with the options of publishing, and what follows from them. All pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from simpletuner.config.reading.fill import Source
from simpletuner.config.reading.scripts import script_problem
from simpletuner.config.run import RunConfig
from simpletuner.core.errors import ConfigError

_URL = re.compile(r"https?://[^/]+/")
_LONGEST = 96
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?")
_OF_HUB = (
    *("push_checkpoints_to_hub", "push_to_hub_background", "hub_model_id"),
    *("model_card_private", "model_card_safe_for_work", "model_card_note"),
)


def repository(config: RunConfig) -> str:
    """The hub's name for the result, ``name`` or ``owner/name``: as given, else that of the project."""
    given = config.publishing.hub_model_id
    if given is None:
        return re.sub(r"-{2,}|\.{2,}", "-", re.sub(r"[^A-Za-z0-9._-]+", "-", config.report.tracker_project_name)).strip(
            "-."
        )
    path = _URL.sub("", given, count=1).strip("/")
    # What follows in the address of a page, /tree/main for one, is no part of the name.
    return "/".join(path.split("/")[:2]) if _URL.match(given) else path


def publishing_problems(config: RunConfig, source: Source) -> Iterator[ConfigError]:
    """A repository that the hub does not take, an upload of checkpoints alone, a command that cannot be started."""
    ours = config.publishing
    if ours.push_to_hub and (reason := _refused_name(repository(config))):
        key = "tracker_project_name" if ours.hub_model_id is None else "hub_model_id"
        yield source.problem(key, reason, 'write "hub_model_id": "owner/my-model"')
    if ours.push_checkpoints_to_hub and not ours.push_to_hub:
        cure = 'add "push_to_hub": true'
        yield source.problem("push_checkpoints_to_hub", "works with push_to_hub only", cure)
    if ours.post_upload_script and (found := script_problem(ours.post_upload_script, after_upload=True)):
        yield source.problem("post_upload_script", *found)


def _refused_name(name: str) -> str | None:
    parts = name.split("/")
    wrong = [part for part in parts if not _NAME.fullmatch(part) or "--" in part or ".." in part]
    if len(parts) > 2 or wrong or name.endswith(".git"):
        return f"'{name}' is no name of a repository: letters, digits, '-', '_' and '.', after 'owner/' or alone"
    if len(name) > _LONGEST:
        return f"'{name}' is longer than {_LONGEST} characters"
    return None


def publishing_notices(config: RunConfig, given: Collection[str]) -> Iterator[str]:
    """Options that the others leave without a reader."""
    ours = config.publishing
    if not ours.push_to_hub:
        idle = [name for name in _OF_HUB if name in given]
        if idle:
            yield f"not read: {', '.join(idle)} (push_to_hub is off)"
    elif ours.push_to_hub_background and not ours.push_checkpoints_to_hub:
        yield "not read: push_to_hub_background (push_checkpoints_to_hub is off, and the run waits for the last upload)"
    if config.model.model_type == "full" and ours.modelspec_comment is not None:
        yield "not read: modelspec_comment (model_type full has no adapter file)"
