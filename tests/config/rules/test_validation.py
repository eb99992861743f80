from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from simpletuner.config.files.webhooks import Webhook
from simpletuner.config.reading.fill import Source, fill
from simpletuner.config.rules.validation import preview_notices, previews_are_seen, validation_notices
from simpletuner.config.run import SECTIONS, RunConfig

NEEDED = {"model_type": "lora", "model_family": "omnigen", "output_dir": "output", "max_train_steps": 10}
RAW = Webhook("raw", SecretStr("http://127.0.0.1:1/x"))
QUIET = Webhook("raw", SecretStr("http://127.0.0.1:1/x"), log_level="warning")
DISCORD = Webhook("discord", SecretStr("https://discord.com/api/webhooks/x"))
ASKED = {"validation_preview": True, "validation_prompt": "a cat"}


def config(given: dict[str, Any]) -> RunConfig:
    filled = {name: fill(kind, NEEDED | given, Source("config.json")) for name, kind in SECTIONS.items()}
    return RunConfig.model_validate({name: section for name, (section, _) in filled.items()})


@pytest.mark.parametrize(
    ("given", "webhooks", "told"),
    [
        (ASKED, [RAW], None),
        (ASKED, [DISCORD, RAW], None),
        ({"validation_prompt": "a cat"}, [], None),
        ({"validation_preview_steps": 5}, [RAW], "not read: validation_preview_steps (validation_preview is off)"),
        (ASKED, [], "no webhook_config is given, so nobody sees previews; `simpletuner watch` shows them"),
        (ASKED, [DISCORD], "no raw webhook of level info is given"),
        (ASKED, [QUIET], "no raw webhook of level info is given"),
        ({"validation_preview": True}, [RAW], "nothing is drawn, so no preview either"),
        (ASKED | {"validation_disable": True}, [RAW], "nothing is drawn"),
        (ASKED | {"validation_preview_steps": 31}, [RAW], "a preview every 31 of 30 sampling steps is none at all"),
    ],
)
def test_previews_that_nobody_will_see_are_told_in_one_line(
    given: dict[str, Any], webhooks: list[Webhook], told: str | None
) -> None:
    found = list(preview_notices(config(given), given, webhooks))
    assert len(found) == (told is not None)
    assert all(told in line for line in found if told)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"evaluation_type": "clip", "validation_prompt": "a cat"}, None),
        ({"evaluation_type": "clip", "validation_prompt_library": True}, None),
        ({"validation_disable": True}, None),
        ({"evaluation_type": "clip"}, "evaluation_type clip: nothing is scored, since nothing is drawn (there is no"),
        ({"evaluation_type": "clip", "validation_prompt": "a cat", "validation_disable": True}, "(validation_disable"),
        ({"validation_resolution": "1024x1024,512,1"}, None),
        ({"validation_resolution": "1024,1000x600"}, None),
        (
            {"validation_resolution": "1024,1000x600", "validation_prompt": "a cat"},
            "validation_resolution 1000x600 is drawn as 992x608",
        ),
    ],
)
def test_scores_without_pictures_and_rounded_sizes_are_told(given: dict[str, Any], told: str | None) -> None:
    found = list(validation_notices(config(given)))
    assert len(found) == (told is not None)
    assert all(told in line for line in found if told)


def test_previews_are_seen_where_pictures_are_drawn_and_somebody_looks() -> None:
    assert previews_are_seen(config(ASKED), [RAW])
    assert previews_are_seen(config({"validation_prompt_library": True}), [DISCORD, RAW])
    assert not previews_are_seen(config(ASKED), [DISCORD])
    assert not previews_are_seen(config({}), [RAW])
