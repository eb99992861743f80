from __future__ import annotations

import io
import json
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pytest

from simpletuner.core.errors import ConfigError
from simpletuner.data.entries import PictureError
from simpletuner.data.files.headers import read_header
from simpletuner.data.sources.base import Facts
from simpletuner.data.sources.shards import ShardSource, ShardSpec

SAMPLES = {
    "000.png": b"first",
    "000.txt": b"  eine Katze \n\n a cat\n",
    "sub/001.jpg": b"second",
    "sub/001.json": json.dumps({"caption": ["from json", "again"], "width": 3}).encode(),
    "sub/001.txt": b"from text",
    "002.seg.png": b"third",
    "002.json": b'{"caption": "a mask"}',
    "003.webp": b"fourth",
    "003.json": b'{"caption": ',
    "003.cls": b"7",
    "._000.png": b"of a Mac",
}


def pack(path: Path, files: list[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pack(tmp_path / "set" / "b.tar", [("000.png", b"other")])
    pack(tmp_path / "set" / "deep" / "a.tar", list(SAMPLES.items()))
    return tmp_path / "set"


def test_pictures_and_captions_of_every_shard(folder: Path) -> None:
    source = ShardSource(ShardSpec(str(folder)))
    listing = source.listing()
    paths = ["b.tar/000.png", *(f"deep/a.tar/{name}" for name in ("000.png", "002.seg.png", "003.webp", "sub/001.jpg"))]
    assert list(listing.pictures) == paths
    (note,) = listing.notes
    assert note.startswith("1 other files passed over: .cls (1);")
    assert list(listing.texts) == ["deep/a.tar/000.txt", "deep/a.tar/sub/001.txt"]
    assert listing.facts == {
        "deep/a.tar/000.png": Facts(("eine Katze", "a cat")),
        "deep/a.tar/sub/001.jpg": Facts(("from text",)),
        "deep/a.tar/002.seg.png": Facts(("a mask",)),
    }
    assert listing.dropped == ()
    assert source.where == str(folder)
    assert [source.read(path) for path in paths] == [b"other", b"first", b"third", b"fourth", b"second"]
    assert source.read("deep/a.tar/000.txt") == SAMPLES["000.txt"]


def test_one_shard_alone(folder: Path) -> None:
    source = ShardSource(ShardSpec(str(folder / "b.tar")))
    assert list(source.listing().pictures) == ["b.tar/000.png"]
    assert source.read("b.tar/000.png") == b"other"


def test_a_member_is_read_without_a_listing_from_several_threads(folder: Path, pictures: Any) -> None:
    files = [(f"{number}.png", pictures.encoded(pictures.gradient(number + 1, 5))) for number in range(20)]
    pack(folder / "c.tar", files)
    source = ShardSource(ShardSpec(str(folder)))

    def width(number: int) -> int:
        with source.open(f"c.tar/{number}.png") as stream:
            return read_header(stream).size.width

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(width, range(20))) == list(range(1, 21))


def test_the_version_follows_the_shard_and_the_place(folder: Path) -> None:
    source = ShardSource(ShardSpec(str(folder)))
    before = source.listing().pictures
    assert {path: source.version(path) for path in before} == before
    assert len(set(before.values())) == len(before)
    pack(folder / "b.tar", [("new.png", b"new"), ("000.png", b"changed")])
    assert source.version("b.tar/000.png") not in ("", before["b.tar/000.png"])
    assert source.read("b.tar/000.png") == b"changed"
    assert source.version("b.tar/gone.png") == source.version("gone.tar/a.png") == source.version("a.png") == ""


def test_a_renamed_shard_is_known_again(folder: Path) -> None:
    source = ShardSource(ShardSpec(str(folder)))
    before = source.listing().pictures["deep/a.tar/000.png"]
    (folder / "deep" / "a.tar").rename(folder / "z.tar")
    after = ShardSource(ShardSpec(str(folder))).listing().pictures["z.tar/000.png"]
    assert after != before
    assert source.renamed_from(after) == source.renamed_from(before) != ""


def test_hostile_members_are_dropped_and_touch_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    names = ["twice.png", "twice.png", "../up.png", "/abs.png"]
    path = pack(folder / "a.tar", [(name, b"%d" % number) for number, name in enumerate(names)])
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    before = sorted(tmp_path.rglob("*"))
    source = ShardSource(ShardSpec(str(folder)))
    listing = source.listing()
    assert source.read("a.tar/twice.png") == b"0"
    assert list(listing.pictures) == ["a.tar/twice.png"]
    assert {item.file: item.reason.partition(",")[0] for item in listing.dropped} == {
        "a.tar/twice.png": "the shard holds this name twice; the first one is used",
        "a.tar/../up.png": "its name leads out of the archive",
        "a.tar//abs.png": "its name leads out of the archive",
        "a.tar/link.png": "a link",
    }
    assert sorted(tmp_path.rglob("*")) == before


def test_a_shard_that_is_cut_keeps_what_is_whole(folder: Path) -> None:
    path = pack(folder / "c.tar", [(f"{number}.png", os.urandom(1000)) for number in range(5)])
    os.truncate(path, 4_000)
    listing = ShardSource(ShardSpec(str(folder))).listing()
    assert [name for name in listing.pictures if name.startswith("c.tar")] == ["c.tar/0.png", "c.tar/1.png"]
    assert [item.file for item in listing.dropped] == ["c.tar/2.png", "c.tar"]
    assert "cut short" in listing.dropped[1].reason


def test_shards_that_cannot_be_read_in_place_are_told(folder: Path) -> None:
    (folder / "d.tar.gz").write_bytes(b"x")
    (folder / "e.tar").write_bytes(b"no tar at all")
    listing = ShardSource(ShardSpec(str(folder))).listing()
    assert [item.file for item in listing.dropped] == ["d.tar.gz", "e.tar"]
    assert "compressed" in listing.dropped[0].reason


def test_a_member_that_is_gone(folder: Path) -> None:
    source = ShardSource(ShardSpec(str(folder)))
    source.listing()
    with pytest.raises(PictureError, match="in no shard"):
        source.read("b.tar/gone.png")
    (folder / "b.tar").unlink()
    with pytest.raises(PictureError, match="cannot be read"):
        source.read("b.tar/000.png")


def test_places_without_shards(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        ShardSource(ShardSpec(str(tmp_path / "gone")))
    with pytest.raises(ConfigError, match="not read over http"):
        ShardSource(ShardSpec("https://example.org/a.tar"))
    (tmp_path / "a.zip").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"no \.tar file") as caught:
        ShardSource(ShardSpec(str(tmp_path))).listing()
    assert "a.zip" in str(caught.value.cure)


def test_shards_in_a_bucket_on_a_bad_network(
    store: Any, breaking: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(400_000)
    shard = pack(folder / "c.tar", [("a.png", content), ("a.txt", b"noise")])
    store.put({"shards/c.tar": shard.read_bytes()})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with breaking(lambda count, body: body if count % 2 == 0 else body[:50]) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        source = ShardSource(ShardSpec(f"s3://{store.bucket}/shards"))
        assert source.listing().facts == {"c.tar/a.png": Facts(("noise",))}
        assert source.read("c.tar/a.png") == content
        with pytest.raises(PictureError):
            source.read("d.tar/a.png")
    with pytest.raises(ConfigError, match="nobody answers at the endpoint"):
        ShardSource(ShardSpec(f"s3://{store.bucket}/elsewhere"))


def test_links_to_folders_end(folder: Path) -> None:
    (folder / "deep" / "loop").symlink_to(folder)
    pictures = ShardSource(ShardSpec(str(folder))).listing().pictures
    assert {path.rpartition(".tar/")[0] for path in pictures} == {"b", "deep/a"}


def test_a_filesystem_that_is_not_local(folder: Path) -> None:
    memory: Any = fsspec.filesystem("memory")
    memory.pipe("/shards/a.tar", (folder / "deep" / "a.tar").read_bytes())
    source = ShardSource(ShardSpec("memory://shards"))
    assert source.listing().facts["a.tar/000.png"].captions == ("eine Katze", "a cat")
    assert source.read("a.tar/sub/001.jpg") == b"second"
    assert source.renamed_from(source.version("a.tar/000.png")) == ""
    memory.rm("/shards", recursive=True)
