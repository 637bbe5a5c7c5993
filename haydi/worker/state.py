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
from haydi.worker.suspects import Suspect, Suspects

__all__ = ["Run", "Slot", "Stride", "WorkerSettings"]

#: A daemon with a lifetime is gone so long before it ends.
LEAVE_MARGIN_SECONDS = 2.0


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
    #: How long to be without a scheduler before the daemon ends.
    death_seconds: float = 300.0
    #: So many processes may die in a step before it is held to be poison.
    deaths_allowed: int = 3
    #: What a compute process may use, in bytes; 0 for no limit.
    memory_bytes: int = 0
    #: How long strides may go on when the daemon leaves.
    leave_grace_seconds: float = 5.0
    #: The daemon has left after so long; infinite: it does not leave by itself.
    lifetime_seconds: float = math.inf
    respawn_seconds: float = 1.0

    @property
    def working_seconds(self) -> float:
        """When to begin to leave, so that the daemon is gone when its lifetime ends; at half of it at the earliest."""
        before_end = self.leave_grace_seconds + LEAVE_MARGIN_SECONDS
        return max(self.lifetime_seconds / 2, self.lifetime_seconds - before_end)


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
    #: Steps that processes died in; they are run alone (see :mod:`haydi.worker.suspects`).
    suspects: Suspects = field(default_factory=Suspects)
    #: Processes that died while they loaded the plan, one after another, by slot; empty when one has loaded it.
    load_deaths: dict[int, int] = field(default_factory=dict)

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

    def suspect(self, start: int, stop: int, deaths: int) -> None:
        """Steps are suspected, as far as they are still needed."""
        if self.draining:
            self.set_aside(start, stop)
            return
        needed = self._needed(start, stop)
        if start < needed:
            self.suspects.add(Suspect(start, needed, deaths))
        self.owned.remove(needed, stop)

    def withdraw(self, start: int, stop: int) -> int:
        """Take steps that were put back out again, as far as they are needed; returns where that ends."""
        needed = self._needed(start, stop)
        (self.failed if self.draining else self.pool).remove(start, needed)
        return needed

    def check(self, slots: list[Slot]) -> None:
        """Assert that each step owned is in exactly one place."""
        assert not self.ended, "a run that ended is still here"
        spans = [*self.pool, *self.failed, *((s.start, s.stop) for s in self.suspects)]
        if self.limit is not None:
            assert all(stop <= self.limit for _, stop in spans), "steps that nobody needs are kept"
        for place in slots:
            if place.run is self:
                spans.append((place.position, place.stop))
            if place.folded_run is self:
                spans.append((place.folded_start, place.folded_stop))
            spans += [(stride.start, stride.stop) for stride in place.strides if stride.run is self]
        joined: list[tuple[int, int]] = []
        for start, stop in sorted(span for span in spans if span[0] < span[1]):
            if joined and joined[-1][1] == start:
                start = joined.pop()[0]
            assert not joined or joined[-1][1] < start, (
                f"step {start} of run {self.number:x} is in two places"
            )
            joined.append((start, stop))
        assert joined == list(self.owned), f"steps of run {self.number:x} are lost: {joined} of {self.owned}"


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
    #: What it was suspected of before; then nothing is held before it, and nothing waits behind it.
    suspect: Suspect | None = None


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
    #: It has not been given any stride.
    fresh: bool = True
    #: What it used when it was last weighed, in bytes.
    memory_bytes: int = 0
    #: Why we end it: "interrupt" or "memory"; "leaving" when it died while the daemon leaves; else empty.
    ended_for: str = ""
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
            stride.run.load_deaths.clear()  # it can be loaded
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

    def check(self) -> None:
        """Assert what must hold of a slot by itself."""
        assert len(self.strides) <= 2
        assert len(self.strides) == 1 or not any(stride.suspect for stride in self.strides), (
            "a suspect has company"
        )
        assert self.ready or not self.strides
        assert self.run is None or not self.run.ended
        assert self.folded_run is None or not self.folded_run.ended
        assert self.position <= self.stop
