from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.progress import Progress
from simpletuner.validation.schedule import Schedule, due, due_at_end, due_at_start, evaluation_due


def steps_due(schedule: Schedule, last: int, per_epoch: int = 10) -> list[int]:
    def place(step: int) -> Progress:
        return Progress(step, step // per_epoch, step % per_epoch)

    return [step for step in range(1, last + 1) if due(schedule, place(step), epoch_ended=step % per_epoch == 0)]


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        (Schedule(step_interval=20), [20, 40, 60]),
        (Schedule(step_interval=20, first_step=40), [60]),
        (Schedule(step_interval=20, after_step=30), [40, 60]),
        (Schedule(epoch_interval=2), [20, 40, 60]),
        (Schedule(epoch_interval=1, after_epoch=5), [50, 60]),
        (Schedule(step_interval=25, epoch_interval=3), [25, 30, 50, 60]),
        (Schedule(step_interval=8, after_epoch=3), [32, 40, 48, 56, 64]),
        (Schedule(step_interval=10, after_epoch=3, after_step=35), [40, 50, 60]),
        (Schedule(step_interval=25, epoch_interval=3, after_step=28, first_step=30), [50, 60]),
        (Schedule(step_interval=0), []),
        (Schedule(step_interval=-1, epoch_interval=0), []),
        (Schedule(on_startup=True), []),
    ],
)
def test_scheduled_steps(schedule: Schedule, steps: list[int]) -> None:
    assert steps_due(schedule, 65) == steps


def test_the_start_is_due_only_when_asked_for() -> None:
    assert due_at_start(Schedule(on_startup=True))
    assert not due_at_start(Schedule(step_interval=1))


def test_the_end_is_due_unless_just_validated() -> None:
    schedule = Schedule(step_interval=20, after_step=1000)
    assert due_at_end(schedule, 65, 60)
    assert due_at_end(schedule, 65, None)
    assert not due_at_end(schedule, 60, 60)
    assert not due_at_end(Schedule(step_interval=0), 65, None)
    assert due_at_end(Schedule(on_startup=True), 65, 0)


@given(st.integers(10, 97), st.sampled_from([1, 3, 4, 5, 10, 15, 30]))
def test_an_epoch_interval_fires_as_often_as_it_fits(per_epoch: int, tenths: int) -> None:
    fired = [step for step in range(1, 6 * per_epoch + 1) if evaluation_due(step, per_epoch, None, tenths / 10)]
    assert len(fired) == 60 // tenths
    assert all((step - 1) * 10 < count * tenths * per_epoch <= step * 10 for count, step in enumerate(fired, start=1))


def test_half_an_epoch_is_first_due_at_the_half() -> None:
    assert [step for step in range(1, 22) if evaluation_due(step, 10, None, 0.5)] == [5, 10, 15, 20]
    assert [step for step in range(1, 15) if evaluation_due(step, 7, None, 0.5)] == [4, 7, 11, 14]
    assert [step for step in range(1, 101) if evaluation_due(step, 10, None, 0.1)] == list(range(1, 101))


def test_steps_and_epochs_both_ask_and_a_resume_does_not_repeat() -> None:
    assert [s for s in range(1, 21) if evaluation_due(s, 10, 8, 1.0)] == [8, 10, 16, 20]
    assert [s for s in range(1, 21) if evaluation_due(s, 10, 8, 1.0, first_step=10)] == [16, 20]
    assert not any(evaluation_due(s, 10, None, None) for s in range(1, 21))
