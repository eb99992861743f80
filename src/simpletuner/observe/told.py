"""What of a configuration trackers and the page are told: everything but its secrets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simpletuner.config.run import OPTIONS, RunConfig
from simpletuner.observe.webhook.secrets import HIDDEN

# They hold addresses that are passwords.
_SECRET = ("webhook_config", "publishing_config")


def told_settings(config: RunConfig, scrub: Callable[[Any], Any]) -> dict[str, Any]:
    """Every option under its flat name, as JSON values; ``***`` stands for what is secret, which ``scrub`` hides."""
    values = config.model_dump(mode="json")
    flat = {name: values[option.section][name] for name, option in OPTIONS.items()}
    hidden = {name: HIDDEN for name in _SECRET if flat[name] is not None}
    told: dict[str, Any] = scrub(flat | hidden)
    return told
