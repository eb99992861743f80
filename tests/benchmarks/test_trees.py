"""Generated data sets are what they claim to be."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from benchmarks.trees import photos, small_tree, write_run


def test_a_tree_has_many_sizes_and_every_picture_can_be_decoded(tmp_path: Path) -> None:
    small_tree(tmp_path / "tree", 450)
    files = sorted((tmp_path / "tree").rglob("*.jpg"))
    assert [len(list(folder.iterdir())) for folder in sorted((tmp_path / "tree").iterdir())] == [400, 50]
    sizes = set()
    for path in files[:200]:
        with Image.open(path) as image:
            image.load()
            sizes.add(image.size)
    assert len(files) == 450
    assert len(sizes) > 50
    assert files[0].stat().st_size < 4_000


def test_texts_lie_beside_their_pictures(tmp_path: Path) -> None:
    small_tree(tmp_path / "tree", 5, texts=True)
    photos(tmp_path / "photos", 5, 64, texts=True)
    for folder in (tmp_path / "tree", tmp_path / "photos"):
        pictures = {path.with_suffix("") for path in folder.rglob("*.jpg")}
        assert {path.with_suffix("") for path in folder.rglob("*.txt")} == pictures
        assert len(pictures) == 5


def test_photos_differ_and_are_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        photos(tmp_path / name, 3, 128)
    one, two = ([path.read_bytes() for path in sorted((tmp_path / name).iterdir())] for name in ("one", "two"))
    assert one == two
    assert len(set(one)) == 3


def test_a_run_is_read_as_it_is_written(tmp_path: Path) -> None:
    photos(tmp_path / "pictures", 1, 64)
    loaded = write_run(tmp_path / "run", tmp_path / "pictures", {"resolution": 64}, train_batch_size=3)
    assert loaded.datasets[0].instance_data_dir == tmp_path / "pictures"
    assert loaded.datasets[0].train_batch_size == 3
    assert loaded.config.validation.validation_disable
