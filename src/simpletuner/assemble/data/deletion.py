"""`delete_unwanted_images` and `delete_problematic_images`: what alone removes a user's files, and only when told."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from pathlib import Path

from simpletuner.assemble.data.survey import Surveyed
from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.core.events import Emit, Notice
from simpletuner.data.entries import Cause, Dropped, PictureError
from simpletuner.data.files.headers import read_header
from simpletuner.data.files.images import open_rgb
from simpletuner.data.files.sift import unfit
from simpletuner.data.sources.folder import FolderSource
from simpletuner.data.sources.kinds import PICTURE_SUFFIXES, suffix

_NAMED = 3
_GONE, _ASKED = "deleted", "would be deleted with --yes-delete; they stay"
# So begins what is said of a sound picture that would take too much memory or time.
_SOUND = "too "


def delete_dropped(
    found: Surveyed,
    emit: Emit,
    *,
    allowed: bool,
    others: Iterable[Surveyed] = (),
    unseen: Iterable[DatasetConfig] = (),
) -> None:
    """Delete the dropped files of a local folder that the data set's keys name, where ``allowed`` (`--yes-delete`).

    Without it they are told, and stay. So does a file that one of ``others`` (the data sets the run trains with) uses,
    every picture of ``unseen`` (those it does not look at, such as held-out ones), and what a link brings in from
    outside the folder. Raises OSError.
    """
    asked = {key: _confirmed(found, cause) for key, cause in _asked(found).items()}
    used = _listed(unseen) | _used((found, *others)) if any(asked.values()) else {}
    folder = Path(found.scanned.where)
    for key, files in asked.items():
        fates: dict[str, list[Dropped]] = defaultdict(list)
        for item in files:
            fates[_why_kept(folder, item.file, used) or (_GONE if allowed else _ASKED)].append(item)
        for item in fates[_GONE]:
            (folder / item.file).unlink(missing_ok=True)
        for fate, items in fates.items():
            if items:
                emit(Notice(_told(found.config.id, key, items, fate), level="warning"))


def _confirmed(found: Surveyed, cause: Cause) -> list[Dropped]:
    """The files that were dropped for ``cause``, as far as that is still so when they are looked at once more."""
    folder = Path(found.scanned.where)
    still = partial(_is_unfit, found) if cause == "size" else _is_damaged
    files = [item for item in (*found.scanned.dropped, *found.later) if item.cause == cause]
    return [item for item in files if still(folder / item.file)]


def _is_unfit(found: Surveyed, file: Path) -> bool:
    """Whether a file has a size that is refused: what a table or an index says deletes nothing."""
    try:
        with file.open("rb") as stream:
            size = read_header(stream).size
    except (OSError, PictureError):
        return False
    spec = found.arrangement.spec
    return unfit(size, spec.geometry, spec.known_sizes, found.around.maximum_edge) is not None


def _used(surveyed: Iterable[Surveyed]) -> dict[str, str]:
    """The real path of every local file that is used, as a picture or as the partner of one, and by which data set."""
    by_id = {made.config.id: made for made in surveyed if "://" not in made.scanned.where}
    real_folder = lru_cache(maxsize=None)(os.path.realpath)
    used: dict[str, str] = {}
    for name, made in by_id.items():
        partners = [(by_id[other], paths.values()) for other, paths in made.partners.items() if other in by_id]
        for owner, paths in ((made, made.scanned.table.paths), *partners):
            for path in paths:
                used.setdefault(_real(f"{owner.scanned.where}/{path}", real_folder), name)
    return used


def _listed(unseen: Iterable[DatasetConfig]) -> dict[str, str]:
    """The real path of every picture in the local folders of data sets that were not surveyed, and which has it."""
    folders = {dataset.id: dataset.instance_data_dir for dataset in unseen if dataset.type == "local"}
    return {
        os.path.realpath(folder / path): name
        for name, folder in folders.items()
        if folder is not None and folder.is_dir()
        for path in FolderSource.at(str(folder)).listing().pictures
    }


def _real(file: str, real_folder: Callable[[str], str]) -> str:
    """The real path of a file; a folder is asked once for all its files."""
    if Path(file).is_symlink():
        return os.path.realpath(file)
    folder, _, name = file.rpartition("/")
    return f"{real_folder(folder)}/{name}"


def _why_kept(folder: Path, file: str, used: Mapping[str, str]) -> str:
    """Why a file stays whatever is allowed, or ""."""
    user = used.get(str((folder / file).resolve()))
    if user is not None:
        return f'are kept: used by data set "{user}"'
    inside = (folder / file).parent.resolve().is_relative_to(folder.resolve())
    return "" if inside else "are kept: a link leads to them, outside the folder"


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


def _told(name: str, key: str, files: list[Dropped], fate: str) -> str:
    named = ", ".join(item.file for item in files[:_NAMED]) + (" ..." if len(files) > _NAMED else "")
    return f'data set "{name}", {key}: {len(files)} files {fate}: {named}'
