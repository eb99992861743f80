"""How many processes a run has, where its own configuration says nothing: the environment, accelerate's own file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simpletuner.config.lenient import is_given
from simpletuner.core.errors import ConfigError

VARIABLES = {
    "num_processes": "TRAINING_NUM_PROCESSES",
    "num_machines": "TRAINING_NUM_MACHINES",
    "machine_rank": "MACHINE_RANK",
    "main_process_ip": "MAIN_PROCESS_IP",
    "main_process_port": "MAIN_PROCESS_PORT",
    "accelerate_visible_devices": "ACCELERATE_VISIBLE_DEVICES",
    "accelerate_config": "ACCELERATE_CONFIG_PATH",
    "accelerate_extra_args": "ACCELERATE_EXTRA_ARGS",
}
"""Options that the environment may give, by the names of its variables (SPEC 1.9)."""

_TAKEN = ("num_processes", "num_machines", "machine_rank", "main_process_ip", "main_process_port")
_DOES_IT_HERE = {
    "FSDP": '"fsdp_enable": true',
    "DEEPSPEED": '"deepspeed_config": {"zero_optimization": {"stage": 2}}, with its stage',
    "MEGATRON_LM": '"fsdp_enable": true',
}


@dataclass
class Launched:
    """``values`` of options, ``origins`` where each stands, and ``notices``."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def launch_values(given: Mapping[str, Any], environ: Mapping[str, str]) -> Launched:
    """What the environment and accelerate's file say of options that are not in ``given``.

    Raises ConfigError when accelerate's file does not exist, or asks for a plugin that would not be in force.
    """
    found = Launched()
    for name, variable in VARIABLES.items():
        if name not in given and is_given(environ.get(variable)):
            found.values[name] = environ[variable]
            found.origins[name] = f"environment variable {variable}"
    if file := _file(given, found.values, environ):
        _take(found, given, file)
    return found


def _file(given: Mapping[str, Any], values: Mapping[str, Any], environ: Mapping[str, str]) -> Path | None:
    named = given.get("accelerate_config") or values.get("accelerate_config")
    if is_given(named):
        path = Path(str(named)).expanduser()
        if not path.is_file():
            raise ConfigError(f"there is no file '{path}'", key="accelerate_config", cure="give a file, or remove it")
        return path
    home = Path(environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    path = home / "accelerate" / "default_config.yaml"
    return path if path.is_file() else None


def _take(found: Launched, given: Mapping[str, Any], file: Path) -> None:
    said = top_level(file.read_text("utf-8", errors="replace"))
    kind = said.get("distributed_type", "NO").upper()
    if kind in _DOES_IT_HERE:
        raise ConfigError(
            f"asks accelerate for {kind}, and this program does the work of that plugin itself",
            file=file,
            key="distributed_type",
            cure=f"run `accelerate config` without it, and write {_DOES_IT_HERE[kind]} into config.json",
        )
    taken = [name for name in _TAKEN if is_given(said.get(name)) and name not in {**given, **found.values}]
    for name in taken:
        found.values[name] = said[name]
        found.origins[name] = str(file)
    if taken:
        found.notices.append(f"{file}: {', '.join(f'{name} {said[name]}' for name in taken)}")
    precision = said.get("mixed_precision", "")
    own = given.get("mixed_precision")
    if precision and own is not None and str(own) != precision:
        found.notices.append(f"{file}: mixed_precision {precision} is not read; the run's own {own} is in force")


def top_level(text: str) -> dict[str, str]:
    """The plain ``key: value`` lines of a YAML text that are not indented; null and empty values are left out."""
    pairs = (line.partition(":") for line in text.splitlines() if line[:1].isalpha())
    bare = ((key.strip(), value.split(" #")[0].strip().strip("'\"")) for key, colon, value in pairs if colon)
    return {key: value for key, value in bare if value not in ("", "null", "~", "{}")}
