"""Every LyCORIS method trained for a short while over the tiny model: is it finite, and does it learn?

``python -m benchmarks.algorithms --json FILE --work FOLDER [--methods NAME...]``: the bundled example's pictures and
layers, the same updates for all. A training whose result is in FOLDER is not repeated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from safetensors.torch import load_file

from benchmarks.likeness import Exam, model_over
from benchmarks.report import a_parser, log_to_screen, measure_all
from benchmarks.runs import ADAPTER, EXAMPLE, Run
from benchmarks.timing import Figures
from scripts.tiny.files import read_json
from simpletuner.config.reading.find import example_folder
from simpletuner.core.files import write_json
from simpletuner.models.omnigen.layers import TINY_FOLDER

_RANK = 8
METHODS: dict[str, Mapping[str, object]] = {
    "lokr": {"algo": "lokr", "factor": 8, "linear_dim": 10_000},
    **{algo: {"algo": algo} for algo in ("lora", "locon", "loha", "ia3", "full", "diag-oft", "glora")},
    # Butterflies do not divide the 1408 rows of the feed-forward.
    "boft": {"algo": "boft", "linear_dim": 4, "apply_preset": {"target_module": ["Attention"]}},
    "dylora": {"algo": "dylora", "block_size": 2},
    "tlora": {"algo": "tlora", "tlora_min_rank": 2, "tlora_alpha": 1.5},
    "lokr, factored": {"algo": "lokr", "factor": 8, "decompose_both": True, "use_scalar": True},
    "lokr, DoRA": {"algo": "lokr", "factor": 8, "linear_dim": 10_000, "dora_wd": True},
    "lora, DoRA": {"algo": "lora", "dora_wd": True},
    "lora, dropout": {"algo": "lora", "dropout": 0.1, "rank_dropout": 0.1, "module_dropout": 0.1},
    "diag-oft, rescaled": {"algo": "diag-oft", "constraint": 0.01, "rescaled": True},
}


@dataclass(frozen=True)
class Shorts:
    """Short trainings, each in a folder below ``work``: ``steps`` updates of 8 pictures."""

    work: Path
    steps: int

    def run(self, name: str) -> Run:
        """The training with the method ``name``; it is done when it is asked for."""
        folder = self.work / name.replace(", ", "-")
        options = {
            "max_train_steps": self.steps,
            "checkpoint_step_interval": self.steps,
            "train_batch_size": 8,
            "lycoris_config": self._file(name, folder.with_name(f"{folder.name}.json")),
            "validation_disable": True,
            "report_to": "none",
        }
        return Run(folder, options).finish()

    def _file(self, name: str, file: Path) -> Path:
        layers = read_json(example_folder(EXAMPLE) / "lycoris_config.json")["apply_preset"]
        assert isinstance(layers, dict)
        preset = {"target_module": layers["target_module"]}
        base = {"multiplier": 1.0, "linear_dim": _RANK, "linear_alpha": _RANK}
        write_json(file, {**base, "apply_preset": preset, **METHODS[name]})
        return file

    def figures(self, name: str) -> Figures:
        """Values in the adapter's file, whether all of them and all losses are finite, and what was learnt."""
        run = self.run(name)
        losses = [float(record["train_loss"]) for record in run.records()]
        tensors = load_file(run.folder / ADAPTER).values()
        return {
            "steps": len(losses),
            "values": sum(tensor.numel() for tensor in tensors),
            "finite": all(map(math.isfinite, losses)) and all(bool(tensor.isfinite().all()) for tensor in tensors),
            "highest_train_loss": max(losses),
            "loss_before": self.before,
            "loss_after": self.exam.loss(model_over(TINY_FOLDER, "no_change", run.folder)),
        }

    @cached_property
    def before(self) -> float:
        """The loss of the base model."""
        return self.exam.loss(model_over(TINY_FOLDER, "no_change", None))

    @cached_property
    def exam(self) -> Exam:
        """Made once."""
        return Exam()


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, train what is missing, examine, write."""
    parser = a_parser("algorithms", __doc__)
    parser.add_argument("--work", type=Path, required=True, help="a folder for the trainings")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS), metavar="NAME")
    parser.add_argument("--steps", type=int, default=40, help="updates of each training (40)")
    given = parser.parse_args(words)
    log_to_screen()
    given.work.mkdir(parents=True, exist_ok=True)
    shorts = Shorts(given.work.resolve(), given.steps)
    measure_all({name: partial(shorts.figures, name) for name in given.methods}, given.json)


if __name__ == "__main__":
    main()
