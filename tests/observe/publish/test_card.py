"""The model card: a head that the hub reads, a body that says how it was made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from simpletuner.observe.publish.card import model_card
from simpletuner.observe.publish.facts import Base, Facts, ShownPicture
from tests.observe.publish.conftest import Loading

HUB = Base("Shitao/OmniGen-v1-diffusers", is_default=True)
PICTURES = (
    ShownPicture("assets/image_0.png", "", "<cfg>"),
    ShownPicture("assets/image_1.png", 'a "fox": [red]\n& 狐', "grey"),
)
METRICS = {"train_loss": 0.5, "loss/explained": 0.7, "loss/val/held": 0.61234, "loss/val/held/se": 0.01, "epoch": 3}
REPORT = {"flat": {"id": "flat", "used": 5, "buckets": {"1.0": 3, "0.5": 2}}}


def facts(loading: Loading, **options: str) -> Facts:
    return Facts("fox/emoji", HUB, loading(**options), 60, 2, 2, METRICS, REPORT, PICTURES)


def head(card: str) -> dict[str, Any]:
    _, text, _ = card.split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_the_head_is_what_the_hub_reads(loading: Loading) -> None:
    found = head(model_card(facts(loading)))
    assert (found["license"], found["base_model"]) == ("mit", HUB.source)
    assert (found["pipeline_tag"], found["base_model_relation"]) == ("text-to-image", "adapter")
    assert found["inference"] is True
    assert {"omnigen", "omnigen-diffusers", "simpletuner", "lora", "lycoris", "template:sd-lora"} < {*found["tags"]}
    assert "not-for-all-audiences" in found["tags"]
    assert [widget["text"] for widget in found["widget"]] == ["unconditional (blank prompt)", PICTURES[1].prompt]
    assert found["widget"][1]["parameters"] == {"negative_prompt": "grey"}
    assert found["widget"][1]["output"] == {"url": "./assets/image_1.png"}


def test_the_audience_is_the_users_word(loading: Loading) -> None:
    tags = head(model_card(facts(loading, push_to_hub="true", model_card_safe_for_work="true")))["tags"]
    assert "safe-for-work" in tags
    assert "not-for-all-audiences" not in tags


def test_the_body_says_how_it_was_made(loading: Loading) -> None:
    card = model_card(
        facts(
            loading,
            push_to_hub="true",
            model_card_note="Made for a test.",
            validation_prompt="a fox\nin the snow",
            validation_disable="false",
            validation_negative_prompt="blurry",
        )
    )
    for line in (
        "# emoji",
        "This is a LyCORIS lokr adapter for [Shitao/OmniGen-v1-diffusers]"
        "(https://huggingface.co/Shitao/OmniGen-v1-diffusers), trained with simpletuner.",
        "> a fox",
        "> in the snow",
        "Made for a test.",
        "- negative prompt: blurry",
        "- steps: 60, whole epochs: 2",
        "- learning rate 0.001, constant_with_warmup, 2 warm-up steps",
        "- gradients clipped by value at 0.01",
        "- pictures an update: 4 (batch 2, accumulation 1, processes 2)",
        "- captions dropped: 20.0%",
        '  "algo": "lokr",',
        "| loss, smoothed over the last updates | 0.5000 |",
        "| loss/val/held (standard error 0.0100) | 0.6123 |",
        "### flat",
        "- pictures: 5, repeats: 0",
        "- buckets: 2",
        "- resolution: 64 (pixel)",
        "- cropped: square, center",
        "- regularisation data: no",
        '![a "fox": \\[red\\] & 狐](./assets/image_1.png)',
        "`ema/` holds the average (EMA) of the weights: decay 0.995, every update.",
    ):
        assert line in card.splitlines(), line


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        # The run did 60 updates, the last of them in its third epoch.
        ({"start_step": 100}, "not used: the run ended before its start"),
        ({"start_step": 60}, "not used: the run ended before its start"),
        ({"start_step": 59}, "used from step 60, epoch 1"),
        ({"start_epoch": 4}, "not used: the run ended before its start"),
        ({"start_epoch": 3}, "used from step 1, epoch 3"),
        ({"start_step": 1, "start_epoch": 0}, None),
    ],
)
def test_when_a_data_set_was_used_is_told(loading: Loading, keys: dict[str, int], told: str | None) -> None:
    made = facts(loading)
    late = replace(made.loaded, datasets=(made.loaded.datasets[0].model_copy(update=keys),))
    lines = model_card(replace(made, loaded=late)).splitlines()
    assert [line for line in lines if "used" in line] == ([f"- {told}"] if told else [])


def test_a_data_set_that_no_update_fell_to_is_told(loading: Loading) -> None:
    made = facts(loading)
    card = model_card(replace(made, report={"flat": {**REPORT["flat"], "batches": 0}}))
    assert "- not used: no update of the run fell to it" in card.splitlines()


@pytest.mark.parametrize("options", [{"lora_type": "standard"}, {"model_type": "full", "use_ema": "false"}])
def test_other_ways_of_training(loading: Loading, options: dict[str, str]) -> None:
    card = model_card(facts(loading, **options))
    is_full = "model_type" in options
    assert head(card)["base_model_relation"] == ("finetune" if is_full else "adapter")
    assert ("This is a full fine-tune for" if is_full else "This is a LoRA for") in card
    assert ("No average (EMA) was kept." if is_full else "- LoRA: rank 16, alpha 16, dropout 0") in card.splitlines()
    assert ("simpletuner generate" in card) is not is_full


def test_the_commit_of_the_base_is_told_and_linked(loading: Loading) -> None:
    card = model_card(replace(facts(loading), base=replace(HUB, commit="0123456789" * 4)))
    place = "https://huggingface.co/Shitao/OmniGen-v1-diffusers"
    assert f"({place}) at commit [012345678901]({place}/tree/{'0123456789' * 4}), trained" in card
    assert head(card)["base_model"] == "Shitao/OmniGen-v1-diffusers"


def test_a_run_that_drew_and_measured_nothing(loading: Loading) -> None:
    card = model_card(Facts("fox/emoji", Base(""), loading(), 0, 0))
    assert "widget" not in head(card)
    assert "base_model" not in head(card)
    assert "The run drew no pictures." in card
    assert "No update was recorded." in card
    assert "- pictures: unknown, repeats: 0" in card
