"""`deepspeed_config`: which of DeepSpeed's ZeRO stages shares out the training, and how large its exchanges are.

All else that such a file may say (batches, clipping, number formats, optimizer, schedule) has an option of its own
here. It may be "auto" or say the same; another value is refused, for it would not be in force.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simpletuner.config.lenient import as_boolean, as_integer, as_number, is_given, shown
from simpletuner.config.problems import near, raise_all
from simpletuner.config.reading.fill import Source
from simpletuner.config.reading.find import Found
from simpletuner.config.reading.json_options import json_of
from simpletuner.config.reading.names import is_comment
from simpletuner.config.run import RunConfig
from simpletuner.config.sections.optimizer import clipping_threshold
from simpletuner.core.errors import ConfigError

KEY = "deepspeed_config"
_ZERO = "zero_optimization"
_EXAMPLE = '{"zero_optimization": {"stage": 2}}'
_STAGES = (1, 2, 3)
_AUTO = "auto"
_BUCKETS = ("reduce_bucket_size", "allgather_bucket_size")
_OFFLOAD = ("offload_optimizer", "offload_param")
_DONE_HERE = {"optimizer": "optimizer", "scheduler": "lr_scheduler"}
_FORMATS = {"bf16": "bf16", "fp16": "fp16"}
_PLAIN = "is 50000000 when it is not given"


@dataclass(frozen=True)
class ZeroConfig:
    """``stage`` 1 shares the optimizer's state, 2 the gradients too, 3 the weights too.

    Buckets are how many values are exchanged at a time, of gradients and of weights; None is this program's choice.
    """

    stage: int
    reduce_bucket_size: int | None = None
    allgather_bucket_size: int | None = None


def read_zero(config: RunConfig, source: Source, found: Found, cwd: Path) -> ZeroConfig | None:
    """What the option says: a file, JSON, or an object; None when it is not given.

    Raises ConfigError telling all that is wrong, and every setting that would not be in force.
    """
    given = config.shard.deepspeed_config
    if given is None:
        return None
    content, place = json_of(given.strip(), KEY, _EXAMPLE, (source, found, cwd))
    if not isinstance(content, dict) or not isinstance(content.get(_ZERO), dict):
        raise place.problem(_ZERO, "is missing, or no object in braces", f"write {_EXAMPLE}")
    written = {key: value for key, value in content.items() if not is_comment(key)}
    zero = {key: value for key, value in content[_ZERO].items() if not is_comment(key)}
    inside = Source(place.file, prefix=f"{place.prefix}{_ZERO}.")
    raise_all([*_top_problems(written, config, place), *_zero_problems(zero, inside)])
    sizes = {key: as_integer(zero[key]) for key in _BUCKETS if _is_said(zero.get(key))}
    return ZeroConfig(as_integer(zero["stage"]), **sizes)


def _top_problems(written: Mapping[str, Any], config: RunConfig, place: Source) -> Iterator[ConfigError]:
    ours = _ours(config)
    known = (_ZERO, *ours, *_FORMATS, *_DONE_HERE)
    for key, value in written.items():
        if key not in known:
            yield place.problem(key, "is not read here, so it would not be in force", near(key, known) or "remove it")
        elif key in _DONE_HERE and _is_said(value):
            cure = f'remove it, and write the option "{_DONE_HERE[key]}"'
            yield place.problem(key, "is the run's own, which DeepSpeed only steps", cure)
        elif key in ours and _is_said(value):
            yield from _unlike(key, value, ours[key], place)
        elif key in _FORMATS and isinstance(value, dict) and _is_said(value.get("enabled")):
            yield from _unlike_format(key, value["enabled"], config, place)


def _ours(config: RunConfig) -> dict[str, tuple[float, str]]:
    """What is in force here for what DeepSpeed calls so, and the options that it comes of."""
    length, update = config.length, config.optimizer
    micro, slices = length.train_batch_size, length.gradient_accumulation_steps
    batch = "train_batch_size x gradient_accumulation_steps x num_processes"
    return {
        "train_micro_batch_size_per_gpu": (micro, "train_batch_size"),
        "gradient_accumulation_steps": (slices, "gradient_accumulation_steps"),
        "train_batch_size": (micro * slices * config.machine.num_processes, batch),
        "gradient_clipping": (
            clipping_threshold(update) if update.grad_clip_method == "norm" else 0.0,
            "max_grad_norm with grad_clip_method norm",
        ),
    }


def _unlike(key: str, value: Any, ours: tuple[float, str], place: Source) -> Iterator[ConfigError]:
    number, option = ours
    told = _wrong(as_number, value)
    if told is not None:
        yield place.problem(key, told)
    elif as_number(value) != number:
        cure = f'write "auto", or change {option}'
        yield place.problem(key, f"is {shown(value)}, and the run's own {option} gives {number:g}", cure)


def _unlike_format(key: str, value: Any, config: RunConfig, place: Source) -> Iterator[ConfigError]:
    precision = config.model.mixed_precision
    told = _wrong(as_boolean, value)
    if told is not None:
        yield place.problem(f"{key}.enabled", told)
    elif as_boolean(value) != (precision == _FORMATS[key]):
        reason = f"is {shown(value)}, and the run's own mixed_precision is {precision}"
        yield place.problem(f"{key}.enabled", reason, 'write "auto", or change mixed_precision')


def _zero_problems(zero: Mapping[str, Any], place: Source) -> Iterator[ConfigError]:
    known = ("stage", *_BUCKETS, *_OFFLOAD, "overlap_comm")
    told = _wrong(as_integer, zero.get("stage", "nothing"))
    if told is not None or as_integer(zero["stage"]) not in _STAGES:
        cure = "write 1 (optimizer's state), 2 (gradients too) or 3 (weights too)"
        yield place.problem("stage", told or f"{shown(zero['stage'])} is no stage that shares anything", cure)
    for key in zero:
        if key not in known:
            yield place.problem(key, "is not read here, so it would not be in force", near(key, known) or "remove it")
    for key in _BUCKETS:
        if _is_said(zero.get(key)):
            yield from _bucket_problems(key, zero[key], place)
    if _is_said(zero.get("overlap_comm")) and zero["overlap_comm"] is not False:
        yield place.problem("overlap_comm", "is off here: gradients are added in one order", "remove it")
    yield from _offload_problems(zero, place)


def _bucket_problems(key: str, value: Any, place: Source) -> Iterator[ConfigError]:
    told = _wrong(as_integer, value)
    if told is not None:
        yield place.problem(key, told)
    elif as_integer(value) < 2 or as_integer(value) % 2:
        yield place.problem(key, f"{shown(value)} is no even number of values above 0", f"remove it: it {_PLAIN}")


def _offload_problems(zero: Mapping[str, Any], place: Source) -> Iterator[ConfigError]:
    for key in _OFFLOAD:
        device = zero[key].get("device", "none") if isinstance(zero.get(key), dict) else zero.get(key) or "none"
        if _is_said(device) and device != "none":
            reason = "is not available: gradients that lie elsewhere could not be checked before the update"
            cure = 'remove it, or use "fsdp_enable": true with "fsdp_cpu_offload": true instead of DeepSpeed'
            yield place.problem(key, reason, cure)


def _is_said(value: Any) -> bool:
    return is_given(value) and value != _AUTO


def _wrong(convert: Callable[[Any], object], value: Any) -> str | None:
    """What is wrong with ``value``, None when nothing is."""
    try:
        convert(value)
    except ValueError as error:
        return str(error)
    return None
