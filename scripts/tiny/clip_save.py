"""Writing the trained CLIP: in half precision, examined, with tokenizer, image processor and model card."""

from __future__ import annotations

import logging
from pathlib import Path

from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from .clip_card import Measured, Run, card
from .clip_measure import load_exam, marks
from .clip_scores import Clip, load_clip
from .files import TINY_MODEL, read_json, write_json, write_text
from .vae_data import SIZE, training_paths
from .vae_save import replace_folder

FOLDER = TINY_MODEL / "clip"
LEAST_FOUND = 0.8

_LANCZOS = 1


def finish(clip: Clip, run: Run) -> None:
    """Save in fp16, examine what was saved, write its card and put the folder in place.

    Raises:
        ValueError: too few training pictures find their own name; the former folder stays.
    """
    unfinished = FOLDER.with_name(f".{FOLDER.name}.part")
    save(clip, unfinished)
    stored = load_clip(unfinished)
    found = marks(stored, load_exam())
    logging.info("%s", found)
    if min(found.solid, found.flat) < LEAST_FOUND:
        raise ValueError(f"{unfinished}: found 3D {found.solid:.2f}, flat {found.flat:.2f}; train for longer")
    measured = Measured(
        found=found,
        parameters=sum(parameter.numel() for parameter in stored.model.parameters()),
        tokens=len(stored.tokenizer),
        pictures=len(training_paths()),
        run=run,
    )
    write_text(unfinished / "README.md", card(measured))
    replace_folder(FOLDER, unfinished)
    logging.info("%s", FOLDER)


def save(clip: Clip, folder: Path) -> None:
    """Write weights in fp16, tokenizer and image processor as transformers reads them."""
    clip.model.half().save_pretrained(folder)
    # What transformers computes in unless told otherwise; a CPU is slow in the precision of the file.
    write_json(folder / "config.json", read_json(folder / "config.json") | {"dtype": "float32"})
    clip.tokenizer.save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", image_processor())


def image_processor() -> dict[str, object]:
    """Describe the preparation: all of the picture to 64 px as in training, then CLIP's normalisation."""
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": SIZE, "width": SIZE},
        "resample": _LANCZOS,
        "do_center_crop": False,
        "crop_size": {"height": SIZE, "width": SIZE},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": OPENAI_CLIP_MEAN,
        "image_std": OPENAI_CLIP_STD,
    }
