"""The one door to uploads to the hub: ``python -m simpletuner.observe.publish.hub``, see :mod:`.child`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from httpx2 import HTTPError
from huggingface_hub import HfApi, constants, get_session, get_token
from huggingface_hub.errors import HfHubHTTPError

from simpletuner.observe.publish.child import Door, serve
from simpletuner.observe.publish.job import Answer, Job

# Seconds without a byte from the hub; the library itself would wait for ever.
_SILENCE = 60.0
_REFUSALS = (401, 403)
_FIRST_SERVER_ERROR = 500


def login(job: Job) -> Answer:
    """Who is logged in, as ``where``. One try: the run is about to begin, and the hub may be back when it ends."""
    del job
    if constants.HF_HUB_OFFLINE:
        return Answer("offline", "HF_HUB_OFFLINE is set")
    if get_token() is None:
        return Answer("no_login", "nobody is logged in")
    get_session().timeout = _SILENCE / 4
    found = HfApi().whoami()
    if _is_reader(found):
        return Answer("refused", "the token may only read")
    return Answer("done", where=str(found.get("name", "")))


def _is_reader(found: Mapping[str, Any]) -> bool:
    token = (found.get("auth") or {}).get("accessToken") or {}
    return bool(token.get("role") == "read")


def push(job: Job) -> Answer:
    """Make the repository where there is none, and put the folder into it as one commit. ``where`` is its page."""
    get_session().timeout = _SILENCE
    api = HfApi()
    made = api.create_repo(job.target, private=job.facts["private"] == "true", exist_ok=True)
    note = _note(api, made.repo_id) if job.facts["private"] == "true" else ""
    api.upload_folder(
        repo_id=made.repo_id,
        folder_path=job.folder,
        commit_message=job.facts["message"],
        commit_description=job.facts["description"],
    )
    return Answer("done", note, where=f"{constants.ENDPOINT}/{made.repo_id}")


def _note(api: HfApi, repository: str) -> str:
    """What the user should know: the hub keeps a repository that is there as it is."""
    is_public = api.model_info(repository).private is False
    return f"{repository} was there and is public: model_card_private is for new repositories" if is_public else ""


def refusal(error: Exception) -> str | None:
    """Why the hub does not want an upload at all, where trying again is of no use; None when it may be of use."""
    status = _status(error)
    if status is None or status == 429 or status >= _FIRST_SERVER_ERROR:
        return None
    if status in _REFUSALS:
        return f"the hub refuses it ({status}): the token is wrong, or may not write there"
    return f"the hub refuses it ({_said(error)})"


def _status(error: BaseException | None) -> int | None:
    """The status of the hub's answer, which a library may have wrapped in errors of its own."""
    while error is not None:
        if isinstance(error, HfHubHTTPError) and error.response is not None:
            return int(error.response.status_code)
        error = error.__cause__ or error.__context__
    return None


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:300] or type(error).__name__


def mishap(error: Exception) -> str:
    """What went wrong this time, in a few words."""
    status = _status(error)
    return f"the hub answers {status}" if status is not None else f"{type(error).__name__}: {_said(error)}"


# What the library's own threads and its compiled part raise is a RuntimeError.
DOOR = Door({"login": login, "hub": push}, (HTTPError, OSError, RuntimeError, ValueError), refusal, mishap)

if __name__ == "__main__":
    serve(DOOR)
