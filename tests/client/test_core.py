"""The client's side of a run: what is missing is always known, and the run ends as the serial one would."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haydi.client.core import CONSUMED_BYTES, Failure, RunCore
from haydi.wire import messages as m

HUGE = 1 << 100


class Run:
    """A run of "first step with a hit" (early) or of nothing in particular."""

    def __init__(self, steps: int, *, early: bool = False, hits: frozenset[int] = frozenset()) -> None:
        self.hits = hits
        self.absorbed: list[tuple[int, int]] = []
        self.sequence = 0
        self.core = RunCore(7, steps, early, b"plan", self._absorb)
        self.out = self.core.start()

    def _absorb(self, start: int, stop: int, payload: bytes) -> int | None:
        self.absorbed.append((start, stop))
        return stop if self.core.early and any(start <= hit < stop for hit in self.hits) else None

    def partial(self, start: int, stop: int, payload: bytes = b"") -> list[m.Message]:
        self.sequence += 1
        out = self.core.handle(m.Partial(7, self.sequence, start, stop, 0.1, "w", payload))
        self.core.check()
        return out

    def failed(self, start: int, stop: int, kind: str = "user") -> list[m.Message]:
        out = self.core.handle(m.RunFailed(7, start, stop, kind, "w", b"why"))
        self.core.check()
        return out


def test_all_steps_are_submitted():
    run = Run(HUGE, early=True)
    assert run.out == [m.Submit(7, HUGE, True, False, 1.0, ((0, HUGE),), b"plan")]
    assert run.core.state == "running"


def test_a_run_without_steps_is_done_at_once():
    run = Run(0)
    assert run.out == []
    assert run.core.state == "done"


def test_it_is_done_when_everything_is_merged():
    run = Run(10)
    assert run.partial(4, 10) == []
    assert run.core.state == "running"
    assert run.partial(0, 4) == []
    assert run.core.state == "done"
    assert run.absorbed == [(4, 10), (0, 4)]


def test_what_is_missing_is_submitted_again():
    run = Run(10)
    run.partial(2, 4)
    run.partial(8, 10)
    assert run.core.start() == [m.Submit(7, 10, False, False, 1.0, ((0, 2), (4, 8)), b"plan")]
    run.partial(0, 2)
    run.partial(4, 8)
    assert run.core.state == "done"
    assert run.core.start() == []


def test_only_what_is_needed_is_submitted_again():
    run = Run(100, early=True, hits=frozenset([50]))
    assert run.partial(50, 60) == [m.Trim(7, 60)]
    assert run.core.start() == [m.Submit(7, 60, True, False, 1.0, ((0, 50),), b"plan")]


def test_a_range_that_comes_twice_is_left_out():
    run = Run(10)
    run.partial(0, 5)
    run.partial(0, 5)
    run.partial(4, 6)
    assert run.absorbed == [(0, 5)]
    assert run.core.repeated == 2
    assert run.core.coverage.size == 5


def test_results_are_acknowledged_together():
    run = Run(10_000)
    half = b"x" * (CONSUMED_BYTES // 2)
    assert run.partial(0, 1, half) == []
    assert run.partial(1, 2, half) == [m.Consumed(7, 2)]
    assert run.partial(2, 3, half) == []
    assert run.partial(0, 1, half) == [m.Consumed(7, 4)], "what came twice has weight too"


def test_a_failure_ends_a_run_that_needs_everything():
    run = Run(10)
    run.partial(0, 2)
    assert run.failed(5, 6) == [m.Cancel(7)]
    assert run.core.state == "failed"
    assert run.core.failure == Failure(5, 6, "user", "w", b"why")
    assert run.partial(2, 5) == []
    assert run.absorbed == [(0, 2)], "what comes after the end is not merged"


def test_a_failure_behind_the_result_is_no_failure():
    run = Run(100, early=True, hits=frozenset([20]))
    assert run.failed(40, 41) == [m.Trim(7, 40)]
    assert run.core.state == "running"
    assert run.partial(15, 25) == [m.Trim(7, 25)]
    assert run.partial(0, 15) == []
    assert run.core.state == "done"
    assert run.core.failure is None


def test_a_failure_before_the_result_is_one():
    run = Run(100, early=True, hits=frozenset([20]))
    run.partial(15, 25)
    assert run.failed(12, 13) == [m.Trim(7, 12)]
    assert run.failed(14, 15) == [], "behind an earlier one"
    assert run.failed(30, 31) == []
    assert run.partial(0, 12) == []
    assert run.core.state == "failed"
    assert run.core.failure is not None
    assert run.core.failure.start == 12


def test_the_first_step_fails():
    run = Run(100, early=True)
    run.failed(0, 1)
    assert run.core.state == "failed"


def test_a_plan_that_cannot_be_loaded_ends_any_run():
    run = Run(100, early=True)
    assert run.failed(50, 60, "load") == [m.Cancel(7)]
    assert run.core.state == "failed"


def test_a_step_that_died_is_merged_once_in_a_run_that_skips():
    run, skipped = Run(10), []

    def skip(failure: Failure) -> int | None:
        skipped.append((failure.start, failure.stop, failure.kind))
        return None

    run.core.skip = skip
    assert run.core.start() == [m.Submit(7, 10, False, True, 1.0, ((0, 10),), b"plan")]
    run.partial(0, 3)
    assert run.failed(3, 4, "died") == []
    assert run.core.state == "running"
    run.failed(3, 4, "died")
    assert skipped == [(3, 4, "died")]
    assert run.core.repeated == 1
    run.partial(4, 10)
    assert run.core.state == "done"


def test_steps_that_were_skipped_are_not_submitted_again():
    run, skipped = Run(10), []
    run.core.skip = lambda failure: skipped.append(failure.start)
    run.core.start()
    run.failed(3, 4, "died")
    assert run.core.start(8) == [m.Submit(8, 10, False, True, 1.0, ((0, 3), (4, 10)), b"plan")]
    run.partial(0, 3)
    run.partial(4, 10)
    assert run.core.state == "done"
    assert skipped == [3]


@pytest.mark.parametrize("kind", ["load", "loading", "result", "user"])
def test_what_is_no_fault_of_a_step_ends_a_run_that_skips(kind: str):
    run = Run(10)
    run.core.skip = lambda failure: None
    assert run.failed(3, 4, kind) == [m.Cancel(7)]
    assert run.core.state == "failed"


def test_skipping_the_last_step_that_was_missing_settles_an_early_run():
    run = Run(10, early=True)
    run.core.skip = lambda failure: 4
    run.partial(0, 3)
    assert run.failed(3, 4, "died") == [m.Trim(7, 4)]
    assert run.core.state == "done"


@pytest.mark.parametrize("state", ["timeout", "cancelled", "lost"])
def test_it_can_be_ended_from_this_side(state: str):
    run = Run(10)
    run.partial(0, 5)
    assert run.core.stop(state, "because") == [m.Cancel(7)]
    assert (run.core.state, run.core.reason) == (state, "because")
    assert run.core.stop("other") == []
    assert run.partial(5, 10) == []
    assert run.core.state == state
    assert list(run.core.coverage) == [(0, 5)]


def test_the_scheduler_can_give_it_up():
    run = Run(10)
    assert run.core.handle(m.RunLost(7, "taken")) == []
    assert (run.core.state, run.core.reason) == ("lost", "taken")


def test_check_finds_a_gap():
    run = Run(10)
    run.core.state = "done"
    with pytest.raises(AssertionError, match="missing"):
        run.core.check()


@given(st.permutations(range(12)), st.sets(st.integers(0, 11)), st.sets(st.integers(0, 11)))
def test_it_ends_as_a_serial_run_would(order: list[int], hits: set[int], bad: set[int]):
    """Steps one by one in any order: the first that hits or fails decides."""
    run = Run(12, early=True, hits=frozenset(hits - bad))
    for step in order:
        if step < run.core.limit:
            run.failed(step, step + 1) if step in bad else run.partial(step, step + 1)
    first = min(hits | bad, default=None)
    assert run.core.state == ("failed" if first in bad else "done")
    if first in bad:
        assert run.core.failure is not None
        assert run.core.failure.start == first
    elif first is not None:
        assert run.core.limit == first + 1


def test_at_a_timeout_what_is_folded_is_merged_too():
    run = Run(100)
    run.partial(0, 10)
    assert run.core.drain() == [m.Drain(7)]
    assert run.core.drain() == []
    run.partial(40, 50)
    assert run.core.state == "running"
    assert run.core.handle(m.Drained(7)) == [m.Cancel(7)]
    assert run.core.state == "timeout"
    assert list(run.core.coverage) == [(0, 10), (40, 50)]


def test_a_run_that_is_completed_while_it_drains_is_done():
    run = Run(100)
    run.core.drain()
    run.partial(0, 100)
    assert run.core.state == "done"
    assert run.core.handle(m.Drained(7)) == []


def test_a_run_that_is_submitted_again_while_it_drains_drains_on():
    run = Run(100)
    run.core.drain()
    assert run.core.start() == [m.Submit(7, 100, False, False, 1.0, ((0, 100),), b"plan"), m.Drain(7)]


def test_what_was_done_before_is_not_submitted():
    def core_of(early: bool, limit: int | None = None) -> RunCore:
        done = [(0, 40), (60, 70)]
        return RunCore(7, 100, early, b"plan", lambda start, stop, payload: None, done=done, limit=limit)

    missing = ((40, 60), (70, 100))
    assert core_of(False).start() == [m.Submit(7, 100, False, False, 1.0, missing, b"plan")]
    assert core_of(True, 70).start() == [m.Submit(7, 70, True, False, 1.0, ((40, 60),), b"plan")]
    core = core_of(True, 40)
    assert core.start() == []
    assert core.state == "done"
