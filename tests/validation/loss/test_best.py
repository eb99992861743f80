"""The best evaluation, the alarm, and having enough."""

from __future__ import annotations

import json

from simpletuner.validation.loss.best import Found, Judged, alarm

START = Found(10, (1.0, 2.0, 3.0), (1.5, 2.5))
BETTER = Found(20, (0.9, 1.9, 2.9), (1.4, 2.4))
RISEN = Found(30, (1.0, 2.01, 3.0), (1.2, 2.2))
UNSURE = Found(30, (0.5, 2.6, 2.9), (1.2, 2.2))
ALL_RISEN = Found(30, (1.0, 2.01, 3.0), (1.6, 2.6))


def judged(*found: Found) -> Judged:
    result = Judged()
    for one in found:
        result = result.after(one)
    return result


def test_the_lowest_mean_is_the_best_and_the_others_are_counted() -> None:
    assert judged(START).is_best(10)
    assert judged(START, BETTER).best == BETTER
    later = judged(START, BETTER, RISEN, ALL_RISEN)
    assert (later.best, later.waited, later.last) == (BETTER, 2, 30)
    assert not later.is_best(30)
    assert judged(START, RISEN, BETTER).waited == 0


def test_a_sure_rise_while_known_pictures_get_better_is_told_once() -> None:
    before = judged(START, BETTER)
    text = alarm(before, RISEN)
    assert "step 30: the loss on pictures held out has risen by 0.1033 +- 0.0033 since step 20" in text
    assert "fallen by 0.2000" in text
    assert alarm(before.after(RISEN), Found(40, (1.1, 2.1, 3.1), (1.0, 2.0))) == ""


def test_no_alarm_without_cause() -> None:
    before = judged(START, BETTER)
    assert alarm(before, UNSURE) == ""
    assert alarm(before, ALL_RISEN) == ""
    assert alarm(before, Found(30, RISEN.held_out)) == ""
    assert alarm(judged(START), BETTER) == ""
    assert alarm(Judged(), RISEN) == ""
    assert alarm(judged(Found(1, (1.0,), (1.0,))), Found(2, (2.0,), (0.5,))) == ""


def test_a_new_best_makes_the_alarm_ready_again() -> None:
    again = judged(START, BETTER, RISEN, Found(40, (0.8, 1.8, 2.8), (1.0, 2.0)))
    assert alarm(again, Found(50, (0.9, 1.91, 2.9), (0.9, 1.9)))


def test_patience() -> None:
    waiting = judged(START, RISEN, ALL_RISEN)
    assert waiting.waited == 2
    assert waiting.has_enough(2)
    assert not waiting.has_enough(3)
    assert not waiting.has_enough(None)


def test_it_comes_back_from_a_checkpoint() -> None:
    for state in (Judged(), judged(START, BETTER, RISEN)):
        assert Judged.read(json.loads(json.dumps(state.write()))) == state
