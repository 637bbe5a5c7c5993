"""The serial context: the same plan, actions and merging as everywhere, in this process.

The steps are run in strides of some 50 ms, which is where a timeout or a cancellation takes effect. With a checkpoint
the partials of consecutive strides are folded, as a worker does, until it is time to write: the fold is pickled,
merged and handed over.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from haydi.client.merging import Merger
from haydi.context import Context, Run, check_pipeline, priority_of, seconds_of
from haydi.errors import HaydiError, RunCancelledError, StepFailure
from haydi.plan import Plan
from haydi.ranges import RangeSet
from haydi.report import Report, WorkerShare
from haydi.skipping import failures_of, named, plan_for
from haydi.sources import ENDLESS, StreamSource

if TYPE_CHECKING:
    import os

    from haydi.checkpoint.keeper import Keeper
    from haydi.pipeline import Pipeline
    from haydi.skipping import OnError

__all__ = ["SerialContext"]

R = TypeVar("R")

STRIDE_SECONDS = 0.05


class SerialRun(Run[R]):
    """A run in this process; :meth:`work` does it, in whichever thread calls it."""

    def __init__(self, plan: Plan, seconds: float | None, keeper: Keeper | None = None) -> None:
        self._plan = plan
        self._seconds = seconds
        self._keeper = keeper
        self._started = time.perf_counter()
        self._state = "running"
        self._over = threading.Event()
        self._lock = threading.RLock()
        self._merger = Merger(plan.action)
        self._limit = plan.steps
        #: Folded and not merged yet: start, stop, partial.
        self._held: tuple[int, int, Any] | None = None
        #: A partial is being changed; when that is still so after the run, it was interrupted.
        self._merging = False
        self._steps_here = 0
        self._result: Any = None
        self._error: BaseException | None = None
        self._failures: list[StepFailure] = []
        #: Elements of poison steps: those that the checkpoint knows of, from workers.
        self._elements: dict[int, str] = {}
        self._ended = 0.0
        if keeper is not None:
            final = self._merger.restore(keeper.pieces())
            if keeper.finished:  # of an endless stream nobody else knows
                self._limit = self._merger.prefix
            elif final is not None:
                self._limit = min(self._limit, final)

    def work(self) -> None:
        """Compute to the end, or to where the run is stopped."""
        try:
            try:
                self._work()
            finally:
                self._keep()
            self._finish()
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
        stride = 1
        for start, stop in self._merger_gaps():
            position = self._skip_to(start)
            while position < min(stop, self._limit) and self._state == "running":
                before = time.perf_counter()
                if self._seconds is not None and before - self._started >= self._seconds:
                    self._state = "timeout"
                    return
                last = min(stop, self._limit)
                end = min(last, position + stride)
                if end < last:
                    end = self._plan.cut(position, end)
                self._stride(position, end)
                position = end
                taken = time.perf_counter() - before
                if taken < STRIDE_SECONDS / 2:
                    stride *= 2 if taken > STRIDE_SECONDS / 16 else 8
                elif taken > STRIDE_SECONDS * 2:
                    stride = max(1, stride // 2)
            self._merge_held()
            if self._state != "running":
                return

    def _merger_gaps(self) -> list[tuple[int, int]]:
        return RangeSet(self._merger.coverage()).gaps(self._limit)

    def _skip_to(self, start: int) -> int:
        """A stream has to be gone through to where it is needed."""
        source = self._plan.source
        if isinstance(source, StreamSource):
            at = 0
            while at < start and source.end is None:
                source.elements(at, min(start, at + 1024))
                at = min(start, at + 1024)
        return start

    def _stride(self, start: int, stop: int) -> None:
        partial = self._plan.execute(start, stop)
        source = self._plan.source
        if isinstance(source, StreamSource) and source.end is not None:
            stop = self._limit = source.end
        with self._lock:
            self._steps_here += stop - start
            if start == stop:
                return
            keeper = self._keeper
            if keeper is None or self._plan.action.early:
                self._merge(start, stop, partial)
                return
            if self._held is not None:
                self._merging = True
                partial = self._plan.action.merge(self._held[2], partial)
                start = self._held[0]
            self._held = (start, stop, partial)
            self._merging = False
            if keeper.ready(time.monotonic()):
                self._merge_held()

    def _merge(self, start: int, stop: int, partial: Any) -> None:
        keeper = self._keeper
        took_seconds = 0.0
        if keeper is not None:
            before = time.perf_counter()
            payload = keeper.dump(partial)
            took_seconds = time.perf_counter() - before
        self._merging = True
        final = self._merger.add(start, stop, partial)
        self._held = None
        self._merging = False
        if final is not None:
            self._limit = min(self._limit, final)
        if keeper is not None:
            keeper.add(start, stop, payload)
            now = time.monotonic()
            if keeper.due(now):
                keeper.hand_over(self._merger.blocks(), now, took_seconds)

    def _merge_held(self) -> None:
        with self._lock:
            if self._held is not None and not self._merging:
                self._merge(*self._held)

    def _keep(self) -> None:
        """However the run ended: what is folded is merged, and what is merged is written."""
        self._merge_held()
        keeper = self._keeper
        if keeper is not None:
            blocks = [] if self._merging else self._merger.blocks()
            finished = self._state == "running" and not self._merger_gaps()
            keeper.close(blocks, finished=finished, steps_done=self._merger.steps)

    def _name_elements(self) -> None:
        """Find out what the elements of poison steps are, as the run on workers would have done in the end."""
        poison = [failure.step for failure in failures_of(self._merger.partials())[0] if failure.deaths]
        if poison:
            from haydi.client.elements import elements_of
            from haydi.client.serialize import dump_plan

            with suppress(HaydiError):  # without their elements they are told too
                self._elements = elements_of(dump_plan(self._plan), poison)

    def _finish(self) -> None:
        if self._state == "cancelled":
            self._error = RunCancelledError(f"the run was cancelled after {self._merger.steps} steps")
            return
        with self._lock:
            self._name_elements()
            self._result = self._merger.result()
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

    def _partial_result(self) -> Any:
        with self._lock:
            if self._merging:
                raise HaydiError(
                    "the run was interrupted while a result was being merged: nothing is left of it"
                )
            if self._held is None:
                return self._merger.peek()
            held, copy = self._held, Merger(self._plan.action)
            copy.restore([*self._merger.blocks(), held])
            return copy.peek()

    @property
    def report(self) -> Report:
        with self._lock:
            coverage, partials = RangeSet(self._merger.coverage()), self._merger.partials()
            if self._held is not None:
                coverage.add(*self._held[:2])
                partials.append(self._held[2])
            failures, total = failures_of(partials)
        seconds = (self._ended or time.perf_counter()) - self._started
        return Report(
            state=self._state,
            steps=None if self._plan.steps == ENDLESS else self._plan.steps,
            coverage=list(coverage),
            seconds=seconds,
            workers=1,
            shares={"serial": WorkerShare(self._steps_here, seconds)},
            failures=named([*failures, *self._failures], self._elements),
            failures_total=total + len(self._failures),
            seed=self._plan.seed,
            checkpoint_problem=None if self._keeper is None else self._keeper.problem,
            _partial=None if self._over.is_set() and self._error is None else self._partial_result,
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
        checkpoint: str | os.PathLike[str] | None = None,
        *,
        on_error: OnError = "raise",
        priority: float = 1,
    ) -> R:
        run = self._start(pipeline, timeout, checkpoint, on_error, priority)
        try:
            run.work()
        finally:
            self.last_report = run.report
        return run.result()

    def submit(
        self,
        pipeline: Pipeline[Any, R],
        timeout: float | timedelta | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        *,
        on_error: OnError = "raise",
        priority: float = 1,
    ) -> Run[R]:
        run = self._start(pipeline, timeout, checkpoint, on_error, priority)

        def work() -> None:
            with suppress(BaseException):  # whoever asks for the result is told
                run.work()
            self.last_report = run.report

        threading.Thread(target=work, name="haydi-serial", daemon=True).start()
        return run

    def _start(
        self,
        pipeline: Pipeline[Any, R],
        timeout: float | timedelta | None,
        checkpoint: str | os.PathLike[str] | None,
        on_error: OnError,
        priority: float,
    ) -> SerialRun[R]:
        seconds = seconds_of("timeout", timeout)
        priority_of(priority)
        pipeline = check_pipeline(pipeline)
        if checkpoint is None:
            return SerialRun(plan_for(pipeline, on_error), seconds)
        from haydi.checkpoint.keeper import open_checkpoint

        keeper = open_checkpoint(checkpoint, pipeline, on_error)
        try:
            return SerialRun(keeper.plan, seconds, keeper)
        except BaseException:
            keeper.abandon()
            raise
