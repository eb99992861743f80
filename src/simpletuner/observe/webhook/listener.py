"""`webhook_config` as listeners: events in, messages into the box of a sender."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from simpletuner.config.files.webhooks import Webhook
from simpletuner.core.events import Event, Notice, RunEnded
from simpletuner.observe.webhook.discord import discord_messages
from simpletuner.observe.webhook.message import Around, Message, Story
from simpletuner.observe.webhook.raw import raw_messages
from simpletuner.observe.webhook.secrets import scrubber
from simpletuner.observe.webhook.sender import Sender

_JOB = "SIMPLETUNER_JOB_ID"
_ROOT = "simpletuner"
# What a sender logs of its own troubles must not become more mail.
_OWN = "simpletuner.observe.webhook"
_LEVELS = {
    logging.CRITICAL: "critical",
    logging.ERROR: "error",
    logging.WARNING: "warning",
    logging.INFO: "info",
    logging.DEBUG: "debug",
}


class WebhookListener:
    """Tells one receiver. ``scrub`` hides secrets in whatever is told; ``prefix`` stands before Discord's messages."""

    def __init__(
        self, webhook: Webhook, sender: Sender, prefix: str, job_id: str | None, scrub: Callable[[Any], Any]
    ) -> None:
        self._webhook = webhook
        self._sender = sender
        self._prefix = webhook.prefix if webhook.prefix is not None else prefix
        self._job_id = job_id
        self._scrub = scrub
        self._story = Story()
        self._log = _Forward(self.hear)
        logging.getLogger(_ROOT).addHandler(self._log)

    def hear(self, event: Event) -> None:
        """Put the messages of ``event`` that the receiver wants; never waits for it."""
        now = time.monotonic()
        self._story = self._story.after(event, now)
        for message in self._messages(event, now):
            if message.is_wanted(self._webhook.log_level):
                self._sender.put(replace(message, fields=self._scrub(message.fields)))
        if isinstance(event, RunEnded):
            self._sender.expect_end()

    def close(self) -> None:
        """Wait a bounded time for what is not delivered yet."""
        logging.getLogger(_ROOT).removeHandler(self._log)
        self._sender.close()

    def _messages(self, event: Event, now: float) -> Iterable[Message]:
        if self._webhook.kind == "discord":
            return discord_messages(event, self._prefix)
        return raw_messages(event, Around(self._story, datetime.now(UTC), now, self._job_id))


class _Forward(logging.Handler):
    """Log records of the program as notices (SPEC 7.4)."""

    def __init__(self, hear: Callable[[Event], None]) -> None:
        super().__init__()
        self._hear = hear

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one record; its level is the nearest one below that receivers know."""
        if not record.name.startswith(_OWN):
            level = next((name for number, name in _LEVELS.items() if record.levelno >= number), "debug")
            self._hear(Notice(record.getMessage(), level=level))


def webhook_listeners(
    webhooks: Sequence[Webhook], prefix: str, environ: Mapping[str, str]
) -> tuple[WebhookListener, ...]:
    """One listener, with one sender, for each receiver; ``prefix`` is the project's and the run's name."""
    scrub = scrubber(environ, (text for webhook in webhooks for text in _secrets(webhook)))
    job_id = environ.get(_JOB) or None
    return tuple(WebhookListener(webhook, Sender(webhook), prefix, job_id, scrub) for webhook in webhooks)


def _secrets(webhook: Webhook) -> tuple[str, ...]:
    url = webhook.url.get_secret_value()
    token = webhook.auth_token.get_secret_value() if webhook.auth_token else ""
    return url, urlsplit(url).path.strip("/"), urlsplit(url).query, token
