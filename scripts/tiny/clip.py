"""Train and save the tiny CLIP: `python -m scripts.tiny.clip --minutes 25 --bf16`."""

from __future__ import annotations

import logging

import torch
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from .clip_card import Run
from .clip_data import Material, draw_batch, load_material
from .clip_measure import by_name, load_exam
from .clip_model import loss_of_batch, new_clip
from .clip_save import finish
from .clip_scores import Clip
from .clip_text import new_tokenizer
from .files import BUILD, start_logging
from .fit import Command, Loss, Report, Schedule, fit, new_trainee, read_command
from .fit_state import Progress, Trainee

STATE = BUILD / "clip-state" / "state.safetensors"
BATCH = 128
SEED = 21


def make_loss(settings: Command, trainee: Trainee[CLIPModel], material: Material) -> Loss:
    """Bind the loss to the network, at the precision asked for."""

    def loss_of(progress: Progress) -> Tensor:
        del progress
        batch = draw_batch(material, BATCH, trainee.generator).to(settings.device)
        with torch.autocast(settings.device.type, torch.bfloat16, enabled=settings.bf16):
            return loss_of_batch(trainee.network, batch)

    return loss_of


def make_report(average: CLIPModel, tokenizer: CLIPTokenizer) -> Report:
    """Say how many pictures find their own name among 100."""
    exam = load_exam()

    def report(progress: Progress) -> str:
        del progress
        clip = Clip(average, tokenizer)
        solid, flat = by_name(clip, exam.solid, exam.names), by_name(clip, exam.flat, exam.flat_names)
        held_out = by_name(clip, exam.held_out, exam.held_out_names)
        return f"found 3D {solid:.2f}, flat {flat:.2f}, held-out {held_out:.3f}"

    return report


def train(settings: Command, trainee: Trainee[CLIPModel], tokenizer: CLIPTokenizer) -> Progress:
    """Train until the minutes are over."""
    loss_of = make_loss(settings, trainee, load_material(tokenizer))
    schedule = Schedule(settings.minutes, learning_rate=1e-3, average_decay=0.99)
    return fit(schedule, trainee, STATE, loss_of, make_report(trainee.average, tokenizer))


def main() -> None:
    """Train, or go on with an interrupted training, then write the model folder."""
    start_logging()
    settings = read_command("Train the tiny CLIP on the Fluent emoji at 64 px and their names.", minutes=25.0)
    torch.manual_seed(SEED)
    tokenizer = new_tokenizer()
    trainee = new_trainee(new_clip(tokenizer).to(settings.device), SEED, weight_decay=0.1)
    progress = train(settings, trainee, tokenizer)
    finish(Clip(trainee.average.cpu(), tokenizer), Run(progress, BATCH, settings.device, settings.bf16))
    logging.info("%d steps", progress.steps)


if __name__ == "__main__":
    main()
