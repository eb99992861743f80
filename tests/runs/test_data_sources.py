"""Every place that pictures may lie in, through the dataloader file: checked, cached and trained."""

from __future__ import annotations

import csv
import io
import json
import logging
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow
import pytest
from moto.server import ThreadedMotoServer
from pyarrow import parquet
from pytest_httpserver import HTTPServer

from tests.runs.conftest import Train, metrics
from tests.runs.data_words import adapter, command, dataloader, dataset, entries, facts, folder, report, same, samples

SIZES = {"a.png": (64, 64), "sub_b.jpg": (96, 64), "c.webp": (64, 80)}
KEY, SECRET = "key-of-the-tests", "secret-of-the-tests"
LOCAL = ("type", "instance_data_dir")


def elsewhere(kind: str, **keys: Any) -> dict[str, Any]:
    """A data set that is no local folder."""
    return {key: value for key, value in dataset().items() if key not in LOCAL} | {"type": kind, **keys}


def goes_all_the_way(train: Train, used: int = 3, output: str = "output") -> None:
    """Check, cache, cache again and train."""
    assert command("check", output_dir="checked") == 0
    assert [(found["used"], found["dropped"]) for found in report("checked")] == [(used, [])]
    assert command("cache") == 0
    made = entries()
    assert len(made) == used
    assert command("cache") == 0
    assert train(max_train_steps=2, output_dir=output) == 0
    assert entries() == made, "training finds everything there"
    assert [record["step"] for record in metrics(Path(output))] == [1, 2]


@pytest.fixture
def captioned(train: Train) -> Path:
    """Three pictures, whose captions say more than their names."""
    folder("pictures", SIZES)
    return Path("pictures")


def captions(where: str = "output") -> set[str]:
    """What the token cache holds."""
    return {found["text"] for found in facts(f"{where}/cache/text/omnigen")}


def test_csv(train: Train, captioned: Path, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    with Path("pictures.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["url", "caption"])
        for name in SIZES:
            httpserver.expect_request(f"/{name}").respond_with_data((captioned / name).read_bytes())
            writer.writerow([f"http://127.0.0.1:{httpserver.port}/{name}", f"the picture {name}"])
    where = {"csv_file": "pictures.csv", "csv_caption_column": "caption", "csv_cache_dir": "cache/csv"}
    dataloader(elsewhere("csv", caption_strategy="csv", **where))
    goes_all_the_way(train)
    assert captions() == {f"the picture {name}" for name in SIZES}
    assert len(httpserver.log) == 3, "each is fetched once"
    with Path("pictures.csv").open("a") as stream:
        stream.write(f"http://127.0.0.1:{httpserver.port}/gone.png,gone\n")
    assert train(max_train_steps=1, output_dir="after") == 0
    (found,) = report("after")
    assert (found["files"], found["used"]) == (4, 3)
    assert [item["file"] for item in found["dropped"]] == [f"line 5: http://127.0.0.1:{httpserver.port}/gone.png"]


def test_parquet(train: Train, captioned: Path) -> None:
    rows = [{"name": name, "text": f"the picture {name}", "w": size[0], "h": size[1]} for name, size in SIZES.items()]
    parquet.write_table(pyarrow.Table.from_pylist(rows), "captions.parquet")
    table = {
        "path": "captions.parquet",
        "filename_column": "name",
        "caption_column": "text",
        "width_column": "w",
        "height_column": "h",
        "identifier_includes_extension": True,
    }
    dataloader(dataset(metadata_backend="parquet", caption_strategy="parquet", parquet=table))
    goes_all_the_way(train)
    assert captions() == {f"the picture {name}" for name in SIZES}


def test_what_a_table_and_its_folder_do_not_share_is_told(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    folder("pictures", {"a.png": (64, 64), "no_row.png": (64, 64), "cafe\u0301.png": (64, 64)})
    rows = [{"name": name, "short": name[0], "long": [f"of {name[0]}"]} for name in ("a", "caf\u00e9", "gone")]
    Path("captions.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    table = {"path": "captions.jsonl", "filename_column": "name", "caption_column": ["short", "long"]}
    dataloader(dataset(metadata_backend="parquet", caption_strategy="parquet", parquet=table))
    named = "no caption for 1 of 3 pictures, which are trained on their file names: no_row.png"
    for name in ("check", "cache"):
        capsys.readouterr()
        assert command(name) == 0
        heard = capsys.readouterr()
        told = " ".join((heard.out + heard.err).split())
        assert named in told
        assert "1 of 3 rows of captions.jsonl name a picture that is not here: gone" in told
    assert captions() == {"a", "of a", "c", "of c", "no row"}
    assert command("check", output_dir="checked") == 0
    (found,) = report("checked")
    assert (found["captions"]["missing"], found["dropped"]) == (1, [])
    assert any(named in note for note in found["notes"])


def test_a_table_of_sizes_that_are_wrong_leaves_the_picture_out(train: Train, captioned: Path) -> None:
    rows = [
        {"name": name, "text": "x", "w": 640 if name == "a.png" else size[0], "h": size[1]}
        for name, size in SIZES.items()
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), "captions.parquet")
    columns = {"filename_column": "name", "caption_column": "text", "width_column": "w", "height_column": "h"}
    table = {"path": "captions.parquet", "identifier_includes_extension": True, **columns}
    dataloader(dataset(metadata_backend="parquet", caption_strategy="parquet", parquet=table))
    assert train(max_train_steps=1) == 0
    (found,) = report()
    assert [item["file"] for item in found["dropped"]] == ["a.png"]
    assert "640" in found["dropped"][0]["reason"]


def test_huggingface(train: Train, tmp_path: Path, captioned: Path) -> None:
    rows = [
        {"image": {"bytes": (captioned / name).read_bytes(), "path": None}, "text": f"the picture {name}"}
        for name in SIZES
    ]
    (tmp_path / "hub").mkdir()
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "hub" / "train-00000.parquet")
    where = {"dataset_name": str(tmp_path / "hub"), "caption_column": "text", "cache_dir": "cache/hub", "num_proc": 1}
    dataloader(elsewhere("huggingface", caption_strategy="huggingface", metadata_backend="huggingface", **where))
    goes_all_the_way(train)
    assert captions() == {f"the picture {name}" for name in SIZES}
    assert set(samples()) == {f"flat/{number}.jpg" for number in range(3)}


def test_webshart(train: Train, captioned: Path) -> None:
    Path("shards").mkdir()
    for shard, names in (("one.tar", ["a.png"]), ("two.tar", ["sub_b.jpg", "c.webp"])):
        with tarfile.open(Path("shards") / shard, "w") as archive:
            for name in names:
                archive.add(captioned / name, name)
                content = f"the picture {name}".encode()
                info = tarfile.TarInfo(str(Path(name).with_suffix(".txt")))
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    dataloader(elsewhere("webshart", source="shards", caption_strategy="webshart", metadata_backend="webshart"))
    goes_all_the_way(train)
    assert captions() == {f"the picture {name}" for name in SIZES}
    assert set(samples()) == {"flat/one.tar/a.png", "flat/two.tar/sub_b.jpg", "flat/two.tar/c.webp"}


@pytest.fixture
def bucket() -> Iterator[Callable[[dict[str, bytes]], dict[str, str]]]:
    """Puts objects into a bucket of a real server, and says how a data set reaches it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    secrets = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}

    def put(objects: dict[str, bytes]) -> dict[str, str]:
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **secrets)
        client.create_bucket(Bucket="pictures")
        for key, content in objects.items():
            client.put_object(Bucket="pictures", Key=key, Body=content)
        return {"aws_bucket_name": "pictures", "aws_endpoint_url": endpoint, "aws_region_name": "us-east-1", **secrets}

    yield put
    server.stop()


def test_a_bucket_trains_as_the_folder_it_was_copied_from(
    train: Train, captioned: Path, bucket: Callable[..., dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in SIZES:
        (captioned / name).with_suffix(".txt").write_text(f"the picture {name}")
    how = {"caption_strategy": "textfile"}
    dataloader(dataset(**how, cache_dir_vae="cache/local"))
    assert train(max_train_steps=4, output_dir="local") == 0
    where = bucket({f"set/{path.name}": path.read_bytes() for path in captioned.iterdir()})
    dataloader(elsewhere("aws", **how, aws_data_prefix="set", **where))
    goes_all_the_way(train, output="two")
    assert train(max_train_steps=4, output_dir="remote") == 0
    assert same(adapter("local"), adapter("remote"))
    assert {path.name for path in entries("cache/local")} == {path.name for path in entries()}
    heard = capsys.readouterr()
    written = "".join(
        path.read_text(errors="replace") for path in Path().rglob("*") if path.is_file() and "config" not in path.parts
    )
    assert SECRET not in heard.out + heard.err + written, "a secret stays where the user put it"
