"""Files to start from: our own, another program's, another model's, and what is no adapter at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lycoris import LycorisNetwork, create_lycoris
from lycoris.config import PRESET
from safetensors.torch import save_file
from torch import Tensor

from simpletuner.adapters.initial import (
    AdapterFile,
    first_step,
    lora_of,
    lycoris_of,
    read_adapter_file,
    read_average,
    start_from,
)
from simpletuner.adapters.lycoris.adapter import LycorisAdapter, attach_lycoris
from simpletuner.adapters.lycoris.settled import places
from simpletuner.adapters.targets import LoraSettings
from simpletuner.core.errors import ConfigError
from tests.adapters.lycoris.test_adapter import ALIASES, METHODS, name_of, plain, rows, train
from tests.models.omnigen.tiny_model import random_omnigen

PATHS = [place.path for place in places(random_omnigen())]
OWN = plain(algo="lokr", linear_dim=10000)


def trained(tmp_path: Path, *, said: bool, **changes: Any) -> tuple[Path, Tensor]:
    """A file of a trained adapter, and the answers of its model."""
    model = random_omnigen().requires_grad_(requires_grad=False)
    config = plain(**changes)
    adapter = attach_lycoris(model, config, ALIASES, seed=0)
    train(model, adapter, steps=2)
    path = tmp_path / "adapter.safetensors"
    metadata = {"lycoris_config": json.dumps(config.raw), "global_step": "700"} if said else None
    save_file({name: tensor.clone() for name, tensor in adapter.tensors().items()}, path, metadata)
    return path, model.layers[0].self_attn.to_q(rows(0))


def begun(path: Path) -> tuple[Any, LycorisAdapter, tuple[str, ...]]:
    """A model whose adapter starts from the file, though the user's own LyCORIS file is another."""
    model = random_omnigen().requires_grad_(requires_grad=False)
    file = read_adapter_file(path)
    config, notices = lycoris_of(file, OWN, PATHS)
    adapter = attach_lycoris(model, config, ALIASES, seed=3)
    start_from(adapter, file)
    adapter.before_pass(torch.tensor([0.9, 0.1]))
    return model, adapter.eval(), notices


@pytest.mark.parametrize("changes", METHODS, ids=name_of)
@pytest.mark.parametrize("said", [True, False])
def test_training_goes_on_from_what_the_file_does(tmp_path: Path, changes: dict[str, Any], *, said: bool) -> None:
    path, answers = trained(tmp_path, said=said, **changes)
    model, adapter, notices = begun(path)
    assert torch.allclose(model.layers[0].self_attn.to_q(rows(0)), answers, atol=1e-4)
    assert len(adapter.layers) == 8
    assert "the adapter has the shape of adapter.safetensors" in notices[0]
    losses = train(model, adapter)
    assert losses[-1] < losses[0]


def test_a_file_of_lycoris_alone_with_its_own_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESET, "attention", {"target_module": ["Attention"], "lora_prefix": "lora_unet"})
    former = {key: value for key, value in vars(LycorisNetwork).items() if key.isupper()}
    model = random_omnigen().requires_grad_(requires_grad=False)
    try:
        network = create_lycoris(model, 1.0, 4, 2, algo="loha", preset="attention")
    finally:
        for key, value in former.items():
            setattr(LycorisNetwork, key, value)
    network.apply_to()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1)
    path = tmp_path / "theirs.safetensors"
    save_file({name: tensor.detach().clone() for name, tensor in network.state_dict().items()}, path)
    ours, adapter, _ = begun(path)
    assert torch.allclose(ours.layers[1].self_attn.to_k(rows(0)), model.layers[1].self_attn.to_k(rows(0)), atol=1e-5)
    assert all(name.startswith("lora_unet_layers_") for name in adapter.tensors())


def renamed(path: Path, rename: Callable[[str], str]) -> None:
    """The file under another program's names, with the metadata it had."""
    file = read_adapter_file(path)
    save_file({rename(name): tensor for name, tensor in file.tensors.items()}, path, dict(file.metadata) or None)


def as_kohya(name: str) -> str:
    return name.replace("lycoris_", "lora_unet_", 1)


def as_comfyui(name: str) -> str:
    layer, _, own = name.removeprefix("lycoris_").partition(".")
    path = next(path for path in PATHS if path.replace(".", "_") == layer)
    return f"diffusion_model.{path}.{own}"


@pytest.mark.parametrize("changes", METHODS, ids=name_of)
@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize("rename", [as_kohya, as_comfyui])
def test_a_file_under_a_viewers_names(
    tmp_path: Path, changes: dict[str, Any], rename: Callable[[str], str], *, said: bool
) -> None:
    path, answers = trained(tmp_path, said=said, **changes)
    renamed(path, rename)
    model, adapter, _ = begun(path)
    assert torch.allclose(model.layers[0].self_attn.to_q(rows(0)), answers, atol=1e-4)
    assert len(adapter.layers) == 8


LORA_B = "layers.0.self_attn.to_q.lora_B.weight"
LORA_A = "layers.0.self_attn.to_q.lora_A.weight"


@pytest.mark.parametrize("before", ["transformer.", "base_model.model.", "diffusion_model."])
def test_a_standard_lora_under_another_programs_names(tmp_path: Path, before: str) -> None:
    path = tmp_path / "adapter_model.safetensors"
    save_file({before + LORA_A: torch.ones(4, 64), before + LORA_B: torch.ones(64, 4)}, path)
    (tmp_path / "adapter_config.json").write_text('{"r": 4, "lora_alpha": 6, "peft_type": "LORA"}')
    file = read_adapter_file(path)
    assert set(file.tensors) == {f"transformer.{LORA_A}", f"transformer.{LORA_B}"}
    settings, _ = lora_of(file, LoraSettings(rank=16, alpha=16))
    assert settings == LoraSettings(4, 6.0, 0.0, ("layers.0.self_attn.to_q",))


@pytest.mark.parametrize("uneven", [{"alpha_pattern": {"to_q": 8}}, {"use_rslora": True}])
def test_a_standard_lora_whose_layers_differ_in_strength_is_refused(tmp_path: Path, uneven: dict[str, Any]) -> None:
    path = tmp_path / "adapter_model.safetensors"
    save_file({f"base_model.model.{LORA_A}": torch.ones(4, 64)}, path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 6, **uneven}))
    with pytest.raises(ConfigError, match=f"differ in strength .{next(iter(uneven))}") as caught:
        lora_of(read_adapter_file(path), LoraSettings(rank=16, alpha=16))
    assert (caught.value.file, caught.value.key) == (path, "init_lora")


def test_settings_of_training_are_the_users_own(tmp_path: Path) -> None:
    path, _ = trained(tmp_path, said=True, algo="lora", dropout=0.5)
    own = plain(algo="lokr", module_dropout=0.25)
    config, _ = lycoris_of(read_adapter_file(path), own, PATHS)
    assert (config.algo, config.dropout, config.module_dropout) == ("lora", None, 0.25)


def test_a_file_that_says_what_the_user_says_is_not_told(tmp_path: Path) -> None:
    path, _ = trained(tmp_path, said=True, **OWN.raw)
    assert lycoris_of(read_adapter_file(path), OWN, PATHS) == (OWN, ())


def test_settings_that_cannot_be_read_are_taken_from_the_shapes(tmp_path: Path) -> None:
    path, _ = trained(tmp_path, said=False, algo="loha")
    file = read_adapter_file(path)
    odd = AdapterFile(path, file.tensors, "lycoris", {"lycoris_config": '{"algo": "loha", "rs_lora": true}'})
    assert lycoris_of(odd, OWN, PATHS)[0].algo == "loha"


def test_a_standard_lora_is_told_by_its_names(tmp_path: Path) -> None:
    path = tmp_path / "peft.safetensors"
    save_file({"transformer.layers.0.self_attn.to_q.lora_A.weight": torch.zeros(4, 64)}, path)
    file = read_adapter_file(path)
    assert file.kind == "standard"
    with pytest.raises(ConfigError, match="holds a standard LoRA"):
        lycoris_of(file, OWN, PATHS)


@pytest.mark.parametrize("kind", ["missing", "pickle", "text", "folder"])
def test_what_is_no_adapter_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("a.bin" if kind == "pickle" else "checkpoint-5" if kind == "folder" else "a.safetensors")
    if kind == "text":
        path.write_text("no tensors")
    if kind == "folder":
        path.mkdir()
        (path / "pytorch_lora_weights.safetensors").touch()
    told = {"pickle": "can run code", "folder": "pytorch_lora_weights.safetensors"}.get(kind, "cannot be read")
    with pytest.raises(ConfigError, match=told) as caught:
        read_adapter_file(path)
    assert (caught.value.file, caught.value.key) == (path, "init_lora")
    assert caught.value.cure


def test_a_file_for_another_model_names_itself_and_a_cure(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"lycoris_down_blocks_0.lora_down.weight": torch.zeros(4, 8)}, path)
    with pytest.raises(ConfigError, match="1 of its 1 layers are not in this model") as caught:
        lycoris_of(read_adapter_file(path), OWN, PATHS)
    assert (caught.value.file, caught.value.key) == (path, "init_lora")
    assert caught.value.cure


def test_a_file_for_a_model_of_another_size_is_refused(tmp_path: Path) -> None:
    path, _ = trained(tmp_path, said=True, algo="lora")
    larger = random_omnigen(hidden_size=128)
    file = read_adapter_file(path)
    adapter = attach_lycoris(larger, lycoris_of(file, OWN, PATHS)[0], ALIASES, seed=0)
    with pytest.raises(
        ConfigError, match=r"does not fit this model: .* has shape \(.*64.*\), not \(.*128.*\)"
    ) as caught:
        start_from(adapter, file)
    assert (caught.value.file, caught.value.key) == (path, "init_lora")


@pytest.mark.parametrize(
    ("given", "metadata", "step"), [(None, "700", 700), (3, "700", 3), (0, "700", 0), (None, None, 0)]
)
def test_where_counting_starts(given: int | None, metadata: str | None, step: int) -> None:
    file = AdapterFile(Path("a.safetensors"), {}, "lycoris", {"global_step": metadata} if metadata else {})
    assert first_step(given, file, 1000) == step


@pytest.mark.parametrize(
    ("given", "metadata", "told"),
    [(None, "1000", "saved at step 1000"), (1000, "5", "init_lora_step is 1000"), (None, "many", "which is no step")],
)
def test_a_step_that_leaves_nothing_to_train(given: int | None, metadata: str, told: str) -> None:
    file = AdapterFile(Path("a.safetensors"), {}, "lycoris", {"global_step": metadata})
    with pytest.raises(ConfigError, match=told) as caught:
        first_step(given, file, 1000)
    assert "init_lora_step" in str(caught.value.cure)


def test_an_average_must_be_that_of_these_parameters(tmp_path: Path) -> None:
    own = {"a": torch.zeros(2), "b": torch.zeros(3)}
    path = tmp_path / "ema_shadow.safetensors"
    save_file({"a": torch.ones(2), "b": torch.ones(3)}, path)
    assert read_average(path, own)["b"].tolist() == [1, 1, 1]
    for wrong in ({"a": torch.zeros(2)}, {**own, "c": torch.zeros(1)}, {**own, "a": torch.zeros(4)}):
        with pytest.raises(ConfigError, match="init_lora_ema: is not the average of this adapter"):
            read_average(path, wrong)
    with pytest.raises(ConfigError, match="can run code"):
        read_average(tmp_path / "ema_model.pt", own)
