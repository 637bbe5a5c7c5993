"""A run that goes on from a checkpoint has the result of the run that was never interrupted."""

from __future__ import annotations

import pickle
import random
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import haydi as hd
from haydi.checkpoint.keeper import open_checkpoint
from haydi.checkpoint.store import Store
from haydi.client.merging import Merger
from haydi.errors import CheckpointError, RunCancelledError, UsageError
from tests.strategies import domains

Pipe = hd.Pipeline[Any, Any]


def short(value: Any) -> int:
    return len(repr(value)) % 7


def turned(one: Any, two: Any) -> Any:
    """Not commutative, but associative."""
    return one + two


def mixed(one: Any, two: Any) -> Any:
    return (one, two)


ACTIONS: dict[str, Callable[[Pipe], Pipe]] = {
    "collect": lambda p: p,
    "count": lambda p: p.count(),
    "sum": lambda p: p.map(short).sum(),
    "float sum": lambda p: p.map(lambda x: short(x) / 7).sum(),
    "reduce": lambda p: p.map(repr).reduce(turned, "<"),
    "ordered reduce": lambda p: p.reduce(mixed, "<", associative=False),
    "max": lambda p: p.max(short),
    "max of size": lambda p: p.max(short, size=2),
    "min of size": lambda p: p.min(short, size=3),
    "groups": lambda p: p.groups(short, limit=2),
    "groups_counts": lambda p: p.groups_counts(short, limit=1),
    "frequencies": lambda p: p.frequencies(short),
    "first": lambda p: p.filter(lambda x: short(x) == 3).first("none"),
    "take": lambda p: p.filter(lambda x: short(x) > 2).take(4),
    "take and more": lambda p: (
        p.filter(short).take(9).filter(lambda x: short(x) > 3).take(3).map(short).sum()
    ),
    "take of nothing": lambda p: p.filter(short).take(0),
}


def part_of_the_work(pipeline: Pipe, file: Path, rng: random.Random) -> list[tuple[int, int]]:
    """Do some ranges of the steps, keep them in the file as a run would, and end."""
    keeper = open_checkpoint(file, pipeline)
    plan = keeper.plan
    merger = Merger(plan.action)
    merger.restore(keeper.pieces())
    todo = [pair for pair in ranges(min(plan.steps, 10**4), rng) if rng.random() < 0.6]
    rng.shuffle(todo)
    for start, stop in todo:
        if all(stop <= a or b <= start for a, b in merger.coverage()):
            payload = pickle.dumps(plan.execute(start, stop), protocol=5)
            merger.add(start, stop, pickle.loads(payload))
            keeper.add(start, stop, payload)
            if rng.random() < 0.3:
                keeper.hand_over(merger.blocks(), 0.0)
    keeper.close(merger.blocks(), finished=False, steps_done=merger.steps)
    return merger.coverage()


def ranges(steps: int, rng: random.Random) -> list[tuple[int, int]]:
    cuts = sorted({0, steps, *(rng.randrange(steps + 1) for _ in range(rng.randrange(9)))})
    return list(pairwise(cuts))


def check_resume(pipeline: Pipe, rng: random.Random) -> None:
    expected = pipeline.run()
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "run.haydi"
        for _ in range(rng.randrange(1, 3)):
            done = part_of_the_work(pipeline, file, rng)
        ctx = hd.SerialContext()
        result = ctx.run(pipeline, checkpoint=file)
        assert repr(result) == repr(expected)
        report = ctx.last_report
        assert report is not None
        assert report.state == "done"
        assert report.shares["serial"].steps + sum(b - a for a, b in done) == report.steps_done
        assert [path.name for path in Path(directory).iterdir()] == ["run.haydi"]
        # The finished file has the result, and nothing is computed.
        again = ctx.run(pipeline, checkpoint=str(file))
        assert repr(again) == repr(expected)
        report = ctx.last_report
        assert report is not None
        assert report.shares["serial"].steps == 0


@settings(max_examples=150)
@given(domains(max_size=120), st.sampled_from(sorted(ACTIONS)), st.integers(0, 2**32))
def test_random_pipelines(domain: hd.Domain[Any], action: str, seed: int) -> None:
    check_resume(ACTIONS[action](domain.iterate()), random.Random(seed))


U = hd.USet(4, "n")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "pipeline",
    [
        hd.Subsets(U * U).cnfs(),
        hd.Subsets(U * U).cnfs(with_orbit_size=True).count(),
        hd.Range(50).generate(200, seed="s").groups(short),
        hd.Range(50).generate(seed=5).filter(lambda x: x % 9 == 1).take(20),
        hd.Range(10**3000).filter(lambda x: x % 1009 == 1000).take(5),
    ],
)
def test_other_methods(pipeline: Pipe, seed: int) -> None:
    check_resume(pipeline, random.Random(seed))


def test_steps_beyond_64_bits_are_kept(file: Path) -> None:
    pipeline = hd.Range(2**200).filter(lambda x: x % 3 == 0).map(lambda x: x % 10**9).count()
    keeper = open_checkpoint(file, pipeline)
    payload = pickle.dumps(17)
    keeper.add(2**100, 2**150, payload)
    keeper.close([(2**100, 2**150, 17)], finished=False, steps_done=2**150 - 2**100)
    keeper = open_checkpoint(file, pipeline)
    assert list(keeper.pieces()) == [(2**100, 2**150, 17)]
    keeper.abandon()


def test_a_fresh_seed_is_kept(file: Path) -> None:
    ctx = hd.SerialContext()
    pipeline = hd.Range(10**9).generate(20_000)
    ctx.run(pipeline, timeout=0, checkpoint=file)
    assert ctx.last_report is not None
    seed = ctx.last_report.seed
    assert seed is not None
    result = ctx.run(pipeline, checkpoint=file)
    assert ctx.last_report.seed == seed
    assert result == hd.Range(10**9).generate(20_000, seed=seed).run()
    assert ctx.run(pipeline, checkpoint=file) == result
    with pytest.raises(
        CheckpointError, match=r"method was generate\(20000, seed=None\), now it is generate\(20000, seed=1"
    ):
        hd.Range(10**9).generate(20_000, seed=1).run(checkpoint=file)


class Stream(hd.Domain[int]):
    """Does not know its size."""

    def _iterate(self) -> Any:
        return iter(range(700))


def test_a_domain_of_unknown_size(file: Path, eager: None) -> None:
    pipeline = Stream().iterate().map(lambda x: x if x != 300 or file.with_suffix(".go").exists() else 1 // 0)
    with pytest.raises(ZeroDivisionError):
        pipeline.run(checkpoint=file)
    file.with_suffix(".go").touch()
    ctx = hd.SerialContext()
    assert ctx.run(pipeline, checkpoint=file) == list(range(700))
    assert ctx.last_report is not None
    assert 100 < ctx.last_report.shares["serial"].steps < 699
    assert ctx.run(pipeline, checkpoint=file) == list(range(700))
    assert ctx.last_report.shares["serial"].steps == 0


class Interrupter:
    """A function that ends the run from within at some element, until it is told not to."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self.at = at
        self.error = error

    def __reduce__(self) -> Any:
        return Interrupter, ()

    def __call__(self, x: int) -> int:
        if x == self.at:
            raise self.error
        return x


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_everything_merged_is_written_before_an_interrupt_leaves(
    file: Path, eager: None, error: type[BaseException]
) -> None:
    function = Interrupter(400, error)
    pipeline = hd.Range(1000).map(function).collect()
    ctx = hd.SerialContext()
    with pytest.raises(error):
        ctx.run(pipeline, checkpoint=file)
    report = ctx.last_report
    assert report is not None
    assert report.state == ("cancelled" if error is KeyboardInterrupt else "failed")
    ((start, stop),) = report.coverage
    assert start == 0
    assert 300 < stop <= 400
    assert report.partial() == list(range(stop))
    store = Store(file, write=False)
    assert sum(b - a for a, b, _ in store.pieces()) == stop
    store.close()
    function.at = -1
    assert ctx.run(pipeline, checkpoint=file) == list(range(1000))


def test_reports_of_runs_with_a_result_do_not_keep_it() -> None:
    ctx = hd.SerialContext()
    hd.Range(9).run(ctx)
    assert ctx.last_report is not None
    with pytest.raises(UsageError, match="result"):
        ctx.last_report.partial()


def test_the_partial_result_of_a_run_that_goes_on_is_a_copy(eager: None) -> None:
    run = hd.SerialContext().submit(hd.Range(10**12).map(lambda x: x).collect())
    while not run.report.coverage:
        pass
    partial = run.report.partial()
    assert partial == list(range(len(partial)))
    partial.clear()
    run.cancel()
    with pytest.raises(RunCancelledError):
        run.result(60)
    report = run.report
    assert report.partial() == list(range(report.steps_done))
    assert pickle.loads(pickle.dumps(report)).coverage == report.coverage


def test_a_timeout_leaves_a_file_that_goes_on(file: Path) -> None:
    ctx = hd.SerialContext()
    pipeline = hd.Range(3_000_000).map(lambda x: x % 1000).sum()
    results = 0
    while True:
        results += 1
        result = ctx.run(pipeline, timeout=0.05, checkpoint=file)
        assert ctx.last_report is not None
        if ctx.last_report.state == "done":
            break
        assert result < 1_498_500_000
    assert result == 1_498_500_000
    assert results > 1
