from __future__ import annotations

from typing import Any

import pytest

from simpletuner.config.reading.fill import Source
from simpletuner.config.reading.names import DATASET_ONLY, Named, is_comment, name_options
from simpletuner.config.reading.not_here import ABSENT, PAGE, absent, cure
from simpletuner.config.run import OPTIONS


def named(**given: Any) -> Named:
    return name_options(given, Source("config.json"))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("controlnet", True, "another model family"),
        ("flux_guidance_value", 3.5, "another model family"),
        ("sd3_t5_uncond_behaviour", "zero", "another model family"),
        ("distillation_config", {"steps": 4}, "makes a student of a teacher"),
        ("cloud_job", "x", "a run is a command"),
        ("quantization_config", {"unet": 1}, "base_model_precision"),
        ("validation_adapter_path", "a.safetensors", "simpletuner generate --adapter"),
        ("train_text_encoder", True, "reads its words itself"),
    ],
)
def test_what_is_not_here_is_refused_with_its_page(name: str, value: Any, told: str) -> None:
    (problem,) = named(**{f"--{name}": value}).problems
    assert told in str(problem)
    assert problem.file == "config.json"
    assert PAGE in str(problem.cure)


@pytest.mark.parametrize("value", [None, "", False, "false", 0, "none", [], {}])
def test_switched_off_it_may_stay(value: Any) -> None:
    assert named(controlnet=value, distillation_config=value, flux_lora_target=value) == Named({})


def test_no_option_of_ours_is_said_not_to_be_here() -> None:
    assert [name for name in (*OPTIONS, *DATASET_ONLY) if absent(name)] == []
    assert absent("learning_rat") is None


def test_a_key_of_a_data_set_is_told_and_not_read() -> None:
    given = named(repeats=3, crop=True)
    assert (given.values, given.problems) == ({}, ())
    (notice,) = given.notices
    assert notice.startswith("repeats, crop: belongs into an entry")


def test_every_group_says_what_to_do() -> None:
    for group in ABSENT:
        assert group.names or group.beginnings
        assert cure(group).startswith("remove it; ")
        assert cure(group).endswith(f"({PAGE})")


def test_switches_that_were_turned_round() -> None:
    given = named(vae_cache_preprocess="false", ignore_final_epochs=True)
    assert given.values == {"vae_cache_ondemand": True, "strict_epoch_limit": False}
    assert [notice.split(" is now ")[0] for notice in given.notices] == ["vae_cache_preprocess", "ignore_final_epochs"]
    (problem,) = named(ignore_final_epochs="perhaps").problems
    assert problem.key == "ignore_final_epochs"


def test_notes_of_a_user_and_of_an_editor() -> None:
    assert [is_comment(key) for key in ("__note", "$schema", "note", "--x")] == [True, True, False, False]
    assert named(**{"$schema": "config.schema.json", "__about": 1}) == Named({})


def test_an_unknown_name_is_told_with_the_nearest_or_the_page() -> None:
    (near,) = named(lerning_rate=1).problems
    assert near.cure == "did you mean 'learning_rate'?"
    (foreign,) = named(**{"--batch-size": 1}).problems
    assert foreign.cure == "did you mean 'train_batch_size'?"
    (far,) = named(zzzzz=1).problems
    assert "docs/options.md" in str(far.cure)
