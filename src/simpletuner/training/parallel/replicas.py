"""Whole copies of the model, one a process; a single process is the case with nothing to exchange.

Gradients are exchanged once an update, after every micro-batch has been computed, by one all-reduce for each element
type over the gradients laid side by side. torch's DistributedDataParallel exchanges them during the last backward, in
buckets that it arranges anew after the first one: a resumed run would add in another order than an unbroken one, a
process that has run out of memory would leave the others waiting, and an adapter has too few gradients to gain from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors
from torch.nn import Parameter

from simpletuner.core.endings import OnError
from simpletuner.core.errors import NonFiniteError, SimpletunerError
from simpletuner.core.samples import Update, Use
from simpletuner.training.gradients import GradientSize, Trained
from simpletuner.training.health import in_words, joined
from simpletuner.training.model import TrainedModel
from simpletuner.training.objectives.predict import Predict
from simpletuner.training.parallel.processes import Processes
from simpletuner.training.room import memory_named


@dataclass(frozen=True)
class Replicas:
    """The processes of ``processes``; this one computes on ``device``."""

    device: torch.device
    processes: Processes = field(default_factory=Processes)

    @property
    def rank(self) -> int:
        """This process, from 0."""
        return self.processes.rank

    @property
    def count(self) -> int:
        """All processes."""
        return self.processes.count

    @property
    def is_first(self) -> bool:
        """Whether this process writes what is there once."""
        return self.processes.is_first

    @property
    def is_sharded(self) -> bool:
        """Every process has a whole model."""
        return False

    @property
    def is_torn(self) -> bool:
        """See :class:`Processes`."""
        return self.processes.is_torn

    def listen(self) -> None:
        """Hear inside of exchanges, too, that another process has ended."""
        if dist.group.WORLD is not None:
            self.processes.listen([dist.group.WORLD])

    def passes(self, slices: Sequence[Sequence[Use]], update: Update) -> Sequence[tuple[Sequence[Use], bool]]:
        """Its own micro-batches; one without samples has nothing to compute."""
        del update
        return [(uses, True) for uses in slices if uses]

    def micro_batch(self, *, is_last: bool) -> AbstractContextManager[None]:
        """Nothing is exchanged during forward and backward."""
        del is_last
        return nullcontext()

    def computing(self, model: TrainedModel) -> Predict:
        """The model itself."""
        return model

    def backward(self, loss: Tensor) -> None:
        """Autograd's own."""
        loss.backward()

    def together(self) -> AbstractContextManager[None]:
        """See :class:`Processes`."""
        return self.processes.together()

    @contextmanager
    def in_step(self) -> Iterator[None]:
        """An error in any process ends the block in all of them, once each has come to its end."""
        found: NonFiniteError | None = None
        try:
            yield
        except NonFiniteError as error:
            if self.count == 1:
                raise
            found = error
        except SimpletunerError as error:
            if not self.is_torn:
                self.processes.tell(error)
                self.any(True)  # noqa: FBT003  # it is the value itself
            raise
        if self.any(found is not None):
            # What ends the run comes before what it may go on after.
            self.processes.raise_told()
            raise joined(self.processes.of_each(in_words(found)))

    def in_passes(self) -> AbstractContextManager[None]:
        """Nobody waits for it inside of a pass, and all can still exchange what failed."""
        return self.in_step()

    @contextmanager
    def moving(self) -> Iterator[None]:
        """The others hear of a failure when they ask whether all went well."""
        with OnError(self._torn_while_moving), memory_named("no memory to move the weights"):
            yield

    def _torn_while_moving(self, error: BaseException) -> None:
        self.processes.tear(error)
        self.any(True)  # noqa: FBT003  # it is the value itself

    def all_said(self, lines: Sequence[str]) -> list[str]:
        """See :class:`simpletuner.training.parallel.base.Parallel`."""
        if self.count == 1:
            return list(lines)
        each = [json.loads(words) for words in self.processes.of_each(json.dumps(list(lines)))]
        return [line if rank == 0 else f"process {rank}: {line}" for rank, said in enumerate(each) for line in said]

    def sum_gradients(self, parameters: Sequence[Parameter]) -> None:
        """Sum each gradient over all processes; one that a process has not computed counts as zero."""
        if self.count == 1:
            return
        by_type: dict[torch.dtype, list[Tensor]] = {}
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = _nothing(parameter)
            by_type.setdefault(parameter.grad.dtype, []).append(parameter.grad)
        for grads in by_type.values():
            flat = self.sum(_flatten_dense_tensors(grads))
            for grad, summed in zip(grads, _unflatten_dense_tensors(flat, grads), strict=True):
                grad.copy_(summed)

    def held(self, parameters: Sequence[Parameter]) -> Sequence[Trained]:
        """The parameters with theirs."""
        return parameters

    def settle(self) -> None:
        """Nothing was gathered."""

    def whole_size(self, size: GradientSize) -> GradientSize:
        """Every process holds them all."""
        return size

    def sum(self, values: Tensor) -> Tensor:
        """The sum of ``values`` over all processes."""
        if self.count == 1:
            return values
        summed = values.clone()
        with self.processes.losses_named():
            dist.all_reduce(summed)
        return summed

    def any(self, flag: bool) -> bool:  # noqa: FBT001  # it is the value itself
        """Whether ``flag`` is set in any process. Raises ToldError where one set it because it cannot go on."""
        if self.count == 1:
            return flag
        found = bool(self.sum(torch.tensor(float(flag), device=self.device)) > 0)
        if found and not flag:
            self.processes.raise_torn()
        return found

    def wait(self) -> None:
        """Return when all processes have called it."""
        self.processes.wait()


def _nothing(parameter: Parameter) -> Tensor:
    """A gradient of zeros, in the type that gradients of ``parameter`` have."""
    # torch before 2.10 has gradients of the weights' own type alone.
    dtype = parameter.grad_dtype if hasattr(parameter, "grad_dtype") else None
    return torch.zeros_like(parameter, dtype=dtype)
