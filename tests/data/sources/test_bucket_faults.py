from __future__ import annotations

import errno

import aiohttp
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from simpletuner.core.errors import ConfigError, DataError
from simpletuner.data.sources.bucket_faults import (
    WrongBytes,
    faults,
    is_passing,
    is_passing_at_start,
    short,
    unlisted,
)

UNREACHABLE = EndpointConnectionError(endpoint_url="http://store")
TIMED_OUT = ReadTimeoutError(endpoint_url="http://store")
SLOW_DOWN = OSError(errno.EBUSY, "Please reduce your request rate")
QUOTING = ClientError({"Error": {"Code": "Odd", "Message": "StringToSign: secret-of-the-tests"}}, "ListObjectsV2")


def test_every_fault_is_caught_by_kind() -> None:
    known = faults()
    for error in (UNREACHABLE, TIMED_OUT, SLOW_DOWN, QUOTING, aiohttp.ClientPayloadError(), TimeoutError()):
        assert isinstance(error, known)


@pytest.mark.parametrize(
    "error", [TIMED_OUT, SLOW_DOWN, WrongBytes("short"), aiohttp.ClientPayloadError(), UNREACHABLE]
)
def test_the_network_may_recover(error: BaseException) -> None:
    assert is_passing(error)


@pytest.mark.parametrize("error", [FileNotFoundError(), PermissionError(), NoCredentialsError()])
def test_a_refusal_stays(error: BaseException) -> None:
    assert not is_passing(error)
    assert not is_passing_at_start(error)


def test_nobody_at_the_endpoint_is_a_mistake_at_the_start_only() -> None:
    assert is_passing(UNREACHABLE)
    assert not is_passing_at_start(UNREACHABLE)
    assert is_passing_at_start(TIMED_OUT)


@pytest.mark.parametrize(
    ("error", "kind", "key"),
    [
        (FileNotFoundError("x"), ConfigError, "aws_bucket_name"),
        (PermissionError("x"), ConfigError, "aws_access_key_id"),
        (NoCredentialsError(), ConfigError, "aws_access_key_id"),
        (UNREACHABLE, ConfigError, "aws_endpoint_url"),
        (SLOW_DOWN, DataError, None),
        (QUOTING, DataError, None),
    ],
)
def test_what_cannot_be_listed_names_key_and_cure(error: BaseException, kind: type, key: str | None) -> None:
    told = unlisted(error, "cats", "s3://cats/set")
    assert isinstance(told, kind)
    assert (told.key, told.file) == (key, "s3://cats/set")
    assert told.cure
    assert "secret-of-the-tests" not in str(told)


def test_a_fault_in_a_few_words() -> None:
    assert short(SLOW_DOWN) == "the store is overloaded (503)"
    assert short(WrongBytes("3 bytes came")) == "3 bytes came"
    assert short(PermissionError("key AKIA")) == "the store refuses the credentials"
    assert short(QUOTING) == "ClientError"
