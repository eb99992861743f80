from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from simpletuner.cli.outlook import Outlook, foresee
from simpletuner.cli.outlook_words import IDLE_ALPHA, factor_rule, lokr_table, outlook_json, outlook_lines
from tests.assemble.conftest import dataset, loaded_run, write_scenes


@pytest.fixture
def outlook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outlook:
    return made(tmp_path, monkeypatch, model_flavour="v1")


def made(root: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Outlook:
    monkeypatch.chdir(root)
    write_scenes(root / "cats", ["a.png"])
    return foresee(loaded_run(root, [dataset("cats")], **options), {}, 0)


def test_the_documents_recipe_in_words(outlook: Outlook) -> None:
    lines = outlook_lines(outlook)
    assert [label for label, _ in lines] == ["adapter", "", "", "", "", "disk"]
    told = [text for _, text in lines]
    assert told[0] == "lokr: 42,504,192 values, 85.0 MB"
    assert told[1] == "Attention: 128 of 128 linears, 4,751,360 parameters (11%), factor 16"
    assert told[2] == "OmniGenFeedForward: 64 of 64 linears, 37,752,832 parameters (89%), factor 8"
    rule = "a larger factor is a smaller adapter; `simpletuner check --lokr` shows those of factor 4 to 64"
    assert told[3:5] == [rule, IDLE_ALPHA]
    assert told[5].startswith("1 checkpoint of 243.2 MB: about 324.3 MB in output; ")


def test_where_a_larger_factor_is_no_smaller_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = made(tmp_path, monkeypatch, model_flavour="tiny").lokr
    sizes = {plan.factor: plan.parameters for plan in plans}
    assert factor_rule(plans) == (
        "this model is narrow: factor 25 is the smallest adapter, larger factors are larger ones"
    )
    assert sizes[4] > sizes[8] > sizes[16] > sizes[25] < sizes[32] < sizes[64]


def test_the_same_for_scripts(outlook: Outlook) -> None:
    content = outlook_json(outlook)
    assert content["adapter"]["parameters"] == 42_504_192
    assert content["adapter"]["bytes"] == 85_008_384
    assert content["adapter"]["alpha_is_idle"] is True
    assert [made["factor"] for made in content["adapter"]["lokr"]] == [4, 8, 16, 25, 32, 64]
    assert content["adapter"]["lokr"][2]["classes"][0] == {
        "class": "Attention",
        "parameters": 4_751_360,
        "share": pytest.approx(4_751_360 / 14_204_928),
    }
    (need,) = content["disk"]
    assert need["folder"] == "output"
    assert need["bytes"] == 42_504_192 * 2 * 4


def test_the_table_of_factors(outlook: Outlook) -> None:
    stream = io.StringIO()
    Console(file=stream, width=80).print(lokr_table(outlook.lokr))
    told = stream.getvalue().splitlines()
    assert told[0].split() == ["factor", "Attention", "(128)", "OmniGenFeedForward", "(64)", "values", "MB"]
    assert told[4].split() == ["16", "4,751,360", "33%", "9,453,568", "67%", "14,204,928", "28.4"]
    assert max(map(len, told)) <= 80
    assert lokr_table(()).row_count == 0


def test_what_is_not_known_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = made(tmp_path, monkeypatch, pretrained_model_name_or_path="someone/else")
    assert outlook_lines(unknown) == []
    assert outlook_json(unknown) == {"adapter": {"lokr": []}, "disk": []}
