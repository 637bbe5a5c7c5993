"""Pipelines: immutability, what moves, what is refused; and plans, cut in any way."""

from __future__ import annotations

import itertools
import pickle
import random
import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import haydi as hd
from haydi.client.merging import Merger
from haydi.errors import UsageError
from haydi.plan import compile_plan
from tests.strategies import domains


def odd(x: int) -> bool:
    return x % 2 == 1


def square(x: int) -> int:
    return x * x


def test_pipelines_are_immutable_and_reusable() -> None:
    stream = hd.Range(5).iterate()
    assert stream.take(2).run() == [0, 1]
    assert stream.max().run() == [4]
    assert stream.run() == [0, 1, 2, 3, 4]


def test_maps_and_filters_at_the_end_of_a_domain_move_into_the_pipeline() -> None:
    domain = hd.Range(5).map(square).filter(odd)
    assert repr(domain.iterate()).endswith("-> iterate -> map(square) -> filter(odd) -> Collect>")
    assert repr(domain.iterate()) == repr(hd.Range(5).iterate().map(square).filter(odd))
    assert domain.run() == [1, 9]


def test_inner_maps_stay() -> None:
    domain = hd.Subsets(hd.Range(3).map(square))
    assert "map" not in repr(domain.iterate()).rpartition("->")[2]
    assert domain.run() == list(domain)


def test_generate_keeps_a_filter_so_that_its_count_is_exact() -> None:
    drawn = hd.Range(100).filter(odd).generate(50, seed=1).run()
    assert len(drawn) == 50
    assert all(map(odd, drawn))
    assert len(hd.Range(100).generate(50, seed=1).filter(odd).run()) < 50


def test_a_pipeline_can_be_gone_through() -> None:
    assert list(hd.Range(10).iterate().filter(odd).take(3)) == [1, 3, 5]
    assert list(hd.Range(5).max()) == [4]
    endless = iter(hd.Range(10).generate(seed=4))
    assert [next(endless) for _ in range(5)] == hd.Range(10).generate(5, seed=4).run()


def test_one_action_and_nothing_behind_it() -> None:
    with pytest.raises(UsageError, match="before the action"):
        hd.Range(3).max().map(square)
    with pytest.raises(UsageError, match="one action"):
        hd.Range(3).max().min()


def test_endless_stream_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="never ends"):
        hd.Range(3).generate().run()
    assert hd.Range(3).generate().filter(lambda x: x == 2).first().run() == 2
    assert len(hd.Range(3).generate().take(4).run()) == 4


class Unsized(hd.Domain[int]):
    """Numbers without a known end."""

    @property
    def size(self) -> None:
        return None

    def _iterate(self) -> Any:
        return iter(range(5))


def test_domain_of_unknown_size_is_gone_through_in_this_process() -> None:
    domain = Unsized()
    assert list(domain.iterate().map(square)) == domain.map(square).run() == [0, 1, 4, 9, 16]
    assert domain.count().run() == 5
    assert domain.filter(odd).take(1).run() == [1]
    assert domain.take(0).run() == []
    assert domain.to_values().run() == [0, 1, 2, 3, 4]
    ctx = hd.SerialContext()
    assert domain.sum().run(ctx) == 10
    assert ctx.last_report is not None
    assert (ctx.last_report.steps, ctx.last_report.coverage) == (None, [(0, 5)])
    with pytest.raises(ZeroDivisionError) as caught:
        domain.map(lambda x: 1 // (x - 3)).run()
    assert caught.value.__notes__ == ["raised at step 3, element 3"]


def test_count_builds_no_elements() -> None:
    assert hd.Subsets(hd.Range(1000)).count().run() == 2**1000
    assert hd.Range(10**50).take(10**40).count().run() == 10**40


PIPELINES = st.sampled_from(
    [
        lambda d: d.iterate(),
        lambda d: d.iterate().map(repr),
        lambda d: d.iterate().map(repr).filter(lambda t: len(t) % 2),
        lambda d: d.iterate().map(repr).filter(lambda t: len(t) % 2).take(3),
        lambda d: (
            d.iterate().filter(lambda x: hash(repr(x)) % 2).take(9).map(repr).filter(len).take(5).count()
        ),
        lambda d: d.iterate().take(7).frequencies(repr),
        lambda d: d.iterate().map(repr).first(),
        lambda d: d.count(),
        lambda d: d.max(lambda x: len(repr(x)), size=2),
        lambda d: d.groups(lambda x: len(repr(x)), limit=2),
        lambda d: d.generate(20, seed=5).map(repr),
    ]
)


@settings(max_examples=150)
@given(domains(max_size=120), PIPELINES, st.randoms(use_true_random=False))
def test_any_cut_of_the_steps_in_any_order_gives_the_serial_result(
    domain: hd.Domain[Any], build: Any, rng: random.Random
) -> None:
    pipeline = build(domain)
    if not any(True for _ in domain):
        pipeline = domain.iterate()  # nothing can be drawn from it
    plan = compile_plan(pipeline)
    cuts = sorted({0, plan.steps, *(rng.randrange(plan.steps + 1) for _ in range(6))})
    ranges = list(itertools.pairwise(cuts))
    rng.shuffle(ranges)
    merger = Merger(plan.action)
    for start, stop in ranges:
        merger.add(start, stop, pickle.loads(pickle.dumps(plan.execute(start, stop))))
    assert merger.coverage() == ([(0, plan.steps)] if plan.steps else [])
    assert merger.result() == pipeline.run()
    if pipeline._action is None:
        assert list(pipeline) == pipeline.run()


def test_draws_depend_on_seed_and_step_alone() -> None:
    plan = compile_plan(hd.Subsets(hd.Range(50)).generate(100, seed=9))
    draws = plan.execute(0, 100)
    assert [plan.execute(i, i + 1)[0] for i in range(100)] == draws
    assert plan.execute(40, 77) == draws[40:77]
    assert compile_plan(hd.Subsets(hd.Range(50)).generate(100, seed=10)).execute(0, 100) != draws


def test_serial_submit_report_and_cancel() -> None:
    ctx = hd.SerialContext()
    run = ctx.submit(hd.Range(1000).sum())
    assert run.result(timeout=20) == 499500
    assert run.done()
    assert (run.report.state, run.report.coverage) == ("done", [(0, 1000)])
    endless = ctx.submit(hd.Range(10**15).map(square).sum())
    with pytest.raises(TimeoutError):
        endless.result(timeout=0.05)
    endless.cancel()
    with pytest.raises(hd.RemoteError, match="cancelled"):
        endless.result(timeout=20)


def test_serial_timeout_is_kept() -> None:
    ctx = hd.SerialContext()
    began = time.monotonic()
    total = hd.Range(10**15).map(square).sum().run(ctx, timeout=0.2)
    assert time.monotonic() - began < 10
    report = ctx.last_report
    assert report is not None
    assert report.state == "timeout"
    ((start, stop),) = report.coverage
    assert start == 0
    assert total == (stop - 1) * stop * (2 * stop - 1) // 6


def test_serial_error_tells_step_and_element() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        (hd.Range(1000) * hd.Range(1000)).map(lambda p: 1 // (p[0] * 1000 + p[1] - 70007)).count().run()
    assert caught.value.__notes__ == ["raised at step 70007, element (70, 7)"]


def stops(limit: int) -> Any:
    def stop(x: int) -> int:
        if x >= limit:
            next(iter(()))
        return x

    return stop


@pytest.mark.parametrize("size", [10, 100, 5000, 100_000])
@pytest.mark.parametrize("back", [1, 2, 3, 7])
@pytest.mark.parametrize(
    "build",
    [
        lambda d, f: d.iterate().map(f).sum(),
        lambda d, f: d.iterate().filter(f).count(),
        lambda d, f: d.iterate().map(f).filter(lambda x: x < 0).first(),
        lambda d, f: d.frequencies(f),
        lambda d, f: d.max(f),
        lambda d, f: (d.map(f) * hd.Range(1)).count(),
        lambda d, f: (d.map(f) * hd.Range(1)).iterate().map(sum).sum(),
        lambda d, f: hd.Join([d.filter(f)]).iterate().map(str).collect(),
    ],
)
def test_stop_iteration_in_a_function_is_an_error_and_loses_nothing(build: Any, size: int, back: int) -> None:
    """To ``map`` it means the end of the elements: the count would be too small, without a word."""
    pipeline = build(hd.Range(size), stops(size - back))
    if not pipeline.transformations and pipeline.chosen_action.name == "Count":
        assert pipeline.run() == size  # counting asks nobody
        return
    with pytest.raises((RuntimeError, StopIteration)):
        pipeline.run()
    plan = compile_plan(pipeline)
    with pytest.raises((RuntimeError, StopIteration)):
        plan.execute(0, size)


def test_stop_iteration_at_the_last_element_of_a_large_filtered_range() -> None:
    last = 40_000

    def stop_at_the_end(pair: tuple[int, int]) -> int:
        if pair[0] == last - 1:
            raise StopIteration
        return pair[0]

    domain = hd.Range(last + 1).filter(lambda x: x != last) * hd.Range(1)
    with pytest.raises(RuntimeError, match="StopIteration"):
        compile_plan(domain.map(stop_at_the_end).sum()).execute(0, last + 1)


def test_stop_iteration_is_an_error_when_a_pipeline_is_iterated() -> None:
    def stop(x: int) -> int:
        raise StopIteration

    for pipeline in (hd.Range(10).iterate().map(stop), hd.Range(10).iterate().filter(stop)):
        with pytest.raises(RuntimeError, match="StopIteration"):
            list(pipeline)


def test_an_exception_that_refuses_attributes_is_the_one_that_is_raised() -> None:
    class RefusingError(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError("read-only")

    def refuse(x: int) -> int:
        raise RefusingError

    with pytest.raises(RefusingError):
        hd.Range(10).map(refuse).run()


def test_system_exit_in_a_submitted_serial_run_is_no_result() -> None:
    run = hd.SerialContext().submit(hd.Range(3).map(sys.exit).collect())
    with pytest.raises(SystemExit):
        run.result(timeout=60)


def test_whether_a_take_is_used_up_is_not_asked_by_folding_again_and_again() -> None:
    folded = []

    class Counting(hd.Action[int, int, int]):
        def init(self) -> int:
            return 0

        def fold(self, partial: int, element: int) -> int:
            folded.append(element)
            return partial + 1

        def merge(self, left: int, right: int) -> int:
            return left + right

    stream = hd.Range(200_000).filter(lambda x: x % 2).take(50_000).filter(lambda x: x % 3)
    assert stream.action(Counting()).run() == len(folded) == 33_333
