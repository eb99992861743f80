"""Optimizers by the names of the configuration; one module knows one library."""

from simpletuner.training.optimizers.averaging import evaluating, keeps_average
from simpletuner.training.optimizers.build import build_optimizer, try_optimizer
from simpletuner.training.optimizers.rates import rate_in_force, set_rate

__all__ = ["build_optimizer", "evaluating", "keeps_average", "rate_in_force", "set_rate", "try_optimizer"]
