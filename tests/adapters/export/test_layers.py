from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from simpletuner.adapters.export.layers import layers_of, method_of, stored_alpha
from simpletuner.adapters.initial import read_adapter_file
from simpletuner.core.errors import ConfigError
from simpletuner.core.linears import LinearShape
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import TINY_FOLDER
from tests.adapters.export.files import LOHA, LOKR, LORA, STANDARD, adapter_file


def shapes() -> tuple[LinearShape, ...]:
    return OmniGen().linears(OmniGen().load_denoiser(TINY_FOLDER, torch.float32))


METHODS = {
    "standard": (STANDARD, "lora"),
    "lora": (LORA, "lora"),
    "loha": (LOHA, "loha"),
    "lokr": (LOKR, "lokr"),
    "decomposed": (LOKR | {"linear_dim": 2, "decompose_both": True}, "lokr"),
    "full": ({"algo": "full", "linear_dim": 1}, "full"),
    "glora": ({"algo": "glora", "linear_dim": 4}, "glora"),
    "ia3": ({"algo": "ia3", "linear_dim": 1}, "ia3"),
    "tlora": ({"algo": "tlora", "linear_dim": 4}, "tlora"),
    "oft": ({"algo": "diag-oft", "linear_dim": 4}, "oft"),
    "dylora": ({"algo": "dylora", "linear_dim": 4, "block_size": 2}, "lora"),
}


@pytest.mark.parametrize("case", METHODS)
def test_a_file_of_any_method_becomes_layers_by_path(tmp_path: Path, case: str) -> None:
    settings, method = METHODS[case]
    file = read_adapter_file(adapter_file(tmp_path, settings))
    paths = {shape.path for shape in shapes()}
    layers = layers_of(file, paths)
    assert layers.keys() == paths
    assert {method_of(leaves) for leaves in layers.values()} == {method}
    if case == "standard":
        assert all(leaves["alpha"] == 8 for leaves in layers.values())
        assert torch.equal(
            layers["layers.0.self_attn.to_q"]["lora_up.weight"],
            file.tensors["transformer.layers.0.self_attn.to_q.lora_B.weight"],
        )


def test_what_no_method_writes_is_unknown() -> None:
    assert method_of({"weight": torch.zeros(1)}) == "unknown"


@pytest.mark.parametrize("settings", [STANDARD, LOKR], ids=["standard", "lokr"])
def test_layers_of_another_model_are_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    file = read_adapter_file(adapter_file(tmp_path, settings))
    with pytest.raises(ConfigError) as caught:
        layers_of(file, {"layers.0.self_attn.to_q"})
    assert caught.value.key == "--adapter"
    assert caught.value.file == file.path


def test_alpha_is_read_and_never_guessed(tmp_path: Path) -> None:
    file = read_adapter_file(adapter_file(tmp_path, STANDARD))
    assert stored_alpha(file) == 8
    for metadata in ({}, {"lora_adapter_metadata": "{}"}, {"lora_adapter_metadata": "no JSON"}):
        with pytest.raises(ConfigError, match="alpha"):
            stored_alpha(replace(file, metadata=metadata))
