"""A stock-taking that sees what a test, or a chaos run, left behind.

Processes are found in two ways, so that none escapes: as descendants of this process, and, for those whose
parents died first, by a mark that every process started from here inherits in its environment.
"""

from __future__ import annotations

import gc
import os
import stat
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Stock", "marked"]

#: Environment variable that marks all processes started by this test process, their children included.
MARK_NAME = "HAYDI_TEST_MARK"
MARK_VALUE = uuid.uuid4().hex
os.environ[MARK_NAME] = MARK_VALUE

#: How long a test's processes and descriptors may take to go away once the test is over. It is the limit
#: that Haydi promises for what a client spawned.
PATIENCE_SECONDS = 5.0


def _describe(process: psutil.Process) -> str:
    try:
        command = " ".join(process.cmdline()) or process.name()
        return f"process {process.pid} ({process.status()}): {command}"
    except psutil.Error:
        return f"process {process.pid}"


def _is_marked(process: psutil.Process) -> bool:
    try:
        return process.environ().get(MARK_NAME) == MARK_VALUE
    except (psutil.Error, OSError):  # gone, or somebody else's
        return False


def _processes(marked_too: bool) -> set[psutil.Process]:
    """Descendants of this process, zombies included; with ``marked_too`` also orphans that bear the mark."""
    this = psutil.Process()
    found = set(this.children(recursive=True))
    if marked_too:
        found.update(process for process in psutil.process_iter() if _is_marked(process))
    return found - {this}


def marked() -> list[psutil.Process]:
    """All processes but this one that were started from here, whoever their parents are now."""
    return sorted(_processes(marked_too=True), key=lambda process: process.pid)


def _descriptors() -> dict[int, str]:
    """Open file descriptors of this process, each with what identifies the thing behind it."""
    found = {}
    for name in os.listdir("/dev/fd"):
        try:
            status = os.fstat(int(name))
        except OSError:  # the one that listed the directory
            continue
        kind = stat.filemode(status.st_mode)[0]
        found[int(name)] = f"{kind}:{status.st_dev}:{status.st_ino}"
    return found


def _describe_descriptor(number: int) -> str:
    link = Path(f"/proc/self/fd/{number}")
    return f"file descriptor {number} -> {os.readlink(link) if link.is_symlink() else 'unknown'}"


@dataclass(frozen=True)
class Stock:
    """What existed at one moment; see :meth:`leftovers`."""

    processes: frozenset[psutil.Process]
    descriptors: dict[int, str]

    @staticmethod
    def take() -> Stock:
        """The stock of this moment."""
        return Stock(frozenset(_processes(marked_too=True)), _descriptors())

    def _new(self, marked_too: bool) -> list[str]:
        lines = [_describe(process) for process in _processes(marked_too) - self.processes]
        known = set(self.descriptors.items())
        lines += [_describe_descriptor(n) for n, what in _descriptors().items() if (n, what) not in known]
        return sorted(lines)

    def leftovers(self, patience_seconds: float = PATIENCE_SECONDS) -> list[str]:
        """One line for each process and descriptor that is new and still there after a bounded wait.

        Args:
            patience_seconds: How long to wait for all of it to go away; the wait ends as soon as it has.
        """
        deadline = time.monotonic() + patience_seconds
        gc.collect()  # an unreachable socket or file is not kept by anybody
        while True:
            # To look through all processes there are is slow, so the cheap look has to find nothing first.
            found = self._new(marked_too=False) or self._new(marked_too=True)
            if not found or time.monotonic() >= deadline:
                return found
            time.sleep(0.02)
