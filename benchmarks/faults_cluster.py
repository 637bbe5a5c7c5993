"""What ``faults.py`` measures with: a cluster of real processes, a job that keeps a journal, and rows of a table."""

from __future__ import annotations

import collections
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

import haydi as hd

__all__ = [
    "ENVIRONMENT",
    "LIMIT_SECONDS",
    "STEPS",
    "Cluster",
    "Journal",
    "Row",
    "calm_seconds",
    "check",
    "cluster_and_context",
    "journal",
    "lost",
    "wait_for",
]

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
STEPS = 3000
STEP_SECONDS = 0.002
LIMIT_SECONDS = 60.0
EXPECTED = sum(x * x for x in range(STEPS))


@dataclass
class Row:
    """A fault, and what was measured in each round."""

    name: str
    sign: str
    detection_seconds: list[float] = field(default_factory=list)
    lost_seconds: list[float] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    note: str = ""

    def __str__(self) -> str:
        def told(values: list[float]) -> str:
            return f"{median(values):7.3f} s (max {max(values):.3f})" if values else "-"

        again = f"{median(self.repeated):g} (max {max(self.repeated)})" if self.repeated else "-"
        note = f"; {self.note}" if self.note else ""
        return (
            f"{self.name:<46} {told(self.detection_seconds):<24} {told(self.lost_seconds):<24} {again:<14} "
            f"{self.sign}{note}"
        )


# --- the cluster ------------------------------------------------------------------------------------------


class Cluster:
    """A scheduler and daemons, started by their commands."""

    def __init__(self, daemons: int = 2, *arguments: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._started: list[subprocess.Popen[bytes]] = []
        self.start_scheduler()
        self.daemons = [
            self._start("haydi.worker", f"127.0.0.1:{self.port}", "--workers", "1", *arguments)
            for _ in range(daemons)
        ]

    def start_scheduler(self) -> None:
        """Start it, or start it again."""
        self.scheduler = self._start("haydi.scheduler", "--port", str(self.port))

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments, "--log-level", "error"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def compute_processes(self) -> list[psutil.Process]:
        """Those of all daemons."""
        nurseries = [n for d in self.daemons for n in psutil.Process(d.pid).children()]
        return [compute for nursery in nurseries for compute in nursery.children()]

    def close(self) -> None:
        """End all that is left, by force where nothing else helps."""
        for process in reversed(self._started):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self._started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def cluster_and_context(
    *arguments: str, scheduler_timeout: float | None = None
) -> Iterator[tuple[Cluster, hd.DistributedContext]]:
    """Two daemons with a compute process each, and a context that sees both."""
    cluster = Cluster(2, *arguments)
    try:
        with hd.DistributedContext(
            port=cluster.port, connect_timeout=20, scheduler_timeout=scheduler_timeout
        ) as ctx:
            ctx.wait_for_workers(2, timeout=20)
            yield cluster, ctx
    finally:
        cluster.close()


def wait_for(condition: Callable[[], object]) -> float:
    """Wait until a condition holds; when that was.

    Raises:
        AssertionError: when it does not in time.
    """
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("the fault was not dealt with in time")
        time.sleep(0.001)
    return time.monotonic()


# --- the job ----------------------------------------------------------------------------------------------


class Journal:
    """The file in which steps write that they begin."""

    def __init__(self, directory: str) -> None:
        self.path = str(Path(directory) / "journal")
        self.once = str(Path(directory) / "once")
        Path(self.path).touch()

    def entries(self) -> list[tuple[int, int, float]]:
        """Step, pid and time of each execution, in order of time."""
        lines = [line.split() for line in Path(self.path).read_text().splitlines()]
        return sorted(((int(a), int(b), float(c)) for a, b, c in lines), key=lambda entry: entry[2])

    def repeated(self) -> int:
        """Executions beyond the first of each step."""
        counts = collections.Counter(step for step, _, _ in self.entries())
        return counts.total() - len(counts)

    def acted_at(self, fault_at: float) -> float:
        """The first step after the fault that has run before, or that runs in a new process."""
        steps: set[int] = set()
        pids: set[int] = set()
        for step, pid, at in self.entries():
            if at > fault_at and (step in steps or pid not in pids):
                return at
            steps.add(step)
            pids.add(pid)
        raise AssertionError("nothing ran again")

    def job(self, how: Callable[[], None] | None = None) -> hd.Pipeline[Any, Any]:
        """Squares of all steps; once, in one of them, something happens."""
        path, once, pause, at = self.path, self.once, STEP_SECONDS, STEPS // 3

        def square(x: int) -> int:
            with open(path, "ab", 0) as file:
                file.write(b"%d %d %.6f\n" % (x, os.getpid(), time.monotonic()))
            if how is not None and x == at:
                try:
                    os.close(os.open(once, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    pass
                else:
                    how()
            time.sleep(pause)
            return x * x

        return hd.Range(STEPS).map(square).sum()


@contextmanager
def journal() -> Iterator[Journal]:
    """A journal of its own for each round."""
    with tempfile.TemporaryDirectory() as directory:
        yield Journal(directory)


def check(found: object, expected: object = EXPECTED) -> None:
    """The result is the known one.

    Raises:
        AssertionError: when it is not.
    """
    if found != expected:
        raise AssertionError(f"the result is {found}, not {expected}")


_calm: list[float] = []


def calm_seconds() -> float:
    """What the job takes when nothing happens."""
    if not _calm:
        with cluster_and_context() as (_, ctx):
            for _ in range(3):
                with journal() as notes:
                    began = time.monotonic()
                    check(notes.job().run(ctx))
                    _calm.append(time.monotonic() - began)
                    check(notes.repeated(), 0)
    return median(_calm)


def lost(began: float, fault_at: float, over_at: float, slots_after: int = 2) -> float:
    """Run time less what the steps take on two slots before the fault and so many after it."""
    calm = calm_seconds()
    before = fault_at - began
    return (over_at - fault_at) - (calm - before) * 2 / slots_after
