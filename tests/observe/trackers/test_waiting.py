from __future__ import annotations

import threading

from simpletuner.core.events import Evaluated, RunEnded, StepDone
from simpletuner.observe.trackers.waiting import Waiting


def step(number: int) -> StepDone:
    return StepDone(number, 1, 9, 0.5, 1e-3, 0.1, 4)


def test_the_oldest_steps_make_room_and_rare_events_stay() -> None:
    waiting = Waiting(3)
    kept = [Evaluated(0, 1, {"a": 1.0}), step(3), RunEnded(3, "completed", 1.0)]
    for event in (kept[0], step(1), step(2), step(3), kept[2]):
        waiting.put(event)
    assert waiting.lost == 2
    waiting.close()
    assert [waiting.take(), waiting.take(), waiting.take(), waiting.take()] == [*kept, None]


def test_without_steps_the_oldest_goes_and_what_is_given_up_is_counted() -> None:
    waiting = Waiting(1)
    waiting.put(Evaluated(0, 1, {"a": 1.0}))
    waiting.put(Evaluated(1, 1, {"a": 1.0}))
    waiting.empty()
    assert waiting.lost == 2


def test_a_taker_waits_for_what_comes() -> None:
    waiting, taken = Waiting(), []
    thread = threading.Thread(target=lambda: taken.append(waiting.take()))
    thread.start()
    waiting.put(step(1))
    thread.join(10)
    assert taken == [step(1)]
