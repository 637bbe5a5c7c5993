"""What every context offers: run a pipeline now, or submit it and look after it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from haydi.errors import ArgumentTypeError, ArgumentValueError
from haydi.report import Report

if TYPE_CHECKING:
    import os

    from haydi.pipeline import Pipeline
    from haydi.skipping import OnError

__all__ = ["Context", "Run", "priority_of", "seconds_of"]

R = TypeVar("R")


def seconds_of(argument: str, value: float | timedelta | None) -> float | None:
    """A time limit in seconds, or None.

    Raises:
        ArgumentTypeError, ArgumentValueError: naming the argument and the value.

    Example:
        >>> from datetime import timedelta
        >>> seconds_of("timeout", timedelta(minutes=1))
        60.0
    """
    if value is None:
        return None
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArgumentTypeError(
            f"{argument}={value!r}: seconds or a timedelta is needed, or None for no limit"
        )
    if not value >= 0 or math.isinf(value):
        raise ArgumentValueError(
            f"{argument}={value!r}: must be finite and not negative; None means no limit"
        )
    return float(value)


def priority_of(value: float) -> float:
    """A priority: how large a share a run gets, beside others of 1.

    Raises:
        ArgumentTypeError, ArgumentValueError: naming the value and the remedy.

    Example:
        >>> priority_of(2)
        2.0
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArgumentTypeError(
            f"priority={value!r}: a number is needed; 1 is the usual, 2 gets twice the share"
        )
    try:
        priority = float(value)
    except OverflowError:
        priority = math.inf
    if not 0 < priority < math.inf:
        raise ArgumentValueError(
            f"priority={value!r}: must be finite and above 0; 1 is the usual, 2 gets twice the share"
        )
    return priority


def check_pipeline(value: Any) -> Pipeline[Any, Any]:
    """The pipeline of an argument; a domain stands for the pipeline that collects it.

    Raises:
        ArgumentTypeError: when it is neither.
    """
    from haydi.domains.domain import Domain
    from haydi.pipeline import Pipeline

    if isinstance(value, Domain):
        return value.iterate()
    if not isinstance(value, Pipeline):
        raise ArgumentTypeError(f"pipeline={value!r}: a pipeline or a domain is needed")
    return value


class Run(ABC, Generic[R]):
    """A computation that was submitted.

    Example:
        >>> import haydi as hd
        >>> run = hd.SerialContext().submit(hd.Range(10).sum())
        >>> run.result(timeout=60), run.done(), run.report.state
        (45, True, 'done')
    """

    @abstractmethod
    def result(self, timeout: float | timedelta | None = None) -> R:
        """Wait for the result.

        Args:
            timeout: How long to wait at most; the run itself goes on after that.

        Raises:
            TimeoutError: when the run is not over by then.
            RunCancelledError: when it was cancelled.
            Exception: what a function of the user raised.
        """

    @abstractmethod
    def done(self) -> bool:
        """True when the run is over, in whatever way."""

    @abstractmethod
    def cancel(self) -> None:
        """Stop the run; nothing happens when it is over. Returns at once."""

    @property
    @abstractmethod
    def report(self) -> Report:
        """What is known of the run at this moment."""


class Context(ABC):
    """Where pipelines run.

    Example:
        >>> import haydi as hd
        >>> ctx: hd.Context = hd.SerialContext()
        >>> hd.Range(10).sum().run(ctx), ctx.last_report.coverage
        (45, [(0, 10)])
    """

    #: Report of the latest run that this context was given; None before the first.
    last_report: Report | None = None

    @property
    @abstractmethod
    def worker_count(self) -> int:
        """Number of slots that run user code."""

    @abstractmethod
    def submit(
        self,
        pipeline: Pipeline[Any, R],
        timeout: float | timedelta | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        *,
        on_error: OnError = "raise",
        priority: float = 1,
    ) -> Run[R]:
        """Start a pipeline and return at once.

        Args:
            pipeline: What to compute; a domain stands for collecting it.
            timeout: Limit of the run, after which its result is that of the steps done by then.
            checkpoint: A file that keeps what is done, and from which the same call goes on; see
                :meth:`haydi.Pipeline.run`.
            on_error: What happens when a function raises, or a step ends the process that runs it: "raise" ends the
                run with that error; "skip" leaves the step out and lists it in ``report.failures``.
            priority: Share of the workers that it gets beside other runs: one of priority 2 gets twice as much as one
                of 1. Has no effect in this process.
        """

    @abstractmethod
    def run(
        self,
        pipeline: Pipeline[Any, R],
        timeout: float | timedelta | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        *,
        on_error: OnError = "raise",
        priority: float = 1,
    ) -> R:
        """Compute a pipeline and return its result; the arguments are those of :meth:`submit`."""
