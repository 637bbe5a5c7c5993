"""What goes wrong is told: type, step, element, traceback, remedy."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

import haydi as hd
from haydi.errors import (
    NestedRunError,
    PoisonStepError,
    RemoteError,
    ResultNotPicklableError,
    UnpicklableError,
    UserCodeError,
)


def notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", ()))


@pytest.mark.parametrize("where", ["serial", "workers"])
@pytest.mark.parametrize("size", [10, 100_000])
def test_exception_of_user_code_tells_step_and_element(
    ctx: hd.DistributedContext, where: str, size: int
) -> None:
    def fails_at_seven(pair: tuple[int, int]) -> float:
        return 1 / (pair[0] - 7)

    context = hd.SerialContext() if where == "serial" else ctx
    domain = (hd.Range(10) * hd.Range(size // 10)).map(fails_at_seven)
    with pytest.raises(ZeroDivisionError) as caught:
        domain.sum().run(context)
    step = 7 * (size // 10)
    text = notes(caught.value)
    assert "fails_at_seven" in text or where == "serial"
    assert context.last_report is not None
    (failure,) = context.last_report.failures
    assert context.last_report.state == "failed"
    if where == "serial" or size == 10:
        assert (failure.step, failure.stop, failure.element) == (step, step + 1, "(7, 0)")
    assert failure.step >= step
    assert f"step {failure.step}, element (7, " in text
    assert "ZeroDivisionError" in failure.traceback


def test_error_behind_the_result_does_not_matter(ctx: hd.DistributedContext) -> None:
    def fails_late(x: int) -> int:
        if x > 600:
            raise ValueError(x)
        return x

    pipeline = hd.Range(10**6).map(fails_late).filter(lambda x: x == 600).first()
    assert pipeline.run() == pipeline.run(ctx) == 600


def test_error_before_the_result_is_the_first_one(ctx: hd.DistributedContext) -> None:
    def fails(x: int) -> int:
        if x >= 600:
            raise ValueError(x)
        return x

    pipeline = hd.Range(10**6).map(fails).filter(lambda x: x == 700).first()
    for context in (hd.SerialContext(), ctx):
        with pytest.raises(ValueError, match="600") as caught:
            pipeline.run(context)
        assert caught.value.args == (600,)
    assert hd.Range(100).sum().run(ctx) == 4950


class OwnError(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


def test_exception_that_cannot_be_rebuilt(ctx: hd.DistributedContext) -> None:
    def fails(x: int) -> None:
        raise OwnError(x, x)  # its pickle calls it with one argument

    with pytest.raises(UserCodeError, match="OwnError") as caught:
        hd.Range(3).map(fails).run(ctx)
    assert "OwnError" in notes(caught.value)
    assert " and " in str(caught.value)


def test_system_exit_in_user_code_is_an_error_not_an_exit(ctx: hd.DistributedContext) -> None:
    with pytest.raises(UserCodeError, match="SystemExit"):
        hd.Range(3).map(lambda x: exit(1)).run(ctx)
    assert ctx.worker_count == 2


def test_nested_parallel_run_is_refused(ctx: hd.DistributedContext) -> None:
    def worker(x: int) -> Any:
        return hd.Range(x).collect().run(True)

    with pytest.raises(NestedRunError, match=r"use run\(\)"):
        hd.Range(100).map(worker).run(ctx)


def test_serial_run_inside_a_worker_works(ctx: hd.DistributedContext) -> None:
    assert hd.Range(5).map(lambda x: hd.Range(x).sum().run()).run(ctx) == [0, 0, 1, 3, 6]


def test_unpicklable_function_is_named(ctx: hd.DistributedContext) -> None:
    lock = threading.Lock()

    def uses_a_lock(x: int) -> int:
        with lock:
            return x

    with pytest.raises(UnpicklableError, match="uses_a_lock"):
        hd.Range(3).map(uses_a_lock).run(ctx)


def test_unpicklable_result_is_an_error(ctx: hd.DistributedContext) -> None:
    with pytest.raises(ResultNotPicklableError, match="generator"):
        hd.Range(3).map(lambda x: (y for y in range(x))).run(ctx)
    assert hd.Range(3).run(ctx) == [0, 1, 2]


def test_module_that_is_missing_on_the_worker(ctx: hd.DistributedContext, tmp_path: Any) -> None:
    import importlib.util
    import sys

    file = tmp_path / "only_here.py"
    file.write_text("def f(x):\n    return x\n")
    spec = importlib.util.spec_from_file_location("only_here", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["only_here"] = module
    spec.loader.exec_module(module)
    try:
        with pytest.raises(RemoteError, match=r"only_here(.|\n)*importable"):
            hd.Range(3).map(module.f).run(ctx)
    finally:
        del sys.modules["only_here"]


def test_step_that_kills_its_process_ends_the_run(ctx: hd.DistributedContext) -> None:
    def deadly(x: int) -> int:
        import os

        if x == 5:
            os._exit(9)
        return x

    with pytest.raises(
        PoisonStepError, match=r"step 5, element 5: each of 3 processes .* exited with code 9"
    ):
        hd.Range(10).map(deadly).run(ctx)
    assert hd.Range(3).run(ctx) == [0, 1, 2]


@pytest.mark.parametrize("where", ["serial", "workers"])
@pytest.mark.parametrize("timeout", [0.5, timedelta(seconds=0.5)])
def test_timeout_returns_the_merged_part_and_its_coverage(
    ctx: hd.DistributedContext, where: str, timeout: Any
) -> None:
    context = hd.SerialContext() if where == "serial" else ctx
    result = hd.Range(10**14).collect().run(context, timeout=timeout)
    report = context.last_report
    assert report is not None
    assert report.state == "timeout"
    assert report.steps == 10**14
    assert 0 < report.steps_done < 10**14
    assert result == [x for start, stop in report.coverage for x in range(start, stop)]


def test_timeout_of_zero_covers_nothing(ctx: hd.DistributedContext) -> None:
    assert hd.Range(10**6).map(lambda x: x).sum().run(timeout=0) == 0
    assert hd.Range(10**12).map(lambda x: x).sum().run(ctx, timeout=0) >= 0


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"spawn_workers": -1}, ValueError, "spawn_workers=-1"),
        ({"spawn_workers": "4"}, TypeError, "spawn_workers='4'"),
        ({"port": 0}, ValueError, "port=0"),
        ({"port": "8787"}, TypeError, "port='8787'"),
        ({"ip": 5}, TypeError, "ip=5"),
        ({"connect_timeout": -1}, ValueError, "connect_timeout=-1"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        hd.DistributedContext(**arguments)


def test_no_scheduler_is_said_clearly() -> None:
    with pytest.raises(ConnectionError, match=r"no haydi-scheduler answers at 127\.0\.0\.1:9"):
        hd.DistributedContext(port=9, connect_timeout=0.3)


def test_run_true_without_a_context_says_how_to_set_one() -> None:
    with pytest.raises(hd.UsageError, match="set_parallel_context"):
        hd.Range(3).run(True)


def test_run_with_something_else() -> None:
    with pytest.raises(TypeError, match="ctx='yes'"):
        hd.Range(3).run("yes")  # type: ignore[arg-type]


class Unsized(hd.Domain[int]):
    def _iterate(self) -> Any:
        return iter(range(5))


def test_domain_of_unknown_size_says_what_to_do(ctx: hd.DistributedContext) -> None:
    with pytest.raises(hd.UsageError, match="to_values"):
        Unsized().run(ctx)
    assert Unsized().to_values().run(ctx) == [0, 1, 2, 3, 4]
