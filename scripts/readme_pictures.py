"""All pictures of the README, from finished runs of the two examples.

``python -m scripts.readme_pictures [STYLE_RUN SUBJECT_RUN]``; without folders, those that ``scripts.tiny.report`` left
in ``build/tiny/report``. Needs ``pip install '.[docs]'`` for the chart.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from scripts.tiny.clip_scores import load_clip
from scripts.tiny.files import BUILD, ROOT, STYLE_PROMPTS, TINY_MODEL, read_names
from scripts.tiny.measure_examples import retrieved, style_strength
from scripts.tiny.measure_pictures import SAMPLING, drawn, words
from scripts.tiny.style_model import is_flat, load_judge
from simpletuner.core.checkpoints import saved_step
from simpletuner.diffusion.sampler import euler, guide
from simpletuner.validation.render import Studio, starting_noise, to_picture
from simpletuner.validation.stitch import contact_sheet

from .drawing import draw, open_studio

IMAGES = ROOT / "docs" / "images"
EDGE, CELL = 64, 128
STYLE_SHOWN = ("cat face", "rocket", "pizza", "bear", "owl", "crown", "rabbit", "snail")
SUBJECT_SHOWN = ("blip", "blip flat drawing", "alien", "frog", "octopus", "rocket", "pizza", "cat face")
PREVIEW_SHOWN = ("blip", "rocket", "pizza")
PREVIEW_STEPS = (2, 5, 10, 15, 20)
_INK, _FAINT = "#22262b", "#d8d8d4"
_log = logging.getLogger("readme")


def base_and_after(studio: Studio, prompts: Sequence[str], target: Path) -> None:
    """The same prompts and noise: the base model above, ``studio`` with an adapter below."""
    base, after = (draw(eyes, prompts, EDGE, SAMPLING) for eyes in (open_studio(TINY_MODEL), studio))
    sheet = contact_sheet([("base", base), ("+ LoKr", after)], prompts, cell=CELL, label_width=80)
    sheet.save(target, optimize=True)
    _log.info("wrote %s", target)


def previews(run: Path, target: Path) -> None:
    """What the preview decoder shows while pictures are drawn, beside the VAE's final picture."""
    studio = open_studio(TINY_MODEL, run)
    tae = AutoencoderTiny.from_pretrained(TINY_MODEL / "tae", torch_dtype=torch.float32).eval()
    columns = [*(f"step {step}" for step in PREVIEW_STEPS), "VAE"]
    rows = [(prompt, preview_row(studio, tae, prompt)) for prompt in PREVIEW_SHOWN]
    contact_sheet(rows, columns, cell=CELL, label_width=80).save(target, optimize=True)
    _log.info("wrote %s", target)


@torch.no_grad()
def preview_row(studio: Studio, tae: AutoencoderTiny, prompt: str) -> list[Image.Image]:
    """Previews of ``prompt`` after each of the steps, then the finished picture."""
    asked, negative = studio.text.tokenize(prompt), studio.text.negative(None)[1]
    guesses: list[Tensor] = []

    def velocity(noisy: Tensor, sigma: Tensor) -> Tensor:
        both = studio.predict(torch.cat((noisy, noisy)), torch.cat((sigma, sigma)), (asked, negative))
        towards_noise = guide(*both.chunk(2), SAMPLING.guidance)
        guesses.append(noisy - sigma[:, None, None, None] * towards_noise)
        return towards_noise

    latents = euler(starting_noise(studio.family, EDGE, EDGE, SAMPLING.seed), velocity, SAMPLING.steps)
    shown = [to_picture(tae.decode(guesses[step - 1]).sample[0]) for step in PREVIEW_STEPS]
    return [*shown, to_picture(studio.codec.decode(latents)[0])]


def learning_curve(run: Path, target: Path) -> None:
    """Measure every checkpoint of the style run: share that is flat, share whose subject CLIP still finds."""
    names, clip, judge = read_names(STYLE_PROMPTS), load_clip(TINY_MODEL / "clip"), load_judge()
    stages = {0: None} | {saved_step(folder): folder for folder in run.glob("checkpoint-*")}
    steps = sorted(stages)
    studios = [open_studio(TINY_MODEL, stages[step], style_strength()) for step in steps]
    pictures = [drawn(studio, words(names)) for studio in studios]
    flat = [100 * float(is_flat(judge, batch).float().mean()) for batch in pictures]
    found = [100 * retrieved(clip, batch, names) for batch in pictures]
    chart(steps, {"drawn flat": flat, "subject found by CLIP": found}, target)
    _log.info("wrote %s: flat %s, found %s", target, flat, found)


def chart(steps: Sequence[int], lines: dict[str, Sequence[float]], target: Path) -> None:
    """Shares (percent) over training steps, each line named at its end."""
    figure = Figure(figsize=(7.2, 3.2), dpi=140, layout="constrained")
    axes = figure.add_subplot()
    for (name, shares), colour in zip(lines.items(), ("#c2410c", "#0f766e"), strict=True):
        axes.plot(steps, shares, marker="o", color=colour, linewidth=2)
        axes.annotate(
            name, (steps[-1], shares[-1]), xytext=(8, 0), textcoords="offset points", va="center", color=colour
        )
    axes.set(ylim=(0, 103), xlabel="training step", ylabel="% of 50 prompts", xticks=list(steps))
    axes.set_xlim(0, steps[-1] * 1.38)
    axes.grid(axis="y", color=_FAINT, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK)
    figure.savefig(target)


def main() -> None:
    """Draw everything anew."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("style_run", type=Path, nargs="?", default=BUILD / "report" / "emoji-style")
    parser.add_argument("subject_run", type=Path, nargs="?", default=BUILD / "report" / "emoji-subject")
    runs = parser.parse_args()
    IMAGES.mkdir(parents=True, exist_ok=True)
    base_and_after(open_studio(TINY_MODEL, runs.style_run, style_strength()), STYLE_SHOWN, IMAGES / "emoji-style.png")
    base_and_after(open_studio(TINY_MODEL, runs.subject_run), SUBJECT_SHOWN, IMAGES / "emoji-subject.png")
    previews(runs.subject_run, IMAGES / "previews.png")
    learning_curve(runs.style_run, IMAGES / "learning.png")


if __name__ == "__main__":
    main()
