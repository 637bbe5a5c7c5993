"""A run on a cluster: the handle that the user holds, around :class:`~haydi.client.core.RunCore`."""

from __future__ import annotations

import math
import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar, cast

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
from haydi.skipping import Skipping, failures_of
from haydi.sources import ENDLESS
from haydi.wire import messages as m
from haydi.wire.contact import absence

__all__ = ["DistributedRun"]

R = TypeVar("R")

#: The link looks at a run at least so often, in seconds; later than that is an absence of this process.
TICK_SECONDS_MOST = 1.0


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
    ) -> None:
        self._plan = plan
        self._link = link
        self._no_worker_seconds = no_worker_seconds
        self._on_over = on_over
        self._merger = Merger(plan.action)
        skip = self._skip if isinstance(plan.action, Skipping) else None
        self._core = RunCore(number, plan.steps, plan.action.early, payload, self._absorb, skip, priority)
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
        )

    # --- for the link ---------------------------------------------------------------------------------

    def on_message(self, message: m.Message) -> None:
        """A message of the scheduler about this run."""
        if self._over:
            return
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
        """Time has passed: the limit of the run, and whether anybody works on it."""
        if self._over:
            return
        if now >= self._deadline:
            self._link.send(self._core.stop("timeout"))
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

    def resubmit(self, number: int) -> list[m.Message]:
        """A scheduler has to be told of the run again: what is not merged."""
        return [] if self._over else self._core.start(number)

    def on_lost(self, error: HaydiError) -> None:
        """The scheduler is lost for good."""
        if not self._over:
            self._core.stop("lost")
            done = f"{in_words(self._core.coverage.size)} of {in_words(self._plan.steps)} steps were merged"
            self._error = type(error)(f"{error} ({done})")
            self._settle()

    def next_deadline(self) -> float:
        """When :meth:`on_tick` is needed."""
        return self._deadline

    # --- inside ---------------------------------------------------------------------------------------

    def _absorb(self, start: int, stop: int, payload: bytes) -> int | None:
        return self._merger.add(start, stop, pickle.loads(payload))

    def _skip(self, failure: Failure) -> int | None:
        action = self._plan.action
        assert isinstance(action, Skipping)
        died = death_of_step(failure.start, failure.stop, failure.payload)
        return self._merger.add(failure.start, failure.stop, action.failed(died))

    def _told_failures(self) -> tuple[list[StepFailure], int]:
        failures, total = failures_of(self._merger.partials())
        failures = sorted([*failures, *self._failures], key=lambda failure: failure.step)
        elements = self._elements or {}
        named = [replace(f, element=elements[f.step]) if f.step in elements else f for f in failures]
        return named, total + len(self._failures)

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
