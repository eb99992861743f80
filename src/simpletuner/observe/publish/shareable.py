"""What of a run's configuration others may read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from simpletuner.config.load import LoadedRun
from simpletuner.observe.webhook.secrets import HIDDEN, scrubber

# Their values may be whole objects with keys in them; a path is told.
_HOLD_SECRETS = ("webhook_config", "publishing_config")


def scrub_of(loaded: LoadedRun) -> Callable[[Any], Any]:
    """A function that hides every secret of the run in a text or a JSON value."""
    return scrubber(loaded.environ, _secrets(loaded))


def _secrets(loaded: LoadedRun) -> Iterator[str]:
    for destination in loaded.destinations:
        yield from (secret.get_secret_value() for secret in destination.secrets.values())
    for webhook in loaded.webhooks:
        yield webhook.url.get_secret_value()
        if webhook.auth_token is not None:
            yield webhook.auth_token.get_secret_value()


def shared_config(loaded: LoadedRun) -> str:
    """The options that the user gave, as JSON, without any secret and without the name of their home folder."""
    told = {key: _told(key, value) for key, value in sorted(loaded.values.items())}
    return json.dumps(scrub_of(loaded)(told), indent=2, ensure_ascii=False) + "\n"


def _told(key: str, value: object) -> object:
    if key in _HOLD_SECRETS and not _is_path(value):
        return HIDDEN
    return _without_home(value, f"{Path.home()}/")


def _is_path(value: object) -> bool:
    return isinstance(value, str) and not any(sign in value for sign in ('"', "{", "://"))


def _without_home(value: object, home: str) -> object:
    if isinstance(value, str):
        return value.replace(home, "~/")
    if isinstance(value, list):
        return [_without_home(item, home) for item in value]
    return {key: _without_home(item, home) for key, item in value.items()} if isinstance(value, dict) else value
