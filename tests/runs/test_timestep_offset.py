"""`timestep_sampling_offset` through the command a user types: the noise of one data set, and of no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner.core.files import sha256
from tests.runs.conftest import Train, metrics
from tests.runs.data_words import adapter, dataloader, dataset, same, training_data
from tests.runs.resuming import small_model

ADAPTER = "pytorch_lora_weights.safetensors"
# An epoch of two data sets of five pictures, by twos.
STEPS = 6


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("model") / "omnigen")


@pytest.fixture
def moved(train: Train, model: Path) -> Train:
    """As ``train``, with a small model and the same pictures in two data sets: ``offset`` is that of the first."""

    def start(*words: str, offset: float | None = None, **overrides: object) -> int:
        asked = {} if offset is None else {"timestep_sampling_offset": offset}
        dataloader(dataset(**asked), dataset(id="plain", cache_dir_vae="cache/plain"))
        return train(*words, **{"pretrained_model_name_or_path": model, "use_ema": False} | overrides)

    return start


def levels(record: dict[str, object]) -> set[int]:
    """The fifths of sigma, from 0 (the image) to 4 (noise), that a step tells a loss of."""
    return {int(key.removeprefix("loss/bin/")) for key in record if key.startswith("loss/bin/")}


def test_it_moves_the_noise_of_its_data_set_and_leaves_the_others_to_the_bit(moved: Train, tmp_path: Path) -> None:
    still = {"learning_rate": 1e-30, "max_train_steps": STEPS}
    for offset in (None, -4, 4):
        assert moved(offset=offset, output_dir=f"run{offset}", **still) == 0
    names = [update.dataset for update in training_data().plan(0)]
    assert sorted(names) == ["flat"] * 3 + ["plain"] * 3
    told = zip(names, *(metrics(tmp_path / f"run{offset}") for offset in (None, -4, 4)), strict=True)
    met = set()
    for name, usual, less, more in told:
        if name == "plain":
            assert usual["train_loss"] == less["train_loss"] == more["train_loss"]
            assert levels(usual) == levels(less) == levels(more)
        else:
            assert (levels(less), levels(more)) == ({0}, {4}), "below 0 is less noise"
            met |= levels(usual)
    assert len(met) > 1


def test_a_run_with_an_offset_resumes_to_the_bit_and_with_no_other(
    moved: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = {"offset": -1.5, "max_train_steps": 7, "checkpoint_step_interval": 100}
    assert moved(**whole, output_dir="whole") == 0
    assert moved(**whole | {"max_train_steps": 3}, output_dir="parts") == 0
    assert moved(**whole | {"offset": 1.5}, output_dir="parts") == 3
    said = " ".join(capsys.readouterr().err.split())
    assert "datasets.flat.timestep_sampling_offset was -1.5, is 1.5" in said
    assert moved(**whole, output_dir="parts") == 0
    assert same(adapter("whole"), adapter("parts"))
    told = [[(record["step"], record["train_loss"], levels(record)) for record in metrics(tmp_path / name)]
            for name in ("whole", "parts")]  # fmt: skip
    assert told[0] == told[1]


def test_0_is_the_run_that_there_was_before_the_key(moved: Train, tmp_path: Path) -> None:
    """And it goes on from the checkpoint of one that has no such line."""
    assert moved(max_train_steps=2, output_dir="without") == 0
    assert moved(offset=0, max_train_steps=2, output_dir="zero") == 0
    assert sha256(tmp_path / "without" / ADAPTER) == sha256(tmp_path / "zero" / ADAPTER)
    assert moved(offset=0, max_train_steps=3, output_dir="without") == 0
    assert metrics(tmp_path / "without")[-1]["resumed_from"] == "checkpoint-2"


def test_an_update_may_be_cut_in_any_way(moved: Train, tmp_path: Path) -> None:
    quiet = {"offset": -1, "caption_dropout_probability": 0, "max_train_steps": 3}
    assert moved(**quiet, output_dir="one", train_batch_size=4) == 0
    assert moved(**quiet, output_dir="two", train_batch_size=2, gradient_accumulation_steps=2) == 0
    one, two = (metrics(tmp_path / name) for name in ("one", "two"))
    assert [levels(record) for record in one] == [levels(record) for record in two]
    losses = [[float(str(record["train_loss"])) for record in records] for records in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
