"""`delete_unwanted_images` and `delete_problematic_images`: what alone removes a user's files, and only when told."""

from __future__ import annotations

from pathlib import Path

from simpletuner.assemble.survey import Surveyed
from simpletuner.core.events import Emit, Notice
from simpletuner.data.entries import Cause, Dropped, PictureError
from simpletuner.data.files.images import open_rgb
from simpletuner.data.sources.kinds import PICTURE_SUFFIXES, suffix

_NAMED = 3
# So begins what is said of a sound picture that would take too much memory or time.
_SOUND = "too "


def delete_dropped(found: Surveyed, emit: Emit, *, allowed: bool) -> None:
    """Delete the dropped files of a local folder that the data set's keys name, where ``allowed`` (`--yes-delete`).

    Without it they are told, and stay. Raises OSError.
    """
    for key, cause in _asked(found).items():
        folder = Path(found.scanned.where)
        files = [item for item in (*found.scanned.dropped, *found.later) if item.cause == cause]
        files = [item for item in files if cause != "unreadable" or _is_damaged(folder / item.file)]
        if not files:
            continue
        if allowed:
            for item in files:
                (folder / item.file).unlink(missing_ok=True)
        emit(Notice(_told(found.config.id, key, files, deleted=allowed), level="warning"))


def _is_damaged(file: Path) -> bool:
    """Whether a file that calls itself a picture of a format we read cannot be decoded, looked at once more.

    So nothing is deleted because a disk did not answer, a VAE gave no number, or another program is needed for it.
    """
    if suffix(file.name) not in PICTURE_SUFFIXES:
        return False
    try:
        content = file.read_bytes()
    except OSError:
        return False
    try:
        open_rgb(content)
    except PictureError as error:
        return not error.reason.startswith(_SOUND)
    return False


def _asked(found: Surveyed) -> dict[str, Cause]:
    config = found.config
    if config.type != "local" or "://" in found.scanned.where:
        return {}
    asked: dict[str, Cause] = {}
    if config.delete_unwanted_images:
        asked["delete_unwanted_images"] = "size"
    if config.delete_problematic_images:
        asked["delete_problematic_images"] = "unreadable"
    return asked


def _told(name: str, key: str, files: list[Dropped], *, deleted: bool) -> str:
    named = ", ".join(item.file for item in files[:_NAMED]) + (" ..." if len(files) > _NAMED else "")
    what = "deleted" if deleted else "would be deleted with --yes-delete; they stay"
    return f'data set "{name}", {key}: {len(files)} files {what}: {named}'
