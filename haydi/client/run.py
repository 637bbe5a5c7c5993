"""A run on a cluster: the handle that the user holds, around :class:`~haydi.client.core.RunCore`.

Whoever leads the link brings messages; the user's threads may cancel the run, or look at it, at the same time: a lock
of the run makes these take turns.

At its time limit a run does not end at once: workers are asked for what they have folded and not sent, and that gets
a part of a second. What does not arrive by then, because it sits behind a long call of some C function, say, is not
covered by the result.
"""

from __future__ import annotations

import math
import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from haydi.client.core import Failure, RunCore
from haydi.client.elements import elements_of
from haydi.client.link import Link
from haydi.client.merging import Merger
from haydi.client.serialize import death_of_step, load_failure
from haydi.context import Run, seconds_of
from haydi.errors import HaydiError, NoWorkersError, PoisonStepError, RunCancelledError, StepFailure
from haydi.plan import Plan
from haydi.ranges import in_words
from haydi.report import Report, WorkerShare
from haydi.skipping import Skipping, failures_of, named
from haydi.sources import ENDLESS
from haydi.wire import messages as m
from haydi.wire.contact import absence

if TYPE_CHECKING:
    from haydi.checkpoint.keeper import Keeper

__all__ = ["DistributedRun"]

R = TypeVar("R")

#: The link looks at a run at least so often, in seconds; later than that is an absence of this process.
TICK_SECONDS_MOST = 1.0
#: What workers have folded at the time limit may take so long to arrive.
DRAIN_SECONDS = 0.25


class DistributedRun(Run[R]):
    """A run on the workers of a scheduler."""

    def __init__(
        self,
        number: int,
        plan: Plan,
        payload: bytes,
        link: Link,
        seconds: float | None,
        no_worker_seconds: float,
        on_over: Callable[[Report], None],
        priority: float = 1.0,
        keeper: Keeper | None = None,
    ) -> None:
        self._plan = plan
        self._link = link
        self._no_worker_seconds = no_worker_seconds
        self._on_over = on_over
        self._keeper = keeper
        self._lock = threading.RLock()
        self._merger = Merger(plan.action)
        skip = self._skip if isinstance(plan.action, Skipping) else None
        limit = None if keeper is None else self._merger.restore(keeper.pieces())
        self._core = RunCore(
            number,
            plan.steps,
            plan.action.early,
            payload,
            self._absorb,
            skip=skip,
            priority=priority,
            done=self._merger.coverage(),
            limit=limit,
        )
        self._started = time.monotonic()
        self._deadline = math.inf if seconds is None else self._started + seconds
        self._workers_seen_at = self._ticked_at = self._started
        self._ended = 0.0
        self._shares: dict[str, WorkerShare] = {}
        #: What ended the run.
        self._failures: list[StepFailure] = []
        #: Elements of poison steps; None before somebody wanted to know.
        self._elements: dict[int, str] | None = None
        self._naming = threading.Lock()
        self._last: Report | None = None
        self._error: BaseException | None = None
        self._result: Any = None
        self._over = False
        #: A merge is going on; when that is still so after the run, it was interrupted in the middle of one.
        self._merging = False
        messages = self._core.start()
        if self._core.state == "running":
            link.add(self, messages)
        else:  # there are no steps: nothing to ask anybody for
            self._settle()

    # --- for the user ---------------------------------------------------------------------------------

    def result(self, timeout: float | timedelta | None = None) -> R:
        seconds = seconds_of("timeout", timeout)
        if not self._over and not self._link.wait_until(self.done, seconds):
            raise TimeoutError(f"the run is not over after {seconds:g} s (it goes on)")
        self._name_elements()
        if self._error is not None:
            raise self._error
        return cast("R", self._result)

    def done(self) -> bool:
        return self._over

    @property
    def number(self) -> int:
        """By which the scheduler knows it now."""
        return self._core.run

    def cancel(self) -> None:
        if not self._over:
            self._link.require_own_process()
            with self._lock:
                self._link.send(self._core.stop("cancelled"))
                self._settle()
            self._link.nudge()

    @property
    def report(self) -> Report:
        failures, total = self._told_failures()
        return Report(
            state=self._core.state,
            steps=None if self._plan.steps == ENDLESS else self._plan.steps,
            coverage=list(self._core.coverage),
            seconds=(self._ended or time.monotonic()) - self._started,
            workers=max(self._link.slots, 1),
            shares={name: WorkerShare(s.steps, s.seconds) for name, s in list(self._shares.items())},
            failures=failures,
            failures_total=total,
            seed=self._plan.seed,
            checkpoint_problem=None if self._keeper is None else self._keeper.problem,
            _partial=None if self._over and self._error is None else self._partial_result,
        )

    def _partial_result(self) -> Any:
        with self._lock:
            if self._merging:
                raise HaydiError(
                    "the run was interrupted while a result was being merged: nothing is left of it"
                )
            return self._merger.peek()

    # --- for the link ---------------------------------------------------------------------------------

    def on_message(self, message: m.Message) -> None:
        """A message of the scheduler about this run."""
        with self._lock:
            if self._deadline < math.inf and not self._over:  # many large results may be waiting
                self._look_after(time.monotonic())
            if not self._over:
                self._deal_with(message)

    def _deal_with(self, message: m.Message) -> None:
        if isinstance(message, m.Partial):
            share = self._shares.setdefault(message.worker, WorkerShare())
            share.steps += message.stop - message.start
            share.seconds += message.seconds
        try:
            self._link.send(self._core.handle(message))
        except (
            Exception
        ) as error:  # a result that does not unpickle or merge here: the user's types or action
            error.add_note(f"while merging the result of steps [{message.start}, {message.stop})")  # type: ignore[union-attr]
            self._error = error
            self._link.send(self._core.stop("failed"))
        self._settle()

    def on_tick(self, now: float) -> None:
        """Time has passed: the limit of the run, its checkpoint, and whether anybody works on it."""
        with self._lock:
            if not self._over:
                self._look_after(now)

    def _look_after(self, now: float) -> None:
        if self._keeper is not None and self._keeper.due(now):
            self._keeper.hand_over(self._merger.blocks(), now)
        if now >= self._deadline + DRAIN_SECONDS:
            self._link.send(self._core.stop("timeout"))
        elif now >= self._deadline:
            self._link.send(self._core.drain())
        elif (
            self._link.slots or not self._link.connected or absence(self._ticked_at + TICK_SECONDS_MOST, now)
        ):
            self._workers_seen_at = now
        elif now - self._workers_seen_at > self._no_worker_seconds:
            self._error = NoWorkersError(
                f"the scheduler at {self._link.address} has no workers since {self._no_worker_seconds:g} s: start "
                f"haydi-worker {self._link.address}, or use wait_for_workers() before the run"
            )
            self._link.send(self._core.stop("failed"))
        self._ticked_at = now
        self._settle()

    def resubmit(self, number: int) -> None:
        """A scheduler has to be told of the run again: what is not merged."""
        with self._lock:
            if not self._over:
                before = self.number
                self._link.add_again(self, before, self._core.start(number))

    def on_lost(self, error: HaydiError) -> None:
        """The scheduler is lost for good."""
        with self._lock:
            if not self._over:
                self._core.stop("lost")
                done = (
                    f"{in_words(self._core.coverage.size)} of {in_words(self._plan.steps)} steps were merged"
                )
                self._error = type(error)(f"{error} ({done})")
                self._settle()

    def next_deadline(self) -> float:
        """When :meth:`on_tick` is needed."""
        at = self._deadline + (DRAIN_SECONDS if self._core.draining else 0.0)
        return at if self._keeper is None else min(at, self._keeper.next_deadline())

    # --- inside ---------------------------------------------------------------------------------------

    def _absorb(self, start: int, stop: int, payload: bytes) -> int | None:
        partial = pickle.loads(payload)
        if self._keeper is not None:
            payload = self._keeper.readable(payload, partial)
        return self._merge(start, stop, partial, payload)

    def _merge(self, start: int, stop: int, partial: Any, payload: bytes) -> int | None:
        self._merging = True
        final = self._merger.add(start, stop, partial)
        self._merging = False
        if self._keeper is not None:
            self._keeper.add(start, stop, payload)
        return final

    def _skip(self, failure: Failure) -> int | None:
        action = self._plan.action
        assert isinstance(action, Skipping)
        died = death_of_step(failure.start, failure.stop, failure.payload)
        tally = action.failed(died)
        payload = b"" if self._keeper is None else self._keeper.dump(tally)
        return self._merge(failure.start, failure.stop, tally, payload)

    def _told_failures(self) -> tuple[list[StepFailure], int]:
        failures, total = failures_of(self._merger.partials())
        return named([*failures, *self._failures], self._elements or {}), total + len(self._failures)

    def _name_elements(self) -> None:
        """Find out what the elements of poison steps are: in the thread that waits, not in the one that leads."""
        with self._naming:
            if self._elements is not None:
                return
            poison = [failure.step for failure in self._told_failures()[0] if failure.deaths]
            self._elements = elements_of(self._core.payload, poison) if poison else {}
            if poison and self._last is not None:
                self._last.failures = self._told_failures()[0]
            if isinstance(self._error, PoisonStepError):
                step = self._error.step
                element = self._elements.get(step, self._error.element)
                self._error = PoisonStepError(replace(self._error.failure, element=element))

    def _settle(self) -> None:
        core = self._core
        if core.state == "running" or self._over:
            return
        core.check()
        self._ended = time.monotonic()
        try:
            if self._keeper is not None:
                finished = core.state == "done" and self._error is None
                blocks = [] if self._merging else self._merger.blocks()
                self._keeper.close(blocks, finished=finished, steps_done=self._core.coverage.size)
            if self._error is not None:
                pass
            elif core.state == "failed":
                failure = core.failure
                assert failure is not None
                self._error, told = load_failure(
                    failure.kind, failure.worker, failure.start, failure.stop, failure.payload
                )
                if told is not None:
                    self._failures.append(told)
            elif core.state == "cancelled":
                self._error = RunCancelledError(
                    f"the run was cancelled after {in_words(core.coverage.size)} of {in_words(self._plan.steps)} steps"
                )
            elif core.state == "lost":
                self._error = HaydiError(f"the scheduler gave the run up: {core.reason}")
            else:
                self._result = self._merger.result()
        except Exception as error:
            self._error = error
        finally:
            self._over = True
            self._link.remove(self)
            self._last = self.report
            self._on_over(self._last)
