"""The nodes of the simulation: what the servers do around the real cores, in virtual time.

Each node can be paused, as by SIGSTOP: then what happens to it waits. A daemon and a client have a connection; the
scheduler knows connections by identity and is told when it sends to one that cannot be reached.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from haydi.client.core import RunCore
from haydi.client.merging import Merger
from haydi.scheduler.core import Effect as SchedulerEffect
from haydi.scheduler.core import SchedulerCore, SchedulerSettings, Send
from haydi.wire import messages as m
from haydi.worker import core as c
from tests.simulation.compute import PIPE_SECONDS, Answer, Compute
from tests.simulation.jobs import Job
from tests.simulation.links import Connection
from tests.simulation.oracle import RunOracle, check_effects

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["ClientNode", "ClientRun", "DaemonNode", "Node", "SchedulerNode"]

SPAWN_SECONDS = 0.03
HEARTBEAT_SECONDS = 1.0
#: As the real client has it.
DRAIN_SECONDS = 0.25


class Node:
    """Something that things happen to, one after another."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.dead = False
        self.paused = False
        self._inbox: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._armed = math.inf
        self._ticks_at = (-1.0, 0)

    def do(self, action: Callable[..., None], *arguments: Any) -> None:
        """Have something happen to it: at once, or when it is not paused any more; never when it is dead."""
        if self.dead:
            return
        if self.paused:
            self._inbox.append((action, arguments))
            return
        action(*arguments)
        self.arm()

    def pause(self, seconds: float) -> None:
        """Stop it for a while."""
        if not self.paused:
            self.world.log(f"{self.name} pauses for {seconds:.1f} s")
            self.paused = True
            self.world.clock.after(seconds, self.wake)

    def wake(self) -> None:
        """Let it go on, with all that has happened to it."""
        if self.paused and not self.dead:
            self.world.log(f"{self.name} wakes")
            self.paused = False
            while self._inbox and not self.dead and not self.paused:
                action, arguments = self._inbox.popleft()
                action(*arguments)
            self.arm()

    def deadline(self) -> float:
        """When it wants to be called at the latest."""
        return math.inf

    def tick(self) -> None:
        """It is called."""

    def arm(self) -> None:
        """Make sure that it is called in time."""
        if self.dead or self.paused:
            return
        at = max(self.deadline(), self.world.clock.now)
        if at < self._armed:
            self._armed = at
            self.world.clock.at(at, self._ring, at)

    def _ring(self, at: float) -> None:
        if at != self._armed:
            return
        self._armed = math.inf
        if self.dead or self.paused:
            return
        now = self.world.clock.now
        if now >= self.deadline():
            time, count = self._ticks_at
            self._ticks_at = (now, count + 1 if time == now else 1)
            assert self._ticks_at[1] < 1000, f"{self.name} ticks for ever without any time passing"
            self.tick()
        self.arm()


class SchedulerNode(Node):
    """The scheduler and its socket."""

    def __init__(self, world: World, settings: SchedulerSettings) -> None:
        super().__init__(world, "scheduler")
        self.settings = settings
        self.connections: dict[bytes, Connection] = {}
        self.core = SchedulerCore(settings, "simulated", "1")
        self.received: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()

    def on_message(self, connection: Connection, message: m.Message) -> None:
        """A message has come."""
        self.world.log(f"scheduler <- {connection.identity.decode()}: {message}")
        self.received[type(message).__name__] += 1
        known = self._known()
        self._apply(known, self.core.handle(connection.identity, message, self.world.clock.now))

    def on_lost(self, identity: bytes) -> None:
        """A process was seen to end, or a connection to break."""
        self._apply(self._known(), self.core.lost(identity, "its process ended", self.world.clock.now))

    def deadline(self) -> float:
        return self.core.next_deadline()

    def tick(self) -> None:
        self._apply(self._known(), self.core.tick(self.world.clock.now))

    def restart(self) -> None:
        """It is killed, and started again at once with an empty mind."""
        self.world.log("scheduler restarts")
        self._inbox.clear()
        self.connections.clear()
        self.core = SchedulerCore(self.settings, "simulated again", "1")
        for node in (*self.world.daemons, *self.world.clients):
            if not node.dead:
                node.rewire()
        self.arm()

    def _known(self) -> set[bytes]:
        return {*self.core.workers, *self.core.clients} if self.world.checks else set()

    def _apply(self, known: set[bytes], effects: list[SchedulerEffect]) -> None:
        while effects:
            if self.world.checks:
                check_effects(known, self.core, effects)
            outgoing: dict[bytes, list[m.Message]] = {}
            for effect in effects:
                if isinstance(effect, Send):
                    outgoing.setdefault(effect.peer, []).append(effect.message)
                else:
                    self.world.log(f"scheduler notes: {effect.text}")
            effects = []
            for peer, messages in outgoing.items():
                for message in messages:
                    self.sent[type(message).__name__] += 1
                    self.world.log(f"scheduler -> {peer.decode()}: {message}")
                connection = self.connections.get(peer)
                if connection is None or not connection.reachable:
                    effects += self.core.lost(peer, "its connection is gone", self.world.clock.now)
                else:
                    connection.send(messages, up=False)
        if self.world.checks:
            self.core.check()


class Peer(Node):
    """A node with a connection to the scheduler."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.connection = world.connect(self)

    def rewire(self) -> None:
        """The connection breaks and is made anew by the transport, which tells nobody."""
        self.connection.cut()
        self.connection = self.world.connect(self)

    def on_wire(self, connection: Connection, message: m.Message) -> None:
        """A message has come by a connection, maybe by one that is closed by now."""
        self.do(self._on_wire, connection, message)

    def _on_wire(self, connection: Connection, message: m.Message) -> None:
        if connection is self.connection:
            self.on_message(message)

    def on_message(self, message: m.Message) -> None:
        """A message has come."""
        raise NotImplementedError

    def kill(self, how: str) -> None:
        """It ends without a word. The scheduler is told ("seen"), finds out ("closed"), or hears nothing."""
        self.world.log(f"{self.name} is killed ({how})")
        self.dead = True
        connection = self.connection
        connection.alive = False
        if how == "seen":
            self.world.clock.after(0.01, self.world.tell_lost, connection.identity)
        connection.reachable = how == "silent"

    def hello(self, role: str, slots: int) -> m.Hello:
        return m.Hello(role, m.PROTOCOL_VERSION, "1", "3", "host", 1, "machine", self.name, slots)


class DaemonNode(Peer):
    """A worker daemon: the supervisor and its compute processes."""

    def __init__(self, world: World, name: str, slots: int, speed: float, settings: c.WorkerSettings) -> None:
        super().__init__(world, name)
        self.speed = speed
        self.core = c.WorkerCore(settings, slots, world.clock.now)
        self.computes: list[Compute | None] = [None] * slots
        self._waiting: list[deque[Answer]] = [deque() for _ in range(slots)]
        self._outgoing: list[m.Message] = [self.hello("worker", slots)]
        self._flush()
        for slot in range(slots):
            world.clock.after(SPAWN_SECONDS, self.do, self._on_birth, slot)
        self.arm()

    # --- the server -----------------------------------------------------------------------------------

    def on_message(self, message: m.Message) -> None:
        self._apply(self.core.handle(message, self.world.clock.now))

    def deadline(self) -> float:
        return self.core.next_deadline()

    def tick(self) -> None:
        self._apply(self.core.tick(self.world.clock.now))

    def leave(self) -> None:
        """It ends in order."""
        self.world.log(f"{self.name} leaves")
        self._apply(self.core.leave(self.world.clock.now))
        self._end()

    def kill(self, how: str) -> None:
        super().kill(how)
        self._end()

    def crash(self, slot: int) -> None:
        """One of its compute processes is killed."""
        compute = self.computes[slot]
        if compute is not None and compute.alive:
            self.world.log(f"{self.name}: process {slot} is killed")
            self.world.crashes[compute.run] += 1
            compute.kill()
            self._on_end_of(slot, compute)

    def _end(self) -> None:
        self.dead = True
        for compute in self.computes:
            if compute is not None:
                compute.kill()

    def _apply(self, effects: Sequence[c.Effect]) -> None:
        while True:
            for effect in effects:
                self._perform(effect)
            if self.world.checks:
                self.core.check()
            effects = self._hear_waiting()
            if not effects:
                break
        self._flush()

    def _perform(self, effect: c.Effect) -> None:
        clock = self.world.clock
        if isinstance(effect, c.ToScheduler):
            self._outgoing.append(effect.message)
        elif isinstance(effect, (c.Load, c.StartStride, c.Forget)):
            if not isinstance(effect, c.Load):
                self.world.log(f"{self.name}: {effect}")
            compute = self.computes[effect.slot]
            if compute is not None:
                compute.give(effect)
        elif isinstance(effect, c.Interrupt):
            self.world.log(f"{self.name}: {effect}")
            compute = self.computes[effect.slot]
            if compute is not None:
                compute.interrupt(effect.number)
        elif isinstance(effect, c.Kill):
            self.crash(effect.slot)
        elif isinstance(effect, c.Spawn):
            clock.after(SPAWN_SECONDS, self.do, self._on_birth, effect.slot)
        elif isinstance(effect, c.Reconnect):
            self.rewire()
            self._outgoing = [self.hello("worker", len(self.computes))]
        elif isinstance(effect, c.Note):
            self.world.log(f"{self.name} notes: {effect.text}")
        else:
            self.world.log(f"{self.name}: {effect}")
            self._flush()
            self._end()

    def _flush(self) -> None:
        for message in self._outgoing:
            self.world.log(f"{self.name} -> {message}")
        self.connection.send(self._outgoing, up=True)
        self._outgoing = []

    # --- compute processes ----------------------------------------------------------------------------

    def _on_birth(self, slot: int) -> None:
        compute = Compute(
            self.world.clock,
            lambda: self.speed,
            self.world.jobs,
            lambda compute, answer: self.world.clock.after(
                PIPE_SECONDS, self.do, self._on_answer, slot, compute, answer
            ),
            lambda compute: self._on_end_of(slot, compute),
            generous=self.world.rng.random() < 0.5,
        )
        self.computes[slot] = compute
        self._apply(self.core.ready(slot, slot, self.world.clock.now))

    def _on_end_of(self, slot: int, compute: Compute) -> None:
        self.world.clock.after(0.005, self.do, self._on_death, slot, compute)

    def _on_answer(self, slot: int, compute: Compute, answer: Answer) -> None:
        if self.computes[slot] is compute:
            self._waiting[slot].append(answer)
            self._apply(())

    def _hear_waiting(self) -> list[c.Effect]:
        """Read what compute processes have sent, unless there are too many results under way."""
        for slot, answers in enumerate(self._waiting):
            if answers and not self.core.congested:
                return self._hear(slot, answers.popleft())
        return []

    def _hear(self, slot: int, answer: Answer) -> list[c.Effect]:
        self.world.log(f"{self.name}: slot {slot} answers {answer}")
        now = self.world.clock.now
        effects: list[c.Effect] = [c.Note(0, "answered")]
        if answer.failed is not None:
            kind, step, stop = answer.failed
            return effects + self.core.failed(slot, answer.number, kind, answer.stop, step, stop, b"", now)
        return effects + self.core.done(
            slot,
            answer.number,
            answer.stop,
            answer.seconds,
            answer.final,
            answer.flushed,
            PIPE_SECONDS,
            answer.payload,
            now,
        )

    def _on_death(self, slot: int, compute: Compute) -> None:
        if self.computes[slot] is not compute:
            return
        while self._waiting[slot]:  # what it sent before it died still counts
            self._apply(self._hear(slot, self._waiting[slot].popleft()))
        self.computes[slot] = None
        self._apply(self.core.died(slot, "was ended by SIGKILL", self.world.clock.now))


class ClientRun:
    """A run and what is asked of it."""

    def __init__(self, client: ClientNode, number: int, job: Job, payload: bytes) -> None:
        self.client = client
        self.job = job
        self.oracle = RunOracle(job)
        self.merger = Merger(job.plan.action)
        self.core = RunCore(number, job.steps, job.early, payload, self._absorb)
        self.submitted = False
        self.over_at: float | None = None

    @property
    def number(self) -> int:
        return self.core.run

    def _absorb(self, start: int, stop: int, payload: bytes) -> int | None:
        return self.merger.add(start, stop, self.oracle.on_partial(start, stop, payload))


class ClientNode(Peer):
    """A client: it submits its runs, merges, and submits again what is missing when the scheduler forgot it."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.runs: dict[int, ClientRun] = {}
        #: The scheduler may take it for somebody else than the one it knows: then its runs may be refused.
        self.broken_off = False
        self.vanished = False
        self._welcome = False
        self._beat_at = world.clock.now

    def submit(self, run: ClientRun) -> None:
        """Start a run."""
        self.runs[run.number] = run
        if self._welcome:
            self._send_start(run)

    def stop(self, run: ClientRun, state: str) -> None:
        """End a run from this side. At a timeout what is folded is asked for, and given some time."""
        if state == "timeout" and run.submitted:
            self._send(run.core.drain())
            self.world.clock.after(DRAIN_SECONDS, self.do, self._give_up, run)
        else:
            self._send(run.core.stop(state))
            self._look_at(run)

    def _give_up(self, run: ClientRun) -> None:
        self._send(run.core.stop("timeout"))
        self._look_at(run)

    def deadline(self) -> float:
        return self._beat_at

    def tick(self) -> None:
        self._beat_at = self.world.clock.now + HEARTBEAT_SECONDS
        self._send([m.Heartbeat() if self._welcome else self.hello("client", 0)])

    def rewire(self) -> None:
        super().rewire()
        self.broken_off = True

    def on_message(self, message: m.Message) -> None:
        if isinstance(message, m.Welcome):
            if not self._welcome:  # a slow answer makes it say Hello twice
                self._welcome = True
                for run in self.runs.values():
                    if run.core.state == "running":
                        self._send_start(run)
        elif isinstance(message, m.Unknown):
            if self._welcome:
                self._welcome = False
                super().rewire()
                self._send([self.hello("client", 0)])
        elif isinstance(message, (m.Partial, m.RunFailed, m.RunLost, m.Drained)):
            run = self.runs[message.run]
            self._send(run.core.handle(message))
            self._look_at(run)
        else:
            assert isinstance(message, (m.Cluster, m.Heartbeat)), message

    def _send_start(self, run: ClientRun) -> None:
        run.submitted = True
        self._send(run.core.start())
        self._look_at(run)

    def _send(self, messages: list[m.Message]) -> None:
        if self._welcome or any(isinstance(message, m.Hello) for message in messages):
            for message in messages:
                self.world.log(f"{self.name} -> {message}")
            self.connection.send(messages, up=True)

    def _look_at(self, run: ClientRun) -> None:
        run.core.check()
        if run.core.state != "running" and run.over_at is None:
            run.over_at = self.world.clock.now
            self.world.log(f"{self.name}: run {run.number} is {run.core.state}, limit {run.core.limit}")
            assert run.core.state != "lost" or self.broken_off, f"the run was lost: {run.core.reason}"
            # Three random kills in the same long step look as if the step were to blame.
            unlucky = self.world.crashes[run.number] >= 3 and run.core.state == "failed"
            if not unlucky or run.core.failure is None or run.core.failure.kind != "died":
                run.oracle.on_over(run.core, run.merger)
