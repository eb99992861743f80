from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from simpletuner.core.errors import ConfigError
from simpletuner.data.entries import PictureError
from simpletuner.data.files.headers import read_header

ODD_NAMES = ["a.png", "sub/b c.jpg", "#?%.png", "赤い_車.webp", "e\u0301.png", "x//y.png"]


def test_what_lies_below_the_prefix_is_listed_and_read(store: Any) -> None:
    objects = {f"set/{name}": name.encode() for name in ODD_NAMES}
    store.put({**objects, "set/": b"", "set/.hidden/c.png": b"", "set/notes.md": b"", "setting/d.png": b""})
    store.put({"set/a.txt": b"text", "set/e.heic": b"", "set/f.jpg_large": b"x"})
    source = store.source(prefix="/set/")
    listing = source.listing()
    assert list(listing.pictures) == sorted(ODD_NAMES)
    assert list(listing.texts) == ["a.txt"]
    assert [item.file for item in listing.dropped] == ["e.heic"]
    assert [note.partition(";")[0] for note in listing.notes] == ["1 other files passed over: .jpg_large (1)"]
    assert {name: source.read(name) for name in ODD_NAMES} == {name: name.encode() for name in ODD_NAMES}
    assert source.read("a.txt") == b"text"
    assert source.where == f"s3://{store.bucket}/set"


def test_more_than_a_page_of_objects(store: Any) -> None:
    store.put_many(f"{number:04}.png" for number in range(1_003))
    assert len(store.source().listing().pictures) == 1_003


def test_the_version_follows_the_content_and_survives_a_rename(store: Any) -> None:
    store.put({"a.png": b"one"})
    source = store.source()
    before = source.listing().pictures["a.png"]
    assert source.version("a.png") == before == source.renamed_from(before)
    store.put({"a.png": b"two", "b.png": b"one"})
    assert source.version("a.png") != before
    assert source.listing().pictures["b.png"] == before
    assert source.version("gone.png") == ""
    # Replaced since it was listed: what is there now is read.
    store.put({"b.png": b"and three"})
    assert source.read("b.png") == b"and three"


def test_a_header_is_read_without_the_whole_object(store: Any, pictures: Any) -> None:
    noise = os.urandom(3 << 20)
    content = pictures.encoded(pictures.gradient(40, 30), "JPEG") + noise
    store.put({"small.png": pictures.encoded(pictures.gradient(12, 10)), "large.jpg": content})
    source = store.source()
    source.listing()
    with source.open("small.png") as stream:
        assert str(read_header(stream).size) == "12x10"
    with source.open("large.jpg") as stream:
        assert str(read_header(stream).size) == "40x30"
        stream.seek(-5, os.SEEK_END)
        assert stream.read() == noise[-5:]
    assert store.source().read("large.jpg") == content, "read without a listing before it"


def test_what_is_gone_is_a_picture_error(store: Any) -> None:
    store.put({"a.png": b"one"})
    source = store.source()
    source.listing()
    store.client.delete_object(Bucket=store.bucket, Key="a.png")
    with pytest.raises(PictureError, match="no longer there"):
        source.read("a.png")
    with pytest.raises(FileNotFoundError):
        source.open("b.png")


def test_a_bucket_that_is_not_there(store: Any) -> None:
    with pytest.raises(ConfigError, match="no bucket") as caught:
        store.source(bucket="nobodys").listing()
    assert caught.value.key == "aws_bucket_name"


def test_nobody_at_the_endpoint(store: Any) -> None:
    with pytest.raises(ConfigError, match="nobody answers") as caught:
        store.source(endpoint="http://127.0.0.1:9").listing()
    assert caught.value.key == "aws_endpoint_url"


def test_refused_credentials_are_a_mistake_in_the_configuration(store: Any, breaking: Callable[..., Any]) -> None:
    refusing = breaking(lambda _count, _body: 403, listings=True)
    with refusing as endpoint, pytest.raises(ConfigError, match="refuses these credentials") as caught:
        store.source(endpoint=endpoint).listing()
    assert caught.value.key == "aws_access_key_id"
    assert "secret-of-the-tests" not in f"{caught.value!r}{store.spec()!r}"


def test_credentials_that_expire_end_in_a_picture_error_at_once(store: Any, breaking: Callable[..., Any]) -> None:
    store.put({"a.png": b"one"})
    asked = []
    refusing = breaking(lambda count, _body: asked.append(count) or 403)
    with refusing as endpoint, pytest.raises(PictureError, match="refuses the credentials"):
        store.source(endpoint=endpoint).read("a.png")
    assert len(asked) == 1


def test_a_listing_survives_a_bad_network(store: Any, breaking: Callable[..., Any]) -> None:
    store.put_many(f"{number:04}.png" for number in range(1_003))
    with breaking(
        lambda count, body: body if count % 3 == 0 else [503, None][count % 3 - 1], listings=True
    ) as endpoint:
        assert len(store.source(endpoint=endpoint).listing().pictures) == 1_003


def test_no_credentials_at_all(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nowhere")
    with pytest.raises(ConfigError, match="no credentials"):
        store.source(key=None, secret=None).listing()


def faulty(count: int, body: bytes) -> bytes | int | None:
    """Every second answer is broken, each in another way."""
    faults: list[bytes | int | None] = [503, body[: len(body) // 2], None, bytes(len(body))]
    return body if count % 2 else faults[count // 2 % len(faults)]


def test_a_bad_network_changes_no_byte(store: Any, breaking: Callable[..., Any]) -> None:
    objects = {f"{number}.png": os.urandom(2_000) for number in range(12)}
    store.put(objects)
    with breaking(faulty) as endpoint:
        source = store.source(endpoint=endpoint)
        source.listing()
        with ThreadPoolExecutor(4) as pool:
            read = dict(zip(objects, pool.map(source.read, objects), strict=True))
    assert read == objects


def test_ranges_survive_a_bad_network_too(store: Any, breaking: Callable[..., Any]) -> None:
    content = os.urandom(600_000)
    store.put({"a.png": content})
    with breaking(lambda count, body: body if count % 3 == 0 else body[:100]) as endpoint:
        source = store.source(endpoint=endpoint)
        with source.open("a.png") as stream:
            assert stream.read() == content


def test_a_store_that_never_recovers_is_told(store: Any, breaking: Callable[..., Any]) -> None:
    store.put({"a.png": b"content"})
    with breaking(lambda _count, body: body[:3]) as endpoint:
        source = store.source(endpoint=endpoint)
        with pytest.raises(PictureError, match="cannot be read") as caught:
            source.read("a.png")
    assert caught.value.cure is not None


def test_bytes_that_change_on_the_way_are_never_believed(store: Any, breaking: Callable[..., Any]) -> None:
    store.put({"a.png": b"content"})
    with breaking(lambda _count, _body: b"changed") as endpoint:
        source = store.source(endpoint=endpoint)
        with pytest.raises(PictureError, match="listed MD5"):
            source.read("a.png")


def test_the_tag_of_an_encrypted_object_is_no_md5(store: Any, breaking: Callable[..., Any]) -> None:
    store.client.put_object(Bucket=store.bucket, Key="a.png", Body=b"content", ServerSideEncryption="aws:kms")
    # A store that encrypts gives the tag of what it keeps, not of what it sends.
    with breaking(lambda _count, body: body[::-1]) as endpoint:
        assert store.source(endpoint=endpoint).read("a.png") == b"tnetnoc"
