"""The ledger against a plain dict from step to place: steps only move, and each is in one place at a time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from haydi.ranges import RangeSet
from haydi.scheduler.ledger import Ledger

STEPS = 20
UNASSIGNED, MERGED = "unassigned", "merged"

workers = st.sampled_from(["ann", "bob", "eve"])
positions = st.integers(0, STEPS + 3)
spans = st.tuples(positions, positions)


class LedgerMachine(RuleBasedStateMachine):
    """The model: where each step that is needed is."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger: Ledger[str] = Ledger(0)
        self.place: dict[int, str] = {}

    @initialize(missing=st.sets(st.integers(0, STEPS - 1)))
    def begin(self, missing: set[int]) -> None:
        self.ledger = Ledger(STEPS, RangeSet((step, step + 1) for step in missing))
        self.place = {step: UNASSIGNED if step in missing else MERGED for step in range(STEPS)}

    def at(self, place: str) -> set[int]:
        return {step for step, where in self.place.items() if where == place}

    def move(self, steps: set[int], place: str) -> None:
        self.place.update(dict.fromkeys(steps, place))

    def needed(self, start: int, stop: int) -> set[int]:
        return {step for step in range(start, stop) if step in self.place}

    @precondition(lambda self: self.at(UNASSIGNED))
    @rule(worker=workers, steps=st.integers(1, STEPS))
    def lease(self, worker: str, steps: int) -> None:
        start, stop = self.ledger.lease(worker, steps)
        leased = set(range(start, stop))
        assert start == min(self.at(UNASSIGNED))
        assert 1 <= len(leased) <= steps
        assert leased <= self.at(UNASSIGNED)
        self.move(leased, worker)

    @rule(worker=workers, span=spans)
    def report(self, worker: str, span: tuple[int, int]) -> None:
        steps = self.needed(*span)
        allowed = bool(steps) and steps <= self.at(worker) and span[0] in self.place
        assert self.ledger.report(worker, *span) == allowed
        if allowed:
            self.move(steps, MERGED)

    @precondition(lambda self: any(self.at(worker) for worker in ("ann", "bob", "eve")))
    @rule(data=st.data())
    def report_what_is_held(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from([w for w in ("ann", "bob", "eve") if self.at(w)]))
        start, stop = data.draw(st.sampled_from(list(self.ledger.held[worker])))
        stop = data.draw(st.integers(start + 1, stop))
        assert self.ledger.report(worker, start, stop)
        self.move(set(range(start, stop)), MERGED)

    @rule(worker=workers, ranges=st.lists(spans.filter(lambda s: s[0] < s[1]), max_size=3))
    def release(self, worker: str, ranges: list[tuple[int, int]]) -> None:
        apart = list(RangeSet(ranges))
        steps = {step for start, stop in apart for step in self.needed(start, stop)}
        allowed = steps <= self.at(worker)
        assert self.ledger.release(worker, apart) == allowed
        if allowed:
            self.move(steps, UNASSIGNED)

    @rule(worker=workers, span=spans)
    def forfeit(self, worker: str, span: tuple[int, int]) -> None:
        steps = self.needed(*span) & self.at(worker)
        assert self.ledger.forfeit(worker, *span) == bool(steps)
        self.move(steps, UNASSIGNED)

    @rule(worker=workers)
    def lose(self, worker: str) -> None:
        assert self.ledger.lose(worker) == len(self.at(worker))
        self.move(self.at(worker), UNASSIGNED)

    @rule(stop=positions)
    def trim(self, stop: int) -> None:
        late = {step for step in self.place if step >= stop}
        touched = {worker for worker in ("ann", "bob", "eve") if self.at(worker) & late}
        told = self.ledger.trim(stop)
        assert set(told) == touched
        assert len(told) == len(touched)
        for step in late:
            del self.place[step]

    @invariant()
    def agrees(self) -> None:
        self.ledger.check()
        assert self.ledger.stop == len(self.place)
        assert {s for a, b in self.ledger.unassigned for s in range(a, b)} == self.at(UNASSIGNED)
        assert {s for a, b in self.ledger.merged for s in range(a, b)} == self.at(MERGED)
        for worker in ("ann", "bob", "eve"):
            assert {s for a, b in self.ledger.held.get(worker, ()) for s in range(a, b)} == self.at(worker)
        assert self.ledger.complete == (self.at(MERGED) == set(self.place))


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_a_second_report_is_refused():
    ledger: Ledger[str] = Ledger(10)
    ledger.lease("ann", 10)
    assert ledger.report("ann", 2, 6)
    assert not ledger.report("ann", 2, 6)
    assert not ledger.report("ann", 5, 7)
    assert not ledger.report("bob", 6, 7)
    assert list(ledger.merged) == [(2, 6)]


def test_a_report_that_reaches_behind_the_end_counts_up_to_it():
    ledger: Ledger[str] = Ledger(10)
    ledger.lease("ann", 10)
    assert ledger.trim(5) == ["ann"]
    assert ledger.report("ann", 0, 8)
    assert ledger.complete


@given(st.integers(1, 1 << 200), st.integers(1, 1 << 200))
def test_steps_of_any_number(steps: int, part: int):
    ledger: Ledger[str] = Ledger(steps)
    start, stop = ledger.lease("ann", part)
    assert (start, stop) == (0, min(part, steps))
    assert ledger.report("ann", start, stop)
    assert ledger.unassigned.size == steps - stop
    ledger.check()


def test_check_finds_a_step_that_is_lost():
    ledger: Ledger[str] = Ledger(10)
    ledger.unassigned.remove(3, 4)
    with pytest.raises(AssertionError, match="lost or owned twice"):
        ledger.check()


def test_check_finds_a_step_that_is_owned_twice():
    ledger: Ledger[str] = Ledger(10)
    ledger.lease("ann", 2)
    ledger.unassigned.add(1, 2)
    ledger.unassigned.remove(9, 10)
    with pytest.raises(AssertionError, match="do not cover"):
        ledger.check()
