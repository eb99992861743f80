from __future__ import annotations

from pathlib import Path

import pytest
import torch

from simpletuner.cli.base import adapter_file, find_base, require_file
from simpletuner.core.errors import ConfigError
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.models.source import HubCommit
from simpletuner.training.tensor_file import write_tensors
from tests.models.hub_cache import OLD


def said(folder: Path, architecture: str, **metadata: str) -> Path:
    path = folder / "adapter.safetensors"
    write_tensors(path, {"x": torch.zeros(1)}, {"modelspec.architecture": architecture, **metadata})
    return path


def test_a_name_wins_over_the_file_and_the_file_over_the_usual(tmp_path: Path) -> None:
    tiny = said(tmp_path, "omnigen-tiny/lora")
    assert find_base(None, tiny, tmp_path).source == TINY_FOLDER
    assert find_base("v1", tiny, tmp_path).name == "v1"
    for other in (None, said(tmp_path, "omnigen-v9/lora"), tmp_path / "nothing.safetensors", Path(__file__)):
        assert find_base(None, other, tmp_path).name == "v1"


def test_the_base_is_the_commit_that_the_adapter_was_trained_over(tmp_path: Path) -> None:
    repository = "Shitao/OmniGen-v1-diffusers"
    file = said(tmp_path, "omnigen-v1/lora", base_model=repository, base_model_revision=OLD)
    assert find_base(None, file, tmp_path).origin == HubCommit(repository, OLD)
    assert find_base("v1", file, tmp_path).origin == repository, "who names a model means the newest"
    for model, commit in (("some/where", OLD), (repository, "main"), (repository, f"../{OLD}")):
        other = said(tmp_path, "omnigen-v1/lora", base_model=model, base_model_revision=commit)
        assert find_base(None, other, tmp_path).origin == repository


def test_the_references_negative_text_belongs_to_all_but_the_tiny_model(tmp_path: Path) -> None:
    asked = {"v1": True, "tiny": False, str(TINY_FOLDER): False, "someone/OmniGen": True}
    assert {name: find_base(name, None, tmp_path).builtin_negative for name in asked} == asked


def test_a_model_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder 'tinny'") as caught:
        find_base("tinny", None, tmp_path)
    assert caught.value.key == "--model"
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="lacks transformer"):
        find_base("empty", None, tmp_path)


def test_a_file_or_the_folder_of_a_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        adapter_file(tmp_path / "x.safetensors")
    with pytest.raises(ConfigError, match=r"holds no pytorch_lora_weights\.safetensors") as caught:
        adapter_file(tmp_path)
    assert caught.value.key == "--adapter"
    inside = tmp_path / "pytorch_lora_weights.safetensors"
    inside.touch()
    assert adapter_file(tmp_path) == adapter_file(inside) == inside
    with pytest.raises(ConfigError, match="is a folder"):
        require_file(tmp_path, "--like")
