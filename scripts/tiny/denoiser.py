"""The tiny denoiser before, between and after its two trainings.

``python -m scripts.tiny.denoiser init`` lays out ``build/tiny/base`` in diffusers layout with random weights, which
``simpletuner train`` teaches the 3D emoji; ``... between`` lays out ``build/tiny/shapes`` with the averaged result,
which ``simpletuner train`` teaches flat drawings too; ``... pack`` stores the averaged weights in half precision beside
the tiny VAE and tokenizer of the package; ``... card`` describes them again after a new report.
scripts/tiny/README.md has the commands.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import shutil
from pathlib import Path

import torch
from diffusers import OmniGenTransformer2DModel
from safetensors.torch import load_file, save_file
from torch import nn

from .denoiser_card import card, read_run
from .files import (
    BUILD,
    TINY_MODEL,
    read_json,
    write_text,
)
from .fit import best_device

PACKAGE = TINY_MODEL
BASE, SHAPES = BUILD / "base", BUILD / "shapes"
FIRST_RUN, SECOND_RUN = BUILD / "transformer", BUILD / "styles"
HEAD = 32
CONFIG = {
    "hidden_size": 256,
    "num_attention_heads": 256 // HEAD,
    "num_key_value_heads": 256 // HEAD,
    "intermediate_size": 704,
    "num_layers": 8,
    "pad_token_id": 2,
    "vocab_size": 2048,
    "rope_scaling": {
        "short_factor": [1.0] * (HEAD // 2),
        "long_factor": [round(1.0 + index / (HEAD // 2), 4) for index in range(HEAD // 2)],
    },
    "pos_embed_max_size": 192,
}
POSITIONS = "patch_embedding.pos_embed"
_log = logging.getLogger("tiny.denoiser")


@torch.no_grad()
def start(model: OmniGenTransformer2DModel, seed: int) -> None:
    """First values: small normal weights, residual outputs smaller still, and a last layer that says zero."""
    draws = torch.Generator().manual_seed(seed)
    residual = 1 / math.sqrt(2 * len(model.layers))
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding | nn.Conv2d):
            scale = residual if name.endswith(("to_out.0", "down_proj")) else 1.0
            spread = module.weight[0].numel() ** -0.5 if not isinstance(module, nn.Embedding) else 0.5
            module.weight.copy_(torch.randn(module.weight.shape, generator=draws) * spread * scale)
        if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
            module.bias.zero_()
    model.proj_out.weight.zero_()
    model.norm_out.linear.weight.zero_()


def init(seed: int) -> None:
    """Lay out ``build/tiny/base`` with first values."""
    model = OmniGenTransformer2DModel(**CONFIG)
    start(model, seed)
    lay_out(BASE)
    model.save_pretrained(BASE / "transformer")
    _log.info("%s: %.2f M parameters", BASE, sum(p.numel() for p in model.parameters()) / 1e6)


def between() -> None:
    """Lay out ``build/tiny/shapes`` with what the first training reached."""
    lay_out(SHAPES)
    store(FIRST_RUN, SHAPES / "transformer", best_device().type)


def pack() -> None:
    """Put what the second training reached into the package, with its card."""
    target = PACKAGE / "transformer"
    store(SECOND_RUN, target, best_device().type)
    write_card()
    _log.info("%s: %.1f MB", target, sum(file.stat().st_size for file in target.iterdir()) / 1e6)


def write_card() -> None:
    """Describe the packed model, with the figures of the last report."""
    first, second = read_run(FIRST_RUN), read_run(SECOND_RUN)
    write_text(PACKAGE / "transformer" / "README.md", card(CONFIG, first, second))


def lay_out(folder: Path) -> None:
    """Copy everything but the transformer from the package."""
    for name in ("vae", "tokenizer", "scheduler"):
        shutil.copytree(PACKAGE / name, folder / name, dirs_exist_ok=True)
    shutil.copy(PACKAGE / "model_index.json", folder / "model_index.json")


def store(run: Path, target: Path, trained_on: str) -> None:
    """Write the averaged weights of the finished ``run`` in half precision to ``target``.

    The table of positions (192 x 192 x d, 2.6 times the size of the rest) is a formula and is left out; the loader
    puts it back.
    """
    averaged = run / "ema" / "transformer"
    weights = load_file(averaged / "diffusion_pytorch_model.safetensors")
    half = {name: tensor.half().contiguous() for name, tensor in weights.items() if name != POSITIONS}
    target.mkdir(parents=True, exist_ok=True)
    described = {"format": "pt", "trained_on": trained_on}
    save_file(half, target / "diffusion_pytorch_model.safetensors", metadata=described)
    config = read_json(averaged / "config.json")
    config.pop("_name_or_path", None)
    write_text(target / "config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")


def main() -> None:
    """Read the command line and do one of the four."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("init", "between", "pack", "card"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    match arguments.what:
        case "init":
            init(arguments.seed)
        case "between":
            between()
        case "pack":
            pack()
        case _:
            write_card()


if __name__ == "__main__":
    main()
