"""What a machine runs out of becomes an error with a code and a cure; what it is not stays what it is."""

from __future__ import annotations

import errno
import sqlite3
from typing import Any

import pytest
import torch

from simpletuner.assemble.mishaps import IfRoom, memory_cure, mishaps_named
from simpletuner.config.reading.fill import Source, fill
from simpletuner.config.run import SECTIONS, RunConfig
from simpletuner.core.errors import DataError, OutOfMemory
from simpletuner.core.events import Event, Notice
from simpletuner.core.progress import Progress

NEEDED = {"model_type": "lora", "model_family": "omnigen", "output_dir": "output", "max_train_steps": 10}


def config(**given: Any) -> RunConfig:
    filled = {name: fill(kind, NEEDED | given, Source("config.json")) for name, kind in SECTIONS.items()}
    return RunConfig.model_validate({name: section for name, (section, _) in filled.items()})


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory. Tried ...\nand pages"), MemoryError()])
def test_memory_has_its_own_code(error: BaseException) -> None:
    with pytest.raises(OutOfMemory, match="train_batch_size") as caught, mishaps_named(config()):
        raise error
    assert caught.value.exit_code == 4
    assert "pages" not in str(caught.value)


def test_a_full_disk_names_the_file() -> None:
    with pytest.raises(DataError, match=r"weights\.bin.*No space") as caught, mishaps_named(config()):
        raise OSError(errno.ENOSPC, "No space left on device", "weights.bin")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EACCES, "right to read and write"),
        (errno.EPERM, "right to read and write"),
        (errno.ENAMETOOLONG, "shorter"),
        (errno.EISDIR, "move it away"),
    ],
)
def test_what_a_disk_refuses_has_a_cure(number: int, told: str) -> None:
    with pytest.raises(DataError, match=told) as caught, mishaps_named(config()):
        raise OSError(number, "no", "cache/index.sqlite")
    assert caught.value.file == "cache/index.sqlite"


def test_an_index_that_is_locked_is_named() -> None:
    with pytest.raises(DataError, match="database is locked") as caught, mishaps_named(config()):
        raise sqlite3.OperationalError("database is locked")
    assert "no other process" in str(caught.value.cure)


def test_other_errors_pass() -> None:
    with pytest.raises(FileNotFoundError), mishaps_named(config()):
        raise FileNotFoundError("a bug of ours")


def test_what_is_on_already_is_not_advised() -> None:
    plain, saving = (
        memory_cure(config(gradient_checkpointing=False)),
        memory_cure(
            config(
                train_batch_size=1, base_model_precision="int8-quanto", musubi_blocks_to_swap=8, vae_enable_tiling=True
            )
        ),
    )
    for advice in (
        "gradient_checkpointing=true",
        "a smaller train_batch_size",
        "int8-quanto",
        "musubi_blocks_to_swap=8",
    ):
        assert advice in plain
        assert advice not in saving
    assert "a smaller resolution" in saving


def test_memory_that_a_step_could_not_split_for_gets_the_advice_too() -> None:
    with pytest.raises(OutOfMemory, match="1 of them do not fit") as caught, mishaps_named(config()):
        raise OutOfMemory("1 of them do not fit")
    assert "resolution" in str(caught.value.cure)


class Hungry:
    """Draws as a validator does, and finds no memory, or another error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def before_training(self, progress: Progress) -> None:
        raise self._error

    def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
        raise self._error

    def at_end(self, progress: Progress) -> None:
        raise self._error


def draw(error: Exception, *, in_step: bool = False) -> list[Event]:
    told: list[Event] = []
    pictures = IfRoom(Hungry(error), told.append, in_step=in_step)  # type: ignore[arg-type]
    pictures.before_training(Progress(step=4))
    pictures.after_update(Progress(step=5), epoch_ended=False)
    pictures.at_end(Progress(step=6))
    return told


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory.\npages"), MemoryError("no more")])
def test_pictures_without_memory_are_left_out_and_training_goes_on(error: Exception) -> None:
    told = draw(error)
    assert [event.text for event in told if isinstance(event, Notice)] == [
        f"step {step}: no memory for validation pictures ({str(error).splitlines()[0]}); training goes on without them"
        for step in (4, 5, 6)
    ]


def test_what_else_is_wrong_with_pictures_is_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        draw(RuntimeError("size mismatch"))


def test_pictures_that_others_draw_along_are_not_left_out_by_one() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        draw(torch.OutOfMemoryError("CUDA out of memory."), in_step=True)
    with pytest.raises(DataError, match="validation_images"):
        draw(OSError(errno.ENOSPC, "No space left on device"), in_step=True)
