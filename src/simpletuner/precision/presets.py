"""Every format of ``base_model_precision``: who makes it, how many bits it takes, where it runs. No torch here.

Measured with torch 2.13 on a CPU, optimum-quanto 0.2.7, torchao 0.18 and bitsandbytes 0.50.2. *loss* is the change of
the tiny model's loss on eight pictures with fixed noise, fp32; *time* is the forward product of a 3072 x 3072 layer
with 512 tokens, in times of the dense one (fp32, one thread, a busy machine: a ratio of 1.3 and 1.5 are alike).

    int8-quanto, int8-torchao           loss +0.3 %, +0.1 %        time 1.3
    int8dq-torchao                      loss +0.4 %                time 0.9, in whole numbers
    fp8-quanto, fp8uz-quanto, fp8wo     loss +0.5 %, +0.6 %, +0.5 %  time 1.5
    fp8-torchao, fp8-native             loss +0.7 %, +0.1 %        time 2.8: a CPU has no float8 units
    int4-quanto                         loss +1.5 %                time 1.7
    int4-torchao, int8dq-int4-torchao   loss +3.5 %, +3.3 %        time 1.7, 2.4
    nf4-bnb                             loss +5.6 %                time 1.6
    int2-quanto                         loss +203 %: it trains, but over noise

With bf16 weights the tiny model's loss is 0.1 % above fp32, and each format's within 2 % of its figure here. On a card
nothing is measured yet. Refused, with the reason, in `config/sections/precision.py`: what needs mslk or
transformer_engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from simpletuner.config.rules.precision import ROUNDS_INPUTS
from simpletuner.core.errors import ConfigError
from simpletuner.core.optional import optional

KEY = "base_model_precision"
_EVERYWHERE = frozenset({"cpu", "cuda", "xpu", "mps"})
# Apple's GPU has no float8 and no product of whole numbers; nf4 fetches code from the hub there.
_NOT_APPLE = _EVERYWHERE - {"mps"}
_ADA = (8, 9)


@dataclass(frozen=True)
class Preset:
    """One format.

    ``package`` is the module that chooses the numbers. ``bits`` counts a weight's own, ``extra`` those of its share of
    scales in a bf16 model with long rows. ``error`` is the relative error of a weight. ``devices`` are torch's device
    types; on ``cuda`` a ``capability`` is the least that has the kernel.
    """

    name: str
    package: str
    bits: int
    extra: float
    error: float
    devices: frozenset[str] = _EVERYWHERE
    capability: tuple[int, int] | None = None

    @property
    def rounds_inputs(self) -> bool:
        """Whether the inputs of a layer are rounded as well."""
        return self.name in ROUNDS_INPUTS

    def stored_bytes(self, weights: int) -> int:
        """About the bytes of ``weights`` values: of the 3.62 B in OmniGen's blocks, before they are loaded."""
        return round(weights * (self.bits + self.extra) / 8)


_QUANTO, _TORCHAO, _BNB = "optimum.quanto", "torchao", "bitsandbytes"
PRESETS = {
    preset.name: preset
    for preset in (
        Preset("int8-quanto", _QUANTO, 8, 0.01, 0.0085),
        Preset("int4-quanto", _QUANTO, 4, 0.25, 0.105),
        Preset("int2-quanto", _QUANTO, 2, 0.25, 0.52),
        Preset("fp8-quanto", _QUANTO, 8, 0.01, 0.028, _NOT_APPLE),
        Preset("fp8uz-quanto", _QUANTO, 8, 0.01, 0.028, _NOT_APPLE),
        Preset("int8-torchao", _TORCHAO, 8, 0.01, 0.0085),
        Preset("int4-torchao", _TORCHAO, 4, 0.5, 0.1),
        Preset("int8dq-torchao", _TORCHAO, 8, 0.01, 0.0085, _NOT_APPLE),
        Preset("int8dq-int4-torchao", _TORCHAO, 4, 0.5, 0.1),
        Preset("fp8-torchao", _TORCHAO, 8, 0, 0.028, _NOT_APPLE, _ADA),
        Preset("fp8wo-torchao", _TORCHAO, 8, 0.01, 0.028, _NOT_APPLE),
        Preset("fp8-native", _TORCHAO, 8, 0.01, 0.028, _NOT_APPLE, _ADA),
        Preset("nf4-bnb", _BNB, 4, 0.127, 0.095, _NOT_APPLE),
    )
}


def require_package(preset: Preset) -> None:
    """Raises ConfigError when the package of ``preset`` is not installed; it is looked for, not imported."""
    names = preset.package.split(".")
    parents = [".".join(names[: count + 1]) for count in range(len(names))]
    if any(find_spec(name) is None for name in parents):
        optional(preset.package, extra="quantise", needed_for=KEY)


def require_device(preset: Preset, device: str, capability: tuple[int, int] | None = None) -> None:
    """Raises ConfigError when ``preset`` cannot run on ``device`` (torch's type), a card of ``capability``."""
    if device not in preset.devices:
        reason = f"{preset.name} has no kernel for {device}"
        raise ConfigError(reason, key=KEY, cure=f"use {_instead(preset)}")
    if device == "cuda" and preset.capability and capability and capability < preset.capability:
        has, needs = (f"{major}.{minor}" for major, minor in (capability, preset.capability))
        reason = f"{preset.name} needs a card of compute capability {needs} (Ada, Hopper or newer); this one has {has}"
        raise ConfigError(reason, key=KEY, cure=f"use {_instead(preset)}")


def _instead(preset: Preset) -> str:
    """A format of the same size that runs on every device."""
    return "int8-quanto" if preset.bits == 8 else "int4-quanto"
