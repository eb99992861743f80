"""The size of a run's adapter without torch is that of the adapter that is really laid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.adapters.peft import attach_lora
from simpletuner.adapters.targets import lora_settings
from simpletuner.assemble.adapter_plan import (
    AdapterPlan,
    known_shapes,
    plan_adapter,
    plan_lokr,
    plan_weights,
    stray_targets,
    transformer_config,
)
from simpletuner.config.load import LoadedRun
from simpletuner.core.errors import ConfigError
from simpletuner.models.omnigen.layers import FACTS, TINY_FOLDER
from tests.assemble.conftest import LYCORIS, dataset, loaded_run, write_scenes
from tests.models.omnigen.tiny_model import random_omnigen

CONFIG = TINY_FOLDER / "transformer" / "config.json"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "cats", ["a.png"])
    return tmp_path


def loaded(root: Path, lycoris: dict[str, Any] | None = None, **options: Any) -> LoadedRun:
    if lycoris is not None:
        (root / "own.json").write_text(json.dumps(lycoris), encoding="utf-8")
        options["lycoris_config"] = "own.json"
    return loaded_run(root, [dataset("cats")], **options)


def planned(run: LoadedRun) -> AdapterPlan:
    plan = plan_adapter(run, FACTS)
    assert plan is not None
    return plan


def test_the_documents_recipe(root: Path) -> None:
    plan = planned(loaded(root, model_flavour="v1"))
    by_class = {share.class_name: (share.adapted, share.linears, share.parameters) for share in plan.shares}
    assert by_class == {"Attention": (128, 128, 4_751_360), "OmniGenFeedForward": (64, 64, 37_752_832)}
    assert plan.parameters == 42_504_192
    assert plan.width == 2
    assert plan.file_bytes == 2 * 42_504_192
    assert plan.factors == {"Attention": (16,), "OmniGenFeedForward": (8,)}
    assert plan.alpha_is_idle


def without(*keys: str) -> dict[str, Any]:
    """The document's file, with `FeedForward` taken out of each of ``keys``."""
    recipe: dict[str, Any] = json.loads(LYCORIS.read_text())
    preset = recipe["apply_preset"]
    if "target_module" in keys:
        preset["target_module"].remove("FeedForward")
    if "module_algo_map" in keys:
        del preset["module_algo_map"]["FeedForward"]
    return recipe


STRAY = (
    "lycoris_config: FeedForward is in module_algo_map but not in target_module, and is adapted all the same, "
    "as LyCORIS does; to leave it out, remove it there too"
)


@pytest.mark.parametrize(
    ("keys", "values", "told"),
    [
        ((), 42_504_192, ()),
        (("target_module",), 42_504_192, (STRAY,)),
        (("module_algo_map",), 4_751_360 + 9_453_568, ()),
        (("target_module", "module_algo_map"), 4_751_360, ()),
    ],
)
def test_feed_forward_is_left_out_by_removing_it_in_both_places(
    root: Path, keys: tuple[str, ...], values: int, told: tuple[str, ...]
) -> None:
    run = loaded(root, without(*keys), model_flavour="v1")
    assert planned(run).parameters == values
    assert stray_targets(run, FACTS) == told


def test_without_a_lycoris_file_or_layers_nothing_strays(root: Path) -> None:
    assert stray_targets(loaded(root, lora_type="standard"), FACTS) == ()
    unknown = loaded(root, without("target_module"), pretrained_model_name_or_path="someone/else")
    assert stray_targets(unknown, FACTS) == ()


def test_all_weights(root: Path) -> None:
    weights = plan_weights(loaded(root, model_flavour="v1"), FACTS)
    assert weights is not None
    assert f"{weights.parameters / 1e9:.1f}" == "3.8"
    assert weights.file_bytes == 4 * weights.parameters
    assert plan_weights(loaded(root, pretrained_model_name_or_path="someone/else"), FACTS) is None


SMALL = {"multiplier": 1.0, "linear_alpha": 1}
# That of `random_omnigen`.
SIZES = {
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 128,
    "num_layers": 2,
}


def weights(root: Path) -> dict[str, Any]:
    """The option that names a folder with the small model's layers."""
    (root / "weights" / "transformer").mkdir(parents=True)
    (root / "weights" / "transformer" / "config.json").write_text(json.dumps(SIZES), encoding="utf-8")
    return {"pretrained_model_name_or_path": "weights"}


@pytest.mark.parametrize(
    "lycoris",
    [
        {"algo": "lokr", "linear_dim": 10_000, "factor": 4, "apply_preset": {"target_module": ["Attention"]}},
        {"algo": "lokr", "linear_dim": 2, "factor": 4, "apply_preset": {"target_module": ["FeedForward"]}},
        {
            "algo": "lora",
            "linear_dim": 4,
            "apply_preset": {
                "target_module": ["Attention", "FeedForward"],
                "module_algo_map": {"FeedForward": {"algo": "lokr", "dim": 10_000, "factor": 8}},
                "name_algo_map": {"layers.0.self_attn.to_q": {"dim": 2}},
            },
        },
        {"algo": "loha", "linear_dim": 2, "apply_preset": {"target_name": [r"layers\.1\.self_attn\.to_[qk]"]}},
    ],
    ids=lambda lycoris: str(lycoris["algo"]),
)
def test_it_is_that_of_the_real_adapter(root: Path, lycoris: dict[str, Any]) -> None:
    run = loaded(root, {**SMALL, **lycoris}, **weights(root))
    plan = planned(run)
    assert run.lycoris is not None
    adapter = attach_lycoris(random_omnigen(), run.lycoris, FACTS.class_aliases, 1)
    counted = adapter.parameters_by_path()
    assert plan.parameters == sum(counted.values())
    assert sum(share.adapted for share in plan.shares) == len(counted)


def test_a_standard_lora(root: Path) -> None:
    targets = {"lora_rank": 3, "peft_lora_target_modules": "to_q,down_proj"}
    run = loaded(root, lora_type="standard", **targets, **weights(root))
    plan = planned(run)
    shapes = known_shapes("weights", FACTS)
    adapter = attach_lora(random_omnigen(), lora_settings(run.config.adapter), FACTS.class_aliases, shapes, 1)
    assert (plan.method, plan.parameters) == ("lora", sum(adapter.parameters_by_path().values()))
    assert not plan.factors
    assert not plan.alpha_is_idle


@pytest.mark.parametrize(
    ("lycoris", "options"),
    [
        ({"algo": "boft", "linear_dim": 4, "apply_preset": {"target_module": ["Attention"]}}, {}),
        ({"algo": "lora", "linear_dim": 4}, {}),
        ({"algo": "lora", "linear_dim": 4, "apply_preset": {"target_name": ["proj_out"]}}, {}),
        ({"algo": "lora", "linear_dim": 4, "apply_preset": {"target_module": ["AdaLayerNorm"]}}, {}),
        (None, {"model_type": "full", "optimizer": "torch-adamw"}),
        (None, {"pretrained_model_name_or_path": "someone/else"}),
    ],
)
def test_what_cannot_be_known_before_the_model_is_there(root: Path, lycoris: Any, options: dict[str, Any]) -> None:
    own = None if lycoris is None else {**SMALL, **lycoris}
    assert plan_adapter(loaded(root, own, **options), FACTS) is None


def test_a_lokr_of_every_factor_over_the_runs_model(root: Path) -> None:
    assert plan_lokr(loaded(root, model_flavour="v1"), FACTS)[1].parameters == 56_635_392
    assert plan_lokr(loaded(root, pretrained_model_name_or_path="someone/else"), FACTS) == ()


def test_which_layers_a_model_has(tmp_path: Path) -> None:
    assert transformer_config("Shitao/OmniGen-v1-diffusers", FACTS)["num_layers"] == 32
    assert transformer_config(TINY_FOLDER, FACTS) == json.loads(CONFIG.read_text())
    assert transformer_config("someone/else", FACTS) == {}
    (tmp_path / "transformer").mkdir()
    (tmp_path / "transformer" / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="invalid JSON"):
        known_shapes(tmp_path, FACTS)
    (tmp_path / "transformer" / "config.json").write_text("{}", encoding="utf-8")
    assert known_shapes(tmp_path, FACTS) == ()
