"""The scheduler as a state machine: messages and the time go in, effects come out.

It knows peers, runs and ranges of steps; plans, partials and errors are opaque bytes. It has no socket, no
thread and no clock, so that a simulation can drive thousands of workers through it.

How work moves. A daemon says ``Want`` when it is low on work, and how many of its slots are idle. It gets
unassigned steps of each run it is low on. When nothing is unassigned and it has idle slots, the daemon that will
finish *last* by measured rates is asked (``Steal``) to give up a share of what it has not begun; it answers with
what it really gives up (``Released``), and only that is leased again. A daemon that gets nothing stays in
``hungry`` and is served when something turns up: it need not ask again.

Several runs share each daemon, which divides its time evenly among clients; here it is only made sure that each
daemon has some work of each run. The state is in :mod:`haydi.scheduler.state`; who gets what is decided by the
:mod:`haydi.scheduler.dealer`; here is what peers say and are told.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

from haydi.ranges import in_words
from haydi.rates import mean_rate, rate_of
from haydi.scheduler.dealer import Dealer
from haydi.scheduler.ledger import Ledger
from haydi.scheduler.orders import answer
from haydi.scheduler.sizing import flush_seconds
from haydi.scheduler.snapshot import snapshot
from haydi.scheduler.state import Client, Effect, Note, Peer, Run, SchedulerSettings, Send, Worker
from haydi.wire import messages as m
from haydi.wire.contact import absence

__all__ = ["Client", "Effect", "Note", "Run", "SchedulerCore", "SchedulerSettings", "Send", "Worker"]


class SchedulerCore:
    """The scheduler's state machine (see the module)."""

    def __init__(self, settings: SchedulerSettings, cluster: str, version: str) -> None:
        self.settings = settings
        self.cluster = cluster
        self.version = version
        self.workers: dict[Peer, Worker] = {}
        self.clients: dict[Peer, Client] = {}
        self.monitors: dict[Peer, Client] = {}
        #: The peer that stands for a session now.
        self.sessions: dict[str, Peer] = {}
        self.runs: dict[int, Run] = {}
        self.stale_messages = 0
        self._next_client = 1
        self._beat_at = 0.0
        #: Messages that can wait for the next one to the same peer, or the next tick: each envelope wakes a process.
        self._later: dict[Peer, list[m.Message]] = {}
        self._effects: list[Effect] = []
        #: Runs whose client waits for Drained.
        self._draining: set[int] = set()
        self.dealer = Dealer(settings, self.workers, self.runs, self._send)
        self._handlers: dict[type[Any], tuple[dict[Peer, Any], Callable[[Any, Any, float], None]]] = {
            m.Submit: (self.clients, self._on_submit),
            m.Cancel: (self.clients, self._on_cancel),
            m.Trim: (self.clients, self._on_trim),
            m.Drain: (self.clients, self._on_drain),
            m.Consumed: (self.clients, self._on_consumed),
            m.Want: (self.workers, self._on_want),
            m.Report: (self.workers, self._on_report),
            m.Released: (self.workers, self._on_released),
            m.Failed: (self.workers, self._on_failed),
            m.Leaving: (self.workers, self._on_leaving),
            m.Ask: (self.monitors, self._on_ask),
        }

    # --- interface ------------------------------------------------------------------------------------

    def handle(self, peer: Peer, message: m.Message, now: float) -> list[Effect]:
        """A message has come from a peer."""
        kind = type(message)
        if kind is m.Hello:
            self._on_hello(peer, message, now)  # type: ignore[arg-type]
            return self._take()
        sender = self.workers.get(peer) or self.clients.get(peer) or self.monitors.get(peer)
        if sender is None:
            if kind is not m.Goodbye:
                self._send(peer, m.Unknown())
            return self._take()
        sender.last_seen = now
        if kind is m.Back:
            hello, seconds = sender.hello, message.away_seconds  # type: ignore[union-attr]
            self._note(logging.INFO, f"{hello.role} {hello.name} is back after {seconds:.1f} s")
        elif kind is m.Goodbye:
            self._drop(peer, "left", now)
            if sender.hello.role == "worker":  # it may wait to know that all it sent has come
                self._send(peer, m.Goodbye())
        elif kind is not m.Heartbeat:
            entry = self._handlers.get(kind)
            if entry is None or peer not in entry[0]:
                self.stale_messages += 1
                self._note(
                    logging.WARNING, f"dropped a {kind.__name__} from {sender.hello.role} {sender.hello.name}"
                )
            else:
                entry[1](sender, message, now)
        return self._take()

    def lost(self, peer: Peer, reason: str, now: float) -> list[Effect]:
        """The server has seen a peer die, or cannot reach it."""
        if self.knows(peer):
            self._drop(peer, reason, now)
        return self._take()

    def knows(self, peer: Peer) -> bool:
        """Whether somebody is connected by this identity."""
        return peer in self.workers or peer in self.clients or peer in self.monitors

    def next_deadline(self) -> float:
        """When :meth:`tick` wants to be called at the latest."""
        return min(self._beat_at, self.dealer.retry_at)

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: give up silent peers, send heartbeats, ask slow victims again."""
        settings = self.settings
        serve = now >= self.dealer.retry_at
        if serve:
            self.dealer.retry_at = math.inf
        if now >= self._beat_at:
            peers = self.workers | self.clients | self.monitors
            if self._beat_at and (
                absent := absence(self._beat_at, now)
            ):  # we were: nobody is silent for that
                self._note(logging.WARNING, f"the scheduler was stopped, or had no time, for {absent:.1f} s")
                for someone in peers.values():
                    someone.last_seen = min(now, someone.last_seen + absent)
            self._beat_at = now + settings.heartbeat_seconds
            for peer, someone in list(peers.items()):
                # The next look would be too late for those who are silent for longer than this.
                if now - someone.last_seen > settings.silence_seconds - settings.heartbeat_seconds:
                    self._drop(peer, f"silent for {now - someone.last_seen:.1f} s", now)
                else:
                    self._send(peer, m.Heartbeat())
            serve = True
        if serve:
            self.dealer.serve(now)
        return self._take()

    def check(self) -> None:
        """Assert every invariant."""
        self.dealer.check()
        everybody = self.workers | self.clients | self.monitors
        assert {p: self.sessions.get(x.hello.session) for p, x in everybody.items()} == {
            p: p for p in everybody
        }
        assert len(self.sessions) == len(everybody)
        for number, run in self.runs.items():
            run.ledger.check()
            assert not run.ledger.complete, "a complete run is still here"
            assert set(run.ledger.held) <= set(self.workers), "a lost worker holds steps"
            assert number in self.clients[run.owner].runs
            for peer in run.ledger.held:
                assert number in self.workers[peer].runs, (
                    "a worker holds steps of a run whose plan it has not"
                )

    def snapshot(self, now: float) -> dict[str, Any]:
        """What a monitor may show: plain data (see :mod:`haydi.scheduler.snapshot`)."""
        return snapshot(self, now)

    # --- peers ----------------------------------------------------------------------------------------

    def _on_hello(self, peer: Peer, hello: m.Hello, now: float) -> None:
        if refusal := self._refusal(hello):
            self._note(logging.WARNING, f"refused {hello.role} {hello.name} on {hello.host}: {refusal}")
            self._send(peer, m.Refused(refusal))
            return
        before = self.sessions.get(hello.session)
        if before is not None:
            known = self.workers.get(before) or self.clients.get(before) or self.monitors[before]
            if known.hello.epoch > hello.epoch or (before == peer and known.hello.epoch == hello.epoch):
                self.stale_messages += 1  # it was overtaken by a later one, or repeated
                return
            self._drop(before, "came again by another connection", now)
        if self.knows(peer):
            self._drop(peer, "said hello again", now)
        self.sessions[hello.session] = peer
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
                settings.restart_seconds,
            ),
        )
        if hello.role == "monitor":
            self.monitors[peer] = Client(peer, hello, 0, now)
        elif hello.role == "client":
            self.clients[peer] = Client(peer, hello, self._next_client, now)
            self._next_client += 1
            self._send(peer, m.Cluster(self.dealer.daemons, self.dealer.slots))
        else:
            worker = self.workers[peer] = Worker(peer, hello, now)
            self.dealer.admit(worker)
            self._note(logging.INFO, f"worker {worker.label} joined with {hello.slots} slots")
            self._tell_cluster()

    def _refusal(self, hello: m.Hello) -> str:
        if hello.protocol != m.PROTOCOL_VERSION:
            return (
                f"protocol {hello.protocol} of Haydi {hello.version} does not fit protocol {m.PROTOCOL_VERSION} "
                f"of the scheduler (Haydi {self.version}): install the same version on both sides"
            )
        if hello.role not in ("client", "worker", "monitor"):
            return f"unknown role {hello.role!r}"
        if hello.role == "worker" and hello.slots < 1:
            return "a worker needs at least one slot"
        return ""

    def _tell_cluster(self) -> None:
        for peer in self.clients:
            self._send(peer, m.Cluster(self.dealer.daemons, self.dealer.slots))

    def _drop(self, peer: Peer, reason: str, now: float) -> None:
        someone = self.workers.get(peer) or self.clients.get(peer) or self.monitors[peer]
        del self.sessions[someone.hello.session]
        if self.monitors.pop(peer, None) is not None:
            return
        client = self.clients.pop(peer, None)
        if client is not None:
            for number in list(client.runs):
                self._end(self.runs[number])
            self._note(logging.INFO, f"client {client.hello.host} pid {client.hello.pid} is gone: {reason}")
            self.dealer.serve(now)
            return
        worker = self.workers.pop(peer)
        self._later.pop(peer, None)
        self.dealer.dismiss(worker)
        steps = 0
        for number in worker.runs:
            run = self.runs[number]
            steps += run.ledger.lose(peer)
            run.shares.pop(peer, None)
            self.dealer.reopen(run)
        again = f"; {in_words(steps)} steps run again" if steps else ""
        self._note(
            logging.WARNING if steps else logging.INFO, f"worker {worker.label} is gone: {reason}{again}"
        )
        self._tell_cluster()
        self.dealer.serve(now)

    # --- messages of clients --------------------------------------------------------------------------

    def _on_submit(self, client: Client, msg: m.Submit, now: float) -> None:
        last = msg.ranges[-1][1] if msg.ranges else 0
        if msg.run in self.runs or last > msg.steps:
            self._send(
                client.peer,
                m.RunLost(msg.run, "refused: the run number is taken, or a range is out of bounds"),
            )
            return
        ledger: Ledger[Peer] = Ledger(msg.steps, msg.ranges)
        if ledger.complete:
            return
        flush = flush_seconds(self.settings.sizing, self.dealer.slots, msg.early)
        plan = m.RunPlan(msg.run, client.number, msg.early, msg.skip, msg.priority, flush, msg.payload)
        run = self.runs[msg.run] = Run(msg.run, client.peer, plan, ledger, now)
        client.runs.add(msg.run)
        self.dealer.reopen(run)
        self._note(
            logging.INFO,
            f"run {msg.run:x}: {in_words(msg.steps)} steps from {client.hello.host} pid {client.hello.pid}",
        )
        # Daemons busy with other runs divide their time; each needs some of this one.
        for worker in self.workers.values():
            if not ledger.unassigned:
                break
            if worker.runs and not worker.leaving:
                self.dealer.lease(run, worker, now)
        self.dealer.serve(now)

    def _on_cancel(self, client: Client, msg: m.Cancel, now: float) -> None:
        if run := self._owned(client, msg.run):
            self._end(run)
            self.dealer.serve(now)

    def _on_trim(self, client: Client, msg: m.Trim, now: float) -> None:
        if run := self._owned(client, msg.run):
            for peer in run.ledger.trim(msg.stop):
                self._send(peer, msg)
            self.dealer.reopen(run)
            if run.ledger.complete:
                self._end(run)
                self.dealer.serve(now)

    def _on_drain(self, client: Client, msg: m.Drain, now: float) -> None:
        run = self._owned(client, msg.run)
        if run and not run.draining:
            run.draining = True
            self._draining.add(msg.run)
            self.dealer.reopen(run)
            for peer in run.ledger.held:
                self._send(peer, msg)

    def _tell_drained(self) -> None:
        for number in list(self._draining):
            run = self.runs.get(number)
            if run is None or not run.ledger.held:
                self._draining.discard(number)
                if run is not None:
                    self._send(run.owner, m.Drained(number))

    def _on_consumed(self, client: Client, msg: m.Consumed, now: float) -> None:
        if run := self._owned(client, msg.run):
            credits: dict[Peer, int] = {}
            while run.flying and run.flying[0][0] <= msg.sequence:
                _, peer, size = run.flying.popleft()
                credits[peer] = credits.get(peer, 0) + size
            self._credit(credits)

    def _credit(self, credits: dict[Peer, int], urgent: bool = True) -> None:
        for peer, size in credits.items():
            if size and peer in self.workers:
                if urgent:
                    self._send(peer, m.Credit(size))
                else:
                    self._later.setdefault(peer, []).append(m.Credit(size))

    def _owned(self, client: Client, number: int) -> Run | None:
        return self.runs[number] if number in client.runs else None

    # --- messages of workers --------------------------------------------------------------------------

    def _on_want(self, worker: Worker, msg: m.Want, now: float) -> None:
        self.dealer.want(worker, msg, now)

    def _on_report(self, worker: Worker, msg: m.Report, now: float) -> None:
        run = self.runs.get(msg.run)
        size = len(msg.payload)
        if run is None or not run.ledger.report(worker.peer, msg.start, msg.stop):
            self.stale_messages += 1
            self._credit({worker.peer: size})
            if run is not None and run.ledger.forfeit(worker.peer, msg.start, msg.stop):
                self.dealer.reopen(run)
                self.dealer.serve(now)
            return
        share = run.shares[worker.peer]
        share.robbed = 0
        if msg.seconds > 0:
            share.rate = mean_rate(share.rate, rate_of(msg.stop - msg.start, msg.seconds), 0.5)
        run.estimate(worker, now)
        run.sequence += 1
        run.flying.append((run.sequence, worker.peer, size))
        self._send(
            run.owner,
            m.Partial(msg.run, run.sequence, msg.start, msg.stop, msg.seconds, worker.label, msg.payload),
        )
        if run.ledger.complete:
            self._end(run)
        if run.tail:  # what is known now may show somebody to ask
            self.dealer.raid(now)

    def _on_released(self, worker: Worker, msg: m.Released, now: float) -> None:
        if worker.stealing == msg.run:
            self.dealer.absolve(worker)
        run = self.runs.get(msg.run)
        if run is not None and not self.dealer.released(run, worker, msg, now):
            self.stale_messages += 1

    def _on_failed(self, worker: Worker, msg: m.Failed, now: float) -> None:
        run = self.runs.get(msg.run)
        if run is None or not run.ledger.holds(worker.peer, msg.start, msg.stop):
            self.stale_messages += 1
            return
        self._send(run.owner, m.RunFailed(msg.run, msg.start, msg.stop, msg.kind, worker.label, msg.payload))
        if run.plan.skip and msg.kind == "died":  # the client counts the step as merged, and so do we
            run.ledger.report(worker.peer, msg.start, msg.stop)
            run.estimate(worker, now)
            if run.ledger.complete:
                self._end(run)
                self.dealer.serve(now)

    def _on_leaving(self, worker: Worker, msg: m.Leaving, now: float) -> None:
        if not worker.leaving:
            self._note(logging.INFO, f"worker {worker.label} is leaving")
            self.dealer.dismiss(worker)
            self._tell_cluster()

    # --- messages of monitors -------------------------------------------------------------------------

    def _on_ask(self, monitor: Client, msg: m.Ask, now: float) -> None:
        for worker in (told := answer(self, msg, now)).retire:
            worker.retired = True
            self._note(logging.INFO, f"an operator retires worker {worker.label}")
            self._send(worker.peer, m.Leave(f"an operator on {monitor.hello.host} retired it"))
        self._send(monitor.peer, m.Answer(told.payload))

    # --- the end of a run -----------------------------------------------------------------------------

    def _end(self, run: Run) -> None:
        """A run is complete or unwanted: forget it everywhere."""
        del self.runs[run.number]
        self.dealer.open.pop(run.number, None)
        self.clients[run.owner].runs.discard(run.number) if run.owner in self.clients else None
        credits: dict[Peer, int] = {}
        for _, peer, size in run.flying:
            credits[peer] = credits.get(peer, 0) + size
        self._credit(credits, urgent=False)
        for peer in run.shares:
            worker = self.workers[peer]
            worker.runs.discard(run.number)
            if worker.stealing == run.number:
                self.dealer.absolve(worker)
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
        if self._draining:
            self._tell_drained()
        effects, self._effects = self._effects, []
        return effects
