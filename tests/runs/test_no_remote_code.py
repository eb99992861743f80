"""Nobody's files bring code: what lies beside weights or pictures never runs, and no string of a file names code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from simpletuner.models.catalogue import family_facts
from tests.runs.conftest import DATASETS, DOCUMENT, Train

MARK = "import pathlib\npathlib.Path({marker!r}).touch()\n"


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "ran"


def hostile_module(folder: Path, marker: Path) -> str:
    """A module in ``folder`` that leaves a mark when it is imported; its name."""
    code = MARK.format(marker=str(marker))
    exec(code, {})  # to know that it would
    assert marker.exists(), "it is hostile code"
    marker.unlink()
    text = f"{code}class Evil:\n    from_pretrained = from_config = classmethod(lambda *_, **__: None)\n"
    (folder / "evil.py").write_text(text)
    return "evil"


def changed(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


PARTS = ("tokenizer", "transformer", "vae", "scheduler", ".")
NOTHING_NAMED = ("tokenizer.json", "special_tokens_map.json")


def with_code(model: Path, part: str, marker: Path, **named: str) -> None:
    """Put hostile code into ``part`` of ``model``, and point to it in every way that libraries know."""
    module = hostile_module(model / part, marker)
    # For a tokenizer transformers looks at the top.
    hostile_module(model, marker)
    code = {f"Auto{kind}": f"{module}.Evil" for kind in ("Config", "Model")}
    for file in (model / part).glob("*.json"):
        if file.name not in NOTHING_NAMED:
            changed(file, auto_map=code | {"AutoTokenizer": [f"{module}.Evil", None]}, **named)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every question to a person; the answer is yes."""
    questions: list[object] = []

    def answer(*question: object) -> str:
        questions.append(question)
        return "y"

    monkeypatch.setattr("builtins.input", answer)
    return questions


def test_code_beside_weights_is_not_looked_at(train: Train, tmp_path: Path, marker: Path, asked: list[object]) -> None:
    model = shutil.copytree(family_facts("omnigen").flavours["tiny"].source, tmp_path / "model")
    for part in PARTS:
        with_code(model, part, marker)
    assert train(pretrained_model_name_or_path=model, max_train_steps=1) == 0
    assert (asked, marker.exists()) == ([], False)


@pytest.mark.parametrize("part", PARTS)
def test_a_class_that_only_code_beside_weights_has(
    train: Train, tmp_path: Path, marker: Path, asked: list[object], part: str
) -> None:
    model = shutil.copytree(family_facts("omnigen").flavours["tiny"].source, tmp_path / "model")
    with_code(model, part, marker, _class_name="Evil", tokenizer_class="Evil", model_type="evil")
    assert train(pretrained_model_name_or_path=model, max_train_steps=1) in (0, 2)
    assert (asked, marker.exists()) == ([], False)


def test_code_beside_pictures_never_runs(train: Train, tmp_path: Path, marker: Path) -> None:
    folder = tmp_path / "owner" / "set"
    folder.mkdir(parents=True)
    hostile_module(folder, marker)
    (folder / "evil.py").rename(folder / "set.py")
    dataset = {**DATASETS[0], "type": "huggingface", "dataset_name": str(folder)}
    dataset.pop("instance_data_dir")
    (tmp_path / "config" / "multidatabackend.json").write_text(json.dumps([dataset]))
    assert train(max_train_steps=1) in (2, 3)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["trust_remote_code", "custom_pipeline", "pretrained_pipeline_code"])
def test_no_option_lets_code_in(train: Train, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert train(**{name: "true"}) == 2
    assert f"{name}: " in capsys.readouterr().err


CODE = "os.system"


@pytest.mark.parametrize(
    "option",
    [
        "optimizer",
        "lr_scheduler",
        "model_family",
        "model_flavour",
        "model_type",
        "lora_type",
        "loss_type",
        "base_model_precision",
        "attention_mechanism",
        "mixed_precision",
        "report_to",
        "grad_clip_method",
        "evaluation_type",
        "flow_schedule",
    ],
)
def test_no_option_names_code(train: Train, option: str) -> None:
    assert train(**{option: CODE}) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"algo": CODE},
        {"apply_preset": {"target_module": [CODE]}},
        {"apply_preset": {"target_name": [CODE]}},
        {"apply_preset": {"target_module": ["Attention"], "module_algo_map": {"Attention": {"algo": CODE}}}},
        {"apply_preset": {"_instantiator": CODE, "target_module": ["Attention"]}},
        {"_target_": CODE},
    ],
)
def test_no_string_of_a_lycoris_file_names_code(train: Train, tmp_path: Path, change: dict[str, object]) -> None:
    file = tmp_path / "config" / "lycoris_config.json"
    shutil.copy(DOCUMENT / "lycoris_config.json", file)
    changed(file, **change)
    assert train(max_train_steps=1) == 2


@pytest.mark.parametrize(
    "key", ["type", "caption_strategy", "crop_style", "crop_aspect", "resolution_type", "dataset_type"]
)
def test_no_string_of_a_data_set_names_code(train: Train, tmp_path: Path, key: str) -> None:
    (tmp_path / "config" / "multidatabackend.json").write_text(json.dumps([{**DATASETS[0], key: CODE}]))
    assert train(max_train_steps=1) == 2
