"""What an update needs to know about the processes that make it together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import Parameter

from simpletuner.core.samples import Update, Use
from simpletuner.training.gradients import GradientSize, Trained
from simpletuner.training.model import TrainedModel
from simpletuner.training.objectives.predict import Predict


class Parallel(Protocol):
    """The processes of a run. Every method is called by all of them at the same place, or by none.

    A loss is a sum over all samples of an update divided by their number, so gradients are summed, never averaged:
    how samples are shared out changes nothing.
    """

    @property
    def rank(self) -> int:
        """This process, from 0."""
        ...

    @property
    def count(self) -> int:
        """All processes."""
        ...

    @property
    def is_first(self) -> bool:
        """Whether this process writes what is there once."""
        ...

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        ...

    @property
    def is_sharded(self) -> bool:
        """Whether processes hold a model, or its training, together: all of them make each of its passes, in step."""
        ...

    @property
    def is_torn(self) -> bool:
        """Whether an exchange broke off half-way, so that nothing can be exchanged any more."""
        ...

    def passes(self, slices: Sequence[Sequence[Use]], update: Update) -> Sequence[tuple[Sequence[Use], bool]]:
        """The micro-batches to compute, each with whether it counts: a process may have to keep others company."""
        ...

    def micro_batch(self, *, is_last: bool) -> AbstractContextManager[None]:
        """Around forward and backward of one micro-batch; ``is_last`` of this update."""
        ...

    def computing(self, model: TrainedModel) -> Predict:
        """What computes ``model`` in a pass that a backward pass follows."""
        ...

    def backward(self, loss: Tensor) -> None:
        """The backward pass of one micro-batch from its ``loss``, a number."""
        ...

    def together(self) -> AbstractContextManager[None]:
        """Around work between updates, of one process or of all. They leave it at the same time, however long it
        takes, and what fails in one fails in all: ToldError where it is not their own error.
        """
        ...

    def in_step(self) -> AbstractContextManager[None]:
        """The same around a process's own part of an update; it costs one small exchange.

        A run may go on after NonFiniteError: all of them raise it, with what each process has found.
        """
        ...

    def in_passes(self) -> AbstractContextManager[None]:
        """Around all passes of an update. Where each of them exchanges, what fails in one process tears them apart."""
        ...

    def moving(self) -> AbstractContextManager[None]:
        """Around what moves weights: they are half moved where it fails, and nothing is saved after that."""
        ...

    def all_said(self, lines: Sequence[str]) -> list[str]:
        """The ``lines`` of all processes, in all of them; those of others than the first name their process."""
        ...

    def sum_gradients(self, parameters: Sequence[Parameter]) -> None:
        """After the last micro-batch: each gradient is the sum over all processes, the same bits in each of them."""
        ...

    def held(self, parameters: Sequence[Parameter]) -> Sequence[Trained]:
        """The summed gradients that this process holds, to be measured and clipped."""
        ...

    def settle(self) -> None:
        """After passes without a backward pass: give back what only they needed."""
        ...

    def whole_size(self, size: GradientSize) -> GradientSize:
        """The size of all gradients, where each process has measured those it holds."""
        ...

    def sum(self, values: Tensor) -> Tensor:
        """The sum of ``values`` over all processes."""
        ...

    def any(self, flag: bool) -> bool:  # noqa: FBT001  # it is the value itself
        """Whether ``flag`` is set in any process."""
        ...

    def wait(self) -> None:
        """Return when all processes have called it."""
        ...
