from __future__ import annotations

from typing import Any

import httpx2
import pytest


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_who_knows_the_token_is_served(page: Any, host: str) -> None:
    there = page().place
    assert httpx2.get(there.address.replace("127.0.0.1", host)).status_code == 200


@pytest.mark.parametrize(
    "path", ["", "token-of-the-test", "state", "token-of-the-testsX/", "x/token-of-the-tests/", "%00"]
)
def test_who_does_not_hears_nothing(page: Any, path: str) -> None:
    there = page().place
    answer = httpx2.get(f"http://127.0.0.1:{there.port}/{path}")
    assert (answer.status_code, answer.text) == (404, "nothing is here")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "169.254.169.254:{port}"]
)
def test_a_name_that_was_rebound_is_refused(page: Any, host: str) -> None:
    there = page()
    answer = there.get("state", headers={"Host": host.format(port=there.place.port)})
    assert answer.status_code == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1"])
def test_another_page_may_neither_read_nor_send(page: Any, origin: str) -> None:
    there = page()
    headers = {"Origin": origin.format(port=there.place.port)}
    assert there.get("state", headers=headers).status_code == 403
    assert there.post('{"type": "notification", "message": "forged"}', headers=headers).status_code == 403
    assert there.get("state").json()["messages"] == []


def test_the_page_itself_may(page: Any) -> None:
    there = page()
    assert there.get("state", headers={"Origin": f"http://127.0.0.1:{there.place.port}"}).status_code == 200


@pytest.mark.parametrize("path", ["", "state", "picture/none"])
def test_every_answer_keeps_the_browser_in_its_place(page: Any, path: str) -> None:
    headers = page().get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
