from __future__ import annotations

from typing import Any

import pytest


def mask(**keys: Any) -> dict[str, Any]:
    return {
        "id": "masks",
        "dataset_type": "conditioning",
        "conditioning_type": "mask",
        "instance_data_dir": "datasets/dreambooth-subject",
    } | keys


def cats(**keys: Any) -> dict[str, Any]:
    return {"id": "cats", "instance_data_dir": "datasets/pseudo-camera-10k"} | keys


@pytest.mark.parametrize("kind", ["mask", "segmentation", "reference_strict", "reference_loose"])
def test_masks_and_references(project: Any, kind: str) -> None:
    project.entries(mask(conditioning_type=kind), cats(conditioning_data="masks"))
    pair, pictures = project.load().datasets
    assert (pair.dataset_type, pair.conditioning_type, pair.conditioning_data) == ("conditioning", kind, ())
    assert pictures.conditioning_data == ("masks",)


def test_several_conditioning_sets_and_several_users(project: Any) -> None:
    project.entries(
        cats(conditioning_data=["masks", "drawn"]),
        cats(id="small", resolution=512, conditioning_data="masks"),
        mask(source_dataset_id="cats"),
        mask(id="drawn", conditioning_type="reference_loose"),
    )
    datasets = {dataset.id: dataset.conditioning_data for dataset in project.load().datasets}
    assert datasets == {"cats": ("masks", "drawn"), "small": ("masks",), "masks": (), "drawn": ()}


def test_a_source_alone_ties_the_masks_to_it(project: Any) -> None:
    project.entries(cats(), cats(id="dogs"), mask(source_dataset_id="cats"))
    datasets = {dataset.id: dataset.conditioning_data for dataset in project.load().datasets}
    assert datasets == {"cats": ("masks",), "dogs": (), "masks": ()}
    assert not any("masks" in notice for notice in project.load().notices)


def test_sets_of_references_that_take_turns_are_told(project: Any) -> None:
    both = [mask(id=name, conditioning_type="reference_strict") for name in ("one", "two")]
    entries = (cats(conditioning_data=["masks", "one", "two"]), mask(), *both)
    (told,) = project.told(*entries)
    assert "data set cats: each use draws its reference from one of one and two" in told
    project.entries(*entries)
    project.set(conditioning_multidataset_sampling="combined")
    assert not any("each use draws" in notice for notice in project.load().notices)
    assert project.told(cats(conditioning_data=["masks", "one"]), mask(), both[0]) == []


def test_masks_that_nobody_uses_are_told(project: Any) -> None:
    told = "data set masks: is not used: no data set names it in conditioning_data"
    assert project.told(cats(), mask()) == [told]


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([cats(conditioning_data="mask"), mask()], "cats: conditioning_data: there is no data set 'mask'"),
        ([cats(conditioning_data="mask"), mask()], "did you mean 'masks'?"),
        ([cats(conditioning_data="masks")], "known: none"),
        ([cats(conditioning_data=["masks", "dogs"]), mask(), cats(id="dogs")], "'dogs' is of dataset_type image"),
        ([cats(), mask(source_dataset_id="cat")], "did you mean 'cats'?"),
        ([cats(), mask(source_dataset_id="masks")], "masks: source_dataset_id: a circle: masks -> masks"),
        (
            [cats(), mask(source_dataset_id="b"), mask(id="b", source_dataset_id="masks")],
            "masks: source_dataset_id: a circle: masks -> b -> masks",
        ),
        ([cats(), mask(), mask(id="b", source_dataset_id="masks")], "'masks' is of dataset_type conditioning"),
        ([cats(), mask(conditioning_type=None)], "masks: conditioning_type: is missing"),
        ([cats(), mask(conditioning_type="controlnet")], "masks: conditioning_type: 'controlnet' is not for OmniGen"),
        ([cats(), mask(conditioning_type="masks")], "did you mean 'mask'?"),
        ([cats(), mask(conditioning_data="masks")], "stands on a conditioning data set, which has none"),
        ([cats(), mask(is_regularisation_data=True)], "is_regularisation_data: stands on a conditioning data set"),
        ([cats(conditioning_type="mask")], 'add "dataset_type": "conditioning", or remove the key'),
        ([cats(source_dataset_id="cats")], "cats: source_dataset_id: "),
        (
            [cats(), cats(id="dogs", conditioning_data="masks"), mask(source_dataset_id="cats")],
            "masks: source_dataset_id: is 'cats', and dogs use it in conditioning_data",
        ),
        ([cats(text_embeds="t2"), {"id": "t1", "dataset_type": "text_embeds"}], "there is no cache entry 't2'"),
        ([cats(text_embeds="cats")], "'cats' is of dataset_type image, not text_embeds"),
        ([cats(image_embeds="t1"), {"id": "t1", "dataset_type": "text_embeds"}], "not image_embeds"),
        ([mask()], "no data set to train on"),
        ([cats(dataset_type="eval", conditioning_data="masks"), mask()], "no data set to train on"),
        ([cats(conditioning_data="masks"), mask(disabled=True)], "there is no data set 'masks'"),
    ],
)
def test_references_that_lead_nowhere(project: Any, entries: list[dict[str, Any]], told: str) -> None:
    assert told in project.refused(*entries)


def test_references_to_caches(project: Any) -> None:
    project.entries(
        cats(text_embeds="t", image_embeds="i"),
        {"id": "t", "dataset_type": "text_embeds"},
        {"id": "i", "dataset_type": "image_embeds"},
    )
    (dataset,) = project.load().datasets
    assert (dataset.text_embeds, dataset.image_embeds) == ("t", "i")
