"""What a LoKr costs beside the frozen layer that it is over, and beside LyCORIS's own: forward and backward.

``python -m benchmarks.lokr [--json FILE]`` for the document's three kinds of layers on this machine;
``python -m benchmarks.lokr --device cuda --dtype bf16 --tokens 4156`` for one picture of 1024 px on a card.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from lycoris.modules.lokr import LokrModule
from torch import Tensor, nn

from benchmarks.floors import Floors, floors_of
from benchmarks.report import a_parser, card, log_to_screen, measure_all
from benchmarks.timing import Figures, Work, alternated, processor_ratio, ratio
from simpletuner.adapters.lokr.plan import Cost, backward_cost, forward_cost, merging_pays, plan
from simpletuner.adapters.lokr.size import lokr_shape
from simpletuner.adapters.lycoris.lokr import LokrBranch

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
# Above every rank: the large factor stays whole, as in the document.
_RANK = 10_000


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

    def cost(self, tokens: int, *, merges: bool) -> Cost:
        """What the branch adds, forward and backward, in the orders that we choose; with ``merges`` where that pays."""
        shape = lokr_shape(self.out_features, self.in_features, self.factor)
        chosen = plan(shape)
        merged = merges and merging_pays(shape, chosen.forward, tokens)
        forward = Cost(self.in_features * self.out_features) if merged else forward_cost(shape, chosen.forward) * tokens
        return forward + backward_cost(shape, chosen.backward) * tokens

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
    """What `adapters/lycoris/adapter.py` lays over a layer."""


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


def type_name(dtype: torch.dtype) -> str:
    """As in ``float32``."""
    return str(dtype).removeprefix("torch.")


def measured(layer: Layer, setting: Setting, floors: Floors) -> Figures:
    """Seconds of each, their ratios, how far the gradients are apart, and what the layer cannot be faster than."""
    bench = _Bench(layer, setting)
    times = alternated(bench.works(), setting.rounds, warm_up=1)
    ours = times["lokr"]
    figures = {
        "floors": floors.figures(),
        "tokens": setting.tokens,
        "dtype": type_name(setting.dtype),
        "threads": torch.get_num_threads(),
        "rounds": setting.rounds,
        "ratio_to_frozen": ratio(ours, times["frozen"]),
        "ratio_to_lycoris": ratio(ours, times["lycoris"]),
        "ratio_to_lycoris_bypass": ratio(ours, times["lycoris_bypass"]),
        "lycoris_to_frozen": ratio(times["lycoris"], times["frozen"]),
        "lycoris_bypass_to_frozen": ratio(times["lycoris_bypass"], times["frozen"]),
        "gradient_difference_to_lycoris": bench.difference("lycoris"),
        "gradient_difference_to_lycoris_bypass": bench.difference("lycoris_bypass"),
        **floor_figures(layer, setting, floors, ours.median),
    }
    if torch.get_num_threads() == 1 and setting.device.type == "cpu":
        figures["ratio_to_frozen_of_processor_time"] = processor_ratio(ours, times["frozen"])
    for name, found in times.items():
        figures |= found.figures(f"{name}_seconds")
    return figures


def floor_figures(layer: Layer, setting: Setting, floors: Floors, seconds: float) -> Figures:
    """The multiply-adds at the measured rate of a large product, and the bytes that must move at that of a copy.

    At the least inputs, outputs and their gradients are read or written once, inputs twice, and the weight twice.
    """
    merges = setting.device.type == "cpu" and setting.dtype == torch.float32
    base, added = setting.tokens * layer.base_multiply_adds, layer.cost(setting.tokens, merges=merges).multiply_adds
    numbers = setting.tokens * (3 * layer.in_features + 2 * layer.out_features) + layer.base_multiply_adds
    moved = numbers * setting.dtype.itemsize
    by_rate, by_bytes = 2 * (base + added) / floors.rate, moved / floors.bandwidth
    return {
        "ratio_to_frozen_by_multiply_adds": 1 + added / base,
        "floor_seconds_by_rate": by_rate,
        "floor_seconds_by_bytes": by_bytes,
        "bytes": moved,
        "bytes_of_the_delta_not_formed": layer.in_features * layer.out_features * setting.dtype.itemsize,
        "seconds_to_floor": seconds / max(by_rate, by_bytes),
    }


def works(layers: Sequence[Layer], setting: Setting) -> dict[str, Callable[[], Figures]]:
    """Every layer, under a name that says layer, tokens, type and device."""
    floors = floors_of(setting.device, setting.dtype) if layers else Floors(0, 0)
    end = f"{setting.tokens}_tokens_{type_name(setting.dtype)}_{setting.device.type}"
    return {f"{layer.name}_{end}": partial(measured, layer, setting, floors) for layer in layers}


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, measure, write."""
    given = _parser().parse_args(words)
    log_to_screen()
    if given.threads:
        torch.set_num_threads(given.threads)
    usual, tokens, rounds = (_QUICK, 24, 1) if given.quick else (LAYERS, 1100, 7)
    where = torch.device(given.device), _TYPES[given.dtype]
    setting = Setting(*where, given.tokens or tokens, given.rounds or rounds)
    chosen = [layer for layer in usual if not given.only or layer.name in given.only]
    measure_all(works(chosen, setting), given.json, **card(setting.device))


def _parser() -> argparse.ArgumentParser:
    parser = a_parser("lokr", __doc__)
    add = parser.add_argument
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
