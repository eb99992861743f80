"""`publishing_config`: the stores that a finished run is uploaded to. Keys and tokens are secrets and never shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr

from simpletuner.config.lenient import is_given, shown
from simpletuner.config.problems import near
from simpletuner.config.reading.fill import Source
from simpletuner.config.reading.find import Found
from simpletuner.config.reading.json_options import objects_of
from simpletuner.config.reading.names import is_comment
from simpletuner.core.errors import ConfigError

KEY = "publishing_config"
Provider = Literal["s3", "backblaze_b2", "azure_blob", "dropbox"]
_SPELLED: Mapping[str, Provider] = {
    "s3": "s3",
    "backblaze_b2": "backblaze_b2",
    "azure_blob": "azure_blob",
    "azure": "azure_blob",
    "dropbox": "dropbox",
}
_BUCKET = ("bucket", "region", "access_key", "secret_key", "endpoint_url", "public_base_url")
_KEYS: Mapping[Provider, tuple[str, ...]] = {
    "s3": _BUCKET,
    "backblaze_b2": _BUCKET,
    "azure_blob": ("connection_string", "container", "public_base_url"),
    "dropbox": ("token",),
}
_NEEDED: Mapping[Provider, tuple[str, ...]] = {
    "s3": ("bucket",),
    "backblaze_b2": ("bucket", "access_key", "secret_key"),
    "azure_blob": ("connection_string", "container"),
    "dropbox": ("token",),
}
_SECRET = ("access_key", "secret_key", "connection_string", "token")
_EXAMPLE = '{"provider": "s3", "bucket": "my-bucket", "base_path": "runs/fox"}'


@dataclass(frozen=True)
class Destination:
    """One store. ``place`` are the keys that may be told, ``secrets`` those that may not; ``base_path`` is the folder
    in the store, without slashes around it.
    """

    provider: Provider
    base_path: str
    place: Mapping[str, str]
    secrets: Mapping[str, SecretStr]

    @property
    def where(self) -> str:
        """Its address, as may be told: ``s3://bucket/base_path``."""
        scheme = {"azure_blob": "abfs", "dropbox": "dropbox"}.get(self.provider, "s3")
        return f"{scheme}://{'/'.join(part for part in (self.root, self.base_path) if part)}"

    @property
    def root(self) -> str:
        """The bucket or the container; empty where there is none."""
        return self.place.get("bucket") or self.place.get("container") or ""

    def shown_as(self, path: str) -> str:
        """Where others find the file ``path`` of the upload: below ``public_base_url``, where it is given."""
        base = self.place.get("public_base_url")
        if base is None:
            return f"{self.where}/{path}".rstrip("/")
        return "/".join(part for part in (base.rstrip("/"), self.base_path, path) if part)


def read_destinations(given: SecretStr | None, source: Source, found: Found, cwd: Path) -> tuple[Destination, ...]:
    """The stores that the option names: a file, JSON, an object or a list of them; none when it is not given.

    ``{env:NAME}`` stands for a variable of the environment. Raises ConfigError telling all that is wrong.
    """
    return tuple(map(_destination, objects_of(given, KEY, _EXAMPLE, (source, found, cwd), _problems)))


def _problems(entry: Any, place: Source) -> Iterator[ConfigError]:
    """Everything wrong with one store."""
    if not isinstance(entry, dict):
        yield ConfigError("a store is an object in braces", file=place.file, cure=f"write {_EXAMPLE}")
        return
    provider = _SPELLED.get(str(entry.get("provider")))
    if provider is None:
        reason = f"{shown(entry['provider'])} is no provider" if is_given(entry.get("provider")) else "is missing"
        yield place.problem("provider", reason, f"use {', '.join(_SPELLED)}")
        return
    known = ("provider", "base_path", *_KEYS[provider])
    for key, value in entry.items():
        if key not in known and not is_comment(key):
            yield place.problem(key, f"{provider} has no such key", near(key, known) or f"one of {', '.join(known)}")
        elif key in known and is_given(value) and not isinstance(value, str):
            yield place.problem(key, "must be text", 'write it in double quotes: "..."')
    yield from _missing(entry, provider, place)


def _missing(entry: Mapping[str, Any], provider: Provider, place: Source) -> Iterator[ConfigError]:
    for key in _NEEDED[provider]:
        if not is_given(entry.get(key)):
            cure = f'add "{key}": "..."; is a variable of {{env:NAME}} not set?'
            yield place.problem(key, f"is missing, and {provider} needs it", cure)
    pair = [key for key in ("access_key", "secret_key") if is_given(entry.get(key))]
    if provider == "s3" and len(pair) == 1:
        cure = "give both, or none to use the credentials of the machine; is a variable of {env:NAME} not set?"
        yield place.problem(pair[0], "is given without the other half of the key", cure)
    if provider == "backblaze_b2" and not (is_given(entry.get("endpoint_url")) or is_given(entry.get("region"))):
        yield place.problem("region", "is missing beside endpoint_url", 'add "region": "us-west-004" or the like')
    address = entry.get("endpoint_url")
    # The address may hold a password, so that the message does not show it.
    if isinstance(address, str) and is_given(address) and not address.startswith(("http://", "https://")):
        yield place.problem("endpoint_url", "is no address", 'write it as "https://host:port"')


def _destination(entry: Mapping[str, Any]) -> Destination:
    """An entry that has no problem."""
    provider = _SPELLED[entry["provider"]]
    given = {key: entry[key].strip() for key in _KEYS[provider] if is_given(entry.get(key))}
    if provider == "backblaze_b2" and "endpoint_url" not in given:
        given["endpoint_url"] = f"https://s3.{given['region']}.backblazeb2.com"
    return Destination(
        provider=provider,
        base_path=(entry.get("base_path") or "").strip().strip("/"),
        place={key: value for key, value in given.items() if key not in _SECRET},
        secrets={key: SecretStr(value) for key, value in given.items() if key in _SECRET},
    )
