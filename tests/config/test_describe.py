from __future__ import annotations

import inspect
import re
from pathlib import Path

from simpletuner.config.dataset import DatasetConfig
from simpletuner.config.describe import descriptions
from simpletuner.config.option import facts_of
from simpletuner.config.problems import near, raise_all
from simpletuner.config.run import OPTIONS, RunConfig
from simpletuner.core.errors import ConfigError

ROOMS = {"config", "precision", "data", "adapters", "models", "training", "validation", "observe", "assemble"}


def test_every_option_has_a_meaning_and_readers_or_a_reason() -> None:
    for described in descriptions():
        assert re.search(r"[.]$", described.meaning), described.name
        assert set(described.reads) <= ROOMS, described.name
        assert bool(described.reads) != bool(facts_of(OPTIONS[described.name].declared).unread), described.name


def test_who_is_said_to_read_an_option_does() -> None:
    source = Path(inspect.getfile(RunConfig)).parents[1]
    texts = {path: path.read_text() for path in source.rglob("*.py")}
    rooms = "\n".join(text for path, text in texts.items() if path.parent.name != "config")
    declared_options = {name: option.declared for name, option in OPTIONS.items()} | DatasetConfig.model_fields
    for name, declared in declared_options.items():
        if set(facts_of(declared).reads) - {"config"}:
            assert re.search(rf"\b{name}\b", rooms), f"{name} is said to be read, and no room names it"


def test_defaults_and_choices_are_as_a_user_writes_them() -> None:
    told = {described.name: described for described in descriptions()}
    assert told["use_ema"].default == "false"
    assert told["output_dir"].default is None
    assert told["validation_seed"].default == ""
    assert told["mixed_precision"].allowed == ("bf16", "no")
    assert told["aspect_bucket_alignment"].kind == "whole number"


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
