from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simpletuner.assemble.adapter_plan import plan_adapter, plan_weights
from simpletuner.assemble.room_plan import (
    Need,
    checkpoint_bytes,
    checkpoint_need,
    checkpoints_kept,
    full_disks,
    latent_bytes,
    latent_need,
)
from simpletuner.config.load import LoadedRun
from simpletuner.models.omnigen.layers import FACTS
from tests.assemble.conftest import dataset, loaded_run, write_scenes


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "cats", ["a.png"])
    return tmp_path


def loaded(root: Path, **options: Any) -> LoadedRun:
    return loaded_run(root, [dataset("cats")], model_flavour="v1", **options)


def test_latents_of_the_documents_size_take_half_a_megabyte() -> None:
    assert latent_bytes([(1, 1024, 1024)]) == 1024 * 1024 // 2
    assert latent_bytes([(10, 512, 512), (5, 1024, 768)]) == 10 * 131_072 + 5 * 393_216
    assert latent_bytes([]) == 0


def test_a_checkpoint_is_the_adapter_its_state_and_the_average(root: Path) -> None:
    run = loaded(root)
    plan = plan_adapter(run, FACTS)
    assert plan is not None
    values = 42_504_192
    # bf16: the adapter and the two moments of adamw_bf16; the average in bf16 for others and in fp32 to go on from.
    assert checkpoint_bytes(plan, run) == values * 2 * 3
    assert checkpoint_bytes(plan, loaded(root, use_ema=True)) == values * (2 * 3 + 2 + 4)


@pytest.mark.parametrize(
    ("options", "steps", "kept"),
    [
        ({"checkpoint_step_interval": 500, "checkpoints_total_limit": 5}, 10_000, 6),
        ({"checkpoint_step_interval": 500, "checkpoints_total_limit": 5}, 1_000, 2),
        ({"checkpoint_step_interval": 500, "checkpoints_total_limit": 5}, 0, 6),
        ({"checkpoint_step_interval": 500, "checkpoints_total_limit": 1}, 10_000, 3),
        ({"checkpoint_step_interval": 500, "checkpoints_total_limit": 0}, 10_000, 20),
        ({"checkpoint_step_interval": 0}, 10_000, 1),
        ({"checkpoint_step_interval": 500}, 10, 1),
    ],
)
def test_how_many_lie_side_by_side(root: Path, options: dict[str, Any], steps: int, kept: int) -> None:
    assert checkpoints_kept(loaded(root, **options), steps) == kept


def test_a_checkpoint_of_all_weights_is_tens_of_gigabytes(root: Path) -> None:
    run = loaded(root, model_type="full", optimizer="torch-adamw")
    weights = plan_weights(run, FACTS)
    assert weights is not None
    # fp32: the weights, two moments and the average; the result has the averaged weights too.
    assert checkpoint_bytes(weights, run) == 12 * weights.parameters
    averaged = loaded(root, model_type="full", optimizer="torch-adamw", use_ema=True)
    assert checkpoint_bytes(weights, averaged) == 16 * weights.parameters
    need = checkpoint_need(averaged, weights, 10)
    assert need is not None
    assert need.wanted == (16 + 8) * weights.parameters
    assert need.what == "1 checkpoint of 56.1 GB"


def test_the_need_of_a_run(root: Path) -> None:
    run = loaded(root)
    plan = plan_adapter(run, FACTS)
    assert plan is not None
    need = checkpoint_need(run, plan, 10_000)
    assert need is not None
    assert need.wanted == 6 * checkpoint_bytes(plan, run) + plan.file_bytes
    assert need.folder == Path("output")
    assert "6 checkpoints of 243.2 MB: about 1.5 GB in output; " in need.line()
    assert need.device == root.stat().st_dev
    assert "free" not in replace(need, free=None).line()
    assert checkpoint_need(run, None, 10_000) is None


GB = 1 << 30
ONE = Need("6 checkpoints of 6.0 GB", Path("output"), 40 * GB, 60 * GB, device=1)
OTHER = Need("latents", Path("cache"), 40 * GB, 60 * GB, device=1)


def test_what_is_written_to_one_disk_is_summed() -> None:
    assert full_disks([ONE]) == ()
    (told,) = full_disks([ONE, OTHER])
    assert told == (
        "the disk is too small for 6 checkpoints of 6.0 GB: about 40.0 GB in output; latents: about 40.0 GB in cache; "
        "80.0 GB together; 60.0 GB are free; make room, or choose another folder"
    )
    assert full_disks([ONE, replace(OTHER, device=2)]) == ()
    assert full_disks([replace(ONE, wanted=20 * GB), OTHER]) == ()


def test_one_need_alone_fills_a_disk_where_it_is_known_what_is_free() -> None:
    (told,) = full_disks([replace(ONE, free=40 * GB - 1), replace(OTHER, wanted=0)])
    assert told.startswith(
        "the disk is too small for 6 checkpoints of 6.0 GB: about 40.0 GB in output; 40.0 GB are free"
    )
    assert full_disks([replace(ONE, free=None, device=None), replace(OTHER, free=None)]) == ()


def test_what_lies_in_the_cache_is_not_written_again(tmp_path: Path) -> None:
    sizes = [(4, 64, 64)]
    assert latent_need(tmp_path / "new" / "cache", sizes).wanted == 4 * 2048
    for number in range(3):
        (tmp_path / "ab").mkdir(exist_ok=True)
        (tmp_path / "ab" / f"{number}.safetensors").write_bytes(b"x")
    need = latent_need(tmp_path, sizes)
    assert need.wanted == 2048
    assert need.free is not None
    assert latent_need(tmp_path, []).wanted == 0
