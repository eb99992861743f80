"""Write the fixtures: `python -m scripts.reference.make`, in the environment of `environment.sh`."""

from __future__ import annotations

import json
import logging
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from .batches import Official
from .cases import CASES, GUIDED, ORIGINAL_POSITIONS
from .guided import sample
from .official import LONG_FACTORS, POSITIONS, ROOT, SHORT_FACTORS, config, processor, random_model

FOLDER = ROOT / "tests" / "fixtures" / "reference"
EMBEDDING = "llm.embed_tokens.weight"


def _under(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{name}/{key}": tensor.contiguous() for key, tensor in tensors.items()}


def _used_rows(gradient: dict[str, Tensor]) -> dict[str, Tensor]:
    """The gradient with just those rows of the vocabulary that are not zero."""
    whole = gradient.pop(EMBEDDING)
    rows = whole.abs().sum(dim=1).nonzero()[:, 0]
    return gradient | {"embedding/rows": rows, "embedding/values": whole[rows]}


def _model_config() -> dict[str, object]:
    """The model under the names of diffusers' configuration."""
    phi = config()
    return {
        "hidden_size": phi.hidden_size,
        "num_attention_heads": phi.num_attention_heads,
        "num_key_value_heads": phi.num_key_value_heads,
        "intermediate_size": phi.intermediate_size,
        "num_layers": phi.num_hidden_layers,
        "vocab_size": phi.vocab_size,
        "pad_token_id": phi.pad_token_id,
        "rms_norm_eps": phi.rms_norm_eps,
        "original_max_position_embeddings": ORIGINAL_POSITIONS,
        "max_position_embeddings": phi.max_position_embeddings,
        "rope_base": int(phi.rope_theta),
        "rope_scaling": {"short_factor": SHORT_FACTORS, "long_factor": LONG_FACTORS},
    }


def write(folder: Path) -> None:
    """Weights in bf16 (exact), cases, gradients and guided samples in fp32, and what was asked in JSON."""
    model, reader = random_model(), processor()
    official = Official(model, reader)
    weights = {name: value.bfloat16() for name, value in model.state_dict().items() if name != POSITIONS}
    cases: dict[str, Tensor] = {}
    gradients: dict[str, Tensor] = {}
    for seed, (name, case) in enumerate(CASES.items()):
        answered = official.answer(case, seed)
        cases |= _under(name, answered.tensors)
        if answered.gradient:
            gradients |= _under(name, _used_rows(answered.gradient))
    samples: dict[str, Tensor] = {}
    for name, guided in GUIDED.items():
        with tempfile.TemporaryDirectory() as pictures:
            samples |= _under(name, sample(model, reader, guided, Path(pictures)))
    files = {"weights": weights, "cases": cases, "gradients": gradients, "samples": samples}
    for name, tensors in files.items():
        file = folder / f"{name}.safetensors"
        save_file(tensors, file)
        # safetensors writes files that nobody else may read.
        file.chmod(0o644)
    asked = {
        "model": _model_config(),
        "cases": {name: asdict(case) for name, case in CASES.items()},
        "guided": {name: asdict(guided) for name, guided in GUIDED.items()},
    }
    (folder / "asked.json").write_text(json.dumps(asked, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    write(FOLDER)
