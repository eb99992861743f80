"""Names and shapes without torch, against the real modules."""

from __future__ import annotations

from torch import nn

from simpletuner.models.omnigen.layers import FACTS
from tests.models.omnigen.tiny_model import random_omnigen


def test_names_and_shapes_are_the_modules_own() -> None:
    model = random_omnigen(num_key_value_heads=2)
    modules = dict(model.named_modules())
    shapes = FACTS.linear_shapes(model.config)
    in_blocks = {
        name for name, module in modules.items() if isinstance(module, nn.Linear) and name.startswith("layers")
    }
    assert {shape.path for shape in shapes} == in_blocks
    for shape in shapes:
        assert (modules[shape.path].out_features, modules[shape.path].in_features) == (
            shape.out_features,
            shape.in_features,
        )
        around = [type(modules[shape.path.rsplit(".", depth)[0]]).__name__ for depth in (1, 2)]
        assert shape.inside[-1] in around


def test_the_shapes_of_all_weights() -> None:
    for model in (random_omnigen(num_key_value_heads=2), random_omnigen(num_layers=3, patch_size=1)):
        expected = sorted(tuple(weight.shape) for weight in model.parameters())
        assert sorted(FACTS.weight_shapes(model.config)) == expected


def test_module_classes_are_those_of_the_real_model() -> None:
    model = random_omnigen()
    holding = {
        type(module).__name__
        for module in model.modules()
        if module is not model and any(isinstance(inner, nn.Linear) for inner in module.modules())
    }
    assert FACTS.module_classes == tuple(sorted(holding))


def test_module_paths_are_those_of_the_real_model() -> None:
    model = random_omnigen(num_layers=3)
    assert sorted(FACTS.module_paths(model.config)) == sorted(name for name, _ in model.named_modules() if name)
