"""Pictures in an S3-compatible bucket: one paged listing, and bytes that are checked against it."""

from __future__ import annotations

import errno
import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import IO, Any, NamedTuple, TypeVar

from simpletuner.core.optional import optional
from simpletuner.data.entries import UnreachableError
from simpletuner.data.sources.base import Listing
from simpletuner.data.sources.bucket_faults import (
    NEEDED_FOR,
    WrongBytes,
    faults,
    is_passing,
    is_passing_at_start,
    short,
    unlisted,
)
from simpletuner.data.sources.kinds import LISTED_SUFFIXES, Sorter, is_below_hidden, suffix
from simpletuner.data.sources.ranges import BLOCK, range_stream
from simpletuner.data.sources.retry import persist

_T = TypeVar("_T")
_CONNECT_SECONDS = 10
_READ_SECONDS = 60
# What the client itself tries for one request; what breaks in mid-body is tried again here.
_CLIENT_ATTEMPTS = 3
# Smaller objects are read whole for their header: one request instead of two.
_WHOLE = 2 * BLOCK
_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class BucketSpec:
    """A bucket and where it is served. Without key and secret the machine's own credentials are used.

    ``max_connections`` bounds the connections that are open at once.
    """

    bucket: str
    prefix: str = ""
    region: str | None = None
    endpoint: str | None = None
    key: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    max_connections: int = 32


class _Object(NamedTuple):
    """What the store says of an object."""

    tag: str
    size: int

    @property
    def version(self) -> str:
        return f"{self.tag}-{self.size}"


class BucketSource:
    """The objects of a bucket below a prefix."""

    def __init__(self, spec: BucketSpec) -> None:
        self._spec = spec
        self._root = f"{spec.bucket}/{spec.prefix.strip('/')}".rstrip("/")
        self._objects: dict[str, _Object] = {}
        self._sealed: dict[str, bool] = {}
        self._filesystem: Any = connect(spec)
        self._faults = faults()

    @property
    def where(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self._root}"

    def listing(self) -> Listing:
        """Everything below the prefix, in one paged listing.

        Raises:
            ConfigError: no such bucket, no or wrong credentials, nobody at the endpoint.
            DataError: the listing failed for another reason.
        """
        try:
            found = persist(lambda: self._filesystem.find(self._root, detail=True), is_passing_at_start, self._faults)
        except self._faults as error:
            raise unlisted(error, self._spec.bucket, self.where) from error
        sorter = Sorter()
        for address, fact in found.items():
            path = address.removeprefix(f"{self._root}/")
            if is_below_hidden(path):
                continue
            if suffix(path) in LISTED_SUFFIXES:
                self._objects[path] = _object(fact)
                sorter.files[path] = self._objects[path].version
            else:
                sorter.pass_over(path)
        return sorter.listing()

    def open(self, path: str) -> IO[bytes]:
        """An object for reading, a small one at once and a large one a block at a time. Raises OSError."""
        size = self._known(path).size
        if size <= _WHOLE:
            return io.BytesIO(self._whole(path))
        return range_stream(lambda start, end: self._range(path, start, end), size)

    def read(self, path: str) -> bytes:
        """All bytes of an object, of the length and, where the store tells it, the MD5 that was listed.

        Raises :class:`PictureError` when they cannot be had after several attempts.
        """
        try:
            return self._whole(path)
        except OSError as error:
            raise UnreachableError(
                f"cannot be read ({error.strerror or short(error)})",
                cure="check the object and the network, then start again",
            ) from error

    def version(self, path: str) -> str:
        """The object's tag and size as they are now; "" when it is gone or nobody answers."""
        try:
            return self._asked(path).version
        except OSError:
            return ""

    def renamed_from(self, version: str) -> str:
        """The whole version: tag and size say what the object holds, wherever it lies."""
        return version

    def _known(self, path: str) -> _Object:
        return self._objects.get(path) or self._asked(path)

    def _asked(self, path: str) -> _Object:
        """Tag and size as they are now. Raises OSError."""
        found = _object(self._tried(lambda: self._filesystem.info(self._address(path), refresh=True)))
        self._objects[path] = found
        return found

    def _address(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _range(self, path: str, start: int, end: int) -> bytes:
        def once() -> bytes:
            content: bytes = self._filesystem.cat_file(self._address(path), start=start, end=end)
            if len(content) != end - start:
                raise WrongBytes(f"{len(content)} bytes came where {end - start} were asked for")
            return content

        return self._tried(once)

    def _whole(self, path: str) -> bytes:
        """All bytes. An object that was replaced since it was listed is taken as it is now. Raises OSError."""
        attempts = count()

        def once() -> bytes:
            promised = self._asked(path) if next(attempts) else self._known(path)
            content: bytes = self._filesystem.cat_file(self._address(path))
            self._check(path, content, promised)
            return content

        return self._tried(once)

    def _check(self, path: str, content: bytes, promised: _Object) -> None:
        """Raise WrongBytes for content that is not the object's."""
        if len(content) != promised.size:
            raise WrongBytes(f"{len(content)} bytes came, {promised.size} were listed")
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if _MD5.fullmatch(promised.tag) and digest != promised.tag and not self._is_sealed(path):
            raise WrongBytes("the bytes that came do not have the listed MD5")

    def _is_sealed(self, path: str) -> bool:
        """Whether the store encrypts an object with a key of the user's: its tag looks like an MD5 and is none."""
        if path not in self._sealed:
            address = self._address(path).partition("/")
            head = self._filesystem.call_s3("head_object", Bucket=address[0], Key=address[2])
            sealed = "kms" in head.get("ServerSideEncryption", "") or "SSECustomerAlgorithm" in head
            self._sealed[path] = sealed
        return self._sealed[path]

    def _tried(self, action: Callable[[], _T]) -> _T:
        """``action`` with patience; whatever it ends in is an OSError."""
        try:
            return persist(action, is_passing, self._faults)
        except self._faults as error:
            kind = type(error) if isinstance(error, (FileNotFoundError, PermissionError)) else OSError
            raise kind(errno.EIO, short(error)) from error


def connect(spec: BucketSpec) -> Any:
    """The fsspec filesystem of a store. Nothing is asked yet."""
    s3fs = optional("s3fs", extra="data", needed_for=NEEDED_FOR)
    filesystem = s3fs.S3FileSystem(
        key=spec.key,
        secret=spec.secret,
        endpoint_url=spec.endpoint,
        client_kwargs={"region_name": spec.region} if spec.region else {},
        config_kwargs={
            "max_pool_connections": spec.max_connections,
            "connect_timeout": _CONNECT_SECONDS,
            "read_timeout": _READ_SECONDS,
            "retries": {"mode": "standard", "total_max_attempts": _CLIENT_ATTEMPTS},
        },
        max_concurrency=1,
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    # Its own attempts would multiply with the client's and ours.
    filesystem.retries = 1
    return filesystem


def _object(fact: dict[str, Any]) -> _Object:
    return _Object(str(fact.get("ETag", "")).strip('"'), int(fact["size"]))
