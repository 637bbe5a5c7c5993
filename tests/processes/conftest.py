"""Real clusters for tests: one of the context's own, and one of daemons started by their commands."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import haydi as hd

ROOT = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    """The environment of a child that imports this very Haydi."""
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def eventually(predicate: Callable[[], object], seconds: float = 10.0) -> bool:
    """Wait until a predicate holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if predicate():
            return True
        time.sleep(0.01)
    return bool(predicate())


class Gate:
    """User code waits at it until the test opens it: a run that meets it is under way for sure.

    Args:
        path: A file that is not there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> None:
        """Let all pass, from now on."""
        self._path.touch()

    def wait(self) -> None:
        """Come through, in user code; an error after a minute."""
        if not eventually(self._path.exists, 60):
            raise TimeoutError("the gate was not opened")


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


def alive(pid: int) -> bool:
    """True when the process is there and no zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def worker_tree(ctx: hd.DistributedContext) -> tuple[psutil.Process, list[psutil.Process]]:
    """The supervisor of a local cluster, and its compute processes."""
    assert ctx._cluster is not None
    assert ctx._cluster._worker is not None
    supervisor = psutil.Process(ctx._cluster._worker.pid)
    nursery = supervisor.children()
    return supervisor, [child for process in nursery for child in process.children()]


class Daemons:
    """A scheduler and workers, started by their commands."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[str]] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.scheduler = self.start("haydi.scheduler", "--port", str(self.port))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            cwd="/",
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def worker(self, slots: int = 1, *arguments: str) -> subprocess.Popen[str]:
        return self.start("haydi.worker", self.address, "--workers", str(slots), *arguments)

    def connect(self, workers: int = 0) -> hd.DistributedContext:
        """A context; waits for so many workers."""
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            ctx = hd.DistributedContext(port=self.port, connect_timeout=20)
        if workers:
            ctx.wait_for_workers(workers, timeout=20)
        return ctx

    def close(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stderr is not None:
                process.stderr.close()


@pytest.fixture
def daemons(no_leftovers: object) -> Iterator[Daemons]:
    cluster = Daemons()
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def ctx() -> Iterator[hd.DistributedContext]:
    with hd.DistributedContext(spawn_workers=2) as context:
        yield context
