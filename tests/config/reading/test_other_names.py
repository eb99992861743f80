from __future__ import annotations

import pytest

from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.reading.names import DATASET_ONLY, OPPOSITES, RENAMED
from simpletuner.config.reading.not_here import absent
from simpletuner.config.reading.other_names import ELSEWHERE, ELSEWHERE_IN_DATA, meant
from simpletuner.config.run import OPTIONS


@pytest.mark.parametrize(
    ("typed", "ours"),
    [
        ("batch_size", "train_batch_size"),
        ("lr", "learning_rate"),
        ("epochs", "num_train_epochs"),
        ("steps", "max_train_steps"),
        ("network_dim", "lora_rank"),
        ("network_alpha", "lora_alpha"),
        ("save_every", "checkpoint_step_interval"),
        ("ema", "use_ema"),
        ("Resume", "resume_from_checkpoint"),
        ("eval_steps", "eval_steps_interval"),
        ("dataset_config", "data_backend_config"),
        ("sample_prompts", "user_prompt_library"),
        ("gradient_accumulation", "gradient_accumulation_steps"),
        ("seeed", "seed"),
    ],
)
def test_what_people_type(typed: str, ours: str) -> None:
    assert meant(typed, OPTIONS, ELSEWHERE).startswith(f"did you mean '{ours}'?")


def test_several_and_what_stands_in_another_file() -> None:
    both = "did you mean 'pretrained_model_name_or_path' or 'model_family'?"
    assert meant("model", OPTIONS, ELSEWHERE) == both
    assert meant("rank", OPTIONS, ELSEWHERE).endswith("linear_dim in the file that lycoris_config names")
    assert meant("data_dir", DatasetConfig.model_fields, ELSEWHERE_IN_DATA) == "did you mean 'instance_data_dir'?"
    assert meant("zzzzz", OPTIONS, ELSEWHERE) == ""


def test_every_pointer_leads_to_an_option_and_none_hides_one() -> None:
    assert {name for names in ELSEWHERE.values() for name in names.split()} <= OPTIONS.keys()
    ours = {*OPTIONS, *RENAMED, *OPPOSITES, *DATASET_ONLY}
    assert [word for word in ELSEWHERE if word in ours or absent(word)] == []
    keys = {name for names in ELSEWHERE_IN_DATA.values() for name in names.split()}
    assert keys - {"disabled"} <= DatasetConfig.model_fields.keys()
    assert [word for word in ELSEWHERE_IN_DATA if word in DatasetConfig.model_fields] == []
