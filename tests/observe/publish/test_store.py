"""The door to stores, against a real S3 server on loopback."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from simpletuner.observe.publish.courier import Courier
from simpletuner.observe.publish.job import Answer, Job
from simpletuner.observe.publish.store import refusal

KEY, SECRET = "key-of-the-tests", "secret-of-the-tests"
FILES = {"a.txt": b"a", "logs/b c.bin": bytes(range(256)) * 40, "checkpoint-2/manifest.json": b"{}"}


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Any]]:
    """The address, and a client."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    address = f"http://{host}:{port}"
    made = boto3.client(
        "s3", endpoint_url=address, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
    )
    made.create_bucket(Bucket="door")
    yield address, made
    moto.stop()


@pytest.fixture
def job(tmp_path: Path, server: tuple[str, Any]) -> Job:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    facts = {"provider": "s3", "access_key": KEY, "secret_key": SECRET, "region": "us-east-1"}
    facts["endpoint_url"] = server[0]
    return Job("store", "door/fox", str(tmp_path), tuple(FILES), facts, 60.0)


def sent(job: Job) -> Answer:
    courier = Courier(os.environ, str)
    try:
        answer = courier.wait(courier.send(job), lambda: False)
    finally:
        courier.close()
    assert answer is not None
    return answer


def test_every_byte_arrives_below_the_base_path(job: Job, server: tuple[str, Any]) -> None:
    assert sent(job) == Answer("done")
    client = server[1]
    listed = client.list_objects_v2(Bucket="door")["Contents"]
    found = {entry["Key"]: client.get_object(Bucket="door", Key=entry["Key"])["Body"].read() for entry in listed}
    assert found == {f"fox/{name}": content for name, content in FILES.items()}


def test_a_bucket_that_is_not_there_is_told_at_once(job: Job) -> None:
    answer = sent(Job("store", "nowhere/fox", job.folder, job.files, job.facts, 60.0))
    assert answer == Answer("refused", "there is no such bucket or container, or not all of it")


@pytest.mark.long
def test_nobody_at_the_address_is_told_after_three_tries(job: Job) -> None:
    answer = sent(Job("store", job.target, job.folder, job.files, {**job.facts, "endpoint_url": "http://127.0.0.1:1"}))
    assert answer == Answer("unreachable", "nobody answers at the address, 3 times")


def test_words_for_errors() -> None:
    assert refusal(PermissionError("key AKIA...")) == "the store refuses these credentials"
    assert refusal(OSError("reset")) is None
