"""The supervisor of a worker daemon as a state machine.

Messages of the scheduler, events of the compute processes and the time go in; effects come out. It knows
integers, ids and opaque bytes; sockets, pipes and processes belong to :mod:`haydi.worker.server`.

The state is in :mod:`haydi.worker.state`; who works on what is decided by the :mod:`haydi.worker.foreman`; joining and
leaving is in :mod:`haydi.worker.presence`; here is what the daemon says to the scheduler about runs, and what it makes
of the answers of its slots. Each step the daemon owns is in exactly one of: the pool of its run, a segment, a stride,
folded in a slot, suspected, or set aside as failed; :meth:`WorkerCore.check` asserts it. A step leaves when it is
reported, given up, or not needed any more, and the scheduler knows of each of these.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

from haydi.ranges import RangeSet
from haydi.rates import steps_within
from haydi.sizes import show_bytes
from haydi.wire import messages as m
from haydi.wire.death import Death
from haydi.worker.coroner import inquire
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
from haydi.worker.marks import Mark
from haydi.worker.presence import Presence
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


class WorkerCore(Presence):
    """The supervisor's state machine (see the module)."""

    def __init__(self, settings: WorkerSettings, slots: int, now: float) -> None:
        super().__init__(settings, now)
        self.slots = [Slot(i) for i in range(slots)]
        self.runs: dict[int, Run] = {}
        #: Bytes of reports that have not reached their client.
        self.flying_bytes = 0
        #: Leases that have come by this connection.
        self.leases = 0
        #: Idle slots and runs low on work, as last told to the scheduler; None when that is answered.
        self.wanted: tuple[int, frozenset[int]] | None = None
        self._want_at = math.inf
        self.foreman = Foreman(settings, self.slots, self.runs, self._emit)
        self._handlers: dict[type[Any], Callable[[Any, float], None]] = {
            m.Leave: lambda message, now: self._begin_to_leave(message.reason, now),
            m.Goodbye: self._on_goodbye,
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
        if self.stopping:
            return self._take()
        if (event := self.contact.handle(message, now)) is not None:
            self._on_contact(event, now)
        elif (handler := self._handlers.get(type(message))) is not None:
            if self.welcome is not None:
                handler(message, now)
        elif not isinstance(message, (m.Welcome, m.Unknown, m.Heartbeat)):
            self._note(logging.WARNING, f"dropped a {type(message).__name__} from the scheduler")
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
            elif stop < stride.stop and stride.suspect is not None:
                run.suspect(stop, stride.stop, stride.suspect.deaths)
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

    def weighed(self, slot: int, size: int, now: float) -> list[Effect]:
        """A compute process uses so many bytes of memory."""
        place, limit = self.slots[slot], self.settings.memory_bytes
        if not place.ended_for:
            place.memory_bytes = size
            if not 0 < limit < size:
                return self._take()
            place.ended_for = "memory"
            self._emit(Kill(slot, f"uses {show_bytes(size)} of {show_bytes(limit)}"))
        return self._take()

    def died(self, slot: int, death: Death, mark: Mark | None, now: float) -> list[Effect]:
        """A compute process is gone, and was at ``mark``, if that is known: its steps run again in a new one."""
        place = self.slots[slot]
        if place.ended_for == "memory":
            death = death._replace(memory_bytes=place.memory_bytes, limit_bytes=self.settings.memory_bytes)
        elif self.departure is not None and not place.ended_for:
            place.ended_for = "leaving"
        verdict = inquire(place, death, mark, self.settings.deaths_allowed, now)
        for message in verdict.messages:
            self._send(message)
        expected = self.stopping or place.ended_for in ("interrupt", "leaving")
        self._note(logging.INFO if expected else logging.WARNING, verdict.text)
        # One that died before it was given anything may not be able to live here at all.
        soon = place.fresh and now - place.died_at < self.settings.respawn_seconds
        fresh = self.slots[slot] = Slot(slot, died_at=now)
        if not self.stopping and self.departure is None:
            if soon:
                fresh.respawn_at = now + self.settings.respawn_seconds
            else:
                self._emit(Spawn(slot))
        return self._settle(now)

    def next_deadline(self) -> float:
        """When :meth:`tick` wants to be called at the latest."""
        if self.stopping:
            return math.inf
        at = min(
            self.contact.next_deadline(), self._want_at, *(min(s.kill_at, s.respawn_at) for s in self.slots)
        )
        if self.departure is not None:
            return min(at, self.departure.next_deadline())
        at = min(at, self.leave_at)
        if self.welcome is not None and any(s.idle for s in self.slots):
            at = min(at, *map(self.foreman.recut_at, self.slots))
        return at

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: heartbeat, a silent scheduler, interrupts without an answer, strides to recut."""
        absent = self.contact.absent(now) > 0
        for place in self.slots:
            if now >= place.kill_at:
                # The answer may be there, and was not read; or the process was stopped together with this one.
                if self.congested or absent:
                    place.kill_at = now + self.settings.interrupt_grace_seconds
                else:
                    place.kill_at = now + 1.0
                    place.ended_for = place.ended_for or "interrupt"
                    self._emit(Kill(place.index, "did not answer an interrupt"))
            if now >= place.respawn_at:
                place.respawn_at = math.inf
                self._emit(Spawn(place.index))
        if not self.stopping:
            for event in self.contact.tick(now):
                self._on_contact(event, now)
        if now >= self.leave_at:
            self._begin_to_leave(f"its lifetime of {self.settings.lifetime_seconds:g} s ends soon", now)
        if self.departure is None and any(s.idle for s in self.slots):
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

    def _begin(self) -> None:
        self.wanted = None
        self.leases = 0

    def _abandon(self, now: float) -> None:
        for number in list(self.runs):
            self.foreman.forget(self.runs.pop(number), now)
        self.wanted = None
        self.flying_bytes = 0

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
        if (run := self.runs.get(message.run)) is not None:
            self.foreman.trim(run, message.stop, now)

    def _on_end(self, message: m.End, now: float) -> None:
        if (run := self.runs.pop(message.run, None)) is not None:
            self.foreman.forget(run, now)

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
        self.flying_bytes += len(payload)
        run.weigh(stop - start, len(payload), self.settings.flush_bytes)
        self._send(m.Report(run.number, start, stop, place.folded_seconds, payload))
        place.drop_folded()
        place.flushed_at = now

    # --- strides --------------------------------------------------------------------------------------

    def _settle(self, now: float) -> list[Effect]:
        """After each event: give the slots work, and ask for more when low."""
        if self.departure is not None:
            self._want_at = math.inf
            self._depart(self.departure, now)
        elif not self.stopping and self.welcome is not None:
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
