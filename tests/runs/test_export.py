"""`simpletuner export`: what it writes is loaded by the classes that will load it, and is the same adapter."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import OmniGenTransformer2DModel
from peft import LoraConfig, PeftModel, inject_adapter_in_model, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from scripts.reference.names import to_diffusers
from simpletuner.assemble.commands import export as exporting
from simpletuner.assemble.commands.adapted_model import adapted, read_adapter
from simpletuner.assemble.commands.export import read_back
from simpletuner.cli.main import run
from simpletuner.core.batch import Prompt
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import TINY_FOLDER
from tests.adapters.export.files import DOCUMENT, LOHA, LOKR, LORA, STANDARD, adapter_file

FAMILY = OmniGen()
DRAWS = torch.Generator().manual_seed(5)
NOISY, CLOCK, IDS = torch.randn(1, 4, 8, 12, generator=DRAWS), torch.tensor([0.3]), torch.arange(5, 17)

Export = Callable[..., int]


@pytest.fixture
def convert(tmp_path: Path) -> Export:
    """Make an adapter file of the settings and export it to OUT; the exit code."""

    def start(settings: Mapping[str, Any], to: str, out: str, *words: str) -> int:
        file = adapter_file(tmp_path, settings)
        return run(["export", "--adapter", str(file), "--format", to, "--output", str(tmp_path / out), *words])

    return start


def ours(file: Path) -> Tensor:
    """The velocity with the adapter of ``file`` over the tiny model, by this house's forward pass."""
    model = adapted(FAMILY, FAMILY.load_denoiser(TINY_FOLDER, torch.float32), read_adapter(file))
    model.adapter.eval()
    with torch.no_grad():
        return FAMILY.predict_velocity(model.denoiser, NOISY, 1 - CLOCK, [Prompt(IDS)])


def theirs(model: nn.Module) -> Tensor:
    """The same by diffusers' own forward pass; its answer points the other way."""
    length, image = len(IDS), NOISY.shape[-2] * NOISY.shape[-1] // 4
    size = length + 1 + image
    seen = torch.ones(size, size, dtype=torch.bool).tril()
    seen[length + 1 :] = True
    with torch.no_grad():
        found: Tensor = model.eval()(
            hidden_states=NOISY,
            timestep=CLOCK,
            input_ids=IDS[None],
            input_img_latents=[],
            input_image_sizes={},
            attention_mask=seen[None].long(),
            position_ids=torch.arange(size)[None],
            return_dict=False,
        )[0]
    return -found


def diffusers_model(folder: Path = TINY_FOLDER) -> OmniGenTransformer2DModel:
    return OmniGenTransformer2DModel.from_pretrained(folder, subfolder="transformer")


def require_same(found: Tensor, file: Path) -> None:
    wanted = ours(file)
    assert float((wanted - found).abs().max() / wanted.abs().max()) < 1e-5
    assert float((theirs(diffusers_model()) - wanted).abs().max()) > 1e-2, "the adapter must be seen"


@pytest.mark.parametrize("settings", [STANDARD, LORA, LOHA, LOKR], ids=["standard", "lora", "loha", "lokr"])
def test_a_folder_for_peft_works_over_diffusers_own_class(
    convert: Export, tmp_path: Path, settings: dict[str, Any]
) -> None:
    assert convert(settings, "diffusers", "out") == 0
    model = PeftModel.from_pretrained(diffusers_model(), tmp_path / "out")
    require_same(theirs(model.base_model.model), tmp_path / "adapter.safetensors")


@pytest.mark.parametrize("settings", [STANDARD, pytest.param(LORA, marks=pytest.mark.long)], ids=["standard", "lora"])
def test_a_lora_in_one_file_is_read_in_the_steps_of_diffusers(
    convert: Export, tmp_path: Path, settings: dict[str, Any]
) -> None:
    assert convert(settings, "diffusers", "out.safetensors") == 0
    tensors, metadata = read_back(tmp_path / "out.safetensors")
    assert "transformer.layers.0.self_attn.to_q.lora_A.weight" in tensors
    described = json.loads(metadata["lora_adapter_metadata"])
    config = LoraConfig(**{key.removeprefix("transformer."): value for key, value in described.items()})
    model = inject_adapter_in_model(config, diffusers_model())
    inner = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    assert not set_peft_model_state_dict(model, inner).unexpected_keys
    require_same(theirs(model), tmp_path / "adapter.safetensors")


@pytest.mark.parametrize(
    "settings", [STANDARD, pytest.param(LOHA, marks=pytest.mark.long), DOCUMENT], ids=["standard", "loha", "document"]
)
def test_a_merged_model_loads_in_diffusers_own_class(convert: Export, tmp_path: Path, settings: dict[str, Any]) -> None:
    assert convert(settings, "merged", "out") == 0
    require_same(theirs(diffusers_model(tmp_path / "out")), tmp_path / "adapter.safetensors")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("transformer", "vae", "tokenizer", "scheduler", "model_index.json")
    }
    drawing = "--steps 1 --resolution 32x32 --prompt x --output drawn".split()
    assert run(["generate", "--model", str(tmp_path / "out"), *drawing[:-1], str(tmp_path / "drawn")]) == 0


def test_a_merged_model_for_the_official_package_has_its_names(convert: Export, tmp_path: Path) -> None:
    assert convert(DOCUMENT, "merged", "out", "--layout", "official") == 0
    official = load_file(tmp_path / "out" / "model.safetensors")
    assert official["llm.layers.0.self_attn.qkv_proj.weight"].shape == (3 * 256, 256)
    assert official["llm.layers.0.mlp.gate_up_proj.weight"].shape == (2 * 704, 256)
    positions = {"patch_embedding.pos_embed": official.pop("pos_embed")}
    model = diffusers_model()
    model.load_state_dict(to_diffusers(official, 8, 8) | positions)
    require_same(theirs(model), tmp_path / "adapter.safetensors")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["rope_scaling"]["type"] == "su"
    assert (tmp_path / "out" / "tokenizer.json").is_file()
    assert (tmp_path / "out" / "vae" / "config.json").is_file()


@pytest.mark.parametrize(
    ("settings", "leaves"),
    [
        (STANDARD, {"lora_down.weight", "lora_up.weight"}),
        pytest.param(LORA, {"lora_down.weight", "lora_up.weight"}, marks=pytest.mark.long),
        (LOHA, {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}),
        (DOCUMENT, {"lokr_w1", "lokr_w2"}),
    ],
    ids=["standard", "lora", "loha", "document"],
)
def test_viewers_find_every_tensor_of_every_layer(
    convert: Export, tmp_path: Path, settings: dict[str, Any], leaves: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The names are written out here: each layer's path as the two maps have it, and LyCORIS's leaves."""
    paths = [shape.path for shape in FAMILY.linears(diffusers_model())]
    flat = [path.replace(".", "_") for path in paths]
    for to, layers in (
        ("comfyui", [f"diffusion_model.{one}" for one in paths]),
        ("kohya", [f"lora_unet_{one}" for one in flat]),
    ):
        assert convert(settings, to, f"{to}.safetensors") == 0
        assert "no viewer was run" in capsys.readouterr().out
        tensors = load_file(tmp_path / f"{to}.safetensors")
        assert tensors.keys() == {f"{layer}.{leaf}" for layer in layers for leaf in leaves | {"alpha"}}


def test_a_lora_over_the_official_packages_layers_is_fused(convert: Export, tmp_path: Path) -> None:
    assert convert(STANDARD, "comfyui", "out.safetensors", "--layout", "official") == 0
    tensors = load_file(tmp_path / "out.safetensors")
    assert tensors["diffusion_model.llm.layers.0.self_attn.qkv_proj.lora_up.weight"].shape == (3 * 256, 3 * 4)
    assert len(tensors) == 8 * 4 * 3
    assert convert(LOKR, "comfyui", "other.safetensors", "--layout", "official") == 2


def test_rounding_is_told_and_a_strength_is_merged(
    convert: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(LOKR, "merged", "out", "--dtype", "bf16", "--strength", "0") == 0
    assert "rounded to bf16" in capsys.readouterr().out
    merged, base = (diffusers_model(folder).state_dict() for folder in (tmp_path / "out", TINY_FOLDER))
    assert all(torch.equal(value.bfloat16(), merged[name].bfloat16()) for name, value in base.items())


REFUSED = {
    "factors": (DOCUMENT, "diffusers", "out", "one factor for all layers, and this adapter has 8 and 16"),
    "dora": (LORA | {"dora_wd": True}, "diffusers", "out", "DoRA is not exported to PEFT"),
    "full": ({"algo": "full", "linear_dim": 1}, "diffusers", "out", "PEFT has no layer of full"),
    "one file": (LOKR, "diffusers", "out.safetensors", "holds a LoRA and nothing else"),
    "ia3": ({"algo": "ia3", "linear_dim": 1}, "comfyui", "out.safetensors", "viewers have no IA3"),
    "glora": ({"algo": "glora", "linear_dim": 4}, "kohya", "out.safetensors", "GLoRA"),
    "tlora": ({"algo": "tlora", "linear_dim": 4}, "merged", "out", "ranks follow the noise"),
    "a folder": (LOKR, "kohya", "out", "must be a .safetensors file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_layout_cannot_hold_is_refused_by_name(
    convert: Export, tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, to, out, reason = REFUSED[case]
    assert convert(settings, to, out) == 2
    assert reason in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["adapter.safetensors"]


def test_nothing_is_written_over_and_a_model_that_does_not_fit_is_named(
    convert: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out.safetensors").write_bytes(b"mine")
    assert convert(LOKR, "kohya", "out.safetensors") == 2
    assert "exists" in capsys.readouterr().err
    assert (tmp_path / "out.safetensors").read_bytes() == b"mine"
    assert convert(LOKR, "kohya", "out.safetensors", "--force") == 0
    wide = diffusers_model().config | {"hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 4}
    wide["rope_scaling"] = dict(wide["rope_scaling"].items())
    OmniGenTransformer2DModel.from_config(wide).save_pretrained(tmp_path / "other" / "transformer")
    for part in ("vae", "tokenizer"):
        (tmp_path / "other" / part).symlink_to(TINY_FOLDER / part)
    assert convert(LOKR, "kohya", "new.safetensors", "--model", str(tmp_path / "other")) == 2
    told = capsys.readouterr().err
    assert "does not fit this adapter" in told
    assert "--model" in told


def test_a_file_without_its_configuration_is_read_by_its_shapes_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """LyCORIS's shapes say how a network is built; of a standard LoRA alpha is missing, which no shape shows."""
    for settings, code in ((LOHA, 0), (STANDARD, 2)):
        file = adapter_file(tmp_path, settings)
        save_file(load_file(file), file)
        words = ["--format", "kohya", "--output", str(tmp_path / "out.safetensors"), "--model", "tiny", "--force"]
        assert run(["export", "--adapter", str(file), *words]) == code
    assert "its metadata lack the configuration" in capsys.readouterr().err


def test_a_damaged_map_or_tensor_is_caught(
    convert: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two layers exchanged, one value changed, one name that no viewer knows: the result is refused, and not there."""

    def exchanged(layers: Any, names: Any) -> dict[str, Tensor]:
        first, second = [path for path in layers if path.endswith("to_q")][:2]
        return whole(layers | {first: layers[second], second: layers[first]}, names)

    def changed(layers: Any, names: Any) -> dict[str, Tensor]:
        tensors = whole(layers, names)
        name = next(name for name in tensors if name.endswith("lokr_w2"))
        return tensors | {name: tensors[name] + 1e-4}

    def unknown(layers: Any, names: Any) -> dict[str, Tensor]:
        return {f"lycoris_{name}": tensor for name, tensor in whole(layers, names).items()}

    whole = exporting.named
    for damage, said in ((exchanged, "did not come back"), (changed, "did not come back"), (unknown, "would ignore")):
        monkeypatch.setattr(exporting, "named", damage)
        assert convert(LOKR, "comfyui", "out.safetensors") == 3
        assert said in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["adapter.safetensors"]


def test_a_damaged_merge_is_caught_by_its_forward_pass(
    convert: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = exporting.merged_weights

    def damaged(*of: Any) -> dict[str, Tensor]:
        weights = whole(*of)
        first, second = list(weights)[:2]
        return weights | {first: weights[second], second: weights[first]}

    monkeypatch.setattr(exporting, "merged_weights", damaged)
    assert convert(LOKR, "merged", "out") == 3
    assert "its forward pass differs by" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
