"""Training teaches: on the same noise before and after, the loss falls."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.config.files.lycoris import read_lycoris
from simpletuner.core.batch import Batch, Latents, Prompt
from simpletuner.core.samples import SampleId, Use
from simpletuner.data.cache.store import TensorStore
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import FACTS, TINY_FOLDER
from simpletuner.training import draws
from simpletuner.training.model import TrainedModel
from simpletuner.training.step import row_losses
from tests.runs.conftest import DOCUMENT, Train


def fixed_batch(cache: Path) -> Batch:
    """Every cached picture 8 times, under noise that training never draws."""
    store = TensorStore(cache)
    keys = sorted(path.stem for path in cache.rglob("*.safetensors"))
    entries = [store.read(key) for key in keys]
    posteriors = [Latents(entry["mean"], entry["logvar"]) for entry in entries if entry is not None]
    uses = [Use(SampleId("held", str(index)), visit) for index in range(len(posteriors)) for visit in range(8)]
    text = OmniGen().load_text(TINY_FOLDER, builtin_negative=False)
    return Batch(
        uses=tuple(uses),
        latents=torch.stack([posteriors[int(use.sample.path)].mean for use in uses]),
        noise=torch.stack([draws.noise(1, use, posteriors[0].mean.shape) for use in uses]),
        sigma=torch.stack([draws.sigma(1, use) for use in uses]),
        prompts=tuple(Prompt(text.unconditional()) for _ in uses),
    )


def loss(adapter_file: Path | None, batch: Batch) -> float:
    family = OmniGen()
    denoiser = family.load_denoiser(TINY_FOLDER, torch.float32)
    adapter = None
    if adapter_file is not None:
        adapter = attach_lycoris(denoiser, read_lycoris(DOCUMENT / "lycoris_config.json"), FACTS.class_aliases, seed=0)
        adapter.load_tensors(load_file(adapter_file))
    with torch.no_grad():
        return float(row_losses(TrainedModel(family, denoiser, adapter), batch, torch.device("cpu")).mean())


def test_loss_on_fixed_noise_falls(train: Train, tmp_path: Path) -> None:
    assert train(max_train_steps=60, learning_rate="5e-3", caption_dropout_probability=0.5, train_batch_size=5) == 0
    batch = fixed_batch(tmp_path / "cache" / "vae")
    before = loss(None, batch)
    after = loss(tmp_path / "output" / "pytorch_lora_weights.safetensors", batch)
    assert after < 0.95 * before
