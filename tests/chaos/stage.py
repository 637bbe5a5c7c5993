"""The processes of a chaos run, where they run, and what is left of them afterwards.

All of them inherit a mark in their environment (:mod:`tests.stock`), write into one directory of ours, and have a
directory for temporary files inside of it: so whatever is found later is known to be ours. Each is a session of its
own; a Ctrl-C in the terminal reaches the director alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.stock import marked

__all__ = ["Host", "Member", "Stage"]

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path("/dev/shm")
SYSTEM_V = Path("/proc/sysvipc")
ENDING_SECONDS = 10.0
#: What a daemon or scheduler must never write.
CRIES = ("Traceback (most recent call last)", "AssertionError", "Exception ignored")


@dataclass(frozen=True)
class Host:
    """Where processes run: this machine, or a part of it that looks like another one to the network.

    Attributes:
        prefix: The words before a command that make it run there.
    """

    name: str
    address: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()


@dataclass(eq=False)
class Member:
    """A process of the cast.

    Attributes:
        kind: "scheduler", "daemon", "client" or "owner" (a client with a cluster of its own).
        state: "up", "paused", "leaving" or "ended"; only those that are up are hit.
        codes: Exit codes that are in order now.
    """

    kind: str
    name: str
    host: Host
    process: subprocess.Popen[bytes]
    out: Path
    err: Path
    state: str = "up"
    codes: tuple[int, ...] = ()
    read: int = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; no other process can have the pid before we have waited for it."""
        self.process.send_signal(number)

    def tree(self) -> list[psutil.Process]:
        """The processes below it."""
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def nurseries(self) -> list[psutil.Process]:
        """The direct children: of a daemon, its nursery."""
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self.pid).children()
        return []

    def lines(self) -> Iterator[dict[str, Any]]:
        """What a client has told since the last time, complete lines only."""
        with self.out.open("rb") as file:
            file.seek(self.read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.read += len(whole)
        for line in whole.splitlines():
            told: dict[str, Any] = json.loads(line)
            yield told

    def cries(self) -> list[str]:
        """Lines on its stderr that must not be there."""
        lines = self.err.read_text("utf-8", "replace").splitlines()
        return [line for line in lines if any(cry in line for cry in CRIES)]

    def last_words(self, lines: int = 30) -> str:
        """The end of its log."""
        return "\n".join(self.err.read_text("utf-8", "replace").splitlines()[-lines:])


@dataclass
class Stage:
    """Starts processes, and takes stock at the end.

    Args:
        scheduler_host: Where the scheduler runs.
        logs: A directory for logs, which is kept; None takes a temporary one.
    """

    scheduler_host: Host
    logs: Path | None = None
    members: list[Member] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="haydi-chaos-", dir=self.logs))
        self.temporary = self.directory / "tmp"
        self.temporary.mkdir()
        self._shared: set[str] = set()
        self._pids: set[int] = set()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def start(self, kind: str, name: str, host: Host, module: str, *arguments: str) -> Member:
        """Start ``python -m module`` on a host."""
        out, err = self.directory / f"{name}.out", self.directory / f"{name}.log"
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self.temporary),
        }
        with out.open("ab") as stdout, err.open("ab") as stderr:
            process = subprocess.Popen(
                [*host.prefix, sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        member = Member(kind, name, host, process, out, err)
        self.members.append(member)
        return member

    def scheduler(self, name: str, grace_seconds: float) -> Member:
        """Start the scheduler, at the same address each time."""
        host = self.scheduler_host
        arguments = (
            "--host",
            host.address,
            "--port",
            str(self.port),
            "--restart-grace",
            f"{grace_seconds:g}s",
        )
        return self.start("scheduler", name, host, "haydi.scheduler", *arguments)

    def daemon(self, name: str, host: Host, slots: int) -> Member:
        """Start a worker daemon."""
        return self.start(
            "daemon", name, host, "haydi.worker", f"{self.scheduler_host.address}:{self.port}",
            "--workers", str(slots), "--name", name, "--death-timeout", "120s",
        )  # fmt: skip

    def client(self, name: str, host: Host, seed: str, *arguments: str) -> Member:
        """Start a client of the common cluster."""
        where = ("--host", self.scheduler_host.address, "--port", str(self.port))
        return self.start("client", name, host, "tests.chaos.client", *where, "--seed", seed, *arguments)

    def owner(self, name: str, host: Host, seed: str, slots: int) -> Member:
        """Start a client with a cluster of its own."""
        return self.start("owner", name, host, "tests.chaos.client", "--own", str(slots), "--seed", seed)

    def status(self) -> dict[str, Any] | None:
        """What the scheduler tells of itself; None when it does not answer."""
        command = [sys.executable, "-m", "haydi.cli", "status", f"{self.scheduler_host.address}:{self.port}"]
        done = subprocess.run(
            [*self.scheduler_host.prefix, *command, "--json", "--patience", "2"],
            capture_output=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            cwd="/",
            timeout=30,
            check=False,
        )
        if done.returncode:
            return None
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def of(self, *kinds: str, state: str = "up") -> list[Member]:
        """The members of some kinds that are in a state."""
        return [member for member in self.members if member.kind in kinds and member.state == state]

    def note(self) -> None:
        """Note what our processes share by name just now: what others share is in the same place."""
        for member in self.members:
            if member.state != "ended":
                for pid in (member.pid, *(process.pid for process in member.tree())):
                    self._pids.add(pid)
                    self._shared |= _shared_by(pid)

    def kill_all(self) -> None:
        """End everything that was started from here, at once."""
        while found := marked():
            for process in found:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            for member in self.members:
                member.process.poll()
            time.sleep(0.02)
        for member in self.members:
            member.process.wait()

    def leftovers(self, patience_seconds: float = ENDING_SECONDS) -> list[str]:
        """One line for each thing of ours that is still there after a bounded wait."""
        end = time.monotonic() + patience_seconds
        while (found := self._left()) and time.monotonic() < end:
            time.sleep(0.05)
        return found

    def _left(self) -> list[str]:
        for member in self.members:
            member.process.poll()
        found = []
        for process in marked():
            with contextlib.suppress(psutil.Error):
                found.append(f"process {process.pid} ({process.status()}): {' '.join(process.cmdline())}")
        found += [f"temporary file {path}" for path in self.temporary.iterdir()]
        found += [
            f"shared memory or semaphore {path}" for path in sorted(self._shared) if os.path.exists(path)
        ]
        found += [f"System V {what}" for what in sorted(_system_v(self._pids))]
        found += [f"socket {what}" for what in _sockets(self.port)]
        return found

    def remove_shared(self) -> None:
        """Remove the shared memory of ours that was left behind, once that is known."""
        for path in self._shared:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def close(self, keep: bool) -> None:
        """Remove the directory, unless its logs are to be kept."""
        if not keep:
            shutil.rmtree(self.directory)


def _shared_by(pid: int) -> set[str]:
    """POSIX shared memory and semaphores that a process has mapped."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/maps").read_text("utf-8", "replace")
        return {line.split(maxsplit=5)[5] for line in text.splitlines() if f" {SHARED}/" in line}
    return set()


def _system_v(pids: set[int]) -> Iterator[str]:
    """System V shared memory, semaphores and queues whose last user was one of ours, or whose maker was."""
    for table in SYSTEM_V.iterdir() if SYSTEM_V.is_dir() else ():
        head, *lines = (line.split() for line in table.read_text().splitlines())
        for line in lines:
            told = dict(zip(head, line, strict=False))
            if {int(told[name]) for name in ("cpid", "lpid", "lspid", "lrpid") if name in told} & pids:
                yield f"{table.name} {line[0]} {line[1]}"


def _sockets(port: int) -> list[str]:
    """Sockets of this machine at a port, but those that the kernel keeps for a while after they were closed."""
    return [
        f"{connection.laddr} -> {connection.raddr} ({connection.status})"
        for connection in psutil.net_connections("tcp")
        if port in (getattr(connection.laddr, "port", 0), getattr(connection.raddr, "port", 0))
        and connection.status not in (psutil.CONN_TIME_WAIT, psutil.CONN_NONE)
    ]
