"""Mistakes in the files of a run: each ends with exit code 2 and one message that names file, key, reason and cure.

Every option is tried with a value of the wrong type, out of range, of no choice, with a typo in its name, and null
where it must be given; then contradictions, data sets, LyCORIS files, prompt libraries and texts that are no files.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simpletuner.cli.main import run
from simpletuner.config.describe import bounds
from simpletuner.config.lenient import allowed_values, plain_type
from simpletuner.config.option import facts_of
from simpletuner.config.run import OPTIONS

DOCUMENT = Path(__file__).parents[1] / "fixtures" / "document"
CONFIG, LOADER, LYCORIS = "config/config.json", "config/omnigen/multidatabackend.json", "config/lycoris_config.json"
PROMPTS = "config/user_prompt_library.json"
LIMIT_S = 2.0
# What a file says that is not told by a key: broken texts name line and column instead.
Case = tuple[str, str, Callable[[Path], None], str]
_PROBE = """
import sys
from simpletuner.cli.main import run
code = run(sys.argv[1:])
heavy = sorted({"torch", "diffusers", "transformers", "accelerate", "lycoris", "peft"} & set(sys.modules))
assert not heavy, heavy
sys.exit(code)
"""


def change(file: str, **values: Any) -> Callable[[Path], None]:
    """Set keys of an object; for the dataloader file, of its first data set."""

    def apply(root: Path) -> None:
        content = json.loads((root / file).read_text(encoding="utf-8"))
        (content[0] if isinstance(content, list) else content).update(values)
        (root / file).write_text(json.dumps(content, indent=1), encoding="utf-8")

    return apply


def drop(file: str, key: str) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        content = json.loads((root / file).read_text(encoding="utf-8"))
        del (content[0] if isinstance(content, list) else content)[key]
        (root / file).write_text(json.dumps(content, indent=1), encoding="utf-8")

    return apply


def text(file: str, content: str | bytes) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        (root / file).write_bytes(content if isinstance(content, bytes) else content.encode())

    return apply


def both(*changes: Callable[[Path], None]) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        for each in changes:
            each(root)

    return apply


def wrong_values(name: str) -> Iterator[tuple[str, Any]]:
    """Values that an option cannot have, each with the kind of mistake."""
    declared = OPTIONS[name].declared
    plain, limits = plain_type(declared.annotation), bounds(declared)
    if allowed_values(declared.annotation):
        yield "enum", "nonsense"
        yield from (("refused", value) for value in itertools.islice(facts_of(declared).refused, 1))
    elif plain in (int, float):
        yield "type", "many"
        yield from (("range", value - 1) for key, value in limits.items() if key in ("ge", "gt"))
        yield from (("range", value + 1) for key, value in limits.items() if key in ("le", "lt"))
        if plain is int:
            yield "fraction", 1.5
    elif plain is bool:
        yield "type", "perhaps"
    elif "object too" not in str(declared.annotation):
        yield "type", {"a": 1}


def typo(name: str) -> str:
    """Two letters exchanged."""
    middle = len(name) // 2
    return f"{name[:middle]}{name[middle + 1]}{name[middle]}{name[middle + 2 :]}"


def of_options() -> Iterator[Case]:
    for name, option in OPTIONS.items():
        for kind, value in wrong_values(name):
            yield f"{kind}: {name}={value}", CONFIG, change(CONFIG, **{name: value}), name
        if len(name) > 6 and typo(name) not in OPTIONS and typo(name) != name:
            yield (
                f"typo: {typo(name)}",
                CONFIG,
                change(CONFIG, **{typo(name): 1}),
                typo(name),
            )
        if option.declared.is_required():
            yield f"null: {name}", CONFIG, change(CONFIG, **{name: None}), name
            yield f"missing: {name}", CONFIG, drop(CONFIG, name), name


CONTRADICTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("max_train_steps", {"num_train_epochs": 3}),
    ("max_train_steps", {"max_train_steps": 0}),
    ("lr_end", {"lr_scheduler": "polynomial", "lr_end": 1}),
    ("lr_end", {"lr_scheduler": "cosine", "lr_end": 4e-5}),
    ("lr_scale_sqrt", {"lr_scale_sqrt": True}),
    ("optimizer_beta1", {"optimizer_beta1": 0.9}),
    ("optimizer_beta2", {"optimizer_beta2": 0.9}),
    ("validation_resolution", {"validation_resolution": "axb"}),
    ("validation_resolution", {"validation_resolution": "1x2x3"}),
    ("report_to", {"report_to": "tensorbored"}),
    ("activation_memory_budget", {"activation_memory_budget": 4, "gradient_checkpointing": False}),
    ("activation_memory_budget", {"activation_memory_budget": 4, "gradient_checkpointing_interval": 4}),
    ("dynamo_mode", {"dynamo_mode": "max-autotune-no-cudagraphs", "dynamo_backend": "eager"}),
    ("musubi_blocks_to_swap", {"musubi_blocks_to_swap": 4, "model_type": "full"}),
    ("musubi_blocks_to_swap", {"musubi_blocks_to_swap": 4, "gradient_checkpointing": False}),
    ("musubi_blocks_to_swap", {"musubi_blocks_to_swap": 4, "gradient_checkpointing_interval": 2}),
    ("musubi_blocks_to_swap", {"musubi_blocks_to_swap": 99}),
    ("base_model_precision", {"base_model_precision": "int8-quanto", "model_type": "full"}),
    ("quantize_via", {"base_model_precision": "fp8-native", "quantize_via": "pipeline"}),
    ("quantize_activations", {"quantize_activations": True}),
    ("quantize_activations", {"quantize_activations": True, "base_model_precision": "int8-quanto"}),
    ("disk_low_threshold", {"disk_low_threshold": "much"}),
    ("disk_low_script", {"disk_low_threshold": "1G", "disk_low_action": "script"}),
    ("disk_low_script", {"disk_low_threshold": "1G", "disk_low_action": "script", "disk_low_script": "./a {x}"}),
    ("post_checkpoint_script", {"post_checkpoint_script": "./copy.sh '"}),
    ("init_lora_step", {"init_lora_step": 5}),
    ("init_lora_ema", {"init_lora_ema": "ema.safetensors"}),
    ("init_lora_ema", {"init_lora": "a.safetensors", "init_lora_ema": "ema.safetensors"}),
    ("init_lokr_norm", {"init_lora": "a.safetensors", "init_lokr_norm": 1e-3}),
    ("init_lora_step", {"init_lora": "a.safetensors", "init_lora_step": 20_000}),
    ("init_lora_step", {"init_lora": "a.safetensors", "init_lora_step": 5, "resume_from_checkpoint": "checkpoint-9"}),
    ("flow_use_beta_schedule", {"flow_use_uniform_schedule": True, "flow_use_beta_schedule": True}),
    ("flow_custom_timesteps", {"flow_use_uniform_schedule": True, "flow_custom_timesteps": "0.1,0.2"}),
    ("flow_custom_timesteps", {"flow_cubic_schedule_weights": "1,2", "flow_custom_timesteps": "0.1,0.2"}),
    ("flow_timesteps_mode", {"flow_stratified_timesteps": True, "flow_timesteps_mode": "round-robin"}),
    ("flow_custom_timesteps", {"flow_custom_timesteps": "0.1,many"}),
    ("flow_cubic_schedule_weights", {"flow_cubic_schedule_weights": "1,-2"}),
    ("scheduled_sampling_max_step_offset", {"scheduled_sampling_max_step_offset": 5000}),
    ("machine_rank", {"machine_rank": 2, "num_machines": 2, "num_processes": 2}),
    ("num_processes", {"num_machines": 2, "num_processes": 3}),
    ("optimizer_config", {"optimizer_config": "not a pair"}),
    ("webhook_config", {"webhook_config": {"webhook_type": "pigeon"}}),
    ("train_batch_size", {"train_batch_size": 1, "--train_batch_size": 2}),
    ("user_prompt_library", {"user_prompt_library": "absent.json"}),
    ("lycoris_config", {"lycoris_config": "absent.json"}),
    ("data_backend_config", {"data_backend_config": "absent.json"}),
    ("pretrained_model_name_or_path", {"pretrained_model_name_or_path": "/no/such/folder"}),
    ("model_flavour", {"model_flavour": "v9"}),
    ("peft_lora_target_modules", {"lora_type": "standard", "peft_lora_target_modules": "to_quark"}),
    ("quantization_config", {"quantization_config": {"transformer": "int8"}}),
    ("controlnet", {"controlnet": True}),
    ("flux_guidance_value", {"flux_guidance_value": 3.5}),
    ("distillation_config", {"distillation_config": {"steps": 4}}),
    ("is_regularisation_data", {"model_type": "full", "optimizer": "torch-adamw"}),
    ("output_dir", {"output_dir": "datasets/dreambooth-subject"}),
    ("output_dir", {"output_dir": "datasets/dreambooth-subject/out"}),
    ("output_dir", {"output_dir": "a.safetensors"}),
    ("output_dir", {"output_dir": "a.safetensors/out"}),
    ("resume_from_checkpoint", {"resume_from_checkpoint": "checkpoint-77"}),
    ("resume_from_checkpoint", {"resume_from_checkpoint": "runs/of/mine"}),
    ("train_batch_size", {"batch_size": 1}),
    ("lora_rank", {"network_dim": 16}),
)

ENTRIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("id", {"id": ""}),
    ("id", {"id": "a/b"}),
    ("id", {"id": "dreambooth-subject"}),
    ("type", {"type": "ftp"}),
    ("dataset_type", {"dataset_type": "video"}),
    ("dataset_type", {"dataset_type": "pictures"}),
    ("instance_data_dir", {"instance_data_dir": "no/such/folder"}),
    ("instance_data_dir", {"instance_data_dir": None}),
    ("resolution", {"resolution": "large"}),
    ("resolution", {"resolution": 0}),
    ("resolution_type", {"resolution_type": "miles"}),
    ("crop", {"crop": "maybe"}),
    ("crop_style", {"crop_style": "middle"}),
    ("crop_aspect", {"crop_aspect": "wide"}),
    ("crop_aspect_buckets", {"crop_aspect": "closest"}),
    ("crop_aspect_buckets", {"crop_aspect": "random", "crop_aspect_buckets": "1.0"}),
    ("repeats", {"repeats": -1}),
    ("repeats", {"repeats": 1.5}),
    ("caption_strategy", {"caption_strategy": "telepathy"}),
    ("instance_prompt", {"caption_strategy": "instanceprompt"}),
    ("only_instance_prompt", {"only_instance_prompt": True}),
    ("conditioning_data", {"conditioning_data": "absent"}),
    ("conditioning", {"conditioning": [{"type": "depth"}]}),
    ("end_step", {"start_step": 9, "end_step": 3}),
    ("maximum_image_size", {"maximum_image_size": 1024, "target_downsample_size": None}),
    ("instance_data_dir", {"dataset_type": "eval", "instance_data_dir": "datasets/dreambooth-subject"}),
    ("instance_data_dir", {"dataset_type": "eval", "instance_data_dir": "datasets"}),
    ("target_downsample_size", {"maximum_image_size": 512, "target_downsample_size": 1024}),
    ("instance_data_dir", {"data_dir": "datasets/dreambooth-subject"}),
    ("text_embeds", {"text_embeds": "absent"}),
    ("disable_vae_cache", {"disable_vae_cache": True}),
    ("repeets", {"repeets": 3}),
    ("aspect_bucket_alignment", {"aspect_bucket_alignment": 24}),
    ("caption_shuffle", {"caption_shuffle": {"count": 0}}),
)

NETWORKS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("algo", {"algo": "lokre"}),
    ("multiplier", {"multiplier": None}),
    ("linear_alpha", {"linear_alpha": "one"}),
    ("linear_dim", {"linear_dim": 0}),
    ("factor", {"factor": 0}),
    ("factor", {"factor": -3}),
    ("full_matrx", {"full_matrx": True}),
    ("rs_lora", {"rs_lora": True}),
    ("train_norm", {"train_norm": True}),
    ("apply_preset", {"apply_preset": ["Attention"]}),
    ("target_modules", {"apply_preset": {"target_modules": ["Attention"]}}),
    ("target_module", {"apply_preset": {"target_module": "Attention"}}),
    ("target_module", {"apply_preset": {"target_module": ["CrossAttention"]}}),
    ("target_name", {"apply_preset": {"target_name": ["blocks.*.attn"]}}),
    ("target_name", {"apply_preset": {"target_name": ["*"]}}),
    ("name_algo_map", {"apply_preset": {"name_algo_map": {"blocks.0": {"factor": 4}}}}),
    ("module_algo_map", {"apply_preset": {"module_algo_map": {"Attention": {"linear_dim": 4}}}}),
    ("module_algo_map", {"apply_preset": {"module_algo_map": {"Attention": 16}}}),
)

BROKEN: tuple[tuple[str, str | bytes], ...] = (
    ("", "is empty"),
    ("{", "invalid JSON"),
    ("[]", "must hold one object"),
    ('"text"', "must hold one object"),
    ('{"seed": 1,}', "a comma before the closing"),
    ('{"seed": 1 "report_to": "none"}', "a comma is missing"),
    ("{'seed': 1}", "text in single quotes"),
    ('{"seed": 1 // base\n}', "JSON has no comments"),
    ('{\n# mine\n"seed": 1}', "JSON has no comments"),
    ('{"seed": NaN}', "NaN is not a number"),
    ('{"seed": Infinity}', "Infinity is not a number"),
    ('{"seed": 1, "seed": 2}', "stands twice in one object"),
    ('{"seed": 01}', "invalid JSON"),
    ('{"seed": True}', "invalid JSON"),
    ('{"seed": "1}', "invalid JSON"),
    ('{"seed": 1}}', "invalid JSON"),
    ('{"seed": "\t"}', "invalid JSON"),
    ('{"seed": "\\q"}', "invalid JSON"),
    ("[" * 100_000, "nested too deeply"),
    ("seed: 1", "invalid JSON"),
)
BYTES = (
    (b'\xef\xbb\xbf{"seed": 1}', "byte-order mark"),
    ('{"seed": 1}'.encode("utf-16"), "byte-order mark"),
    ('{"tracker_run_name": "h\xe9"}'.encode("latin-1"), "is not UTF-8 text"),
)
# As the user's document prints it, with the comma behind the last prompt and the one behind the option's line.
DOCUMENTS_LIBRARY = '{\n  "nickname": "the prompt goes here",\n  "another_nickname": "another prompt goes here",\n}\n'
DOCUMENTS_LINE = '{\n "seed": 42,\n "--user_prompt_library": "config/user_prompt_library.json",\n}\n'


def of_texts() -> Iterator[Case]:
    for number, (content, told) in enumerate((*BROKEN, *BYTES)):
        yield f"text {number}: {told}", CONFIG, text(CONFIG, content), told
    for file in (LOADER, LYCORIS):
        yield f"text: {file} cut off", file, text(file, '[{"id":'), "invalid JSON"
        yield f"text: {file} is 7", file, text(file, "7"), "must hold"
    yield "text: no data sets", LOADER, text(LOADER, "[]"), "must hold a list"
    library = change(CONFIG, user_prompt_library=PROMPTS)
    yield "prompts: comma", PROMPTS, both(library, text(PROMPTS, DOCUMENTS_LIBRARY)), "line 3, column 49"
    yield "prompts: list", PROMPTS, both(library, text(PROMPTS, '["a"]')), "must hold one object"
    yield "prompts: number", PROMPTS, both(library, text(PROMPTS, '{"cat": 7}')), "cat"
    yield "prompts: nameless", PROMPTS, both(library, text(PROMPTS, '{"": "a cat"}')), "nickname"
    yield "document's own line", CONFIG, text(CONFIG, DOCUMENTS_LINE), "line 3, column 60"


def of_files() -> Iterator[Case]:
    for key, values in CONTRADICTIONS:
        file = LOADER if key == "is_regularisation_data" else CONFIG
        yield f"together: {values}", file, change(CONFIG, **values), key
    for key, values in ENTRIES:
        yield f"data set: {values}", LOADER, change(LOADER, **values), key
    for key, values in NETWORKS:
        yield f"network: {values}", LYCORIS, change(LYCORIS, **values), key


def cases() -> list[Case]:
    return [*of_options(), *of_files(), *of_texts()]


def project(root: Path) -> Path:
    (root / "config" / "omnigen").mkdir(parents=True)
    for name in ("pseudo-camera-10k", "dreambooth-subject"):
        (root / "datasets" / name).mkdir(parents=True)
    (root / "a.safetensors").write_bytes(b"")
    (root / "ema.safetensors").write_bytes(b"")
    return root


def write_files(root: Path) -> None:
    for name, target in (("config", CONFIG), ("lycoris_config", LYCORIS), ("multidatabackend", LOADER)):
        shutil.copy(DOCUMENT / f"{name}.json", root / target)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return project(tmp_path_factory.mktemp("clean"))


@pytest.fixture
def spoiled(clean: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same project each time, with its files as they were."""
    write_files(clean)
    monkeypatch.chdir(clean)
    return clean


def test_there_are_more_than_300_and_of_every_kind() -> None:
    found = [title for title, *_ in cases()]
    assert len(found) == len(set(found)) >= 300
    kinds = {title.partition(":")[0] for title in found}
    assert {"type", "range", "enum", "fraction", "refused", "typo", "null", "missing"} <= kinds
    assert len(CONTRADICTIONS) >= 40
    assert len(list(of_texts())) >= 20


def test_the_documents_files_are_in_order(spoiled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--no-scan"]) == 0
    assert "in order" in capsys.readouterr().out
    assert not (spoiled / "output").exists()


def _shown() -> list[Any]:
    """All of them in the long form; in the short one every sixth name with a typo, which are all told alike."""
    typos = itertools.count()
    shown = []
    for title, *case in cases():
        is_long = title.startswith("typo") and next(typos) % 6 > 0
        shown.append(pytest.param(*case, id=title, marks=[pytest.mark.long] if is_long else []))
    return shown


@pytest.mark.parametrize(("file", "apply", "told"), _shown())
def test_a_mistake_is_one_message_with_file_key_reason_and_cure(
    spoiled: Path, capsys: pytest.CaptureFixture[str], file: str, apply: Callable[[Path], None], told: str
) -> None:
    apply(spoiled)
    began = time.monotonic()
    assert run(["check", "--no-scan"]) == 2
    took = time.monotonic() - began
    heard = capsys.readouterr().err
    assert heard.startswith("error: "), heard
    assert str(spoiled / file) in heard, heard
    assert told in heard, heard
    assert "Traceback" not in heard
    assert "cure:" in heard, heard
    assert took < LIMIT_S


def _processes() -> list[Case]:
    every = cases()
    return [every[place] for place in range(0, len(every), len(every) // 5)]


@pytest.mark.parametrize("case", _processes(), ids=lambda case: case[0])
@pytest.mark.parametrize("command", [("check", "--no-scan"), ("train",)], ids=["check", "train"])
def test_the_same_as_a_process_of_its_own_without_torch(spoiled: Path, command: tuple[str, ...], case: Case) -> None:
    _, _, apply, told = case
    apply(spoiled)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-c", _PROBE, *command]
    result = subprocess.run(words, cwd=spoiled, env=os.environ, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.returncode == 2, result.stderr
    assert told in result.stderr
    # Its own time, whatever else the machine does: what a person waits on a quiet one.
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < LIMIT_S
