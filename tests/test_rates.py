"""Rates: consistent with each other at any size, and never an overflow."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haydi.rates import mean_rate, part_of, rate_of, seconds_for, steps_within

sizes = st.one_of(st.integers(1, 1000), st.integers(1, 1 << 64), st.integers(1, 1 << 4000))
durations = st.floats(1e-9, 1e9)
wild_durations = st.floats(0, allow_nan=False)


@given(sizes, st.floats(1e-6, 1e6))
def test_steps_take_their_time(steps: int, seconds: float):
    assert seconds_for(steps, rate_of(steps, seconds)) == pytest.approx(seconds, rel=0.01, abs=1e-6)


@given(sizes, durations, durations)
def test_within_a_time_as_many_as_fit(steps: int, seconds: float, wait: float):
    rate = rate_of(steps, seconds)
    done = steps_within(rate, wait)
    if done:
        assert seconds_for(done, rate) <= wait * 1.001 + 1e-6


@given(st.integers(0, 1 << 4000), wild_durations, wild_durations)
def test_nothing_overflows(steps: int, seconds: float, wait: float):
    rate = rate_of(steps, seconds)
    assert rate >= 1
    assert steps_within(rate, wait) >= 0
    assert 0 <= seconds_for(steps, rate) < math.inf
    assert mean_rate(rate, 1, 0.5) >= 1


@given(st.integers(0, 1 << 4000), st.floats(0, 1))
def test_a_part_is_a_part(steps: int, share: float):
    part = part_of(steps, share)
    assert 0 <= part <= steps
    assert part_of(steps, 0.0) == 0
    assert part_of(steps, 1.0) == steps
    if steps < 1 << 40:
        assert abs(part - steps * share) <= 1


@given(sizes, sizes, st.floats(0, 1))
def test_a_mean_lies_between(old: int, new: int, weight: float):
    assert min(old, new) <= mean_rate(old, new, weight) <= max(old, new)
    assert mean_rate(None, new, weight) == new
