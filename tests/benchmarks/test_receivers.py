"""Receivers that keep what they are told, and those that make trouble."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

import pytest

from benchmarks.receivers import arrived, serving, trouble


def post(url: str, message: object, seconds: float = 5.0) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=seconds)
    try:
        connection.request("POST", "/", json.dumps(message))
        return connection.getresponse().status
    finally:
        connection.close()


def test_what_was_told_is_kept_in_order() -> None:
    previews = [
        {"type": "validation.image", "data": {"step_label": label}, "images": ["x"]} for label in ("5/10", "10/10")
    ]
    with serving(204) as receiver:
        for message in (*previews, previews[0], {"type": "error"}):
            assert post(receiver.url, message) == 204
        assert receiver.messages()[:2] == previews
        assert arrived(receiver.messages()) == {
            "messages": {"validation.image": 3, "error": 1},
            "previews_after": ["5/10", "10/10"],
            "previews_without_picture": 0,
        }
    assert arrived([{**previews[0], "images": []}])["previews_without_picture"] == 1


def test_trouble_of_each_kind() -> None:
    with trouble() as (fails, limits, hangs, refuses):
        assert post(fails, {}) == 500
        assert post(limits, {}) == 429
        with pytest.raises(TimeoutError):
            post(hangs, {}, 0.2)
        with pytest.raises(ConnectionRefusedError):
            post(refuses, {})
