from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simpletuner.config.reading.find import EXAMPLES

ROOT = Path(__file__).parents[3]
FILES = [
    *sorted((ROOT / "tests/fixtures/document").glob("multidatabackend*.json")),
    *sorted(EXAMPLES.glob("*/multidatabackend.json")),
]
PICTURES = {"id": "cats", "type": "local", "instance_data_dir": "cats"}
Complaints = Callable[[Any], list[str]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_the_documents_files_and_the_examples_are_in_order(dataloader_complaints: Complaints, file: Path) -> None:
    assert dataloader_complaints(json.loads(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "given",
    [
        {"__note": 1, "disabled": "true", "is_regularization_data": True},
        {"instance_prompt": ["a cat", "my cat"], "conditioning_data": "masks"},
        {"crop_aspect_buckets": [1.0, "0.75", {"aspect": 1.5, "weight": 0.2}]},
        {"caption_shuffle": True},
        {"caption_shuffle": {"enable": True, "count": "3"}},
        {"parquet": {"path": "a.parquet", "filename_column": "f"}, "metadata_backend": "parquet"},
        {"huggingface": {"caption_column": "a.b", "filter_func": {"quality_thresholds": {"q": 0.5}}}},
        {"aws_access_key_id": "{env:KEY}", "conditioning": []},
        {"repeats": "1000", "probability": "0.5", "vae_cache_clear_each_epoch": None},
    ],
)
def test_what_the_program_understands_is_in_order(dataloader_complaints: Complaints, given: dict[str, Any]) -> None:
    assert dataloader_complaints([PICTURES | given]) == []


@pytest.mark.parametrize(
    ("entry", "where"),
    [
        ({"instance_data_dir": "x"}, "'id' is a required property"),
        (PICTURES | {"repeats": -1}, "repeats"),
        (PICTURES | {"crop_stile": "center"}, "crop_stile"),
        (PICTURES | {"crop_style": "middle"}, "crop_style"),
        (PICTURES | {"dataset_type": "video"}, "dataset_type"),
        (PICTURES | {"type": "ftp"}, "type"),
        (PICTURES | {"parquet": {"path": "a"}}, "parquet"),
        (PICTURES | {"conditioning": [{"type": "depth"}]}, "conditioning"),
        ({"id": "t", "dataset_type": "text_embeds", "crop": True}, "crop"),
        ({"id": "t", "dataset_type": "text_embeds", "default": "maybe"}, "default"),
    ],
)
def test_a_mistake_is_found_at_its_key(dataloader_complaints: Complaints, entry: dict[str, Any], where: str) -> None:
    found = dataloader_complaints([entry])
    assert any(where in complaint for complaint in found), found


def test_a_file_without_data_sets_and_one_that_is_no_list(dataloader_complaints: Complaints) -> None:
    assert dataloader_complaints([])
    assert dataloader_complaints(PICTURES)
