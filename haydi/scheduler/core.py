"""The scheduler as a state machine: messages and the time go in, effects come out.

It knows peers, runs and ranges of steps; plans, partials and errors are opaque bytes. It has no socket, no
thread and no clock, so that a simulation can drive thousands of workers through it.

How work moves. A daemon says ``Want`` when it is low on work, and how many of its slots are idle. It gets
unassigned steps of each run it is low on. When nothing is unassigned and it has idle slots, the daemon that will
finish *last* by measured rates is asked (``Steal``) to give up a share of what it has not begun; it answers with
what it really gives up (``Released``), and only that is leased again. A daemon that gets nothing stays in
``hungry`` and is served when something turns up: it need not ask again.

Estimated ends are kept as points in time, which stay true while time passes; a heap per run finds the latest.

Several runs share each daemon, which divides its time evenly among clients; here it is only made sure that each
daemon has some work of each run.
"""

from __future__ import annotations

import heapq
import logging
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from haydi.scheduler.ledger import Ledger
from haydi.scheduler.sizing import SizingSettings, flush_seconds, lease_steps
from haydi.wire import messages as m

__all__ = ["Client", "Effect", "Note", "Run", "SchedulerCore", "SchedulerSettings", "Send", "Worker"]

Peer = bytes


@dataclass(frozen=True)
class SchedulerSettings:
    """Constants of the scheduler; times in seconds."""

    heartbeat_seconds: float = 1.0
    silence_seconds: float = 10.0
    #: A daemon with less than this to do on a run gets more of it.
    low_water_seconds: float = 0.1
    #: Nobody is asked to give up work that takes less.
    steal_seconds_least: float = 0.01
    #: When a victim had nothing to give, it is asked again after this, doubling.
    steal_retry_seconds: float = 0.25
    steal_retry_seconds_most: float = 4.0
    #: Results on their way from one daemon, in bytes, before it holds back.
    window_bytes: int = 16 << 20
    sizing: SizingSettings = field(default_factory=SizingSettings)


@dataclass(frozen=True)
class Send:
    """Send a message to a peer."""

    peer: Peer
    message: m.Message


@dataclass(frozen=True)
class Note:
    """Something an operator may want to read in the log; ``level`` is one of :mod:`logging`."""

    level: int
    text: str


Effect = Send | Note


@dataclass(eq=False)
class Client:
    """A connected client and its runs."""

    peer: Peer
    hello: m.Hello
    number: int
    last_seen: float
    runs: set[int] = field(default_factory=set)


@dataclass(eq=False)
class Worker:
    """A connected daemon."""

    peer: Peer
    hello: m.Hello
    last_seen: float
    #: Runs whose plan it has.
    runs: set[int] = field(default_factory=set)
    #: Slots without work, as it last said.
    idle: int = 0
    #: The run of the Steal it has not answered yet.
    stealing: int | None = None

    @property
    def slots(self) -> int:
        return self.hello.slots

    @property
    def label(self) -> str:
        return f"{self.hello.name} ({self.hello.host} pid {self.hello.pid})"


@dataclass(eq=False)
class Share:
    """What is known of one daemon's part in one run."""

    rate: float | None = None
    last_lease: int = 0
    end: float = -math.inf
    retry_at: float = 0.0
    retry_seconds: float = 0.0


@dataclass(eq=False)
class Run:
    """A run: its ledger, and the results that its client has not taken yet."""

    number: int
    owner: Peer
    plan: m.RunPlan
    ledger: Ledger[Peer]
    started: float
    tail: bool = False
    sequence: int = 0
    steals: int = 0
    #: (sequence, worker, bytes) of results on their way to the client.
    flying: deque[tuple[int, Peer, int]] = field(default_factory=deque)
    shares: dict[Peer, Share] = field(default_factory=dict)
    #: Lazy heap of (-estimated end, tie, worker): entries that differ from the share are stale.
    ends: list[tuple[float, int, Peer]] = field(default_factory=list)


class SchedulerCore:
    """The scheduler's state machine (see the module)."""

    def __init__(self, settings: SchedulerSettings, cluster: str, version: str) -> None:
        self.settings = settings
        self.cluster = cluster
        self.version = version
        self.workers: dict[Peer, Worker] = {}
        self.clients: dict[Peer, Client] = {}
        self.runs: dict[int, Run] = {}
        #: Runs with unassigned steps, in the order of submission.
        self.open: dict[int, Run] = {}
        #: Daemons that said Want and did not get all they want.
        self.hungry: dict[Peer, Worker] = {}
        #: Daemons that have not answered a Steal yet; there are never more of them than thieves.
        self.victims: set[Peer] = set()
        self.slots = 0
        self.stale_messages = 0
        self._next_client = 1
        self._tie = 0
        self._next_beat = 0.0
        #: Messages that can wait for the next one to the same peer, or the next tick: each envelope wakes a process.
        self._later: dict[Peer, list[m.Message]] = {}
        self._effects: list[Effect] = []
        self._handlers: dict[type[Any], tuple[dict[Peer, Any], Callable[[Any, Any, float], None]]] = {
            m.Submit: (self.clients, self._on_submit),
            m.Cancel: (self.clients, self._on_cancel),
            m.Trim: (self.clients, self._on_trim),
            m.Consumed: (self.clients, self._on_consumed),
            m.Want: (self.workers, self._on_want),
            m.Report: (self.workers, self._on_report),
            m.Released: (self.workers, self._on_released),
            m.Failed: (self.workers, self._on_failed),
        }

    # --- interface ------------------------------------------------------------------------------------

    def handle(self, peer: Peer, message: m.Message, now: float) -> list[Effect]:
        """A message has come from a peer."""
        kind = type(message)
        if kind is m.Hello:
            self._on_hello(peer, message, now)  # type: ignore[arg-type]
            return self._take()
        sender = self.workers.get(peer) or self.clients.get(peer)
        if sender is None:
            if kind is not m.Goodbye:
                self._send(peer, m.Unknown())
            return self._take()
        sender.last_seen = now
        if kind is m.Goodbye:
            self._drop(peer, "left", now)
        elif kind is not m.Heartbeat:
            entry = self._handlers.get(kind)
            if entry is None or peer not in entry[0]:
                self.stale_messages += 1
                self._note(logging.WARNING, f"dropped a {kind.__name__} from {sender.hello.role} {sender.hello.name}")
            else:
                entry[1](sender, message, now)
        return self._take()

    def lost(self, peer: Peer, reason: str, now: float) -> list[Effect]:
        """The server has seen a peer die, or cannot reach it."""
        if peer in self.workers or peer in self.clients:
            self._drop(peer, reason, now)
        return self._take()

    def next_deadline(self) -> float:
        """When :meth:`tick` wants to be called at the latest."""
        return self._next_beat

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: give up silent peers, send heartbeats, ask slow victims again."""
        if now < self._next_beat:
            return self._take()
        settings = self.settings
        self._next_beat = now + settings.heartbeat_seconds
        for peer, someone in list((self.workers | self.clients).items()):  # type: ignore[operator]
            if now - someone.last_seen > settings.silence_seconds:
                self._drop(peer, f"silent for {now - someone.last_seen:.1f} s", now)
            else:
                self._send(peer, m.Heartbeat())
        if self.hungry:
            if any(worker.idle for worker in self.hungry.values()):
                self._next_beat = now + min(settings.heartbeat_seconds, settings.steal_retry_seconds)
            self._serve(now)
        return self._take()

    def check(self) -> None:
        """Assert every invariant."""
        assert self.slots == sum(w.slots for w in self.workers.values())
        assert set(self.hungry) <= set(self.workers)
        for number, run in self.runs.items():
            run.ledger.check()
            assert not run.ledger.complete, "a complete run is still here"
            assert (number in self.open) == bool(run.ledger.unassigned)
            assert set(run.ledger.held) <= set(self.workers), "a lost worker holds steps"
            assert number in self.clients[run.owner].runs
            for peer in run.ledger.held:
                assert number in self.workers[peer].runs, "a worker holds steps of a run whose plan it has not"
        assert self.victims == {w.peer for w in self.workers.values() if w.stealing is not None}
        for worker in self.workers.values():
            assert worker.stealing is None or worker.stealing in self.runs
        assert set(self.open) <= set(self.runs)

    def snapshot(self) -> dict[str, Any]:
        """What a monitor may show: plain data."""
        return {
            "cluster": self.cluster,
            "slots": self.slots,
            "workers": [
                {"name": w.hello.name, "host": w.hello.host, "pid": w.hello.pid, "slots": w.slots, "idle": w.idle}
                for w in self.workers.values()
            ],
            "clients": [{"host": c.hello.host, "pid": c.hello.pid, "runs": len(c.runs)} for c in self.clients.values()],
            "runs": [
                {
                    "run": r.number,
                    "steps": r.ledger.stop,
                    "merged": r.ledger.merged.size,
                    "unassigned": r.ledger.unassigned.size,
                    "workers": len(r.ledger.held),
                    "steals": r.steals,
                }
                for r in self.runs.values()
            ],
        }

    # --- peers ----------------------------------------------------------------------------------------

    def _on_hello(self, peer: Peer, hello: m.Hello, now: float) -> None:
        if refusal := self._refusal(hello):
            self._note(logging.WARNING, f"refused {hello.role} {hello.name} on {hello.host}: {refusal}")
            self._send(peer, m.Refused(refusal))
            return
        if peer in self.workers or peer in self.clients:
            self._drop(peer, "said hello again", now)
        settings = self.settings
        self._send(
            peer,
            m.Welcome(
                m.PROTOCOL_VERSION,
                self.version,
                self.cluster,
                settings.heartbeat_seconds,
                settings.silence_seconds,
                settings.window_bytes,
            ),
        )
        if hello.role == "client":
            self.clients[peer] = Client(peer, hello, self._next_client, now)
            self._next_client += 1
            self._send(peer, m.Cluster(len(self.workers), self.slots))
        else:
            self.workers[peer] = Worker(peer, hello, now)
            self.slots += hello.slots
            self._note(logging.INFO, f"worker {self.workers[peer].label} joined with {hello.slots} slots")
            self._tell_cluster()

    def _refusal(self, hello: m.Hello) -> str:
        if hello.protocol != m.PROTOCOL_VERSION:
            return (
                f"protocol {hello.protocol} of Haydi {hello.version} does not fit protocol {m.PROTOCOL_VERSION} "
                f"of the scheduler (Haydi {self.version}): install the same version on both sides"
            )
        if hello.role not in ("client", "worker"):
            return f"unknown role {hello.role!r}"
        if hello.role == "worker" and hello.slots < 1:
            return "a worker needs at least one slot"
        return ""

    def _tell_cluster(self) -> None:
        for peer in self.clients:
            self._send(peer, m.Cluster(len(self.workers), self.slots))

    def _drop(self, peer: Peer, reason: str, now: float) -> None:
        client = self.clients.pop(peer, None)
        if client is not None:
            for number in list(client.runs):
                self._end(self.runs[number])
            self._note(logging.INFO, f"client {client.hello.host} pid {client.hello.pid} is gone: {reason}")
            return
        worker = self.workers.pop(peer)
        self._later.pop(peer, None)
        self.hungry.pop(peer, None)
        self.victims.discard(peer)
        self.slots -= worker.slots
        steps = 0
        for number in worker.runs:
            run = self.runs[number]
            steps += run.ledger.lose(peer)
            run.shares.pop(peer, None)
            self._reopen(run)
        again = f"; {steps} steps run again" if steps else ""
        self._note(logging.WARNING if steps else logging.INFO, f"worker {worker.label} is gone: {reason}{again}")
        self._tell_cluster()
        self._serve(now)

    # --- messages of clients --------------------------------------------------------------------------

    def _on_submit(self, client: Client, msg: m.Submit, now: float) -> None:
        last = msg.ranges[-1][1] if msg.ranges else 0
        if msg.run in self.runs or last > msg.steps:
            self._send(client.peer, m.RunLost(msg.run, "refused: the run number is taken, or a range is out of bounds"))
            return
        ledger: Ledger[Peer] = Ledger(msg.steps, msg.ranges)
        if ledger.complete:
            return
        flush = 0.0 if msg.early else flush_seconds(self.settings.sizing, self.slots)
        plan = m.RunPlan(msg.run, client.number, msg.early, flush, msg.payload)
        run = self.runs[msg.run] = Run(msg.run, client.peer, plan, ledger, now)
        client.runs.add(msg.run)
        self._reopen(run)
        self._note(logging.INFO, f"run {msg.run:x}: {msg.steps} steps from {client.hello.host} pid {client.hello.pid}")
        if len(self.runs) > 1:
            # Daemons busy with other runs divide their time; each needs some of this one.
            for worker in list(self.workers.values()):
                if not ledger.unassigned:
                    break
                self._lease(run, worker, now)
        self._serve(now)

    def _on_cancel(self, client: Client, msg: m.Cancel, now: float) -> None:
        if run := self._owned(client, msg.run):
            self._end(run)

    def _on_trim(self, client: Client, msg: m.Trim, now: float) -> None:
        if run := self._owned(client, msg.run):
            for peer in run.ledger.trim(msg.stop):
                self._send(peer, msg)
            self._reopen(run)
            if run.ledger.complete:
                self._end(run)

    def _on_consumed(self, client: Client, msg: m.Consumed, now: float) -> None:
        if run := self._owned(client, msg.run):
            credits: dict[Peer, int] = {}
            while run.flying and run.flying[0][0] <= msg.sequence:
                _, peer, size = run.flying.popleft()
                credits[peer] = credits.get(peer, 0) + size
            self._credit(credits)

    def _credit(self, credits: dict[Peer, int]) -> None:
        for peer, size in credits.items():
            if size and peer in self.workers:
                self._send(peer, m.Credit(size))

    def _owned(self, client: Client, number: int) -> Run | None:
        return self.runs[number] if number in client.runs else None

    # --- messages of workers --------------------------------------------------------------------------

    def _on_want(self, worker: Worker, msg: m.Want, now: float) -> None:
        worker.idle = min(msg.idle, worker.slots)
        self.hungry[worker.peer] = worker
        self._serve(now)

    def _on_report(self, worker: Worker, msg: m.Report, now: float) -> None:
        run = self.runs.get(msg.run)
        size = len(msg.payload)
        if run is None or not run.ledger.report(worker.peer, msg.start, msg.stop):
            self.stale_messages += 1
            self._credit({worker.peer: size})
            return
        share = run.shares[worker.peer]
        if msg.seconds > 0:
            rate = float(min(msg.stop - msg.start, 1 << 1000)) / msg.seconds
            share.rate = rate if share.rate is None else (share.rate + rate) / 2
        self._estimate(run, worker, share, now)
        run.sequence += 1
        run.flying.append((run.sequence, worker.peer, size))
        self._send(
            run.owner,
            m.Partial(msg.run, run.sequence, msg.start, msg.stop, msg.seconds, worker.label, msg.payload),
        )
        if run.ledger.complete:
            self._end(run)

    def _on_released(self, worker: Worker, msg: m.Released, now: float) -> None:
        if worker.stealing == msg.run:
            worker.stealing = None
            self.victims.discard(worker.peer)
        run = self.runs.get(msg.run)
        if run is None:
            return
        share = run.shares.get(worker.peer)
        if not run.ledger.release(worker.peer, msg.ranges) or share is None:
            self.stale_messages += 1
            return
        if msg.ranges:
            share.retry_seconds = 0.0
            run.steals += 1
            self._reopen(run)
        else:
            share.retry_seconds = min(
                max(self.settings.steal_retry_seconds, 2 * share.retry_seconds),
                self.settings.steal_retry_seconds_most,
            )
            share.retry_at = now + share.retry_seconds
        self._estimate(run, worker, share, now)
        self._serve(now)

    def _on_failed(self, worker: Worker, msg: m.Failed, now: float) -> None:
        run = self.runs.get(msg.run)
        if run is None or msg.run not in worker.runs:
            self.stale_messages += 1
            return
        self._send(run.owner, m.RunFailed(msg.run, msg.start, msg.stop, msg.kind, worker.label, msg.payload))

    # --- handing out ----------------------------------------------------------------------------------

    def _serve(self, now: float) -> None:
        """Give the hungry what is unassigned, and steal for the idle."""
        if self.open:
            for worker in list(self.hungry.values()):
                if not self.open:
                    break
                self._feed(worker, now)
        if self.open or not self.runs:
            return
        thieves = [worker for worker in self.hungry.values() if worker.idle]
        for worker in thieves[len(self.victims) :]:
            if not self._steal(worker, now):
                break

    def _feed(self, worker: Worker, now: float) -> None:
        for run in list(self.open.values()):
            share = run.shares.get(worker.peer)
            if (
                share is None
                or worker.peer not in run.ledger.held
                or share.end - now < self.settings.low_water_seconds
                or share.rate is None
            ):
                self._lease(run, worker, now)

    def _lease(self, run: Run, worker: Worker, now: float) -> None:
        ledger = run.ledger
        share = run.shares.setdefault(worker.peer, Share())
        steps = lease_steps(
            self.settings.sizing,
            unassigned=ledger.unassigned.size,
            slots=worker.slots,
            slots_total=sum(w.slots for w in self.hungry.values()) if run.tail else self.slots,
            only_daemon=len(self.workers) == 1,
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
        self._estimate(run, worker, share, now)
        worker.idle = 0
        self.hungry.pop(worker.peer, None)
        self._reopen(run)

    def _reopen(self, run: Run) -> None:
        if run.ledger.unassigned:
            self.open[run.number] = run
        elif self.open.pop(run.number, None):
            run.tail = True

    def _estimate(self, run: Run, worker: Worker, share: Share, now: float) -> None:
        held = run.ledger.held.get(worker.peer)
        if held is None:
            share.end = -math.inf
            return
        if share.rate is None:
            share.end = math.inf
        else:
            share.end = now + float(min(held.size, 1 << 1000)) / (share.rate * worker.slots)
        self._tie += 1
        heapq.heappush(run.ends, (-share.end, self._tie, worker.peer))
        if len(run.ends) > 4 * len(self.workers) + 64:
            run.ends = [(-s.end, i, peer) for i, (peer, s) in enumerate(run.shares.items()) if peer in run.ledger.held]
            heapq.heapify(run.ends)

    def _steal(self, thief: Worker, now: float) -> bool:
        """Ask the daemon that will end last for a share of its work. False when there is none to ask."""
        best: tuple[float, Run, Worker] | None = None
        for run in self.runs.values():
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
        self._send(victim.peer, m.Steal(run.number, thief.idle / (thief.idle + victim.slots)))
        return True

    def _victim(self, run: Run, thief: Worker, now: float) -> Worker | None:
        kept: list[tuple[float, int, Peer]] = []
        found = None
        while run.ends:
            entry = run.ends[0]
            peer = entry[2]
            share, worker = run.shares.get(peer), self.workers.get(peer)
            if share is None or worker is None or peer not in run.ledger.held or share.end != -entry[0]:
                heapq.heappop(run.ends)  # stale
                continue
            if share.end - now < self.settings.steal_seconds_least:
                break
            kept.append(heapq.heappop(run.ends))
            if (
                worker is not thief
                and worker.stealing is None
                and share.retry_at <= now
                and run.ledger.held[peer].size > 1
            ):
                found = worker
                break
            if len(kept) > 64:
                break
        for entry in kept:
            heapq.heappush(run.ends, entry)
        return found

    def _end(self, run: Run) -> None:
        """A run is complete or unwanted: forget it everywhere."""
        del self.runs[run.number]
        self.open.pop(run.number, None)
        self.clients[run.owner].runs.discard(run.number) if run.owner in self.clients else None
        credits: dict[Peer, int] = {}
        for _, peer, size in run.flying:
            credits[peer] = credits.get(peer, 0) + size
        self._credit(credits)
        for peer in run.shares:
            worker = self.workers[peer]
            worker.runs.discard(run.number)
            if worker.stealing == run.number:
                worker.stealing = None
                self.victims.discard(peer)
            if peer in run.ledger.held:  # it is still at work on what nobody needs
                self._send(peer, m.End(run.number))
            else:
                self._later.setdefault(peer, []).append(m.End(run.number))

    # --- effects --------------------------------------------------------------------------------------

    def _send(self, peer: Peer, message: m.Message) -> None:
        if self._later:
            for late in self._later.pop(peer, ()):
                self._effects.append(Send(peer, late))
        self._effects.append(Send(peer, message))

    def _note(self, level: int, text: str) -> None:
        self._effects.append(Note(level, text))

    def _take(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects
