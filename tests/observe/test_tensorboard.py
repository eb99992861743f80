from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from simpletuner.core.events import Evaluated, ImagesRendered, Picture, RunEnded, StepDone
from simpletuner.observe.tensorboard import TensorBoard


def step(number: int, loss: float) -> StepDone:
    return StepDone(number, 1, 100, loss, 1e-4, 0.1, 1, {"grad_norm": 2.0})


def read(folder: Path) -> EventAccumulator:
    reader = EventAccumulator(str(folder))
    reader.Reload()
    return reader


def test_scalars_have_their_names_and_steps(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path, 0)
    board.hear(step(1, 0.5))
    board.hear(Evaluated(1, 1, {"loss/val/held-out": 0.75}))
    board.close()
    reader = read(tmp_path)
    names = {"train_loss", "learning_rate", "epoch", "step_seconds", "grad_norm", "loss/val/held-out"}
    assert set(reader.Tags()["scalars"]) == names
    assert [(event.step, event.value) for event in reader.Scalars("train_loss")] == [(1, 0.5)]


def test_pictures_are_shown_under_nickname_and_size(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10), "red").save(tmp_path / "a.png")
    Image.new("RGB", (20, 10), "blue").save(tmp_path / "b.webp")
    pictures = tuple(Picture(tmp_path / name, "cat", "a cat", 16, 8) for name in ("a.png", "b.webp"))
    board = TensorBoard(tmp_path / "logs", 0)
    board.hear(ImagesRendered(7, "validation", pictures))
    reader = read(tmp_path / "logs")
    board.close()
    assert set(reader.Tags()["images"]) == {"cat - 16x8", "cat - 16x8 (2)"}
    first, second = (reader.Images(tag)[0] for tag in ("cat - 16x8", "cat - 16x8 (2)"))
    assert first.encoded_image_string == (tmp_path / "a.png").read_bytes()
    assert (first.step, first.width, first.height) == (7, 20, 10)
    assert Image.open(io.BytesIO(second.encoded_image_string)).format == "PNG"


def test_a_resume_hides_what_the_interrupted_run_told_of_later_steps(tmp_path: Path) -> None:
    interrupted = TensorBoard(tmp_path, 0)
    for number in range(1, 6):
        interrupted.hear(step(number, 1.0))
    interrupted.hear(RunEnded(5, "interrupted", 1.0))
    interrupted.close()
    first_file = next(tmp_path.iterdir())
    first_file.rename(first_file.with_name("events.out.tfevents.0000000001.earlier"))
    resumed = TensorBoard(tmp_path, 3)
    resumed.hear(step(4, 2.0))
    resumed.close()
    told = [(event.step, event.value) for event in read(tmp_path).Scalars("train_loss")]
    assert told == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0)]
