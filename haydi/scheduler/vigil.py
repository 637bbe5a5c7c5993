"""Watching the processes of peers on this machine.

A peer on another machine is given up when it is silent for long. One on this machine can be seen to end at
once: Linux gives a descriptor that becomes readable when a process ends; elsewhere its pid is looked up now
and then.
"""

from __future__ import annotations

import os

from haydi.wire.identity import machine_id

__all__ = ["Vigil"]

#: How often pids are looked up where there are no process descriptors, in seconds.
LOOK_SECONDS = 0.5


class Vigil:
    """The peers whose processes can be watched from here."""

    def __init__(self) -> None:
        self._machine = machine_id()
        #: Descriptors to poll, with the peer each stands for.
        self.descriptors: dict[int, bytes] = {}
        self._descriptor_of: dict[bytes, int] = {}
        self._pids: dict[bytes, int] = {}
        self._look_at = 0.0

    def watch(self, peer: bytes, machine: str, pid: int) -> int | None:
        """Begin to watch a peer. Returns a descriptor to poll, or None."""
        if machine != self._machine or peer in self._descriptor_of:
            return None
        try:
            descriptor = os.pidfd_open(pid)
        except (AttributeError, OSError):
            self._pids[peer] = pid
            return None
        self.descriptors[descriptor] = peer
        self._descriptor_of[peer] = descriptor
        return descriptor

    def forget(self, peer: bytes) -> int | None:
        """Stop watching a peer. Returns the descriptor that was closed, or None."""
        self._pids.pop(peer, None)
        descriptor = self._descriptor_of.pop(peer, None)
        if descriptor is not None:
            del self.descriptors[descriptor]
            os.close(descriptor)
        return descriptor

    def ended(self, now: float) -> list[bytes]:
        """Peers without a descriptor whose process is gone; looks only now and then."""
        if not self._pids or now < self._look_at:
            return []
        import psutil

        self._look_at = now + LOOK_SECONDS
        return [peer for peer, pid in self._pids.items() if not psutil.pid_exists(pid)]

    @property
    def look_seconds(self) -> float | None:
        """How long a poll may take at most, so that pids are looked up in time."""
        return LOOK_SECONDS if self._pids else None
