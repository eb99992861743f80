"""Whatever stands in a file, its reader has an answer or a message: damage by chance to what is ours to read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simpletuner.adapters.initial import read_adapter_file
from simpletuner.cli.main import run
from simpletuner.core.checkpoints import MANIFEST, problem_with, sealed
from simpletuner.core.errors import SimpletunerError
from tests.runs.conftest import lay_out

# A thousand of each with --all; the promise's ten million are a machine's work of days.
SHORT = settings(max_examples=25, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=1000, suppress_health_check=list(HealthCheck))
FORMATS = {
    "config.json": b'{"model_type": "lora", "learning_rate": "4e-5", "validation_prompt": "\\u00e9 fox"}',
    "config.toml": b'model_type = "lora"\nlearning_rate = 4e-5\n[sub]\nx = [1, 2]\n',
    "config.env": b"export MODEL_TYPE='lora'\nLEARNING_RATE=4e-5\nTRAINER_EXTRA_ARGS=\"--seed=1 --x 'y'\"\n",
}
OTHERS = ("multidatabackend.json", "lycoris_config.json", "library.json", "hooks.json", "stores.json")
# What parsers trip over, beside random bytes.
TROUBLE = [b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"{" * 3000, b"[" * 3000, b"1e999", b"NaN", b"\\ud800"]
TROUBLE += [b'"', b",", b"'", b"{}", b"null"]


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """``content``, with some pieces cut out and others put in."""
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(content)))
        end = draw(st.integers(begin, min(len(content), begin + 40)))
        content = content[:begin] + draw(st.sampled_from(TROUBLE) | st.binary(max_size=12)) + content[end:]
    return content


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder in which every file that a configuration can name is there."""
    folder = lay_out(tmp_path)
    monkeypatch.chdir(folder)
    (folder / "config" / "library.json").write_text('{"fox": "a fox", "cat": "a cat"}')
    (folder / "config" / "hooks.json").write_text('[{"webhook_type": "raw", "webhook_url": "http://127.0.0.1:1/x"}]')
    store = {"provider": "s3", "bucket": "b", "access_key": "k", "secret_key": "{env:PATH}"}
    (folder / "config" / "stores.json").write_text(json.dumps(store))
    config = folder / "config" / "config.json"
    named = {"user_prompt_library": "library.json", "webhook_config": "hooks.json", "publishing_config": "stores.json"}
    config.write_text(json.dumps(json.loads(config.read_text()) | named))
    return folder


def is_answered(project: Path, name: str, content: bytes) -> bool:
    """Whether `check` ends with a documented code; a traceback would end the test."""
    file = project / "config" / name
    kept = file.read_bytes() if file.exists() else None
    config = project / "config" / "config.json"
    whole = config.read_bytes()
    if name in FORMATS:
        config.unlink()
    file.write_bytes(content)
    try:
        backend = file.suffix[1:] if name in FORMATS else "json"
        return run(["check", "--no-scan", f"config_backend={backend}"]) in (0, 2, 3)
    finally:
        file.unlink() if kept is None else file.write_bytes(kept)
        config.write_bytes(whole)


def fuzz_files(project: Path, how: settings) -> None:
    whole = {name: (project / "config" / name).read_bytes() for name in OTHERS}

    @how
    @given(st.sampled_from(sorted(whole | FORMATS)), st.data())
    def each(name: str, data: st.DataObject) -> None:
        content = FORMATS.get(name) or whole[name]
        assert is_answered(project, name, data.draw(damaged(content)))

    each()


def test_a_damaged_file_is_told(project: Path) -> None:
    assert is_answered(project, "config.json", (project / "config" / "config.json").read_bytes())
    fuzz_files(project, SHORT)


@pytest.mark.long
def test_a_thousand_damaged_files_are_told(project: Path) -> None:
    fuzz_files(project, LONG)


@settings(LONG, max_examples=300)
@given(st.data())
def test_a_damaged_manifest_is_a_damaged_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("x") / "checkpoint-1"
    folder.mkdir()
    whole = json.dumps(sealed({"format": 1, "step": 1, "files": {}})).encode()
    content = data.draw(damaged(whole))
    (folder / MANIFEST).write_bytes(content)
    problem = problem_with(folder)
    assert isinstance(problem, str) or content == whole


@settings(LONG, max_examples=300)
@given(st.data())
def test_a_damaged_adapter_is_told(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    # A header and its length; what follows is numbers, of which all are good.
    header = b'{"__metadata__":{"x":"y"},"a.lora_A.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}'
    content = data.draw(damaged(len(header).to_bytes(8, "little") + header + bytes(4)))
    file = tmp_path_factory.mktemp("x") / "adapter.safetensors"
    file.write_bytes(content)
    try:
        found = read_adapter_file(file)
    except SimpletunerError as error:
        assert os.fspath(file) in str(error)
    else:
        assert all(tensor.numel() for tensor in found.tensors.values())
