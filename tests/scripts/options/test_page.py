from __future__ import annotations

import re

from scripts.options.absent_page import absent_page
from scripts.options.page import options_page
from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.datasets.text_caches import TextCache
from simpletuner.config.describe import descriptions
from simpletuner.config.files.lycoris import LycorisOptions
from simpletuner.config.reading.not_here import ABSENT


def rows() -> dict[str, str]:
    found = re.findall(r"^\| `(\w+)` \| (.*) \|$", options_page(), re.MULTILINE)
    assert len(found) > 300
    return dict(found)


def test_every_option_and_every_key_has_a_row() -> None:
    told = rows()
    names = {described.name for described in descriptions()}
    for kind in (DatasetConfig, TextCache, LycorisOptions):
        names |= set(kind.model_fields)
    assert sorted(names - set(told)) == []


def test_a_row_says_type_default_choices_meaning_reader_and_other_names() -> None:
    told = rows()
    assert told["train_batch_size"].startswith("whole number, at least 1 | `4` |")
    assert "**required**" in told["model_family"]
    assert "*Read by models.*" in told["model_family"]
    assert "*Not read:" in told["keep_vae_loaded"]
    assert "Formerly `validation_steps`." in told["validation_step_interval"]
    assert "`TRAINING_NUM_PROCESSES`" in told["num_processes"]
    assert "`gpu`: would draw other noise" in told["validation_seed_source"]
    assert "`cosine_with_warmup` for `cosine`" in told["lr_scheduler"]


def test_tables_are_whole() -> None:
    for line in options_page().splitlines():
        if line.startswith("| `"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 5), line


def test_what_is_not_here_is_on_its_page() -> None:
    page = absent_page()
    for group in ABSENT:
        for word in (group.title, group.reason, *group.names, *group.beginnings):
            assert word in page, word
