"""One run at a time writes a checkpoint: a lock beside the file, which says who holds it.

The lock is the kernel's (``flock``), so it ends with its process, however that ends; what is left of the file then
locks nobody out. It cannot be a lock on the checkpoint itself: closing any other descriptor of that file would take
SQLite's own locks away.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import weakref
from pathlib import Path
from typing import Any

from haydi.errors import CheckpointError

__all__ = ["FileLock", "holder"]

_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


def lock_path(path: Path) -> Path:
    """Where the lock of a checkpoint is."""
    return path.with_name(f"{path.name}-lock")


class FileLock:
    """Holds the lock of the checkpoint ``path`` until :meth:`release`.

    Raises:
        CheckpointError: when another run has it, naming host and pid.
    """

    def __init__(self, path: Path) -> None:
        self._path = lock_path(path)
        self._descriptor: int | None = None
        while self._descriptor is None:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _same_file(descriptor, self._path):
                    self._descriptor = descriptor
            except BlockingIOError:
                who = _read(descriptor)
                raise CheckpointError(
                    f"checkpoint={str(path)!r} is in use by the run of pid {who.get('pid', '?')} on host "
                    f"{who.get('host', '?')}: wait for it, end it, or name another file"
                ) from None
            finally:
                if self._descriptor is None:
                    os.close(descriptor)
        told = json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, told, 0)
        _held.add(self)

    def release(self) -> None:
        """Let go, and leave nothing behind."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _held.discard(self)
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            os.close(descriptor)

    def let_go(self) -> None:
        """Close our descriptor in a forked process: the lock is its parent's, and ends with that."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def holder(path: Path) -> dict[str, Any] | None:
    """Who has the lock of a checkpoint: host and pid; None when nobody has."""
    try:
        descriptor = os.open(lock_path(path), os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def _same_file(descriptor: int, path: Path) -> bool:
    """False when who had the lock before has removed the file in the meantime."""
    try:
        ours, there = os.fstat(descriptor), os.stat(path)
    except FileNotFoundError:
        return False
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)


def _read(descriptor: int) -> dict[str, Any]:
    try:
        told = json.loads(os.pread(descriptor, 4096, 0))
        return told if isinstance(told, dict) else {}
    except (OSError, ValueError):
        return {}


def _after_fork() -> None:
    for lock in list(_held):
        lock.let_go()


os.register_at_fork(after_in_child=_after_fork)
