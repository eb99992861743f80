from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.adapters.export.names import Viewer, key_map, named, unnamed
from simpletuner.core.errors import DataError

WORD = st.text("abc_", min_size=1, max_size=4)
PATHS = st.sets(st.lists(WORD, min_size=1, max_size=3).map(".".join), min_size=1, max_size=6)


@given(paths=PATHS)
def test_comfyui_names_come_back_whatever_paths_begin_with_each_other(paths: set[str]) -> None:
    layers = {path: {"alpha": torch.tensor(1.0), "lora_up.weight": torch.tensor(2.0)} for path in paths}
    names = key_map("comfyui", paths)
    assert unnamed(named(layers, names), names) == layers


@pytest.mark.parametrize("viewer", get_args(Viewer))
def test_a_layer_inside_another_ones_path_is_told_apart(viewer: Viewer) -> None:
    layers = {path: {"lora_up.weight": torch.tensor(1.0)} for path in ("attn.to_out", "attn.to_out.0")}
    names = key_map(viewer, layers)
    assert unnamed(named(layers, names), names) == layers


def test_a_name_that_a_viewer_would_ignore_is_refused() -> None:
    names = key_map("kohya", ["layers.0.to_q"])
    with pytest.raises(DataError, match="lycoris_layers_0_to_q"):
        unnamed({"lycoris_layers_0_to_q.alpha": torch.tensor(1.0)}, names)
