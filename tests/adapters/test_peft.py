"""Standard LoRA on a real OmniGen: which layers, what other programs read, and nothing lost between two runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from diffusers import OmniGenTransformer2DModel
from diffusers.loaders.peft import PeftAdapterMixin
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import linear

from simpletuner.adapters.lycoris.preset import class_shares
from simpletuner.adapters.peft import PeftAdapter, attach_lora
from simpletuner.adapters.targets import LoraSettings
from simpletuner.core.batch import Prompt
from simpletuner.core.errors import ConfigError, DataError
from simpletuner.models.execution import Execution
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import FACTS
from simpletuner.training.model import TrainedModel
from tests.models.omnigen.tiny_model import random_omnigen

FILE = "pytorch_lora_weights.safetensors"
PLAIN = LoraSettings(rank=4, alpha=4)
LOUDER = LoraSettings(rank=4, alpha=6.5, targets=("Attention", "down_proj"))
DTYPES = (torch.float32, torch.bfloat16)


def attach(
    model: OmniGenTransformer2DModel, settings: LoraSettings = PLAIN, seed: int = 0, dtype: torch.dtype = torch.float32
) -> PeftAdapter:
    """A LoRA over a frozen model, in the type that a run would choose for it."""
    model.requires_grad_(requires_grad=False)
    adapter = attach_lora(model, settings, FACTS.class_aliases, OmniGen().linears(model), seed)
    for parameter in adapter.parameters():
        parameter.data = parameter.data.to(dtype)
    return adapter


def disturbed(adapter: PeftAdapter) -> PeftAdapter:
    """The adapter as if it had learned something."""
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=draws))
    return adapter


def velocity(model: OmniGenTransformer2DModel) -> Tensor:
    """What the family predicts for two rows of different length."""
    draws = torch.Generator().manual_seed(2)
    noisy = torch.randn(2, 4, 8, 8, generator=draws)
    prompts = [Prompt(torch.randint(3, 2000, (length,), generator=draws)) for length in (5, 9)]
    return OmniGen().predict_velocity(model, noisy, torch.tensor([0.3, 0.8]), prompts)


def bits(tensors: Iterable[Tensor]) -> list[bytes]:
    """Tensors as they lie in memory: equality of these forgives nothing."""
    return [tensor.detach().contiguous().view(torch.uint8).numpy().tobytes() for tensor in tensors]


def test_all_six_linears_of_every_block_are_adapted_and_nothing_else_is_trained() -> None:
    model = random_omnigen()
    adapter = attach(model)
    shapes = FACTS.linear_shapes(model.config)
    assert OmniGen().linears(model) == shapes
    expected = {shape.path: 4 * (shape.in_features + shape.out_features) for shape in shapes}
    assert adapter.parameters_by_path() == expected
    shares = class_shares(("Attention", "OmniGenFeedForward"), shapes, adapter.parameters_by_path())
    assert [(share.adapted, share.linears) for share in shares] == [(8, 8), (4, 4)]
    own = {id(parameter) for parameter in adapter.parameters()}
    assert {id(parameter) for parameter in model.parameters() if parameter.requires_grad} == own
    assert sum(parameter.numel() for parameter in adapter.parameters()) == sum(expected.values())


def test_a_trained_model_names_each_parameter_once_and_always_alike() -> None:
    model = random_omnigen()
    adapter = attach(model)
    trained = TrainedModel(OmniGen(), model, adapter)
    named = trained.trainable()
    assert "denoiser.layers.1.self_attn.to_out.0.lora_A.default.weight" in named
    assert len(named) == 24
    assert {id(parameter) for parameter in named.values()} == {id(parameter) for parameter in adapter.parameters()}
    trained.to(torch.device("cpu")).train()
    for multiplier in (0.0, 0.5):
        with trained.strength(multiplier):
            assert list(trained.trainable()) == list(named)


def test_names_are_those_that_the_library_gives() -> None:
    model = random_omnigen()
    adapter = disturbed(attach(model))
    theirs = {f"transformer.{name}": tensor for name, tensor in get_peft_model_state_dict(model).items()}
    assert adapter.tensors().keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in adapter.tensors().items())
    assert adapter.tensors()["transformer.layers.0.mlp.gate_up_proj.lora_B.weight"].shape == (256, 4)


def test_it_starts_as_the_base_model_and_strength_zero_is_the_base_model() -> None:
    model = random_omnigen().requires_grad_(requires_grad=False)
    base = velocity(model)
    adapter = attach(model, LOUDER)
    assert bits([velocity(model)]) == bits([base])
    disturbed(adapter)
    full = velocity(model)
    with adapter.strength(0.0):
        assert bits([velocity(model)]) == bits([base])
        with adapter.strength(1.0):
            assert bits([velocity(model)]) == bits([full])
        with adapter.strength(0.0):
            assert bits([velocity(model)]) == bits([base])
        assert bits([velocity(model)]) == bits([base])
    assert bits([velocity(model)]) == bits([full])
    assert not torch.allclose(full, base, atol=1e-3)


@pytest.mark.parametrize("multiplier", [1.0, 0.5, -2.0])
def test_the_effect_is_alpha_over_rank_times_strength(multiplier: float) -> None:
    model, states = random_omnigen(), torch.randn(3, 64)
    weight = model.layers[0].self_attn.to_q.weight
    adapter = disturbed(attach(model, LOUDER))
    down, up = (adapter.tensors()[f"transformer.layers.0.self_attn.to_q.lora_{name}.weight"] for name in "AB")
    with adapter.strength(multiplier):
        result = model.layers[0].self_attn.to_q(states)
    assert torch.allclose(result, states @ (weight + multiplier * 6.5 / 4 * up @ down).T, atol=1e-5)


def test_strength_leaves_it_to_others_what_is_trained() -> None:
    adapter = attach(random_omnigen())
    adapter.requires_grad_(requires_grad=False)
    with adapter.strength(0.0):
        pass
    assert not any(parameter.requires_grad for parameter in adapter.parameters())


def first_values(seed: int, targets: tuple[str, ...] | None = None) -> dict[str, Tensor]:
    torch.randn(7)
    return attach(random_omnigen(), LoraSettings(4, 4, targets=targets), seed).tensors()


def test_first_values_depend_on_the_seed_alone() -> None:
    name = "transformer.layers.1.mlp.down_proj.lora_A.weight"
    values = first_values(1)
    assert bits(values.values()) == bits(first_values(1).values())
    assert not torch.equal(values[name], first_values(2)[name])
    assert torch.equal(values[name], first_values(1, ("down_proj",))[name]), "whatever else is adapted"


def test_first_values_are_drawn_as_the_library_draws_and_move_no_other_draw() -> None:
    model = random_omnigen()
    before = torch.get_rng_state()
    values = attach(model).tensors()
    assert torch.equal(torch.get_rng_state(), before)
    down = torch.cat([tensor.flatten() for name, tensor in values.items() if "gate_up_proj.lora_A" in name])
    bound = 64**-0.5
    assert 0.98 * bound < down.abs().max() <= bound
    assert down.std() == pytest.approx(bound / 3**0.5, rel=0.1), "uniform"
    assert not any(tensor.any() for name, tensor in values.items() if "lora_B" in name)


class WithLoaders(OmniGenTransformer2DModel, PeftAdapterMixin):
    """What diffusers' own class lacks: the methods that load an adapter file."""


@pytest.mark.parametrize("settings", [PLAIN, LOUDER], ids=["plain", "louder"])
def test_other_programs_rebuild_it_from_the_file_alone(settings: LoraSettings, tmp_path: Path) -> None:
    model = random_omnigen()
    adapter = disturbed(attach(model, settings))
    save_file(adapter.tensors(), tmp_path / FILE, metadata=adapter.metadata())
    through_diffusers = WithLoaders.from_config(random_omnigen().config).eval()
    through_diffusers.load_state_dict(random_omnigen().state_dict())
    through_diffusers.load_lora_adapter(tmp_path, weight_name=FILE, prefix="transformer")
    assert bits([velocity(through_diffusers)]) == bits([velocity(model)])
    described = json.loads(adapter.metadata()["lora_adapter_metadata"])
    config = LoraConfig(**{key.removeprefix("transformer."): value for key, value in described.items()})
    through_peft = inject_adapter_in_model(config, random_omnigen())
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in load_file(tmp_path / FILE).items()}
    assert not set_peft_model_state_dict(through_peft, tensors).unexpected_keys
    assert bits([velocity(through_peft)]) == bits([velocity(model)])


def test_metadata_are_the_librarys_configuration_and_the_classes() -> None:
    model = random_omnigen()
    metadata = attach(model, LOUDER).metadata()
    described = json.loads(metadata["lora_adapter_metadata"])
    assert described["transformer.lora_alpha"] == 6.5
    config = LoraConfig(**{key.removeprefix("transformer."): value for key, value in described.items()})
    assert config.to_dict() == model.peft_config["default"].to_dict()
    assert metadata["resolved_classes"] == "Attention,OmniGenFeedForward"
    assert attach(random_omnigen(), LoraSettings(4, 4, targets=("to_q",))).metadata()["resolved_classes"] == "Attention"
    assert '"transformer.lora_alpha": 4,' in attach(random_omnigen()).metadata()["lora_adapter_metadata"]


@pytest.mark.parametrize("base", DTYPES)
@pytest.mark.parametrize("own", DTYPES)
def test_it_trains_in_any_type_over_any_and_comes_back_exactly(
    base: torch.dtype, own: torch.dtype, tmp_path: Path
) -> None:
    model = random_omnigen().to(base)
    adapter = attach(model, dtype=own)
    start = velocity(model)
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=1e-2)
    for _ in range(2):
        velocity(model).square().mean().backward()
        assert {parameter.grad.dtype for parameter in adapter.parameters() if parameter.grad is not None} == {own}
        optimizer.step()
        optimizer.zero_grad()
    result = velocity(model)
    assert not torch.equal(result, start)
    assert model.layers[0].mlp(torch.zeros(1, 1, 64, dtype=base)).dtype == base
    assert {parameter.dtype for parameter in model.parameters() if not parameter.requires_grad} == {base}
    save_file(adapter.tensors(), tmp_path / FILE)
    fresh = random_omnigen().to(base)
    resumed = attach(fresh, seed=1, dtype=own)
    resumed.load_tensors(load_file(tmp_path / FILE))
    assert bits(resumed.parameters()) == bits(adapter.parameters())
    assert bits([velocity(fresh)]) == bits([result])
    assert resumed.private_tensors() == {}


def test_dropout_drops_in_training_alike_for_one_seed_and_alike_when_a_block_is_recomputed() -> None:
    model = random_omnigen()
    adapter = disturbed(attach(model, LoraSettings(4, 4, dropout=0.5)))
    trained = TrainedModel(OmniGen(), model, adapter).train()

    def gradients(*, seed: int, recompute: bool) -> list[bytes]:
        OmniGen().configure(model, Execution(recompute=recompute))
        torch.manual_seed(seed)
        trained.zero_grad()
        velocity(model).square().mean().backward()
        return bits(parameter.grad for parameter in trained.trainable().values() if parameter.grad is not None)

    plain = gradients(seed=0, recompute=False)
    assert len(plain) == 24
    assert gradients(seed=0, recompute=False) == plain
    assert gradients(seed=0, recompute=True) == plain
    assert gradients(seed=1, recompute=False) != plain
    trained.eval()
    torch.manual_seed(0)
    first = velocity(model)
    assert bits([velocity(model)]) == bits([first])


class Coded(nn.Linear):
    """A frozen layer kept as int8 whose ``weight`` is no parameter and has a shape only."""

    def __init__(self, layer: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features, self.bias = layer.in_features, layer.out_features, None
        scale = layer.weight.detach().abs().amax(dim=1, keepdim=True) / 127
        self.register_buffer("scale", scale)
        self.register_buffer("codes", (layer.weight.detach() / scale).round().to(torch.int8))

    @property
    def weight(self) -> Tensor:
        return torch.empty(self.codes.shape, device="meta")

    def forward(self, inputs: Tensor) -> Tensor:
        return linear(inputs, self.codes.to(inputs.dtype) * self.scale.to(inputs.dtype))


def coded_omnigen() -> OmniGenTransformer2DModel:
    """A model whose block linears are all kept as int8."""
    model = random_omnigen().requires_grad_(requires_grad=False)
    for shape in OmniGen().linears(model):
        model.set_submodule(shape.path, Coded(model.get_submodule(shape.path)))
    return model


def test_a_layer_whose_weight_has_no_values_is_adapted_like_any_other() -> None:
    model, dense = coded_omnigen(), random_omnigen()
    base = velocity(model)
    adapter = attach(model)
    assert bits(adapter.tensors().values()) == bits(attach(dense).tensors().values())
    assert bits([velocity(model)]) == bits([base])
    velocity(model).square().mean().backward()
    ups = [parameter for name, parameter in adapter._factors().items() if "lora_B" in name]
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in ups)
    disturbed(adapter)
    full = velocity(model)
    with adapter.strength(0.0):
        assert bits([velocity(model)]) == bits([base])
    assert not torch.allclose(full, base, atol=1e-3)
    fresh = coded_omnigen()
    attach(fresh, seed=1).load_tensors(adapter.tensors())
    assert bits([velocity(fresh)]) == bits([full])


@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape"])
def test_a_file_that_does_not_fit_is_refused_and_changes_nothing(fault: str) -> None:
    adapter = attach(random_omnigen())
    tensors = {name: tensor + 1 for name, tensor in adapter.tensors().items()}
    before = bits(adapter.parameters())
    name = "transformer.layers.1.mlp.down_proj.lora_A.weight"
    match fault:
        case "missing":
            del tensors[name]
        case "unexpected":
            tensors["transformer.layers.9.mlp.down_proj.lora_A.weight"] = tensors[name]
        case _:
            tensors[name] = torch.zeros(2, 2)
    with pytest.raises(DataError, match="does not fit"):
        adapter.load_tensors(tensors)
    assert bits(adapter.parameters()) == before


def test_a_target_that_means_nothing_is_refused_before_anything_is_touched() -> None:
    model = random_omnigen()
    with pytest.raises(ConfigError, match=r"did you mean 'to_out\.0'"):
        attach(model, LoraSettings(4, 4, targets=("to_q", "to_out")))
    assert not any("lora" in name for name, _ in model.named_modules())
