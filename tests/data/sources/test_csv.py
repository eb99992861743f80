from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from simpletuner.core.errors import ConfigError, DataError, SimpletunerError
from simpletuner.data.sources.base import Facts
from simpletuner.data.sources.csv import CsvSource, CsvSpec


@pytest.fixture
def site(httpserver: HTTPServer, pictures: Any) -> str:
    """The address of a server with a PNG, a JPEG that is called otherwise, and pages that are no picture."""
    png = pictures.encoded(pictures.gradient(8, 6))
    httpserver.expect_request("/a.png").respond_with_data(png, content_type="image/png")
    jpeg = pictures.encoded(pictures.gradient(9, 6), "JPEG")
    httpserver.expect_request("/picture").respond_with_data(jpeg, content_type="text/plain")
    httpserver.expect_request("/page.png").respond_with_data(b"<html>sorry</html>", content_type="image/png")
    httpserver.expect_request("/empty.png").respond_with_data(b"")
    return f"http://127.0.0.1:{httpserver.port}"


def listed(tmp_path: Path, text: str, **columns: str) -> CsvSource:
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="utf-8")
    return CsvSource(CsvSpec(str(path), "caption", str(tmp_path / "kept"), **columns))


def test_pictures_are_downloaded_once(tmp_path: Path, site: str, httpserver: HTTPServer) -> None:
    text = f'\ufeffurl,caption\n{site}/a.png,a cat\n{site}/picture,"a dog, ""old"""\n{site}/a.png,the same cat\n'
    source = listed(tmp_path, text)
    listing = source.listing()
    assert sorted(path.rpartition(".")[2] for path in listing.pictures) == ["jpg", "png"]
    assert {facts.captions for facts in listing.facts.values()} == {("a cat", "the same cat"), ('a dog, "old"',)}
    (png,) = (path for path in listing.pictures if path.endswith(".png"))
    with source.open(png) as stream:
        assert source.read(png) == stream.read() == (tmp_path / "kept" / png).read_bytes()
    assert source.version(png) == listing.pictures[png]
    assert len(httpserver.log) == 2
    assert listed(tmp_path, text).listing() == listing
    assert len(httpserver.log) == 2
    assert not list((tmp_path / "kept").glob(".*"))


def test_what_cannot_be_had_is_dropped_with_its_line_and_tried_again(
    tmp_path: Path, site: str, httpserver: HTTPServer, pictures: Any
) -> None:
    lines = [
        f"{site}/gone.png?token=hidden",
        f"{site}/page.png",
        f"{site}/empty.png",
        "",
        "ftp://x/a",
        "http://10.0.0.1/a",
    ]
    text = "url,caption\n" + "".join(f"{url},x\n" for url in [f"{site}/a.png", *lines])
    listing = listed(tmp_path, text).listing()
    assert len(listing.pictures) == 1
    reasons = {item.file.partition(":")[0]: item.reason for item in listing.dropped}
    assert reasons.pop("line 3").startswith("the server answers 500")
    assert "HTML" in reasons.pop("line 4")
    assert reasons.pop("line 5") == "the file is empty"
    assert reasons.pop("line 6") == "it has no URL"
    assert "only http" in reasons.pop("line 7")
    assert "private address" in reasons.pop("line 8")
    assert not reasons
    assert "hidden" not in str(listing.dropped)
    httpserver.expect_request("/gone.png").respond_with_data(pictures.encoded(pictures.gradient(5, 5)))
    assert len(listed(tmp_path, text).listing().pictures) == 2


def test_a_picture_that_is_there_is_listed_without_a_network(tmp_path: Path, site: str, httpserver: HTTPServer) -> None:
    text = f"link,caption\n{site}/a.png,\n"
    before = listed(tmp_path, text, url_column="link").listing()
    httpserver.clear()
    assert listed(tmp_path, text, url_column="link").listing() == before
    assert list(before.facts.values()) == [Facts()]


def test_the_version_follows_the_file(tmp_path: Path, site: str) -> None:
    source = listed(tmp_path, f"url,caption\n{site}/a.png,x\n")
    ((path, before),) = source.listing().pictures.items()
    os.utime(tmp_path / "kept" / path, (1, 1))
    assert source.version(path) != before
    assert source.renamed_from(before) == ""
    (tmp_path / "kept" / path).unlink()
    assert source.version(path) == ""
    assert source.where.endswith("list.csv")


def test_one_long_caption_is_dropped_by_its_line(tmp_path: Path, site: str) -> None:
    long, longest = "x" * (1 << 20), "x" * ((1 << 20) + 1)
    text = f"url,caption\n{site}/a.png,{long}\n{site}/a.png,{longest}\n{site}/picture,é{long}\n"
    listing = listed(tmp_path, text).listing()
    assert [facts.captions for facts in listing.facts.values()] == [(long,)]
    assert [(item.file, item.reason, item.cause) for item in listing.dropped] == [
        (f"line {line}", "its caption is larger than 1 MiB", "caption") for line in (3, 4)
    ]


def test_a_file_on_another_machine_is_to_be_downloaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="download it") as caught:
        CsvSource(CsvSpec("https://example.org/list.csv", "caption", str(tmp_path / "kept"))).listing()
    assert caught.value.key == "csv_file"


@pytest.mark.parametrize("path", ["a.png", "../up/a.png", "/etc/passwd", "C:\\a.png", "c:/a.png", "~/a.png"])
def test_a_path_is_an_error_that_names_its_line(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match=r"line 3: .* is a path") as caught:
        listed(tmp_path, f"url,caption\nftp://x/a,x\n{path},x\n").listing()
    assert caught.value.key == "csv_url_column"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("link,caption\nx,y\n", 'no column "url"'),
        ("url,text\nx,y\n", 'no column "caption"'),
        ("", 'no column "url"'),
        ("url,caption\nhttp://x/a,a cat, sitting\n", "line 2 has more cells"),
        (f"url,caption\nhttp://x/a,{'x' * (17 << 20)}\n", "follows line 1 cannot be read"),
    ],
    ids=range(5),
)
def test_a_broken_file_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message) as caught:
        listed(tmp_path, text).listing()
    assert caught.value.cure


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        CsvSource(CsvSpec(str(tmp_path / "gone.csv"), "caption", str(tmp_path / "kept"))).listing()
    (tmp_path / "bad.csv").write_bytes(b"url,caption\n\xff,x\n")
    with pytest.raises(DataError, match="UTF-8"):
        CsvSource(CsvSpec(str(tmp_path / "bad.csv"), "caption", str(tmp_path / "kept"))).listing()
    with pytest.raises(ConfigError, match="cannot be made"):
        CsvSource(CsvSpec(str(tmp_path / "bad.csv"), "caption", str(tmp_path / "bad.csv" / "kept")))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_is_read_or_told(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    source = listed(tmp_path_factory.mktemp("any"), "url,caption\n" + text.replace("http", "ftp"))
    try:
        source.listing()
    except SimpletunerError as error:
        assert error.cure


def test_a_long_list_takes_no_longer_than_its_lines(tmp_path: Path, site: str) -> None:
    rows = "".join(f"{site}/a.png,caption {number}\n" for number in range(100_000))
    (facts,) = listed(tmp_path, f"url,caption\n{rows}").listing().facts.values()
    assert facts.captions is not None
    assert len(facts.captions) == 100_000
