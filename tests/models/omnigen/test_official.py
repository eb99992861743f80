from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from scripts.reference.names import to_diffusers
from simpletuner.models.omnigen.official import OmniGenOfficial, from_official, to_official
from simpletuner.models.registry import official_layout
from tests.models.omnigen.official import ASKED, COMPUTED, FOLDER, official_model


def test_our_names_become_exactly_those_of_the_package() -> None:
    """The fixture's weights were saved by the package itself; without the positions, which are a formula."""
    stored = load_file(FOLDER / "weights.safetensors")
    official = to_official(official_model().state_dict())
    assert official.keys() == {*stored, "pos_embed"}
    assert all(torch.equal(official[name], stored[name].float()) for name in stored)


def test_the_order_of_names_does_not_move_queries_keys_and_values() -> None:
    state = official_model().state_dict()
    turned = dict(reversed(list(state.items())))
    assert all(torch.equal(value, to_official(state)[name]) for name, value in to_official(turned).items())


def test_the_way_back_is_exact_also_where_keys_are_fewer_than_queries() -> None:
    state = official_model().state_dict()
    back = from_official(to_official(state), ASKED["model"])
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    shared = {"num_attention_heads": 4, "num_key_value_heads": 2}
    fused = {"llm.layers.0.self_attn.qkv_proj.weight": torch.arange(8.0)[:, None]}
    sizes = {name.rsplit(".", 2)[1]: len(value) for name, value in from_official(fused, shared).items()}
    assert sizes == {"to_q": 4, "to_k": 2, "to_v": 2}


def test_files_are_written_as_the_package_loads_them(tmp_path: Path) -> None:
    model, layout = official_model(), official_layout("omnigen")
    assert isinstance(layout, OmniGenOfficial)
    layout.save(model, tmp_path, torch.float32)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    stored = load_file(tmp_path / "model.safetensors")
    del stored["pos_embed"]
    theirs = to_diffusers(stored, ASKED["model"]["num_attention_heads"], ASKED["model"]["num_key_value_heads"])
    state = {name: value for name, value in model.state_dict().items() if name != COMPUTED}
    assert theirs.keys() == state.keys()
    assert all(torch.equal(theirs[name], state[name]) for name in state)
    assert layout.load(tmp_path, model.config).keys() == model.state_dict().keys()


def test_wholes_know_their_parts_and_rows() -> None:
    first = OmniGenOfficial().wholes(ASKED["model"])[0]
    assert first.path == "llm.layers.0.self_attn.qkv_proj"
    assert first.parts == tuple((f"layers.0.self_attn.{part}", 64) for part in ("to_q", "to_k", "to_v"))
