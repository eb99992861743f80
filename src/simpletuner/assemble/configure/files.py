"""From answers to the three files. Pure: the same answers give the same files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from simpletuner.assemble.configure.answers import Answers
from simpletuner.assemble.configure.cards import CARDS

CONFIG = "config.json"
DATALOADER = "multidatabackend.json"
LYCORIS = "lycoris_config.json"
_UNSUITED = re.compile(r"[^A-Za-z0-9]+")
_CACHE = "cache/vae/omnigen"
_LONGEST_NAME = 60
# Below it, buckets in steps of 64 px (the default) are too coarse to keep a shape: at 64 px each would be a square.
_FINE_BELOW = 512


def files_of(answers: Answers) -> dict[str, Any]:
    """The content of each file by its name, all of them beside ``config.json``."""
    files: dict[str, Any] = {CONFIG: options_of(answers), DATALOADER: list(entries_of(answers).values())}
    if answers.adapter == "lokr":
        files[LYCORIS] = lycoris_of(answers)
    return files


def name_of(pictures: str) -> str:
    """A name for the data set, from its folder."""
    return _UNSUITED.sub("-", Path(pictures).name).strip("-").lower()[:_LONGEST_NAME].strip("-") or "pictures"


def options_of(answers: Answers) -> dict[str, Any]:
    """``config.json``."""
    options: dict[str, Any] = {"model_family": "omnigen", **_adapter(answers), "output_dir": answers.output}
    options |= {"data_backend_config": DATALOADER, "resume_from_checkpoint": "latest", "seed": 42}
    options |= CARDS[answers.card].recipe
    if answers.devices > 1:
        options["num_processes"] = answers.devices
    options |= _length(answers) | _pictures(answers)
    options["report_to"] = answers.reports
    options["tracker_run_name"] = name_of(answers.output)
    if answers.held_out:
        options["eval_steps_interval"] = answers.previews or 100
    if answers.hub:
        options |= {"push_to_hub": True, "hub_model_id": answers.hub}
    return options | dict(answers.more)


def _adapter(answers: Answers) -> dict[str, Any]:
    if answers.adapter == "lokr":
        return {"model_type": "lora", "lora_type": "lycoris", "lycoris_config": LYCORIS}
    if answers.adapter == "lora":
        return {"model_type": "lora", "lora_type": "standard", "lora_rank": answers.rank}
    return {}


def _length(answers: Answers) -> dict[str, Any]:
    """How long, at what rate, saved how often; the clipping is the document's."""
    options: dict[str, Any] = {"train_batch_size": answers.batch}
    warm_up = min(100, answers.steps // 10)
    if answers.steps:
        save = max(1, min(500, answers.steps // 4))
        options |= {"max_train_steps": answers.steps, "num_train_epochs": 0}
        options |= {"lr_warmup_steps": warm_up, "checkpoint_step_interval": save}
    return options | {
        "learning_rate": answers.learning_rate,
        "lr_scheduler": "constant_with_warmup" if warm_up else "constant",
        "grad_clip_method": "value",
        "max_grad_norm": 0.01,
        "checkpoints_total_limit": 5,
    }


def _pictures(answers: Answers) -> dict[str, Any]:
    """What is drawn on the way."""
    if not (answers.prompt and answers.previews):
        return {"validation_disable": True}
    return {
        "validation_prompt": answers.prompt,
        "validation_step_interval": answers.previews,
        "validation_resolution": answers.draw,
        "validation_guidance": 2.5,
        "validation_num_inference_steps": 30,
        "validation_seed": 42,
    }


def entries_of(answers: Answers) -> dict[str, dict[str, Any]]:
    """The entries of the dataloader file by what they are for: ``main``, ``second``, ``held_out``, ``text``."""
    name, edges = name_of(answers.pictures), answers.edges
    entries = {"main": _entry(answers, name, edges[0])}
    if len(edges) > 1:
        entries["second"] = _entry(answers, f"{name}-{edges[1]}", edges[1])
    if answers.held_out:
        # The same crop at every evaluation.
        crop = {"crop": True, "crop_aspect": "square", "crop_style": "center"}
        held_out = _entry(answers, f"{name}-held-out", edges[0]) | crop
        held_out = {key: value for key, value in held_out.items() if key != "repeats"}
        entries["held_out"] = held_out | {"dataset_type": "eval", "instance_data_dir": answers.held_out}
    entries["text"] = {
        "id": "text-embeds",
        "type": "local",
        "dataset_type": "text_embeds",
        "default": True,
        "cache_dir": "cache/text/omnigen",
    }
    return entries


def _entry(answers: Answers, name: str, edge: int) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": name,
        "type": "local",
        "instance_data_dir": answers.pictures,
        "cache_dir_vae": f"{_CACHE}/{name}",
        "resolution": edge,
        "resolution_type": "pixel_area",
        "crop": answers.crop == "square",
    }
    if answers.crop == "square":
        entry |= {"crop_aspect": "square", "crop_style": "center"}
    elif edge < _FINE_BELOW:
        entry["aspect_bucket_alignment"] = 16
    entry["caption_strategy"] = answers.captions
    if answers.words:
        entry["instance_prompt"] = answers.words
        if answers.captions != "instanceprompt":
            entry["prepend_instance_prompt"] = True
    return entry | {"repeats": answers.repeats}


def lycoris_of(answers: Answers) -> dict[str, Any]:
    """The document's LoKr with these factors: both factors of every layer whole, so that alpha has no effect."""
    attention, feed_forward = answers.factors
    return {
        "algo": "lokr",
        "multiplier": 1.0,
        "linear_dim": 10000,
        "linear_alpha": 1,
        "factor": attention,
        "apply_preset": {
            "target_module": ["Attention", "FeedForward"],
            "module_algo_map": {"Attention": {"factor": attention}, "FeedForward": {"factor": feed_forward}},
        },
    }
