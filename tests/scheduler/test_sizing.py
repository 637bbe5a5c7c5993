"""Sizes of leases: always possible, few of them, and right in time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haydi.rates import rate_of, seconds_for
from haydi.scheduler.sizing import SizingSettings, flush_seconds, lease_steps

SETTINGS = SizingSettings()

sizes = st.one_of(st.integers(1, 100), st.integers(1, 1 << 100), st.integers(1, 1 << 3000))
slot_numbers = st.integers(1, 1 << 31)


def lease(**changes: Any) -> int:
    arguments: dict[str, Any] = {
        "unassigned": 1_000_000,
        "slots": 1,
        "slots_total": 10,
        "only_daemon": False,
        "tail": False,
        "rate": None,
        "early": False,
        "last": 0,
        "grain_seconds": 0.02,
    }
    return lease_steps(SETTINGS, **(arguments | changes))


@given(
    unassigned=sizes,
    slots=slot_numbers,
    slots_total=slot_numbers,
    only_daemon=st.booleans(),
    tail=st.booleans(),
    rate=st.none() | sizes,
    early=st.booleans(),
    last=st.just(0) | sizes,
    grain_seconds=st.floats(0.02, 10.0),
)
def test_a_lease_has_a_step_and_no_more_than_there_are(**arguments: Any):
    assert 1 <= lease_steps(SETTINGS, **arguments) <= arguments["unassigned"]


def test_a_first_lease_is_a_share_of_half():
    assert lease(slots=3) == 150_000


def test_a_single_daemon_gets_everything():
    assert lease(only_daemon=True, slots=10) == 1_000_000


def test_what_was_given_back_is_shared_among_those_who_wait():
    assert lease(tail=True, slots_total=4) == 250_000


@pytest.mark.parametrize("rate", [None, 100.0, 1e6, 1e12])
@pytest.mark.parametrize("daemons", [2, 10, 100])
def test_leases_are_few(rate: float | None, daemons: int):
    """All is given out in a number of leases that grows with the logarithm of the steps only, and never below time."""
    unassigned, leases = 10**9, 0
    known = None if rate is None else rate_of(int(rate), 1.0)
    while unassigned:
        leases += 1
        steps = lease(unassigned=unassigned, slots_total=daemons, rate=known)
        unassigned -= steps
        if known is not None and unassigned:
            assert seconds_for(steps, known) >= 0.019
    assert leases <= 2 * daemons * 32


def test_what_takes_no_time_is_not_divided():
    assert lease(unassigned=1 << 2000, rate=rate_of(1 << 2000, 1e-5)) == 1 << 2000


def test_early_runs_begin_small_and_grow_to_a_tenth_of_a_second():
    rate = rate_of(1_000_000, 1.0)
    assert lease(early=True, slots=4) == 4
    assert lease(early=True, slots=4, rate=rate, last=4) == 32
    assert lease(early=True, slots=4, rate=rate, last=300_000) == 400_000


def test_early_leases_are_longer_on_a_large_cluster():
    """So that the client, who is told of every stride, can follow."""
    rate = rate_of(1_000_000, 1.0)
    steps = lease(early=True, unassigned=10**12, rate=rate, last=10**9, slots_total=2000)
    assert seconds_for(steps, rate) == pytest.approx(4.0)


def test_a_step_that_takes_hours_is_a_lease():
    assert lease(rate=rate_of(1, 10_000.0), unassigned=5, slots_total=5) == 1


@given(slot_numbers, st.booleans())
def test_the_client_gets_so_many_partials_and_no_more(slots: int, early: bool):
    seconds = flush_seconds(SETTINGS, slots, early)
    assert seconds <= SETTINGS.flush_seconds_most
    if seconds < SETTINGS.flush_seconds_most:
        assert slots / max(seconds, 1e-9) <= SETTINGS.partials_per_second * (1 + 1e-9)
    assert early or seconds >= SETTINGS.flush_seconds_least
