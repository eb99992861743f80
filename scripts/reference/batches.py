"""One batch through the official model: what it is fed, what it answers, loss and gradient of a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from OmniGen import OmniGen, OmniGenProcessor
from OmniGen.train_helper import TrainDataCollator, training_losses
from OmniGen.train_helper.loss import sample_timestep, sample_x0
from torch import Tensor

from .cases import Case, Row
from .official import hidden_size
from .pictures import latents, picture

Tensors = dict[str, Tensor]
PAD_TOKEN_ID = 2


@dataclass(frozen=True)
class Answer:
    """What a case gives: ``tensors`` to store, ``gradient`` by official name (empty when the case asks for none)."""

    tensors: Tensors
    gradient: Tensors


class Official:
    """The official model and processor, asked one batch at a time."""

    def __init__(self, model: OmniGen, processor: OmniGenProcessor) -> None:
        self._model = model
        self._processor = processor
        self._collate = TrainDataCollator(PAD_TOKEN_ID, hidden_size(model), keep_raw_resolution=True)

    def answer(self, case: Case, seed: int) -> Answer:
        """Run ``case``, whole and then each row alone; all draws come from ``seed``."""
        draws = torch.Generator().manual_seed(seed)
        images = [torch.randn(1, 4, *row.size, generator=draws) for row in case.rows]
        noise, clock = _drawn(images, seed)
        mixed = [t * image + (1 - t) * start for t, image, start in zip(clock, images, noise, strict=True)]
        told = self._told(list(enumerate(case.rows)), mixes=case.mixes)
        stored = {
            "ids": told["input_ids"],
            "mask": told["attention_mask"].to(torch.uint8),
            "positions": told["position_ids"],
            "clock": clock,
            **_rows("image", images),
            **_rows("noise", noise),
            **_rows("pictures", told["input_img_latents"]),
            **_rows("together", self._predicted(mixed if case.mixes else torch.cat(mixed), clock, told)),
        }
        for index, row in enumerate(case.rows):
            own = self._told([(index, row)], mixes=False)
            stored |= {f"alone/{index}": self._predicted(mixed[index], clock[index : index + 1], own)[0]}
        if not case.trains:
            return Answer(stored, {})
        losses, gradient = self._step(images if case.mixes else torch.cat(images), told, seed)
        return Answer(stored | {"losses": losses}, gradient)

    def _told(self, rows: list[tuple[int, Row]], *, mixes: bool) -> dict[str, Any]:
        """What the official trainer hands to the model beside latents and time. Targets are black here."""
        features = []
        for index, row in rows:
            seen = [picture(size, 100 * index + number) for number, size in enumerate(row.pictures)]
            inputs = [self._processor.image_transform(pixels) for pixels in seen]
            target = torch.zeros(3, 8 * row.size[0], 8 * row.size[1])
            features.append((self._processor.process_multi_modal_prompt(row.prompt, inputs or None), target))
        data = self._collate(features)
        return {
            "input_ids": data["input_ids"],
            "input_img_latents": [latents(pixels) for pixels in data["input_pixel_values"]],
            "input_image_sizes": data["input_image_sizes"],
            "attention_mask": data["attention_mask"],
            "position_ids": data["position_ids"],
            "padding_latent": data["padding_images"] if mixes else None,
            "past_key_values": None,
            "return_past_key_values": False,
        }

    @torch.no_grad()
    def _predicted(self, mixed: list[Tensor] | Tensor, clock: Tensor, told: dict[str, Any]) -> list[Tensor] | Tensor:
        return self._model(mixed, clock, **told)

    def _step(self, images: list[Tensor] | Tensor, told: dict[str, Any], seed: int) -> tuple[Tensor, Tensors]:
        """Losses of the rows and the gradient of their mean, as the official trainer takes it."""
        self._model.zero_grad()
        torch.manual_seed(seed)
        losses = training_losses(self._model, images, told)["loss"]
        losses.mean().backward()
        named = self._model.named_parameters()
        return losses.detach(), {name: weight.grad.clone() for name, weight in named if weight.grad is not None}


def _drawn(images: list[Tensor], seed: int) -> tuple[list[Tensor], Tensor]:
    """The noise and the times that ``training_losses`` draws under the same seed, by the functions it calls."""
    torch.manual_seed(seed)
    one_size = len({image.shape for image in images}) == 1
    noise = list(sample_x0(torch.cat(images)).split(1)) if one_size else sample_x0(images)
    return noise, sample_timestep(images)


def _rows(name: str, rows: list[Tensor] | Tensor) -> Tensors:
    """Each row (4, h, w) under its own name, because rows may differ in size."""
    return {f"{name}/{index}": row.reshape(row.shape[-3:]).clone() for index, row in enumerate(rows)}
