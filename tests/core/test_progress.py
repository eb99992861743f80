"""Counting updates and epochs."""

from __future__ import annotations

import json
from dataclasses import asdict

from simpletuner.core.progress import Progress


def test_an_update_in_mid_epoch_and_one_that_ends_it() -> None:
    progress = Progress(step=7, epoch=1, epoch_step=2)
    assert progress.advanced(epoch_ended=False) == Progress(8, 1, 3)
    assert progress.advanced(epoch_ended=True) == Progress(8, 2, 0)


def test_updates_left_out_are_kept_in_order_and_survive_json() -> None:
    progress = Progress(step=7, epoch=1).leaving_out(8).leaving_out(3, 8)
    assert progress.skipped == (3, 8)
    assert progress.advanced(epoch_ended=True).skipped == (3, 8)
    assert Progress.read(json.loads(json.dumps(asdict(progress)))) == progress


def test_what_was_saved_before_there_were_any_is_read() -> None:
    assert Progress.read({"step": 4, "epoch": 1, "epoch_step": 2}) == Progress(4, 1, 2)
