"""Options that would need less memory, and what each costs: measured by a plan of their own, in a process of its own.

A process of its own because memory that another one has used is not all given back, and a peak is told a process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from simpletuner.assemble.planning.figures import Alternative, Shape
from simpletuner.config.load import LoadedRun
from simpletuner.core.errors import ExitCode

Words = tuple[str, ...]
"""Options as a user types them."""

_ONE = ("--largest=true", "--json=true", "--alternatives=false")
_MAY_TAKE = 1800
_CHECKPOINTING = "gradient_checkpointing=true"
_SWAPPED = (8, 16)


def candidates(loaded: LoadedRun, kind: str, shape: Shape) -> tuple[Words, ...]:
    """What to try for ``shape`` on a device of ``kind`` (cpu, cuda, mps): each alone, then all that belong together."""
    smaller = tuple(_smaller_batches(loaded, shape))
    alone = [
        *_checkpointing(loaded),
        *smaller,
        *_fewer_bits(loaded, kind),
        *(_on_a_card(loaded) if kind == "cuda" else ()),
    ]
    bits = [words for words in alone if words[0].startswith("base_model_precision")]
    together = [word for words in (*_checkpointing(loaded), *smaller[-1:], *bits[-1:]) for word in words]
    # One word alone has been tried already.
    joined = [tuple(dict.fromkeys(together))] if tuple(together) not in alone and together else []
    return (*alone, *joined)


def _checkpointing(loaded: LoadedRun) -> tuple[Words, ...]:
    return () if loaded.config.memory.gradient_checkpointing else ((_CHECKPOINTING,),)


def _smaller_batches(loaded: LoadedRun, shape: Shape) -> Iterator[Words]:
    """Half of the micro-batch, and single pictures, in as large an update; not where the data set has its own."""
    length = loaded.config.length
    batch, accumulated = length.train_batch_size, length.gradient_accumulation_steps
    own = next(made.train_batch_size for made in loaded.datasets if made.id == shape.dataset)
    halves = [batch // 2] if batch % 2 == 0 and batch > 2 else []
    for smaller in (*halves, 1) if batch > 1 and own == batch and shape.micro_batch > 1 else ():
        yield f"train_batch_size={smaller}", f"gradient_accumulation_steps={accumulated * batch // smaller}"


def _fewer_bits(loaded: LoadedRun, kind: str) -> Iterator[Words]:
    config = loaded.config
    if config.model.model_type == "full" or config.precision.base_model_precision != "no_change":
        return
    if find_spec("optimum") is not None:
        yield ("base_model_precision=int8-quanto",)
    if kind == "cuda" and find_spec("bitsandbytes") is not None:
        yield ("base_model_precision=nf4-bnb",)


def _on_a_card(loaded: LoadedRun) -> Iterator[Words]:
    """What has no use where the device's memory is the host's."""
    config = loaded.config
    if config.model.model_type != "full" and not config.memory.musubi_blocks_to_swap:
        for blocks in _SWAPPED:
            needed = _checkpointing(loaded)
            yield (f"musubi_blocks_to_swap={blocks}", *(needed[0] if needed else ()))
    if "8bit" not in config.optimizer.optimizer and find_spec("bitsandbytes") is not None:
        yield ("optimizer=bnb-adamw8bit",)


def measure_alternative(words: Sequence[str], changes: Words, environ: Mapping[str, str]) -> Alternative:
    """An update of the largest shape of the run that ``words`` select, with ``changes``; what it takes, or why not."""
    command = [sys.executable, "-m", "simpletuner", "plan", *words, *changes, *_ONE]
    try:
        # A terminal's Ctrl-C comes to this process alone, which ends the other one.
        ended = subprocess.run(
            command, env=dict(environ), capture_output=True, check=False, timeout=_MAY_TAKE, start_new_session=True
        )
    except subprocess.TimeoutExpired:
        return Alternative(changes, fits=False, said=f"took more than {_MAY_TAKE // 60} minutes")
    if ended.returncode in (ExitCode.OK, ExitCode.MEMORY):
        return _read(changes, json.loads(ended.stdout or b"null"), ended.stderr)
    if ended.returncode < 0:
        return Alternative(changes, fits=False, said="the system ended it, most often for want of memory")
    return Alternative(changes, fits=False, said=_reason(ended.stderr))


def _read(changes: Words, told: Mapping[str, Any] | None, errors: bytes) -> Alternative:
    if told is None:
        return Alternative(changes, fits=False, said=_reason(errors))
    shape = told["shapes"][0]
    return Alternative(
        words=changes,
        fits=shape["fits"],
        peak=shape["peak_bytes"],
        seconds=shape["seconds_per_step"],
        at_once=shape["pictures_at_once"],
        said=shape["said"],
    )


def _reason(errors: bytes) -> str:
    """The line of an error that says what is wrong."""
    lines = [line for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (told or lines or ["ended without a word"])[-1]


def in_order_of_cost(found: Sequence[Alternative]) -> tuple[Alternative, ...]:
    """The fastest that fits first; those that do not fit last, as they were tried."""
    return tuple(sorted(found, key=lambda one: (not one.fits, one.seconds or 0.0)))
