from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simpletuner.data.files.changes import Changes, compare


def stem(version: str) -> str:
    """A version that is "identity:time", as a file's is."""
    return version.partition(":")[0]


def test_files_are_told_by_name() -> None:
    before = {"same": "s:1", "edited": "e:1", "gone": "g:1", "old name": "r:1"}
    now = {"same": "s:1", "edited": "x:2", "new": "n:1", "new name": "r:2"}
    changes = compare(before, now, stem)
    assert changes == Changes(("new",), ("edited",), ("gone",), (("old name", "new name"),))
    assert changes.lines() == (
        "1 added: new",
        "1 changed: edited",
        "1 renamed: old name -> new name",
        "1 removed: gone",
    )


def test_copies_are_no_renames() -> None:
    assert compare({"a": "x:1"}, {"b": "x:2", "c": "x:2"}, stem) == Changes(added=("b", "c"), removed=("a",))
    assert compare({"a": "x:1", "b": "x:1"}, {"c": "x:1"}, stem) == Changes(added=("c",), removed=("a", "b"))


def test_a_source_that_cannot_tell_has_no_renames() -> None:
    assert compare({"a": "1"}, {"b": "1"}, lambda _: "") == Changes(added=("b",), removed=("a",))


def test_many_names_are_counted() -> None:
    (line,) = compare({}, {f"{number}.png": "" for number in range(9)}, stem).lines()
    assert line == "9 added: 0.png, 1.png, 2.png, 3.png, 4.png and 4 more"


versions = st.dictionaries(st.sampled_from("abcdefg"), st.sampled_from(["x:1", "x:2", "y:1", "z:1"]))


@given(before=versions, now=versions)
def test_every_difference_is_told_once(before: dict[str, str], now: dict[str, str]) -> None:
    changes = compare(before, now, stem)
    gone = {*changes.removed, *(old for old, _ in changes.renamed)}
    come = {*changes.added, *(new for _, new in changes.renamed)}
    assert gone == before.keys() - now.keys()
    assert come == now.keys() - before.keys()
    assert set(changes.changed) == {path for path in before.keys() & now.keys() if before[path] != now[path]}
    assert bool(changes) == (before != now)
