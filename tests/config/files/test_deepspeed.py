from __future__ import annotations

import json
from typing import Any

import pytest

from simpletuner.config.files.deepspeed import ZeroConfig
from simpletuner.core.errors import ConfigError

FULL: dict[str, object] = {"model_type": "full", "optimizer": "torch-adamw", "train_batch_size": 2, "num_processes": 3}


def zero(stage: object = 2, **more: object) -> dict[str, object]:
    return {"zero_optimization": {"stage": stage, **more}}


def read(project: Any, settings: object, **options: object) -> ZeroConfig | None:
    project.entries(project.entry())
    project.set(**{**FULL, **options, "deepspeed_config": settings})
    found: ZeroConfig | None = project.load().zero
    return found


def test_nothing_is_shared_out_when_nothing_is_asked_for(project: Any) -> None:
    project.entries(project.entry())
    project.set(**FULL)
    assert project.load().zero is None


@pytest.mark.parametrize("stage", [1, "2", 3])
def test_an_object_and_a_text_and_a_file_say_the_same(project: Any, stage: object) -> None:
    expected = ZeroConfig(int(str(stage)), reduce_bucket_size=1000)
    settings = zero(stage, reduce_bucket_size=1e3, allgather_bucket_size="auto")
    assert read(project, settings) == expected
    assert read(project, json.dumps(settings)) == expected
    (project.config.parent / "zero.json").write_text(json.dumps(settings | {"__note": "mine"}))
    assert read(project, "zero.json") == expected


def test_what_says_the_same_as_the_run_is_welcome(project: Any) -> None:
    same = {
        "train_batch_size": 12,
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": 2,
        "gradient_clipping": 0.5,
        "bf16": {"enabled": True},
        "fp16": {"enabled": "auto"},
        "optimizer": "auto",
    }
    more: dict[str, object] = {"gradient_accumulation_steps": 2, "max_grad_norm": 0.5, "grad_clip_method": "norm"}
    none = {"offload_optimizer": {"device": "none"}, "overlap_comm": False}
    assert read(project, zero(**none) | same, mixed_precision="bf16", **more) == ZeroConfig(2)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("{", "deepspeed_config: is no valid JSON"),
        ("nowhere.json", "there is no file 'nowhere.json'"),
        ({"stage": 2}, "zero_optimization: is missing"),
        (zero(0), "zero_optimization.stage: '0' is no stage that shares anything"),
        (zero("all"), "zero_optimization.stage: 'all' is not a number"),
        ({"zero_optimization": {}}, "zero_optimization.stage: 'nothing' is not a number"),
        (zero(offload_optimizer={"device": "cpu"}), '"fsdp_cpu_offload": true instead of DeepSpeed'),
        (zero(offload_param="nvme"), "offload_param: is not available"),
        (zero(overlap_comm=True), "overlap_comm: is off here"),
        (zero(reduce_buckets=5), "did you mean 'reduce_bucket_size'?"),
        (zero(reduce_bucket_size=5), "'5' is no even number"),
        (zero(allgather_bucket_size="big"), "allgather_bucket_size: 'big' is not a number"),
        (zero() | {"train_batch_size": 8}, "num_processes gives 6"),
        (zero() | {"gradient_accumulation_steps": "two"}, "'two' is not a number"),
        (zero() | {"gradient_clipping": 1.0}, "max_grad_norm with grad_clip_method norm gives"),
        (zero() | {"bf16": {"enabled": True}}, "bf16.enabled: is 'True', and the run's own mixed_precision is no"),
        (zero() | {"fp16": {"enabled": "perhaps"}}, "fp16.enabled: 'perhaps' is neither on nor off"),
        (zero() | {"optimizer": {"type": "AdamW"}}, 'remove it, and write the option "optimizer"'),
        (zero() | {"scheduler": {"type": "WarmupLR"}}, 'write the option "lr_scheduler"'),
        (zero() | {"wall_clock_breakdown": True}, "wall_clock_breakdown: is not read here"),
    ],
)
def test_what_would_not_be_in_force_is_refused(project: Any, settings: object, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(project, settings, mixed_precision="no", max_grad_norm=2.0, grad_clip_method="value")
    assert told in str(caught.value)


def test_all_that_is_wrong_is_told_at_once(project: Any) -> None:
    with pytest.raises(ConfigError, match="3 problems") as caught:
        read(project, zero(7, foo=1) | {"train_batch_size": 8})
    assert "deepspeed_config.zero_optimization.foo" in str(caught.value)
