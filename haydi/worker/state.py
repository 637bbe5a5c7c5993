"""What a supervisor keeps in mind: its constants, its runs, its slots and the strides they work on.

A run and a stride are told apart by identity, never by number alone: a daemon that was given up and joined again can
be given the same run once more while its compute processes still answer for the strides of before. An answer to a
stride whose run has ``ended`` counts for nothing.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from haydi.ranges import RangeSet
from haydi.wire import messages as m

__all__ = ["Run", "Slot", "Stride", "WorkerSettings"]


@dataclass(frozen=True)
class WorkerSettings:
    """Constants of a daemon; times in seconds."""

    stride_seconds: float = 0.05
    #: Strides shrink down to this towards the end of a segment, so that there is something to take.
    stride_seconds_least: float = 0.002
    #: A stride may overrun its estimate by this before the compute process ends it early.
    stride_overrun: float = 3.0
    #: Steps of the first stride of a slot on a run, when nothing is known: it ends early by its budget.
    first_stride_steps: int = 1 << 20
    recut_seconds: float = 0.5
    interrupt_grace_seconds: float = 0.5
    low_water_seconds: float = 0.05
    #: A wish for more work waits so long for an envelope that leaves anyway: each one wakes the scheduler.
    want_seconds: float = 0.002
    #: A slot stays with a run for at least this long.
    quantum_seconds: float = 0.2
    #: Flushing may take up to this part of a slot's time...
    flush_share: float = 0.05
    #: ... or more, so that a partial that grows with its steps is not much larger than this when it leaves: it passes
    #: through the memory of the daemon and of the scheduler, and all of it is lost with its process.
    flush_bytes: int = 4 << 20
    reconnect_seconds: float = 1.0
    death_seconds: float = 300.0
    deaths_most: int = 3
    respawn_seconds: float = 1.0


@dataclass(eq=False)
class Run:
    """What this daemon knows of a run."""

    plan: m.RunPlan
    pool: RangeSet = field(default_factory=RangeSet)
    #: All steps the daemon answers for.
    owned: RangeSet = field(default_factory=RangeSet)
    #: Steps at and behind one that raised: they are not run again; the client decides.
    failed: RangeSet = field(default_factory=RangeSet)
    #: Steps from here on are not needed; None while all are.
    limit: int | None = None
    #: The scheduler has ended it, or the connection it came by is lost.
    ended: bool = False
    #: Nothing more of it is begun: what is folded is reported, the rest given up.
    draining: bool = False
    service_seconds: float = 0.0
    #: Rate of one slot (see :mod:`haydi.rates`).
    rate: int | None = None
    flush_cost_seconds: float = 0.0
    #: Steps and bytes of the latest partial that was flushed.
    flushed: tuple[int, int] = (0, 0)
    #: So many steps are folded at most, lest the partial grow too large; None while nothing is known.
    flush_steps: int | None = None
    #: (start, stop, deaths): ranges that processes died in, apart from each other.
    suspects: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def number(self) -> int:
        return self.plan.run

    def put_back(self, start: int, stop: int) -> None:
        """Steps are not begun (again): into the pool, as far as they are still needed."""
        if self.draining:
            self.set_aside(start, stop)
            return
        needed = self._needed(start, stop)
        self.pool.add(start, needed)
        self.owned.remove(needed, stop)

    def set_aside(self, start: int, stop: int) -> None:
        """Steps have failed, as far as they are still needed."""
        needed = self._needed(start, stop)
        self.failed.add(start, needed)
        self.owned.remove(needed, stop)

    def _needed(self, start: int, stop: int) -> int:
        return stop if self.limit is None else max(start, min(stop, self.limit))

    def weigh(self, steps: int, size: int, limit: int) -> None:
        """A partial of so many steps had ``size`` bytes: how many may the next ones have, to stay within ``limit``?

        Large partials that differ in their steps show how many bytes a step adds. Where that is little or nothing
        (groups that are full), flushing earlier would help nobody, and the next ones may have twice as many steps.
        """
        more_steps, more_bytes = steps - self.flushed[0], size - self.flushed[1]
        self.flushed = (steps, size)
        if size < limit or not more_steps:
            self.flush_steps = max(1, steps * limit // max(1, size))
        elif more_bytes * more_steps > 0:
            self.flush_steps = max(1, min(2 * steps, limit * abs(more_steps) // abs(more_bytes)))
        else:
            self.flush_steps = 2 * steps

    def suspect(self, start: int, stop: int) -> tuple[int, int, int]:
        """A process died in ``[start, stop)``. Returns the narrowest range that may be to blame, and its deaths."""
        deaths = 1
        apart = []
        for entry in self.suspects:
            if entry[0] < stop and start < entry[1]:
                start, stop = max(start, entry[0]), min(stop, entry[1])
                deaths = max(deaths, entry[2] + 1)
            else:
                apart.append(entry)
        self.suspects = [*apart, (start, stop, deaths)]
        return start, stop, deaths

    def clear(self, start: int, stop: int) -> None:
        """Steps ``[start, stop)`` have been survived, up to sending their result: they are not to blame."""
        kept = []
        for entry in self.suspects:
            a, b, deaths = entry
            if start <= a < stop:
                a = stop
            if start < b <= stop:
                b = start
            if a < b:
                kept.append((a, b, deaths))
        self.suspects = kept

    def check(self, slots: list[Slot]) -> None:
        """Assert that each step owned is in exactly one place."""
        assert not self.ended, "a run that ended is still here"
        parts = [self.pool, self.failed]
        for place in slots:
            part = RangeSet()
            if place.run is self:
                part.add(place.position, place.stop)
            if place.folded_run is self:
                part.add(place.folded_start, place.folded_stop)
            size = part.size
            for stride in place.strides:
                if stride.run is self:
                    part.add(stride.start, stride.stop)
                    size += stride.stop - stride.start
            assert part.size == size, "a slot has a step twice"
            parts.append(part)
        assert sum(p.size for p in parts) == self.owned.size, (
            f"steps of run {self.number:x} are lost or doubled"
        )
        assert RangeSet(r for p in parts for r in p) == self.owned
        if self.limit is not None:
            for part in (self.pool, self.failed):
                assert not part or part.last[1] <= self.limit, "steps that nobody needs are kept"


@dataclass(eq=False)
class Stride:
    """Steps that a compute process works on, or has waiting in its pipe."""

    number: int
    run: Run
    start: int
    stop: int
    #: When it was sent, or when the one before it was answered.
    begun: float
    expected_seconds: float


@dataclass(eq=False)
class Slot:
    """A compute process, or the place for one."""

    index: int
    pid: int = 0
    ready: bool = False
    strides: deque[Stride] = field(default_factory=deque)
    #: The run of segment and rate; ``[position, stop)`` is not begun.
    run: Run | None = None
    position: int = 0
    stop: int = 0
    rate: int | None = None
    chosen_at: float = 0.0
    #: ``[folded_start, folded_stop)`` is folded and not flushed.
    folded_run: Run | None = None
    folded_start: int = 0
    folded_stop: int = 0
    folded_seconds: float = 0.0
    flushed_at: float = 0.0
    #: Steps sent since a flush was asked for.
    unflushed: int = 0
    #: Numbers of the runs whose plan it has.
    loaded: set[int] = field(default_factory=set)
    #: Up to which stride it was told to stop, and until when it may take.
    interrupted: int = -1
    kill_at: float = math.inf
    respawn_at: float = math.inf
    died_at: float = -math.inf

    @property
    def remaining(self) -> int:
        """Steps of the segment that are not begun."""
        return self.stop - self.position

    @property
    def idle(self) -> bool:
        """It could work and has nothing to do."""
        return self.ready and not self.strides

    def fold(self, stride: Stride, stop: int, seconds: float) -> None:
        """The compute process has folded the steps of a stride up to ``stop``."""
        if stop > stride.start:
            if self.folded_run is None:
                self.folded_run, self.folded_start = stride.run, stride.start
            assert self.folded_run is stride.run, "a compute process folded two runs together"
            self.folded_stop = stop
            self.folded_seconds += seconds

    def drop_folded(self) -> None:
        """What was folded is flushed, or lost."""
        self.folded_run, self.folded_start, self.folded_stop, self.folded_seconds = None, 0, 0, 0.0

    def drop_segment(self) -> None:
        """The rest of the segment belongs to somebody else."""
        self.run, self.position, self.stop, self.rate = None, 0, 0, None

    def return_segment(self) -> None:
        """Put the rest of the segment back into its pool."""
        if self.run is not None and self.remaining:
            self.run.put_back(self.position, self.stop)
        self.drop_segment()

    def blame(self, reason: str, deaths_most: int, now: float) -> m.Failed | None:
        """Its process died: was it what it worked on? After some deaths in the same steps it is held to be."""
        if not self.strides:
            return None
        stride = self.strides[0]
        run = stride.run
        # What was sent together with the news of its death it cannot have begun.
        if run.ended or stride.number <= self.interrupted or stride.begun >= now:
            return None
        start, stop = stride.start, stride.stop
        flushing = start == stop
        if flushing:
            start, stop = self.folded_start, self.folded_stop
        first, last, deaths = run.suspect(start, stop)
        if deaths < deaths_most:
            return None
        run.put_back(start, first)
        run.set_aside(first, stop)
        if flushing:
            self.drop_folded()
        else:
            self.strides.popleft()
        text = f"{reason}; {deaths} processes died in these steps"
        return m.Failed(run.number, first, last, "died", text.encode())

    def check(self) -> None:
        """Assert what must hold of a slot by itself."""
        assert len(self.strides) <= 2
        assert self.ready or not self.strides
        assert self.run is None or not self.run.ended
        assert self.folded_run is None or not self.folded_run.ended
        assert self.position <= self.stop
