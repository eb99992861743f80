"""Every name is built and stepped, or refused with what is missing."""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

import pytest
import torch
from torch.nn import Parameter

from simpletuner.config.optimizers.names import OPTIMIZERS
from simpletuner.config.optimizers.settings import settings_of
from simpletuner.config.sections.optimizer import OptimizerConfig
from simpletuner.core.errors import ConfigError
from simpletuner.training.optimizers import build_optimizer, try_optimizer
from tests.training.optimizers.harness import Trained

CPU = torch.device("cpu")

# What a library's signature has beside these and what no one may set: direction, device, derivatives, the ways that
# belong to the name (bits, pages) or to another option (the rate, the warm-up, the partner's rate), deprecated ones.
LEFT_OUT = {
    *("self", "params", "lr", "kwargs", "maximize", "capturable", "differentiable", "gradient_release"),
    *("optim_bits", "is_paged", "args", "optimizer_name", "max_unorm", "skip_zeros", "warmup_steps", "adamw_lr"),
    *("data_format", "ns_reset_steps"),
}
# bitsandbytes has these and takes no value but the default; optimi's foreach is deprecated.
WITHOUT_EFFECT = {"bnb-": {"amsgrad", "lr_decay", "initial_accumulator_value"}, "optimi-": {"foreach"}}

PACKAGES = {
    "ao-adamw8bit": "torchao.optim",
    "optimi-lion": "optimi",
    "bnb-lion8bit-paged": "bitsandbytes",
    "soap": "pytorch_optimizer",
    "adamw_schedulefree": "pytorch_optimizer",
}


def config(name: str, **options: Any) -> OptimizerConfig:
    return OptimizerConfig(optimizer=name, **options)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_name_proves_itself_at_the_start(name: str) -> None:
    told = try_optimizer(config(name), CPU)
    assert bool(told) == name.endswith("-paged")


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "adamw_bf16"])
def test_its_settings_are_those_of_its_library(name: str) -> None:
    kind = type(build_optimizer(config(name), [Parameter(torch.ones(2))], seed=0))
    has = set(inspect.signature(kind.__init__).parameters)
    idle = next((keys for start, keys in WITHOUT_EFFECT.items() if name.startswith(start)), set())
    assert settings_of(name).keys() == has - LEFT_OUT - idle


@pytest.mark.parametrize(("name", "package"), PACKAGES.items())
def test_a_missing_package_is_named_with_what_brings_it(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"optimizer {re.escape(name)}: the package '{package}' is not") as caught:
        try_optimizer(config(name), CPU)
    assert caught.value.cure is not None
    assert "'.[optimizers]'" in caught.value.cure


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("torch-adamw", "betas=[0.9,1.5]", "torch-adamw: Invalid beta parameter"),
        ("torch-adamw", "fused=true,foreach=true", "torch-adamw: `fused` and `foreach` cannot be `True` together"),
        ("bnb-adamw8bit", "betas=[0.9,1.5]", "bnb-adamw8bit: Invalid beta parameter"),
        ("adamw_schedulefree", "betas=[0,0.9]", "adamw_schedulefree: "),
        ("muon", "ns_method=taylor", "muon: "),
        ("optimi-sgd", "momentum=2", "optimi-sgd: Invalid momentum"),
    ],
)
def test_what_a_library_does_not_take_is_a_mistake_of_the_settings(name: str, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        try_optimizer(config(name, optimizer_config=text), CPU)
    assert caught.value.key == "optimizer_config"
    assert caught.value.reason.startswith(told)


def test_a_device_that_cannot_is_told_with_the_reason() -> None:
    """Meta tensors hold no values: an optimizer that must look at them cannot."""
    with pytest.raises(ConfigError, match="'prodigy' does not run on meta with these settings") as caught:
        try_optimizer(config("prodigy"), torch.device("meta"))
    assert caught.value.key == "optimizer"


def test_settings_reach_the_optimizer() -> None:
    made = Trained("torch-sgd", optimizer_config="momentum=0.9,nesterov=true").optimizer
    assert (made.param_groups[0]["momentum"], made.param_groups[0]["nesterov"]) == (0.9, True)
    assert Trained("bnb-lion", optimizer_beta1=0.8, optimizer_beta2=0.9).optimizer.param_groups[0]["betas"] == (
        0.8,
        0.9,
    )


def test_the_rate_is_the_peak_when_given() -> None:
    parameter = Parameter(torch.ones(2))
    assert build_optimizer(config("torch-sgd", learning_rate=0.5), [parameter], 0).param_groups[0]["lr"] == 0.5
    assert build_optimizer(config("torch-sgd", learning_rate=0.5), [parameter], 0, 2.0).param_groups[0]["lr"] == 2.0


@pytest.mark.parametrize(("precision", "dtype"), [("unmodified", torch.bfloat16), ("fp32", torch.float32)])
def test_gradients_of_bf16_weights_are_gathered_as_asked(precision: str, dtype: torch.dtype) -> None:
    parameter = Parameter(torch.ones(4, dtype=torch.bfloat16))
    optimizer = build_optimizer(config("adamw_bf16", gradient_precision=precision, learning_rate=0.1), [parameter], 0)
    for scale in (1.0, 2**-10):
        (parameter * scale).sum().backward()
    assert parameter.grad is not None
    assert parameter.grad.dtype == dtype
    assert (parameter.grad[0].item() == 1 + 2**-10) == (dtype == torch.float32)
    optimizer.step()
    assert parameter[0].item() < 1
