"""Options of the run's length."""

from __future__ import annotations

from simpletuner.config.option import Section, option


class LengthConfig(Section):
    """How long to train, and how many pictures make one weight update."""

    max_train_steps: int = option(0, reads=("assemble",), ge=0)
    """Stop after this many weight updates; 0 lets `num_train_epochs` decide."""
    num_train_epochs: int | None = option(None, reads=("config",), ge=0)
    """Passes over the data. Not given, it is 0 beside `max_train_steps` and 1 alone."""
    train_batch_size: int = option(4, reads=("data",), ge=1)
    """Pictures in one micro-batch; a data set may have its own."""
    gradient_accumulation_steps: int = option(1, reads=("data", "training"), ge=1)
    """Micro-batches in one weight update."""
    seed: int | None = option(None, reads=("assemble",), ge=-1)
    """Base of every random draw; 0 takes the time, -1 a random number; not given, it is 42."""
    strict_epoch_limit: bool = option(
        default=False, unread="a run is as long as its steps or its epochs say: giving both is refused"
    )
    """Stop at `num_train_epochs` also where `max_train_steps` is given."""
