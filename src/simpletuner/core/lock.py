"""One run in one output folder: a lock file that names its owner and survives nobody.

A file made with O_EXCL, so that network disks without POSIX locks can keep it. What holds where: an owner on this
machine is asked for by process id and start, so the lock of a killed run is free at once; one elsewhere (another
machine, another container) renews its file every 20 seconds, and counts as gone after three silent minutes.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from simpletuner.core.errors import DataError

LOCK = ".lock"
_RENEWED_EVERY = 20.0
_GONE_AFTER = 180.0
# A lock is written at once after it is made: one without an owner was left by a kill in between.
_NAMELESS_AFTER = 5.0
_TRIES = 20


@dataclass(frozen=True)
class Owner:
    """The process that holds a lock. ``machine`` is this start of this machine, as far as its process ids reach."""

    pid: int
    host: str
    machine: str
    born: str
    token: str

    def __str__(self) -> str:
        """As a message names it."""
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True)
class _Lock:
    path: Path
    owner: Owner


_CURE = "let one run work in it, or choose another output_dir"


@contextmanager
def locked(folder: Path, told: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of ``folder`` inside the block; a stale one is taken over, which is ``told``.

    Raises DataError naming the owner when another run holds it, OSError when the folder cannot be written.
    """
    lock = _Lock(folder / LOCK, _here())
    _take(lock, told)
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(lock, ended), name="output lock", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        with suppress(OSError):
            if _read(lock.path) == lock.owner:
                lock.path.unlink()


def require_ours(folder: Path) -> None:
    """Raise DataError when ``folder`` is not this process's any more: deleted, renamed or taken over."""
    try:
        holder = _read(folder / LOCK)
    except FileNotFoundError:
        cure = "put it back under its name, and start the same command again"
        reason = f"the output folder (or its {LOCK}) was deleted or renamed during the run"
        raise DataError(reason, file=folder, key="output_dir", cure=cure) from None
    except OSError:
        # The disk does not say. If it stays so, the save itself tells.
        return
    if holder is None or (holder.pid, holder.machine) != (os.getpid(), _machine()):
        raise DataError(f"{holder or 'another run'} took this folder over", file=folder, key="output_dir", cure=_CURE)


def _take(lock: _Lock, told: Callable[[str], None]) -> None:
    for _ in range(_TRIES):
        try:
            _make(lock)
        except FileExistsError:
            _let_go(lock.path, told)
        else:
            return
    raise DataError("its lock changes hands all the time", file=lock.path, key="output_dir", cure=_CURE)


def _make(lock: _Lock) -> None:
    descriptor = os.open(lock.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    try:
        os.write(descriptor, json.dumps(asdict(lock.owner)).encode())
    except OSError:
        lock.path.unlink()
        raise
    finally:
        os.close(descriptor)


def _let_go(path: Path, told: Callable[[str], None]) -> None:
    """Move a stale lock away; one that is held is an error."""
    try:
        holder, silent = _read(path), _silence(path)
    except FileNotFoundError:
        return
    reason = _stale(holder, silent)
    if reason is None:
        raise DataError(
            f"another run works in this folder: {holder or 'its owner is not known yet'}"
            f" (its lock was renewed {silent:.0f} s ago)",
            file=path.parent,
            key="output_dir",
            cure=f"{_CURE}; if that run is gone, wait {_GONE_AFTER / 60:.0f} minutes or delete {path}",
        )
    # Of several that see the same stale lock one moves it; who moved a fresh one gives it back.
    aside = path.with_name(f"{LOCK}.{uuid4().hex}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if _read(aside) != holder:
        with suppress(OSError):
            os.link(aside, path)
    else:
        told(f"the output folder was left by {holder or 'a killed run'} ({reason}): its lock is taken over")
    aside.unlink(missing_ok=True)


def _stale(holder: Owner | None, silent: float) -> str | None:
    """Why the lock of ``holder``, renewed ``silent`` seconds ago, counts no more; None while it does."""
    if holder is None:
        return "it names no owner" if silent > _NAMELESS_AFTER else None
    if holder.machine == _machine():
        return None if _is_alive(holder) else "that process is gone"
    return f"silent for {silent:.0f} s" if silent > _GONE_AFTER else None


def _silence(path: Path) -> float:
    """Seconds since a file was written, by the clock of its disk: those of two machines may differ."""
    probe = path.with_name(f"{LOCK}.{uuid4().hex}")
    probe.touch()
    try:
        return max(0.0, probe.stat().st_mtime - path.stat().st_mtime)
    finally:
        probe.unlink()


def _renew(lock: _Lock, ended: threading.Event) -> None:
    while not ended.wait(_RENEWED_EVERY):
        # A disk that does not answer now may do so next time; a lock that is another's is let alone.
        with suppress(OSError):
            if _read(lock.path) == lock.owner:
                os.utime(lock.path)


def _read(path: Path) -> Owner | None:
    """The owner that a lock file names; None when it names none. Raises OSError."""
    try:
        return Owner(**json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError):
        return None


def _here() -> Owner:
    pid = os.getpid()
    return Owner(pid, socket.gethostname(), _machine(), _born(pid), uuid4().hex)


def _machine() -> str:
    """This start of this machine and the space of its process ids; the host's name where the system does not say."""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{start} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _born(pid: int) -> str:
    """When a process started, in ticks of its machine, so that one that took its number is not mistaken for it.

    Empty for one that is gone or dead, and where the system does not say.
    """
    try:
        facts = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if facts[0] == "Z" else facts[19]


def _is_alive(holder: Owner) -> bool:
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _born(holder.pid) == holder.born
