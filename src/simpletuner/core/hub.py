"""Whether the hub answers. Asked once before its own client is, which tries for a minute and says so in many lines."""

from __future__ import annotations

from httpx2 import HTTPError
from huggingface_hub import constants, get_session

_PATIENCE = 10.0
"""Seconds that a hub may take to answer at all."""


def why_unreachable() -> str | None:
    """Why the hub (``HF_ENDPOINT``) cannot be asked, in a few words; None where it answers, whatever it answers."""
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        get_session().head(constants.ENDPOINT, timeout=_PATIENCE)
    except HTTPError as error:
        return f"{constants.ENDPOINT} does not answer ({str(error) or type(error).__name__})"
    return None
