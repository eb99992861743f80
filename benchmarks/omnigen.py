"""OmniGens to measure: the tiny one, and the full size with random weights; batches for them; the reference's step."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers.pipelines.omnigen.processor_omnigen import OmniGenCollator
from lycoris import LycorisNetwork, create_lycoris
from torch import Tensor, nn
from torch.nn import Parameter

from benchmarks.timing import ROOT
from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.adapters.lycoris.preset import resolve_preset
from simpletuner.config.files.lycoris import LycorisConfig, parse_lycoris
from simpletuner.config.sections.optimizer import OptimizerConfig
from simpletuner.core.batch import Batch, Prompt
from simpletuner.core.samples import SampleId, Use
from simpletuner.models.execution import Execution
from simpletuner.models.loading import quiet_diffusers
from simpletuner.models.omnigen.denoiser import OmniGenDenoiser
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import FACTS, TINY_FOLDER
from simpletuner.precision.quantise import quantise
from simpletuner.training.gradients import clip, measure
from simpletuner.training.model import TrainedModel
from simpletuner.training.optimizers import build_optimizer
from simpletuner.training.step import row_losses

RECIPE = ROOT / "tests" / "fixtures" / "document" / "lycoris_config.json"
"""The document's LoKr."""
_TEXT_TOKENS = 58
_RATE, _LIMIT = 1e-4, 0.01
# Shitao/OmniGen-v1-diffusers, transformer/config.json; the two lists of factors only have to have the right length.
FULL_CONFIG: Mapping[str, Any] = {
    "hidden_size": 3072,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "intermediate_size": 8192,
    "num_layers": 32,
    "pad_token_id": 32000,
    "vocab_size": 32064,
    "rope_scaling": {"short_factor": [1.0] * 48, "long_factor": [1.5] * 48},
}


@dataclass(frozen=True)
class Body:
    """The size of a transformer: ``width`` of a token, ``blocks``, and the weights of one block's linears."""

    width: int
    blocks: int
    block_weights: int

    def of(self, blocks: int) -> Body:
        """The same with another number of blocks."""
        return replace(self, blocks=blocks)


FULL = Body(3072, 32, 4 * 3072**2 + 3 * 3072 * 8192)
TINY = Body(256, 8, 4 * 256**2 + 3 * 256 * 704)


@dataclass(frozen=True)
class Case:
    """One step to measure: ``batch`` pictures of ``edge`` pixels; ``recompute`` is gradient checkpointing."""

    edge: int
    batch: int
    recompute: bool = True

    @property
    def name(self) -> str:
        """For the figures."""
        return f"{self.edge}px_batch_{self.batch}_{'checkpointed' if self.recompute else 'kept'}"

    @property
    def image_tokens(self) -> int:
        """A row's."""
        return (self.edge // 16) ** 2

    @property
    def tokens(self) -> int:
        """A row's, with text and time."""
        return self.image_tokens + _TEXT_TOKENS + 1


def recipe() -> LycorisConfig:
    """The document's LyCORIS file."""
    return parse_lycoris(json.loads(RECIPE.read_text(encoding="utf-8")), RECIPE)


def tiny_denoiser() -> nn.Module:
    """The bundled model, fp32, on the CPU."""
    return OmniGen().load_denoiser(TINY_FOLDER, torch.float32)


def full_denoiser(device: torch.device, dtype: torch.dtype, blocks: int = 32) -> OmniGenDenoiser:
    """The full size with random weights as large as training leaves them, made on ``device``."""
    options = {**FULL_CONFIG, "num_layers": blocks}
    with torch.device("meta"), quiet_diffusers():
        model = OmniGenDenoiser(**options).to(dtype)
    positions = OmniGenDenoiser(**{**options, "num_layers": 0}).patch_embedding.pos_embed
    model = model.to_empty(device=device)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(1.0) if "norm" in name and weight.ndim == 1 else weight.normal_(std=0.02)
        model.patch_embedding.pos_embed.copy_(positions)
    frozen: OmniGenDenoiser = model.eval().requires_grad_(requires_grad=False)
    return frozen


def quantised(denoiser: OmniGenDenoiser, preset: str, device: torch.device) -> OmniGenDenoiser:
    """``denoiser`` with the linears of its blocks in the format ``preset``."""
    if preset != "no_change":
        quantise(denoiser, [shape.path for shape in OmniGen().linears(denoiser)], preset, device, "accelerator")
    return denoiser


def a_batch(case: Case) -> Batch:
    """Random latents, noise and prompts of one length."""
    draws, side = torch.Generator().manual_seed(case.edge + case.batch), case.edge // 8
    latents, noise = torch.randn(2, case.batch, 4, side, side, generator=draws)
    return Batch(
        uses=tuple(Use(SampleId("d", str(row)), 0) for row in range(case.batch)),
        latents=latents,
        noise=noise,
        sigma=torch.rand(case.batch, generator=draws),
        prompts=tuple(Prompt(ids) for ids in torch.randint(3, 2000, (case.batch, _TEXT_TOKENS), generator=draws)),
    )


Losses = Callable[[Batch], Tensor]


@dataclass
class Step:
    """A whole training step, repeatable: forward, backward, ``clip``, AdamW. ``losses`` gives one loss a row."""

    losses: Losses
    parameters: list[Parameter]
    optimizer: torch.optim.Optimizer
    clip: Callable[[list[Parameter]], object]

    def run(self, batch: Batch) -> Tensor:
        """The mean loss, after the update."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.losses(batch).mean()
        loss.backward()
        self.clip(self.parameters)
        self.optimizer.step()
        return loss.detach()


def our_model(denoiser: nn.Module, device: torch.device, adapter_dtype: torch.dtype) -> TrainedModel:
    """Our forward pass under our LoKr."""
    adapter = attach_lycoris(denoiser, recipe(), FACTS.class_aliases, seed=0)
    adapter.narrow(adapter_dtype)
    return TrainedModel(OmniGen(), denoiser, adapter).to(device).train()


def our_step(model: TrainedModel, device: torch.device, execution: Execution) -> Step:
    """A step of ``model``."""
    model.family.configure(model.denoiser, execution)
    parameters = list(model.trainable().values())
    optimizer = build_optimizer(OptimizerConfig(optimizer="torch-adamw", learning_rate=_RATE), parameters, seed=0)
    return Step(
        lambda batch: row_losses(model, batch, device),
        parameters,
        optimizer,
        lambda trained: clip(trained, "value", _LIMIT, measure(trained)),
    )


def reference_step(denoiser: nn.Module, device: torch.device, *, recompute: bool) -> Step:
    """Diffusers' own forward pass, fed by its own collator, under LyCORIS's default LoKr with the same values."""
    seeded = _first_values(denoiser)
    config = recipe()
    LycorisNetwork.apply_preset(resolve_preset(config.raw["apply_preset"], FACTS.class_aliases))
    options = {key: value for key, value in config.raw.items() if key != "apply_preset"}
    logging.getLogger("LyCORIS").setLevel(logging.ERROR)
    network = create_lycoris(denoiser, **options)
    network.apply_to()
    network.load_state_dict(seeded)
    network.to(device).requires_grad_(requires_grad=True).train()
    denoiser.to(device).train()
    if recompute:
        denoiser.enable_gradient_checkpointing()
    collated = _Once(lambda batch: _collated(batch, device))

    def losses(batch: Batch) -> Tensor:
        inputs = collated.of(batch)
        latents, noise, sigma = batch.latents.to(device), batch.noise.to(device), batch.sigma.to(device)
        noisy = torch.lerp(latents, noise, sigma[:, None, None, None])
        predicted = denoiser(noisy.to(denoiser.dtype), 1 - sigma, *inputs).sample
        return (predicted.float() - (latents - noise)).square().flatten(1).mean(dim=1)

    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=_RATE)
    return Step(losses, parameters, optimizer, lambda trained: torch.nn.utils.clip_grad_value_(trained, _LIMIT))


class _Once:
    """Makes the reference's inputs before its clock runs: the first step is warm-up."""

    def __init__(self, make: Callable[[Batch], tuple[Any, ...]]) -> None:
        self._make = make
        self._made: tuple[Batch, tuple[Any, ...]] | None = None

    def of(self, batch: Batch) -> tuple[Any, ...]:
        if self._made is None or self._made[0] is not batch:
            self._made = (batch, self._make(batch))
        return self._made[1]


def _first_values(denoiser: nn.Module) -> dict[str, Tensor]:
    """What our adapter starts from, on the same layers."""
    adapter = attach_lycoris(denoiser, recipe(), FACTS.class_aliases, seed=0)
    values = {name: value.clone() for name, value in adapter.tensors().items()}
    adapter.network.restore()
    return values


def _collated(batch: Batch, device: torch.device) -> tuple[Any, ...]:
    height, width = (edge * 8 for edge in batch.latents.shape[-2:])
    rows = [{"input_ids": prompt.ids.tolist(), "pixel_values": None, "image_sizes": None} for prompt in batch.prompts]
    ids, positions, mask, _, _, sizes = OmniGenCollator().process_mllm_input(rows, [[height, width]] * len(rows))
    return ids.to(device), [], sizes, mask.to(device), positions.to(device)
