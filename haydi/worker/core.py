"""The supervisor of a worker daemon as a state machine.

Messages of the scheduler, events of the compute processes and the time go in; effects come out. It knows
integers, ids and opaque bytes; sockets, pipes and processes belong to :mod:`haydi.worker.server`.

How steps move inside a daemon. A lease goes into the *pool* of its run. A slot takes a *segment* out of the pool
and works through it in *strides* of some 50 ms, one prefetched; partials of neighbouring strides are folded in
the compute process and sent (*flushed*) now and then. A slot without work takes half of the segment that would
end last. So each step the daemon owns is in exactly one of: pool, a segment, a stride, folded in a slot, or being
settled as failed; :meth:`WorkerCore.check` asserts it.

Strides are short so that this process always knows what is not begun and can give it away at once, whatever user
code does. When costs jump and a stride takes much longer than it should while another slot is idle, it is
interrupted and cut into single steps (*recut*); a stride of one step is never interrupted for that reason, so
each interruption is followed by progress.

Runs of several clients share the slots: a slot that needs work takes it from the client served least so far.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from haydi.ranges import RangeSet
from haydi.wire import messages as m

__all__ = [
    "Effect",
    "Exit",
    "Forget",
    "Interrupt",
    "Kill",
    "Load",
    "Note",
    "Reconnect",
    "Spawn",
    "StartStride",
    "ToScheduler",
    "WorkerCore",
    "WorkerSettings",
]


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
    #: A slot stays with a client for at least this long.
    quantum_seconds: float = 0.2
    #: Flushing may take up to this part of a slot's time.
    flush_share: float = 0.05
    reconnect_seconds: float = 1.0
    death_seconds: float = 300.0
    deaths_most: int = 3
    respawn_seconds: float = 1.0


@dataclass(frozen=True)
class ToScheduler:
    """Send a message to the scheduler."""

    message: m.Message


@dataclass(frozen=True)
class Load:
    """Give a slot the plan of a run."""

    slot: int
    run: int
    payload: bytes


@dataclass(frozen=True)
class StartStride:
    """Give a slot steps to compute; ``start == stop`` only flushes."""

    slot: int
    number: int
    run: int
    start: int
    stop: int
    budget_seconds: float
    flush: bool


@dataclass(frozen=True)
class Forget:
    """A slot should drop a run and what it has folded of it."""

    slot: int
    run: int


@dataclass(frozen=True)
class Interrupt:
    """Stop the strides of a slot up to this number."""

    slot: int
    number: int


@dataclass(frozen=True)
class Kill:
    """End a compute process that does not answer an interrupt."""

    slot: int
    reason: str


@dataclass(frozen=True)
class Spawn:
    """Start a compute process for a slot."""

    slot: int


@dataclass(frozen=True)
class Reconnect:
    """The scheduler does not know us any more: make a new connection and say Hello."""


@dataclass(frozen=True)
class Exit:
    """The daemon should end."""

    code: int
    reason: str


@dataclass(frozen=True)
class Note:
    """Something for the log; ``level`` is one of :mod:`logging`."""

    level: int
    text: str


Effect = ToScheduler | Load | StartStride | Forget | Interrupt | Kill | Spawn | Reconnect | Exit | Note


@dataclass
class Stride:
    """Steps that a compute process works on, or has waiting in its pipe."""

    number: int
    run: int
    start: int
    stop: int
    sent: float
    flush: bool
    expected_seconds: float


@dataclass(eq=False)
class Run:
    """What this daemon knows of a run."""

    plan: m.RunPlan
    pool: RangeSet = field(default_factory=RangeSet)
    #: All steps the daemon answers for.
    owned: RangeSet = field(default_factory=RangeSet)
    #: Steps at and behind one that raised: they are not run again; the client decides.
    failed: RangeSet = field(default_factory=RangeSet)
    service_seconds: float = 0.0
    #: Steps per second of one slot.
    rate: float | None = None
    flush_cost_seconds: float = 0.0
    #: How often a process died at the stride that begins here.
    deaths: dict[int, int] = field(default_factory=dict)


@dataclass(eq=False)
class Slot:
    """A compute process, or the place for one."""

    index: int
    pid: int = 0
    ready: bool = False
    strides: deque[Stride] = field(default_factory=deque)
    #: The run of segment, folded part and rate.
    run: int | None = None
    #: ``[position, stop)`` is not begun.
    position: int = 0
    stop: int = 0
    #: ``[folded_start, folded_stop)`` is folded and not flushed.
    folded_run: int | None = None
    folded_start: int = 0
    folded_stop: int = 0
    folded_seconds: float = 0.0
    flushed_at: float = 0.0
    chosen_at: float = 0.0
    rate: float | None = None
    loaded: set[int] = field(default_factory=set)
    #: Up to which stride it was told to stop, and until when it may take.
    interrupted: int = -1
    kill_at: float = math.inf
    respawn_at: float = math.inf
    died_at: float = -math.inf

    @property
    def remaining(self) -> int:
        return self.stop - self.position


class WorkerCore:
    """The supervisor's state machine (see the module)."""

    def __init__(self, settings: WorkerSettings, slots: int, now: float) -> None:
        self.settings = settings
        self.slots = [Slot(i) for i in range(slots)]
        self.runs: dict[int, Run] = {}
        self.welcome: m.Welcome | None = None
        self.stopping = False
        #: Bytes of reports that have not reached their client.
        self.flying_bytes = 0
        #: Idle slots as last told to the scheduler; None when it owes us nothing.
        self.wanted: int | None = None
        self._want_at = math.inf
        self.owner_seconds: dict[int, float] = {}
        self._next_stride = 0
        self._heard_at = now
        self._connected_at = now
        self._beat_at = now
        self._retry_at = now + settings.reconnect_seconds
        self._effects: list[Effect] = []
        self._handlers: dict[type[Any], Callable[[Any, float], None]] = {
            m.Welcome: self._on_welcome,
            m.Refused: self._on_refused,
            m.Unknown: self._on_unknown,
            m.Heartbeat: lambda message, now: None,
            m.Stop: self._on_stop,
            m.RunPlan: self._on_plan,
            m.Lease: self._on_lease,
            m.Steal: self._on_steal,
            m.Trim: self._on_trim,
            m.End: self._on_end,
            m.Credit: self._on_credit,
        }

    # --- interface ------------------------------------------------------------------------------------

    @property
    def congested(self) -> bool:
        """Too many results are on their way: results of compute processes should wait."""
        return self.welcome is not None and self.flying_bytes >= self.welcome.window_bytes

    def handle(self, message: m.Message, now: float) -> list[Effect]:
        """A message of the scheduler."""
        self._heard_at = now
        handler = self._handlers.get(type(message))
        if handler is None:
            self._note(logging.WARNING, f"dropped a {type(message).__name__} from the scheduler")
        elif self.welcome is not None or isinstance(message, (m.Welcome, m.Refused, m.Unknown, m.Stop)):
            handler(message, now)
        return self._settle(now)

    def ready(self, slot: int, pid: int, now: float) -> list[Effect]:
        """A compute process has started."""
        place = self.slots[slot]
        place.ready, place.pid, place.respawn_at = True, pid, math.inf
        return self._settle(now)

    def done(
        self,
        slot: int,
        number: int,
        stop: int,
        seconds: float,
        final: bool,
        flushed: tuple[int, int],
        flush_seconds: float,
        payload: bytes,
        now: float,
    ) -> list[Effect]:
        """A stride has ended at ``stop``; a flushed range comes with its partial."""
        place = self.slots[slot]
        stride = self._pop(place, number)
        run = self.runs.get(stride.run)
        if run is not None:
            self._account(place, run, stride, stop, seconds)
            self._fold(place, stride, stop, seconds)
            if final:  # nothing behind it is needed; the client will trim the run here
                run.failed.add(stop, stride.stop)
            elif stop < stride.stop:
                self._give_back(place, run, stop, stride.stop)
            if flushed[0] < flushed[1]:
                run.flush_cost_seconds = flush_seconds
                self._report(place, run, flushed, payload, now)
        return self._settle(now)

    def failed(
        self, slot: int, number: int, kind: str, stop: int, step: int, step_stop: int, payload: bytes, now: float
    ) -> list[Effect]:
        """A stride has failed at ``[step, step_stop)`` after folding up to ``stop``.

        Of kind "result": what is folded cannot be sent, and the compute process has dropped it.
        """
        place = self.slots[slot]
        stride = self._pop(place, number)
        run = self.runs.get(stride.run)
        if run is not None:
            self._fold(place, stride, stop, 0.0)
            if kind == "result":
                step, step_stop = (place.folded_start, place.folded_stop) if place.folded_run else (stop, stop)
                self._drop_folded(place)
                run.failed.add(step, step_stop)
                run.pool.add(stop, stride.stop)
            else:
                step = max(stop, min(step, stride.stop - 1))
                step_stop = max(step + 1, min(step_stop, stride.stop))
                run.pool.add(stop, step)
                run.failed.add(step, stride.stop)
            self._send(m.Failed(stride.run, step, step_stop, kind, payload))
        return self._settle(now)

    def died(self, slot: int, reason: str, now: float) -> list[Effect]:
        """A compute process is gone: what it had and did not send runs again, and another one is started."""
        place = self.slots[slot]
        again = 0
        if place.strides:
            stride = place.strides[0]
            run = self.runs.get(stride.run)
            if run is not None and stride.number > place.interrupted:
                deaths = run.deaths[stride.start] = run.deaths.get(stride.start, 0) + 1
                if deaths >= self.settings.deaths_most:
                    text = f"{reason}; {deaths} processes died in these steps"
                    self._send(m.Failed(stride.run, stride.start, stride.stop, "died", text.encode()))
                    run.failed.add(stride.start, stride.stop)
                    place.strides.popleft()
        for stride in place.strides:
            if run := self.runs.get(stride.run):
                run.pool.add(stride.start, stride.stop)
                again += stride.stop - stride.start
        if (run := self._folded(place)) is not None:
            run.pool.add(place.folded_start, place.folded_stop)
            again += place.folded_stop - place.folded_start
        self._return_segment(place)
        more = f"; {again} steps run again" if again else ""
        expected = self.stopping or place.interrupted >= 0 and place.kill_at is not math.inf
        self._note(
            logging.INFO if expected else logging.WARNING, f"compute process pid {place.pid} {reason}{more}"
        )
        soon = now - place.died_at < self.settings.respawn_seconds
        fresh = self.slots[slot] = Slot(slot, died_at=now)
        if not self.stopping:
            if soon:
                fresh.respawn_at = now + self.settings.respawn_seconds
            else:
                self._effects.append(Spawn(slot))
        return self._settle(now)

    def leave(self, now: float) -> list[Effect]:
        """The daemon ends in order: tell the scheduler, which gives our steps to others."""
        self.stopping = True
        self._send(m.Goodbye())
        return self._take()

    def next_deadline(self) -> float:
        """When :meth:`tick` wants to be called at the latest."""
        at = min(self._beat_at, self._want_at, *(min(s.kill_at, s.respawn_at) for s in self.slots))
        if self.welcome is None:
            return min(at, self._retry_at)
        if any(s.ready and not s.strides for s in self.slots):
            at = min(at, *map(self._recut_at, self.slots))
        return at

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: heartbeat, a silent scheduler, interrupts without an answer, strides to recut."""
        settings = self.settings
        for place in self.slots:
            if now >= place.kill_at:
                place.kill_at = now + 1.0
                self._effects.append(Kill(place.index, "did not answer an interrupt"))
            if now >= place.respawn_at:
                place.respawn_at = math.inf
                self._effects.append(Spawn(place.index))
        welcome = self.welcome
        if welcome is None:
            if now - self._connected_at > settings.death_seconds:
                self._effects.append(Exit(3, f"no scheduler answered for {settings.death_seconds:g} s"))
            elif now >= self._retry_at:
                self._retry_at = now + settings.reconnect_seconds
                self._effects.append(Reconnect())
        elif now >= self._beat_at:
            if now - self._heard_at > welcome.silence_seconds:
                self._note(logging.WARNING, f"the scheduler is silent for {now - self._heard_at:.1f} s")
                self._abandon(now)
            else:
                self._send(m.Heartbeat())
        if now >= self._beat_at:
            self._beat_at = now + (welcome.heartbeat_seconds if welcome else 1.0)
        self._recut(now)
        return self._settle(now)

    def check(self) -> None:
        """Assert every invariant."""
        for number, run in self.runs.items():
            parts = [run.pool, run.failed]
            for place in self.slots:
                part = RangeSet()
                if place.run == number:
                    part.add(place.position, place.stop)
                if place.folded_run == number:
                    part.add(place.folded_start, place.folded_stop)
                size = part.size
                for stride in place.strides:
                    if stride.run == number:
                        part.add(stride.start, stride.stop)
                        size += stride.stop - stride.start
                assert part.size == size, "a slot has a step twice"
                parts.append(part)
            assert sum(p.size for p in parts) == run.owned.size, f"steps of run {number:x} are lost or doubled"
            assert RangeSet(r for p in parts for r in p) == run.owned
        for place in self.slots:
            assert len(place.strides) <= 2
            assert place.run is None or place.run in self.runs
            assert place.position <= place.stop

    def snapshot(self) -> dict[str, Any]:
        """What a monitor may show: plain data."""
        return {
            "slots": len(self.slots),
            "busy": sum(bool(s.strides) for s in self.slots),
            "flying_bytes": self.flying_bytes,
            "runs": {n: {"owned": r.owned.size, "rate": r.rate} for n, r in self.runs.items()},
        }

    # --- messages of the scheduler --------------------------------------------------------------------

    def _on_welcome(self, message: m.Welcome, now: float) -> None:
        self.welcome = message
        self._beat_at = now + message.heartbeat_seconds
        self.wanted = None
        self._note(logging.INFO, f"connected to cluster {message.cluster} (Haydi {message.version})")

    def _on_refused(self, message: m.Refused, now: float) -> None:
        self._effects.append(Exit(4, f"the scheduler refuses this worker: {message.reason}"))

    def _on_unknown(self, message: m.Unknown, now: float) -> None:
        if self.welcome is not None:
            self._note(logging.WARNING, "the scheduler does not know this worker any more; joining again")
            self._abandon(now)

    def _on_stop(self, message: m.Stop, now: float) -> None:
        self.stopping = True
        self._effects.append(Exit(0, f"the scheduler ended: {message.reason}"))

    def _abandon(self, now: float) -> None:
        """The connection is lost: others will run what we have."""
        for number in list(self.runs):
            self._on_end(m.End(number), now)
        self.welcome = None
        self.wanted = None
        self.flying_bytes = 0
        self._connected_at = now
        self._retry_at = now

    def _on_plan(self, message: m.RunPlan, now: float) -> None:
        if message.run not in self.runs:
            served = [self.owner_seconds.get(r.plan.owner, 0.0) for r in self.runs.values()]
            floor = min(served, default=0.0)
            owner = message.owner
            self.owner_seconds[owner] = max(self.owner_seconds.get(owner, 0.0), floor)
            self.runs[message.run] = Run(message)
            if len(self.owner_seconds) > 64:
                live = {r.plan.owner for r in self.runs.values()}
                self.owner_seconds = {o: s for o, s in self.owner_seconds.items() if o in live}

    def _on_lease(self, message: m.Lease, now: float) -> None:
        self.wanted = None
        run = self.runs[message.run]
        run.owned.add(message.start, message.stop)
        run.pool.add(message.start, message.stop)

    def _on_steal(self, message: m.Steal, now: float) -> None:
        run = self.runs.get(message.run)
        given = RangeSet() if run is None else self._give_up(run, message.run, message.share)
        for start, stop in given:
            assert run is not None
            run.owned.remove(start, stop)
        self._send(m.Released(message.run, tuple(given)))
        if not given:  # the scheduler will ask again, and then there may be something
            self._recut(now, asked=True)

    def _give_up(self, run: Run, number: int, share: float) -> RangeSet:
        given = RangeSet()
        want = math.ceil(min(run.pool.size, 1 << 900) * share) if run.pool.size < 1 << 900 else run.pool.size // 2
        while run.pool and want > 0:
            start, stop = run.pool.take_last(want)
            given.add(start, stop)
            want -= stop - start
        for place in self.slots:
            if place.run == number and place.remaining > 0:
                left = place.remaining
                size = int(left * share) if left < 1 << 900 else left // 2
                if size:
                    given.add(place.stop - size, place.stop)
                    place.stop -= size
        if not given:
            longest = max(
                (s for s in self.slots if s.run == number and s.remaining), key=self._seconds_left, default=None
            )
            if longest is not None:
                longest.stop -= 1
                given.add(longest.stop, longest.stop + 1)
        return given

    def _on_trim(self, message: m.Trim, now: float) -> None:
        run = self.runs.get(message.run)
        if run is None:
            return
        stop = message.stop
        run.pool.cut(stop)
        run.failed.cut(stop)
        for place in self.slots:
            if place.run == message.run and place.stop > stop:
                place.stop = max(place.position, stop)
                if place.position >= stop:
                    place.position = place.stop = 0
            late = [s.number for s in place.strides if s.run == message.run and s.start >= stop]
            if late and len(late) == len(place.strides):
                self._interrupt(place, late[-1], now)
        # What is in a stride or folded beyond the new end is still answered for, and reported as it comes.
        keep = RangeSet()
        for place in self.slots:
            for stride in place.strides:
                if stride.run == message.run:
                    keep.add(stride.start, stride.stop)
            if place.folded_run == message.run:
                keep.add(place.folded_start, place.folded_stop)
        run.owned.cut(stop)
        for start, end in keep:
            run.owned.add(max(start, stop), end)

    def _on_end(self, message: m.End, now: float) -> None:
        run = self.runs.pop(message.run, None)
        if run is None:
            return
        for place in self.slots:
            if place.run == message.run:
                place.run, place.position, place.stop, place.rate = None, 0, 0, None
            if place.folded_run == message.run:
                self._drop_folded(place)
            ours = [s.number for s in place.strides if s.run == message.run]
            if ours:
                self._interrupt(place, ours[-1], now)
            if message.run in place.loaded:
                place.loaded.discard(message.run)
                self._effects.append(Forget(place.index, message.run))

    def _on_credit(self, message: m.Credit, now: float) -> None:
        self.flying_bytes = max(0, self.flying_bytes - message.bytes)

    # --- events of slots ------------------------------------------------------------------------------

    def _pop(self, place: Slot, number: int) -> Stride:
        stride = place.strides.popleft()
        assert stride.number == number, "a compute process answers out of order"
        if number >= place.interrupted:
            place.kill_at = math.inf
        return stride

    def _account(self, place: Slot, run: Run, stride: Stride, stop: int, seconds: float) -> None:
        run.service_seconds += seconds
        owner = run.plan.owner
        self.owner_seconds[owner] = self.owner_seconds.get(owner, 0.0) + seconds
        steps = stop - stride.start
        if seconds > 0 and place.run == stride.run:
            if steps:
                place.rate = float(min(steps, 1 << 900)) / seconds
                run.rate = place.rate if run.rate is None else 0.7 * run.rate + 0.3 * place.rate
            elif stride.number <= place.interrupted:
                place.rate = 1 / max(seconds, self.settings.recut_seconds)
        if steps and run.deaths:
            run.deaths.pop(stride.start, None)

    def _fold(self, place: Slot, stride: Stride, stop: int, seconds: float) -> None:
        if stop > stride.start:
            if place.folded_run is None:
                place.folded_run, place.folded_start = stride.run, stride.start
            place.folded_stop = stop
            place.folded_seconds += seconds

    def _give_back(self, place: Slot, run: Run, start: int, stop: int) -> None:
        """A stride ended early: its rest is not begun."""
        if place.run is not None and self.runs.get(place.run) is run and place.position == stop and place.remaining:
            if not place.strides:
                place.position = start
                return
        run.pool.add(start, stop)

    def _report(self, place: Slot, run: Run, flushed: tuple[int, int], payload: bytes, now: float) -> None:
        start, stop = flushed
        assert (start, stop) == (place.folded_start, place.folded_stop), "a compute process flushed something else"
        number = run.plan.run
        run.owned.remove(start, stop)
        self.flying_bytes += len(payload)
        self._send(m.Report(number, start, stop, place.folded_seconds, payload))
        self._drop_folded(place)
        place.flushed_at = now

    def _drop_folded(self, place: Slot) -> None:
        place.folded_run, place.folded_start, place.folded_stop, place.folded_seconds = None, 0, 0, 0.0

    def _folded(self, place: Slot) -> Run | None:
        return None if place.folded_run is None else self.runs.get(place.folded_run)

    def _return_segment(self, place: Slot) -> None:
        if place.run is not None and place.remaining:
            self.runs[place.run].pool.add(place.position, place.stop)
        place.run, place.position, place.stop, place.rate = None, 0, 0, None

    # --- strides --------------------------------------------------------------------------------------

    def _settle(self, now: float) -> list[Effect]:
        """After each event: give the slots work, and ask for more when low."""
        if not self.stopping and self.welcome is not None:
            for place in self.slots:
                if place.ready:
                    self._employ(place, now)
            self._hunger(now)
        return self._take()

    def _employ(self, place: Slot, now: float) -> None:
        """Keep a slot busy: a stride at work and, when they are short, one waiting."""
        if place.kill_at is not math.inf:
            return
        if not place.strides and place.remaining and now - place.chosen_at > self.settings.quantum_seconds:
            if len(self.owner_seconds) > 1 and len(self.runs) > 1:
                chosen = self._choose()
                if chosen is not None and chosen.plan.run != place.run:
                    self._return_segment(place)
        while len(place.strides) < 2:
            if not place.remaining:
                if place.strides:  # a prefetched stride of another segment would only force a flush
                    return
                if not self._take_segment(place, now):
                    if self._folded(place) is not None:
                        self._start(place, place.folded_stop, place.folded_stop, now, flush=True)
                    return
            elif place.strides and (place.rate is None or place.strides[0].expected_seconds > 0.2):
                return
            self._start_next(place, now)

    def _choose(self) -> Run | None:
        """The run with unbegun work whose client, and then itself, was served least."""
        held = {place.run for place in self.slots if place.remaining > 1}
        ready = [r for n, r in self.runs.items() if r.pool or n in held]
        return min(
            ready, key=lambda r: (self.owner_seconds.get(r.plan.owner, 0.0), r.service_seconds), default=None
        )

    def _take_segment(self, place: Slot, now: float) -> bool:
        run = self._choose()
        if run is None:
            return False
        if run.plan.run != place.run:
            place.run, place.rate = run.plan.run, run.rate
        place.chosen_at = now
        if run.pool:
            if run.plan.early:
                steps = self._stride_steps(place, run, run.pool.size)
            else:
                needy = sum(s.ready and not s.remaining for s in self.slots)
                steps = -(-run.pool.size // max(1, needy))
            place.position, place.stop = run.pool.take_first(steps)
            return True
        victim = max(
            (s for s in self.slots if s.run == place.run and s.remaining > 1), key=self._seconds_left, default=None
        )
        if victim is None:
            return False
        place.position, place.stop = victim.stop - victim.remaining // 2, victim.stop
        victim.stop = place.position
        return True

    def _seconds_left(self, place: Slot) -> float:
        rate = place.rate or (self.runs[place.run].rate if place.run is not None else None) or 1.0
        return min(place.remaining, 1 << 900) / rate

    def _stride_steps(self, place: Slot, run: Run, remaining: int) -> int:
        """Steps of the next stride: by time, shrinking towards the end so that there is something to take."""
        settings = self.settings
        if place.rate is None:
            return min(settings.first_stride_steps, max(1, remaining // 2))
        seconds = max(settings.stride_seconds, run.plan.flush_seconds if run.plan.early else 0.0)
        steps = max(1, int(place.rate * seconds))
        least = max(1, int(place.rate * settings.stride_seconds_least))
        return min(steps, max(least, -(-remaining // 3)))

    def _start_next(self, place: Slot, now: float) -> None:
        assert place.run is not None
        run = self.runs[place.run]
        if place.folded_run is not None and not place.strides:
            adjacent = place.folded_run == place.run and place.folded_stop == place.position
            if not adjacent:
                self._start(place, place.folded_stop, place.folded_stop, now, flush=True)
                return
        steps = min(place.remaining, self._stride_steps(place, run, place.remaining))
        start = place.position
        place.position += steps
        interval = max(run.plan.flush_seconds, run.flush_cost_seconds / self.settings.flush_share)
        flush = run.plan.early or not place.remaining or now - place.flushed_at >= interval
        self._start(place, start, place.position, now, flush=flush)

    def _start(self, place: Slot, start: int, stop: int, now: float, flush: bool) -> None:
        number = place.folded_run if start == stop else place.run
        assert number is not None
        run = self.runs[number]
        if number not in place.loaded:
            place.loaded.add(number)
            self._effects.append(Load(place.index, number, run.plan.payload))
        steps = stop - start
        expected = min(steps, 1 << 900) / place.rate if place.rate else self.settings.stride_seconds
        budget = max(self.settings.stride_seconds, expected * self.settings.stride_overrun)
        if place.rate is None:
            budget = self.settings.stride_seconds_least * 5
        stride = Stride(self._next_stride, number, start, stop, now, flush, expected)
        self._next_stride += 1
        place.strides.append(stride)
        if flush:
            place.flushed_at = now
        self._effects.append(StartStride(place.index, stride.number, number, start, stop, budget, flush))

    def _interrupt(self, place: Slot, number: int, now: float) -> None:
        if number > place.interrupted:
            place.interrupted = number
            place.kill_at = now + self.settings.interrupt_grace_seconds
            self._effects.append(Interrupt(place.index, number))

    def _recut_at(self, place: Slot) -> float:
        """When the stride at work in a slot has taken far longer than it should; infinite when it cannot be cut."""
        if not place.strides or place.kill_at is not math.inf:
            return math.inf
        stride = place.strides[0]
        if stride.stop - stride.start < 2 or stride.number <= place.interrupted or stride.run not in self.runs:
            return math.inf
        return stride.sent + max(self.settings.recut_seconds, 10 * stride.expected_seconds)

    def _recut(self, now: float, asked: bool = False) -> None:
        """Interrupt a stride whose steps became slow, when somebody is there to take some of them."""
        if not asked and not any(s.ready and not s.strides for s in self.slots):
            return
        place = min(self.slots, key=self._recut_at)
        if self._recut_at(place) <= now:
            self._note(logging.INFO, f"slot {place.index}: steps became slow; cutting its stride into single steps")
            self._interrupt(place, place.strides[-1].number, now)
            place.kill_at = math.inf  # it is slow, not wrong: if it cannot be interrupted it is left alone

    # --- wanting more ---------------------------------------------------------------------------------

    def _hunger(self, now: float) -> None:
        idle = sum(s.ready and not s.strides for s in self.slots)
        if (self.wanted is not None and idle <= self.wanted) or not (idle or self._low()):
            self._want_at = math.inf
            return
        if not any(isinstance(effect, ToScheduler) for effect in self._effects) and now < self._want_at:
            self._want_at = min(self._want_at, now + self.settings.want_seconds)
            return
        self._want_at = math.inf
        self.wanted = idle
        self._send(m.Want(idle))

    def _low(self) -> bool:
        """Less to begin than a slot-share of the low-water mark, by measured rates."""
        seconds = 0.0
        for number, run in self.runs.items():
            if run.rate is None:
                return False
            unbegun = run.pool.size + sum(s.remaining for s in self.slots if s.run == number)
            seconds += min(unbegun, 1 << 900) / run.rate
        return seconds < self.settings.low_water_seconds * len(self.slots)

    # --- effects --------------------------------------------------------------------------------------

    def _send(self, message: m.Message) -> None:
        self._effects.append(ToScheduler(message))

    def _note(self, level: int, text: str) -> None:
        self._effects.append(Note(level, text))

    def _take(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects
