"""Ways to end a process. A module of its own: each new compute process imports it, and it should be quick to load."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable


def leaves() -> None:
    os._exit(9)


def crashes() -> None:
    ctypes.string_at(0)


def kills_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def aborts() -> None:
    print("a last word", flush=True)
    signal.raise_signal(signal.SIGABRT)


def swells() -> None:
    """Up to 2 GB, a little at a time."""
    kept = []
    for _ in range(100):
        kept.append(bytearray(20_000_000))
        time.sleep(0.01)


def fatal(how: Callable[[], None], *steps: int) -> Callable[[int], int]:
    def function(x: int) -> int:
        if x in steps:
            how()
        return x

    return function
