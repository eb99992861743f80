from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simpletuner.assemble.configure.guards import all_warnings, problem_with, require_sound, warnings
from simpletuner.assemble.configure.suggest import Facts
from simpletuner.core.errors import ConfigError
from tests.assemble.configure.conftest import answers
from tests.assemble.configure.test_suggest import facts


@pytest.mark.parametrize(
    ("given", "key", "word"),
    [
        ({"pictures": ""}, "pictures", "is missing"),
        ({"pictures": "birds"}, "pictures", "no folder 'birds'"),
        ({"captions": "instanceprompt", "words": ""}, "words", "caption of every picture"),
        ({"held_out": "birds"}, "held_out", "no folder 'birds'"),
        ({"held_out": "cats/in"}, "held_out", "trained on too"),
        ({"held_out": "."}, "held_out", "trained on too"),
        ({"output": ""}, "output", "is missing"),
        ({"output": "cats/out"}, "output", "inside the pictures"),
        ({"output": "cats"}, "output", "inside the pictures"),
        ({"output": "out", "pictures": "out/logs/cats"}, "output", "the pictures in logs"),
        ({"output": "cats.txt"}, "output", "'cats.txt' is a file"),
    ],
)
def test_what_cannot_be_meant(place: Path, given: dict[str, Any], key: str, word: str) -> None:
    (place / "cats" / "in").mkdir()
    (place / "out" / "logs" / "cats").mkdir(parents=True)
    (place / "cats.txt").touch()
    with pytest.raises(ConfigError) as caught:
        require_sound(answers(**given), place)
    assert caught.value.key == key
    assert word in caught.value.reason
    assert caught.value.cure
    problem = problem_with(key, answers(**given), place)
    assert problem is not None
    assert problem.reason == caught.value.reason


def test_what_can(place: Path) -> None:
    require_sound(answers(held_out="dogs", output="out"), place)
    require_sound(answers(output="."), place)
    assert problem_with("card", answers(), place) is None


@pytest.mark.parametrize(
    ("name", "given", "known", "word"),
    [
        ("card", {"card": "cpu", "more": {"model_flavour": "v1"}}, Facts(), "model_flavour=tiny"),
        ("captions", {"captions": "textfile"}, facts(used=5, texts=3), "2 pictures without a text file"),
        ("captions", {"captions": "filename"}, facts(used=5, named=1), "names say nothing"),
        ("resolution", {"resolution": "1024"}, facts(edge=500), "about 500 px: at 1024 px they are enlarged"),
        ("batch", {"card": "8", "resolution": "1024", "batch": 4}, Facts(), "Up to 1 should fit"),
        ("batch", {"card": "48", "batch": 6}, facts(used=4), "4 pictures for updates of 6"),
        ("steps", {"steps": 20}, Facts(), "hardly be seen"),
        ("steps", {"steps": 10_000, "batch": 4}, facts(used=10), "4,000 times"),
        ("learning_rate", {"learning_rate": 1e-2}, Facts(), "far above what LoKr likes with adamw_bf16: 0.0001"),
        ("learning_rate", {"learning_rate": 1e-6}, Facts(), "far below"),
        (
            "learning_rate",
            {"learning_rate": 1e-4, "more": {"optimizer": "bnb-lion8bit-paged"}},
            Facts(),
            "far above what LoKr likes with bnb-lion8bit-paged: 2e-05",
        ),
    ],
)
def test_what_is_worth_a_look(place: Path, name: str, given: dict[str, Any], known: Facts, word: str) -> None:
    told = warnings(name, answers(**given), known, place)
    assert word in " ".join(told)
    assert set(told) <= set(all_warnings(answers(**given), known, place))


def test_the_documents_rates_pass_without_a_word(place: Path) -> None:
    for given in (
        {"learning_rate": 1e-4},
        {"learning_rate": 4e-5},
        {"learning_rate": 1.0, "more": {"optimizer": "prodigy"}},
        {"learning_rate": 1e-3, "card": "cpu"},
    ):
        assert warnings("learning_rate", answers(**given), Facts(), place) == ()
    assert all_warnings(answers(), facts(named=20), place) == ()
    assert warnings("card", answers(card="cpu"), Facts(), place) == ()


def test_a_folder_that_holds_a_run(place: Path) -> None:
    (place / "out" / "checkpoint-5").mkdir(parents=True)
    assert "goes on from its checkpoint" in warnings("output", answers(output="out"), Facts(), place)[0]
