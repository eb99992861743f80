"""The folder that goes to the hub, and what goes to a store."""

from __future__ import annotations

from pathlib import Path

from simpletuner.core.files import files_below
from simpletuner.observe.publish.bundle import Bundle, asset_name, everything, lay_out, size_of


def made(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def names(folder: Path) -> list[str]:
    return [str(file.relative_to(folder)) for file in files_below(folder)]


def test_weights_go_and_state_stays(tmp_path: Path) -> None:
    weights = ("pytorch_lora_weights.safetensors", "lycoris_config.json", "ema/ema_model.safetensors")
    state = ("optimizer.safetensors", "training_state.json", "manifest.json", "ema_shadow.safetensors")
    checkpoint = made(tmp_path / "checkpoint-4", *weights, *state)
    pictures = list(files_below(made(tmp_path / "validation_images", "step_4_a.png", "step_4_b.webp")))
    lay_out(Bundle(checkpoint, {"README.md": "card"}, pictures), tmp_path / "hub", ("", "checkpoint-4"))
    inside = [
        *("README.md", "assets/image_0.png", "assets/image_1.webp", "ema/pytorch_lora_weights.safetensors"),
        *("ema/lycoris_config.json", "lycoris_config.json", "pytorch_lora_weights.safetensors"),
    ]
    assert names(tmp_path / "hub") == sorted([*inside, *(f"checkpoint-4/{name}" for name in inside)])
    assert (tmp_path / "hub" / "ema" / "pytorch_lora_weights.safetensors").read_text() == "ema/ema_model.safetensors"


def test_an_average_with_a_configuration_of_its_own_keeps_it(tmp_path: Path) -> None:
    whole = ("pytorch_lora_weights.safetensors", "lycoris_config.json")
    result = made(tmp_path / "result", *whole, *(f"ema/{name}" for name in whole))
    lay_out(Bundle(result, {}), tmp_path / "hub")
    assert names(tmp_path / "hub") == sorted([*whole, *(f"ema/{name}" for name in whole)])
    assert (tmp_path / "hub" / "ema" / "lycoris_config.json").read_text() == "ema/lycoris_config.json"


def test_links_cost_no_room_and_outlive_their_source(tmp_path: Path) -> None:
    source = made(tmp_path / "run", "transformer/config.json", "transformer/model.safetensors")
    lay_out(Bundle(source, {}), tmp_path / "hub")
    file = source / "transformer" / "model.safetensors"
    assert file.samefile(tmp_path / "hub" / "transformer" / "model.safetensors")
    file.unlink()
    assert names(tmp_path / "hub") == ["transformer/config.json", "transformer/model.safetensors"]
    assert size_of(tmp_path / "hub") == len("transformer/config.json") + len("transformer/model.safetensors")


def test_what_lay_there_before_is_gone(tmp_path: Path) -> None:
    made(tmp_path / "hub", "old.safetensors")
    lay_out(Bundle(tmp_path / "nothing", {"README.md": "card"}), tmp_path / "hub")
    assert names(tmp_path / "hub") == ["README.md"]


def test_a_store_gets_all_but_caches_and_what_is_hidden_and_manifests_last(tmp_path: Path) -> None:
    made(tmp_path, "b.txt", "checkpoint-2/manifest.json", "checkpoint-2/z", "cache/x", ".lock", "logs/.x/y", "hub/b")
    assert everything(tmp_path, ("cache", "hub")) == ("b.txt", "checkpoint-2/z", "checkpoint-2/manifest.json")


def test_pictures_are_numbered() -> None:
    assert asset_name(3, Path("step_4_fox_0_64x64.webp")) == "assets/image_3.webp"
