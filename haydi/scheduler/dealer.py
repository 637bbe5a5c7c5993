"""The dealer hands steps to daemons: leases to the hungry, and steals for the idle.

A daemon that said ``Want`` is *hungry* until it gets something: it is low on some runs, or has idle slots; then it is a
*thief* as well. What is unassigned goes to thieves first. When nothing is, the daemon that will finish *last* by
measured rates is asked to give up a share of what it has not begun; at most one such question is open for each thief,
and one for each victim.

Estimated ends are kept as points in time, which stay true while time passes; a heap per run finds the latest. A daemon
that is late against its estimate may be asked too: it was wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice

from haydi.scheduler.sizing import lease_steps
from haydi.scheduler.state import Peer, Run, SchedulerSettings, Share, Worker
from haydi.wire import messages as m

__all__ = ["Dealer"]

#: A victim that gave something up so often, and reported nothing since, is asked for more each time.
STEALS_BEFORE_MORE = 3


class Dealer:
    """Who gets what.

    Args:
        settings: Constants.
        workers: The daemons; shared with the core.
        runs: The runs; shared with the core.
        send: Called with a peer and a message for it.
    """

    def __init__(
        self,
        settings: SchedulerSettings,
        workers: dict[Peer, Worker],
        runs: dict[int, Run],
        send: Callable[[Peer, m.Message], None],
    ) -> None:
        self.settings = settings
        self.workers = workers
        self.runs = runs
        #: Slots of all daemons that take work, and how many these are.
        self.slots = 0
        self.daemons = 0
        #: Runs with unassigned steps, in the order of submission.
        self.open: dict[int, Run] = {}
        #: Daemons that said Want and got nothing since, and how many slots they have.
        self.hungry: dict[Peer, Worker] = {}
        self.hungry_slots = 0
        #: Those of them that have idle slots.
        self.thieves: dict[Peer, Worker] = {}
        #: Daemons that have not answered a Steal yet.
        self.victims: set[Peer] = set()
        #: When a victim that had nothing to give may be asked again.
        self.retry_at = math.inf
        self._send = send

    def want(self, worker: Worker, msg: m.Want, now: float) -> None:
        """A daemon could use more work."""
        if worker.leaving:
            return
        if msg.leases < worker.leases:  # a lease is on its way; the daemon will ask again if it needs more
            return
        worker.idle = min(msg.idle, worker.slots)
        worker.low = frozenset(msg.low)
        if worker.peer not in self.hungry:
            self.hungry[worker.peer] = worker
            self.hungry_slots += worker.slots
        if worker.idle:
            self.thieves[worker.peer] = worker
        else:
            self.thieves.pop(worker.peer, None)
        if self.open:
            self._feed(worker, now)
        self.raid(now)

    def released(self, run: Run, worker: Worker, msg: m.Released, now: float) -> bool:
        """A daemon gave steps up, maybe none. False when they are not its to give."""
        share = run.shares.get(worker.peer)
        if not run.ledger.release(worker.peer, msg.ranges) or share is None:
            return False
        if msg.ranges:
            share.retry_seconds = 0.0
            share.robbed += 1
            run.steals += 1
            self.reopen(run)
        else:
            share.retry_seconds = min(
                max(self.settings.steal_retry_seconds, 2 * share.retry_seconds),
                self.settings.steal_retry_seconds_most,
            )
            share.retry_at = now + share.retry_seconds
            self.retry_at = min(self.retry_at, share.retry_at)
        run.estimate(worker, now)
        self.serve(now)
        return True

    def admit(self, worker: Worker) -> None:
        """A daemon takes work from now on."""
        self.slots += worker.slots
        self.daemons += 1

    def dismiss(self, worker: Worker) -> None:
        """A daemon takes no work any more: it leaves, or is gone."""
        self.sated(worker)
        self.absolve(worker)
        if not worker.leaving:
            worker.leaving = True
            self.slots -= worker.slots
            self.daemons -= 1

    def absolve(self, worker: Worker) -> None:
        """A daemon need not answer a Steal any more."""
        worker.stealing = None
        self.victims.discard(worker.peer)

    def check(self) -> None:
        """Assert every invariant."""
        working = [w for w in self.workers.values() if not w.leaving]
        assert (self.slots, self.daemons) == (sum(w.slots for w in working), len(working))
        assert not any(
            w.leaving for w in [*self.hungry.values(), *map(self.workers.__getitem__, self.victims)]
        )
        assert set(self.thieves) <= set(self.hungry) <= set(self.workers)
        assert self.hungry_slots == sum(w.slots for w in self.hungry.values())
        assert all(bool(w.idle) == (peer in self.thieves) for peer, w in self.workers.items())
        assert self.victims == {w.peer for w in self.workers.values() if w.stealing is not None}
        assert all(w.stealing is None or w.stealing in self.runs for w in self.workers.values())
        assert self.open == {
            number: run for number, run in self.runs.items() if run.ledger.unassigned and not run.draining
        }

    def serve(self, now: float) -> None:
        """Something may have turned up: give the hungry what is unassigned, and steal for the idle."""
        if self.open:
            for worker in [*self.thieves.values(), *self.hungry.values()]:
                if not self.open:
                    break
                if worker.peer in self.hungry:
                    self._feed(worker, now)
        self.raid(now)

    def raid(self, now: float) -> None:
        """Steal for daemons with idle slots, as many as are not expecting something already."""
        if self.open or not self.runs or len(self.thieves) <= len(self.victims):
            return
        for worker in list(islice(self.thieves.values(), len(self.victims), None)):
            if not self._steal(worker, now):
                break

    def sated(self, worker: Worker) -> None:
        """A daemon got something, or is gone."""
        worker.idle = 0
        worker.low = frozenset()
        self.thieves.pop(worker.peer, None)
        if self.hungry.pop(worker.peer, None):
            self.hungry_slots -= worker.slots

    def _feed(self, worker: Worker, now: float) -> None:
        low = worker.low
        for run in list(self.open.values()):
            if worker.idle or run.number in low or run.number not in worker.runs:
                self.lease(run, worker, now)

    def lease(self, run: Run, worker: Worker, now: float) -> None:
        ledger = run.ledger
        share = run.shares.setdefault(worker.peer, Share())
        steps = lease_steps(
            self.settings.sizing,
            unassigned=ledger.unassigned.size,
            slots=worker.slots,
            slots_total=self.hungry_slots if run.tail else self.slots,
            grain_seconds=self._grain_seconds(),
            only_daemon=self.daemons == 1,
            tail=run.tail,
            rate=share.rate,
            early=run.plan.early,
            last=share.last_lease,
        )
        if run.number not in worker.runs:
            worker.runs.add(run.number)
            self._send(worker.peer, run.plan)
        start, stop = ledger.lease(worker.peer, steps)
        share.last_lease = stop - start
        share.retry_at = share.retry_seconds = 0.0
        self._send(worker.peer, m.Lease(run.number, start, stop))
        run.estimate(worker, now)
        worker.leases += 1
        self.sated(worker)
        self.reopen(run)

    def _grain_seconds(self) -> float:
        """Work that takes a slot less than this is not worth its messages: the more slots, the more of them."""
        sizing = self.settings.sizing
        return max(sizing.grain_seconds_least, self.slots / sizing.grains_per_second)

    def reopen(self, run: Run) -> None:
        if run.ledger.unassigned and not run.draining:
            self.open[run.number] = run
        elif self.open.pop(run.number, None):
            run.tail = True

    def _steal(self, thief: Worker, now: float) -> bool:
        """Ask the daemon that will end last for a share of its work. False when there is none to ask."""
        best: tuple[float, Run, Worker] | None = None
        for run in self.runs.values():
            if run.draining:
                continue
            victim = self._victim(run, thief, now)
            if victim is not None:
                end = run.shares[victim.peer].end
                if best is None or end > best[0]:
                    best = (end, run, victim)
        if best is None:
            return False
        _, run, victim = best
        victim.stealing = run.number
        self.victims.add(victim.peer)
        keep = victim.slots / (thief.slots + victim.slots)
        # Halving a huge rest again and again takes long; a victim that is robbed so often is stuck, and can keep less.
        keep **= max(1, run.shares[victim.peer].robbed - STEALS_BEFORE_MORE)
        self._send(victim.peer, m.Steal(run.number, 1 - keep))
        return True

    def _victim(self, run: Run, thief: Worker, now: float) -> Worker | None:
        settings = self.settings
        least = max(settings.steal_seconds_least, self._grain_seconds() / 2)

        def accept(peer: Peer, share: Share) -> bool:
            left = share.end - now
            return (
                (left >= least or left < -settings.overdue_seconds)
                and peer != thief.peer
                and share.retry_at <= now
                and self.workers[peer].stealing is None
                and not self.workers[peer].leaving
                and run.ledger.held[peer].size > 1
            )

        peer = run.latest(accept)
        return None if peer is None else self.workers[peer]
