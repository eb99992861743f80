"""Every command and JSON block of the documentation does what its page says, or stands in a table with the reason."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from simpletuner.cli.main import run
from simpletuner.cli.select import select_run
from simpletuner.config.load import LoadedRun
from simpletuner.config.run import OPTIONS
from simpletuner.core.errors import ConfigError
from tests.docs.blocks import (
    INLINE,
    QUICKSTARTS,
    ROOT,
    SHELLS,
    Block,
    all_blocks,
    blocks_of,
    inline_of,
    not_run,
    rows,
    whole,
)
from tests.docs.conftest import PICTURES

BLOCKS = all_blocks()
JSON = [block for block in BLOCKS if block.language == "json"]
SHELL = [block for block in BLOCKS if block.language in (*SHELLS, INLINE)]
# What a block that shows some options only stands in.
REST = {
    "model_type": "lora",
    "lora_type": "lycoris",
    "lycoris_config": "config/lycoris_config.json",
    "model_family": "omnigen",
    "output_dir": "output/try",
    "data_backend_config": "small.json",
    "max_train_steps": 10,
}
SECRETS = ("DISCORD_HOOK", "HOOK_TOKEN", "STORE_KEY", "STORE_SECRET")
LIBRARY = "config/user_prompt_library.json"
# What the example has drawn, in a folder where it was trained.
DRAWN = Path("output/emoji-style/validation_images")
# Commands that load a model: seconds each.
HEAVY = ("train", "cache", "generate", "export", "plan")


@pytest.fixture
def folder(laid_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the pages take it to be, and the working directory."""
    folder = Path(shutil.copytree(laid_out, tmp_path / "folder"))
    monkeypatch.chdir(folder)
    return folder


def load(folder: Path, options: dict[str, Any]) -> LoadedRun:
    """The run of a configuration, read and checked as a command does."""
    (folder / "config" / "config.json").write_text(json.dumps(options))
    environ = {**os.environ, **{name: f"https://hooks.example.org/{name}" for name in SECRETS}}
    return select_run([], folder, environ)[0]


def load_block(content: Any, folder: Path) -> LoadedRun:
    """The run in which the content of a JSON block stands where such a file stands."""
    if isinstance(content, list):
        for entry in content:
            if "instance_data_dir" in entry:
                (folder / entry["instance_data_dir"]).mkdir(parents=True, exist_ok=True)
        return _with(folder, "data_backend_config", content)
    if "algo" in content:
        return _with(folder, "lycoris_config", content)
    if not {key.lstrip("-") for key in content} & OPTIONS.keys():
        return _with(folder, "user_prompt_library", content)
    return load(folder, {**REST, **content})


def _with(folder: Path, option: str, content: Any) -> LoadedRun:
    (folder / "shown.json").write_text(json.dumps(content))
    return load(folder, {**REST, option: "shown.json"})


@pytest.mark.parametrize("block", JSON, ids=lambda block: block.name)
def test_a_json_block_is_read_as_the_file_it_stands_for(block: Block, folder: Path) -> None:
    content = whole(block.text)
    loaded = load_block(content, folder)
    if isinstance(content, list):
        assert {dataset.id for dataset in loaded.datasets} <= {entry["id"] for entry in content}
        assert loaded.datasets
    elif "algo" in content:
        assert loaded.lycoris is not None
        assert loaded.lycoris.raw["algo"] == content["algo"]
    elif loaded.values.get("user_prompt_library") == "shown.json":
        assert [prompt.nickname for prompt in loaded.prompts] == list(content)
    else:
        given = {key.lstrip("-") for key, value in content.items() if value is not None and not key.startswith("__")}
        assert given <= loaded.values.keys()


def test_a_block_with_a_mistake_is_seen(folder: Path) -> None:
    for content in ([{"id": "a", "crop_styel": "center"}], {"algo": "lokre"}, {"learning_rate": "fast"}, {"cat": 1}):
        with pytest.raises(ConfigError):
            load_block(content, folder)


def test_the_example_files_are_a_run_in_which_every_key_counts(folder: Path) -> None:
    options = json.loads((folder / "config" / "config.json").read_text())
    loaded = load(folder, {**options, "user_prompt_library": LIBRARY})
    assert [dataset.id for dataset in loaded.datasets][1:] == ["dreambooth-subject", "dreambooth-subject-512"]
    assert len(loaded.prompts) == 2
    assert [notice for notice in loaded.notices if "not read" in notice] == []


@pytest.mark.parametrize("page", ["README.md", *QUICKSTARTS, "docs/lycoris.md"])
def test_the_lycoris_file_of_the_pages_is_the_example_file(page: str) -> None:
    example = json.loads((ROOT / "config" / "lycoris_config.json.example").read_text())
    assert example in [whole(block.text) for block in JSON if block.page == page]


def test_every_row_of_the_table_stands_on_a_page_with_a_reason() -> None:
    shown = {command for block in SHELL for command in block.commands}
    assert [command for command in not_run() if command not in shown] == []
    assert not_run()
    assert len(not_run()) == len(rows())


def test_no_command_hides_in_a_block_of_another_kind() -> None:
    others = [block for block in BLOCKS if block.language not in (*SHELLS, INLINE, "json")]
    assert {block.language for block in others} <= {"", "text", "python", "toml", "env"}
    hidden = ("simpletuner ", "./", "pip ", "hf ", "$ ")
    lines = [(block.name, line) for block in others for line in block.text.splitlines()]
    assert [found for found in lines if found[1].startswith(hidden)] == []


def test_blocks_and_commands_are_really_read() -> None:
    page = 'one\n\n```bash\nls \\\n  -l   # all\n# no\n```\n- two\n\n    ```json\n    {"a": 1}\n    ```\n'
    assert list(blocks_of(page, "p")) == [
        Block("p", 3, "bash", "ls \\\n  -l   # all\n# no\n"),
        Block("p", 10, "json", '{"a": 1}\n'),
    ]
    assert next(blocks_of(page, "p")).commands == ("ls -l",)


def test_commands_in_running_text_are_really_read() -> None:
    page = "```bash\npip install x\n```\n`./train.sh`, `A=1 simpletuner train\n  a=1`, `a=1`, `hf auth`\n`pip -V`"
    assert list(inline_of(page, "p")) == [
        Block("p", 4, "inline", "A=1 simpletuner train a=1"),
        Block("p", 6, "inline", "pip -V"),
    ]


def words_of(command: str) -> list[str] | None:
    """The words of one of our own commands; None for another program's."""
    words = shlex.split(command)
    if words[0].endswith("train.sh"):
        return ["train", *words[1:]]
    return words[1:] if words[0] == "simpletuner" else None


def shortened(words: list[str]) -> list[str]:
    """The same command on the tiny model, with few steps and small pictures."""
    shown = {"FILE": str(PICTURES / "frog.png"), "PICTURE": str(next(DRAWN.glob("step_2_*.png"), ""))}
    words = [shown.get(word, word).replace("step_60_", "step_2_") for word in words]
    if words[0] == "generate":
        small = {"v1": "tiny", "512x512": "64x64", "1024x1024": "64x64"}
        # The three built-in prompts of this probe are asked in many parts.
        prompt = ["--prompt", "a red apple on a table"] if "tokens" in words else []
        return [*(small.get(word, word) for word in words), *prompt]
    if words[0] == "plan":
        return [*words, "--largest", "validation_num_inference_steps=1"]
    if words[0] != "train":
        return words
    words += ["max_train_steps=2", "validation_num_inference_steps=1", "disable_benchmark=true"]
    if not {"--example", "--config"} & {*words}:
        words += ["model_flavour=tiny", "data_backend_config=small.json", "validation_resolution=64x64"]
    return words


def obey(command: str, folder: Path) -> None:
    """Run one command of a page; it must end well."""
    words = words_of(command)
    if words is not None:
        assert run(shortened(words)) == 0, command
        return
    subprocess.run(["bash", "-c", command], cwd=folder, check=True, capture_output=True)


def runnable(page: str) -> list[str]:
    """The commands of a page that a test can run, in order."""
    return [command for block in SHELL if block.page == page for command in block.commands if command not in not_run()]


def does(command: str) -> str:
    """The name of our own command; empty for another program."""
    return (words_of(command) or [""])[0]


def is_heavy(page: str) -> bool:
    """Whether one of the page's commands loads a model."""
    return any(does(command) in HEAVY for command in runnable(page))


RUN = [page for page in dict.fromkeys(block.page for block in SHELL) if runnable(page)]


@pytest.mark.parametrize("page", [page for page in RUN if not is_heavy(page)])
def test_the_commands_of_a_page_work(page: str, folder: Path) -> None:
    for command in runnable(page):
        obey(command, folder)


# What a page before has shown already; a session with one page only runs all of that page.
SHOWN: set[str] = set()


@pytest.mark.long
@pytest.mark.parametrize("page", [page for page in RUN if is_heavy(page)])
def test_the_commands_of_a_page_that_trains_work(
    page: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "folder"))
    monkeypatch.chdir(folder)
    for command in runnable(page):
        if not (command in SHOWN and does(command) in HEAVY):
            obey(command, folder)
        SHOWN.add(command)
