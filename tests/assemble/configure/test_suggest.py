from __future__ import annotations

from typing import Any

import pytest

from simpletuner.assemble.configure.cards import CARDS, Machine
from simpletuner.assemble.configure.suggest import Facts, Folder, complete, edge_of, usual_rate
from simpletuner.data.report.report import DatasetReport


def facts(used: int = 20, edge: int = 1200, texts: int = 0, named: int = 0, **buckets: int) -> Facts:
    report = DatasetReport("cats", used, used, buckets or {"1.0": used}, 1, ())
    return Facts(Machine(), Folder(report, edge, texts, named))


def suggested(name: str, known: Facts, **given: Any) -> Any:
    return vars(complete({"pictures": "datasets/my-cat", **given}, known))[name]


def test_the_machines_card_is_suggested() -> None:
    assert suggested("card", Facts(Machine(("A Card",), "12"))) == "12"
    assert suggested("card", Facts()) == "24"


@pytest.mark.parametrize(
    ("texts", "named", "teach", "captions"),
    [
        (20, 20, "subject", "textfile"),
        (3, 20, "subject", "instanceprompt"),
        (3, 20, "style", "filename"),
        (3, 2, "style", "instanceprompt"),
    ],
)
def test_captions_as_they_are_found(texts: int, named: int, teach: str, captions: str) -> None:
    assert suggested("captions", facts(texts=texts, named=named), teach=teach) == captions


def test_words_are_the_folders_name_where_they_are_needed() -> None:
    assert suggested("words", facts(), captions="instanceprompt") == "my cat"
    assert suggested("words", facts(), captions="filename") == ""


@pytest.mark.parametrize(("edge", "resolution"), [(128, "512"), (899, "512"), (900, "1024"), (3000, "1024")])
def test_small_pictures_are_not_enlarged_to_1024(edge: int, resolution: str) -> None:
    assert suggested("resolution", facts(edge=edge)) == resolution


def test_a_batch_is_no_larger_than_the_card_and_the_folder() -> None:
    assert suggested("batch", facts(), card="24", resolution="1024") == 3
    assert suggested("batch", facts(), card="24", resolution="512") == 6
    assert suggested("batch", facts(used=2), card="24", resolution="1024") == 2


@pytest.mark.parametrize(("batch", "smallest", "repeats"), [(3, 10, 0), (3, 3, 0), (4, 3, 1), (6, 1, 5)])
def test_repeats_fill_the_smallest_bucket(batch: int, smallest: int, repeats: int) -> None:
    assert suggested("repeats", facts(wide=smallest, tall=12), batch=batch) == repeats


def test_many_pictures_are_not_repeated_for_one_small_bucket() -> None:
    assert suggested("repeats", facts(used=500, wide=499, tall=1), batch=4) == 0
    assert suggested("repeats", Facts(), batch=4) == 0


@pytest.mark.parametrize(
    ("used", "teach", "batch", "steps"),
    [(20, "subject", 1, 2000), (20, "subject", 4, 500), (500, "style", 2, 10_000), (5, "general", 1, 500)],
)
def test_steps_follow_from_the_pictures(used: int, teach: str, batch: int, steps: int) -> None:
    assert suggested("steps", facts(used=used), teach=teach, batch=batch) == steps


def test_previews_prompt_and_size() -> None:
    assert suggested("previews", facts(), steps=500) == 50
    assert suggested("previews", facts(), steps=10_000) == 500
    assert suggested("prompt", facts(), captions="instanceprompt", words="blip") == "a photo of blip"
    assert suggested("prompt", facts(), captions="filename") == "A photo-realistic image of a cat"
    assert suggested("prompt", facts(), captions="filename", teach="style", words="flat") == "flat, a cat"
    assert suggested("draw", facts(), resolution="both") == "1024x1024"
    assert suggested("draw", facts(), resolution="100") == "96x96"


def test_given_answers_stay() -> None:
    made = complete({"pictures": "x", "steps": 7, "output": "here"}, Facts(), {"seed": 3})
    assert (made.steps, made.output, dict(made.more)) == (7, "here", {"seed": 3})
    assert complete({"pictures": "datasets/my-cat"}, Facts()).output == "output/my-cat"


@pytest.mark.parametrize(
    ("optimizer", "rate"), [("adamw_bf16", 1e-4), ("bnb-lion8bit-paged", 2e-5), ("prodigy", None), ("soap", None)]
)
def test_the_rate_that_suits_an_optimizer(optimizer: str, rate: float | None) -> None:
    assert usual_rate(optimizer, CARDS["24"]) == rate


def test_the_rate_that_is_suggested() -> None:
    rates = [
        complete({"pictures": "x"}, Facts(), {"optimizer": name} if name else None).learning_rate
        for name in ("", "bnb-lion8bit", "prodigy", "soap")
    ]
    assert rates == [1e-4, 2e-5, 1.0, 1e-4]


def test_without_a_card_what_suits_the_tiny_model() -> None:
    assert suggested("resolution", facts(edge=1200), card="cpu") == "64"
    assert suggested("learning_rate", facts(), card="cpu") == 1e-3


def test_the_edge() -> None:
    assert (edge_of({"resolution": "both"}), edge_of({"resolution": "768"})) == (1024, 768)
