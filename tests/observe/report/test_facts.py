from __future__ import annotations

from simpletuner.core.events import RunEnded
from simpletuner.observe.report.facts import Story, data_remarks, data_rows, figures, headline

RECORDS = [
    {"step": 1, "epoch": 1, "train_loss": 1.0, "step_seconds": 2.0, "loss/explained": 0.25},
    {"step": 2, "epoch": 1, "train_loss": 1.0, "step_seconds": 2.0, "loss/val/a": 0.5, "loss/val/a/gain": 0.25},
    {
        "step": 3,
        "epoch": 2,
        "loss/val/a": 0.75,
        "loss/val/a/gain": 0.125,
        "loss/val/a/gain/se": 0.0625,
        "clip/mean": 0.3,
    },
]


def test_the_numbers_at_the_top() -> None:
    assert dict(figures(Story("p", "r", max_steps=9), RECORDS)) == {
        "Steps": "3 / 9",
        "Epoch": "2",
        "Smoothed loss": "1.0000",
        "Variance explained": "25.0 %",
        "Best loss on a": "0.5000 at step 2",
        "Better than the base by": "0.1250 ± 0.0625",
        "CLIP score": "0.3000",
        "Speed": "2.00 s/it",
    }
    assert dict(figures(Story("p", "r"), [])) == {"Steps": "0 / 0", "Epoch": "–"}


def test_how_it_stands() -> None:
    assert headline(Story("p", "r", max_steps=9), RECORDS) == "running, step 3 of 9"
    ended = Story("p", "r", end=RunEnded(3, "failed", 61.0, "disk full"))
    assert headline(ended, RECORDS) == "failed at step 3 after 0:01:01: disk full"


def test_what_was_read() -> None:
    one = {
        "id": "flat", "type": "image", "files": 5, "used": 4, "batches": 2,
        "buckets": {"1.0": 4}, "targets": {"1.0": "64x64"},
        "dropped": [{"file": "a.png", "reason": "too small"}], "notes": ["few"],
    }  # fmt: skip
    report = {"datasets": [one], "problems": ["one problem"]}
    assert data_rows(report)[1:] == [("flat", "image", "5", "4", "2", "64x64: 4")]
    assert data_remarks(report) == ["one problem", "flat: 1 left out, the first: a.png (too small)", "flat: few"]
    assert (data_rows({}), data_remarks({})) == ([], [])
