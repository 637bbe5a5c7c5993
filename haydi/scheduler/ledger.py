"""The ledger of one run: who owns which steps.

At every moment each step of ``[0, stop)`` is in exactly one place: *unassigned*, *held* by one worker, or
*merged* (its result has gone to the client). Steps only move: unassigned to held (:meth:`Ledger.lease`), held
to merged (:meth:`Ledger.report`), held back to unassigned (:meth:`Ledger.release`, :meth:`Ledger.lose`). A
report for steps that the worker does not hold is refused: it is late, repeated or forged, and it changes
nothing. That is the whole of "exactly once in the merge".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from haydi.ranges import RangeSet

__all__ = ["Ledger"]

W = TypeVar("W")  # name of a worker


class Ledger(Generic[W]):
    """Ownership of the steps ``[0, steps)`` of one run, of which ``ranges`` are to be computed."""

    def __init__(self, steps: int, ranges: Iterable[tuple[int, int]] | None = None) -> None:
        #: Steps from here on are not needed.
        self.stop = steps
        #: Steps that nobody works on.
        self.unassigned = RangeSet([(0, steps)] if ranges is None else ranges)
        #: Steps that are done, whether their results came from here or were there before.
        self.merged = RangeSet(self.unassigned.gaps(steps))
        #: Steps by the worker that owns them; no entry is empty.
        self.held: dict[W, RangeSet] = {}

    @property
    def complete(self) -> bool:
        """True when every step that is needed is merged."""
        return self.merged.size == self.stop

    def lease(self, worker: W, steps: int) -> tuple[int, int]:
        """Give the worker up to ``steps`` of the first unassigned steps."""
        start, stop = self.unassigned.take_first(steps)
        self.held.setdefault(worker, RangeSet()).add(start, stop)
        return start, stop

    def holds(self, worker: W, start: int, stop: int) -> bool:
        """True when the worker holds ``[start, stop)``, as far as that is needed, and some of it is."""
        stop = min(stop, self.stop)
        return start < stop and worker in self.held and self.held[worker].contains(start, stop)

    def report(self, worker: W, start: int, stop: int) -> bool:
        """Steps are done. False, and nothing changed, when the worker does not hold them all."""
        if not self.holds(worker, start, stop):
            return False
        stop = min(stop, self.stop)
        self._unhold(worker, self.held[worker], start, stop)
        self.merged.add(start, stop)
        return True

    def release(self, worker: W, ranges: Iterable[tuple[int, int]]) -> bool:
        """The worker gives steps back. False, and nothing changed, when it does not hold them all."""
        held = self.held.get(worker)
        given = [(start, min(stop, self.stop)) for start, stop in ranges if start < self.stop]
        if held is None or not all(held.contains(start, stop) for start, stop in given):
            return not given
        for start, stop in given:
            self._unhold(worker, held, start, stop)
            self.unassigned.add(start, stop)
        return True

    def forfeit(self, worker: W, start: int, stop: int) -> bool:
        """Whatever the worker holds of ``[start, stop)`` is unassigned again. False when that is nothing.

        What a worker reports it will not compute again; when the report is refused, others have to.
        """
        given = RangeSet()
        for a, b in self.held.get(worker, ()):
            given.add(max(a, start), min(b, stop))
        return bool(given) and self.release(worker, given)

    def lose(self, worker: W) -> int:
        """The worker is gone: all it held is unassigned again. Returns the number of steps."""
        held = self.held.pop(worker, None)
        if held is None:
            return 0
        for start, stop in held:
            self.unassigned.add(start, stop)
        return held.size

    def trim(self, stop: int) -> list[W]:
        """Steps from ``stop`` on are not needed any more. Returns the workers that held some."""
        if stop >= self.stop:
            return []
        self.stop = stop
        self.unassigned.cut(stop)
        self.merged.cut(stop)
        touched = []
        for worker, held in list(self.held.items()):
            if held.last[1] > stop:
                touched.append(worker)
                held.cut(stop)
                if not held:
                    del self.held[worker]
        return touched

    def _unhold(self, worker: W, held: RangeSet, start: int, stop: int) -> None:
        held.remove(start, stop)
        if not held:
            del self.held[worker]

    def check(self) -> None:
        """Assert that unassigned, held and merged are a partition of ``[0, stop)``."""
        parts = [self.unassigned, self.merged, *self.held.values()]
        assert all(self.held.values()), "an entry of held is empty"
        assert sum(part.size for part in parts) == self.stop, "steps are lost or owned twice"
        at = 0
        for start, stop in sorted(span for part in parts for span in part):
            assert start == at, f"the parts do not cover [0, {self.stop}): {at} to {start}"
            at = stop
        assert at == self.stop, f"the parts do not cover [0, {self.stop}): {at} is their end"
