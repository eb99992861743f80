"""One update: memory that runs out changes no gradient, and no number that is none reaches weights or average."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.config.files.lycoris import parse_lycoris
from simpletuner.core.batch import Latents
from simpletuner.core.errors import NonFiniteError, OutOfMemory
from simpletuner.core.samples import Update, Use
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.training.ema import Ema, EmaSettings
from simpletuner.training.health import HurtError
from simpletuner.training.model import TrainedModel
from simpletuner.training.update import Clipping, Engine, apply_update
from tests.models.omnigen.tiny_model import random_omnigen
from tests.training.test_loop import SAMPLES, engine, latents, weights

UPDATES = [Update("d", "1.0", tuple(Use(sample, visit) for sample in SAMPLES)) for visit in range(3)]


class Narrow(TrainedModel):
    """Has memory for ``most`` rows in a forward pass."""

    most = 0

    def forward(self, noisy: Tensor, *rest: Any) -> Tensor:
        if len(noisy) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nand pages of advice")
        return super().forward(noisy, *rest)


class Failing(TrainedModel):
    """Has memory for ``most`` rows in a backward pass; counts the gradients that lay there when it failed."""

    most = 0
    rows = 0

    def arm(self) -> None:
        """Fail where the backward pass comes to the picture's own embedding, at its end."""
        self.found: list[int] = []
        early = next(value for name, value in self.trainable().items() if "patch_embedding" in name)
        early.register_hook(self._arrived)

    def forward(self, noisy: Tensor, *rest: Any) -> Tensor:
        self.rows = len(noisy)
        return super().forward(noisy, *rest)

    def _arrived(self, gradient: Tensor) -> None:
        if self.rows > self.most:
            self.found.append(sum(parameter.grad is not None for parameter in self.parameters()))
            raise torch.OutOfMemoryError("CUDA out of memory.")


def narrow(most: int, **options: Any) -> Engine:
    """An engine whose forward pass takes ``most`` rows."""
    model = Narrow(OmniGen(), random_omnigen(num_layers=1), None)
    model.most = most
    return over(model, engine(**options))


def failing(most: int, **options: Any) -> Engine:
    """An engine whose backward pass fails near its end above ``most`` rows."""
    model = Failing(OmniGen(), random_omnigen(num_layers=1), None)
    model.most = most
    model.arm()
    return over(model, engine(**options))


def over(model: TrainedModel, made: Engine) -> Engine:
    return replace(made, model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))


@pytest.mark.parametrize("short", [narrow, failing])
@pytest.mark.parametrize(("size", "most", "fits"), [(4, 3, 2), (4, 1, 1), (3, 2, 2), (2, 1, 1)])
def test_memory_that_runs_out_changes_no_update(short: Callable[..., Engine], size: int, most: int, fits: int) -> None:
    drawn: list[Use] = []

    def read(use: Use) -> Latents:
        drawn.append(use)
        return latents(use)

    whole, sliced = engine(size=size), short(most, read=read, size=size)
    for step, update in enumerate(UPDATES, start=1):
        drawn.clear()
        expected, found = apply_update(whole, update, step), apply_update(sliced, update, step)
        assert abs(found.loss - expected.loss) < 1e-6
        assert abs(found.size.norm - expected.size.norm) < 1e-5 * expected.size.norm
        assert (weights(whole) - weights(sliced)).abs().max() < 1e-6
        if step > 1:
            assert drawn == list(update.uses), "what fits is remembered: nothing is computed twice"
            assert found.told == ()
    assert sliced.room.fits == {("d", "1.0"): fits}


def test_a_backward_pass_that_fails_had_added_up_gradients_before() -> None:
    made = failing(2, size=4)
    apply_update(made, UPDATES[0], 1)
    assert isinstance(made.model, Failing)
    assert [found > 5 for found in made.model.found] == [True]


def test_what_does_not_fit_is_told_once_and_each_shape_has_its_own_size() -> None:
    made = narrow(2, size=4)
    told = apply_update(made, UPDATES[0], 1).told
    assert told == (
        'data set "d", bucket 1.0: 4 pictures at once do not fit into memory; 2 at once from here on, '
        "in more time, with the same gradients but for rounding and dropout",
    )
    wide = replace(UPDATES[1], bucket="1.5")
    assert "bucket 1.5: 4 pictures" in apply_update(made, wide, 2).told[0]
    assert made.room.fits == {("d", "1.0"): 2, ("d", "1.5"): 2}


def test_a_single_picture_that_does_not_fit_ends_the_run_and_moves_nothing() -> None:
    made = narrow(0, size=2)
    before = weights(made)
    with pytest.raises(OutOfMemory, match=r'data set "d", bucket 1\.0 do not fit into memory: CUDA out') as caught:
        apply_update(made, UPDATES[0], 1)
    assert caught.value.exit_code == 4
    assert "advice" not in str(caught.value)
    assert torch.equal(weights(made), before)


def test_other_errors_are_not_taken_for_memory() -> None:
    def read(use: Use) -> Latents:
        raise RuntimeError("size mismatch")

    with pytest.raises(RuntimeError, match="size mismatch"):
        apply_update(engine(read), UPDATES[0], 1)


# The host's own allocator refuses, as it does on a machine that is full: the limit leaves room for some of the rows.
_REFUSED = """
import re, resource, torch
from pathlib import Path
from tests.training.test_loop import engine, latents, weights
from tests.training.test_update import UPDATES, apply_update

wide = lambda use: latents(use, 64, 64)
whole, limited = engine(wide, size=4), engine(wide, size=4)
# Everything that is loaded late is loaded, and what one row needs is known to fit.
apply_update(engine(wide, size=1), UPDATES[0], 1)
used = int(re.search(r"VmSize:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
for extra in range(0, 400, 2):
    resource.setrlimit(resource.RLIMIT_AS, (used + extra * 1_000_000, hard))
    try:
        losses = [apply_update(limited, UPDATES[0], 1).loss]
        break
    except Exception as error:
        assert type(error).__name__ == "OutOfMemory", error
resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
losses += [apply_update(limited, update, step).loss for step, update in list(enumerate(UPDATES, 1))[1:]]
expected = [apply_update(whole, update, step).loss for step, update in enumerate(UPDATES, 1)]
assert limited.room.fits, "nothing was ever refused"
assert max(abs(a - b) for a, b in zip(losses, expected)) < 1e-6
assert (weights(whole) - weights(limited)).abs().max() < 1e-6
"""


# The C library gives back what is freed.
_NOTHING_KEPT = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_memory_that_the_host_refuses_is_halved_too() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **_NOTHING_KEPT}
    ran = subprocess.run(
        [sys.executable, "-c", _REFUSED], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_everything_is_read_before_the_first_pass() -> None:
    events: list[str] = []

    class Noting(TrainedModel):
        def forward(self, noisy: Tensor, *rest: Any) -> Tensor:
            events.append("pass")
            return super().forward(noisy, *rest)

    def read(use: Use) -> Latents:
        events.append(use.sample.path)
        return latents(use)

    apply_update(over(Noting(OmniGen(), random_omnigen(num_layers=1), None), engine(read, size=2)), UPDATES[0], 1)
    assert events == ["a", "b", "c", "d", "pass", "pass"]


def averaged(made: Engine) -> Engine:
    return replace(made, ema=Ema(made.model.trainable(), EmaSettings(0.9), device=torch.device("cpu")))


def test_an_update_that_spoils_a_weight_is_noticed_before_the_average_sees_it() -> None:
    made = averaged(engine())
    apply_update(made, UPDATES[0], 1)
    kept = {name: shadow.clone() for name, shadow in made.ema.shadow.items()} if made.ema else {}
    # Weights, loss and gradients are finite: the step itself is not.
    for group in made.optimizer.param_groups:
        group["weight_decay"] = -1e38
    made = replace(made, schedule=replace(made.schedule, peak=1e38))
    with pytest.raises(HurtError, match=r"update 2 left denoiser\.\S+ not finite.* d/a, d/b, d/c, d/d") as caught:
        apply_update(made, UPDATES[1], 2)
    assert caught.value.exit_code == 6
    assert caught.value.files == ("d/a", "d/b", "d/c", "d/d")
    assert made.ema is not None
    assert all(torch.equal(made.ema.shadow[name], kept[name]) for name in kept)


@pytest.mark.parametrize("method", ["value", "norm"])
@pytest.mark.parametrize("algo", ["lokr", "ia3"])
def test_a_pass_whose_adapter_dropped_out_whole_moves_nothing(algo: str, method: str) -> None:
    preset = {"target_name": [r"layers\.0\.self_attn\.to_q"]}
    content = {"algo": algo, "multiplier": 1, "linear_dim": 4, "linear_alpha": 4, "module_dropout": 0.5}
    denoiser = random_omnigen(num_layers=1).requires_grad_(requires_grad=False)
    adapter = attach_lycoris(denoiser, parse_lycoris({**content, "apply_preset": preset}, Path("a.json")), {}, 0)
    made = over(TrainedModel(OmniGen(), denoiser, adapter), replace(engine(), clipping=Clipping(method, 0.01)))
    moved = []
    for step, update in enumerate(UPDATES * 3, 1):
        before = weights(made)
        loss = apply_update(made, update, step).loss
        assert loss > 0
        moved.append(not torch.equal(weights(made), before))
    assert set(moved) == {True, False}


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_what_is_not_finite_before_the_update_moves_nothing(where: str) -> None:
    def read(use: Use) -> Latents:
        found = latents(use)
        return Latents(found.mean + float("nan"), found.logvar) if where == "loss" and use.sample.path == "b" else found

    made = averaged(engine(read))
    if where == "gradient":
        last = list(made.model.trainable().values())[-1]
        last.register_hook(lambda gradient: gradient * float("inf"))
    before = weights(made)
    with pytest.raises(NonFiniteError, match="weights were not touched") as caught:
        apply_update(made, UPDATES[0], 1)
    assert caught.value.files == ("d/a", "d/b", "d/c", "d/d")
    assert ("the loss of d/b is not finite" in str(caught.value)) == (where == "loss")
    assert torch.equal(weights(made), before)
