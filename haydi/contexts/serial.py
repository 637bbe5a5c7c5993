"""The serial context: the same plan, actions and merging as everywhere, in this process.

The steps are run in strides of some 50 ms, which is where a timeout or a cancellation takes effect.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from haydi.context import Context, Run, check_pipeline, priority_of, seconds_of
from haydi.errors import RunCancelledError, StepFailure
from haydi.plan import Plan
from haydi.report import Report, WorkerShare
from haydi.skipping import failures_of, plan_for
from haydi.sources import ENDLESS, StreamSource

if TYPE_CHECKING:
    from haydi.pipeline import Pipeline
    from haydi.skipping import OnError

__all__ = ["SerialContext"]

R = TypeVar("R")

STRIDE_SECONDS = 0.05


class SerialRun(Run[R]):
    """A run in this process; :meth:`work` does it, in whichever thread calls it."""

    def __init__(self, plan: Plan, seconds: float | None) -> None:
        self._plan = plan
        self._seconds = seconds
        self._started = time.perf_counter()
        self._position = 0
        self._state = "running"
        self._over = threading.Event()
        self._partial: Any = plan.action.init()
        self._result: Any = None
        self._error: BaseException | None = None
        self._failures: list[StepFailure] = []
        self._ended = 0.0

    def work(self) -> None:
        """Compute to the end, or to where the run is stopped."""
        try:
            self._work()
        except Exception as error:
            self._state = "failed"
            self._error = error
            failure = getattr(error, "haydi_failure", None)
            if isinstance(failure, StepFailure):
                element = "" if failure.element is None else f", element {failure.element}"
                error.add_note(f"raised at step {failure.step}{element}")
                self._failures.append(failure)
        except BaseException as error:
            self._state = "cancelled"
            self._error = error
            raise
        finally:
            self._ended = time.perf_counter()
            self._over.set()

    def _work(self) -> None:
        plan, action = self._plan, self._plan.action
        stride = 1
        while self._position < plan.steps and self._state == "running":
            before = time.perf_counter()
            if self._seconds is not None and before - self._started >= self._seconds:
                self._state = "timeout"
                break
            stop = min(plan.steps, self._position + stride)
            if stop < plan.steps:
                stop = plan.cut(self._position, stop)
            self._partial = action.merge(self._partial, plan.execute(self._position, stop))
            taken = time.perf_counter() - before
            self._position = stop
            if isinstance(plan.source, StreamSource) and plan.source.end is not None:
                self._position = plan.source.end
                break
            if action.early and action.is_final(self._partial):
                break
            if taken < STRIDE_SECONDS / 2:
                stride *= 2 if taken > STRIDE_SECONDS / 16 else 8
            elif taken > STRIDE_SECONDS * 2:
                stride = max(1, stride // 2)
        if self._state == "cancelled":
            self._error = RunCancelledError(f"the run was cancelled at step {self._position}")
        else:
            self._result = action.finish(self._partial)
            if self._state == "running":
                self._state = "done"

    def result(self, timeout: float | timedelta | None = None) -> R:
        seconds = seconds_of("timeout", timeout)
        if not self._over.wait(seconds):
            raise TimeoutError(f"the run is not over after {seconds:g} s (it goes on)")
        if self._error is not None:
            raise self._error
        return cast("R", self._result)

    def done(self) -> bool:
        return self._over.is_set()

    def cancel(self) -> None:
        if self._state == "running":
            self._state = "cancelled"

    @property
    def report(self) -> Report:
        position = self._position
        seconds = (self._ended or time.perf_counter()) - self._started
        failures, total = failures_of([self._partial])
        return Report(
            state=self._state,
            steps=None if self._plan.steps == ENDLESS else self._plan.steps,
            coverage=[(0, position)] if position else [],
            seconds=seconds,
            workers=1,
            shares={"serial": WorkerShare(position, seconds)},
            failures=failures + self._failures,
            failures_total=total + len(self._failures),
            seed=self._plan.seed,
        )


class SerialContext(Context):
    """Runs pipelines in this process.

    Example:
        >>> import haydi as hd
        >>> hd.SerialContext().run(hd.Range(4).sum())
        6
    """

    def __repr__(self) -> str:
        return "<SerialContext>"

    @property
    def worker_count(self) -> int:
        return 1

    def run(
        self,
        pipeline: Pipeline[Any, R],
        timeout: float | timedelta | None = None,
        *,
        on_error: OnError = "raise",
        priority: float = 1,
    ) -> R:
        priority_of(priority)
        run: SerialRun[R] = SerialRun(
            plan_for(check_pipeline(pipeline), on_error), seconds_of("timeout", timeout)
        )
        try:
            run.work()
        finally:
            self.last_report = run.report
        return run.result()

    def submit(
        self,
        pipeline: Pipeline[Any, R],
        timeout: float | timedelta | None = None,
        *,
        on_error: OnError = "raise",
        priority: float = 1,
    ) -> Run[R]:
        priority_of(priority)
        run: SerialRun[R] = SerialRun(
            plan_for(check_pipeline(pipeline), on_error), seconds_of("timeout", timeout)
        )

        def work() -> None:
            with suppress(BaseException):  # whoever asks for the result is told
                run.work()
            self.last_report = run.report

        threading.Thread(target=work, name="haydi-serial", daemon=True).start()
        return run
