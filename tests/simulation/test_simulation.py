"""The runtime in virtual time: hundreds of seeded worlds, one of thousands of workers, and worlds built for a claim.

A failing seed names the command that replays it. How many seeds the deep run goes through is told by the environment
variable ``HAYDI_SIM_SEEDS``::

    HAYDI_SIM_SEEDS=20000 python -m pytest -m slow tests/simulation
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from haydi.client.core import RunCore
from haydi.client.merging import Merger
from haydi.errors import StepFailure
from haydi.ranges import RangeSet
from haydi.scheduler.ledger import Ledger
from haydi.skipping import Skipping, Tally
from haydi.worker import coroner
from haydi.worker.core import WorkerSettings
from haydi.worker.foreman import Foreman
from haydi.worker.state import Run
from haydi.worker.suspects import Suspect, Suspects
from tests.simulation.jobs import (
    Costs,
    Job,
    counting_job,
    poison_job,
    quadratic_costs,
    random_job,
    table_costs,
    uniform_costs,
)
from tests.simulation.links import Network
from tests.simulation.oracle import RunOracle
from tests.simulation.world import SimulationError, World, random_world, run_seed

ROOT = Path(__file__).resolve().parents[2]

SEEDS = 500
SEEDS_EACH = 25
DEEP_SEEDS = int(os.environ.get("HAYDI_SIM_SEEDS", "5000"))
DEEP_SEEDS_EACH = 250


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_EACH))
def test_seeds(first: int):
    for seed in range(first, first + SEEDS_EACH):
        run_seed(seed)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(SEEDS, SEEDS + DEEP_SEEDS, DEEP_SEEDS_EACH))
def test_many_seeds(first: int):
    for seed in range(first, min(first + DEEP_SEEDS_EACH, SEEDS + DEEP_SEEDS)):
        run_seed(seed)


def test_a_seed_is_a_world():
    """The same to the last event, in whatever process and whatever hashes its strings have."""
    code = (
        "from tests.simulation.world import run_seed\n"
        "worlds = [run_seed(seed) for seed in (3, 4, 30)]\n"
        "print([(w.clock.events, w.clock.now, sorted(w.scheduler.sent.items())) for w in worlds])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for salt in ("1", "2")
    }
    assert len(told) == 1
    assert len(told.pop()) > 100


# --- worlds built for a claim -----------------------------------------------------------------------------

LAN = Network(latency=0.0005, jitter=0.0005)


def world_of(daemons: int, slots: int, *, checks: bool = True, **settings: Any) -> World:
    world = World(1, LAN, checks=checks, **settings)
    for _ in range(daemons):
        world.add_daemon(slots)
    return world


def messages_beside_heartbeats(world: World) -> int:
    everything = world.scheduler.sent + world.scheduler.received
    return everything.total() - everything["Heartbeat"]


def test_thousands_of_workers():
    """Two thousand slots; some daemons are killed, some join, and the result is the serial one."""
    world = world_of(500, 4, checks=False, worker_settings=WorkerSettings(stride_seconds=0.2))
    run = world.add_run(world.add_client(), counting_job(10**12, uniform_costs(2000 * 1.2 / 10**12)), at=1.0)
    rng = Random(7)
    for daemon in rng.sample(world.daemons, 20):
        world.clock.at(rng.uniform(1.1, 2.0), daemon.kill, rng.choice(["seen", "closed"]))
    for _ in range(30):
        world.clock.at(rng.uniform(1.1, 2.0), world.add_daemon, 4)
    world.run_until(world.all_over, 30.0)
    world.scheduler.core.check()
    assert run.core.state == "done"
    assert run.over_at is not None
    assert run.over_at - 1.0 < 1.2 * 1.1 + 0.5
    assert world.scheduler.core.dealer.slots == 4 * (500 - 20 + 30)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_thousand_workers():
    """1,250 daemons of 8 slots, 25 of which are killed: each step counts once, and messages have their bounds."""
    daemons, slots, steps = 1250, 8, 10**15
    world = world_of(daemons, slots, checks=False, worker_settings=WorkerSettings(stride_seconds=0.2))
    world.events_most = 10_000_000
    work_seconds = 1.2 * daemons * slots
    run = world.add_run(world.add_client(), counting_job(steps, uniform_costs(work_seconds / steps)), at=1.0)
    rng = Random(11)
    for daemon in rng.sample(world.daemons, 25):
        world.clock.at(rng.uniform(1.1, 2.0), daemon.kill, rng.choice(["seen", "closed"]))
    world.run_until(world.all_over, 30.0)
    world.scheduler.core.check()
    assert run.core.state == "done"
    assert run.merger.result() == steps
    assert run.oracle.covered() == [(0, steps)], "and the oracle fails at what is merged a second time"
    assert world.scheduler.core.dealer.slots == slots * (daemons - 25)
    assert run.over_at is not None
    assert run.over_at - 1.0 < 1.2 * 1.1 + 0.5
    sent, received = world.scheduler.sent, world.scheduler.received
    assert sent["Lease"] <= 50 * daemons
    assert sent["Steal"] <= 15 * daemons
    assert received["Released"] <= sent["Steal"]
    assert received["Want"] <= 2 * sent["Lease"] + 4 * slots * daemons * 2
    assert received["Report"] <= 25 * slots * daemons
    assert sent["Partial"] <= received["Report"]
    assert sent["RunPlan"] <= daemons


@pytest.mark.parametrize(("daemons", "slots"), [(1, 1), (2, 1), (1, 8), (10, 4), (20, 4)])
@pytest.mark.parametrize("shape", ["uniform", "quadratic"])
def test_nobody_is_idle_for_long(daemons: int, slots: int, shape: str):
    """Without faults a run takes little longer than the work divided by the slots."""
    seconds, steps = 4.0, 10**9
    total = seconds * daemons * slots
    costs = uniform_costs(total / steps) if shape == "uniform" else quadratic_costs(steps, total)
    world = world_of(daemons, slots, checks=False)
    run = world.add_run(world.add_client(), counting_job(steps, costs), at=1.0)
    world.run_until(world.all_over, 60.0)
    assert run.over_at is not None
    assert run.over_at - 1.0 <= seconds * 1.04 + 0.05
    sent = world.scheduler.sent
    assert sent["Lease"] <= 50 * daemons, "leases are long"
    assert sent["Steal"] <= 15 * daemons


def test_a_late_jump_in_cost_is_shared():
    """The last tenth of the steps is a thousand times as dear as estimated from all before it."""
    steps = 20_000
    cheap, dear = [0.0001] * (steps * 9 // 10), [0.01] * (steps // 10)
    world = world_of(5, 2)
    run = world.add_run(world.add_client(), counting_job(steps, table_costs("jump", cheap + dear)), at=1.0)
    world.run_until(world.all_over, 60.0)
    assert run.over_at is not None
    assert run.over_at - 1.0 <= (sum(cheap) + sum(dear)) / 10 * 1.2 + 0.5


def test_a_joining_daemon_gets_work_at_once():
    world = world_of(1, 1)
    run = world.add_run(world.add_client(), counting_job(10**6, uniform_costs(10 / 10**6)), at=1.0)
    world.clock.at(2.0, world.add_daemon, 8)
    world.run_until(world.all_over, 60.0)
    assert run.over_at is not None
    assert run.over_at <= 2.0 + 9 / 9 + 0.3


# --- shares -----------------------------------------------------------------------------------------------


def test_two_clients_get_equal_shares():
    world = world_of(3, 2)
    job = counting_job(10**6, uniform_costs(12 / 10**6))
    one = world.add_run(world.add_client(), job, at=1.0)
    other = world.add_run(world.add_client(), counting_job(10**5, uniform_costs(12 / 10**5)), at=1.2)
    world.run_until(lambda: world.clock.now > 3.5, 4.0)
    served = [run.core.coverage.size / run.job.steps for run in (one, other)]
    assert served[1] / served[0] == pytest.approx(1.0, abs=0.3)
    world.run_until(world.all_over, 60.0)
    assert one.over_at is not None
    assert other.over_at is not None
    assert max(one.over_at, other.over_at) <= 1.0 + 24 / 6 * 1.05 + 0.2
    assert abs(one.over_at - other.over_at) <= 0.8


def test_a_client_of_many_runs_gets_no_more_than_one_of_one():
    """Shares are by client: three runs of 4 s side by side with one of 4 s, which has half of the slots."""
    world = world_of(2, 2)
    many, single = world.add_client(), world.add_client()
    jobs = [counting_job(10**6, uniform_costs(4 / 10**6)) for _ in range(4)]
    runs = [world.add_run(many, job, at=1.0) for job in jobs[:3]]
    alone = world.add_run(single, jobs[3], at=1.5)
    world.run_until(world.all_over, 60.0)
    assert alone.over_at is not None
    assert alone.over_at <= 1.5 + 4 / 2 * 1.15 + 0.3
    assert max(run.over_at or 0.0 for run in runs) <= 1.0 + 16 / 4 * 1.05 + 0.2


def test_a_short_run_does_not_wait_for_a_long_one():
    world = world_of(2, 2)
    world.add_run(world.add_client(), counting_job(10**6, uniform_costs(40 / 10**6)), at=1.0)
    short = world.add_run(world.add_client(), counting_job(100, uniform_costs(0.001)), at=3.0)
    world.run_until(lambda: short.over_at is not None, 60.0)
    assert short.over_at is not None
    assert short.over_at <= 3.6


# --- silence ----------------------------------------------------------------------------------------------


def test_an_idle_cluster_is_silent():
    """Nothing but heartbeats, one a second each way."""
    world = world_of(10, 4)
    world.add_client()
    world.run_until(lambda: world.clock.now > 5.0, 6.0)
    before, beats = messages_beside_heartbeats(world), world.scheduler.sent["Heartbeat"]
    world.run_until(lambda: world.clock.now > 65.0, 66.0)
    assert messages_beside_heartbeats(world) == before
    assert world.scheduler.sent["Heartbeat"] - beats == pytest.approx(60 * 11, rel=0.05)


def test_idle_daemons_wait_in_silence_for_a_giant_step():
    """All is done but some steps that take a minute each: nobody is asked again and again."""
    costs = table_costs("giant", [0.001] * 5000 + [60.0] * 3 + [0.001] * 997)
    world = world_of(10, 2)
    run = world.add_run(world.add_client(), counting_job(6000, costs), at=1.0)
    world.run_until(lambda: world.clock.now > 20.0, 21.0)
    before = messages_beside_heartbeats(world)
    world.run_until(lambda: world.clock.now > 50.0, 51.0)
    assert run.core.coverage.size >= 5990
    assert messages_beside_heartbeats(world) - before <= 60
    world.run_until(world.all_over, 200.0)


def test_messages_of_a_run_are_bounded():
    """In a world without faults each message has its reason: a lease, a steal or a report."""
    for seed in range(1000, 1040):
        world = random_world(seed)
        if world.calm_at:
            continue
        world.finish()
        sent, received = world.scheduler.sent, world.scheduler.received
        slots = sum(len(daemon.core.slots) for daemon in world.daemons)
        runs = len(world.runs)
        assert received["Want"] <= 2 * sent["Lease"] + 4 * slots * (runs + 1)
        assert sent["Steal"] <= received["Released"] <= sent["Steal"] + sent["Drain"]
        assert sent["Partial"] <= received["Report"]
        assert sent["Credit"] <= received["Report"] + runs
        assert sent["End"] <= runs * len(world.daemons)
        assert sent["RunPlan"] <= runs * len(world.daemons)


# --- results that weigh much ------------------------------------------------------------------------------


def test_a_slow_client_slows_its_run_and_nobodys_memory_grows():
    world = World(1, Network(latency=0.05))
    world.add_daemon(4)
    job = random_job(Random(5), 2.0, calm=True)
    heavy = Job("heavy", job.plan, uniform_costs(0.0005), job.serial, ballast=3 << 20)
    run = world.add_run(world.add_client(), heavy, at=1.0)
    daemon, most = world.daemons[0], 0

    def look() -> bool:
        nonlocal most
        most = max(most, daemon.core.flying_bytes)
        return world.all_over()

    world.run_until(look, 100.0)
    assert run.core.state == "done"
    assert most < (16 << 20) + 2 * (3 << 20)


# --- steps that kill --------------------------------------------------------------------------------------


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 1000, (1 << 60) + 7])
def test_poison_is_found_in_few_deaths(skip: bool, steps: int):
    """However many steps there are: some for each bit of their number, and all else is computed."""
    at = steps * 2 // 3
    world = world_of(3, 2)
    costs = uniform_costs(2.0 / steps)
    run = world.add_run(world.add_client(), poison_job(steps, costs, frozenset([at]), skip=skip), at=1.0)
    world.finish()
    assert run.core.state == ("done" if skip else "failed")
    assert world.births - 6 <= 4 * 3 + steps.bit_length()
    if skip:
        assert run.merger.result() == steps - 1
    else:
        failure = run.core.failure
        assert failure is not None
        assert (failure.start, failure.stop, failure.kind) == (at, at + 1, "died")


def test_poison_of_one_run_does_not_hold_up_another():
    world = world_of(2, 2)
    costs = uniform_costs(4.0 / 1000)
    poison = poison_job(1000, costs, frozenset(range(0, 1000, 50)), skip=True)
    one = world.add_run(world.add_client(), poison, at=1.0)
    other = world.add_run(world.add_client(), counting_job(1000, costs), at=1.0)
    world.finish()
    assert (one.core.state, other.core.state) == ("done", "done")
    assert one.merger.result() == 1000 - 20
    assert other.over_at is not None
    assert other.over_at <= 1.0 + 8.0 / 4 * 1.3 + 0.5


# --- has it got teeth? ------------------------------------------------------------------------------------


def lose_nothing(self: Ledger[Any], worker: Any) -> int:
    return 0


def report_anything(self: Ledger[Any], worker: Any, start: int, stop: int) -> bool:
    self.merged.add(start, min(stop, self.stop))
    return True


def put_nothing_back(self: Run, start: int, stop: int) -> None:
    self.owned.remove(start, stop)


def give_up_twice(self: Foreman, run: Run, share: float) -> RangeSet:
    return RangeSet([run.pool.last] if run.pool else [])


def merge_on_the_wrong_side(self: Merger, start: int, stop: int, partial: Any) -> int | None:
    self._starts.append(start)
    self._stops.append(stop)
    self._partials.append(partial)
    return None


def ignore_failures(self: RunCore, message: Any) -> None:
    return None


def blame_all_at_once(
    before: Suspect | None, start: int, stop: int, allowed: int
) -> tuple[list[Suspect], int]:
    return [], allowed


def count_the_skipped_twice(self: Skipping, failure: StepFailure) -> Tally:
    return Tally(self.action.init(), [failure, failure], 2)


def forget_suspects(self: Suspects, suspect: Suspect) -> None:
    return None


MUTANTS: list[tuple[Any, str, Callable[..., Any]]] = [
    (coroner, "narrow", blame_all_at_once),
    (Skipping, "failed", count_the_skipped_twice),
    (Suspects, "add", forget_suspects),
    (Ledger, "lose", lose_nothing),
    (Ledger, "report", report_anything),
    (Run, "put_back", put_nothing_back),
    (Foreman, "give_up", give_up_twice),
    (Merger, "add", merge_on_the_wrong_side),
    (RunCore, "_on_failed", ignore_failures),
]


@pytest.mark.parametrize(
    ("owner", "name", "wrong"), MUTANTS, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_a_mistake_in_a_core_is_found(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, wrong: Callable[..., Any]
):
    monkeypatch.setattr(owner, name, wrong)

    def run_seeds() -> None:
        for seed in range(60):
            run_seed(seed)

    with pytest.raises(SimulationError, match=r"python -m tests\.simulation\.world --seed \d+ --verbose"):
        run_seeds()


def job_of(steps: int) -> Job:
    return counting_job(steps, Costs("free", lambda start, stop: 0.0, 0.0))


def payload_of(provenance: list[tuple[int, int]]) -> bytes:
    return pickle.dumps((provenance, None))


@pytest.mark.parametrize("provenance", [[(0, 4)], [(0, 3), (2, 5)], [(1, 5)], [], [(0, 2), (3, 5)], [(0, 6)]])
def test_the_oracle_asks_where_a_partial_comes_from(provenance: list[tuple[int, int]]):
    with pytest.raises(AssertionError, match="was made of"):
        RunOracle(job_of(10)).on_partial(0, 5, payload_of(provenance))


@pytest.mark.parametrize(
    ("first", "second"), [((0, 5), (4, 6)), ((5, 9), (0, 6)), ((0, 9), (3, 4)), ((3, 4), (0, 9))]
)
def test_the_oracle_sees_a_second_merge(first: tuple[int, int], second: tuple[int, int]):
    oracle = RunOracle(job_of(10))
    oracle.on_partial(*first, payload_of([first]))
    with pytest.raises(AssertionError, match="a second time"):
        oracle.on_partial(*second, payload_of([second]))
