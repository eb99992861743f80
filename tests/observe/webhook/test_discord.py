from __future__ import annotations

from pathlib import Path

from simpletuner.core.events import (
    CheckpointSaved,
    Event,
    ImagesRendered,
    Notice,
    Picture,
    PreviewDrawn,
    RunEnded,
    RunStarted,
    StageProgress,
    StepDone,
)
from simpletuner.observe.webhook.discord import discord_messages


def told(event: Event, prefix: str = "project run") -> list[str]:
    return [str(message.fields["content"]) for message in discord_messages(event, prefix)]


def test_words_carry_the_prefix_in_back_quotes_and_parentheses() -> None:
    assert told(CheckpointSaved(5, Path("out/checkpoint-5"))) == [
        "(`project run`) step 5: checkpoint saved: checkpoint-5"
    ]
    assert told(CheckpointSaved(9, Path("out"), is_final=True))[0].endswith("step 9: final result saved")
    assert told(RunStarted("emoji", Path(), 0, 9, 1, ("a line",)))[0].endswith("emoji, step 0 of 9\na line")
    assert told(RunEnded(9, "failed", 61, "no memory"))[0].endswith("failed at step 9 after 0:01:01\nno memory")
    assert told(Notice("careful", level="warning"), "a`b") == ["(`a'b`) warning: careful"]


def test_only_what_a_person_wants_to_read_is_sent() -> None:
    preview = PreviewDrawn(1, "cat", "a cat", 5, 20, None, 1, 1, b"123")
    for event in (Notice("so"), StepDone(1, 1, 9, 0.5, 1e-4, 1, 1), StageProgress("a", "A", 1, 2), preview):
        assert told(event) == []


def test_more_than_ten_pictures_are_split() -> None:
    pictures = tuple(Picture(Path(f"{number}.png"), "cat", "a cat", 64, 64) for number in range(23))
    messages = list(discord_messages(ImagesRendered(5, "validation", pictures), "p"))
    assert [len(message.drawings) for message in messages] == [10, 10, 3]
    assert [path for message in messages for path in message.drawings] == [picture.path for picture in pictures]
    assert messages[0].fields["content"] == "(`p`) step 5: validation: cat\na cat"


def test_a_score_stands_beside_the_name() -> None:
    pictures = (Picture(Path("a.png"), "cat", "a cat", 64, 64), Picture(Path("b.png"), "cat", "a cat", 96, 64, 0.31))
    found = told(ImagesRendered(5, "validation", pictures), "p")
    assert found == ["(`p`) step 5: validation: cat (CLIP 0.3100)\na cat"]


def test_a_prompt_calls_nobody_and_is_not_too_long() -> None:
    picture = Picture(Path("a.png"), "cat", "@everyone " + "a" * 3000, 64, 64)
    (content,) = told(ImagesRendered(5, "validation", (picture,)))
    assert "@everyone" not in content
    assert "everyone" in content
    assert len(content) == 2000
