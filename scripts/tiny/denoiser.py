"""The tiny denoiser before and after training.

``python -m scripts.tiny.denoiser init`` lays out ``build/tiny/base`` in diffusers layout with random weights;
``simpletuner train --config scripts.tiny.denoiser/config.json`` trains them; ``... pack`` stores the averaged
weights in half precision beside the tiny VAE and tokenizer of the package.
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

PACKAGE = Path("src/simpletuner/models/omnigen/tiny")
BASE = Path("build/tiny/base")
TRAINED = Path("build/tiny/transformer")
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
    """Lay out ``build/tiny/base``: the package's VAE, tokenizer and scheduler, and a transformer with first values."""
    model = OmniGenTransformer2DModel(**CONFIG)
    start(model, seed)
    for name in ("vae", "tokenizer", "scheduler"):
        shutil.copytree(PACKAGE / name, BASE / name, dirs_exist_ok=True)
    shutil.copy(PACKAGE / "model_index.json", BASE / "model_index.json")
    model.save_pretrained(BASE / "transformer")
    _log.info("%s: %.2f M parameters", BASE, sum(p.numel() for p in model.parameters()) / 1e6)


def pack() -> None:
    """Store the averaged weights of the finished run in half precision.

    The table of positions (192 x 192 x d, 2.6 times the size of the rest) is a formula and is left out; the loader
    puts it back.
    """
    weights = load_file(TRAINED / "ema" / "transformer" / "diffusion_pytorch_model.safetensors")
    half = {name: tensor.half().contiguous() for name, tensor in weights.items() if name != POSITIONS}
    target = PACKAGE / "transformer"
    target.mkdir(exist_ok=True)
    save_file(half, target / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    config = json.loads((TRAINED / "ema" / "transformer" / "config.json").read_text())
    config.pop("_name_or_path", None)
    (target / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    (target / "README.md").write_text(_card(TRAINED / "metrics.jsonl"))
    _log.info("%s: %.1f MB", target, sum(file.stat().st_size for file in target.iterdir()) / 1e6)


def _card(metrics: Path) -> str:
    """The model card, with what the run itself recorded."""
    records = [json.loads(line) for line in metrics.read_text().splitlines()]
    last = [record["train_loss"] for record in records[-100:]]
    hours = sum(record["step_seconds"] for record in records) / 3600
    return f"""---
license: mit
library_name: diffusers
---

# Transformer of the tiny OmniGen

diffusers' `OmniGenTransformer2DModel` with {CONFIG["num_layers"]} blocks, d = {CONFIG["hidden_size"]}, feed-forward
{CONFIG["intermediate_size"]} and a vocabulary of {CONFIG["vocab_size"]}: 7.36 M parameters. It draws Fluent emoji at
64 px from their names, in the latents of the VAE beside it, and knows nothing else.

| | |
|---|---|
| Data | 1,795 pictures of Microsoft's Fluent 3D emoji, MIT (npm `@lobehub/fluent-emoji-3d`), names from Unicode CLDR |
| Training | `simpletuner train --config scripts/tiny/transformer/config.json`: {len(records)} updates of 64 |
| Time | {hours:.1f} hours on two busy cores of an AMD EPYC, fp32, no GPU |
| Loss | {sum(last) / len(last):.3f}, mean of the last 100 updates (velocity MSE; the target's variance is about 2) |
| Weights | the average (EMA 0.995), stored in fp16; `patch_embedding.pos_embed` is a formula and left out |

The names of 60 pictures it has never seen are in `scripts/tiny/held_out.txt`. MIT licence.
"""


def main() -> None:
    """Read the command line and do one of the two."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("init", "pack"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.what == "init":
        init(arguments.seed)
    else:
        pack()


if __name__ == "__main__":
    main()
