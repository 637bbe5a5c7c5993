"""A world: the real cores, virtual time, and everything that can go wrong, all of it made from one seed.

The same seed gives the same world to the last event, so a failure is replayed by one command::

    python -m tests.simulation.world --seed 17 --verbose

Many are tried, and those that fail listed, by::

    python -m tests.simulation.world --seed 0 --count 100000 --jobs 2

A world has a rough time and a calm one. In the rough time faults happen; when it is calm, all that is alive works,
and there is at least one daemon. From then on each run has to end within a bound on virtual time: that is what
"nobody waits for ever" means here.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from haydi.scheduler.core import SchedulerSettings
from haydi.wire import messages as m
from haydi.worker.core import WorkerSettings
from tests.simulation.jobs import Job, random_job
from tests.simulation.links import Clock, Connection, Network
from tests.simulation.nodes import MEMORY_BYTES, ClientNode, ClientRun, DaemonNode, Node, Peer, SchedulerNode
from tests.simulation.oracle import check_agreement, check_forgotten

__all__ = ["World", "random_world", "run_seed"]

#: How much of an error message the log of the last events may take, in lines.
STORY_LINES = 40
EVENTS_MOST = 1_000_000


class SimulationError(AssertionError):
    """A world went wrong; says how to see it again."""


class World:
    """The nodes, their connections and the clock.

    Args:
        seed: What everything random in it comes from.
        network: How its connections behave.
        settings: Constants of the scheduler.
        worker_settings: Constants of the daemons.
        checks: Look at all invariants after each event; else only at the end.
        verbose: Print each event.
    """

    def __init__(
        self,
        seed: int = 0,
        network: Network | None = None,
        settings: SchedulerSettings | None = None,
        worker_settings: WorkerSettings | None = None,
        *,
        checks: bool = True,
        verbose: bool = False,
    ) -> None:
        self.rng = Random(seed)
        self.network = network or Network()
        self.clock = Clock()
        self.checks = checks
        self.verbose = verbose
        #: The last events: time and what there is to say, not yet a text.
        self.story: deque[tuple[object, ...]] = deque(maxlen=STORY_LINES)
        self.jobs: dict[bytes, Job] = {}
        self.daemons: list[DaemonNode] = []
        self.clients: list[ClientNode] = []
        self.runs: list[ClientRun] = []
        #: Processes killed while they worked on a run.
        self.crashes: Counter[int | None] = Counter()
        #: Compute processes that were started.
        self.births = 0
        self.calm_at = 0.0
        #: More events than this are an endless loop.
        self.events_most = EVENTS_MOST
        #: The scheduler may be gone for good.
        self.may_lose_runs = False
        self._settings = replace(worker_settings or WorkerSettings(), memory_bytes=MEMORY_BYTES)
        self._identities = self._numbers = 0
        self.scheduler = SchedulerNode(self, settings or SchedulerSettings())
        self.scheduler.arm()

    # --- building -------------------------------------------------------------------------------------

    def connect(self, peer: Peer) -> Connection:
        """A new connection, with an identity of its own."""
        self._identities += 1
        identity = f"{peer.name}#{self._identities}".encode()

        def to_scheduler(connection: Connection, message: m.Message) -> None:
            self.scheduler.do(self.scheduler.on_message, connection, message)

        connection = Connection(self.clock, self.network, self.rng, identity, to_scheduler, peer.on_wire)
        if self.scheduler.down:
            connection.waiting = []
        else:
            self.scheduler.connections[identity] = connection
        return connection

    def tell_lost(self, identity: bytes) -> None:
        """The scheduler's machine has seen a process end."""
        self.scheduler.do(self.scheduler.on_lost, identity)

    def add_daemon(self, slots: int, speed: float = 1.0) -> DaemonNode:
        """A daemon joins."""
        daemon = DaemonNode(self, f"daemon{len(self.daemons)}", slots, speed, self._settings)
        self.log(f"{daemon.name} starts with {slots} slots, speed {speed:.2f}")
        self.daemons.append(daemon)
        return daemon

    def add_client(self) -> ClientNode:
        """A client connects."""
        client = ClientNode(self, f"client{len(self.clients)}")
        self.clients.append(client)
        client.arm()
        return client

    def new_number(self) -> int:
        """A number for a run."""
        self._numbers += 1
        return self._numbers - 1

    def add_run(self, client: ClientNode, job: Job, at: float = 0.0, priority: float = 1.0) -> ClientRun:
        """A client will start a run."""
        number = self.new_number()
        payload = b"plan %d" % number
        self.jobs[payload] = job
        run = ClientRun(client, number, job, payload, priority)
        self.runs.append(run)
        self.clock.at(at, client.do, client.submit, run)
        return run

    def resume(self, gone: ClientNode, rng: Random) -> None:
        """The program of a client that ended is started again, with what its checkpoints had by then."""
        client = self.add_client()
        for before in gone.runs.values():
            if before.core.state == "running":
                kept = rng.randint(0, len(before.pieces))
                core = before.core
                number = self.new_number()
                run = ClientRun(client, number, before.job, core.payload, core.priority, before, kept)
                self.log(f"{client.name} goes on with {before.number} as {number}, from {kept} pieces")
                self.runs.append(run)
                client.submit(run)

    # --- running --------------------------------------------------------------------------------------

    def log(self, *parts: object) -> None:
        """Note an event for who wants to see how it came; to make a text of it is dear, and mostly nobody wants to."""
        if self.verbose:
            print(_told((self.clock.now, *parts)))
        elif self.checks:
            self.story.append((self.clock.now, *parts))

    def run_until(self, condition: Callable[[], bool], limit: float) -> None:
        """Let events happen until a condition holds.

        Raises:
            AssertionError: when it does not until ``limit`` in virtual time.
        """
        while not condition():
            assert self.clock.now <= limit, f"runs go on at {self.clock.now:.1f} s: {self.going_on()}"
            assert self.clock.events < self.events_most, f"{self.events_most} events: {self.going_on()}"
            self.clock.step()
            if self.checks and self.clock.events % 64 == 0:
                self.check_agreement()

    def going_on(self) -> str:
        """What is not over, in words."""
        names = [f"{run.number} ({run.job.describe()}, missing {run.core.coverage.gaps(run.core.limit)[:3]})"
                 for run in self.runs if run.over_at is None and not run.client.dead]  # fmt: skip
        return "; ".join(names) or "nothing"

    def all_over(self) -> bool:
        """Every run of a client that is still there has ended."""
        return all(run.over_at is not None or run.client.dead for run in self.runs)

    def finish(self) -> None:
        """Run to the end: all runs over in time, everything forgotten."""
        self.clock.at(self.calm_at, self._calm)
        self.run_until(lambda: self.clock.now >= self.calm_at, self.calm_at + 1.0)
        self.run_until(self.all_over, self._limit())
        over_at = self.clock.now
        self.run_until(lambda: self.clock.now > over_at + 25.0, over_at + 30.0)
        self.scheduler.core.check()
        cores = [daemon.core for daemon in self.daemons if not daemon.dead]
        for core in cores:
            core.check()
        check_forgotten(self.scheduler.core, cores)
        self.check_agreement()

    def check_agreement(self) -> None:
        """Compare the books of scheduler and daemons, where nothing is under way."""
        if self.scheduler.paused or self.scheduler.down:
            return
        for daemon in self.daemons:
            connection = daemon.connection
            quiet = not daemon.dead and not daemon.paused and not connection.flying
            if (
                quiet
                and daemon.core.welcome is not None
                and connection.identity in self.scheduler.core.workers
            ):
                check_agreement(self.scheduler.core, connection.identity, daemon.core)

    def _calm(self) -> None:
        self.log("calm")
        self.scheduler.start()
        nodes: list[Node] = [self.scheduler, *self.daemons, *self.clients]
        for node in nodes:
            node.wake()
        if not self._staying():
            self.add_daemon(2)

    def _staying(self) -> list[DaemonNode]:
        return [daemon for daemon in self.daemons if not daemon.dead and daemon.core.departure is None]

    def _limit(self) -> float:
        """When all runs have to be over: after giving up the silent, and doing all work some times over."""
        alive = self._staying()
        speed = sum(daemon.speed * len(daemon.core.slots) for daemon in alive)
        work = sum(run.job.costs.of(0, run.job.steps) for run in self.runs if not run.job.early)
        work += sum(run.job.costs.of(0, min(run.job.steps, 4000)) for run in self.runs if run.job.early)
        giant = max((run.job.costs.most for run in self.runs), default=0.0) / min(
            daemon.speed for daemon in alive
        )
        submitted = max(self.clock.now, 10.0)
        # Where nothing tells what a process was at, finding a step takes a death for each bit of its number.
        deaths = sum(run.job.steps.bit_length() * len(run.job.bad) for run in self.runs)
        # A run that may end early reports each stride; heavy reports go one by one, there and back.
        network = self.network
        trip = 2 * (network.latency + network.jitter + network.spike_share * network.spike)
        heavy = [run.job for run in self.runs if run.job.early and run.job.ballast > 1 << 18]
        trips = sum(min(job.steps, 4000) for job in heavy)
        return submitted + 60.0 + 3 * work / speed + 8 * giant + 0.2 * deaths + 2 * trip * trips


def _told(entry: tuple[object, ...]) -> str:
    return f"{entry[0]:12.6f} {' '.join(map(str, entry[1:]))}"


@dataclass
class Roughness:
    """How many faults happen in the rough time, by kind."""

    counts: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def random(rng: Random) -> Roughness:
        mood = rng.choice(["calm", "mild", "mild", "harsh"])
        if mood == "calm":
            return Roughness()
        kinds = ["join", "leave", "leave at once", "kill", "restart", "crash", "slow", "pause", "cut", "jump"]
        counts = {kind: rng.choice([0, 0, 1, 2]) for kind in kinds}
        counts["crash"] += rng.choice([0, 3])
        if mood == "harsh":
            for kind in kinds:
                counts[kind] += rng.randrange(3)
            counts["pause client"] = rng.randrange(2)
            counts["cut client"] = rng.choice([0, 0, 1, 2])
            counts["pause scheduler"] = int(rng.random() < 0.3)
        counts["jump client"] = int(rng.random() < 0.2)
        counts["jump scheduler"] = int(rng.random() < 0.2)
        counts["restart scheduler"] = rng.choice([0, 0, 0, 1, 1, 2])
        counts["restart client"] = rng.choice([0, 0, 1, 2])
        return Roughness(counts)


def random_world(seed: int, *, verbose: bool = False) -> World:
    """The world of a seed."""
    rng = Random(f"world {seed}")
    roughness = Roughness.random(rng)
    network = Network(
        latency=rng.choice([0.0001, 0.001, 0.02]),
        jitter=rng.choice([0.0, 0.0002, 0.005, 0.05]),
        spike_share=rng.choice([0.0, 0.0, 0.01]),
        spike=rng.choice([0.3, 3.0]),
        codec=rng.random() < 0.25,
    )
    world = World(
        seed, network, SchedulerSettings(window_bytes=rng.choice([1 << 20, 16 << 20])), verbose=verbose
    )
    for _ in range(rng.randint(1, 5)):
        world.add_daemon(rng.choice([1, 1, 2, 4]), rng.choice([1.0, 1.0, 0.3, 2.0]))
    if rng.random() < 0.1:
        world.clock.after(rng.uniform(0, 3), world.add_daemon, 2)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        _add_client(world, rng, calm=rng.random() < 0.5, faults=bool(roughness.counts))
    if roughness.counts:
        world.calm_at = rng.uniform(2.0, 20.0)
        for kind, count in roughness.counts.items():
            for _ in range(count):
                world.clock.at(rng.uniform(0.1, world.calm_at), _fault, world, Random(rng.random()), kind)
    return world


def _add_client(world: World, rng: Random, *, calm: bool, faults: bool) -> None:
    client = world.add_client()
    for _ in range(rng.choice([1, 1, 2, 3])):
        job = random_job(rng, rng.choice([0.01, 0.5, 4.0, 20.0]), calm=calm)
        at, priority = rng.choice([0.0, 0.5, rng.uniform(0, 5)]), rng.choice([1.0, 1.0, 0.3, 5.0])
        run = world.add_run(client, job, at, priority)
        world.log(f"{client.name} will run {run.number}: {job.describe()}")
        if rng.random() < 0.08:
            state = rng.choice(["timeout", "cancelled"])
            world.clock.after(rng.uniform(0.1, 8.0), _stop, client, run, state)
    if faults and rng.random() < 0.1:
        world.clock.after(rng.uniform(0.1, 8.0), _vanish, client, rng.choice(["seen", "closed", "silent"]))


def _stop(client: ClientNode, run: ClientRun, state: str) -> None:
    if run.submitted and run.over_at is None:
        client.do(client.stop, run, state)


def _vanish(client: ClientNode, how: str) -> None:
    """A client ends without a word; runs that it has not begun will never be."""
    if not client.dead:
        client.kill(how)


def _fault(world: World, rng: Random, kind: str) -> None:
    """Something goes wrong."""
    alive = [daemon for daemon in world.daemons if not daemon.dead]
    if kind == "join":
        world.add_daemon(rng.choice([1, 2, 3]), rng.choice([1.0, 0.4]))
    elif kind == "pause scheduler":
        world.scheduler.pause(rng.uniform(0.1, 15.0))
    elif kind == "jump scheduler":
        world.scheduler.jump(rng.choice([0.7, 5.0, 4000.0]))
    elif kind == "restart scheduler":
        world.scheduler.crash(rng.choice([0.0, 0.05, 1.8, 12.0]) * rng.uniform(0.5, 1.5))
    elif kind in ("pause client", "cut client", "jump client", "restart client"):
        client = rng.choice(world.clients)
        if client.dead:
            pass
        elif kind == "pause client":
            client.pause(rng.uniform(0.1, 20.0))
        elif kind == "restart client":
            _vanish(client, rng.choice(["seen", "closed", "silent"]))
            again = min(world.clock.now + rng.uniform(0.0, 2.0), world.calm_at - 0.001)
            world.clock.at(again, world.resume, client, Random(rng.random()))
        elif kind == "jump client":
            client.jump(rng.choice([0.7, 5.0, 4000.0]))
        else:
            client.disconnect(told=rng.random() < 0.5)
    elif alive:
        daemon = rng.choice(alive)
        if kind == "leave":
            daemon.do(daemon.retire)
        elif kind == "leave at once":
            daemon.do(daemon.leave)
        elif kind == "jump":
            daemon.jump(rng.choice([0.7, 5.0, 4000.0]))
        elif kind == "restart":
            daemon.kill(rng.choice(["seen", "closed", "silent"]))
            again = min(world.clock.now + rng.uniform(0.0, 2.0), world.calm_at - 0.001)
            world.clock.at(again, world.add_daemon, len(daemon.computes), daemon.speed)
        elif kind == "kill":
            daemon.kill(rng.choice(["seen", "closed", "silent"]))
        elif kind == "crash":
            daemon.crash(rng.randrange(len(daemon.computes)))
        elif kind == "pause":
            daemon.pause(rng.choice([0.3, 3.0, 14.0]) * rng.uniform(0.5, 1.5))
        elif kind == "slow":
            daemon.speed *= rng.choice([0.1, 0.5, 3.0])
        else:
            assert kind == "cut", kind
            world.log(f"the connection of {daemon.name} breaks")
            daemon.disconnect(told=rng.random() < 0.5)


def run_seed(seed: int, *, verbose: bool = False) -> World:
    """Run the world of a seed to its end.

    Raises:
        SimulationError: with the command that replays it, and the last events.
    """
    world = random_world(seed, verbose=verbose)
    try:
        world.finish()
    except BaseException as error:
        story = "" if verbose else "\n".join(map(_told, world.story))
        raise SimulationError(
            f"seed {seed} at {world.clock.now:.6f} s: {error!r}\n{story}\n"
            f"see it again: python -m tests.simulation.world --seed {seed} --verbose"
        ) from error
    return world


def _try_seeds(seeds: range) -> dict[int, str]:
    """What went wrong, by seed."""
    wrong: dict[int, str] = {}
    for seed in seeds:
        try:
            run_seed(seed)
        except SimulationError as error:
            wrong[seed] = repr(error.__cause__)
    return wrong


def main() -> int:
    """Replay a seed, or try many."""
    parser = argparse.ArgumentParser(description="Run worlds of the simulation.")
    parser.add_argument("--seed", type=int, default=0, help="the (first) seed")
    parser.add_argument("--count", type=int, default=1, help="how many seeds from there on")
    parser.add_argument("--jobs", type=int, default=1, help="in so many processes")
    parser.add_argument("--verbose", action="store_true", help="print each event")
    arguments = parser.parse_args()
    first, end = arguments.seed, arguments.seed + arguments.count
    if arguments.count == 1:
        world = run_seed(first, verbose=arguments.verbose)
        print(f"seed {first}: fine, {world.clock.events} events, {world.clock.now:.1f} s of virtual time")
        return 0
    began = time.perf_counter()
    failed = 0
    pieces = [range(at, min(at + 50, end)) for at in range(first, end, 50)]
    with multiprocessing.get_context("spawn").Pool(arguments.jobs) as pool:
        for wrong in pool.imap(_try_seeds, pieces):
            failed += len(wrong)
            for seed, problem in wrong.items():
                print(f"seed {seed}: {problem}", flush=True)
    seconds = time.perf_counter() - began
    print(
        f"{arguments.count} seeds, {failed} failed, {seconds:.1f} s: {arguments.count / seconds:.1f} a second"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
