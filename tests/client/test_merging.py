"""Merging: any cut of the steps, in any order, gives what one fold of all of them gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haydi.actions import Collect, Count, First, Groups, Max, Reduce
from haydi.client.merging import Merger

STEPS = 40

MAKERS: dict[str, Callable[[], Any]] = {
    "collect": Collect,
    "count": Count,
    "groups": lambda: Groups(lambda x: x % 4 or None, 2),
    "max": lambda: Max(lambda x: x % 7, 3),
    "text": lambda: Reduce(lambda a, b: f"{a}{b}", init=""),
}


def fold(action: Any, start: int, stop: int) -> Any:
    partial = action.init()
    for step in range(start, stop):
        partial = action.fold(partial, element(step))
    return partial


def element(step: int) -> Any:
    return step * 31 % 17


@st.composite
def cuts(draw: st.DrawFn, steps: int = STEPS) -> list[tuple[int, int]]:
    """Ranges that make up all steps, in any order."""
    places = sorted(draw(st.sets(st.integers(1, steps - 1))))
    ranges = list(zip([0, *places], [*places, steps], strict=True))
    return draw(st.permutations(ranges))


@pytest.mark.parametrize("name", MAKERS)
@given(ranges=cuts())
def test_any_cut_in_any_order(name: str, ranges: list[tuple[int, int]]):
    merger = Merger(MAKERS[name]())
    for start, stop in ranges:
        assert merger.add(start, stop, fold(MAKERS[name](), start, stop)) is None
    assert merger.coverage() == [(0, STEPS)]
    assert merger.steps == merger.prefix == STEPS
    serial = MAKERS[name]()
    assert merger.result() == serial.finish(fold(serial, 0, STEPS))


@given(ranges=cuts(), data=st.data())
def test_a_part_of_the_ranges_gives_the_result_of_that_part(
    ranges: list[tuple[int, int]], data: st.DataObject
):
    some = ranges[: data.draw(st.integers(0, len(ranges)))]
    merger = Merger(Collect())
    for start, stop in some:
        merger.add(start, stop, fold(Collect(), start, stop))
    steps = sorted(step for start, stop in some for step in range(start, stop))
    assert [step for start, stop in merger.coverage() for step in range(start, stop)] == steps
    assert merger.steps == len(steps)
    assert all(a < b for (_, a), (b, _) in zip(merger.coverage(), merger.coverage()[1:], strict=False))
    prefix = merger.prefix
    assert prefix not in steps
    assert set(range(prefix)) <= set(steps)
    assert merger.result() == list(map(element, steps))


@given(ranges=cuts(), data=st.data())
def test_no_step_is_merged_twice(ranges: list[tuple[int, int]], data: st.DataObject):
    merger = Merger(Collect())
    for start, stop in ranges[: len(ranges) // 2 + 1]:
        merger.add(start, stop, fold(Collect(), start, stop))
    before = merger.coverage()
    merged = [step for start, stop in before for step in range(start, stop)]
    step = data.draw(st.sampled_from(merged))
    start = data.draw(st.integers(0, step))
    stop = data.draw(st.integers(step + 1, STEPS))
    with pytest.raises(ValueError, match="overlap"):
        merger.add(start, stop, fold(Collect(), start, stop))
    assert merger.coverage() == before
    assert merger.result() == [element(step) for step in merged]


@given(ranges=cuts())
def test_an_early_result_is_seen_with_the_block_it_belongs_to(ranges: list[tuple[int, int]]):
    """The first step that counts is 20: whatever block it becomes part of is final at its end."""
    merger = Merger(First())
    for start, stop in ranges:
        partial = (20,) if start <= 20 < stop else ()
        final = merger.add(start, stop, partial)
        block = next(((a, b) for a, b in merger.coverage() if a <= start < b), (0, 0))
        assert final == (block[1] if block[0] <= 20 < block[1] else None)
        assert merger.prefix_is_final() == (merger.prefix > 20)
    assert merger.result() == 20


def test_the_result_of_nothing():
    assert Merger(Collect()).result() == []
    assert Merger(First(default="none")).result() == "none"
    assert Merger(Collect()).prefix == 0
    assert not Merger(First()).prefix_is_final()


def test_many_pieces_leave_one_partial():
    merger = Merger(Collect())
    for start in [*range(0, 2000, 2), *range(1, 2000, 2)]:
        merger.add(start, start + 1, [start])
    assert merger.coverage() == [(0, 2000)]
    assert merger.result() == list(range(2000))
