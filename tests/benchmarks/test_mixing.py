"""Mixed micro-batches hold the same pictures as those of one size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import mixing
from benchmarks.mixing import mixing as measure
from simpletuner.core.samples import Use


class _Told(mixing._Bench):
    """Tells its micro-batches instead of training on them."""

    def _update(self, slices: Sequence[Sequence[Use]]) -> None:
        self.told = [[int(use.sample.path) for use in uses] for uses in slices]


def test_both_ways_use_every_picture_once() -> None:
    bench = _Told(mixing._model(), ((64, 64), (32, 64), (64, 32), (48, 48)))
    bench.mixed()
    assert bench.told == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]
    bench.bucketed()
    assert bench.told == [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]]


def test_figures_of_one_set() -> None:
    found = mixing._set(mixing._Bench(mixing._model(), ((32, 32), (32, 64), (64, 32), (64, 64))), rounds=1)
    assert found["image_tokens"] == [4, 8, 8, 16]
    assert found["padded_image_tokens_to_real"] == pytest.approx(64 / 36)
    assert found["mixed_to_bucketed"] > 0


@pytest.mark.long
def test_all_sets() -> None:
    found = measure(1)
    assert set(found) == {"torch_threads", "one_area", "one_short_edge", "four_resolutions", "all_alike"}


@pytest.mark.long
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["mixing", "--rounds", "1", "--json", str(tmp_path / "figures.json")])
    mixing.main()
    assert set(json.loads((tmp_path / "figures.json").read_text())) == {"made_on", "mixing"}
