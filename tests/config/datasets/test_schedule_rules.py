from __future__ import annotations

from typing import Any

import pytest


def test_one_set_after_the_other(project: Any) -> None:
    project.entries(project.entry(end_step=300), project.entry(id="dogs", start_step="300", start_epoch=1, end_epoch=9))
    first, second = project.load().datasets
    assert (first.start_step, first.end_step, first.end_epoch) == (0, 300, None)
    assert (second.start_step, second.end_step, second.end_epoch) == (300, None, 9)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"start_step": 1, "end_step": 0}, None),
        ({"start_step": 1, "end_step": 1}, None),
        ({"start_step": 10, "end_step": 9}, "cats: end_step: 9 is before start_step 10"),
        ({"start_epoch": 3, "end_epoch": 2}, "cats: end_epoch: 2 is before start_epoch 3"),
    ],
)
def test_an_end_is_not_before_the_start(project: Any, keys: dict[str, Any], told: str | None) -> None:
    if told is None:
        assert project.one(**keys).start_step == 1
    else:
        assert told in project.refused(project.entry(**keys), project.entry(id="dogs"))


@pytest.mark.parametrize("keys", [{"start_step": 2}, {"start_epoch": 2}, {"start_epoch": 2, "start_step": 2}])
def test_one_set_starts_with_the_run(project: Any, keys: dict[str, Any]) -> None:
    late = project.entry(id="late", **keys)
    said = project.refused(late, project.entry(probability=0), project.entry(id="held-out", dataset_type="eval"))
    assert "no data set can be trained on from the outset:\n  late: start_epoch" in said
    project.entries(late, project.entry())
    assert len(project.load().datasets) == 2


def test_a_set_that_starts_after_the_end_is_left_to_the_calendar(project: Any) -> None:
    assert project.told(project.entry(), project.entry(id="late", start_step=10001)) == []
