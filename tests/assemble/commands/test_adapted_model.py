from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from simpletuner.adapters.base import digest_of
from simpletuner.assemble.commands.adapted_model import adapted, read_adapter
from simpletuner.core.errors import ConfigError
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import TINY_FOLDER
from tests.adapters.export.files import LOKR, LORA, STANDARD, adapter_file

FAMILY = OmniGen()


def put_on(path: Path) -> Any:
    return adapted(FAMILY, FAMILY.load_denoiser(TINY_FOLDER, torch.float32), read_adapter(path)).adapter


@pytest.mark.parametrize("settings", [STANDARD, LOKR | {"multiplier": 0.5, "dropout": 0.1}], ids=["standard", "lokr"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_values_of_a_file_are_taken_in_their_own_format(
    tmp_path: Path, settings: dict[str, Any], dtype: torch.dtype
) -> None:
    path = adapter_file(tmp_path, settings)
    file = read_adapter(path)
    stored = {name: value.to(dtype) if value.ndim else value for name, value in file.tensors.items()}
    save_file(stored, path, dict(file.metadata))
    model = put_on(path)
    assert digest_of(model.tensors()) == digest_of(stored) == digest_of(read_adapter(path).tensors)
    if settings:
        assert model.config.raw == json.loads(file.metadata["lycoris_config"])


def test_a_file_under_kohyas_names_is_laid_by_its_settings(tmp_path: Path) -> None:
    path = adapter_file(tmp_path, {"algo": "tlora", "linear_dim": 4, "tlora_min_rank": 2})
    file = read_adapter(path)
    theirs = {name.replace("lycoris_", "lora_unet_", 1): value for name, value in file.tensors.items()}
    save_file(theirs, path, dict(file.metadata))
    model = put_on(path)
    assert digest_of(model.tensors()) == digest_of(theirs)
    assert model.config.tlora_min_rank == 2


def test_one_changed_bit_has_another_digest(tmp_path: Path) -> None:
    tensors = load_file(adapter_file(tmp_path, LOKR))
    name = next(name for name in tensors if name.endswith("lokr_w2"))
    renamed = {("x" if key == name else key): value for key, value in tensors.items()}
    digests = {digest_of(one) for one in (tensors, tensors | {name: tensors[name] + 1e-6}, renamed)}
    assert len(digests) == 3


def test_without_its_settings_a_file_is_built_from_its_shapes_unless_they_do_not_say(tmp_path: Path) -> None:
    path = adapter_file(tmp_path, LORA)
    tensors = load_file(path)
    save_file(tensors, path)
    assert digest_of(put_on(path).tensors()) == digest_of(tensors)
    path = adapter_file(tmp_path, {"algo": "tlora", "linear_dim": 4})
    save_file(load_file(path), path)
    with pytest.raises(ConfigError, match="how the ranks of a T-LoRA follow the noise is unknown"):
        put_on(path)


def test_what_does_not_fit_names_the_file(tmp_path: Path) -> None:
    path = adapter_file(tmp_path, LOKR)
    tensors = load_file(path)
    metadata = dict(read_adapter(path).metadata)
    name = next(name for name in tensors if name.endswith("lokr_w2"))
    save_file(tensors | {name: torch.zeros(2, 2)}, path, metadata)
    with pytest.raises(ConfigError, match="does not fit this adapter") as caught:
        put_on(path)
    assert (caught.value.file, caught.value.key) == (path, "--adapter")
    text = tmp_path / "notes.txt"
    text.write_text("no adapter")
    with pytest.raises(ConfigError, match="is no "):
        read_adapter(text)
