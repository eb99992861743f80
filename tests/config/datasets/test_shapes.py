from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.config.datasets.blocks import AspectChoice, HubColumns, HubFilter, ParquetTable
from simpletuner.config.datasets.shapes import aspects, fill_shaped, secret, texts, words
from simpletuner.config.reading.fill import Source

SOURCE = Source("data.json", "cats: ")


def test_texts() -> None:
    assert texts("a, b") == ("a, b",)
    assert texts([" a ", 3, "a"]) == ("a", "3")
    for wrong, told in (([["a"]], "a list in a list"), (["a", None], "an empty text"), ([{"a": 1}], "not an object")):
        with pytest.raises(ValueError, match=told):
            texts(wrong)


def test_words() -> None:
    assert words(" Aspect,vae   text,, ") == words(["aspect", "vae", "TEXT"]) == ("aspect", "vae", "text")
    assert words([]) == ()


def test_a_secret_is_hidden_and_so_is_a_wrong_one() -> None:
    assert secret(" key ").get_secret_value() == "key"
    assert "key" not in repr(secret("key"))
    with pytest.raises(ValueError, match="a text is expected") as caught:
        secret(["key"])
    assert "key" not in str(caught.value)


def test_aspects_without_weights_are_equal() -> None:
    assert aspects(["1.0", 0.75]) == (AspectChoice(1.0, 0.5), AspectChoice(0.75, 0.5))
    assert aspects([{"aspect": 1.5}]) == (AspectChoice(1.5, 1.0),)
    assert aspects([]) == ()


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=8))
def test_weights_are_kept_and_sum_to_one(shares: list[float]) -> None:
    total = sum(shares)
    found = aspects([{"aspect": 1 + place, "weight": share / total} for place, share in enumerate(shares)])
    assert sum(choice.weight for choice in found) == pytest.approx(1, abs=1e-12)
    assert [choice.weight for choice in found] == pytest.approx([share / total for share in shares])


def test_weights_may_be_off_by_a_thousandth() -> None:
    assert sum(choice.weight for choice in aspects([{"aspect": a, "weight": 0.333} for a in (1, 2, 3)])) == 1


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("1.0", "is no list of aspects"),
        ({"aspect": 1}, "is no list of aspects"),
        (["square"], "'square' is not a number"),
        ([0], "an aspect is above 0"),
        ([{"aspect": 1, "weight": -1}, {"aspect": 2, "weight": 2}], "a weight is not below 0"),
        ([{"ratio": 1}], "neither a number nor an object with aspect and weight"),
        ([{"aspect": 1, "wieght": 1}], "neither a number nor an object"),
        ([{"aspect": 1, "weight": 0.5}, 2], "some aspects have a weight and others have none"),
        ([{"aspect": 1, "weight": 0.5}, {"aspect": 2, "weight": 0.4}], "the weights sum to 0.9, not to 1"),
    ],
)
def test_wrong_aspects(value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        aspects(value)


def test_a_block_in_a_block() -> None:
    columns, problems = fill_shaped(
        HubColumns,
        {
            "caption_column": ["short", "long"],
            "filter_func": {
                "__note": 1,
                "collection": "photo",
                "quality_thresholds": {"clip": "0.5", "__note": "any"},
                "min_width": "512",
            },
            "composite_image_config": {"enabled": "false", "image_count": 2},
        },
        SOURCE,
    )
    assert problems == []
    assert columns is not None
    assert columns.caption_column == ("short", "long")
    assert columns.filter_func == HubFilter(collection=("photo",), quality_thresholds=(("clip", 0.5),), min_width=512)
    assert columns.composite_image_config.enabled is False


@pytest.mark.parametrize(
    ("values", "key", "told"),
    [
        ({"filter_func": {"colection": "x"}}, "cats: filter_func.colection", "did you mean 'collection'?"),
        ({"filter_func": {"min_width": -1}}, "cats: filter_func.min_width", "must be at least 0"),
        ({"filter_func": {"quality_thresholds": 0.5}}, "cats: filter_func.quality_thresholds", "a number for each"),
        ({"filter_func": {"quality_thresholds": {"a": "x"}}}, "cats: filter_func.quality_thresholds", "not a number"),
        ({"filter_func": "all"}, "cats: filter_func", "'all' is no object in braces"),
        ({"composite_image_config": True}, "cats: composite_image_config.enabled", "not available in this version"),
        ({"composite_image_config": {"enabled": "on"}}, "cats: composite_image_config.enabled", "not taken apart"),
    ],
)
def test_mistakes_in_blocks_name_the_way_to_the_key(values: Any, key: str, told: str) -> None:
    _, (problem,) = fill_shaped(HubColumns, values, SOURCE)
    assert (problem.key, problem.file) == (key, "data.json")
    assert told in str(problem)


def test_a_table_needs_its_path_and_its_names() -> None:
    table, problems = fill_shaped(ParquetTable, {}, SOURCE)
    assert table is None
    assert [problem.key for problem in problems] == ["cats: path", "cats: filename_column"]
    for written, columns in (("c", ("c",)), (["c", "d"], ("c", "d"))):
        given = {"path": "x", "filename_column": "f", "caption_column": written}
        table, problems = fill_shaped(ParquetTable, given, SOURCE)
        assert (table.caption_column if table else None, problems) == (columns, [])


@pytest.mark.parametrize(
    ("written", "enabled"), [(True, True), ("no", False), ({"enable": "yes", "count": 2}, True), ({}, False)]
)
def test_caption_shuffle_is_a_switch_or_a_block(project: Any, written: Any, enabled: bool) -> None:
    shuffle = project.one(caption_shuffle=written).caption_shuffle
    assert shuffle.enable is enabled
    assert (shuffle.seed, shuffle.split_on, shuffle.include_original) == (None, "comma", True)


@pytest.mark.parametrize(
    ("block", "key", "told"),
    [
        ({"enable": True, "count": 0}, "count", "must be at least 1"),
        ({"split_on": ";"}, "split_on", "allowed: comma, space, period"),
        ({"position_start": -1}, "position_start", "must be at least 0"),
        ({"include_orginal": True}, "include_orginal", "did you mean 'include_original'?"),
        ("perhaps", "enable", "neither on nor off"),
    ],
)
def test_mistakes_in_caption_shuffle(project: Any, block: Any, key: str, told: str) -> None:
    said = project.refused(project.entry(caption_shuffle=block))
    assert f"cats: caption_shuffle.{key}: " in said
    assert told in said
