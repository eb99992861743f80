"""The fixtures that `scripts/reference` wrote with the official package: a model, what it was asked, its answers."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import pad

from scripts.reference.names import to_diffusers
from simpletuner.core.batch import Batch, Prompt
from simpletuner.core.samples import SampleId, Use
from simpletuner.models.omnigen.denoiser import OmniGenDenoiser
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.models.omnigen.text import OmniGenText, load_text

FOLDER = Path(__file__).parents[2] / "fixtures" / "reference"
ASKED = json.loads((FOLDER / "asked.json").read_text(encoding="utf-8"))
COMPUTED = "patch_embedding.pos_embed"


@cache
def _tensors(file: str) -> dict[str, Tensor]:
    return load_file(FOLDER / f"{file}.safetensors")


def answers(file: str, name: str) -> dict[str, Tensor]:
    """The tensors of one case in ``cases``, ``gradients`` or ``samples``."""
    found = {
        key.removeprefix(f"{name}/"): tensor for key, tensor in _tensors(file).items() if key.startswith(f"{name}/")
    }
    assert found, f"no {name} in {file}"
    return found


def rows(tensors: dict[str, Tensor], name: str) -> list[Tensor]:
    """The tensors ``name/0``, ``name/1`` ..."""
    found = sum(key.startswith(f"{name}/") for key in tensors)
    return [tensors[f"{name}/{index}"] for index in range(found)]


def in_our_names(official: dict[str, Tensor]) -> dict[str, Tensor]:
    return to_diffusers(official, ASKED["model"]["num_attention_heads"], ASKED["model"]["num_key_value_heads"])


def official_model(**changes: object) -> OmniGenDenoiser:
    """diffusers' modules with the weights of the official model, in fp32; ``changes`` are of its configuration."""
    model = OmniGenDenoiser(**(ASKED["model"] | changes))
    weights = {name: value.float() for name, value in in_our_names(_tensors("weights")).items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert (missing, unexpected) == ([COMPUTED], [])
    return model.eval()


def reader() -> OmniGenText:
    """The tokenizer that the official processor was given, with the references' negative text."""
    return load_text(TINY_FOLDER, builtin_negative=True)


def asked_prompts(case: str) -> list[Prompt]:
    """The prompts of a case as our code takes them, with the official latents of their input pictures."""
    text, latents = reader(), iter(rows(answers("cases", case), "pictures"))
    prompts: list[Prompt] = []
    for row in ASKED["cases"][case]["rows"]:
        ids = text.tokenize(row["prompt"], len(row["pictures"]))
        # The official latents come in the order of the tags, one for each tag.
        seen = {-number: next(latents) for number in ids.tolist() if number < 0}
        prompts.append(Prompt(ids, tuple(seen[n] for n in sorted(seen))))
    return prompts


def asked_batch(case: str) -> Batch:
    """A case as our training step takes it, padded to the largest row."""
    told = answers("cases", case)
    images, noise = rows(told, "image"), rows(told, "noise")
    sizes = tuple((row.shape[1], row.shape[2]) for row in images)
    return Batch(
        uses=tuple(Use(SampleId(case, str(index)), 0) for index in range(len(images))),
        latents=_padded(images),
        noise=_padded(noise),
        sigma=1 - told["clock"],
        prompts=tuple(asked_prompts(case)),
        sizes=sizes if len(set(sizes)) > 1 else None,
    )


def _padded(rows: list[Tensor]) -> Tensor:
    height, width = (max(row.shape[axis] for row in rows) for axis in (1, 2))
    return torch.stack([pad(row, (0, width - row.shape[2], 0, height - row.shape[1])) for row in rows])
