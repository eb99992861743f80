from __future__ import annotations

from simpletuner.core.samples import SampleId
from simpletuner.data.buckets import group, short_bucket_notes
from simpletuner.data.crops import Crop
from simpletuner.data.entries import Entry
from simpletuner.data.geometry import GeometrySpec, place


def entry(path: str, width: int, height: int) -> Entry:
    return Entry(SampleId("set", path), width, height, ("",), place(width, height, GeometrySpec(1024)), Crop(0, 0))


ENTRIES = [entry("d", 100, 100), entry("c", 1500, 1000), entry("b", 1000, 1500), entry("a", 200, 200)]


def test_grouping_does_not_depend_on_order() -> None:
    buckets = group(ENTRIES)
    assert list(buckets) == ["0.65", "1.0", "1.54"]
    assert buckets["1.0"] == (SampleId("set", "a"), SampleId("set", "d"))
    assert list(group(ENTRIES[::-1]).items()) == list(buckets.items())


def test_a_bucket_below_the_batch_is_told_with_its_arithmetic_and_kept() -> None:
    buckets = {"1.0": tuple(SampleId("set", str(number)) for number in range(25)), "2.0": (SampleId("set", "x"),) * 32}
    (note,) = short_bucket_notes("set", buckets, 0, 32)
    assert "25 pictures x (0 repeats + 1) = 25 uses" in note
    assert "repeats 1 would fill it" in note
    assert short_bucket_notes("set", buckets, 1, 32) == ()
