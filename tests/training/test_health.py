"""The first tensor that is hurt, by name; what is sound passes."""

from __future__ import annotations

import pytest
import torch

from simpletuner.core.errors import NonFiniteError
from simpletuner.training.health import (
    first_hurt,
    in_words,
    joined,
    not_finite,
    pictures,
    require_finite,
    require_sound,
)
from simpletuner.training.optimizers import from_torchao


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_one_bad_entry_is_found_wherever_it_is(bad: float, dtype: torch.dtype) -> None:
    tensors = {name: torch.full((3, 5), 7.0, dtype=dtype) for name in "abc"}
    assert first_hurt(tensors) is None
    tensors["b"][2, 4] = bad
    assert first_hurt(tensors) == "b"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_largest_number_is_still_a_number(dtype: torch.dtype) -> None:
    assert first_hurt({"a": torch.full((64,), torch.finfo(dtype).max, dtype=dtype)}) is None


def test_tensors_of_several_kinds_are_asked_together() -> None:
    mixed = {"step": torch.tensor(3), "none": torch.empty(0), "bytes": torch.ones(3, dtype=torch.uint8)}
    assert first_hurt({}) is None
    assert first_hurt(mixed) is None
    assert first_hurt({**mixed, "wide": torch.ones(2, dtype=torch.float64), "bad": torch.tensor(float("nan"))}) == "bad"


def test_a_refusal_names_what_and_which() -> None:
    require_finite("weights", {"a": torch.ones(2)}, 7)
    with pytest.raises(NonFiniteError, match="the weights after step 7 cannot be saved: a is not finite") as caught:
        require_finite("weights", {"a": torch.tensor(float("nan"))}, 7)
    assert caught.value.exit_code == 6


def test_messages_name_a_few_pictures_and_the_error_has_all() -> None:
    files = [f"d/{number:02}.png" for number in range(20)]
    assert pictures(files).endswith("d/07.png and 12 more")
    error = not_finite(3, float("nan"), 1.0, files, ["d/05.png", "d/05.png"])
    assert error.files == tuple(files)
    assert "the loss of d/05.png is not finite" in error.reason
    assert "is not finite" not in not_finite(3, float("nan"), 1.0, files, []).reason


def test_processes_make_one_error_of_what_each_has_found() -> None:
    frog = NonFiniteError("frog: no latent", files=("frog",), cure="fp32")
    rocket = NonFiniteError("rocket: no latent", files=("rocket",))
    alone = joined([in_words(None), in_words(frog), in_words(None)])
    assert (str(alone), alone.files) == (str(frog), frog.files)
    both = joined([in_words(rocket), in_words(frog), in_words(rocket)])
    assert both.reason == "rocket: no latent; frog: no latent"
    assert both.files == ("rocket", "frog", "rocket")


@pytest.mark.parametrize("name", ["ao-adamw4bit", "ao-adamw8bit", "ao-adamfp8"])
def test_state_in_few_bits_is_asked_for_what_it_is_made_of(name: str) -> None:
    weight = torch.nn.Parameter(torch.ones(4096))
    optimizer = from_torchao.build(name, [weight], 1e-3, {})
    weight.grad = torch.ones(4096)
    optimizer.step()
    require_sound({"w": weight}, optimizer, {}, 7)
    optimizer.state[weight]["exp_avg"].scale.fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="optimizer's state after step 7 cannot be saved: scale of exp_avg of w"):
        require_sound({"w": weight}, optimizer, {}, 7)


def test_state_in_lists_is_asked() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight])
    optimizer.state[weight] = {"squares": [torch.ones(2), torch.tensor([1.0, float("inf")])], "step": 3}
    with pytest.raises(NonFiniteError, match="1 of squares of w is not finite"):
        require_sound({"w": weight}, optimizer, {}, 7)
