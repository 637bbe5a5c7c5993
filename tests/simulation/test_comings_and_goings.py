"""Worlds built for a claim: schedulers that go and come back, daemons that leave, clocks that jump, and shares.

A failing seed of the random ones is seen again by ``python -m tests.simulation.world --seed N --verbose``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from haydi.scheduler.core import SchedulerSettings
from haydi.wire import messages as m
from haydi.wire.contact import Contact
from haydi.worker.core import WorkerSettings
from haydi.worker.leaving import Departure
from tests.simulation.jobs import counting_job, poison_job, uniform_costs
from tests.simulation.links import Network
from tests.simulation.nodes import ClientRun
from tests.simulation.world import SimulationError, World, run_seed

LAN = Network(latency=0.0005, jitter=0.0005)


def world_of(daemons: int, slots: int, *, restart_seconds: float = 30.0, **settings: Any) -> World:
    world = World(1, LAN, SchedulerSettings(restart_seconds=restart_seconds), **settings)
    for _ in range(daemons):
        world.add_daemon(slots)
    return world


def job_of(seconds: float, steps: int = 10**6):
    return counting_job(steps, uniform_costs(seconds / steps))


def computed(world: World) -> int:
    """Steps in all reports that schedulers have received."""
    return sum(daemon.reported for daemon in world.daemons)


# --- the scheduler ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("down_seconds", [0.0, 1.8, 20.0])
@pytest.mark.parametrize("times", [1, 2])
def test_a_scheduler_that_comes_back_costs_little_more_than_its_absence(down_seconds: float, times: int):
    world = world_of(3, 2)
    client = world.add_client()
    runs = [world.add_run(client, job_of(12.0), at=1.0) for _ in range(3)]
    for i in range(times):
        world.clock.at(2.0 + i * (down_seconds + 3.0), world.scheduler.crash, down_seconds)
    world.run_until(world.all_over, 200.0)
    world.finish()
    assert [run.core.state for run in runs] == ["done"] * 3
    assert client.times_back == times
    # What was folded and not merged is computed again: some flushes of each slot.
    assert max(run.over_at or math.inf for run in runs) <= 1.0 + 36.0 / 6 + times * (down_seconds + 3.0)


def test_a_scheduler_that_never_comes_back_loses_the_runs_in_time_and_ends_the_daemons():
    world = world_of(2, 2, restart_seconds=20.0, worker_settings=WorkerSettings(death_seconds=40.0))
    world.may_lose_runs = True
    client = world.add_client()
    runs = [world.add_run(client, job_of(100.0), at=1.0) for _ in range(2)]
    world.clock.at(5.0, world.scheduler.crash, math.inf)
    world.run_until(world.all_over, 60.0)
    assert [run.core.state for run in runs] == ["lost"] * 2
    assert all(run.core.coverage.size > 0 for run in runs)
    assert 25.0 <= world.clock.now <= 5.0 + 20.0 + 15.0
    world.run_until(lambda: all(daemon.dead for daemon in world.daemons), 5.0 + 40.0 + 15.0)


def test_a_scheduler_that_is_silent_is_looked_for_and_one_that_wakes_is_found():
    world = world_of(2, 2)
    run = world.add_run(world.add_client(), job_of(20.0), at=1.0)
    world.clock.at(2.0, world.scheduler.pause, 25.0)
    world.run_until(world.all_over, 80.0)
    assert run.core.state == "done"
    world.finish()


# --- daemons that leave -----------------------------------------------------------------------------------


def test_all_daemons_but_one_leave_and_nothing_is_computed_twice():
    world = world_of(6, 2)
    run = world.add_run(world.add_client(), job_of(30.0), at=1.0)
    for i, daemon in enumerate(world.daemons[1:]):
        world.clock.at(2.0 + 0.3 * i, daemon.do, daemon.retire)
    world.run_until(lambda: sum(daemon.dead for daemon in world.daemons) == 5, 6.0)
    world.run_until(world.all_over, 60.0)
    world.finish()
    assert run.core.state == "done"
    assert computed(world) == run.job.steps


def test_a_lifetime_ends_in_good_order():
    world = world_of(1, 2, worker_settings=WorkerSettings(lifetime_seconds=20.0, leave_grace_seconds=2.0))
    world._settings = WorkerSettings()
    world.add_daemon(1)
    run = world.add_run(world.add_client(), job_of(60.0), at=1.0)
    world.run_until(lambda: world.daemons[0].dead, 20.0)
    assert world.clock.now > 15.0
    world.run_until(world.all_over, 100.0)
    assert computed(world) == run.job.steps


# --- all at once ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("steps", [1000, 10**15])
def test_poison_is_told_once_whoever_comes_and_goes(skip: bool, steps: int):
    """The scheduler is killed while steps are suspected, skipped and looked for, and daemons leave."""
    deadly = frozenset(steps * i // 7 for i in range(1, 7))
    world = world_of(3, 2)
    job = poison_job(steps, uniform_costs(12.0 / steps), deadly, skip=skip)
    client = world.add_client()
    run = world.add_run(client, job, at=1.0)
    other = world.add_run(client, job_of(6.0), at=1.0)
    for i in range(8):
        world.clock.at(1.1 + 0.23 * i, world.scheduler.crash, 0.05)
    for daemon in world.daemons[:2]:
        world.clock.at(1.6, daemon.retire)
    world.clock.at(1.7, world.add_daemon, 2)
    world.run_until(world.all_over, 100.0)
    world.finish()  # what is told and what is not is asserted by the oracle
    assert client.times_back >= 1
    assert (run.core.state, other.core.state) == ("done" if skip else "failed", "done")
    if skip:
        assert run.merger.result() == steps - len(deadly)


def test_a_program_that_is_started_again_goes_on_with_what_it_had_merged():
    """Without knowing of the run before, which the scheduler has cancelled."""
    world = world_of(3, 2)
    steps, deadly = 10**6, frozenset([17, 600_000])
    first = world.add_client()
    job = poison_job(steps, uniform_costs(12.0 / steps), deadly, skip=True)
    before = world.add_run(first, job, at=1.0)
    world.run_until(lambda: before.core.coverage.size > steps // 2, 20.0)
    reported = computed(world)
    first.kill("seen")
    world.resume(first, Random(1))
    run = world.runs[-1]
    restored = run.core.coverage.size
    assert 0 < restored < steps
    world.run_until(world.all_over, 60.0)
    world.finish()
    assert run.core.state == "done"
    assert run.merger.result() == steps - 2
    assert computed(world) - reported < steps - restored + steps // 4


# --- clocks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [5.0, 40_000.0])
def test_clocks_that_jump_lose_nothing(seconds: float):
    world = world_of(3, 2)
    client = world.add_client()
    run = world.add_run(client, job_of(24.0), at=1.0)
    for i, node in enumerate([world.scheduler, client, *world.daemons]):
        world.clock.at(2.0 + 0.3 * i, node.jump, seconds)
    world.run_until(world.all_over, 30.0)
    assert run.core.state == "done"
    assert client.times_back == 0
    assert not any(daemon.dead for daemon in world.daemons)
    assert world.scheduler.core.dealer.daemons == 3


# --- shares -----------------------------------------------------------------------------------------------


def served(run: ClientRun) -> float:
    return run.core.coverage.size / run.job.steps * run.job.costs.of(0, run.job.steps)


@pytest.mark.parametrize("priority", [2.0, 4.0, 0.5])
def test_a_priority_is_a_share(priority: float):
    world = world_of(3, 2)
    usual = world.add_run(world.add_client(), job_of(60.0), at=1.0)
    special = world.add_run(world.add_client(), job_of(60.0), at=1.0, priority=priority)
    world.run_until(lambda: world.clock.now > 11.0, 12.0)
    assert served(special) / served(usual) == pytest.approx(priority, rel=0.15)
    assert served(special) + served(usual) == pytest.approx(60.0, rel=0.1)


def test_runs_of_one_client_share_by_priority_too():
    world = world_of(2, 2)
    client = world.add_client()
    low, high = (world.add_run(client, job_of(60.0), at=1.0, priority=p) for p in (1.0, 3.0))
    world.run_until(lambda: world.clock.now > 11.0, 12.0)
    assert served(high) / served(low) == pytest.approx(3.0, rel=0.2)


def test_a_flood_of_runs_gets_no_more_than_its_client_s_share():
    """Three hundred runs of one client, and one of another, which has half of the slots from the beginning on."""
    world = world_of(2, 2, checks=False)
    flood = world.add_client()
    for _ in range(300):
        world.add_run(flood, job_of(1.0, 10**4), at=1.0)
    alone = world.add_run(world.add_client(), job_of(8.0), at=2.0)
    world.run_until(lambda: alone.over_at is not None, 60.0)
    assert alone.over_at is not None
    assert alone.over_at <= 2.0 + 8.0 / 2 * 1.2 + 0.5


def test_a_short_run_passes_a_flood_in_a_moment():
    world = world_of(2, 2, checks=False)
    flood = world.add_client()
    for _ in range(300):
        world.add_run(flood, job_of(1.0, 10**4), at=1.0)
    short = world.add_run(world.add_client(), job_of(0.01, 4), at=3.0)
    world.run_until(lambda: short.over_at is not None, 60.0)
    assert short.over_at is not None
    assert short.over_at <= 3.6


# --- has it got teeth? ------------------------------------------------------------------------------------


def lose_nothing(self: Contact, reason: str, now: float) -> None:
    return None


def give_nothing_back(self: Departure, runs: Any) -> None:
    for run in runs:
        for start, stop in list(run.pool):
            run.owned.remove(start, stop)
        run.pool.cut(0)


def give_back_what_is_at_work(self: Departure, runs: Any) -> None:
    for run in runs:
        self._send(m.Released(run.number, tuple(run.owned)))


@pytest.mark.parametrize(
    ("owner", "name", "wrong"),
    [
        (Contact, "lose", lose_nothing),
        (Departure, "_give_back", give_nothing_back),
        (Departure, "_give_back", give_back_what_is_at_work),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_mistake_is_found(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, wrong: Callable[..., Any]
):
    monkeypatch.setattr(owner, name, wrong)

    def run_seeds() -> None:
        for seed in range(60):
            run_seed(seed)

    with pytest.raises(SimulationError, match=r"python -m tests\.simulation\.world --seed \d+ --verbose"):
        run_seeds()
