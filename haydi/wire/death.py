"""What is told of a process that died at a step: from the supervisor that saw it to the client that has to explain it.

It travels as the payload of a failure, which nobody on the way looks into. It is no pickle: the supervisor makes none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgpack

from haydi.errors import ProtocolError
from haydi.sizes import show_bytes

__all__ = ["Death"]


class Death(NamedTuple):
    """How a compute process ended.

    Attributes:
        pid: Its process id; 0 when it could not be started.
        host: Name of its machine.
        exit_code: Its exit code; -1 when a signal ended it.
        signal: Name of the signal that ended it, or empty.
        memory_bytes: What it used when it was ended for using too much memory, else 0.
        limit_bytes: What it was allowed to use, else 0.
        words: The last that it wrote on stdout or stderr.
        times: How many processes died in the same step.
    """

    pid: int = 0
    host: str = ""
    exit_code: int = -1
    signal: str = ""
    memory_bytes: int = 0
    limit_bytes: int = 0
    words: str = ""
    times: int = 1

    @property
    def memory(self) -> str:
        """The memory figure, or empty when that is not what it died of.

        Example:
            >>> Death(memory_bytes=2254857830, limit_bytes=2 << 30).memory
            '2.1 GiB of 2.0 GiB'
        """
        return (
            f"{show_bytes(self.memory_bytes)} of {show_bytes(self.limit_bytes)}" if self.limit_bytes else ""
        )

    def describe(self) -> str:
        """How it ended, in words, without its own.

        Example:
            >>> Death(7, "node3", signal="SIGSEGV").describe()
            'was ended by SIGSEGV'
        """
        if self.limit_bytes:
            return f"was ended for using too much memory (used {self.memory})"
        if self.signal:
            why = ", as the kernel does when memory is short" if self.signal == "SIGKILL" else ""
            return f"was ended by {self.signal}{why}"
        return f"exited with code {self.exit_code}" if self.pid else "could not be started"

    def pack(self) -> bytes:
        """As the payload of a message."""
        return bytes(msgpack.packb(list(self)))

    @staticmethod
    def unpack(payload: bytes) -> Death:
        """What :meth:`pack` made.

        Raises:
            ProtocolError: when it is not that.

        Example:
            >>> Death.unpack(Death(7, "node3", 3, words="bye", times=3).pack())
            Death(pid=7, host='node3', exit_code=3, signal='', memory_bytes=0, limit_bytes=0, words='bye', times=3)
        """
        try:
            values: Any = msgpack.unpackb(payload)
            death = Death(*values)
        except Exception as error:  # msgpack raises many kinds on garbage; each means the same here
            raise ProtocolError(f"not an account of a process that died: {error}") from error
        for value, kind in zip(death, (int, str, int, str, int, int, str, int), strict=True):
            if type(value) is not kind:
                raise ProtocolError(f"not an account of a process that died: {value!r} is no {kind.__name__}")
        return death
