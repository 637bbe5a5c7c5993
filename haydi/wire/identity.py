"""Who this process is: what a peer says of itself in its Hello."""

from __future__ import annotations

import os
import platform
import socket
import sys
from pathlib import Path

from haydi._version import __version__
from haydi.wire.messages import PROTOCOL_VERSION, Hello

__all__ = ["hello", "machine_id", "new_session"]


def machine_id() -> str:
    """A name for this boot of this machine and its process numbers: with it, equal pids mean equal processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        import psutil

        return f"{socket.gethostname()}/{int(psutil.boot_time())}"


def new_session() -> str:
    """A name for a daemon or client that no other one has."""
    return os.urandom(8).hex()


def hello(role: str, name: str = "", slots: int = 0, *, session: str, epoch: int = 1) -> Hello:
    """The Hello of this process."""
    host = socket.gethostname()
    return Hello(
        role=role,
        protocol=PROTOCOL_VERSION,
        version=__version__,
        python=platform.python_version()
        if sys.implementation.name == "cpython"
        else platform.python_implementation(),
        host=host,
        pid=os.getpid(),
        machine=machine_id(),
        name=name or f"{host}-{os.getpid()}",
        slots=slots,
        session=session,
        epoch=epoch,
    )
