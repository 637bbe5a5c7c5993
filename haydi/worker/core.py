"""The supervisor of a worker daemon as a state machine.

Messages of the scheduler, events of the compute processes and the time go in; effects come out. It knows
integers, ids and opaque bytes; sockets, pipes and processes belong to :mod:`haydi.worker.server`.

The state is in :mod:`haydi.worker.state`; who works on what is decided by the :mod:`haydi.worker.foreman`; here is
what the daemon says to the scheduler, and what it makes of the answers of its slots. Each step the daemon owns is in
exactly one of: the pool of its run, a segment, a stride, folded in a slot, or set aside as failed;
:meth:`WorkerCore.check` asserts it. A step leaves when it is reported, given up, or not needed any more, and the
scheduler knows of each of these.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

from haydi.ranges import RangeSet
from haydi.rates import steps_within
from haydi.wire import messages as m
from haydi.worker.effects import (
    Effect,
    Exit,
    Forget,
    Interrupt,
    Kill,
    Load,
    Note,
    Reconnect,
    Spawn,
    StartStride,
    ToScheduler,
)
from haydi.worker.foreman import Foreman
from haydi.worker.state import Run, Slot, Stride, WorkerSettings

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
        #: Leases that have come by this connection.
        self.leases = 0
        #: Idle slots and runs low on work, as last told to the scheduler; None when that is answered.
        self.wanted: tuple[int, frozenset[int]] | None = None
        self._want_at = math.inf
        self._effects: list[Effect] = []
        self.foreman = Foreman(settings, self.slots, self.runs, self._emit)
        self._heard_at = now
        self._connected_at = now
        self._beat_at = now
        self._retry_at = now + settings.reconnect_seconds
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
            m.Drain: lambda message, now: self.foreman.drain(message.run, now),
            m.End: self._on_end,
            m.Credit: self._on_credit,
        }

    # --- interface ------------------------------------------------------------------------------------

    @property
    def congested(self) -> bool:
        """Too many results are on their way: results of compute processes should wait."""
        return self.welcome is not None and self.flying_bytes >= self.welcome.window_bytes

    def handle(self, message: m.Message, now: float, *, more: bool = False) -> list[Effect]:
        """A message of the scheduler; with ``more`` another one follows at once, and the slots wait for the last."""
        self._heard_at = now
        handler = self._handlers.get(type(message))
        if handler is None:
            self._note(logging.WARNING, f"dropped a {type(message).__name__} from the scheduler")
        elif self.welcome is not None or isinstance(message, (m.Welcome, m.Refused, m.Unknown, m.Stop)):
            handler(message, now)
        return self._take() if more else self._settle(now)

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
        stride = self._pop(place, number, now)
        run = stride.run
        if not run.ended:
            self.foreman.account(place, stride, stop, seconds)
            place.fold(stride, stop, seconds)
            if final:  # nothing behind it is needed; the client will trim the run here
                run.set_aside(stop, stride.stop)
            elif stop < stride.stop:
                self.foreman.take_back(place, run, stop, stride.stop)
            if flushed[0] < flushed[1]:
                run.flush_cost_seconds = flush_seconds
                self._report(place, run, flushed, payload, now)
        return self._settle(now)

    def failed(
        self,
        slot: int,
        number: int,
        kind: str,
        stop: int,
        step: int,
        step_stop: int,
        payload: bytes,
        now: float,
    ) -> list[Effect]:
        """A stride has failed at ``[step, step_stop)`` after folding up to ``stop``.

        Of kind "result": what is folded cannot be sent or merged, and the compute process has dropped it.
        """
        place = self.slots[slot]
        stride = self._pop(place, number, now)
        run = stride.run
        if not run.ended:
            place.fold(stride, stop, 0.0)
            if kind == "result":
                if place.folded_run is run:
                    step = place.folded_start
                    run.set_aside(step, place.folded_stop)
                    place.drop_folded()
                else:
                    step = stop
                step_stop = max(stop, min(step_stop, stride.stop))
                run.set_aside(stop, step_stop)
                run.put_back(step_stop, stride.stop)
            else:
                step = max(stop, min(step, stride.stop - 1))
                step_stop = max(step + 1, min(step_stop, stride.stop))
                run.put_back(stop, step)
                run.set_aside(step, stride.stop)
            self._send(m.Failed(run.number, step, step_stop, kind, payload))
        return self._settle(now)

    def died(self, slot: int, reason: str, now: float) -> list[Effect]:
        """A compute process is gone: what it had and did not send runs again, and another one is started."""
        place = self.slots[slot]
        if (failed := place.blame(reason, self.settings.deaths_most, now)) is not None:
            self._send(failed)
        again = 0
        for stride in place.strides:
            if not stride.run.ended:
                stride.run.put_back(stride.start, stride.stop)
                again += stride.stop - stride.start
        if place.folded_run is not None:
            place.folded_run.put_back(place.folded_start, place.folded_stop)
            again += place.folded_stop - place.folded_start
        place.return_segment()
        more = f"; {again} steps run again" if again else ""
        expected = self.stopping or (place.interrupted >= 0 and place.kill_at is not math.inf)
        self._note(
            logging.INFO if expected else logging.WARNING, f"compute process pid {place.pid} {reason}{more}"
        )
        soon = now - place.died_at < self.settings.respawn_seconds
        fresh = self.slots[slot] = Slot(slot, died_at=now)
        if not self.stopping:
            if soon:
                fresh.respawn_at = now + self.settings.respawn_seconds
            else:
                self._emit(Spawn(slot))
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
        if any(s.idle for s in self.slots):
            at = min(at, *map(self.foreman.recut_at, self.slots))
        return at

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: heartbeat, a silent scheduler, interrupts without an answer, strides to recut."""
        for place in self.slots:
            if now >= place.kill_at:
                if self.congested:  # the answer may be there, and is not read
                    place.kill_at = now + self.settings.interrupt_grace_seconds
                else:
                    place.kill_at = now + 1.0
                    self._emit(Kill(place.index, "did not answer an interrupt"))
            if now >= place.respawn_at:
                place.respawn_at = math.inf
                self._emit(Spawn(place.index))
        if not self.stopping:
            self._keep_in_touch(now)
        if now >= self._beat_at:
            self._beat_at = now + (self.welcome.heartbeat_seconds if self.welcome else 1.0)
        if any(s.idle for s in self.slots):
            self.foreman.recut(now)
        return self._settle(now)

    def check(self) -> None:
        """Assert every invariant."""
        for run in self.runs.values():
            run.check(self.slots)
        for place in self.slots:
            place.check()

    def snapshot(self) -> dict[str, Any]:
        """What a monitor may show: plain data."""
        return {
            "slots": len(self.slots),
            "busy": sum(bool(s.strides) for s in self.slots),
            "flying_bytes": self.flying_bytes,
            "runs": {
                n: {"owned": r.owned.size, "rate": r.rate and steps_within(r.rate, 1.0)}
                for n, r in self.runs.items()
            },
        }

    # --- the connection -------------------------------------------------------------------------------

    def _on_welcome(self, message: m.Welcome, now: float) -> None:
        self.welcome = message
        self._beat_at = now + message.heartbeat_seconds
        self.wanted = None
        self.leases = 0
        self._note(logging.INFO, f"connected to cluster {message.cluster} (Haydi {message.version})")

    def _on_refused(self, message: m.Refused, now: float) -> None:
        self._emit(Exit(4, f"the scheduler refuses this worker: {message.reason}"))

    def _on_unknown(self, message: m.Unknown, now: float) -> None:
        if self.welcome is not None and not self.stopping:
            self._note(logging.WARNING, "the scheduler does not know this worker any more; joining again")
            self._abandon(now)

    def _on_stop(self, message: m.Stop, now: float) -> None:
        self.stopping = True
        self._emit(Exit(0, f"the scheduler ended: {message.reason}"))

    def _keep_in_touch(self, now: float) -> None:
        welcome = self.welcome
        if welcome is None:
            if now - self._connected_at > self.settings.death_seconds:
                self._emit(Exit(3, f"no scheduler answered for {self.settings.death_seconds:g} s"))
            elif now >= self._retry_at:
                self._retry_at = now + self.settings.reconnect_seconds
                self._emit(Reconnect())
        elif now >= self._beat_at:
            if now - self._heard_at > welcome.silence_seconds:
                self._note(logging.WARNING, f"the scheduler is silent for {now - self._heard_at:.1f} s")
                self._abandon(now)
            else:
                self._send(m.Heartbeat())

    def _abandon(self, now: float) -> None:
        """The connection is lost: others will run what we have."""
        for number in list(self.runs):
            self._on_end(m.End(number), now)
        self.welcome = None
        self.wanted = None
        self.flying_bytes = 0
        self._connected_at = now
        self._retry_at = now

    # --- messages about runs --------------------------------------------------------------------------

    def _on_plan(self, message: m.RunPlan, now: float) -> None:
        if message.run not in self.runs:
            run = Run(message)
            self.foreman.admit(run)
            self.runs[message.run] = run

    def _on_lease(self, message: m.Lease, now: float) -> None:
        self.leases += 1
        self.wanted = None
        run = self.runs[message.run]
        run.owned.add(message.start, message.stop)
        run.pool.add(message.start, message.stop)

    def _on_steal(self, message: m.Steal, now: float) -> None:
        run = self.runs.get(message.run)
        given = RangeSet() if run is None else self.foreman.give_up(run, message.share)
        self._send(m.Released(message.run, tuple(given)))
        if not given:  # the scheduler will ask again, and then there may be something
            self.foreman.recut(now)

    def _on_trim(self, message: m.Trim, now: float) -> None:
        run = self.runs.get(message.run)
        if run is None:
            return
        stop = run.limit = message.stop if run.limit is None else min(message.stop, run.limit)
        run.pool.cut(stop)
        run.failed.cut(stop)
        # What is in a stride or folded beyond the new end is still answered for, and reported as it comes.
        keep = RangeSet()
        for place in self.slots:
            if place.run is run and place.stop > stop:
                place.stop = max(place.position, stop)
                if not place.remaining:
                    place.position = place.stop = 0
            ours = [stride for stride in place.strides if stride.run is run]
            if ours and len(ours) == len(place.strides) and ours[0].start >= stop:
                self.foreman.interrupt(place, ours[-1].number, now)
            for stride in ours:
                keep.add(stride.start, stride.stop)
            if place.folded_run is run:
                keep.add(place.folded_start, place.folded_stop)
        run.owned.cut(stop)
        for start, end in keep:
            run.owned.add(max(start, stop), end)

    def _on_end(self, message: m.End, now: float) -> None:
        run = self.runs.pop(message.run, None)
        if run is None:
            return
        run.ended = True
        for place in self.slots:
            if place.run is run:
                place.drop_segment()
            if place.folded_run is run:
                place.drop_folded()
            ours = [stride.number for stride in place.strides if stride.run is run]
            if ours:
                self.foreman.interrupt(place, ours[-1], now)
            if run.number in place.loaded:
                place.loaded.discard(run.number)
                self._emit(Forget(place.index, run.number))

    def _on_credit(self, message: m.Credit, now: float) -> None:
        self.flying_bytes = max(0, self.flying_bytes - message.bytes)

    # --- events of slots ------------------------------------------------------------------------------

    def _pop(self, place: Slot, number: int, now: float) -> Stride:
        stride = place.strides.popleft()
        assert stride.number == number, "a compute process answers out of order"
        if number >= place.interrupted:
            place.kill_at = math.inf
        if place.strides:
            place.strides[0].begun = now
        return stride

    def _report(self, place: Slot, run: Run, flushed: tuple[int, int], payload: bytes, now: float) -> None:
        start, stop = flushed
        assert (start, stop) == (place.folded_start, place.folded_stop), (
            "a compute process flushed something else"
        )
        run.owned.remove(start, stop)
        if run.suspects:
            run.clear(start, stop)
        self.flying_bytes += len(payload)
        run.weigh(stop - start, len(payload), self.settings.flush_bytes)
        self._send(m.Report(run.number, start, stop, place.folded_seconds, payload))
        place.drop_folded()
        place.flushed_at = now

    # --- strides --------------------------------------------------------------------------------------

    def _settle(self, now: float) -> list[Effect]:
        """After each event: give the slots work, and ask for more when low."""
        if not self.stopping and self.welcome is not None:
            for place in self.slots:
                if place.ready:
                    self.foreman.employ(place, now)
            for released in self.foreman.drained():
                self._send(released)
            self._hunger(now)
        else:
            self._want_at = math.inf
        return self._take()

    def _hunger(self, now: float) -> None:
        """Say Want when there are more idle slots, or other runs low on work, than the scheduler was told of."""
        idle = sum(s.idle for s in self.slots)
        low = self.foreman.low_runs()
        told = self.wanted is not None and idle <= self.wanted[0] and low <= self.wanted[1]
        if told or not (idle or low or not self.runs):
            self._want_at = math.inf
            return
        if now < self._want_at and not any(isinstance(effect, ToScheduler) for effect in self._effects):
            self._want_at = min(self._want_at, now + self.settings.want_seconds)
            return
        self._want_at = math.inf
        self.wanted = (idle, low)
        self._send(m.Want(idle, self.leases, tuple(sorted(low))))

    # --- effects --------------------------------------------------------------------------------------

    def _emit(self, effect: Effect) -> None:
        self._effects.append(effect)

    def _send(self, message: m.Message) -> None:
        self._effects.append(ToScheduler(message))

    def _note(self, level: int, text: str) -> None:
        self._effects.append(Note(level, text))

    def _take(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects
