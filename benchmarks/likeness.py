"""How alike two trainings are: their adapters, their pictures in pixels and to CLIP, their loss on fixed noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.omnigen import quantised
from benchmarks.runs import ADAPTER, EXAMPLE
from benchmarks.timing import Figures
from scripts.tiny.clip_scores import Clip, image_features
from scripts.tiny.measure_pictures import words
from scripts.tiny.vae_data import as_signal, load_pictures
from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.config.files.lycoris import read_lycoris
from simpletuner.config.reading.find import example_folder
from simpletuner.core.batch import Prompt
from simpletuner.diffusion import flow
from simpletuner.models.family import MemorySaving
from simpletuner.models.omnigen.denoiser import OmniGenDenoiser
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import FACTS, TINY_FOLDER
from simpletuner.training.model import TrainedModel

_CPU = torch.device("cpu")


def picture_figures(found: Tensor, expected: Tensor, clip: Clip) -> Figures:
    """Two sets of uint8 pictures (N, 3, 64, 64) of the same prompts and noise: means, and the pair farthest apart.

    Pixels run to 255; the distance to CLIP is 1 less the cosine of the embeddings. No ``psnr_db`` where all are equal.
    """
    gaps = (found.float() - expected.float()).abs()
    embedded, wanted = (image_features(clip, pictures) for pictures in (found, expected))
    in_clip = (1 - (embedded * wanted).sum(dim=1)).clamp(min=0)
    error = float(gaps.square().mean())
    return {
        "pictures": len(found),
        "mean_absolute_difference": float(gaps.mean()),
        "mean_absolute_difference_at_most": float(gaps.flatten(1).mean(dim=1).max()),
        "psnr_db": 10 * math.log10(255**2 / error) if error else None,
        "clip_distance": float(in_clip.mean()),
        "clip_distance_at_most": float(in_clip.max()),
    }


def adapter_distance(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> float:
    """The distance of two LoKr's changes of the weights, in parts of the length of ``expected``'s.

    No change is formed: the product of w1 (x) w2 and v1 (x) v2 is that of w1 and v1 times that of w2 and v2.
    """
    layers = [name.removesuffix("w1") for name in expected if name.endswith("lokr_w1")]

    def product(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
        return sum(
            math.prod(float((one[layer + part].double() * other[layer + part].double()).sum()) for part in ("w1", "w2"))
            for layer in layers
        )

    length = product(expected, expected)
    return math.sqrt(max(0.0, product(found, found) + length - 2 * product(found, expected)) / length)


class Exam:
    """The example's pictures, each at some levels of noise that are the same for every model."""

    def __init__(self, levels: int = 8) -> None:
        family, draws = OmniGen(), torch.Generator().manual_seed(0)
        codec = family.load_codec(TINY_FOLDER, _CPU, torch.float32, MemorySaving())
        text = family.load_text(TINY_FOLDER, builtin_negative=False)
        files = sorted((example_folder(EXAMPLE) / "images").glob("*.png"))
        self._latents = codec.encode(as_signal(load_pictures(files))).mean
        self._prompts = tuple(Prompt(text.tokenize(prompt)) for prompt in words([file.stem for file in files]))
        self._noises = torch.randn(levels, *self._latents.shape, generator=draws)
        # At every level the pictures have all shares of noise among them.
        orders = torch.stack([torch.randperm(len(files), generator=draws) for _ in range(levels)])
        self._sigmas = (orders + (torch.arange(levels)[:, None] + 0.5) / levels) / len(files)

    @torch.no_grad()
    def loss(self, model: TrainedModel) -> float:
        """The mean square error of the velocity over all of them."""
        levels = zip(self._noises, self._sigmas, strict=True)
        return fmean(self._error(model, noise, sigma) for noise, sigma in levels)

    def _error(self, model: TrainedModel, noise: Tensor, sigma: Tensor) -> float:
        predicted = model(flow.mix(self._latents, noise, sigma), sigma, self._prompts)
        return float((predicted - flow.velocity(self._latents, noise)).square().mean())


def model_over(base: Path, preset: str, run: Path | None) -> TrainedModel:
    """The model of ``base`` in the format ``preset``, and over it what ``run`` trained."""
    family = OmniGen()
    loaded = family.load_denoiser(base, torch.float32)
    assert isinstance(loaded, OmniGenDenoiser)
    denoiser = quantised(loaded, preset, _CPU)
    if run is None:
        return TrainedModel(family, denoiser, None).eval()
    adapter = attach_lycoris(denoiser, read_lycoris(run / "lycoris_config.json"), FACTS.class_aliases, seed=0)
    adapter.load_tensors(load_file(run / ADAPTER))
    return TrainedModel(family, denoiser, adapter).eval()
