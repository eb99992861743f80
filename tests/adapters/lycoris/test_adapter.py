"""LoKr on a real OmniGen: which layers, which names, what strength, and nothing left behind in the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lycoris import LycorisNetwork, create_lycoris_from_weights
from lycoris.config import PRESET

from simpletuner.adapters.lycoris.adapter import LycorisAdapter, attach_lycoris
from simpletuner.adapters.lycoris.preset import class_shares
from simpletuner.config.files.lycoris import LycorisConfig, parse_lycoris
from simpletuner.core.errors import ConfigError, DataError
from simpletuner.models.omnigen.layers import FACTS
from tests.models.omnigen.tiny_model import random_omnigen

DOCUMENT = Path("tests/fixtures/document/lycoris_config.json")
ALIASES = FACTS.class_aliases


def document(**changes: object) -> LycorisConfig:
    return parse_lycoris(json.loads(DOCUMENT.read_text()) | changes, DOCUMENT)


def test_the_documents_recipe_adapts_all_six_linears_of_every_block() -> None:
    model = random_omnigen().requires_grad_(requires_grad=False)
    adapter = attach_lycoris(model, document(), ALIASES, seed=0)
    shapes = FACTS.linear_shapes(model.config)
    shares = class_shares(("Attention", "OmniGenFeedForward"), shapes, adapter.parameters_by_path())
    assert [(share.adapted, share.linears) for share in shares] == [(8, 8), (4, 4)]
    assert set(adapter.parameters_by_path()) == {shape.path for shape in shapes}
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_names_are_those_other_programs_read() -> None:
    tensors = attach_lycoris(random_omnigen(), document(), ALIASES, seed=0).tensors()
    assert "lycoris_layers_1_self_attn_to_out_0.lokr_w1" in tensors
    assert tensors["lycoris_layers_0_mlp_gate_up_proj.lokr_w2"].shape == (256 // 8, 64 // 8)
    assert len(tensors) == 12 * 3


def test_it_starts_as_the_base_model_and_strength_zero_is_the_base_model() -> None:
    model, states = random_omnigen(), torch.randn(2, 5, 64)
    linear = model.layers[0].mlp.gate_up_proj
    base = linear(states)
    adapter = attach_lycoris(model, document(), ALIASES, seed=0)
    assert torch.equal(linear(states), base)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.1)
    assert not torch.allclose(linear(states), base)
    with adapter.strength(0.0):
        assert torch.equal(linear(states), base)
    assert not torch.allclose(linear(states), base)


def test_the_branch_form_is_the_kronecker_delta() -> None:
    model, states = random_omnigen(), torch.randn(3, 64)
    linear = model.layers[0].self_attn.to_q
    adapter = attach_lycoris(model, document(), ALIASES, seed=0)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.1)
    tensors = adapter.tensors()
    delta = torch.kron(*(tensors[f"lycoris_layers_0_self_attn_to_q.lokr_{name}"] for name in ("w1", "w2")))
    assert torch.allclose(linear(states), states @ (linear.weight + delta).T, atol=1e-5)


def test_first_values_depend_on_the_seed_alone() -> None:
    def first(seed: int) -> torch.Tensor:
        torch.randn(7)
        adapter = attach_lycoris(random_omnigen(), document(), ALIASES, seed=seed)
        return adapter.tensors()["lycoris_layers_0_self_attn_to_q.lokr_w1"].clone()

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_a_class_that_no_module_has_is_refused() -> None:
    preset = {"target_module": ["Attention", "FeedFoward"]}
    with pytest.raises(ConfigError, match="FeedFoward"):
        attach_lycoris(random_omnigen(), document(apply_preset=preset), ALIASES, seed=0)


def test_the_librarys_class_state_is_left_as_it_was() -> None:
    before = (LycorisNetwork.TARGET_REPLACE_MODULE, dict(LycorisNetwork.MODULE_ALGO_MAP), sorted(PRESET))
    attach_lycoris(random_omnigen(), document(), ALIASES, seed=0)
    assert (LycorisNetwork.TARGET_REPLACE_MODULE, dict(LycorisNetwork.MODULE_ALGO_MAP), sorted(PRESET)) == before


@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape"])
def test_a_file_that_does_not_fit_is_refused(fault: str) -> None:
    adapter = attach_lycoris(random_omnigen(), document(), ALIASES, seed=0)
    tensors = adapter.tensors()
    name = "lycoris_layers_0_self_attn_to_q.lokr_w1"
    match fault:
        case "missing":
            del tensors[name]
        case "unexpected":
            tensors["lycoris_layers_9_self_attn_to_q.lokr_w1"] = tensors[name]
        case _:
            tensors[name] = torch.zeros(2, 2)
    with pytest.raises(DataError, match="does not fit"):
        adapter.load_tensors(tensors)


def test_tensors_come_back() -> None:
    adapter = attach_lycoris(random_omnigen(), document(), ALIASES, seed=0)
    changed = {name: tensor + 0.5 for name, tensor in adapter.tensors().items()}
    adapter.load_tensors(changed)
    assert all(torch.equal(adapter.tensors()[name], tensor) for name, tensor in changed.items())


PLAIN = {"multiplier": 1.0, "linear_dim": 4, "linear_alpha": 1, "apply_preset": {"target_module": ["Attention"]}}


def plain(**changes: Any) -> LycorisConfig:
    return parse_lycoris(PLAIN | changes, DOCUMENT)


METHODS: list[dict[str, Any]] = [
    *({"algo": algo} for algo in ("lora", "locon", "loha", "lokr", "ia3", "dylora", "full", "diag-oft", "boft")),
    *({"algo": algo} for algo in ("glora", "tlora")),
    *({"algo": algo, "dora_wd": True} for algo in ("lora", "loha", "lokr")),
    {"algo": "lora", "dora_wd": True, "wd_on_output": False},
    *({"algo": algo, "use_scalar": True} for algo in ("lora", "loha", "lokr", "glora")),
    *({"algo": algo, "bypass_mode": False} for algo in ("lora", "loha", "lokr", "ia3", "boft", "glora")),
    *({"algo": algo, "dropout": 0.1} for algo in ("lora", "loha", "lokr", "glora", "tlora")),
    *({"algo": algo, "rank_dropout": 0.1} for algo in ("lora", "loha", "lokr", "full")),
    {"algo": "lokr", "linear_dim": 2, "decompose_both": True, "use_scalar": True},
    {"algo": "lokr", "factor": 4, "unbalanced_factorization": True},
    {"algo": "dylora", "block_size": 1},
    {"algo": "diag-oft", "constraint": 0.1, "rescaled": True},
    {"algo": "boft", "constraint": 0.1, "rescaled": True},
]
# What LyCORIS 4.1.3 writes and cannot read: it misses an argument, a shape, or swaps the factors.
UNREADABLE = ("ia3", "wd_on_output", "unbalanced_factorization")


def name_of(changes: dict[str, Any]) -> str:
    return "-".join(key if value is True else f"{value}" for key, value in changes.items())


def rows(seed: int) -> torch.Tensor:
    return torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(seed))


def train(model: Any, adapter: LycorisAdapter, steps: int = 5) -> list[float]:
    """The losses of `to_q` against a fixed answer, with a row that is nearly noise and one that is nearly clean."""
    optimizer, losses = torch.optim.AdamW(adapter.train().parameters(), lr=1e-2), []
    adapter.before_pass(torch.tensor([0.9, 0.1]))
    for step in range(steps):
        torch.manual_seed(step)
        loss = (model.layers[0].self_attn.to_q(rows(0)) - rows(1)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    adapter.eval()
    return losses


@pytest.mark.parametrize("changes", METHODS, ids=name_of)
def test_every_method_starts_as_the_base_learns_and_comes_back_exactly(changes: dict[str, Any]) -> None:
    first, second = (random_omnigen().requires_grad_(requires_grad=False) for _ in range(2))
    base = first.layers[0].self_attn.to_q(rows(0))
    trained = attach_lycoris(first, plain(**changes), ALIASES, seed=0)
    assert torch.allclose(first.layers[0].self_attn.to_q(rows(0)), base, atol=1e-5)
    losses = train(first, trained)
    assert losses[-1] < losses[0]
    assert all(parameter.isfinite().all() for parameter in trained.parameters())
    result = first.layers[0].self_attn.to_q(rows(0))
    resumed = attach_lycoris(second, plain(**changes), ALIASES, seed=1).eval()
    resumed.load_tensors({name: tensor.clone() for name, tensor in trained.tensors().items()})
    resumed.load_private({name: tensor.clone() for name, tensor in trained.private_tensors().items()})
    values = dict(resumed.named_parameters())
    assert all(torch.equal(values[name], parameter) for name, parameter in trained.named_parameters())
    resumed.before_pass(torch.tensor([0.9, 0.1]))
    assert torch.equal(second.layers[0].self_attn.to_q(rows(0)), result)


@pytest.mark.parametrize("changes", METHODS, ids=name_of)
def test_lycoris_reads_the_file_as_what_was_trained(changes: dict[str, Any]) -> None:
    first, second = (random_omnigen().requires_grad_(requires_grad=False) for _ in range(2))
    one = {"target_name": ["layers.0.self_attn.to_q"]}
    trained = attach_lycoris(first, plain(**changes, apply_preset=one), ALIASES, seed=0)
    train(first, trained)
    tensors = {name: tensor.clone() for name, tensor in trained.tensors().items()}
    if changes["algo"] in UNREADABLE or set(UNREADABLE) & set(changes):
        with pytest.raises((RuntimeError, TypeError)):
            create_lycoris_from_weights(1.0, None, second, tensors)
        return
    read, _ = create_lycoris_from_weights(1.0, None, second, tensors)
    read.apply_to()
    read.eval()
    # A reader that knows nothing of noise uses all ranks, as on a clean picture.
    trained.before_pass(torch.zeros(2))
    ours, theirs = (model.layers[0].self_attn.to_q(rows(0)) for model in (first, second))
    base = random_omnigen().layers[0].self_attn.to_q(rows(0))
    assert (ours - theirs).norm() < 1e-3 * (ours - base).norm()


@pytest.mark.parametrize("algo", ["lora", "loha", "lokr", "glora", "ia3", "boft"])
def test_a_branch_is_the_same_function_as_a_new_weight(algo: str) -> None:
    results = []
    for branch in (True, False):
        model = random_omnigen().requires_grad_(requires_grad=False)
        adapter = attach_lycoris(model, plain(algo=algo, bypass_mode=branch), ALIASES, seed=0)
        losses = train(model, adapter)
        results.append((losses, model.layers[0].self_attn.to_q(rows(0))))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    assert torch.allclose(results[0][1], results[1][1], atol=1e-4)


def test_state_that_the_file_does_not_hold_must_be_there() -> None:
    adapter = attach_lycoris(random_omnigen(), plain(algo="tlora"), ALIASES, seed=0)
    assert set(adapter.private_tensors()) == {
        f"lycoris_layers_{block}_self_attn_to_{end}.base_{name}"
        for block in (0, 1)
        for end in ("q", "k", "v", "out_0")
        for name in ("q", "p", "lambda")
    }
    with pytest.raises(DataError, match="own state does not fit"):
        adapter.load_private({})
    assert attach_lycoris(random_omnigen(), plain(algo="lokr"), ALIASES, seed=0).private_tensors() == {}


def test_values_that_multiply_all_others_stay_wide() -> None:
    config = plain(algo="lora", dora_wd=True)
    adapter = attach_lycoris(random_omnigen(), config, ALIASES, seed=0)
    adapter.narrow(torch.bfloat16)
    kinds = {name.rpartition(".")[2]: parameter.dtype for name, parameter in adapter.named_parameters()}
    assert kinds == {"dora_scale": torch.float32, "weight": torch.bfloat16}


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("changes", METHODS, ids=name_of)
def test_every_method_trains_over_a_bf16_model(changes: dict[str, Any], kind: torch.dtype) -> None:
    """The adapter is laid over bf16 weights in ``kind``, without autocast."""
    torch.manual_seed(0)
    layer, inputs = torch.nn.Linear(64, 64, bias=False).bfloat16(), rows(0).bfloat16()
    holder = torch.nn.ModuleDict({"to_q": layer}).requires_grad_(requires_grad=False)
    base = layer(inputs)
    adapter = attach_lycoris(holder, plain(**changes, apply_preset={}), ALIASES, seed=0)
    adapter.narrow(kind)
    adapter.before_pass(torch.tensor([0.9, 0.1]))
    assert torch.equal(adapter.eval() and layer(inputs), base)
    adapter.train()
    output = layer(inputs)
    assert output.dtype == torch.bfloat16
    output.float().square().mean().backward()
    gradients = [parameter.grad for parameter in adapter.parameters() if parameter.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


def settings_by_path(config: LycorisConfig) -> dict[str, tuple[str, int]]:
    layers = attach_lycoris(random_omnigen(), config, ALIASES, seed=0).layers
    return {path: (type(layer).__name__, layer.lora_dim) for path, layer in layers.items()}


def test_an_entry_by_name_has_the_last_word_inside_a_class() -> None:
    preset = {
        "target_module": ["Attention"],
        "module_algo_map": {"Attention": {"dim": 3, "alpha": 3}},
        "name_algo_map": {r"layers\.1\..*to_q": {"algo": "loha"}, "layers.0.self_attn.to_k": {"dim": 2}},
    }
    found = settings_by_path(plain(algo="lora", apply_preset=preset))
    assert found.pop("layers.1.self_attn.to_q") == ("LohaModule", 3)
    assert found.pop("layers.0.self_attn.to_k") == ("LoConModule", 2)
    assert set(found.values()) == {("LoConModule", 3)}
    assert len(found) == 6


def test_an_entry_by_name_that_fits_no_layer_is_refused() -> None:
    preset = {"target_module": ["Attention"], "use_fnmatch": True, "name_algo_map": {"layers.0.self_attn": {"dim": 2}}}
    with pytest.raises(ConfigError, match="its settings would be ignored"):
        attach_lycoris(random_omnigen(), plain(apply_preset=preset), ALIASES, seed=0)


def test_without_targets_every_layer_is_adapted_convolutions_too() -> None:
    config = parse_lycoris({"algo": "lora", "multiplier": 1, "linear_dim": 4, "linear_alpha": 1}, DOCUMENT)
    model = random_omnigen()
    adapter = attach_lycoris(model, config, ALIASES, seed=0)
    supported = [path for path, part in model.named_modules() if isinstance(part, (torch.nn.Linear, torch.nn.Conv2d))]
    assert list(adapter.layers) == supported


@pytest.mark.parametrize("changes", [*METHODS, {"algo": "lora", "use_tucker": True}], ids=name_of)
def test_methods_over_a_convolution(changes: dict[str, Any]) -> None:
    path = "patch_embedding.output_image_proj"
    config = plain(**changes, apply_preset={"target_name": [path]})
    model = random_omnigen().requires_grad_(requires_grad=False)
    if changes["algo"] == "tlora":
        with pytest.raises(ConfigError, match="is a convolution"):
            attach_lycoris(model, config, ALIASES, seed=0)
        return
    convolution, picture = model.get_submodule(path), torch.randn(2, 4, 8, 8)
    base = convolution(picture)
    adapter = attach_lycoris(model, config, ALIASES, seed=0)
    assert torch.allclose(convolution(picture), base, atol=1e-5)
    with torch.no_grad():
        for parameter in adapter.eval().parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    assert not torch.allclose(convolution(picture), base, atol=1e-3)


def test_a_rank_that_cannot_be_laid_is_refused() -> None:
    holder = torch.nn.ModuleDict({"odd": torch.nn.Linear(7, 7)})
    with pytest.raises(ConfigError, match="LyCORIS cannot lay boft"):
        attach_lycoris(holder, plain(algo="boft", apply_preset={}), ALIASES, seed=0)


@pytest.mark.parametrize(
    "changes",
    [
        {"algo": "lokr"},
        {"algo": "lokr", "dora_wd": True},
        {"algo": "diag-oft", "rescaled": True},
        {"algo": "ia3"},
        {"algo": "boft"},
        {"algo": "full"},
        {"algo": "dylora"},
        {"algo": "tlora"},
    ],
)
def test_strength_zero_is_the_base_model_whatever_the_method_and_nests(changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model, states = random_omnigen(), torch.randn(2, 5, 64)
    linear = model.layers[0].self_attn.to_q
    base = linear(states)
    adapter = attach_lycoris(model, plain(**changes), ALIASES, seed=0).eval()
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    full = linear(states)
    with adapter.strength(0.0):
        assert torch.equal(linear(states), base)
        with adapter.strength(1.0):
            assert torch.equal(linear(states), full)
        with adapter.strength(0.0):
            assert torch.equal(linear(states), base)
        assert torch.equal(linear(states), base)
    assert torch.equal(linear(states), full)
    assert not torch.allclose(full, base)


def heeded(config: LycorisConfig) -> bool:
    """Whether two passes in training differ: something was dropped."""
    torch.manual_seed(0)
    model = random_omnigen()
    adapter = attach_lycoris(model, config, ALIASES, seed=0).train()
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.1)
    states = torch.ones(2, 5, 64)
    first, *others = (model.layers[0].self_attn.to_q(states) for _ in range(4))
    return any(not torch.equal(first, other) for other in others)


@pytest.mark.parametrize("algo", ["lora", "loha", "lokr", "glora", "tlora"])
def test_dropout_that_is_accepted_drops(algo: str) -> None:
    assert heeded(plain(algo=algo, dropout=0.5, bypass_mode=True))


@pytest.mark.parametrize("algo", ["lora", "loha", "lokr", "full"])
def test_rank_dropout_that_is_accepted_drops(algo: str) -> None:
    assert heeded(plain(algo=algo, rank_dropout=0.5))


@pytest.mark.parametrize("algo", [changes["algo"] for changes in METHODS[:11]])
def test_module_dropout_drops_in_every_method(algo: str) -> None:
    torch.manual_seed(0)
    model = random_omnigen()
    adapter = attach_lycoris(model, plain(algo=algo, module_dropout=0.99999), ALIASES, seed=0).train()
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    dropped = model.layers[0].self_attn.to_q(rows(0))
    adapter.eval()
    assert torch.equal(dropped, random_omnigen().layers[0].self_attn.to_q(rows(0)))
    assert not torch.allclose(dropped, model.layers[0].self_attn.to_q(rows(0)), atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "branches"),
    [
        ({}, {"Attention": True, "FeedForward": True}),
        ({"rank_dropout": 0.1}, {"Attention": False, "FeedForward": False}),
        ({"dora_wd": True}, {"Attention": False, "FeedForward": False}),
        ({"bypass_mode": False}, {"Attention": False, "FeedForward": False}),
        ({"own": {"algo": "loha"}}, {"Attention": True, "FeedForward": True}),
        ({"own": {"algo": "diag-oft"}}, {"Attention": True, "FeedForward": False}),
        ({"own": {"bypass_mode": False}}, {"Attention": True, "FeedForward": False}),
        ({"algo": "diag-oft", "own": {"algo": "lokr"}}, {"Attention": False, "FeedForward": True}),
    ],
)
def test_which_layers_run_as_a_branch(changes: dict[str, Any], branches: dict[str, bool]) -> None:
    own = changes.pop("own", {})
    preset = {"target_module": ["Attention"], "module_algo_map": {"FeedForward": own}}
    adapter = attach_lycoris(random_omnigen(), plain(**{"algo": "lokr"} | changes, apply_preset=preset), ALIASES, 0)
    found = {"mlp" in layer.lora_name: bool(layer.bypass_mode) for layer in adapter.network.loras}
    assert found == {False: branches["Attention"], True: branches["FeedForward"]}


def test_a_pattern_that_fits_no_path_is_refused() -> None:
    preset = {"target_module": ["Attention"]}
    attach_lycoris(random_omnigen(), plain(apply_preset=preset | {"exclude_name": ["layers.0"]}), ALIASES, seed=0)
    with pytest.raises(ConfigError, match=r"exclude_name: .*'layers\.7'"):
        attach_lycoris(random_omnigen(), plain(apply_preset=preset | {"exclude_name": ["layers.7"]}), ALIASES, seed=0)
