"""Steps and epochs, by the worked example of the document."""

from __future__ import annotations

from simpletuner.assemble.training.length import resolve_length
from simpletuner.config.sections.length import LengthConfig
from simpletuner.core.samples import SampleId
from simpletuner.data.order.calendar import Calendar
from simpletuner.data.order.plan import PlannedDataset


def length(**given: int) -> LengthConfig:
    return LengthConfig.model_validate(given)


def of(updates: int) -> Calendar:
    """The calendar of one data set of so many pictures, one in each update."""
    samples = [SampleId("set", str(number)) for number in range(updates)]
    return Calendar([PlannedDataset("set", {"1.0": samples}, repeats=0, batch=1)], seed=1)


def test_the_document_on_ten_thousand_photos_ends_in_its_first_epoch() -> None:
    found = resolve_length(length(max_train_steps=10_000, num_train_epochs=0, train_batch_size=1), of(50_040))
    assert (found.steps, found.epochs) == (10_000, 1)


def test_epochs_become_steps() -> None:
    found = resolve_length(length(num_train_epochs=3), of(7))
    assert (found.steps, found.epochs) == (21, 3)


def test_neither_is_one_epoch_and_a_last_epoch_may_be_short() -> None:
    assert resolve_length(length(), of(7)).steps == 7
    assert resolve_length(length(max_train_steps=15), of(7)).epochs == 3


def test_pictures_in_one_update() -> None:
    assert resolve_length(length(train_batch_size=3, gradient_accumulation_steps=4), of(7)).pictures_per_update == 12
