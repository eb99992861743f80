from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simpletuner.config.rules.folders import held_out_refused, output_refused
from simpletuner.core.errors import ConfigError

HERE = Path("/here")


@pytest.mark.parametrize(
    ("output", "pictures", "told"),
    [
        ("cats", "cats", "is inside the pictures"),
        ("cats/out", "cats", "what is drawn would be trained on (/here/cats)"),
        (".", "out/cats", None),
        ("out", "cats", None),
        ("cats2", "cats", None),
        ("out", "out/mine", None),
        ("out", "out/validation_images", "holds the pictures in validation_images"),
        ("out", "out/checkpoint-500/cats", "--fresh moves all aside"),
    ],
)
def test_results_lie_apart_from_pictures(output: str, pictures: str, told: str | None) -> None:
    refused = output_refused(HERE / output, HERE / pictures)
    assert (refused is None) == (told is None)
    assert refused is None or (told in refused[0] and refused[1] == "name another folder")  # type: ignore[operator]


@pytest.mark.parametrize(
    ("held", "trained", "is_refused"),
    [("a", "a", True), ("a/b", "a", True), ("a", "a/b", True), ("a", "b", False), ("ab", "a", False)],
)
def test_held_out_pictures_are_not_trained_on(held: str, trained: str, is_refused: bool) -> None:
    assert (held_out_refused(HERE / held, HERE / trained) is not None) is is_refused


def said(project: Any, **values: object) -> str:
    project.set(**values)
    with pytest.raises(ConfigError) as caught:
        project.load()
    return str(caught.value)


def test_an_output_folder_is_refused_by_its_key(project: Any) -> None:
    assert f"{project.config}: output_dir: is inside the pictures" in said(
        project, output_dir="datasets/dreambooth-subject/out"
    )
    (project.root / "file").touch()
    assert "output_dir: is a file, not a folder" in said(project, output_dir="file")
    assert f"output_dir: cannot be made: {project.root}/file is a file" in said(project, output_dir="file/out")
    (project.root / "link").symlink_to(project.root / "datasets/dreambooth-subject")
    assert "is inside the pictures" in said(project, output_dir="link/out")


def test_pictures_that_nothing_keeps_apart_are_not_held_out(project: Any) -> None:
    held = project.entry(id="held", dataset_type="eval")
    told = project.refused(project.entry(), held)
    assert "held: instance_data_dir: is trained on too by data set 'cats'" in told
    assert "is trained on too" in project.refused(project.entry(minimum_image_size=512), held)
    assert "is trained on too" in project.refused(project.entry(), held | {"instance_data_dir": "datasets"})


def test_the_same_of_a_store_is_not_held_out(project: Any) -> None:
    hub = {"type": "huggingface", "metadata_backend": "huggingface", "caption_strategy": "huggingface"}
    cats = hub | {"id": "cats", "dataset_name": "owner/cats"}
    held = hub | {"id": "held", "dataset_type": "eval", "dataset_name": "owner/cats"}
    assert "held: dataset_name: is trained on too by data set 'cats'" in project.refused(cats, held)
    project.entries(cats, held | {"split": "test"})
    assert len(project.load().datasets) == 2


@pytest.mark.parametrize(
    ("trained", "held"),
    [
        ({"maximum_aspect_ratio": 1}, {"minimum_aspect_ratio": 1}),
        ({"minimum_aspect_ratio": 1.5}, {"maximum_aspect_ratio": 1}),
        ({}, {"instance_data_dir": "datasets/dreambooth-subject"}),
        ({"probability": 0}, {}),
    ],
)
def test_pictures_that_are_told_apart_may_be_held_out(project: Any, trained: Any, held: Any) -> None:
    other = project.entry(id="other", instance_data_dir="more")
    (project.root / "more").mkdir()
    project.entries(project.entry(**trained), project.entry(id="held", dataset_type="eval") | held, other)
    assert len(project.load().datasets) == 3
