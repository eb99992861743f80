from __future__ import annotations

from pathlib import Path

import pytest
import torch

from simpletuner.assemble import burden, unseen
from simpletuner.assemble.commands.pipeline import set_up
from simpletuner.cli.base import find_base


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch has a card here")
def test_a_card_that_torch_does_not_see_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (burden, unseen):
        monkeypatch.setattr(module, "AMD", tmp_path / "kfd")
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    base, told = find_base("tiny", None, tmp_path), list[str]()
    assert set_up(base, {}, told.append).device.type == "cpu"
    assert told == []
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'Driver Version: 535.104.05   CUDA Version: 12.2'\n")
    program.chmod(0o755)
    set_up(base, {}, told.append)
    (warning,) = told
    assert warning.startswith("an NVIDIA card is here, and torch does not see it: its driver 535.104.05 knows CUDA")
    assert "; the CPU draws. Cure: " in warning
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    set_up(base, {}, told.append)
    assert len(told) == 1
