"""Steps that end their process, each in its own way, on spawned clusters and on daemons started by hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import haydi as hd
from haydi.errors import ArgumentTypeError, ArgumentValueError, PoisonStepError, RemoteError
from tests.processes.conftest import Daemons, eventually, worker_tree
from tests.processes.fatal import aborts, crashes, fatal, kills_itself, leaves, swells

WAYS: dict[str, tuple[Callable[[], None], str]] = {
    "exit": (leaves, "exited with code 9"),
    "segfault": (crashes, "was ended by SIGSEGV"),
    "SIGKILL": (kills_itself, "was ended by SIGKILL"),
    "abort": (aborts, "was ended by SIGABRT"),
    "memory": (swells, r"was ended for using too much memory \(used \d+\.\d MiB of 200\.0 MiB\)"),
}


@pytest.fixture(scope="module")
def small() -> Iterator[hd.DistributedContext]:
    with hd.DistributedContext(spawn_workers=2, memory_limit="200MiB") as context:
        yield context


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("size", "step"), [(10, 5), (300_000, 123_456)])
def test_a_step_that_ends_its_process_is_named(
    small: hd.DistributedContext, way: str, size: int, step: int
) -> None:
    how, text = WAYS[way]
    with pytest.raises(PoisonStepError, match=text) as caught:
        hd.Range(size).map(fatal(how, step)).sum().run(small)
    error = caught.value
    assert (error.step, error.element) == (step, str(step))
    assert f"step {step}, element {step}: each of 3 processes that ran it" in str(error)
    assert error.pid > 0
    assert error.host in str(error)
    assert (error.signal, error.exit_code) == {
        "exit": (None, 9),
        "segfault": ("SIGSEGV", None),
        "SIGKILL": ("SIGKILL", None),
        "abort": ("SIGABRT", None),
        "memory": ("SIGKILL", None),
    }[way]
    assert (error.memory is not None) == (way == "memory")
    if way == "segfault":
        assert "crashes" in error.stderr
        assert "nursery" not in error.stderr
    if way == "abort":
        assert "a last word" in error.stderr
    report = small.last_report
    assert report is not None
    assert (report.state, report.failures, report.failures_total) == ("failed", [error.failure], 1)
    assert hd.Range(3).run(small) == [0, 1, 2]


@pytest.mark.parametrize("way", WAYS)
def test_a_step_that_ends_its_process_is_skipped(small: hd.DistributedContext, way: str) -> None:
    steps = [0, 70_000, 70_001, 99_999] if way != "memory" else [70_000]
    how, text = WAYS[way]
    pipeline = hd.Range(100_000).map(fatal(how, *steps)).collect()
    assert pipeline.run(small, on_error="skip") == [x for x in range(100_000) if x not in steps]
    report = small.last_report
    assert report is not None
    assert (report.state, report.coverage) == ("done", [(0, 100_000)])
    assert [(f.step, f.element) for f in report.failures] == [(x, str(x)) for x in steps]
    assert report.failures_total == len(steps)
    for failure in report.failures:
        assert text.split(" (")[0].split(r" \(")[0] in failure.error
        assert failure.deaths == 3
        assert (failure.memory is not None) == (way == "memory")


@pytest.mark.parametrize("way", WAYS)
def test_a_process_that_dies_once_changes_nothing(
    small: hd.DistributedContext, tmp_path: Path, way: str
) -> None:
    how, _ = WAYS[way]
    once = str(tmp_path / "once")

    def function(x: int) -> int:
        if x == 50_000:
            try:
                os.close(os.open(once, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return x
            how()
        return x

    assert hd.Range(100_000).map(function).run(small) == list(range(100_000))
    assert small.last_report is not None
    assert small.last_report.failures == []
    assert os.path.exists(once)


def test_daemons_by_hand(daemons: Daemons) -> None:
    daemons.worker(1, "--memory-limit", "200MiB", "--deaths-allowed", "2")
    daemons.worker(1, "--memory-limit", "200MiB", "--deaths-allowed", "2")
    with daemons.connect(2) as ctx:
        assert hd.Range(1000).map(fatal(leaves, 3, 500)).count().run(ctx, on_error="skip") == 998
        assert ctx.last_report is not None
        assert [(f.step, f.deaths) for f in ctx.last_report.failures] == [(3, 2), (500, 2)]
        with pytest.raises(PoisonStepError, match=r"of 200\.0 MiB\)") as caught:
            hd.Range(10).map(fatal(swells, 7)).run(ctx)
        assert caught.value.step == 7
        assert hd.Range(3).run(ctx) == [0, 1, 2]
        assert ctx.worker_count == 2, "the daemons live on"


def test_poison_counts_only_where_the_result_needs_it(small: hd.DistributedContext) -> None:
    pipeline = hd.Range(10**6).map(fatal(leaves, 700, 900)).filter(lambda x: x >= 600).first()
    assert pipeline.run(small) == 600
    later = hd.Range(10**6).map(fatal(leaves, 700, 900)).filter(lambda x: x >= 800).first()
    with pytest.raises(PoisonStepError) as caught:
        later.run(small)
    assert caught.value.step == 700
    assert later.run(small, on_error="skip") == 800


def test_other_processes_go_on_meanwhile(small: hd.DistributedContext) -> None:
    poison = small.submit(hd.Range(2000).map(fatal(leaves, *range(0, 2000, 100))).count(), on_error="skip")
    assert hd.Range(300_000).map(lambda x: x % 7).sum().run(small) == sum(x % 7 for x in range(300_000))
    assert poison.result(timeout=60) == 2000 - 20
    assert poison.report.failures_total == 20


class Rude:
    """An element that does not want to be shown."""

    def __init__(self, how: Callable[[], Any]) -> None:
        self.how = how

    def __repr__(self) -> str:
        return str(self.how())


def raises() -> None:
    raise ValueError("no")


def hangs() -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("how", "text"),
    [
        (raises, "whose repr raises ValueError"),
        (leaves, r"ends its process, too \(exit code 9\)"),
        (kills_itself, r"ends its process, too \(SIGKILL\)"),
        (hangs, "takes more than"),
    ],
)
def test_elements_that_cannot_be_shown_do_no_harm(
    small: hd.DistributedContext, how: Callable[[], Any], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haydi.client.elements.SECONDS_MOST", 1.0)
    with pytest.raises(PoisonStepError, match=text) as caught:
        hd.Values([Rude(how)]).map(lambda element: leaves()).run(small)
    assert caught.value.step == 0


def test_a_plan_that_ends_its_process_is_no_poison_step(small: hd.DistributedContext) -> None:
    class Mine:
        def __reduce__(self) -> Any:
            return os._exit, (5,)

    mine = Mine()
    with pytest.raises(RemoteError, match=r"cannot be loaded on worker(.|\n)*exited with code 5") as caught:
        hd.Range(100).map(lambda x: (x, mine)).run(small, on_error="skip")
    assert not isinstance(caught.value, PoisonStepError)
    assert hd.Range(3).run(small) == [0, 1, 2]


def test_kills_by_somebody_else_are_no_poison(ctx: hd.DistributedContext) -> None:
    run = ctx.submit(hd.Range(2_000_000).map(lambda x: sum(range(x % 50))).sum(), on_error="skip")
    for _ in range(6):
        assert eventually(lambda: len(worker_tree(ctx)[1]) == 2)
        before = run.report.steps_done
        assert eventually(lambda: run.report.steps_done > before or run.done())  # noqa: B023
        for victim in worker_tree(ctx)[1]:
            victim.kill()
    assert run.result(timeout=60) == sum(sum(range(x % 50)) for x in range(2_000_000))
    assert run.report.failures == []


# --- exceptions -------------------------------------------------------------------------------------------


def picky(x: int) -> int:
    if x % 1000 == 7:
        raise KeyError(x)
    return x


@pytest.mark.parametrize(
    "pipeline",
    [
        hd.Range(100_000).map(picky).collect(),
        hd.Range(100_000).filter(picky).count(),
        hd.Range(100_000).map(picky).filter(lambda x: x > 5004).take(5).collect(),
        hd.Range(100_000).max(lambda x: picky(x) % 77, size=3),
        hd.Range(100_000).groups(lambda x: picky(x) % 5, limit=4),
        hd.Range(10**30).map(picky).filter(lambda x: x > 9_006).first(),
    ],
    ids=str,
)
def test_exceptions_are_skipped_as_in_this_process(
    ctx: hd.DistributedContext, pipeline: hd.Pipeline[Any, Any]
) -> None:
    serial = hd.SerialContext()
    expected = pipeline.run(serial, on_error="skip")
    assert pipeline.run(ctx, on_error="skip") == expected
    assert serial.last_report is not None
    assert ctx.last_report is not None
    mine = [(f.step, f.stop, f.element, f.error) for f in serial.last_report.failures]
    theirs = [(f.step, f.stop, f.element, f.error) for f in ctx.last_report.failures]
    assert mine
    assert theirs[: len(mine)] == mine
    if not pipeline.chosen_action.early and "take" not in str(pipeline):
        assert theirs == mine
        assert ctx.last_report.failures_total == len(mine)
        assert ctx.last_report.coverage == [(0, 100_000)]
    assert all(f.pid != os.getpid() and "picky" in f.traceback for f in ctx.last_report.failures)


def test_submit_skips_too(ctx: hd.DistributedContext) -> None:
    run = ctx.submit(hd.Range(3000).map(picky).sum(), on_error="skip")
    assert run.result(timeout=60) == sum(x for x in range(3000) if x % 1000 != 7)
    assert [f.step for f in run.report.failures] == [7, 1007, 2007]


@pytest.mark.parametrize("call", ["run", "submit"])
def test_anything_else_is_refused_at_the_call(ctx: hd.DistributedContext, call: str) -> None:
    with pytest.raises(ArgumentValueError, match="on_error='stop'"):
        getattr(ctx, call)(hd.Range(3).sum(), on_error="stop")


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"memory_limit": "1GiB"}, ArgumentValueError, "only for workers that are started here"),
        ({"memory_limit": "much", "spawn_workers": 1}, ArgumentValueError, "memory_limit='much'"),
        ({"memory_limit": "1MB", "spawn_workers": 1}, ArgumentValueError, "too little for any process"),
        ({"memory_limit": None, "spawn_workers": 1}, ArgumentTypeError, "memory_limit=None"),
    ],
)
def test_memory_limits_that_cannot_work(arguments: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        hd.DistributedContext(**arguments)


def test_the_command_refuses_them_too(daemons: Daemons) -> None:
    worker = daemons.worker(1, "--memory-limit", "much")
    assert worker.wait(20) == 2
    assert worker.stderr is not None
    assert "--memory-limit='much': a size is needed, for example 500MB or 2GiB" in worker.stderr.read()
