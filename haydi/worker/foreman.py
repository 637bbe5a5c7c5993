"""The foreman hands the steps that a daemon owns to its slots.

A slot takes a *segment* out of the pool of a run and works through it in *strides* of some 50 ms, one prefetched;
partials of neighbouring strides are folded in the compute process and *flushed* now and then. A slot without work
takes half of the segment that would end last.

Strides are short so that the supervisor always knows what is not begun and can give it away at once, whatever user
code does. When costs jump and a stride takes much longer than it should while somebody is idle, it is interrupted
and cut into single steps (*recut*); a stride of one step is never interrupted for that reason, so each interruption is
followed by progress.

What processes died in is *suspected*, and run alone (:mod:`haydi.worker.suspects`): a slot takes it between segments,
flushes what it has folded before, and gets nothing else meanwhile.

Runs share the slots: a slot that needs work takes it from the client served least so far, and of its runs from the one
served least. Service is charged by time divided by the priority of the run: one of priority 2 gets twice as much.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from haydi.ranges import RangeSet
from haydi.rates import mean_rate, part_of, rate_of, seconds_for, steps_within
from haydi.wire import messages as m
from haydi.worker.effects import Effect, Forget, Interrupt, Load, Note, StartStride
from haydi.worker.state import Run, Slot, Stride, WorkerSettings
from haydi.worker.suspects import Suspect

__all__ = ["Foreman"]


class Foreman:
    """Who works on what.

    Args:
        settings: Constants.
        slots: The slots; the list is shared with the core, which replaces a slot whose process died.
        runs: The runs by number; shared with the core.
        emit: Called with each effect.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        slots: list[Slot],
        runs: dict[int, Run],
        emit: Callable[[Effect], None],
    ) -> None:
        self.settings = settings
        self.slots = slots
        self.runs = runs
        #: Slot seconds that each client was served, divided by the priority of the run they went to.
        self.owner_seconds: dict[int, float] = {}
        self._emit = emit
        self._next_stride = 0

    def admit(self, new: Run) -> None:
        """A run has come: it and its client start level with those served least, whatever was before."""
        owner = new.plan.owner
        siblings = [run.service_seconds for run in self.runs.values() if run.plan.owner == owner]
        new.service_seconds = min(siblings, default=0.0)
        served = [self.owner_seconds.get(run.plan.owner, 0.0) for run in self.runs.values()]
        self.owner_seconds[owner] = max(self.owner_seconds.get(owner, 0.0), min(served, default=0.0))
        if len(self.owner_seconds) > 64:
            live = {owner, *(run.plan.owner for run in self.runs.values())}
            self.owner_seconds = {o: s for o, s in self.owner_seconds.items() if o in live}

    def account(self, place: Slot, stride: Stride, stop: int, seconds: float) -> None:
        """A stride has ended at ``stop``: note how fast it was, and who was served."""
        run = stride.run
        owner = run.plan.owner
        charged = seconds / run.plan.priority
        run.service_seconds += charged
        self.owner_seconds[owner] = self.owner_seconds.get(owner, 0.0) + charged
        steps = stop - stride.start
        if seconds > 0 and place.run is run:
            if steps:
                place.rate = rate_of(steps, seconds)
                run.rate = mean_rate(run.rate, place.rate, 0.3)
            elif stride.number <= place.interrupted:
                place.rate = rate_of(1, max(seconds, self.settings.recut_seconds))

    def take_back(self, place: Slot, run: Run, start: int, stop: int) -> None:
        """A stride ended early: its rest is not begun."""
        if place.run is run and place.position == stop and place.remaining and not place.strides:
            place.position = start
        else:
            run.put_back(start, stop)

    def low_runs(self) -> frozenset[int]:
        """Runs with less to begin than the low-water mark, by measured rates."""
        least = self.settings.low_water_seconds * len(self.slots)
        low = []
        for number, run in self.runs.items():
            if run.rate is not None and not run.draining:
                unbegun = run.pool.size + sum(s.remaining for s in self.slots if s.run is run)
                if seconds_for(unbegun, run.rate) < least:
                    low.append(number)
        return frozenset(low)

    # --- giving slots work ----------------------------------------------------------------------------

    def employ(self, place: Slot, now: float) -> None:
        """Keep a slot busy: a stride at work and, when they are short, one waiting."""
        if place.kill_at is not math.inf or place.ended_for:
            return
        if place.remaining and self._turn_is_over(place, now):
            if place.strides:  # what is in the pipe comes first
                return
            place.return_segment()
        while len(place.strides) < 2:
            if not place.remaining:
                if place.strides:  # a prefetched stride of another segment would only force a flush
                    return
                run = self._choose(place)
                suspected = run is not None and bool(run.suspects) and self._may_try_suspects(place)
                if suspected and run is not None and place.folded_run is None:
                    self._try_suspect(place, run, now)
                    return
                if suspected or run is None or not self._take_segment(place, run, now):
                    if place.folded_run is not None:
                        self.flush(place, now)
                    return
            elif place.strides and (place.rate is None or place.strides[0].expected_seconds > 0.2):
                return
            self._start_next(place, now)

    def flush(self, place: Slot, now: float) -> None:
        """Have a slot send what it has folded."""
        assert place.folded_run is not None
        self._start(place, place.folded_run, place.folded_stop, place.folded_stop, now, flush=True)

    def _turn_is_over(self, place: Slot, now: float) -> bool:
        if len(self.runs) < 2 or now - place.chosen_at < self.settings.quantum_seconds:
            return False
        chosen = self._choose()
        return chosen is not None and chosen is not place.run

    def _choose(self, idle: Slot | None = None) -> Run | None:
        """The run with unbegun work (for an idle slot) whose client, and then itself, was served least."""
        shared = {place.run for place in self.slots if place.remaining > 1}
        suspects = idle is not None and self._may_try_suspects(idle)
        able = [run for run in self.runs.values() if run.pool or run in shared or (suspects and run.suspects)]
        return min(
            able,
            key=lambda run: (self.owner_seconds.get(run.plan.owner, 0.0), run.service_seconds),
            default=None,
        )

    def _may_try_suspects(self, place: Slot) -> bool:
        """Suspects are for a process that has run nothing yet, if there is or soon will be one.

        What others have left behind in its memory is then no fault of theirs.
        """
        return place.fresh or not any(s.fresh and s.respawn_at is math.inf for s in self.slots)

    def _try_suspect(self, place: Slot, run: Run, now: float) -> None:
        """Run a suspect alone. It may take its time: only its death or its result says something."""
        suspect = run.suspects.take()
        self._start(place, run, suspect.start, suspect.stop, now, flush=True, suspect=suspect)

    def _take_segment(self, place: Slot, run: Run, now: float) -> bool:
        if run is not place.run:
            place.run, place.rate = run, run.rate
        place.chosen_at = now
        if run.pool:
            needy = max(1, sum(s.ready and not s.remaining for s in self.slots))
            if run.plan.early:
                steps = self._stride_steps(place, run, run.pool.size, needy)
            else:
                steps = -(-run.pool.size // needy)
                if place.rate is not None:  # halving what takes no time would have no end
                    steps = max(steps, steps_within(place.rate, self.settings.stride_seconds_least))
            place.position, place.stop = run.pool.take_first(steps)
            return True
        victim = max(
            (s for s in self.slots if s.run is run and s.remaining > 1), key=self._seconds_left, default=None
        )
        if victim is None:
            return False
        place.position, place.stop = victim.stop - victim.remaining // 2, victim.stop
        victim.stop = place.position
        return True

    def _seconds_left(self, place: Slot) -> float:
        rate = place.rate or (None if place.run is None else place.run.rate)
        return float("inf") if rate is None else seconds_for(place.remaining, rate)

    def _stride_steps(self, place: Slot, run: Run, remaining: int, parts: int) -> int:
        """Steps of the next stride: by time, and about one of ``parts`` of what is left when that is less."""
        settings = self.settings
        if place.rate is None:
            return min(settings.first_stride_steps, max(1, remaining // 2))
        seconds = max(settings.stride_seconds, run.plan.flush_seconds if run.plan.early else 0.0)
        steps = max(1, steps_within(place.rate, seconds))
        least = max(1, steps_within(place.rate, settings.stride_seconds_least))
        steps = min(steps, max(least, -(-remaining // parts)))
        return steps if run.flush_steps is None else min(steps, run.flush_steps)

    def _start_next(self, place: Slot, now: float) -> None:
        run = place.run
        assert run is not None
        if place.folded_run is not None and not place.strides:
            adjacent = place.folded_run is run and place.folded_stop == place.position
            if not adjacent:
                self.flush(place, now)
                return
        start = place.position
        # Towards the end strides shrink, so that there is something to take; the segment of a run that may end early is
        # a stride, and each is reported.
        parts = 1 if run.plan.early else 3
        place.position += min(place.remaining, self._stride_steps(place, run, place.remaining, parts))
        interval = max(run.plan.flush_seconds, run.flush_cost_seconds / self.settings.flush_share)
        flush = run.plan.early or not place.remaining or now - place.flushed_at >= interval
        if run.flush_steps is not None:
            flush = flush or place.unflushed + place.position - start >= run.flush_steps
        self._start(place, run, start, place.position, now, flush=flush)

    def _start(
        self,
        place: Slot,
        run: Run,
        start: int,
        stop: int,
        now: float,
        flush: bool,
        suspect: Suspect | None = None,
    ) -> None:
        place.fresh = False
        if run.number not in place.loaded:
            place.loaded.add(run.number)
            self._emit(Load(place.index, run.number, run.plan.payload))
        expected = seconds_for(stop - start, place.rate) if place.rate else self.settings.stride_seconds
        budget = max(self.settings.stride_seconds, expected * self.settings.stride_overrun)
        if place.rate is None:
            budget = self.settings.stride_seconds_least * 5
        if suspect is not None:
            budget = math.inf
        stride = Stride(self._next_stride, run, start, stop, now, expected, suspect)
        self._next_stride += 1
        place.strides.append(stride)
        place.unflushed += stop - start
        if flush:
            place.flushed_at, place.unflushed = now, 0
        cautious = suspect is not None
        self._emit(StartStride(place.index, stride.number, run.number, start, stop, budget, flush, cautious))

    # --- taking work away -----------------------------------------------------------------------------

    def give_up(self, run: Run, share: float) -> RangeSet:
        """Take about ``share`` of what is not begun of a run, and at least a step if there is one."""
        given = RangeSet()
        want = -part_of(-run.pool.size, share)
        while run.pool and want > 0:
            start, stop = run.pool.take_last(want)
            given.add(start, stop)
            want -= stop - start
        for place in self.slots:
            if place.run is run and place.remaining:
                size = part_of(place.remaining, share)
                given.add(place.stop - size, place.stop)
                place.stop -= size
        if not given:
            longest = max(
                (s for s in self.slots if s.run is run and s.remaining), key=self._seconds_left, default=None
            )
            if longest is not None:
                longest.stop -= 1
                given.add(longest.stop, longest.stop + 1)
        for start, stop in given:
            run.owned.remove(start, stop)
        return given

    def trim(self, run: Run, stop: int, now: float) -> None:
        """Steps from ``stop`` on are not needed any more."""
        stop = run.limit = stop if run.limit is None else min(stop, run.limit)
        for part in (run.pool, run.failed, run.suspects):
            part.cut(stop)
        # What is in a stride or folded beyond the new end is still answered for, and reported as it comes.
        keep = RangeSet()
        for place in self.slots:
            if place.run is run and place.stop > stop:
                place.stop = max(place.position, stop)
                if not place.remaining:
                    place.position = place.stop = 0
            ours = [stride for stride in place.strides if stride.run is run]
            if ours and len(ours) == len(place.strides) and ours[0].start >= stop:
                self.interrupt(place, ours[-1].number, now)
            for stride in ours:
                keep.add(stride.start, stride.stop)
            if place.folded_run is run:
                keep.add(place.folded_start, place.folded_stop)
        run.owned.cut(stop)
        for start, end in keep:
            run.owned.add(max(start, stop), end)

    def forget(self, run: Run, now: float) -> None:
        """A run is over: no slot works on it any more."""
        run.ended = True
        for place in self.slots:
            if place.run is run:
                place.drop_segment()
            if place.folded_run is run:
                place.drop_folded()
            ours = [stride.number for stride in place.strides if stride.run is run]
            if ours:
                self.interrupt(place, ours[-1], now)
            if run.number in place.loaded:
                place.loaded.discard(run.number)
                self._emit(Forget(place.index, run.number))

    def drain(self, number: int, now: float) -> None:
        """Begin nothing more of a run, and end what is being done, so that slots flush what they have folded."""
        run = self.runs.get(number)
        if run is None:
            return
        run.draining = True
        while run.pool:
            run.set_aside(*run.pool.take_first(run.pool.size))
        for suspect in run.suspects.drain():
            run.set_aside(suspect.start, suspect.stop)
        for place in self.slots:
            if place.run is run:
                place.return_segment()
            ours = [stride.number for stride in place.strides if stride.run is run]
            if ours:
                self.interrupt(place, ours[-1], now)

    def drained(self) -> list[m.Released]:
        """Runs of which nothing is left but what is not going to be done: that is given up."""
        draining = [run for run in self.runs.values() if run.draining and run.owned]
        if not draining:
            return []
        busy = {place.folded_run for place in self.slots}
        busy.update(stride.run for place in self.slots for stride in place.strides)
        given = []
        for run in draining:
            if run not in busy:
                given.append(m.Released(run.number, tuple(run.owned)))
                run.owned, run.failed = RangeSet(), RangeSet()
        return given

    def interrupt(self, place: Slot, number: int, now: float) -> None:
        """End the strides of a slot up to this one; its process has to answer soon."""
        place.kill_at = min(place.kill_at, now + self.settings.interrupt_grace_seconds)
        if number > place.interrupted:
            place.interrupted = number
            self._emit(Interrupt(place.index, number))

    def recut_at(self, place: Slot) -> float:
        """When the stride at work in a slot has taken far longer than it should; infinite when it cannot be cut."""
        if not place.strides or place.kill_at is not math.inf:
            return math.inf
        stride = place.strides[0]
        if stride.stop - stride.start < 2 or stride.number <= place.interrupted:
            return math.inf
        if stride.run.ended or stride.suspect is not None:
            return math.inf
        return stride.begun + max(self.settings.recut_seconds, 10 * stride.expected_seconds)

    def recut(self, now: float) -> None:
        """Interrupt the stride that is late most, so that what it has not begun can be shared."""
        place = min(self.slots, key=self.recut_at)
        if self.recut_at(place) <= now:
            text = f"slot {place.index}: steps became slow; cutting its stride into single steps"
            self._emit(Note(logging.INFO, text))
            self.interrupt(place, place.strides[-1].number, now)
            place.kill_at = math.inf  # it is slow, not wrong: if it cannot be interrupted it is left alone
