"""What asking an S3-compatible store can end in, and how it is told.

Nothing here quotes the store: its answer may quote our credentials.
"""

from __future__ import annotations

import errno

from simpletuner.core.errors import ConfigError, DataError, SimpletunerError
from simpletuner.core.optional import optional

NEEDED_FOR = 'type "aws"'
_NO_CREDENTIALS = frozenset(("NoCredentialsError", "PartialCredentialsError"))
_UNREACHABLE = "EndpointConnectionError"


class WrongBytes(OSError):
    """What came is not what the store listed."""


def faults() -> tuple[type[BaseException], ...]:
    """Every kind of exception that a request can end in."""
    boto = optional("botocore.exceptions", extra="data", needed_for=NEEDED_FOR)
    aiohttp = optional("aiohttp", extra="data", needed_for=NEEDED_FOR)
    return (OSError, boto.BotoCoreError, boto.ClientError, aiohttp.ClientError)


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed a moment later."""
    final = isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError))
    return not final and type(error).__name__ not in _NO_CREDENTIALS


def is_passing_at_start(error: BaseException) -> bool:
    """The same before anything was ever answered: nobody at the endpoint is a mistake then."""
    return is_passing(error) and type(error).__name__ != _UNREACHABLE


def unlisted(error: BaseException, bucket: str, where: str) -> SimpletunerError:
    """The error for a bucket that cannot be listed: a mistake in a key, or a fault of the store."""
    name = type(error).__name__
    if isinstance(error, FileNotFoundError):
        return ConfigError(
            f'there is no bucket "{bucket}"', file=where, key="aws_bucket_name", cure="correct the name or the endpoint"
        )
    if isinstance(error, PermissionError):
        return ConfigError(
            "the store refuses these credentials",
            file=where,
            key="aws_access_key_id",
            cure="check aws_access_key_id and aws_secret_access_key, and that they may list the bucket",
        )
    if name in _NO_CREDENTIALS:
        return ConfigError(
            "there are no credentials",
            file=where,
            key="aws_access_key_id",
            cure="set aws_access_key_id and aws_secret_access_key, best as {env:NAME}",
        )
    if name == _UNREACHABLE:
        return ConfigError(
            "nobody answers at the endpoint",
            file=where,
            key="aws_endpoint_url",
            cure="check aws_endpoint_url and the network",
        )
    return DataError(f"cannot be listed ({short(error)})", file=where, cure="try again; the store may be overloaded")


def short(error: BaseException) -> str:
    """What went wrong in a few words."""
    if isinstance(error, WrongBytes):
        return str(error)
    if isinstance(error, OSError) and error.errno in _SAID:
        return _SAID[error.errno]
    return _SAID_BY_KIND.get(type(error), type(error).__name__)


_SAID = {
    errno.EBUSY: "the store is overloaded (503)",
    errno.EREMOTEIO: "the store failed (500)",
    errno.EREMCHG: "the bucket lies in another region or at another endpoint",
}
_SAID_BY_KIND: dict[type[BaseException], str] = {
    FileNotFoundError: "it is no longer there",
    PermissionError: "the store refuses the credentials",
}
