from __future__ import annotations

import pytest
from huggingface_hub import constants
from pytest_httpserver import HTTPServer

from simpletuner.core.hub import why_unreachable

NOBODY = "http://127.0.0.1:9"


def test_any_answer_is_an_answer(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", httpserver.url_for("").rstrip("/"))
    assert why_unreachable() is None
    assert len(httpserver.log) == 1
    assert httpserver.log[0][1].status_code == 500, "the server knows no page at all"


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", NOBODY)
    assert str(why_unreachable()).startswith(f"{NOBODY} does not answer (")


def test_who_is_offline_asks_nobody(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "ENDPOINT", httpserver.url_for(""))
    assert why_unreachable() == "HF_HUB_OFFLINE is set"
    assert httpserver.log == []
