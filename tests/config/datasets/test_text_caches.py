from __future__ import annotations

from typing import Any

import pytest


def texts(**keys: Any) -> dict[str, Any]:
    return {"id": "t", "dataset_type": "text_embeds"} | keys


def test_filters_reach_the_data_sets_that_use_the_cache(project: Any) -> None:
    project.entries(
        project.entry(),
        project.entry(id="dogs", text_embeds="other"),
        project.entry(id="held-out", dataset_type="eval", instance_data_dir="datasets/dreambooth-subject"),
        project.entry(id="masks", dataset_type="conditioning", conditioning_type="mask"),
        texts(id="first"),
        texts(id="other", caption_filter_list=["^a ", "s/dog/cat/"]),
        texts(id="usual", default="yes", caption_filter_list=["x"]),
    )
    filters = {dataset.id: dataset.caption_filter_list for dataset in project.load().datasets}
    assert filters == {"cats": ("x",), "dogs": ("^a ", "s/dog/cat/"), "held-out": ("x",), "masks": ()}


@pytest.mark.parametrize(
    ("name", "content", "terms"),
    [
        ("terms.txt", "red \n\ns/a/b/\r\n  \n^The", ("red ", "s/a/b/", "^The")),
        ("terms.txt", "one\u2028term\rs/\x0c/ /\r\nnext\u0085line\n", ("one\u2028term", "s/\x0c/ /", "next\u0085line")),
        ("terms.json", '["red ", "", "[0-9]+"]', ("red ", "[0-9]+")),
    ],
)
def test_filters_of_a_file(project: Any, name: str, content: str, terms: tuple[str, ...]) -> None:
    (project.root / name).write_text(content, encoding="utf-8", newline="")
    project.entries(project.entry(), texts(caption_filter_list=name))
    assert project.load().datasets[0].caption_filter_list == terms


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"caption_filter_list": "nowhere.txt"}, "t: caption_filter_list: "),
        ({"caption_filter_list": "nowhere.txt"}, "nowhere.txt: cannot be read: No such file"),
        ({"caption_filter_list": "config/config.json"}, "t: caption_filter_list: must be a list of texts"),
        ({"caption_filter_list": [1]}, "must be a list of texts"),
        ({"caption_filter_list": {"a": "b"}}, "not an object in braces"),
        ({"dataset_type": "image_embeds", "caption_filter_list": ["x"]}, "belongs to a text_embeds entry"),
        ({"cach_dir": "x"}, "did you mean 'cache_dir'?"),
        ({"default": "perhaps"}, "t: default: 'perhaps' is neither on nor off"),
        ({"type": "memory", "memory_filesystem_size": 1}, "'memory' is refused: caches lie on local disks"),
        ({"type": "aws"}, "t: type: 'aws' is refused: caches lie on local disks"),
        ({"text_encoder_batch_size": 0}, "t: text_encoder_batch_size: '0' is out of range"),
        ({"write_batch_size": "many"}, "t: write_batch_size: 'many' is not a number"),
        ({"text_cache_disable": 2}, "t: text_cache_disable: "),
    ],
)
def test_mistakes(project: Any, keys: dict[str, Any], told: str) -> None:
    assert told in project.refused(project.entry(), texts(**keys))


def test_one_default(project: Any) -> None:
    said = project.refused(project.entry(), texts(id="a", default=True), texts(id="b", default="on"))
    assert "default: 2 text_embeds entries are the default: a and b" in said
    assert project.told(project.entry(), texts()) == []
    assert project.told(project.entry(), texts(id="a"), texts(id="b")) == [
        "no text_embeds entry is the default: a is used"
    ]


def test_what_rests_is_told(project: Any) -> None:
    notices = project.told(
        project.entry(),
        texts(cache_dir="a", default=True, text_cache_ondemand=True, text_cache_disable=False),
        texts(id="u", cache_dir="b"),
        texts(id="i", dataset_type="image_embeds", cache_dir="c"),
    )
    assert notices == [
        "cache u: not read: cache_dir (one folder holds them all, that of t)",
        "cache i: not read: cache_dir (one folder holds them all, cache_dir_vae of the data sets)",
        "cache t: not read: text_cache_ondemand (OmniGen has no text encoder: its captions become tokens, which "
        "takes moments)",
    ]
