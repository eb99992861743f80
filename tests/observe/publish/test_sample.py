"""The code of a model card; ``tests/runs/test_publishing.py`` runs it."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path

import pytest

from simpletuner.observe.publish.facts import Base, Facts, ShownPicture
from simpletuner.observe.publish.sample import can_be_merged, command, sample_code
from tests.observe.publish.conftest import Loading

HUB = Base("Shitao/OmniGen-v1-diffusers", is_default=True)
OPTIONS = {"lycoris": {}, "lora": {"lora_type": "standard"}, "full": {"model_type": "full"}}


@pytest.mark.parametrize("base", [HUB, Base("")])
@pytest.mark.parametrize("kind", OPTIONS)
def test_it_is_a_program(loading: Loading, kind: str, base: Base) -> None:
    made = loading(**OPTIONS[kind], validation_prompt='it\'s "a" {fox}\nred', validation_resolution="64x128,32")
    code = sample_code(Facts("fox/x", base, made, 4, 1))
    found = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}
    assert {"fox/x", 'it\'s "a" {fox}\nred', 64, 128, 7.5, 42} <= found
    assert code.splitlines()[-1] == "image.save('picture.png')"
    assert (HUB.source in found) is bool(base.source)


@pytest.mark.parametrize("commit", ["0123456789" * 4, None])
def test_the_base_is_loaded_at_the_commit_that_was_trained_over(loading: Loading, commit: str | None) -> None:
    code = sample_code(Facts("fox/x", Base("fox/base", commit=commit), loading(), 4, 1))
    (call,) = (
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "OmniGenPipeline.from_pretrained"
    )
    assert ast.literal_eval(call.args[0]) == "fox/base"
    given = {str(keyword.arg): ast.unparse(keyword.value) for keyword in call.keywords}
    told = {} if commit is None else {"revision": repr(commit)}
    assert given == {**told, "torch_dtype": "torch.bfloat16"}


def test_the_command_is_what_a_shell_takes(loading: Loading) -> None:
    made = loading(validation_prompt="it's a fox", validation_resolution="64", validation_lycoris_strength="1.5")
    text = command(Facts("fox/x", Base("fox/base"), made, 4, 1, pictures=(ShownPicture("a", "b"),)))
    words = shlex.split(text.partition("\n")[2].replace("\\\n", " "))
    assert words[:2] == ["simpletuner", "generate"]
    options = dict(zip(words[2::2], words[3::2], strict=True))
    assert options["--prompt"] == "it's a fox"
    assert options["--strength"] == "1.5"
    assert options["--model"] == "fox/base"


@pytest.mark.parametrize(
    ("options", "folder"),
    [
        ({"ema_validation": "ema_only"}, "ema/"),
        ({"ema_validation": "comparison"}, ""),
        ({"ema_validation": "ema_only", "use_ema": "false"}, ""),
    ],
)
def test_the_weights_are_those_that_drew_the_pictures(loading: Loading, options: dict[str, str], folder: str) -> None:
    facts = Facts("fox/x", HUB, loading(**options), 4, 1)
    file = f"{folder}pytorch_lora_weights.safetensors"
    assert f"hf_hub_download('fox/x', '{file}')" in sample_code(facts)
    assert command(facts).startswith(f"hf download fox/x {file} --local-dir adapter\n")
    assert f" --adapter adapter/{file} " in command(facts)
    whole = Facts("fox/x", HUB, loading(**options, model_type="full"), 4, 1)
    assert f"'fox/x', subfolder='{folder}transformer'," in sample_code(whole)


def test_what_only_our_sampler_can_do_is_not_offered(loading: Loading, tmp_path: Path) -> None:
    (tmp_path / "config" / "lycoris_config.json").write_text(
        '{"algo": "tlora", "multiplier": 1.0, "linear_dim": 4, "linear_alpha": 4}'
    )
    assert not can_be_merged(Facts("fox/x", HUB, loading(), 4, 1))
