"""What a LoKr costs beside the frozen layer that it is over, and beside LyCORIS's own: forward and backward.

``python -m benchmarks.lokr [--json FILE]`` for the document's three kinds of layers on this machine;
``python -m benchmarks.lokr --device cuda --dtype bf16 --tokens 4156`` for one picture of 1024 px on a card.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from lycoris.modules.lokr import LokrModule
from torch import Tensor, nn

from benchmarks.floors import Floors, floors_of
from benchmarks.timing import Crowd, Figures, Work, alternated, processor_ratio, ratio, surroundings
from simpletuner.adapters.lokr import LokrBranch
from simpletuner.adapters.lokr_plan import Cost, backward_cost, forward_cost, plan
from simpletuner.adapters.lokr_size import lokr_shape

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
# Above every rank: the large factor stays whole, as in the document.
_RANK = 10_000
_log = logging.getLogger("benchmarks")


@dataclass(frozen=True)
class Layer:
    """A linear layer and the factor of its LoKr."""

    in_features: int
    out_features: int
    factor: int

    @property
    def name(self) -> str:
        """As in ``3072x16384_by_8``: in, out, factor."""
        return f"{self.in_features}x{self.out_features}_by_{self.factor}"

    @property
    def cost(self) -> Cost:
        """What the branch adds for a token, forward and backward, in the orders that we choose."""
        shape = lokr_shape(self.out_features, self.in_features, self.factor)
        chosen = plan(shape)
        return forward_cost(shape, chosen.forward) + backward_cost(shape, chosen.backward)

    @property
    def base_multiply_adds(self) -> int:
        """Of the frozen layer for a token: its output, and the gradient of its input."""
        return 2 * self.in_features * self.out_features


LAYERS = (Layer(3072, 3072, 16), Layer(3072, 16384, 8), Layer(8192, 3072, 8))
"""Attention, gate and up in one, and down of OmniGen v1, with the document's factors."""
_QUICK = (Layer(96, 64, 4),)


@dataclass(frozen=True)
class Setting:
    """Where, in what type, and over how many tokens at once."""

    device: torch.device
    dtype: torch.dtype
    tokens: int
    rounds: int


class _OurLokr(LokrBranch, LokrModule):
    """What `adapters/lycoris.py` lays over a layer."""


class _Bench:
    """One layer alone, under our LoKr and under LyCORIS's in both forms: the same weights, inputs and gradients."""

    def __init__(self, layer: Layer, setting: Setting) -> None:
        self._setting = setting
        where = {"device": setting.device, "dtype": setting.dtype}
        torch.manual_seed(0)
        self._inputs = torch.randn(setting.tokens, layer.in_features, **where, requires_grad=True)
        self._upstream = torch.randn(setting.tokens, layer.out_features, **where)
        weight = torch.randn(layer.out_features, layer.in_features, **where) / layer.in_features**0.5
        self._frozen = _linear(weight)
        ours = _laid(_OurLokr, weight, layer, branch=True)
        assert ours.plan is not None
        self._adapters = {
            "lokr": ours,
            "lycoris": _laid(LokrModule, weight, layer, branch=False),
            "lycoris_bypass": _laid(LokrModule, weight, layer, branch=True),
        }
        for adapter in self._adapters.values():
            adapter.load_state_dict(ours.state_dict())

    def works(self) -> dict[str, Work]:
        """What is timed, by name."""
        adapters = {name: self._work(adapter.org_module[0]) for name, adapter in self._adapters.items()}
        return {"frozen": self._work(self._frozen), **adapters}

    def _work(self, layer: nn.Module) -> Work:
        def work() -> None:
            self._inputs.grad = None
            for adapter in self._adapters.values():
                adapter.zero_grad(set_to_none=True)
            layer(self._inputs).backward(self._upstream)
            if self._setting.device.type == "cuda":
                torch.cuda.synchronize(self._setting.device)

        return work

    def difference(self, name: str) -> float:
        """How far our gradients are from those of ``name``, in parts of its largest."""
        found, expected = (self._gradients(one) for one in ("lokr", name))
        return max(
            float((one - other).abs().max() / other.abs().max()) for one, other in zip(found, expected, strict=True)
        )

    def _gradients(self, name: str) -> list[Tensor]:
        adapter = self._adapters[name]
        self._work(adapter.org_module[0])()
        tensors = [self._inputs, *adapter.parameters()]
        return [tensor.grad.float().clone() for tensor in tensors if tensor.grad is not None]


def _linear(weight: Tensor) -> nn.Linear:
    """A frozen layer over ``weight``, which several share."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer


def _laid(kind: type[LokrModule], weight: Tensor, layer: Layer, *, branch: bool) -> LokrModule:
    adapter = kind("lokr", _linear(weight), lora_dim=_RANK, factor=layer.factor, full_matrix=True, bypass_mode=branch)
    nn.init.normal_(adapter.lokr_w2, std=0.01)
    adapter.to(weight)
    adapter.apply_to()
    return adapter


def measured(layer: Layer, setting: Setting, floors: Floors) -> Figures:
    """Seconds of each, their ratios, how far the gradients are apart, and what the layer cannot be faster than."""
    bench = _Bench(layer, setting)
    taken = alternated(bench.works(), setting.rounds, warm_up=1)
    ours = taken["lokr"]
    figures = {
        "tokens": setting.tokens,
        "dtype": str(setting.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "rounds": setting.rounds,
        "ratio_to_frozen": ratio(ours, taken["frozen"]),
        "ratio_to_lycoris": ratio(ours, taken["lycoris"]),
        "ratio_to_lycoris_bypass": ratio(ours, taken["lycoris_bypass"]),
        "lycoris_to_frozen": ratio(taken["lycoris"], taken["frozen"]),
        "lycoris_bypass_to_frozen": ratio(taken["lycoris_bypass"], taken["frozen"]),
        "gradient_difference_to_lycoris": bench.difference("lycoris"),
        "gradient_difference_to_lycoris_bypass": bench.difference("lycoris_bypass"),
        **floor_figures(layer, setting, floors, ours.median),
    }
    if torch.get_num_threads() == 1 and setting.device.type == "cpu":
        figures["ratio_to_frozen_of_processor_time"] = processor_ratio(ours, taken["frozen"])
    for name, times in taken.items():
        figures |= times.figures(f"{name}_seconds")
    return figures


def floor_figures(layer: Layer, setting: Setting, floors: Floors, seconds: float) -> Figures:
    """The multiply-adds at the measured rate of a large product, and the bytes that must move at that of a copy.

    At the least inputs, outputs and their gradients are read or written once, inputs twice, and the weight twice.
    """
    multiply_adds = setting.tokens * (layer.base_multiply_adds + layer.cost.multiply_adds)
    numbers = setting.tokens * (3 * layer.in_features + 2 * layer.out_features) + layer.base_multiply_adds
    moved = numbers * setting.dtype.itemsize
    by_rate, by_bytes = 2 * multiply_adds / floors.rate, moved / floors.bandwidth
    return {
        "ratio_to_frozen_by_multiply_adds": 1 + layer.cost.multiply_adds / layer.base_multiply_adds,
        "floor_seconds_by_rate": by_rate,
        "floor_seconds_by_bytes": by_bytes,
        "bytes": moved,
        "bytes_of_the_delta_not_formed": layer.in_features * layer.out_features * setting.dtype.itemsize,
        "seconds_to_floor": seconds / max(by_rate, by_bytes),
    }


def measure(layers: Sequence[Layer], setting: Setting) -> Figures:
    """Every layer, and what it was taken on, under a name that says layer, tokens, type and device."""
    figures: Figures = {}
    floors = floors_of(setting.device, setting.dtype) if layers else Floors(0, 0)
    for layer in layers:
        _log.info("%s ...", layer.name)
        crowd, made_on = Crowd(), surroundings()
        found = measured(layer, setting, floors)
        made_on |= {"cores_that_others_kept_busy": round(crowd.cores(), 2), **_card(setting.device)}
        name = f"{layer.name}_{setting.tokens}_tokens_{found['dtype']}_{setting.device.type}"
        figures[name] = {"made_on": made_on, "floors": floors.figures(), **found}
    return figures


def _card(device: torch.device) -> Figures:
    return {"card": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, measure, write."""
    given = _parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if given.threads:
        torch.set_num_threads(given.threads)
    usual, tokens, rounds = (_QUICK, 24, 1) if given.quick else (LAYERS, 1100, 7)
    where = torch.device(given.device), _TYPES[given.dtype]
    setting = Setting(*where, given.tokens or tokens, given.rounds or rounds)
    figures = measure([layer for layer in usual if not given.only or layer.name in given.only], setting)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(_text({**_read(given.json), **figures}), encoding="utf-8")
    else:
        sys.stdout.write(_text(figures))


def _read(file: Path) -> Figures:
    """What an earlier run wrote; what is measured now takes its place."""
    found: Figures = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def _text(figures: Mapping[str, object]) -> str:
    return json.dumps(figures, indent=2) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lokr", description=__doc__)
    add = parser.add_argument
    add("--json", type=Path, nargs="?", help="where to write the figures, among those there (the screen)")
    add("--only", nargs="+", choices=[layer.name for layer in LAYERS], metavar="NAME", help="some of the layers")
    add("--device", default="cpu", help="cpu or cuda (cpu)")
    add("--dtype", choices=list(_TYPES), default="fp32", help="type of weights, factors and activations (fp32)")
    add("--tokens", type=int, help="tokens at once (1100)")
    add("--threads", type=int, help="threads of torch (what OMP_NUM_THREADS says)")
    add("--rounds", type=int, help="repetitions; medians are told (7)")
    add("--quick", action="store_true", help="one small layer once, to see that it works; no figure means much")
    return parser


if __name__ == "__main__":
    main()
