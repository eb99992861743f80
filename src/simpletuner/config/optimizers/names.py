"""Every optimizer's name, and why a name is refused. No torch."""

from __future__ import annotations

from typing import Literal, get_args

OptimizerName = Literal[
    "adamw_bf16",
    "adamw_schedulefree",
    "adamw_schedulefree+aggressive",
    "adamw_schedulefree+no_kahan",
    "ao-adamw8bit",
    "ao-adamw4bit",
    "ao-adamfp8",
    "ao-adamwfp8",
    "optimi-stableadamw",
    "optimi-adamw",
    "optimi-lion",
    "optimi-radam",
    "optimi-ranger",
    "optimi-adan",
    "optimi-adam",
    "optimi-sgd",
    "bnb-adagrad",
    "bnb-adagrad8bit",
    "bnb-adam",
    "bnb-adam8bit",
    "bnb-adamw",
    "bnb-adamw8bit",
    "bnb-adamw-paged",
    "bnb-adamw8bit-paged",
    "bnb-lion",
    "bnb-lion8bit",
    "bnb-lion-paged",
    "bnb-lion8bit-paged",
    "bnb-ademamix",
    "bnb-ademamix8bit",
    "bnb-ademamix-paged",
    "bnb-ademamix8bit-paged",
    "soap",
    "prodigy",
    "muon",
    "torch-adam",
    "torch-adamw",
    "torch-sgd",
    "torch-radam",
    "torch-nadam",
    "torch-rmsprop",
    "torch-adagrad",
    "torch-adadelta",
    "torch-adafactor",
    "torch-adamax",
    "torch-asgd",
]
OPTIMIZERS: tuple[str, ...] = get_args(OptimizerName)

SCHEDULE_FREE = frozenset(name for name in OPTIMIZERS if name.startswith("adamw_schedulefree"))
"""They keep their own schedule, and validate and save other weights than they train."""
CLIPS_ITSELF = frozenset({"optimi-stableadamw", "prodigy"})
"""Gradients are not clipped for them (SPEC 9.4): the one limits each update, the other measures what clipping hides."""
KEEPS_BF16 = frozenset(name for name in OPTIMIZERS if name == "adamw_bf16" or name.startswith(("optimi-", "ao-")))
"""Small steps survive in bf16 weights: by stochastic rounding, or by Kahan's sum (optimi)."""
_WHOLE_ONLY = frozenset({"torch-adafactor", "torch-adagrad", "torch-sgd"})
SHARDS = frozenset(
    name for name in OPTIMIZERS if name.startswith(("adamw_", "optimi-", "torch-")) and name not in _WHOLE_ONLY
)
"""They make the same update of weights in parts (FSDP2) as of whole ones. The others look at whole matrices, keep their
state in blocks of their own, or have kernels that know no parts: measured, each of them, on two processes.
"""

ZEROES = frozenset(name for name in OPTIMIZERS if name == "adamw_bf16" or name.startswith(("optimi-", "torch-"))) - {
    "optimi-stableadamw",
    "torch-adafactor",
}
"""They move each value by its own gradient, so DeepSpeed may lay weights end to end and cut them anywhere: measured,
each of them, on two processes.
"""

_SDNQ = ("adafactor", "adamw", "came", "lion", "muon")
_RETIRED = {
    "adamw8bit": "bnb-adamw8bit",
    "adafactor": "torch-adafactor",
    "dadaptation": "prodigy",
}


def _short_names() -> dict[str, str]:
    """``lion8bit`` to ``bnb-lion8bit``: names without the library's, torch's before optimi's and bitsandbytes'."""
    libraries = ("bnb-", "optimi-", "torch-")
    return {
        name.removeprefix(library): name for library in libraries for name in OPTIMIZERS if name.startswith(library)
    }


REFUSED: dict[str, str] = {
    **{short: f"is called {name} here" for short, name in _short_names().items()},
    **{name: f"was retired; {substitute} takes its place" for name, substitute in _RETIRED.items()},
    **{f"sdnq-{kind}": "is GPL-3.0-only code and is not supported" for kind in _SDNQ},
    "torch-sparseadam": "updates by sparse gradients only, and no layer of this model has any; use torch-adam",
}
