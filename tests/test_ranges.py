"""RangeSet against a plain set of ints: every operation, in any order, from any state."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from haydi.ranges import RangeSet

LIMIT = 24
HUGE = 1 << 200

positions = st.integers(0, LIMIT)
spans = st.tuples(positions, positions)


def steps_of(ranges: RangeSet) -> set[int]:
    return {step for start, stop in ranges for step in range(start, stop)}


def check_form(ranges: RangeSet) -> None:
    """Sorted, not empty, and apart from each other: touching ranges are one."""
    last = -1
    for start, stop in ranges:
        assert last < start < stop
        last = stop
    assert len(ranges) == len(list(ranges))
    assert ranges.size == sum(stop - start for start, stop in ranges)
    assert bool(ranges) == (ranges.size > 0)


class RangeSetMachine(RuleBasedStateMachine):
    """A RangeSet and a set of ints live through the same."""

    def __init__(self) -> None:
        super().__init__()
        self.ranges = RangeSet()
        self.model: set[int] = set()

    @rule(span=spans)
    def add(self, span: tuple[int, int]) -> None:
        self.ranges.add(*span)
        self.model |= set(range(*span))

    @rule(span=spans)
    def remove(self, span: tuple[int, int]) -> None:
        self.ranges.remove(*span)
        self.model -= set(range(*span))

    @rule(stop=positions)
    def cut(self, stop: int) -> None:
        self.ranges.cut(stop)
        self.model = {step for step in self.model if step < stop}

    @precondition(lambda self: self.model)
    @rule(steps=st.integers(1, LIMIT))
    def take_first(self, steps: int) -> None:
        start, stop = self.ranges.take_first(steps)
        assert start == min(self.model)
        assert self._is_whole(start, stop, steps)
        self.model -= set(range(start, stop))

    @precondition(lambda self: self.model)
    @rule(steps=st.integers(1, LIMIT))
    def take_last(self, steps: int) -> None:
        start, stop = self.ranges.take_last(steps)
        assert stop == max(self.model) + 1
        assert self._is_whole(start, stop, steps)
        self.model -= set(range(start, stop))

    def _is_whole(self, start: int, stop: int, steps: int) -> bool:
        """As many steps as asked for, or all of one range."""
        if not set(range(start, stop)) <= self.model:
            return False
        alone = start - 1 not in self.model and stop not in self.model
        return stop - start == steps or (stop - start < steps and alone)

    @rule(span=spans)
    def ask(self, span: tuple[int, int]) -> None:
        steps = set(range(*span))
        assert self.ranges.contains(*span) == (steps <= self.model)
        assert self.ranges.overlaps(*span) == bool(steps & self.model)

    @rule(stop=positions)
    def gaps(self, stop: int) -> None:
        gaps = RangeSet(self.ranges.gaps(stop))
        assert list(gaps) == self.ranges.gaps(stop)
        assert steps_of(gaps) == set(range(stop)) - self.model

    @precondition(lambda self: self.model)
    @rule()
    def ends(self) -> None:
        assert self.ranges.first == min(self.model)
        start, stop = self.ranges.last
        assert stop == max(self.model) + 1
        assert set(range(start, stop)) <= self.model
        assert start - 1 not in self.model

    @rule()
    def rebuild(self) -> None:
        other = RangeSet((step, step + 1) for step in sorted(self.model, key=lambda step: step * 7 % 11))
        assert other == self.ranges
        assert repr(other) == repr(self.ranges)
        other.add(LIMIT + 1, LIMIT + 2)
        assert other != self.ranges

    @invariant()
    def agrees(self) -> None:
        check_form(self.ranges)
        assert steps_of(self.ranges) == self.model
        prefix = self.ranges.prefix()
        assert prefix not in self.model
        assert set(range(prefix)) <= self.model


TestRangeSet = RangeSetMachine.TestCase
TestRangeSet.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def all_sets(limit: int) -> list[set[int]]:
    return [{i for i in range(limit) if bits >> i & 1} for bits in range(1 << limit)]


def of(steps: set[int]) -> RangeSet:
    return RangeSet((step, step + 1) for step in steps)


@pytest.mark.parametrize("start", range(8))
def test_every_small_set_and_every_range(start: int):
    """Not a sample: all 128 subsets of seven steps with all ranges from here on."""
    for steps, stop in product(all_sets(7), range(9)):
        span = set(range(start, stop))
        added, removed = of(steps), of(steps)
        added.add(start, stop)
        removed.remove(start, stop)
        check_form(added)
        check_form(removed)
        assert steps_of(added) == steps | span
        assert steps_of(removed) == steps - span
        assert of(steps).contains(start, stop) == (span <= steps)
        assert of(steps).overlaps(start, stop) == bool(span & steps)


@given(st.lists(spans), st.lists(spans), st.integers(0, 1 << 80))
def test_steps_of_any_size(added: list[tuple[int, int]], removed: list[tuple[int, int]], offset: int):
    """What is far away behaves as what is near."""
    near, far = RangeSet(), RangeSet()
    for start, stop in added:
        near.add(start, stop)
        far.add(start + HUGE + offset, stop + HUGE + offset)
    for start, stop in removed:
        near.remove(start, stop)
        far.remove(start + HUGE + offset, stop + HUGE + offset)
    assert [(a - HUGE - offset, b - HUGE - offset) for a, b in far] == list(near)
    assert far.size == near.size


def test_a_huge_range_costs_as_much_as_a_small_one():
    ranges = RangeSet([(0, HUGE)])
    assert ranges.take_last(HUGE // 2) == (HUGE // 2, HUGE)
    assert ranges.take_first(1) == (0, 1)
    assert ranges.size == HUGE // 2 - 1
    assert ranges.gaps(HUGE) == [(0, 1), (HUGE // 2, HUGE)]


def test_it_is_no_key_and_equals_nothing_else():
    with pytest.raises(TypeError):
        hash(RangeSet())
    assert RangeSet([(0, 1)]) != [(0, 1)]
