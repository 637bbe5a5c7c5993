"""What a run tells of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from haydi.errors import StepFailure, UsageError
from haydi.ranges import in_words

__all__ = ["Report", "WorkerShare"]


@dataclass
class WorkerShare:
    """What one worker did for a run.

    Attributes:
        steps: Steps it computed.
        seconds: Seconds that its slots spent on them.
    """

    steps: int = 0
    seconds: float = 0.0


@dataclass
class Report:
    """What a run tells of itself, while it goes on and afterwards.

    Attributes:
        state: "running", "done", "timeout", "cancelled" or "failed".
        steps: Number of steps of the run; None for an endless stream.
        coverage: The merged ranges ``(start, stop)`` of steps, in order, apart and not empty: exactly the
            steps that the result stands for.
        seconds: Wall time so far.
        workers: Number of slots that took part, or that were there.
        shares: Steps and busy seconds by worker.
        failures: Steps that failed, in order. With ``on_error="skip"`` these are all that were left out, up to 1000;
            with ``first``, ``take`` and their like some behind the last step that the result needed may be among
            them. Otherwise it is the one that ended the run: the first that was heard of, which with such an action
            is the first there is.
        failures_total: How many steps failed, those beyond 1000 included.
        seed: Seed of random draws; None where nothing is random.
        checkpoint_problem: Why the checkpoint file does not have everything that was computed; None when it does,
            or when there is none.

    Example:
        >>> import haydi as hd
        >>> ctx = hd.SerialContext()
        >>> _ = hd.Range(10).sum().run(ctx)
        >>> ctx.last_report.coverage, ctx.last_report.state
        ([(0, 10)], 'done')
    """

    state: str = "running"
    steps: int | None = 0
    coverage: list[tuple[int, int]] = field(default_factory=list)
    seconds: float = 0.0
    workers: int = 1
    shares: dict[str, WorkerShare] = field(default_factory=dict)
    failures: list[StepFailure] = field(default_factory=list)
    failures_total: int = 0
    seed: int | str | None = None
    checkpoint_problem: str | None = None
    _partial: Callable[[], Any] | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_partial": None}

    def partial(self) -> Any:
        """The partial result: what the action makes of the steps of :attr:`coverage`.

        It is kept when a run ends without a result, because it was cancelled (by Ctrl-C, say) or failed, and it can
        be looked at while a run goes on; of that it is a copy.

        Raises:
            UsageError: when the run has a result: that was given to who asked for it, and is not kept here.

        Example:
            >>> import haydi as hd
            >>> ctx = hd.SerialContext()
            >>> try:
            ...     hd.Range(9).map(lambda x: 5 // (1 - x)).run(ctx)
            ... except ZeroDivisionError:
            ...     print(ctx.last_report.partial(), ctx.last_report.coverage)
            [5] [(0, 1)]
        """
        if self._partial is None:
            raise UsageError(
                "this run has a result: run() returned it, or result() of what submit() returned. A report keeps what "
                "was merged of a run that ended without one"
            )
        return self._partial()

    @property
    def steps_done(self) -> int:
        """Number of merged steps."""
        return sum(stop - start for start, stop in self.coverage)

    @property
    def rate(self) -> float:
        """Merged steps per second so far."""
        return min(self.steps_done, 1 << 1000) / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        of = "an endless stream" if self.steps is None else f"{in_words(self.steps)} steps"
        return f"{self.state}: {in_words(self.steps_done)} of {of} in {self.seconds:.3g} s on {self.workers} workers"
