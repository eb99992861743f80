from __future__ import annotations

import inspect
import re
from pathlib import Path

from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.datasets.use import UseKeys
from simpletuner.config.describe import Description, descriptions, keys_of
from simpletuner.config.option import Section, facts_of
from simpletuner.config.problems import near, raise_all
from simpletuner.config.run import OPTIONS, RunConfig
from simpletuner.core.errors import ConfigError

ROOMS = {"config", "precision", "data", "adapters", "models", "training", "validation", "observe", "assemble"}


def test_every_option_has_a_meaning_and_readers_or_a_reason() -> None:
    for described in descriptions():
        assert re.search(r"[.]$", described.meaning), described.name
        assert set(described.reads) <= ROOMS, described.name
        assert bool(described.reads) != bool(facts_of(OPTIONS[described.name].declared).unread), described.name


def test_a_data_sets_key_is_named_by_a_room_that_reads_it() -> None:
    source = Path(inspect.getfile(RunConfig)).parents[1]
    texts = {path: path.read_text(encoding="utf-8") for path in source.rglob("*.py")}
    rooms = "\n".join(text for path, text in texts.items() if path.parent.name != "config")
    for name, declared in DatasetConfig.model_fields.items():
        if set(facts_of(declared).reads) - {"config"}:
            assert re.search(rf"\b{name}\b", rooms), f"{name} is said to be read, and no room names it"


def test_defaults_and_choices_are_as_a_user_writes_them() -> None:
    told = {described.name: described for described in descriptions()}
    assert told["use_ema"].default == "false"
    assert told["output_dir"].default is None
    assert told["validation_seed"].default == ""
    assert told["mixed_precision"].allowed == ("bf16", "no")
    assert told["aspect_bucket_alignment"].kind == "whole number"


def test_limits_other_names_and_reasons_are_told() -> None:
    told = {described.name: described for described in descriptions()}
    assert told["ema_decay"].limits == ("at least 0", "at most 0.9999")
    assert told["learning_rate"].limits == ("above 0",)
    assert told["seed"].limits == ("at least -1",)
    assert told["checkpoints_total_limit"].former == ("save_total_limit",)
    assert told["vae_cache_ondemand"].former == ("vae_cache_preprocess",)
    assert told["max_train_steps"].variables == ("MAX_NUM_STEPS",)
    assert told["main_process_port"].variables == ("MAIN_PROCESS_PORT",)
    assert told["num_processes"].variables == ("TRAINING_NUM_PROCESSES",)
    assert "finite" in told["optimizer_release_gradients"].unread


def test_keys_of_other_files_have_a_kind_and_no_python_in_their_default() -> None:
    told = {described.name: described for kind in DatasetConfig.__mro__[:7] for described in _own(kind)}
    assert told["instance_prompt"].kind == "text or list"
    assert told["caption_shuffle"].kind == "object"
    assert told["caption_shuffle"].default == ""
    assert told["repeats"].default == "0"
    assert told["id"].default is None
    assert "id" not in {described.name for described in keys_of(UseKeys)}


def _own(kind: type) -> list[Description]:
    return list(keys_of(kind)) if issubclass(kind, Section) and kind.__annotations__ else []


def test_the_schema_for_editors_can_be_made() -> None:
    schema = RunConfig.model_json_schema()
    assert schema["$defs"]["LengthConfig"]["properties"]["seed"]["description"].startswith("Base of every random")


def test_problems_are_listed_up_to_a_dozen() -> None:
    raise_all([])
    try:
        raise_all([ConfigError(f"wrong {number}") for number in range(20)])
    except ConfigError as error:
        lines = str(error).splitlines()
    assert (lines[0], lines[12], lines[13]) == ("20 problems:", "wrong 11", "... and 8 more")


def test_hints_only_when_near() -> None:
    assert near("lerning_rate", OPTIONS) == "did you mean 'learning_rate'?"
    assert near("zzz", OPTIONS) == ""
