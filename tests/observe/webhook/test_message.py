from __future__ import annotations

from pathlib import Path

from simpletuner.core.events import RunStarted, StageProgress, StepDone
from simpletuner.observe.webhook.message import Message, Pixels, Story


def test_the_story_remembers_where_training_is_and_which_stages_run() -> None:
    story = Story().after(RunStarted("run", Path(), 0, 9, 1), 1.0)
    story = story.after(StageProgress("a", "A", 1, 2), 2.0).after(StageProgress("a", "A", 2, 2), 5.0)
    # The stage that is over still knows its beginning, for its own last message.
    assert story.stages["a"].began == 2.0
    story = story.after(StageProgress("b", "B", 1, 2), 6.0).after(StepDone(3, 1, 9, 0.5, 1e-4, 2.0, 1), 7.0)
    assert set(story.stages) == {"b"}
    assert story.training is not None
    assert (story.training.step, story.training.seconds_left) == (3, 12.0)
    # A stage that begins anew begins its clock anew.
    assert story.after(StageProgress("a", "A", 1, 2), 9.0).stages["a"].began == 9.0


def test_only_pictures_in_memory_weigh() -> None:
    assert Message({}, drawings=(Path("a.png"), Pixels(2, 1, b"123456"))).weight == 6
    assert "123456" not in repr(Pixels(2, 1, b"123456"))
