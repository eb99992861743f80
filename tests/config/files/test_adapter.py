"""The kind of an adapter file, from its header alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from simpletuner.config.files.adapter import require_kind
from simpletuner.core.errors import ConfigError

NAMES = {
    "standard": "transformer.layers.0.self_attn.qkv_proj.lora_A.weight",
    "lycoris": "lycoris_layers_0_self_attn_qkv_proj.lokr_w1",
}


def adapter(folder: Path, name: str) -> Path:
    save_file({name: torch.zeros(2, 2)}, folder / "a.safetensors", {"format": "pt"})
    return folder / "a.safetensors"


@pytest.mark.parametrize("kind", ["standard", "lycoris"])
def test_its_own_kind_is_taken_and_the_other_refused(tmp_path: Path, kind: str) -> None:
    file = adapter(tmp_path, NAMES[kind])
    other = "lycoris" if kind == "standard" else "standard"
    require_kind(file, kind)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=rf"init_lora: holds .*, and lora_type is {other}\n.*use lora_type={kind}"):
        require_kind(file, other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content", [b"", b"\x05\0\0\0\0\0\0\0", b"\xff" * 8, b"\2\0\0\0\0\0\0\0[]", b"\2\0\0\0\0\0\0\0{]"]
)
def test_what_is_no_such_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read as safetensors"):
        require_kind(file, "lycoris")


def test_a_format_that_can_run_code_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'a\.pt' is no \.safetensors file"):
        require_kind(tmp_path / "a.pt", "lycoris")
