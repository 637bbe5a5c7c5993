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
    "PoisonStepError",
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
        error: ``repr`` of the exception, or how the process ended.
        traceback: The traceback as it was printed where the function ran; of a process that died, its last lines
            on stderr.
        host: Name of the machine.
        pid: Process id there.
        signal: Name of the signal that ended the process; None when none did.
        memory: The figure when the process was ended for its memory, ``"2.1 GiB of 2.0 GiB"``; else None.
        exit_code: With which the process ended by itself; else None.
        deaths: How many processes the step has ended.
    """

    step: int
    stop: int
    element: str | None
    error: str
    traceback: str
    host: str
    pid: int
    signal: str | None = None
    memory: str | None = None
    exit_code: int | None = None
    deaths: int = 0

    def _where(self) -> str:
        where = f"step {self.step}" if self.stop == self.step + 1 else f"steps [{self.step}, {self.stop})"
        return where if self.element is None else f"{where}, element {self.element}"

    def describe(self) -> str:
        """One paragraph for a human, traceback included."""
        if self.deaths:
            words = self.traceback.strip()
            last = f"; its last words:\n{words}" if words else ""
            each = "the process" if self.deaths == 1 else f"each of {self.deaths} processes"
            return f"{self._where()}: {each} that ran it {self.error} (the last on {self.host} pid {self.pid}){last}"
        return f"raised at {self._where()}, on {self.host} pid {self.pid}\n{self.traceback}"


class PoisonStepError(RemoteError):
    """A step ends each process that runs it: by a signal, by using too much memory, or by exiting.

    All other steps could be computed: pass ``on_error="skip"`` to leave such steps out.

    Args:
        failure: What is known of the step.

    Attributes:
        failure: All of this in one.
        step: Number of the step.
        element: ``repr`` of its element, shortened; None when it could not be told.
        signal: Name of the signal that ended the process; None when none did.
        memory: The figure when it was ended for its memory, ``"2.1 GiB of 2.0 GiB"``; else None.
        exit_code: With which it ended by itself; else None.
        host: Name of the machine where the last of them died.
        pid: Process id there.
        stderr: The last that it wrote on stderr.

    Example:
        >>> failure = StepFailure(5, 6, "(1, 2)", "was ended by SIGSEGV", "", "node3", 71, signal="SIGSEGV", deaths=3)
        >>> print(PoisonStepError(failure))
        step 5, element (1, 2): each of 3 processes that ran it was ended by SIGSEGV (the last on node3 pid 71)
    """

    def __init__(self, failure: StepFailure) -> None:
        super().__init__(failure)
        self.failure = failure
        self.step = failure.step
        self.element = failure.element
        self.signal = failure.signal
        self.memory = failure.memory
        self.exit_code = failure.exit_code
        self.host = failure.host
        self.pid = failure.pid
        self.stderr = failure.traceback

    def __str__(self) -> str:
        return self.failure.describe()
