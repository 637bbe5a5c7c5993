"""A cluster of one's own on this machine: a scheduler and a worker daemon, as child processes.

Both are started with a pipe as their stdin that this process holds open. When this process ends, in whatever
way, the kernel closes the pipe and they end; compute processes end with their daemon in the same way. They
are sessions of their own, so that a Ctrl-C in the terminal reaches only this process, which then decides. A process
that is forked from this one lets go of the pipes at once: it must not keep the cluster when this one ends.

The daemon is started at once, without waiting for the scheduler, and told the address through its pipe.

Either of them is started again when it ends. A scheduler comes back at the same port, where the daemon and the context
look for it, and runs go on with what is not merged yet.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import subprocess
import sys
import time
import weakref
from pathlib import Path

from haydi.errors import ConnectionFailedError, RunLostError

__all__ = ["LocalCluster"]

START_SECONDS = 20.0
#: More than a daemon takes itself to end its compute processes by force, in seconds.
STOP_SECONDS = 4.0
#: A scheduler or daemon that ends is started again, but not more often than this, in seconds.
RESTART_SECONDS = 1.0
#: One that lives shorter than this, in seconds, cannot start; after so many of them in a row that is an
#: error.
SHORT_LIFE_SECONDS = 5.0
SHORT_LIVES_MOST = 3

log = logging.getLogger("haydi.client")


class _Lives:
    """When a process was started, and how many lives before were short."""

    def __init__(self) -> None:
        self.started_at = time.monotonic()
        self.short = 0

    def end(self) -> bool | None:
        """It has ended: True when to start it again, None when to wait a little, False when that is no use."""
        life = time.monotonic() - self.started_at
        if life < RESTART_SECONDS:
            return None
        short = self.short + 1 if life < SHORT_LIFE_SECONDS else 0
        if short >= SHORT_LIVES_MOST:
            return False
        self.short, self.started_at = short, time.monotonic()
        return True


class LocalCluster:
    """A scheduler and a daemon with ``slots`` compute processes.

    Args:
        slots: Number of compute processes.
        port: Port of the scheduler; 0 takes a free one.
        memory_limit: What each compute process may use, as ``haydi-worker --memory-limit`` takes it.

    Both are started at once; :meth:`wait` waits for them, and until then there is time for other things.
    """

    def __init__(self, slots: int, port: int = 0, memory_limit: int | str = "auto") -> None:
        self.slots = slots
        self._memory_limit = memory_limit
        self._worker: subprocess.Popen[bytes] | None = None
        _clusters.add(self)
        self._scheduler = _start("haydi.scheduler", "--local", "127.0.0.1", str(port))
        self._scheduler_lives, self._worker_lives = _Lives(), _Lives()
        self._asked_port = port
        self.port = 0
        try:
            self._worker = self._start_worker()
        except BaseException:
            self.close()
            raise

    def wait(self) -> int:
        """Wait until the scheduler listens, tell the daemon, and return the port.

        Raises:
            ConnectionFailedError: when the scheduler cannot start; its own words are on stderr.
        """
        self.port = self._read_port(self._asked_port)
        self._tell_address()
        return self.port

    def _start_worker(self) -> subprocess.Popen[bytes]:
        return _start("haydi.worker", "--local", str(self.slots), str(self._memory_limit))

    def _tell_address(self) -> None:
        assert self._worker is not None
        assert self._worker.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            os.write(self._worker.stdin.fileno(), f"127.0.0.1 {self.port}\n".encode())

    def _read_port(self, port: int) -> int:
        assert self._scheduler.stdout is not None
        descriptor = self._scheduler.stdout.fileno()
        ready, _, _ = select.select([descriptor], [], [], START_SECONDS)
        line = os.read(descriptor, 64) if ready else b""
        if not line.strip().isdigit():
            raise ConnectionFailedError(
                f"the scheduler of the local cluster did not start on port {port or 'of its choice'}: is the port in "
                f"use? Its own words stand above, on stderr"
            )
        return int(line)

    def watch(self) -> None:
        """Start again what has ended.

        Raises:
            RunLostError: when it ends again and again.
        """
        if (code := self._scheduler.poll()) is not None:
            again = self._scheduler_lives.end()
            if again is False:
                raise RunLostError(
                    f"the scheduler of the local cluster ended {SHORT_LIVES_MOST} times right after its start, "
                    f"with code {code}; its own words stand above, on stderr; make a new context"
                )
            if again:
                log.warning(
                    "the scheduler of the local cluster (pid %d) ended with code %d; starting it again at port %d",
                    self._scheduler.pid,
                    code,
                    self.port,
                )
                _close_pipes(self._scheduler)
                self._scheduler = _start("haydi.scheduler", "--local", "127.0.0.1", str(self.port))
        worker = self._worker
        if worker is not None and (code := worker.poll()) is not None:
            again = self._worker_lives.end()
            if again is False:
                raise RunLostError(
                    f"the worker daemon of the local cluster ended {SHORT_LIVES_MOST} times right after its start, "
                    f"with code {code}; its own words stand above, on stderr"
                )
            if again:
                _close_pipes(worker)
                self._worker = self._start_worker()
                self._tell_address()

    def close(self) -> None:
        """End both; by force if they take longer than a few seconds."""
        processes = [p for p in (self._worker, self._scheduler) if p is not None]
        for process in processes:
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()
        end = time.monotonic() + STOP_SECONDS
        for process in processes:
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _close_pipes(process)

    def let_go(self) -> None:
        """Close our ends of the pipes, in a process that is not the one which started the cluster."""
        for process in (getattr(self, "_scheduler", None), self._worker):
            if process is not None:
                _close_pipes(process)


#: Clusters that this process holds the pipes of.
_clusters: weakref.WeakSet[LocalCluster] = weakref.WeakSet()


def _after_fork() -> None:
    for cluster in list(_clusters):
        cluster.let_go()


os.register_at_fork(after_in_child=_after_fork)


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a module of this very Haydi in a fresh interpreter."""
    environment = dict(os.environ)
    root = str(Path(__file__).resolve().parents[2])
    path = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = root if not path else f"{root}{os.pathsep}{path}"
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        bufsize=0,
        start_new_session=True,
    )
