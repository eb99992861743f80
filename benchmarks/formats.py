"""What a base model in fewer bits does to a training: the bundled example once for each format, beside bf16.

``python -m benchmarks.formats --json FILE --work FOLDER [--formats NAME...]``. A training whose result is in FOLDER is
not repeated, and one that was interrupted goes on. On a CPU products are in fp32 whatever the weights are stored as.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from statistics import fmean

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.likeness import Exam, adapter_distance, model_over, picture_figures
from benchmarks.report import a_parser, log_to_screen, measure_all
from benchmarks.runs import ADAPTER, EXAMPLE, Run
from benchmarks.timing import Figures
from scripts.tiny.clip_scores import Clip, load_clip
from scripts.tiny.files import STYLE_PROMPTS, read_json, read_names
from scripts.tiny.vae_data import load_pictures
from simpletuner.config.reading.find import example_folder
from simpletuner.core.files import write_json
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.precision.presets import PRESETS
from simpletuner.validation.stitch import contact_sheet

_WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
_STRANGERS = 16
_LAST = 50
_NOTHING_LEARNT = {"max_train_steps": 1, "checkpoint_step_interval": 1, "validation_step_interval": 1}
YARDSTICKS: dict[str, Mapping[str, object]] = {
    "untrained": {**_NOTHING_LEARNT, "validation_lycoris_strength": 0.0},
    "fp32": {},
    "bf16": {},
    "bf16, LoKr too": {"mixed_precision": "bf16", "base_model_default_dtype": "bf16"},
    "bf16, seed 43": {"seed": 43},
}
"""What the formats are held against: ``bf16`` is the one that all others are compared with."""
FORMATS = {**YARDSTICKS, **{name: {"base_model_precision": name} for name in PRESETS}}


def _prompts() -> tuple[str, ...]:
    """The example's own, and 16 subjects that it is not shown."""
    own = tuple(read_json(example_folder(EXAMPLE) / "prompts.json"))
    return own + tuple(name for name in read_names(STYLE_PROMPTS) if name not in own)[:_STRANGERS]


@dataclass(frozen=True)
class Trainings:
    """Trainings of the example for ``steps`` updates, each in a folder below ``work``, and what compares them."""

    work: Path
    steps: int
    prompts: tuple[str, ...] = field(default_factory=_prompts)

    def run(self, name: str) -> Run:
        """The training over the format ``name``; it is done when it is asked for."""
        same = {
            "max_train_steps": self.steps,
            "checkpoint_step_interval": self.steps,
            "validation_step_interval": self.steps,
            "user_prompt_library": self._library(),
            "disable_benchmark": True,
            "report_to": "none",
        }
        source = {} if name == "fp32" else {"pretrained_model_name_or_path": self.base(name)}
        return Run(self.work / name.replace(", ", "-").replace(" ", "-"), {**same, **source, **FORMATS[name]}).finish()

    def base(self, name: str) -> Path:
        """The model folder: the bundled one, or for all but ``fp32`` a copy whose transformer has values of bf16."""
        folder = self.work / "base-bf16"
        if name == "fp32" or folder.exists():
            return TINY_FOLDER if name == "fp32" else folder
        unfinished = self.work / "base-bf16.part"
        shutil.copytree(TINY_FOLDER, unfinished, dirs_exist_ok=True)
        rounded = {key: tensor.to(torch.bfloat16).float() for key, tensor in load_file(unfinished / _WEIGHTS).items()}
        save_file(rounded, unfinished / _WEIGHTS, metadata={"format": "pt"})
        return unfinished.rename(folder)

    def figures(self, name: str) -> Figures:
        """What the training over ``name`` came to, and how far it is from those over bf16 and fp32."""
        run = self.run(name)
        preset = str(run.options.get("base_model_precision", "no_change"))
        losses = [float(record["train_loss"]) for record in run.records()]
        return {
            "steps": len(losses),
            "train_loss": fmean(losses[-_LAST:]),
            "loss_before": self.exam.loss(model_over(self.base(name), preset, None)),
            "loss_after": self.exam.loss(model_over(self.base(name), preset, run.folder)),
            **{f"to_{other}": self._distance(name, other) for other in ("bf16", "fp32") if other != name},
        }

    def _distance(self, name: str, other: str) -> Figures:
        one, two = self.run(name), self.run(other)
        means = [fmean(float(record["train_loss"]) for record in run.records()[-_LAST:]) for run in (one, two)]
        return {
            "train_loss": means[0] / means[1] - 1,
            "adapter": adapter_distance(*(load_file(run.folder / ADAPTER) for run in (one, two))),
            **picture_figures(self.pictures(name), self.pictures(other), self.clip),
        }

    def pictures(self, name: str) -> Tensor:
        """The final pictures of validation, uint8 (N, 3, 64, 64)."""
        return load_pictures(self._files(name, self.prompts))

    def sheet(self, names: Sequence[str]) -> Image.Image:
        """A row for each format, a column for each of the example's own prompts."""
        shown = tuple(read_json(example_folder(EXAMPLE) / "prompts.json"))
        rows = [(name, [Image.open(file) for file in self._files(name, shown)]) for name in names]
        titles = [title.replace("_", " ") for title in shown]
        return contact_sheet(rows, titles, cell=64, label_width=150)

    def _files(self, name: str, prompts: Sequence[str]) -> list[Path]:
        folder = self.run(name).folder / "validation_images"
        return [next(folder.glob(f"step_*_{prompt}_0_64x64.png")) for prompt in prompts]

    def _library(self) -> Path:
        file = self.work / "prompts.json"
        write_json(file, {name: name.replace("_", " ") for name in self.prompts})
        return file

    @cached_property
    def exam(self) -> Exam:
        """Made once."""
        return Exam()

    @cached_property
    def clip(self) -> Clip:
        """The tiny model's judge of pictures."""
        return load_clip(TINY_FOLDER / "clip")


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, train what is missing, compare, write."""
    parser = a_parser("formats", __doc__)
    parser.add_argument("--work", type=Path, required=True, help="a folder for the trainings, 20 MB each")
    parser.add_argument("--formats", nargs="+", choices=list(FORMATS), default=list(FORMATS), metavar="NAME")
    parser.add_argument("--steps", type=int, default=60, help="updates of each training (60)")
    parser.add_argument("--picture", type=Path, help="where to write the final pictures side by side")
    given = parser.parse_args(words)
    log_to_screen()
    given.work.mkdir(parents=True, exist_ok=True)
    trainings = Trainings(given.work.resolve(), given.steps)
    measure_all({name: partial(trainings.figures, name) for name in given.formats}, given.json)
    if given.picture:
        trainings.sheet(given.formats).quantize(128).save(given.picture, optimize=True)


if __name__ == "__main__":
    main()
