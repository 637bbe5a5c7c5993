"""The nodes of the simulation: what the servers do around the real cores, in virtual time.

Each node can be paused, as by SIGSTOP: then what happens to it waits. A daemon and a client have a connection; the
scheduler knows connections by identity and is told when it sends to one that cannot be reached.
"""

from __future__ import annotations

import math
import pickle
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from haydi.client.core import Failure, RunCore
from haydi.client.merging import Merger
from haydi.client.serialize import death_of_step
from haydi.scheduler.core import Effect as SchedulerEffect
from haydi.scheduler.core import SchedulerCore, SchedulerSettings, Send
from haydi.skipping import Skipping
from haydi.wire import contact as ct
from haydi.wire import messages as m
from haydi.wire.death import Death
from haydi.worker import core as c
from tests.simulation.compute import PIPE_SECONDS, Answer, Compute
from tests.simulation.jobs import Job
from tests.simulation.links import Connection
from tests.simulation.oracle import RunOracle, check_effects

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["ClientNode", "ClientRun", "DaemonNode", "Node", "SchedulerNode"]

SPAWN_SECONDS = 0.03
#: What compute processes may use.
MEMORY_BYTES = 1 << 30
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
        #: Its clock is so much ahead: it jumped.
        self._ahead = 0.0

    @property
    def now(self) -> float:
        """What its own clock says."""
        return self.world.clock.now + self._ahead

    def jump(self, seconds: float) -> None:
        """Its clock jumps, as behind a laptop's sleep that other machines slept through too."""
        self.world.log(f"the clock of {self.name} jumps by {seconds:.1f} s")
        self._ahead += seconds
        self.arm()

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
        at = max(self.deadline() - self._ahead, self.world.clock.now)
        if at < self._armed:
            self._armed = at
            self.world.clock.at(at, self._ring, at)

    def _ring(self, at: float) -> None:
        if at != self._armed:
            return
        self._armed = math.inf
        if self.dead or self.paused:
            return
        if (
            self.now < self.deadline() <= self.now + 1e-6
        ):  # what was rounded away must not make it ring for ever
            self._ahead += 1e-6
        now = self.now
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
        self.down = False
        self._lives = 0
        self.received: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()

    def on_message(self, connection: Connection, message: m.Message) -> None:
        """A message has come."""
        self.world.log("scheduler <-", connection.identity, message)
        self.received[type(message).__name__] += 1
        known = self._known()
        self._apply(known, self.core.handle(connection.identity, message, self.now))

    def on_lost(self, identity: bytes) -> None:
        """A process was seen to end, or a connection to break."""
        self._apply(self._known(), self.core.lost(identity, "its process ended", self.now))

    def deadline(self) -> float:
        return self.core.next_deadline()

    def tick(self) -> None:
        self._apply(self._known(), self.core.tick(self.now))

    def crash(self, down_seconds: float) -> None:
        """It is killed, and started again after a while with an empty mind; infinite: it never comes back."""
        if self.down:
            return
        self.world.log(f"scheduler is killed, and down for {down_seconds:.2f} s")
        self.down = True
        self.paused = False
        self._inbox.clear()
        self.connections.clear()
        for node in (*self.world.daemons, *self.world.clients):
            node.disconnect(told=self.world.rng.random() < 0.8)
        if down_seconds < math.inf:
            self._lives += 1
            self.world.clock.after(down_seconds, self.start, self._lives)

    def start(self, life: int | None = None) -> None:
        """It is there again; peers that are trying to reach it succeed."""
        if not self.down or (life is not None and life != self._lives):
            return
        self.world.log("scheduler starts again")
        self.down = False
        self.core = SchedulerCore(self.settings, f"simulated {self._lives}", "1")
        self._armed = math.inf
        for node in (*self.world.daemons, *self.world.clients):
            connection = node.connection
            if connection.alive and connection.waiting is not None:
                self.connections[connection.identity] = connection
                connection.establish()
        self.arm()

    def do(self, action: Callable[..., None], *arguments: Any) -> None:
        if not self.down:
            super().do(action, *arguments)

    def arm(self) -> None:
        if not self.down:
            super().arm()

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
            known = known | self._known()
            for peer, messages in outgoing.items():
                for message in messages:
                    self.sent[type(message).__name__] += 1
                    self.world.log("scheduler ->", peer, message)
                connection = self.connections.get(peer)
                if connection is None or not connection.reachable:
                    effects += self.core.lost(peer, "its connection is gone", self.now)
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

    def disconnect(self, *, told: bool) -> None:
        """The connection breaks; as a rule the transport tells."""
        if self.dead:
            return
        self.rewire()
        if told:
            self.do(self.on_broken)

    def on_broken(self) -> None:
        """The transport has told that the connection broke."""
        raise NotImplementedError

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

    def hello(self, role: str, slots: int, epoch: int = 1) -> m.Hello:
        return m.Hello(
            role,
            m.PROTOCOL_VERSION,
            "1",
            "3",
            "host",
            1,
            "machine",
            self.name,
            slots,
            self.name,
            epoch,
        )


class DaemonNode(Peer):
    """A worker daemon: the supervisor and its compute processes."""

    def __init__(self, world: World, name: str, slots: int, speed: float, settings: c.WorkerSettings) -> None:
        super().__init__(world, name)
        self.speed = speed
        #: Steps in all its reports.
        self.reported = 0
        self.core = c.WorkerCore(settings, slots, self.now)
        self.computes: list[Compute | None] = [None] * slots
        self._waiting: list[deque[Answer]] = [deque() for _ in range(slots)]
        self._heard = -1
        self._outgoing: list[m.Message] = [self.hello("worker", slots)]
        self._flush()
        for slot in range(slots):
            world.clock.after(SPAWN_SECONDS, self.do, self._on_birth, slot)
        self.arm()

    # --- the server -----------------------------------------------------------------------------------

    def on_message(self, message: m.Message) -> None:
        self._apply(self.core.handle(message, self.now))

    def deadline(self) -> float:
        return self.core.next_deadline()

    def tick(self) -> None:
        self._apply(self.core.tick(self.now))

    def on_broken(self) -> None:
        self._apply(self.core.broken(self.now))

    def retire(self) -> None:
        """It leaves in good order."""
        self.world.log(f"{self.name} begins to leave")
        self._apply(self.core.retire("SIGTERM", self.now))

    def leave(self) -> None:
        """It ends at once, with a last word."""
        self.world.log(f"{self.name} leaves at once")
        self._apply(self.core.leave(self.now))
        self._end()

    def kill(self, how: str) -> None:
        super().kill(how)
        self._end()

    def crash(self, slot: int, *, by_us: bool = False) -> None:
        """One of its compute processes is killed, by its supervisor or by somebody else."""
        compute = self.computes[slot]
        if compute is not None and compute.alive:
            self.world.log(f"{self.name}: process {slot} is killed")
            self.world.crashes[compute.run] += not by_us
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
            if isinstance(effect.message, m.Report):
                self.reported += effect.message.stop - effect.message.start
        elif isinstance(effect, (c.Load, c.StartStride, c.Forget)):
            if not isinstance(effect, c.Load):
                self.world.log(self.name, effect)
            compute = self.computes[effect.slot]
            if compute is not None:
                compute.give(effect)
        elif isinstance(effect, c.Interrupt):
            self.world.log(self.name, effect)
            compute = self.computes[effect.slot]
            if compute is not None:
                compute.interrupt(effect.number)
        elif isinstance(effect, c.Kill):
            self.crash(effect.slot, by_us=True)
        elif isinstance(effect, c.Spawn):
            clock.after(SPAWN_SECONDS, self.do, self._on_birth, effect.slot)
        elif isinstance(effect, c.Reconnect):
            self.rewire()
            self._outgoing = [self.hello("worker", len(self.computes), effect.epoch)]
        elif isinstance(effect, c.Note):
            self.world.log(f"{self.name} notes: {effect.text}")
        else:
            self.world.log(self.name, effect)
            self._flush()
            self._end()

    def _flush(self) -> None:
        for message in self._outgoing:
            self.world.log(self.name, "->", message)
        self.connection.send(self._outgoing, up=True)
        self._outgoing = []

    # --- compute processes ----------------------------------------------------------------------------

    def _on_birth(self, slot: int) -> None:
        self.world.births += 1
        compute = Compute(
            self.world.clock,
            lambda: self.speed,
            self.world.jobs,
            lambda compute, answer: self.world.clock.after(
                PIPE_SECONDS, self.do, self._on_answer, slot, compute, answer
            ),
            lambda compute: self._on_end_of(slot, compute),
            lambda compute: self.world.clock.after(0.1, self.do, self._on_swollen, slot, compute),
            generous=self.world.rng.random() < 0.5,
            marks=self.world.rng.random() < 0.7,
        )
        self.computes[slot] = compute
        self._apply(self.core.ready(slot, slot, self.now))

    def _on_swollen(self, slot: int, compute: Compute) -> None:
        """The supervisor weighs a process that has become too large."""
        if self.computes[slot] is compute and compute.alive and compute.swollen:
            self._apply(self.core.weighed(slot, 2 * MEMORY_BYTES, self.now))

    def _on_end_of(self, slot: int, compute: Compute) -> None:
        self.world.clock.after(0.005, self.do, self._on_death, slot, compute)

    def _on_answer(self, slot: int, compute: Compute, answer: Answer) -> None:
        if self.computes[slot] is compute:
            self._waiting[slot].append(answer)
            self._apply(())

    def _hear_waiting(self) -> list[c.Effect]:
        """Read what compute processes have sent, unless there are too many results under way."""
        slots = len(self._waiting)
        for slot in range(self._heard + 1, self._heard + 1 + slots):  # each in turn, as the server does
            answers = self._waiting[slot % slots]
            if answers and not self.core.congested:
                self._heard = slot % slots
                return self._hear(self._heard, answers.popleft())
        return []

    def _hear(self, slot: int, answer: Answer) -> list[c.Effect]:
        self.world.log(self.name, "slot", slot, "answers", answer)
        now = self.now
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
        death = Death(slot + 1, "host", signal="SIGKILL")
        self._apply(self.core.died(slot, death, compute.mark, self.now))


class ClientRun:
    """A run and what is asked of it; it may go on from the first ``kept`` pieces that an earlier one has merged."""

    def __init__(
        self,
        client: ClientNode,
        number: int,
        job: Job,
        payload: bytes,
        priority: float = 1.0,
        before: ClientRun | None = None,
        kept: int = 0,
    ) -> None:
        self.client = client
        self.job = job
        self.oracle = RunOracle(job)
        self.merger = Merger(job.plan.action)
        #: What was merged, as a checkpoint keeps it.
        self.pieces: list[tuple[int, int, bytes]] = [] if before is None else before.pieces[:kept]
        limit = self.merger.restore((a, b, pickle.loads(piece)[1]) for a, b, piece in self.pieces)
        for start, stop, _ in self.pieces:
            self.oracle.on_restored(start, stop)
        self.core = RunCore(
            number,
            job.steps,
            job.early,
            payload,
            self._absorb,
            skip=self._skip if job.skip else None,
            priority=priority,
            done=self.merger.coverage(),
            limit=limit,
        )
        self.submitted = False
        #: By which schedulers have known it.
        self.numbers: list[int] = [number] if before is None else [*before.numbers, number]
        self.over_at: float | None = None

    @property
    def number(self) -> int:
        return self.core.run

    def _absorb(self, start: int, stop: int, payload: bytes) -> int | None:
        partial = self.oracle.on_partial(start, stop, payload)
        self.pieces.append((start, stop, payload))
        return self.merger.add(start, stop, partial)

    def _skip(self, failure: Failure) -> int | None:
        start, stop = failure.start, failure.stop
        self.oracle.on_skip(start, stop)
        action = self.job.plan.action
        assert isinstance(action, Skipping)
        tally = action.failed(death_of_step(start, stop, failure.payload))
        self.pieces.append((start, stop, pickle.dumps((None, tally))))
        return self.merger.add(start, stop, tally)


class ClientNode(Peer):
    """A client: it submits its runs, merges, and submits again what is missing when the scheduler was lost."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.runs: dict[int, ClientRun] = {}
        self.contact = ct.Contact(math.inf, self.now)
        self.times_back = 0
        self._send_now([self.hello("client", 0)])

    def submit(self, run: ClientRun) -> None:
        """Start a run."""
        self.runs[run.number] = run
        run.submitted = True
        self._send(run.core.start())
        self._look_at(run)

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
        return self.contact.next_deadline()

    def tick(self) -> None:
        for event in self.contact.tick(self.now):
            self._on_contact(event)

    def on_broken(self) -> None:
        self._on_contact(self.contact.lose("the connection broke", self.now))

    def on_message(self, message: m.Message) -> None:
        if isinstance(message, (m.Partial, m.RunFailed, m.RunLost, m.Drained)):
            if (run := self.runs.get(message.run)) is not None:
                self._send(run.core.handle(message))
                self._look_at(run)
        elif not isinstance(message, m.Cluster):
            self._on_contact(self.contact.handle(message, self.now))

    def _on_contact(self, event: ct.Event | None) -> None:
        if event is None:
            return
        self.world.log(self.name, event)
        if isinstance(event, ct.Beat):
            self._send([m.Heartbeat()])
        elif isinstance(event, ct.Call):
            self.rewire()
            self._send_now([self.hello("client", 0, event.epoch)])
        elif isinstance(event, ct.Joined):
            self.contact.patience_seconds = event.welcome.restart_seconds
            self.times_back += event.again
            if event.again:
                self._send([m.Back(event.away_seconds)])
            runs, self.runs = list(self.runs.values()), {}
            for run in runs:
                if event.again and run.core.state == "running":
                    run.numbers.append(self.world.new_number())
                self.runs[run.numbers[-1]] = run
                self._send(run.core.start(run.numbers[-1]))
                self._look_at(run)
        elif isinstance(event, ct.Over):
            for run in self.runs.values():
                run.core.stop("lost", event.reason)
                self._look_at(run)

    def _send(self, messages: list[m.Message]) -> None:
        if self.contact.welcome is not None:
            self._send_now(messages)

    def _send_now(self, messages: list[m.Message]) -> None:
        for message in messages:
            self.world.log(self.name, "->", message)
        self.connection.send(messages, up=True)

    def _look_at(self, run: ClientRun) -> None:
        run.core.check()
        if run.core.state != "running" and run.over_at is None:
            run.over_at = self.world.clock.now
            self.world.log(f"{self.name}: run {run.number} is {run.core.state}, limit {run.core.limit}")
            assert run.core.state != "lost" or self.world.may_lose_runs, (
                f"the run was lost: {run.core.reason}"
            )
            # Three random kills in the same step look as if the step were to blame.
            unlucky = sum(self.world.crashes[number] for number in run.numbers) >= 3
            died = run.core.state == "failed" and run.core.failure and run.core.failure.kind == "died"
            if not unlucky or not died:
                run.oracle.on_over(run.core, run.merger, unlucky=unlucky)
