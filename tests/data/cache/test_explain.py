from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from simpletuner.core.batch import Latents
from simpletuner.core.samples import SampleId
from simpletuner.data.cache.explain import explain_entry, explain_picture, plain_path
from simpletuner.data.cache.keys import content_digest, token_key
from simpletuner.data.cache.latents import LatentStore
from simpletuner.data.cache.masks import MaskKind, MasksOnDemand
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.cache.tokens import Caption, read_or_tokenize
from simpletuner.data.entries import Entry, PictureError
from simpletuner.data.files.digests import Digests
from simpletuner.data.places.crops import Crop
from simpletuner.data.places.geometry import Placement, Size
from simpletuner.data.sources.folder import FolderSource

ENTRY = Entry(SampleId("set", "a.png"), 32, 16, ("a",), Placement("1.0", Size(16, 16), Size(32, 16)), Crop(10, 0))


class Room:
    """One picture and its cache."""

    def __init__(self, folder: Path, pictures: Any) -> None:
        path = pictures.write(folder / "set/a.png", 32, 16)
        self.digest = content_digest(path.read_bytes())
        self.source = FolderSource.at(str(folder / "set"))
        self.store = TensorStore(folder / "cache")
        self.latents = LatentStore(self.store, "vae")
        self.key = self.latents.key(ENTRY, self.digest)
        self.path = self.store.path(self.key)

    def fill(self) -> None:
        self.latents.write(ENTRY, self.digest, Latents(torch.ones(4, 2, 2), torch.ones(4, 2, 2)))

    def picture(self) -> list[str]:
        return explain_picture(ENTRY, self.source, Digests({}), self.store, "vae")

    def entry(self, **now: str) -> list[str]:
        """The lines about the picture's entry, after the path, when the configuration wants ``now``."""
        expected = {"set/a.png": {**self.latents.ingredients(ENTRY, self.digest), **now}}
        lines = explain_entry(self.path, expected)
        assert all(line.startswith(f"{self.path}: ") for line in lines)
        return [line.removeprefix(f"{self.path}: ") for line in lines]


@pytest.fixture
def room(tmp_path: Path, pictures: Any) -> Room:
    return Room(tmp_path, pictures)


def test_a_picture_with_its_ingredients(room: Room) -> None:
    assert room.picture() == [
        "set/a.png",
        f"  key: {room.key}",
        f"  SHA-256 of the file: {room.digest}",
        "  trained at: 16x16",
        "  scaled to: 32x16",
        "  crop: 10,0",
        "  VAE: vae",
        "  stored as: float32",
        "  version of the decoding: 1",
        f"  not in the cache: {room.path} is made when it is needed",
    ]


def test_a_picture_whose_entry_is_there_or_damaged(room: Room) -> None:
    room.fill()
    assert room.picture()[-1] == f"  in the cache, sound: {room.path}"
    room.path.write_bytes(room.path.read_bytes()[:-1])
    assert room.picture()[-1] == f"  damaged: {room.path} is made again when it is needed"
    assert room.path.exists(), "to explain changes nothing"


def test_a_picture_that_cannot_be_read(room: Room) -> None:
    with pytest.raises(PictureError):
        explain_picture(
            dataclasses.replace(ENTRY, sample=SampleId("set", "b.png")), room.source, Digests({}), room.store, "vae"
        )


def test_an_entry_that_is_used(room: Room) -> None:
    room.fill()
    assert room.entry() == ["the latent of set/a.png: used"]


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"crop": "12,0"}, "the crop was 10,0 and is 12,0"),
        ({"codec": "other"}, "it was made by another VAE, or by the same one at another precision, scaling or tiling"),
        ({"content": "0"}, "the file's bytes changed"),
        ({"target": "32x16"}, "it was trained at 16x16 and is trained at 32x16"),
        ({"intermediary": "40x20"}, "it was scaled to 32x16 and is scaled to 40x20"),
        ({"dtype": "bfloat16"}, "it was stored as float32 and is stored as bfloat16"),
        ({"version": "2"}, "it was decoded by version 1 of our code, which is 2 now"),
    ],
)
def test_an_entry_that_is_not_used_says_what_differs(room: Room, now: dict[str, str], said: str) -> None:
    room.fill()
    assert room.entry(**now) == [f"the latent of set/a.png: not used: {said}"]


def test_all_differences_are_told(room: Room) -> None:
    room.fill()
    assert len(room.entry(crop="0,0", codec="other", content="0")) == 3


def test_an_entry_of_a_picture_that_is_not_configured(room: Room) -> None:
    room.fill()
    said = "the latent of set/a.png: no picture of this configuration uses it"
    assert explain_entry(room.path, {}) == [f"{room.path}: {said}"]


def test_an_entry_that_another_picture_of_the_same_bytes_uses(room: Room) -> None:
    room.fill()
    expected = {"set/copy.png": room.latents.ingredients(ENTRY, room.digest)}
    assert explain_entry(room.path, expected) == [f"{room.path}: the latent of set/copy.png: used"]


def test_files_that_are_no_sound_entries(room: Room, tmp_path: Path) -> None:
    (line,) = explain_entry(room.path, {})
    assert line.endswith("there is no such file")
    room.fill()
    room.path.write_bytes(b"")
    assert "damaged" in room.entry()[0]
    for name in ("notes.txt", f"cache/{room.key[:2]}/notes.txt", f"{room.key}.safetensors"):
        (tmp_path / name).write_bytes(b"")
        (line,) = explain_entry(tmp_path / name, {})
        assert "no cache entry" in line


def test_a_relative_path(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.fill()
    monkeypatch.chdir(room.path.parent)
    (line,) = explain_entry(Path(room.path.name), {})
    assert "the latent of set/a.png" in line


def test_a_path_that_goes_round(room: Room, tmp_path: Path) -> None:
    room.fill()
    folder, name = room.path.parent, room.path.name
    (tmp_path / "way").symlink_to(folder)
    (tmp_path / "alias.safetensors").symlink_to(room.path)
    for path in (folder / "x/.." / name, tmp_path / "way" / name, tmp_path / "alias.safetensors"):
        (line,) = explain_entry(path, {})
        assert line.endswith("the latent of set/a.png: no picture of this configuration uses it")


def test_a_plain_path_keeps_its_links_unless_one_leads_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "far/inner").mkdir(parents=True)
    (tmp_path / "way").symlink_to(tmp_path / "far/inner")
    monkeypatch.chdir(tmp_path)
    assert plain_path(Path("way/a.png")) == tmp_path / "way/a.png"
    assert plain_path(Path("far/../way/./a.png")) == tmp_path / "way/a.png"
    assert plain_path(Path("way/../a.png")) == tmp_path / "far/a.png"


def test_tokens_and_masks_are_told_apart(room: Room) -> None:
    key = token_key("a cat", "words")
    read_or_tokenize(room.store, key, Caption("a cat"), lambda *_: [1, 2])
    (line,) = explain_entry(room.store.path(key), {})
    assert line.endswith('the tokens of the caption "a cat"')
    masks = MasksOnDemand(room.source, Digests({}), room.store, {"a.png": "a.png"}, MaskKind())
    masks(ENTRY)
    (key,) = room.store.keys() - {key}
    now = room.latents.ingredients(ENTRY, room.digest)
    (used,) = explain_entry(room.store.path(key), {"set/a.png": now})
    assert used.endswith('the mask "a.png" of set/a.png: used, unless the mask file changed')
    (moved,) = explain_entry(room.store.path(key), {"set/a.png": {**now, "crop": "0,0"}})
    assert moved.endswith("not used: the crop was 10,0 and is 0,0")
