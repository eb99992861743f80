"""Our OmniGen against diffusers' model and pipeline, with input pictures, where diffusers is right.

diffusers turns every row by the positions of row 0: right when all rows have one length, and for rows shorter than
row 0, because padding on the left moves all of a row's positions alike. The official package is the judge of the rest
(``test_official_parity.py``).
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, OmniGenPipeline, OmniGenTransformer2DModel
from diffusers.pipelines.omnigen.processor_omnigen import OmniGenCollator, OmniGenMultiModalProcessor, crop_image
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from simpletuner.core.batch import Prompt
from simpletuner.diffusion.sampler import euler, guide, guide_by_pictures
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.models.omnigen.text import load_text
from tests.models.omnigen.official import official_model

TEXT = load_text(TINY_FOLDER, builtin_negative=True)
SHORT = "make <img><|image_1|></img> blue"
TWO = "<img><|image_2|></img> beside <img><|image_1|></img>, twice: <img><|image_1|></img>"
CLOSE = 1e-4


def error(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())


def sensitive_model() -> OmniGenTransformer2DModel:
    """The model of the official fixtures, whose every block matters, with the real model's border of 4096 positions."""
    return official_model(original_max_position_embeddings=4096, max_position_embeddings=131072)


def picture(width: int, height: int) -> Image.Image:
    pixels = torch.randint(256, (height, width, 3), generator=torch.Generator().manual_seed(width), dtype=torch.uint8)
    return Image.fromarray(pixels.numpy())


def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(TINY_FOLDER / "tokenizer")


def processor() -> OmniGenMultiModalProcessor:
    """diffusers' own, whose constructor alone needs torchvision: for the three transforms that stand here instead."""
    made = OmniGenMultiModalProcessor.__new__(OmniGenMultiModalProcessor)
    made.text_tokenizer, made.max_image_size, made.collator = tokenizer(), 1024, OmniGenCollator()

    def transform(image: Image.Image) -> Tensor:
        pixels = torch.from_numpy(np.array(crop_image(image, 1024)))
        return pixels.permute(2, 0, 1) / 127.5 - 1

    made.image_transform = transform
    return made


BATCHES = {
    "one length": [(SHORT, [(4, 6)]), (SHORT, [(6, 4)])],
    "row 0 the longest": [(TWO, [(4, 4), (2, 8)]), ("a red apple", []), (SHORT, [(6, 4)])],
    "pictures longer than the words": [(SHORT, [(12, 12)]), ("a red apple, a green pear and a blue plum", [])],
}


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES.keys())
def test_input_pictures_equal_diffusers(batch: list[tuple[str, list[tuple[int, int]]]]) -> None:
    model, reader = sensitive_model(), processor()
    inputs, ours, theirs = [], [], []
    for prompt, sizes in batch:
        latents = [torch.randn(4, *size) for size in sizes]
        pixels = [torch.zeros(3, 8 * height, 8 * width) for height, width in sizes]
        inputs.append(reader.process_multi_modal_prompt(prompt, pixels))
        ids = TEXT.tokenize(prompt, len(sizes))
        ours.append(Prompt(ids, tuple(latents)))
        theirs += [latents[-number - 1][None] for number in ids.tolist() if number < 0]
    noisy, sigma = torch.randn(len(batch), 4, 8, 8), torch.linspace(0.2, 0.9, len(batch))
    ids, positions, mask, _, _, places = reader.collator.process_mllm_input(inputs, [[64, 64]] * len(batch))
    with torch.no_grad():
        expected = model(noisy, 1 - sigma, ids, theirs, places, mask, positions).sample
        velocity = OmniGen().predict_velocity(model, noisy, sigma, ours)
    assert error(velocity, -expected) < CLOSE


class Pipeline(OmniGenPipeline):
    """diffusers' pipeline with the processor above."""

    def __init__(
        self,
        transformer: OmniGenTransformer2DModel,
        scheduler: FlowMatchEulerDiscreteScheduler,
        vae: AutoencoderKL,
        tokenizer: PreTrainedTokenizerBase,
    ) -> None:
        DiffusionPipeline.__init__(self)
        self.register_modules(transformer=transformer, scheduler=scheduler, vae=vae, tokenizer=tokenizer)
        self.vae_scale_factor, self.default_sample_size = 8, 128
        self.multimodal_processor = processor()
        self.set_progress_bar_config(disable=True)


def pipeline_of(model: OmniGenTransformer2DModel) -> Pipeline:
    scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(TINY_FOLDER, subfolder="scheduler")
    vae = AutoencoderKL.from_pretrained(TINY_FOLDER, subfolder="vae")
    return Pipeline(model, scheduler, vae, tokenizer())


# Longer than the negative text, so that row 0 is the longest, which diffusers needs.
LONG = " and ".join(["a red apple on a table, photo-realistic, a fox behind it"] * 12)


@pytest.mark.parametrize("pictures", [[], [(32, 48), (32, 32)]], ids=["text", "pictures"])
def test_a_guided_sample_of_20_steps_equals_diffusers_pipeline(pictures: list[tuple[int, int]]) -> None:
    model, family = sensitive_model(), OmniGen()
    pipeline, noise = pipeline_of(model), torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(1))
    prompt = f"{LONG}, {TWO}" if pictures else LONG
    seen = [picture(*size) for size in pictures]
    given = {"input_images": [seen]} if seen else {}
    # The pipeline draws the latents of each picture anew for each place, from torch's own generator.
    pixels = processor()([prompt], [seen], 64, 96)["input_pixel_values"] if seen else []
    torch.manual_seed(3)
    latents = [row[0] for row in pipeline.encode_input_images(pixels)]
    torch.manual_seed(3)
    theirs = pipeline(
        prompt=[prompt],
        height=64,
        width=96,
        num_inference_steps=20,
        guidance_scale=2.5,
        img_guidance_scale=1.6,
        latents=noise,
        output_type="latent",
        return_dict=False,
        **given,
    )[0]
    compared = compared_prompts(prompt, latents)

    def predict(noisy: Tensor, sigma: Tensor) -> Tensor:
        count = len(compared)
        rows = family.predict_velocity(model, noisy.repeat(count, 1, 1, 1), sigma.repeat(count), compared)
        whole, away, *alone = rows.chunk(count)
        return guide_by_pictures(whole, alone[0], away, 2.5, 1.6) if alone else guide(whole, away, 2.5)

    assert error(euler(noise, predict, 20), theirs) < CLOSE


def compared_prompts(prompt: str, latents: list[Tensor]) -> list[Prompt]:
    """The prompt, the negative text and the pictures alone; ``latents`` are those of each tag in turn."""
    away = Prompt(TEXT.negative(None)[1])
    if not latents:
        return [Prompt(TEXT.tokenize(prompt)), away]
    # A Prompt has one set of latents a picture, the pipeline one a tag: here each tag is a picture of its own.
    ids, alone = TEXT.tokenize(prompt, 2), TEXT.pictures_alone(2)
    tags = int((ids < 0).sum())
    ids[ids < 0] = -torch.arange(1, tags + 1)
    return [Prompt(ids, tuple(latents[:tags])), away, Prompt(alone, tuple(latents[tags:]))]
