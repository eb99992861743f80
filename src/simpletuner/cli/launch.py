"""Starts the processes of a run, one for each device, and ends as they end. No torch here: it answers at once.

torchrun would do the starting, and three things otherwise: it gives a process 30 seconds to save when it is told to
end, sends a second signal where a terminal has sent one already, and exits with 1 whatever the processes exit with.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

import click

from simpletuner.config.sections.machine import MachineConfig
from simpletuner.core.errors import ExitCode

PIPE = "SIMPLETUNER_LAUNCHER_PIPE"
"""The variable that gives a process the end of a pipe that this one holds the other end of."""
_PORT = 29500
_POLL_SECONDS = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ORDERLY = (ExitCode.OK, ExitCode.INTERRUPTED, ExitCode.TERMINATED)
# After a process has failed: the others have heard of it, and save; after one has died they wait for nobody.
_GRACE_SECONDS = {"failed": 300.0, "died": 15.0}
_LAST_SECONDS = 15.0


def is_needed(machine: MachineConfig, environ: Mapping[str, str]) -> bool:
    """Whether processes are to be started; not where torchrun or `accelerate launch` has started this one."""
    return (machine.num_processes > 1 or machine.num_machines > 1) and "LOCAL_RANK" not in environ


def launch(words: Sequence[str], machine: MachineConfig, environ: Mapping[str, str]) -> int:
    """Run `simpletuner` with ``words`` in this machine's processes; the exit code of the one that failed first."""
    local = machine.num_processes // machine.num_machines
    where = f", machine {machine.machine_rank} of {machine.num_machines}" if machine.num_machines > 1 else ""
    click.echo(f"starting {local} process{'es' if local > 1 else ''}{where}")
    common = _common(machine, environ, local)
    reading, writing = os.pipe()
    try:
        group = _Group()
        with group.forwarding():
            group.start(words, [_of_rank(common, machine, rank, local) for rank in range(local)], reading)
            return group.wait()
    finally:
        os.close(reading)
        os.close(writing)


def _common(machine: MachineConfig, environ: Mapping[str, str], local: int) -> dict[str, str]:
    port = machine.main_process_port or (_PORT if machine.num_machines > 1 else _free_port())
    cores = os.cpu_count() or 1
    return {
        "OMP_NUM_THREADS": str(max(1, cores // local)),
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        **environ,
        **({"CUDA_VISIBLE_DEVICES": devices} if (devices := machine.accelerate_visible_devices) else {}),
        "MASTER_ADDR": machine.main_process_ip,
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(machine.num_processes),
        "LOCAL_WORLD_SIZE": str(local),
    }


def _of_rank(common: Mapping[str, str], machine: MachineConfig, local_rank: int, local: int) -> dict[str, str]:
    rank = machine.machine_rank * local + local_rank
    return {**common, "RANK": str(rank), "LOCAL_RANK": str(local_rank), "GROUP_RANK": str(machine.machine_rank)}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@dataclass
class _Group:
    """The processes of this machine."""

    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    first: int | None = None
    _asked: list[int] = field(default_factory=list)

    def start(self, words: Sequence[str], environs: Sequence[Mapping[str, str]], pipe: int) -> None:
        """Start them. Each reads ``pipe``, which ends when this process does, however it ends."""
        for environ in environs:
            process = subprocess.Popen(
                [sys.executable, "-m", "simpletuner", *words],
                env={**environ, PIPE: str(pipe)},
                pass_fds=(pipe,),
                # A terminal's Ctrl-C comes here alone, and is passed on once.
                start_new_session=True,
            )
            self.processes.append(process)
            for number in self._asked:
                process.send_signal(number)

    @contextmanager
    def forwarding(self) -> Iterator[None]:
        """Pass signals on to all of them, not those that are ignored (`nohup`); leave nobody behind."""
        heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        former = {number: signal.signal(number, self._hear) for number in heard}
        try:
            yield
        finally:
            for process in self._running():
                process.kill()
                process.wait()
            for number, handler in former.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._asked.append(number)
        for process in self._running():
            process.send_signal(number)

    def _running(self) -> list[subprocess.Popen[bytes]]:
        return [process for process in self.processes if process.poll() is None]

    def wait(self) -> int:
        """Until all have ended; the exit code of the first that failed, 128 + n when signal n killed it."""
        end = float("inf")
        is_told = False
        while running := self._running():
            before = self.first
            self._note()
            if self.first is not None and before is None and self.first not in _ORDERLY:
                end = time.monotonic() + _GRACE_SECONDS["failed" if self.first > ExitCode.BUG else "died"]
            if time.monotonic() > end:
                end = time.monotonic() + _LAST_SECONDS
                _end(running, signal.SIGKILL if is_told else signal.SIGTERM)
                is_told = True
            time.sleep(_POLL_SECONDS)
        self._note()
        if self.first is None:
            return ExitCode.OK
        return 128 - self.first if self.first < 0 else self.first

    def _note(self) -> None:
        """Remember the first failure; of several at once one that says more than that something went wrong."""
        codes = {rank: process.returncode for rank, process in enumerate(self.processes) if process.poll()}
        if self.first is not None or not codes:
            return
        rank = min(codes, key=lambda rank: codes[rank] == ExitCode.BUG)
        self.first = codes[rank]
        if self.first < 0:
            name = signal.Signals(-self.first).name
            click.echo(f"process {rank} was ended by {name}; the others are ended, too", err=True)


def _end(running: Sequence[subprocess.Popen[bytes]], number: int) -> None:
    for process in running:
        process.send_signal(number)
