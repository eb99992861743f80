"""What a machine can run out of, told as errors that a user can act on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError

from simpletuner.assemble.data.scanning import unusable_index
from simpletuner.config.run import RunConfig
from simpletuner.core.disk import disk_error
from simpletuner.core.errors import DataError, OutOfMemory
from simpletuner.core.events import Emit, Notice
from simpletuner.core.memory import first_line, give_back, is_exhausted
from simpletuner.core.progress import Progress
from simpletuner.validation.validator import Validator


def memory_cure(config: RunConfig) -> str:
    """What of a run's options would need less memory, the cheapest first."""
    memory, model = config.memory, config.model
    cures = (
        (not memory.gradient_checkpointing, "gradient_checkpointing=true"),
        (memory.activation_memory_budget is not None, "a smaller activation_memory_budget, or none"),
        (config.length.train_batch_size > 1, "a smaller train_batch_size with more gradient_accumulation_steps"),
        (model.mixed_precision == "no", "mixed_precision=bf16"),
        (config.precision.base_model_precision == "no_change", "base_model_precision=int8-quanto"),
        (memory.musubi_blocks_to_swap == 0, "musubi_blocks_to_swap=8 on a card"),
        (not model.vae_enable_tiling, "vae_enable_tiling=true for the cache"),
        (config.data.read_batch_size > 1, "a smaller read_batch_size while latents are cached"),
        (True, "a smaller resolution"),
    )
    return ", ".join(cure for helps, cure in cures if helps)


@contextmanager
def mishaps_named(config: RunConfig) -> Iterator[None]:
    """Turn exhausted memory into OutOfMemory; a disk, an index or a file that cannot be used into DataError."""
    try:
        yield
    except OutOfMemory as error:
        raise OutOfMemory(error.reason, cure=error.cure or memory_cure(config)) from error
    except (MemoryError, RuntimeError) as error:
        if not is_exhausted(error):
            raise
        raise OutOfMemory(f"out of memory: {first_line(error)}", cure=memory_cure(config)) from error
    except SafetensorError as error:
        cure = "resume from another checkpoint, or fetch the model again"
        raise DataError(f"a file is not the safetensors file that it should be ({error})", cure=cure) from error
    except sqlite3.Error as error:
        raise unusable_index(error) from error
    except OSError as error:
        named = disk_error(error, config.report.output_dir)
        if named is None:
            raise
        raise named from error


class IfRoom:
    """A validator whose pictures are left out, and told of, when there is no memory for them or no room on the disk."""

    def __init__(self, validator: Validator, emit: Emit, *, in_step: bool = False) -> None:
        """``in_step`` says that other processes draw along: they would wait for one that left its pictures out."""
        self._validator = validator
        self._emit = emit
        self._in_step = in_step

    def before_training(self, progress: Progress) -> None:
        """As the validator's."""
        with self._lenient(progress.step):
            self._validator.before_training(progress)

    def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
        """As the validator's."""
        with self._lenient(progress.step):
            self._validator.after_update(progress, epoch_ended=epoch_ended)

    def at_end(self, progress: Progress) -> None:
        """As the validator's."""
        with self._lenient(progress.step):
            self._validator.at_end(progress)

    @contextmanager
    def _lenient(self, step: int) -> Iterator[None]:
        said = ""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if self._in_step or not is_exhausted(error):
                raise
            said = f"no memory for validation pictures ({first_line(error)})"
        except OSError as error:
            named = disk_error(error, "validation_images")
            if named is None:
                raise
            if self._in_step:
                raise named from error
            said = f"validation pictures could not be written ({named.file}: {named.reason})"
        if said:
            give_back()
            self._emit(Notice(f"step {step}: {said}; training goes on without them", level="warning"))
