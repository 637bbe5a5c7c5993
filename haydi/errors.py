"""Everything Haydi raises on its own account, in two families.

* :class:`UsageError`: the call was wrong. It is raised at the call, names the argument, the value and
  the remedy, and is also a ``ValueError`` or ``TypeError`` so that ordinary handlers catch it.
* :class:`RemoteError`: something outside this process failed. It says where (host, pid, worker), on which
  step, and what to do.

An exception of the user's own function is *not* wrapped: it comes back with its own type, and a note that
tells the step, the element and the remote traceback (see :class:`StepFailure`).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "CheckpointError",
    "ConnectionFailedError",
    "DomainCheckError",
    "HaydiError",
    "NestedRunError",
    "NoWorkersError",
    "ProtocolError",
    "RemoteError",
    "ResultNotPicklableError",
    "RunCancelledError",
    "RunLostError",
    "SkippedStepError",
    "StepFailure",
    "UnknownSizeError",
    "UnpicklableError",
    "UsageError",
    "UserCodeError",
]


class HaydiError(Exception):
    """Base of all errors that Haydi raises on its own account."""


class UsageError(HaydiError):
    """The call was wrong: the message names the argument, the value and the remedy."""


class ArgumentValueError(UsageError, ValueError):
    """An argument has a value that cannot work."""


class ArgumentTypeError(UsageError, TypeError):
    """An argument has the wrong type."""


class SkippedStepError(UsageError, LookupError):
    """The step asked for exists, but a filter of the domain rejects its element."""


class UnknownSizeError(UsageError, ValueError):
    """The operation needs to know the size of a domain that does not know it."""


class UnpicklableError(UsageError, TypeError):
    """A function or value of the pipeline cannot be sent to a worker."""


class NestedRunError(UsageError, RuntimeError):
    """A parallel run was started inside a function that runs on a worker."""


class CheckpointError(UsageError, ValueError):
    """A file cannot be the checkpoint of this run; the message says why, and what to do."""


class DomainCheckError(HaydiError, AssertionError):
    """:func:`haydi.testing.check_domain` found that a domain breaks the contract."""


class RemoteError(HaydiError):
    """Something outside this process failed."""


class ConnectionFailedError(RemoteError, ConnectionError):
    """No scheduler answers, or it refused the connection."""


class NoWorkersError(RemoteError):
    """The scheduler has no worker that could run the pipeline."""


class RunLostError(RemoteError):
    """The scheduler, or all workers, were lost while a run was going on."""


class RunCancelledError(RemoteError):
    """The run was cancelled before it ended."""


class ProtocolError(RemoteError):
    """A peer sent a message that is not part of the protocol."""


class ResultNotPicklableError(RemoteError, TypeError):
    """A result computed on a worker cannot be sent back."""


class UserCodeError(RemoteError):
    """A user function raised an exception that cannot be rebuilt in this process."""


@dataclass(frozen=True)
class StepFailure:
    """Where and how a user function failed.

    Attributes:
        step: Number of the step, or the first step of ``stop - step`` when it could not be narrowed down.
        stop: One more than the last step that may be meant.
        element: ``repr`` of the element at hand, shortened; ``None`` when not known.
        error: ``repr`` of the exception.
        traceback: The traceback as it was printed where the function ran.
        host: Name of the machine.
        pid: Process id there.
    """

    step: int
    stop: int
    element: str | None
    error: str
    traceback: str
    host: str
    pid: int

    def describe(self) -> str:
        """One paragraph for a human, traceback included."""
        where = f"step {self.step}" if self.stop == self.step + 1 else f"steps [{self.step}, {self.stop})"
        element = "" if self.element is None else f", element {self.element}"
        return f"raised at {where}{element}, on {self.host} pid {self.pid}\n{self.traceback}"
