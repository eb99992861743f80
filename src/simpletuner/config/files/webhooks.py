"""`webhook_config`: who is told of a run over http, and how much. Addresses and tokens are secrets and never shown."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from simpletuner.config.lenient import as_boolean, is_given, shown
from simpletuner.config.problems import near
from simpletuner.config.reading.fill import Source
from simpletuner.config.reading.find import Found
from simpletuner.config.reading.json_options import objects_of
from simpletuner.config.reading.names import is_comment
from simpletuner.core.errors import ConfigError

KEY = "webhook_config"
Kind = Literal["discord", "raw"]
Level = Literal["critical", "error", "warning", "info", "debug"]
KINDS: tuple[Kind, ...] = ("discord", "raw")
LEVELS: tuple[Level, ...] = ("critical", "error", "warning", "info", "debug")
_NO_VERIFY = "SIMPLETUNER_SSL_NO_VERIFY"
_ADDRESSES: Mapping[Kind, tuple[str, ...]] = {"discord": ("webhook_url",), "raw": ("webhook_url", "callback_url")}
_SWITCHES = ("ssl_no_verify", "allow_private")
_KEYS = ("webhook_type", *_ADDRESSES["raw"], "message_prefix", "log_level", "auth_token", *_SWITCHES)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)*\.?")
_LONGEST = 2000
_EXAMPLE = '{"webhook_type": "raw", "webhook_url": "https://..."}'


@dataclass(frozen=True)
class Webhook:
    """One receiver (SPEC 7.1). Its address and ``auth_token`` show neither in its repr nor in a message.

    ``prefix`` None is the project's and the run's name; ``log_level`` is the most talkative level sent; ``verify``
    checks the certificate; ``allow_private`` lets the name lead to a private address.
    """

    kind: Kind
    url: SecretStr
    prefix: str | None = None
    log_level: Level = "info"
    auth_token: SecretStr | None = None
    verify: bool = True
    allow_private: bool = False

    @property
    def place(self) -> str:
        """Where it is, as may be told: kind, host and port. The path of an address is its password."""
        found = urlsplit(self.url.get_secret_value())
        port = f":{found.port}" if found.port else ""
        return f"{self.kind} webhook at {found.hostname}{port}"


def read_webhooks(given: SecretStr | None, source: Source, found: Found, cwd: Path) -> tuple[Webhook, ...]:
    """The receivers that the option names: a file, JSON, an object or a list of them; none when it is not given.

    ``{env:NAME}`` stands for a variable of the environment. Raises ConfigError telling all that is wrong.
    """
    entries = objects_of(given, KEY, _EXAMPLE, (source, found, cwd), _problems)
    verify = not entries or _is_verified(found.environ)
    return tuple(_webhook(entry, verify=verify) for entry in entries)


def _is_verified(environ: Mapping[str, str]) -> bool:
    given = environ.get(_NO_VERIFY)
    try:
        return not (is_given(given) and as_boolean(given))
    except ValueError as error:
        raise ConfigError(str(error), file="environment", key=_NO_VERIFY, cure="use true or false") from None


def _problems(entry: Any, place: Source) -> Iterator[ConfigError]:
    """Everything wrong with one receiver."""
    if not isinstance(entry, dict):
        yield ConfigError("a webhook is an object in braces", file=place.file, cure=f"write {_EXAMPLE}")
        return
    for key in entry:
        if key not in _KEYS and not is_comment(key):
            yield place.problem(key, "unknown key", near(key, _KEYS) or f"one of {', '.join(_KEYS)}")
    kind = entry.get("webhook_type")
    if kind not in KINDS:
        reason = f"{shown(kind)} is no kind of webhook" if is_given(kind) else "is missing"
        yield place.problem("webhook_type", reason, f"use {' or '.join(KINDS)}")
    else:
        yield from _address_problems(entry, kind, place)
    if is_given(entry.get("log_level")) and entry["log_level"] not in LEVELS:
        yield place.problem("log_level", f"{shown(entry['log_level'])} is no level", f"use {', '.join(LEVELS)}")
    yield from _form_problems(entry, place)


def _form_problems(entry: Mapping[str, Any], place: Source) -> Iterator[ConfigError]:
    for key in ("message_prefix", "auth_token"):
        value = entry.get(key)
        if value is not None and not isinstance(value, str):
            yield place.problem(key, "must be text", 'write it in double quotes: "..."')
        elif key == "auth_token" and value and not (value.isascii() and value.isprintable()):
            yield place.problem(key, "has characters that no http header can hold", "use ASCII without line breaks")
    for key in _SWITCHES:
        try:
            as_boolean(entry.get(key) or False)
        except ValueError as error:
            yield place.problem(key, str(error))


def _address_problems(entry: Mapping[str, Any], kind: Kind, place: Source) -> Iterator[ConfigError]:
    keys = [key for key in _ADDRESSES[kind] if is_given(entry.get(key))]
    if not keys:
        yield place.problem("webhook_url", f"is missing: a {kind} webhook needs it", 'add "webhook_url": "https://..."')
    elif len({entry[key] for key in keys if isinstance(entry[key], str)}) > 1:
        yield place.problem("callback_url", "differs from webhook_url", "keep one of them")
    for key in keys:
        if told := _url_problem(entry[key], is_private_allowed=_is_on(entry.get("allow_private"))):
            yield place.problem(key, *told)


def _is_on(value: object) -> bool:
    try:
        return is_given(value) and as_boolean(value)
    except ValueError:
        return False


def _url_problem(value: Any, *, is_private_allowed: bool) -> tuple[str, str] | None:
    """What is wrong with an address, and the cure; its path is not repeated."""
    found = _split(value)
    if found is None or not found.hostname:
        return "is no URL", "write it as https://host/path, without spaces"
    if not _is_host(found.hostname):
        return "names no host", "write the host in plain letters, digits, - and . (xn--... for other letters)"
    if found.scheme not in ("http", "https"):
        return f"begins with {shown(found.scheme)}", "only http and https addresses are told"
    if found.username is not None or found.password is not None:
        return "holds a user name or a password", 'write it as "auth_token"'
    if is_private_allowed:
        return None
    if found.hostname == "localhost":
        return "localhost is a name, which may lead anywhere", "write 127.0.0.1"
    return _literal_problem(found.hostname)


def _is_host(host: str) -> bool:
    if ":" not in host:
        return bool(_HOST.fullmatch(host))
    try:
        return "%" not in host and ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def _split(value: Any) -> SplitResult | None:
    if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable() or " " in value.strip():
        return None
    try:
        found = urlsplit(value.strip())
        # Reading the port is what checks it.
        return found if found.port != 0 else None
    except ValueError:
        return None


def _literal_problem(host: str) -> tuple[str, str] | None:
    """An address that is private by its numbers; names are looked up when they are called."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if address.is_global or address.is_loopback:
        return None
    return f"{host} is a private address", 'add "allow_private": true if it is yours'


def _webhook(entry: Mapping[str, Any], *, verify: bool) -> Webhook:
    """An entry that has no problem."""
    kind: Kind = entry["webhook_type"]
    url = next(entry[key] for key in _ADDRESSES[kind] if is_given(entry.get(key)))
    token = entry.get("auth_token")
    return Webhook(
        kind=kind,
        url=SecretStr(url.strip()),
        prefix=entry.get("message_prefix"),
        log_level=entry.get("log_level") or "info",
        auth_token=SecretStr(token) if token else None,
        verify=verify and not as_boolean(entry.get("ssl_no_verify") or False),
        allow_private=as_boolean(entry.get("allow_private") or False),
    )
