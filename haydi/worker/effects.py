"""What the supervisor's state machine asks for: the effects of :class:`~haydi.worker.core.WorkerCore`.

Each is a plain description; :mod:`haydi.worker.server` does what it says, and so does a simulation, in its own way.
"""

from __future__ import annotations

from dataclasses import dataclass

from haydi.wire.messages import Message

__all__ = [
    "Effect",
    "Exit",
    "Forget",
    "Interrupt",
    "Kill",
    "Load",
    "Note",
    "Reconnect",
    "Spawn",
    "StartStride",
    "ToScheduler",
]


@dataclass(frozen=True, slots=True)
class ToScheduler:
    """Send a message to the scheduler."""

    message: Message


@dataclass(frozen=True, slots=True)
class Load:
    """Give a slot the plan of a run."""

    slot: int
    run: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class StartStride:
    """Give a slot steps to compute; ``start == stop`` only flushes. With ``cautious`` they are run in small chunks."""

    slot: int
    number: int
    run: int
    start: int
    stop: int
    budget_seconds: float
    flush: bool
    cautious: bool = False


@dataclass(frozen=True, slots=True)
class Forget:
    """A slot should drop a run and what it has folded of it."""

    slot: int
    run: int


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Stop the strides of a slot up to this number."""

    slot: int
    number: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End a compute process that does not answer an interrupt, or uses too much memory."""

    slot: int
    reason: str


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a compute process for a slot."""

    slot: int


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Make a new connection and say Hello, as the ``epoch``-th time."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Exit:
    """The daemon should end."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something for the log; ``level`` is one of :mod:`logging`."""

    level: int
    text: str


Effect = ToScheduler | Load | StartStride | Forget | Interrupt | Kill | Spawn | Reconnect | Exit | Note
