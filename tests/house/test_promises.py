"""docs/promises.md has every promise, and every test that it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from simpletuner.core.errors import ExitCode

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| (P\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
_CODE = re.compile(r"^\| (\d+) \| ([^|]+) \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def named_in(path: str) -> frozenset[str]:
    """The names of all tests in a file; none where there is no such file."""
    file = ROOT / path
    tree = ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.Module([], [])
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def absent(page: str) -> list[str]:
    """Tests that a page names and that do not exist."""
    return [f"{path}::{name}" for path, name in _TEST.findall(page) if name not in named_in(path)]


def test_every_promise_is_there_once_and_in_order() -> None:
    assert [found[0] for found in _ROW.findall(PAGE)] == [f"P{number}" for number in range(1, 27)]


def test_every_test_that_is_named_exists() -> None:
    assert absent(PAGE) == []


def test_a_test_that_is_gone_is_seen() -> None:
    assert absent("`tests/house/test_promises.py::test_of_yesterday` and `tests/gone/test_x.py::test_y`") == [
        "tests/house/test_promises.py::test_of_yesterday",
        "tests/gone/test_x.py::test_y",
    ]


@pytest.mark.parametrize("row", _ROW.findall(PAGE), ids=lambda row: row[0])
def test_a_promise_is_backed_by_a_test(row: tuple[str, str, str, str]) -> None:
    _, _, kept, tests = row
    assert kept.strip()
    assert _TEST.findall(tests) or tests.strip() == "see below"


def test_every_exit_code_has_three_tests() -> None:
    told = {int(code): set(_TEST.findall(tests)) for code, tests in _CODE.findall(PAGE)}
    # A bug of ours has no test of its own: it is what no test may meet.
    assert set(told) == {int(code) for code in ExitCode} - {int(ExitCode.BUG)}
    assert {code: len(tests) for code, tests in told.items() if len(tests) < 3} == {}
