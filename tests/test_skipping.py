"""``on_error="skip"``: the same result and the same failures however the steps are cut."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import haydi as hd
from haydi.errors import ArgumentTypeError, ArgumentValueError
from haydi.plan import Plan, compile_plan
from haydi.skipping import FAILURES_MOST, Tally, check_on_error, failures_of, skipping


class BadNumberError(Exception):
    """What the functions of these tests raise."""


def picky(x: int) -> int:
    if x % 7 == 3 or x == 20:
        raise BadNumberError(x)
    return x


def bad_steps(steps: int) -> list[int]:
    return [x for x in range(steps) if x % 7 == 3 or x == 20]


def good(steps: int) -> list[int]:
    return [x for x in range(steps) if x not in bad_steps(steps)]


def horner(a: int, b: int) -> int:
    return a * 3 + b


R = hd.Range(100)
PIPELINES: dict[str, tuple[hd.Pipeline[Any, Any], Any]] = {
    "collect": (R.map(picky).collect(), good(100)),
    "sum": (R.map(picky).sum(), sum(good(100))),
    "count": (R.map(picky).count(), len(good(100))),
    "filter": (R.filter(picky).collect(), good(100)[1:]),
    "reduce": (R.map(picky).reduce(lambda a, b: a + b), sum(good(100))),
    "ordered": (R.map(picky).reduce(horner, associative=False), reduce(horner, good(100))),
    "max": (R.max(picky, size=2), [99]),
    "key of a group": (R.groups(lambda x: picky(x) % 2, limit=2), {0: [0, 2], 1: [1, 5]}),
    "frequencies": (R.frequencies(lambda x: picky(x) % 2), {0: 42, 1: 43}),
    "first": (R.map(picky).filter(lambda x: x > 30).first(), 32),
    "take": (R.map(picky).filter(lambda x: x > 22).take(3).collect(), [23, 25, 26]),
    "behind take": (R.filter(lambda x: x > 0).take(5).map(picky).collect(), [1, 2, 4, 5, 6]),
}  # fmt: skip


@pytest.mark.parametrize("name", PIPELINES)
def test_serial_runs_leave_out_what_fails(name: str) -> None:
    pipeline, expected = PIPELINES[name]
    ctx = hd.SerialContext()
    assert pipeline.run(ctx, on_error="skip") == expected
    report = ctx.last_report
    assert report is not None
    assert report.state == "done"
    steps = [failure.step for failure in report.failures]
    assert steps == bad_steps(100)[: len(steps)]
    assert report.failures_total == len(steps) >= 1
    if not pipeline.chosen_action.early and "take" not in name:
        assert steps == bad_steps(100)
    first = report.failures[0]
    assert (first.step, first.stop, first.element, first.error) == (3, 4, "3", "BadNumberError(3)")
    assert "picky" in first.traceback
    assert first.signal is first.memory is None


@pytest.mark.parametrize("name", PIPELINES)
@given(cuts=st.lists(st.integers(0, 100), max_size=12))
def test_cuts_change_nothing(name: str, cuts: list[int]) -> None:
    pipeline, expected = PIPELINES[name]
    plan = skipping(compile_plan(pipeline))
    tally = plan.action.init()
    edges = sorted({0, 100, *cuts})
    for start, stop in pairwise(edges):
        tally = plan.action.merge(tally, plan.execute(start, stop))
    assert plan.action.finish(tally) == expected
    told = [failure.step for failure in tally.failures]
    assert told == sorted(set(told))
    assert set(told) <= set(bad_steps(100))
    if not plan.action.early:
        assert told == bad_steps(100)
    assert tally.total == len(told)


class Leap:
    """A source whose steps are addresses in a huge space, most of them empty."""

    one_each = False
    steps = 1 << 80
    places = (5, 1 << 30, (1 << 62) + 1, (1 << 80) - 1)

    def elements(self, start: int, stop: int) -> Iterator[int]:
        return (place for place in self.places if start <= place < stop)

    def count(self, start: int, stop: int) -> None:
        return None


class Stubborn(Exception):  # noqa: N818
    """An exception that nothing can be put on."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


def test_steps_are_not_counted_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(x: int) -> int:
        if x in (1 << 30, (1 << 80) - 1):
            raise Stubborn(x)
        return x

    pipeline = hd.Range(5).map(fails).collect()
    plan = skipping(compile_plan(pipeline))
    object.__setattr__(plan, "source", Leap())

    def locate(self: Any, start: int, stop: int, error: Exception) -> Any:
        raise error

    monkeypatch.setattr(Plan, "locate", locate)
    tally = plan.execute(0, 1 << 80)
    assert tally.partial == [5, (1 << 62) + 1]
    assert [failure.step for failure in tally.failures] == [1 << 30, (1 << 80) - 1]


def test_a_step_of_several_elements_is_left_out_whole() -> None:
    class Pairs(Leap):
        steps = 4

        def elements(self, start: int, stop: int) -> Iterator[int]:
            return iter([x for step in range(start, stop) for x in (10 * step, 10 * step + 1)])

    def fails(x: int) -> int:
        if x == 21:
            raise BadNumberError(x)
        return x

    plan = skipping(compile_plan(hd.Range(4).map(fails).collect()))
    object.__setattr__(plan, "source", Pairs())
    for cuts in ([0, 4], [0, 1, 2, 3, 4], [0, 3, 4]):
        tally = plan.action.init()
        for start, stop in pairwise(cuts):
            tally = plan.action.merge(tally, plan.execute(start, stop))
        assert tally.partial == [0, 1, 10, 11, 30, 31]
        assert [(failure.step, failure.element) for failure in tally.failures] == [(2, "21")]


def test_failures_are_bounded_and_counted() -> None:
    def fails(x: int) -> int:
        raise BadNumberError(x)

    ctx = hd.SerialContext()
    assert hd.Range(FAILURES_MOST + 500).map(fails).run(ctx, on_error="skip") == []
    report = ctx.last_report
    assert report is not None
    assert [failure.step for failure in report.failures] == list(range(FAILURES_MOST))
    assert report.failures_total == FAILURES_MOST + 500
    assert report.coverage == [(0, FAILURES_MOST + 500)]
    halves = [Tally([], report.failures[600:], 400), Tally([], report.failures, 1500), 7]
    failures, total = failures_of(halves)
    assert (len(failures), total) == (FAILURES_MOST, 1900)


def test_what_no_step_raises_alone_ends_the_run() -> None:
    with pytest.raises(TypeError):
        hd.Values([1, "two", 3]).max().run(on_error="skip")
    with pytest.raises(ArgumentValueError, match="associative=False"):
        hd.Range(100).reduce(lambda a, b: a - b).run(on_error="skip")


def test_what_is_no_exception_ends_the_run() -> None:
    def leaves(x: int) -> int:
        raise SystemExit(x)

    with pytest.raises(SystemExit):
        hd.Range(3).map(leaves).run(on_error="skip")


def test_an_error_of_ours_in_a_function_is_an_error_like_any() -> None:
    pipeline = hd.Range(4).map(lambda x: hd.Range(x).reduce(lambda a, b: a + b).run())
    assert pipeline.run(on_error="skip") == [0, 1, 3]


class Source(hd.Domain[int]):
    """A stream that may fail."""

    def __init__(self, fails_at: int) -> None:
        super().__init__()
        self.fails_at = fails_at

    def _iterate(self) -> Iterator[int]:
        for i in range(50):
            if i == self.fails_at:
                raise BadNumberError("the stream")
            yield i


def test_streams() -> None:
    assert Source(99).map(picky).run(on_error="skip") == good(50)
    with pytest.raises(
        BadNumberError, match="the stream"
    ):  # it has no more elements, and says nothing of a step
        Source(30).map(picky).run(on_error="skip")


@pytest.mark.parametrize("call", ["run", "domain", "ctx.run", "ctx.submit"])
def test_anything_else_is_refused_at_the_call(call: str) -> None:
    ctx = hd.SerialContext()
    calls: dict[str, Any] = {
        "run": hd.Range(3).sum().run,
        "domain": hd.Range(3).run,
        "ctx.run": lambda on_error: ctx.run(hd.Range(3).sum(), on_error=on_error),
        "ctx.submit": lambda on_error: ctx.submit(hd.Range(3).sum(), on_error=on_error),
    }
    with pytest.raises(ArgumentValueError, match="on_error='ignore': must be 'raise' or 'skip'"):
        calls[call](on_error="ignore")
    with pytest.raises(ArgumentTypeError, match="on_error=None"):
        calls[call](on_error=None)
    assert check_on_error("raise") is False


def test_a_failure_that_ends_the_run_is_in_the_report() -> None:
    ctx = hd.SerialContext()
    with pytest.raises(BadNumberError):
        hd.Range(100).map(picky).run(ctx)
    assert ctx.last_report is not None
    assert ctx.last_report.failures_total == 1
    assert [failure.step for failure in ctx.last_report.failures] == [3]
