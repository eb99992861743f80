"""Counts against the tokenizer that training uses."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.errors import ConfigError
from simpletuner.models.omnigen.layers import FACTS, TINY_FOLDER
from simpletuner.models.omnigen.text import load_text
from simpletuner.models.omnigen.token_count import count_tokens, tokenizer_file

COUNT = count_tokens(TINY_FOLDER)
TEXT = load_text(TINY_FOLDER, builtin_negative=False)
HUB_ID = "someone/a-model"


def in_training(caption: str) -> int:
    return len(TEXT.tokenize(caption)) - len(TEXT.tokenize(""))


@given(captions=st.lists(st.text(max_size=60), max_size=4))
def test_counts_are_those_of_training(captions: list[str]) -> None:
    assert COUNT is not None
    assert COUNT(captions) == [max(0, in_training(caption)) for caption in captions]


@pytest.mark.parametrize("caption", ["", "a red apple", "cat's <|end|> 絵 🦊", "a\0b", "line\nline", "word " * 3000])
def test_counts_of_difficult_captions(caption: str) -> None:
    assert COUNT is not None
    assert COUNT([caption]) == [in_training(caption)]
    assert (COUNT([caption]) == [0]) == (caption == "")


def test_a_tokenizer_file_that_truncates_or_pads_does_not_so_here(tmp_path: Path) -> None:
    rules = (TINY_FOLDER / "tokenizer" / "tokenizer.json").read_text()
    (tmp_path / "tokenizer").mkdir()
    cut = '"truncation": {"direction": "Right", "max_length": 20, "strategy": "LongestFirst", "stride": 0}'
    padded = (
        '"padding": {"strategy": {"Fixed": 50}, "direction": "Left", "pad_to_multiple_of": null, '
        '"pad_id": 2, "pad_type_id": 0, "pad_token": "</s>"}'
    )
    rules = rules.replace('"truncation": null', cut).replace('"padding": null', padded)
    (tmp_path / "tokenizer" / "tokenizer.json").write_text(rules)
    count = count_tokens(tmp_path)
    assert count is not None
    assert count(["apple " * 100, "apple"]) == [in_training("apple " * 100), in_training("apple")]


def test_the_facts_hold_the_counter_and_the_advice() -> None:
    count = FACTS.count_tokens(FACTS.flavour("tiny").source)
    assert count is not None
    assert count(["a red apple"]) == [in_training("a red apple")]
    assert FACTS.advised_tokens == 122


def test_a_folder_or_a_hub_id_in_the_cache_has_a_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tokenizer_file(str(TINY_FOLDER)) == TINY_FOLDER / "tokenizer" / "tokenizer.json"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert tokenizer_file(HUB_ID) is None
    repository = tmp_path / "models--someone--a-model"
    shutil.copytree(TINY_FOLDER / "tokenizer", repository / "snapshots" / "0123abc" / "tokenizer")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abc")
    assert tokenizer_file(HUB_ID) == repository / "snapshots" / "0123abc" / "tokenizer" / "tokenizer.json"
    count = count_tokens(HUB_ID)
    assert count is not None
    assert count(["a red apple"]) == [in_training("a red apple")]


@pytest.mark.parametrize("source", ["/no/such/folder", "no such id", "", "a/b/c", Path(__file__)])
def test_what_is_not_on_disk_has_none(source: str | Path) -> None:
    assert tokenizer_file(source) is None
    assert count_tokens(source) is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": "1.0"}', b"\xff"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "tokenizer" / "tokenizer.json"
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="is no tokenizer") as caught:
        count_tokens(tmp_path)
    assert caught.value.file == file


def test_counting_loads_no_torch() -> None:
    code = (
        "import sys; from simpletuner.models.omnigen.layers import FACTS;"
        "FACTS.count_tokens(FACTS.flavour('tiny').source)(['a red apple']);"
        "sys.exit(', '.join({'torch', 'transformers', 'diffusers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
