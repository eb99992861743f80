"""A guided sample by the official pipeline."""

from __future__ import annotations

from pathlib import Path

import torch
from OmniGen import OmniGen, OmniGenPipeline, OmniGenProcessor
from torch import Tensor

from .cases import Guided
from .pictures import StandInVae, picture


def _pipeline(model: OmniGen, processor: OmniGenProcessor) -> tuple[OmniGenPipeline, StandInVae]:
    vae = StandInVae()
    # Not through its constructor, which has a name too few without a GPU (1.0.3) and rounds the model to bf16.
    pipeline = OmniGenPipeline.__new__(OmniGenPipeline)
    pipeline.vae, pipeline.model, pipeline.processor = vae, model, processor
    pipeline.device, pipeline.model_cpu_offload = torch.device("cpu"), False
    return pipeline, vae


def sample(model: OmniGen, processor: OmniGenProcessor, guided: Guided, folder: Path) -> dict[str, Tensor]:
    """Noise and sample (1, 4, h, w), ids of the guided prompts and latents of the pictures; PNGs go to ``folder``.

    Each of the two or three prompts is computed alone, which is the pipeline's default.
    """
    files = []
    for index, size in enumerate(guided.pictures):
        files.append(str(folder / f"{index}.png"))
        picture(size, index).save(files[-1])
    height, width = (8 * cells for cells in guided.size)
    pipeline, vae = _pipeline(model, processor)
    pipeline(
        guided.prompt,
        [*files] or None,
        height=height,
        width=width,
        num_inference_steps=guided.steps,
        guidance_scale=guided.guidance,
        img_guidance_scale=guided.picture_guidance,
        use_kv_cache=False,
        separate_cfg_infer=True,
        dtype=torch.float32,
        seed=guided.seed,
    )
    seen = processor([guided.prompt], [files] if files else None, height=height, width=width, separate_cfg_input=True)
    noise = torch.randn(1, 4, *guided.size, generator=torch.Generator().manual_seed(guided.seed))
    pictures = [vae.encode(processor.process_image(file)[None]).latent_dist.sample()[0] for file in files]
    return {
        "noise": noise,
        "sample": vae.decoded[-1],
        **{f"ids/{index}": ids[0] for index, ids in enumerate(seen["input_ids"])},
        **{f"pictures/{index}": latents for index, latents in enumerate(pictures)},
    }
