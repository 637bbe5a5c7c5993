"""One run, seen from its client, as a state machine.

The client owns the truth about a run: what is merged is in its hands, so whatever happens to workers or
schedulers, what is missing is known exactly and can be submitted again. Messages of the scheduler go in,
messages to it come out. Partials are opaque here: an *absorb* function, given by the caller, unpickles and
merges them, and says when the result cannot change any more behind some step.

A run ends when ``[0, limit)`` is merged. The limit is the number of steps, until a final partial or a failure
shows that less is enough: what lies behind the first settled result, or behind the first failing step, is not
needed. For an action that never ends early the first failure that comes ends the run at once.

In a run that skips, a step that ended its processes counts as merged: the worker and the scheduler have nothing more to
do with it, and its part of the result is made here by a *skip* function, given by the caller. Exceptions of user code
never come here: they are part of the partials.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from haydi.ranges import RangeSet
from haydi.wire import messages as m

__all__ = ["Absorb", "Failure", "RunCore", "Skip"]

#: Results of so many bytes are acknowledged together.
CONSUMED_BYTES = 1 << 18


class Absorb(Protocol):
    """Merge a pickled partial; return where the result is final, or None."""

    def __call__(self, start: int, stop: int, payload: bytes) -> int | None: ...


class Skip(Protocol):
    """Merge what stands for steps that were skipped; return where the result is final, or None."""

    def __call__(self, failure: Failure) -> int | None: ...


@dataclass(frozen=True)
class Failure:
    """Something that ends the run with an error, or a step that is skipped."""

    start: int
    stop: int
    kind: str
    worker: str
    payload: bytes


class RunCore:
    """The state of one run: "running", then "done", "failed", "lost", "timeout" or "cancelled".

    Args:
        run: Its number.
        steps: Number of steps.
        early: Whether a partial may settle the result.
        payload: The pickled plan.
        absorb: Merges partials.
        skip: Merges a step that died; None for a run that ends with its first failure.
        priority: Scales its share of the workers.
        done: Ranges that are merged before it begins.
        limit: Where those settle the result; None where they do not.
    """

    def __init__(
        self,
        run: int,
        steps: int,
        early: bool,
        payload: bytes,
        absorb: Absorb,
        skip: Skip | None = None,
        priority: float = 1.0,
        done: Iterable[tuple[int, int]] = (),
        limit: int | None = None,
    ) -> None:
        self.run = run
        self.steps = steps
        self.early = early
        self.payload = payload
        self.absorb = absorb
        #: None for a run that ends with its first failure.
        self.skip = skip
        self.priority = priority
        self.state = "running"
        self.limit = steps if limit is None else min(limit, steps)
        self.coverage = RangeSet(done)
        #: What workers have folded is asked for, and nothing more is computed.
        self.draining = False
        self.failure: Failure | None = None
        self.reason = ""
        #: Ranges that came a second time and were left out.
        self.repeated = 0
        self._unacknowledged = 0
        self._sequence = 0
        self._out: list[m.Message] = []
        self._handlers: dict[type, Callable[..., None]] = {
            m.Partial: self._on_partial,
            m.RunFailed: self._on_failed,
            m.RunLost: self._on_lost,
            m.Drained: self._on_drained,
        }

    def start(self, number: int | None = None) -> list[m.Message]:
        """Submit what is missing: all of it at first, the rest when a scheduler that was lost is back.

        Then under another ``number``: daemons may still answer for the submission of before, and that must not be
        taken for this one.
        """
        if self.state != "running":
            return []
        if number is not None:
            self.run = number
        missing = tuple(self.coverage.gaps(self.limit))
        self._sequence = self._unacknowledged = 0
        if missing:
            skip = self.skip is not None
            self._out.append(
                m.Submit(self.run, self.limit, self.early, skip, self.priority, missing, self.payload)
            )
            if self.draining:
                self._out.append(m.Drain(self.run))
        else:
            self._finish_if_complete()
        return self._take()

    def handle(self, message: m.Message) -> list[m.Message]:
        """A message of the scheduler about this run."""
        if self.state == "running":
            self._handlers[type(message)](message)
        return self._take()

    def stop(self, state: str, reason: str = "") -> list[m.Message]:
        """End the run from this side: a timeout, a cancellation, a lost scheduler."""
        if self.state == "running":
            self.state, self.reason = state, reason
            self._out.append(m.Cancel(self.run))
        return self._take()

    def drain(self) -> list[m.Message]:
        """The time is over: ask for what is folded on the workers. The run ends when that has come."""
        if self.state == "running" and not self.draining:
            self.draining = True
            self._out.append(m.Drain(self.run))
        return self._take()

    def check(self) -> None:
        """Assert every invariant."""
        if self.state == "done":
            assert self.coverage.contains(0, self.limit), (
                f"done, but {self.coverage.gaps(self.limit)} are missing"
            )

    def _on_partial(self, message: m.Partial) -> None:
        start, stop = message.start, message.stop
        self._sequence = message.sequence
        self._unacknowledged += len(message.payload)
        if self._unacknowledged >= CONSUMED_BYTES:
            self._unacknowledged = 0
            self._out.append(m.Consumed(self.run, message.sequence))
        self._merge(start, stop, lambda: self.absorb(start, stop, message.payload))

    def _merge(self, start: int, stop: int, absorb: Callable[[], int | None]) -> None:
        if self.coverage.overlaps(start, stop):
            self.repeated += 1
            return
        final = absorb()
        self.coverage.add(start, stop)
        if final is not None and final <= self.limit:
            self.failure = None  # it lies behind what settles the result
            self._trim(final)
        self._finish_if_complete()

    def _on_failed(self, message: m.RunFailed) -> None:
        failure = Failure(message.start, message.stop, message.kind, message.worker, message.payload)
        skip = self.skip
        if skip is not None and message.kind == "died":
            self._merge(message.start, message.stop, lambda: skip(failure))
        elif not self.early or message.kind in ("load", "loading"):
            self.failure = failure
            self.state = "failed"
            self._out.append(m.Cancel(self.run))
        elif message.start < self.limit:
            self.failure = failure
            self._trim(message.start)
            self._finish_if_complete()

    def _on_lost(self, message: m.RunLost) -> None:
        self.state, self.reason = "lost", message.reason

    def _on_drained(self, message: m.Drained) -> None:
        if self.draining:
            self.state = "timeout"
            self._out.append(m.Cancel(self.run))

    def _trim(self, stop: int) -> None:
        if stop < self.limit:
            self.limit = stop
            self._out.append(m.Trim(self.run, stop))

    def _finish_if_complete(self) -> None:
        if self.coverage.contains(0, self.limit):
            self.state = "failed" if self.failure is not None and self.failure.start == self.limit else "done"

    def _take(self) -> list[m.Message]:
        out, self._out = self._out, []
        return out
