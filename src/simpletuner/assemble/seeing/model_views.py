"""Which weights a model is looked at with: as it learns, averaged, or without its adapter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from simpletuner.core.keyed import derive_seed
from simpletuner.training.ema import Ema
from simpletuner.training.model import TrainedModel
from simpletuner.training.optimizers import evaluating
from simpletuner.training.update import Engine


@contextmanager
def eyes_open(model: TrainedModel, change: AbstractContextManager[None]) -> Iterator[None]:
    """Evaluation mode, no gradients, and the training's random stream left as it was."""
    with torch.random.fork_rng(devices=[]), torch.no_grad(), change:
        torch.manual_seed(derive_seed("validation"))
        model.eval()
        try:
            yield
        finally:
            model.train()


@contextmanager
def learned(engine: Engine, strength: float) -> Iterator[None]:
    """The weights as they are, the adapter at ``strength``; what an optimizer keeps instead of them where it does."""
    with evaluating(engine.optimizer), eyes_open(engine.model, engine.model.strength(strength)):
        yield


@contextmanager
def averaged(model: TrainedModel, ema: Ema, strength: float) -> Iterator[None]:
    """The averaged weights."""
    with ema.applied(), eyes_open(model, model.strength(strength)):
        yield
