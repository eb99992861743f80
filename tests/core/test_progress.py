"""Counting updates and epochs."""

from __future__ import annotations

from simpletuner.core.progress import Progress


def test_an_update_in_mid_epoch_and_one_that_ends_it() -> None:
    progress = Progress(step=7, epoch=1, epoch_step=2)
    assert progress.advanced(epoch_ended=False) == Progress(8, 1, 3)
    assert progress.advanced(epoch_ended=True) == Progress(8, 2, 0)
