"""How a daemon leaves without losing what it has computed.

It says ``Leaving`` and gives back what it has not begun, also what still comes after that. Strides that are at work
may end; what is folded is flushed. When the grace is nearly over, strides that go on are interrupted, and keep what
they have folded; one that cannot be interrupted is given up with the rest, and runs elsewhere. Then the daemon says
``Goodbye`` and waits a moment for the scheduler's, which tells that all its reports have arrived.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from haydi.ranges import RangeSet
from haydi.wire import messages as m
from haydi.worker.foreman import Foreman
from haydi.worker.state import Run, Slot

__all__ = ["Departure"]

#: Before the grace is over, strides are interrupted; at most half of the grace.
FLUSH_SECONDS: Final = 1.0
#: How long to wait for the scheduler's Goodbye.
GOODBYE_SECONDS: Final = 1.0


class Departure:
    """The leaving of a daemon.

    Args:
        reason: Why, for the log.
        grace_seconds: How long strides may go on.
        now: The time.
        foreman: Whose slots have to be seen off.
        send: Called with each message for the scheduler.
    """

    def __init__(
        self,
        reason: str,
        grace_seconds: float,
        now: float,
        foreman: Foreman,
        send: Callable[[m.Message], None],
    ) -> None:
        self.reason = reason
        #: The scheduler knows that we are gone.
        self.over = False
        self.said_goodbye = False
        #: Steps that were at work when the grace was over.
        self.given_up = 0
        self._foreman = foreman
        self._send = send
        self._cut_at = now + grace_seconds - min(FLUSH_SECONDS, grace_seconds / 2)
        self._end_at = now + grace_seconds
        send(m.Leaving())

    def next_deadline(self) -> float:
        """When :meth:`step` wants to be called at the latest."""
        return math.inf if self.over else min(self._cut_at, self._end_at)

    def on_goodbye(self) -> None:
        """The scheduler has all that we sent."""
        self.over = self.said_goodbye

    def step(self, now: float) -> None:
        """Something has happened, or time has passed."""
        slots = self._foreman.slots
        if self.said_goodbye:
            self.over = self.over or now >= self._end_at
            return
        self._give_back(self._foreman.runs.values())
        for released in self._foreman.drained():
            self._send(released)
        for place in slots:
            if place.idle and place.folded_run is not None:
                self._foreman.flush(place, now)
        if now >= self._cut_at:
            self._cut_at = math.inf
            for place in slots:
                if place.strides:
                    self._foreman.interrupt(place, place.strides[-1].number, now)
                    place.kill_at = math.inf  # its process ends soon anyway
        if now >= self._end_at or not any(map(_busy, slots)):
            self.given_up = sum(run.owned.size for run in self._foreman.runs.values())
            self.said_goodbye = True
            self._cut_at, self._end_at = math.inf, now + GOODBYE_SECONDS
            self._send(m.Goodbye())

    def _give_back(self, runs: Iterable[Run]) -> None:
        for run in runs:
            for place in self._foreman.slots:
                if place.run is run:
                    place.return_segment()
            for suspect in run.suspects.drain():
                run.put_back(suspect.start, suspect.stop)
            if run.pool:
                given, run.pool = run.pool, RangeSet()
                for start, stop in given:
                    run.owned.remove(start, stop)
                self._send(m.Released(run.number, tuple(given)))


def _busy(place: Slot) -> bool:
    """It has something that counts and was not reported."""
    return place.folded_run is not None or any(not stride.run.ended for stride in place.strides)
