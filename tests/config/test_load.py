from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simpletuner.config.reading.find import Selection
from simpletuner.config.run import OPTIONS, SECTIONS
from simpletuner.core.errors import ConfigError

DOCUMENT = Path(__file__).parents[1] / "fixtures" / "document"


def test_the_documents_files_load_unchanged(project: Any) -> None:
    loaded = project.load()
    config = loaded.config
    assert (config.length.max_train_steps, config.length.num_train_epochs) == (10000, 0)
    assert config.optimizer.learning_rate == 4e-5
    assert config.optimizer.max_grad_norm == 0.01
    assert config.memory.gradient_checkpointing is True
    assert config.validation.validation_num_inference_steps == 20
    assert config.validation.validation_torch_compile is False
    assert config.model.model_flavour is None
    assert [dataset.id for dataset in loaded.datasets] == [
        "pseudo-camera-10k-omnigen",
        "dreambooth-subject",
        "dreambooth-subject-512",
    ]
    assert loaded.datasets[0].is_regularisation_data
    assert loaded.datasets[0].crop_style == "center"
    assert loaded.datasets[1].repeats == 1000
    assert loaded.text_cache == project.root / "cache/text/omnigen"
    assert loaded.lycoris is not None
    assert loaded.lycoris.linear_dim == 10000
    assert loaded.name == "default"
    assert loaded.config_file == project.config


def test_the_documents_evaluation_sample_loads(project: Any) -> None:
    text = (DOCUMENT / "multidatabackend-eval.json").read_text()
    folders = ("datasets/pseudo-camera-10k/train", "datasets/test_datasets/squares")
    for folder in folders:
        (project.root / folder).mkdir(parents=True)
    project.dataloader.write_text(text.replace('"/datasets', f'"{project.root}/datasets'))
    training, evaluation = project.load().datasets
    assert training.vae_cache_clear_each_epoch is False
    assert (training.maximum_image_size, training.target_downsample_size) == (1536, 1024)
    assert (training.crop_style, training.metadata_backend, training.repeats) == ("random", "discovery", 0)
    assert evaluation.dataset_type == "eval"
    assert not any("eval" in notice for notice in project.load().notices)


def test_the_documents_library_line_in_dashes_is_read(project: Any) -> None:
    library = {"anime_<token>": "a portrait of <token>", "woman": "a portrait of a woman"}
    (project.root / "config/user_prompt_library.json").write_text(json.dumps(library))
    project.set(**{"--user_prompt_library": "config/user_prompt_library.json"})
    prompts = project.load().prompts
    assert [prompt.nickname for prompt in prompts] == ["anime_<token>", "woman"]


def test_input_pictures_are_found_beside_the_configuration_and_missing_ones_named(project: Any) -> None:
    for name in ("one.png", "two.png"):
        (project.config.parent / name).write_bytes(b"")
    project.set(validation_input=["one.png", " two.png "], validation_stitch_input_location="right")
    loaded = project.load()
    assert [file.name for file in loaded.inputs] == ["one.png", "two.png"]
    assert loaded.config.validation.validation_stitch_input_location == "right"
    project.set(validation_input="one.png,three.png")
    with pytest.raises(ConfigError, match=r"validation_input: there is no file 'three\.png'"):
        project.load()


def test_what_nothing_reads_is_told_and_never_an_error(project: Any) -> None:
    project.set(flow_schedule_shift=1.0, image_processing_batch_size=8)
    notices = "\n".join(project.load().notices)
    for name in (
        "flow_schedule_shift",
        "validation_guidance_rescale",
        "image_processing_batch_size",
    ):
        assert name in notices
    assert "constant_with_warmup" in notices
    assert "no data set has dataset_type eval" in notices
    assert "learning_rate" not in notices


def test_words_win_over_the_file_and_are_named_in_messages(project: Any) -> None:
    loaded = project.load(learning_rate="1e-4", report_to="none")
    assert loaded.config.optimizer.learning_rate == 1e-4
    assert loaded.config.report.report_to == "none"
    assert loaded.values["learning_rate"] == "1e-4"
    with pytest.raises(ConfigError, match="command line: learning_rate: 'fast' is not a number"):
        project.load(learning_rate="fast")


@pytest.mark.parametrize("key", json.loads((DOCUMENT / "config.json").read_text()))
def test_every_key_of_the_document_misspelt_gets_a_hint(project: Any, key: str) -> None:
    content = json.loads(project.config.read_text())
    wrong = key[:-2] + key[-1]
    project.config.write_text(json.dumps({wrong if name == key else name: value for name, value in content.items()}))
    with pytest.raises(ConfigError) as caught:
        project.load()
    assert f"{project.config}: {wrong}: unknown option" in str(caught.value)
    assert f"did you mean '{key}'?" in str(caught.value)


def test_all_problems_of_a_file_come_together(project: Any) -> None:
    project.set(validation_seed="many", train_batch_size=0, lr_scheduler="cosin", use_ema="flase", output_dir=None)
    with pytest.raises(ConfigError) as caught:
        project.load()
    message = str(caught.value)
    assert message.startswith("5 problems:")
    for told in (
        "validation_seed: 'many' is not a number",
        "train_batch_size: '0' is out of range: it must be at least 1",
        "lr_scheduler: unknown value 'cosin'; allowed: linear, sine",
        "did you mean 'cosine'?",
        "use_ema: 'flase' is neither on nor off; allowed: true, false",
        "output_dir: is missing: The folder of checkpoints",
        'add "output_dir": "output/my-model"',
    ):
        assert told in message


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("lora_type", "lora", "allowed: lycoris, standard"),
        ("lora_rank", 0, "must be at least 1"),
        ("lora_alpha", 0, "must be above 0"),
        ("lora_dropout", 1, "must be below 1"),
        ("base_model_precision", "fp8-transformerengine", "transformer_engine"),
        ("base_model_precision", "fp8-int4-torchao", "mslk"),
        ("base_model_precision", "int8-quant", "did you mean 'int8-quanto'?"),
        ("quantization_config", {"transformer": {}}, "is base_model_precision"),
        ("base_model_precision", "int8-sdnq", "GPL-3.0"),
        ("optimizer", "torch-sparseadam", "sparse gradients only"),
        ("optimizer", "sdnq-adamw", "GPL-3.0"),
        ("optimizer", "lion8bit", "is called bnb-lion8bit here"),
        ("optimizer_config", "d_coef", "'d_coef' is not key=value"),
        ("optimizer_release_gradients", True, "before it is known that every gradient is finite"),
        ("optimizer", "adamw8bit", "was retired"),
        ("optimizer", "adamw_fp16", "did you mean 'adamw_bf16'?"),
        ("aspect_bucket_alignment", 8, "multiples of 16"),
        ("aspect_bucket_alignment", "24", "multiples of 16"),
        ("push_checkpoints_to_hub", True, "works with push_to_hub only"),
        ("evaluation_type", "lpips", "allowed: none, clip"),
        ("deepspeed_config", {"zero_optimization": {}}, "an adapter is too small"),
        ("report_to", "tensorboard,custom-tracker", "'custom-tracker' is not available"),
        ("report_to", "tensorbord", "did you mean 'tensorboard'?"),
        ("model_family", "sdxl", "allowed: omnigen"),
        ("validation_resolution", "1024x", "'1024x' is no size"),
        ("caption_dropout_probability", 1.5, "must be at most 1"),
        ("learning_rate", "1e999", "not a finite number"),
        ("seed", 4.5, "not a whole number"),
        ("output_dir", {"a": 1}, "not an object"),
        ("instance_prompt", ["a", "b"], "is one text here, not a list"),
        ("data_backend_sampling", "even", "allowed: auto-weighting, uniform"),
        ("conditioning_multidataset_sampling", "all", "allowed: random, combined"),
        ("vae_cache_scan_behaviour", "delete", "allowed: recreate, sync"),
        ("max_upscale_threshold", 2, "must be at most 1"),
        ("max_workers", 0, "must be at least 1"),
        ("disable_bucket_pruning", "perhaps", "neither on nor off"),
        ("caption_strategy", "caption", "allowed: filename, textfile"),
    ],
)
def test_bad_values_name_the_key_and_the_cure(project: Any, key: str, value: Any, told: str) -> None:
    project.set(**{key: value})
    with pytest.raises(ConfigError) as caught:
        project.load()
    assert f"{project.config}: {key}: " in str(caught.value)
    assert told in str(caught.value)


def test_a_number_that_is_missing_is_shown_as_one(project: Any) -> None:
    project.change(project.lycoris, lambda content: content.pop("multiplier"))
    with pytest.raises(ConfigError, match="multiplier: is missing") as caught:
        project.load()
    assert caught.value.cure == 'add "multiplier": 1.0'


def test_options_of_all_data_sets(project: Any) -> None:
    data = project.load().config.data
    assert (data.disable_bucket_pruning, data.allow_dataset_oversubscription) == (None, False)
    assert (data.data_backend_sampling, data.conditioning_multidataset_sampling) == ("auto-weighting", "random")
    assert (data.max_workers, data.read_batch_size, data.aws_max_pool_connections) == (32, 25, 128)
    project.set(disable_bucket_pruning="false", ignore_missing_files=True, max_workers="4")
    data = project.load().config.data
    assert (data.disable_bucket_pruning, data.ignore_missing_files, data.max_workers) == (False, True, 4)


def test_nothing_given_means_the_default(project: Any) -> None:
    project.set(validation_seed=None, tracker_project_name="", push_to_hub="false", webhook_config=None, lora_rank=None)
    config = project.load().config
    assert config.validation.validation_seed is None
    assert config.report.tracker_project_name == "simpletuner"


def test_a_standard_lora_needs_no_lycoris_file(project: Any) -> None:
    project.lycoris.unlink()
    project.set(lora_type="standard", lora_alpha="8", peft_lora_target_modules=["to_q", "to_out.0"])
    loaded = project.load()
    assert (loaded.lycoris, loaded.lycoris_file) == (None, None)
    adapter = loaded.config.adapter
    assert (adapter.lora_rank, adapter.lora_alpha, adapter.lora_dropout) == (16, 8, 0)
    assert adapter.peft_lora_target_modules == "to_q,to_out.0"


def test_an_empty_resume_starts_anew_and_null_is_not_given(project: Any) -> None:
    project.set(resume_from_checkpoint="")
    assert project.load().config.checkpoints.resume_from_checkpoint is None
    project.set(resume_from_checkpoint=None)
    assert project.load().config.checkpoints.resume_from_checkpoint == "latest"


def test_comments_dashes_and_old_names(project: Any) -> None:
    project.drop("validation_step_interval", "report_to")
    project.set(**{"__note": {"any": "thing"}, "validation_steps": "7", "--report-to": "none", "repeats": 3})
    loaded = project.load()
    assert loaded.config.validation.validation_step_interval == 7
    assert loaded.config.report.report_to == "none"
    assert "validation_steps is now called validation_step_interval" in loaded.notices


def test_one_option_under_two_spellings_is_refused(project: Any) -> None:
    project.set(**{"--seed": 43})
    with pytest.raises(ConfigError, match="seed: is given twice, as 'seed' and as '--seed'"):
        project.load()


def test_environment_variables_are_put_in(project: Any) -> None:
    project.set(output_dir="{env:HERE}/run", data_backend_config="{env:WHERE}/multidatabackend.json")
    loaded = project.load(environ={"WHERE": "config/omnigen", "HERE": "out"})
    assert loaded.config.report.output_dir == "out/run"


def test_the_dataloader_beside_the_configuration_is_used_and_told(project: Any) -> None:
    project.drop("data_backend_config")
    with pytest.raises(ConfigError, match="data_backend_config: is missing"):
        project.load()
    project.dataloader.rename(project.config.parent / "multidatabackend.json")
    loaded = project.load()
    assert loaded.dataloader_file.parent == project.config.parent
    assert any("data_backend_config is not given" in notice for notice in loaded.notices)


def test_missing_files_say_where_they_were_looked_for(project: Any) -> None:
    project.lycoris.unlink()
    with pytest.raises(ConfigError) as caught:
        project.load()
    assert "lycoris_config: there is no file 'config/lycoris_config.json'" in str(caught.value)
    assert f"tried {project.config.parent}/config/lycoris_config.json" in str(caught.value)
    assert f"tried {project.lycoris}" in str(caught.value)
    assert caught.value.file == project.config
    with pytest.raises(ConfigError, match=r"^command line: lycoris_config: there is no file 'mine\.json'"):
        project.load(lycoris_config="mine.json")


def test_where_an_option_stands(project: Any) -> None:
    loaded = project.load(environ={"TRAINING_NUM_PROCESSES": "2"}, seed="5")
    assert loaded.place_of("seed") == "command line"
    assert loaded.place_of("num_processes") == "environment variable TRAINING_NUM_PROCESSES"
    assert loaded.place_of("model_type") == loaded.place_of(None) == project.config


def test_full_training_reads_no_lycoris_file(project: Any) -> None:
    project.lycoris.unlink()
    project.set(model_type="full")
    project.change(project.dataloader, lambda entries: entries[0].update(is_regularisation_data=False))
    loaded = project.load()
    assert loaded.lycoris is None
    assert any("lycoris_config" in notice and "full" in notice for notice in loaded.notices)


def test_regularisation_without_an_adapter_is_refused(project: Any) -> None:
    project.set(model_type="full")
    with pytest.raises(ConfigError, match=r"pseudo-camera-10k-omnigen.*needs an adapter"):
        project.load()


def test_the_variable_for_processes_is_obeyed_and_named(project: Any) -> None:
    assert project.load(environ={"TRAINING_NUM_PROCESSES": "1"}).config.machine.num_processes == 1
    assert project.load(environ={"TRAINING_NUM_PROCESSES": "2"}).config.machine.num_processes == 2
    with pytest.raises(ConfigError, match="environment variable TRAINING_NUM_PROCESSES: num_processes"):
        project.load(environ={"TRAINING_NUM_PROCESSES": "0"})


def test_all_options_may_stand_in_words(project: Any) -> None:
    project.config.rename(project.root / "elsewhere.json")
    words = {key: str(value) for key, value in json.loads((DOCUMENT / "config.json").read_text()).items()}
    loaded = project.load(Selection(backend="cmd"), **words)
    assert loaded.config_file is None
    assert loaded.config.length.max_train_steps == 10000


def test_option_names_are_unique_over_the_sections() -> None:
    assert len(OPTIONS) == sum(len(kind.model_fields) for kind in SECTIONS.values())


def test_the_sections_are_frozen(project: Any) -> None:
    config = project.load().config
    with pytest.raises(ValueError, match="frozen"):
        config.length.seed = 1


def test_loading_a_configuration_does_not_load_torch(project: Any) -> None:
    code = (
        "import sys, pathlib; from simpletuner.config.load import *\n"
        "load_run(Selection(), {}, pathlib.Path.cwd(), {})\n"
        "heavy = {'torch', 'numpy', 'transformers', 'diffusers', 'lycoris', 'PIL'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project.root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
