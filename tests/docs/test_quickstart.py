"""The two quickstarts show the same files, and those are the example files of the checkout."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from simpletuner.cli.select import select_run
from simpletuner.core.errors import ConfigError
from tests.docs.blocks import INLINE, QUICKSTARTS, ROOT, all_blocks, whole

BLOCKS = all_blocks()
JSON = [block for block in BLOCKS if block.language == "json"]


@pytest.fixture
def folder(laid_out: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(laid_out, tmp_path / "folder"))


@pytest.mark.parametrize("page", QUICKSTARTS)
def test_the_line_that_ends_in_a_comma_is_told_as_the_page_says(page: str, folder: Path) -> None:
    line = next(block.text for block in JSON if block.page == page and block.text.startswith('"--user_prompt_library"'))
    (folder / "config" / "config.json").write_text(f'{{\n  "seed": 1,\n{line}}}')
    with pytest.raises(ConfigError, match=r"a comma before the closing '}' \(line 3, column \d+\)"):
        select_run([], folder, os.environ)


@pytest.mark.parametrize("page", QUICKSTARTS)
def test_the_files_of_the_quickstart_are_the_example_files(page: str) -> None:
    shown = [whole(block.text) for block in JSON if block.page == page]
    for name in ("multidatabackend", "user_prompt_library"):
        assert json.loads((ROOT / "config" / f"{name}.json.example").read_text()) in shown
    example = json.loads((ROOT / "config" / "config.json.example").read_text())
    (config,) = [content for content in shown if "model_type" in content]
    # They want a data set that is held out, which the example has not.
    assert config == {**example, "eval_steps_interval": 100, "num_eval_images": 1}


def test_both_quickstarts_have_the_same_blocks() -> None:
    english, japanese = (
        [(block.language, block.text) for block in BLOCKS if block.page == page and block.language != INLINE]
        for page in QUICKSTARTS
    )
    assert english == japanese
