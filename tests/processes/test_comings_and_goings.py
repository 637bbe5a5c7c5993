"""Daemons, schedulers and clients that go and come back, as real processes."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

import haydi as hd
from haydi.client.core import RunCore
from haydi.errors import ConnectionFailedError, PoisonStepError, RunLostError
from haydi.monitor.ask import Monitor, OrderRefusedError
from haydi.wire import messages as m
from tests.processes.conftest import Daemons, alive, environment, eventually, worker_tree
from tests.processes.fatal import fatal, leaves, swells


def slowly(x: int) -> int:
    time.sleep(0.001)
    return x * x


def slow_sum(steps: int) -> hd.Pipeline[int, Any]:
    return hd.Range(steps).map(slowly).sum()


def squares(steps: int) -> int:
    return sum(x * x for x in range(steps))


def told_by(process: subprocess.Popen[str]) -> str:
    """All that an ended process wrote on stderr."""
    assert process.stderr is not None
    return process.stderr.read()


def status(daemons: Daemons) -> dict[str, Any]:
    with Monitor("127.0.0.1", daemons.port) as monitor:
        return monitor.status()


def progresses(run: hd.Run[Any]) -> bool:
    """Wait until more is merged than now."""
    merged = run.report.steps_done
    return eventually(lambda: run.report.steps_done > merged)


# --- the scheduler ----------------------------------------------------------------------------------------


def restart_scheduler(daemons: Daemons) -> subprocess.Popen[str]:
    daemons.scheduler = daemons.start(
        "haydi.scheduler", "--port", str(daemons.port), "--restart-grace", "20s"
    )
    return daemons.scheduler


def test_a_scheduler_that_is_killed_and_started_again_changes_nothing(
    daemons: Daemons, caplog: pytest.LogCaptureFixture
) -> None:
    """Twice, with several runs, an early exit among them; all sides say how long it took."""
    worker = daemons.worker(2)
    early = hd.Range(10**9).map(slowly).filter(lambda x: x == 1500**2).first()
    with daemons.connect(2) as ctx:
        runs = [ctx.submit(slow_sum(3000)), ctx.submit(hd.Range(3000).map(slowly).collect())]
        found = ctx.submit(early)
        for _ in range(2):
            assert progresses(runs[0])
            daemons.scheduler.kill()
            daemons.scheduler.wait()
            assert eventually(lambda: not ctx._link.connected)
            scheduler = restart_scheduler(daemons)
        assert runs[0].result(timeout=60) == squares(3000)
        assert runs[1].result(timeout=60) == [x * x for x in range(3000)]
        assert found.result(timeout=60) == 1500**2
        assert [run.report.coverage for run in runs] == [[(0, 3000)]] * 2
        assert slow_sum(10).run(ctx) == squares(10), "the context goes on"
    assert len(re.findall(r"is back after \d+\.\d s", caplog.text)) == 2
    for process in (worker, scheduler):
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert len(re.findall(r"back after \d+\.\d s", told_by(worker))) == 2
    told = told_by(scheduler)
    assert re.search(r"worker .* is back after \d+\.\d s", told)
    assert re.search(r"client .* is back after \d+\.\d s", told)


def test_a_scheduler_that_never_comes_back_ends_the_run_in_time(daemons: Daemons) -> None:
    worker = daemons.worker(1, "--death-timeout", "1s")
    daemons.connect(1).close()
    ctx = hd.DistributedContext(port=daemons.port, scheduler_timeout=timedelta(seconds=1.5))
    with ctx:
        run = ctx.submit(slow_sum(10**6))
        assert eventually(lambda: run.report.steps_done > 0)
        daemons.scheduler.kill()
        with pytest.raises(RunLostError) as lost:
            run.result(timeout=20)
        for text in (daemons.address, r"since \d\d:\d\d:\d\d", r"within \d\.\d s", "start one there",
                     rf"{run.report.steps_done} of 1000000 steps were merged"):  # fmt: skip
            assert re.search(text, str(lost.value)), text
        assert run.report.coverage
        with pytest.raises(RunLostError):
            slow_sum(10).run(ctx)
    # It asks for 30 s of patience by itself, which is more than the worker's own: nobody stays for ever.
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_scheduler_of_a_local_cluster_is_started_again(
    how: signal.Signals, caplog: pytest.LogCaptureFixture, no_leftovers: object
) -> None:
    with hd.DistributedContext(spawn_workers=2) as ctx:
        run = ctx.submit(slow_sum(4000))
        assert eventually(lambda: run.report.steps_done > 0)
        assert ctx._cluster is not None
        before = ctx._cluster._scheduler.pid
        os.kill(before, how)
        assert run.result(timeout=60) == squares(4000)
        assert run.report.coverage == [(0, 4000)]
        assert ctx._cluster._scheduler.pid != before
        assert slow_sum(10).run(ctx) == squares(10)
    assert "starting it again at port" in caplog.text
    assert "is back after" in caplog.text


# --- daemons ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_daemon_that_is_stopped_and_continued_changes_nothing_and_joins_again(daemons: Daemons) -> None:
    """Its compute processes go on meanwhile, and their results are of no incarnation that anybody knows."""
    sleeper = daemons.worker(1, "--name", "sleeper")
    daemons.worker(1, "--name", "other")
    with daemons.connect(2) as ctx:
        run = ctx.submit(slow_sum(20_000))
        assert eventually(lambda: any("sleeper" in name for name in run.report.shares))
        sleeper.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        try:
            assert eventually(lambda: ctx.worker_count == 1, 20)
            assert time.monotonic() - began > 5
        finally:
            sleeper.send_signal(signal.SIGCONT)
        assert eventually(lambda: ctx.worker_count == 2), "it is there again"
        assert run.result(timeout=60) == squares(20_000)
        assert run.report.coverage == [(0, 20_000)]


def hold_the_gil(x: int) -> int:
    import ctypes

    ctypes.PyDLL(None).sleep(12 if x == 0 else 0)  # a C call that keeps the lock of the interpreter
    return x


@pytest.mark.slow
def test_a_function_that_holds_the_gil_for_long_is_waited_for(daemons: Daemons) -> None:
    daemons.worker(1)
    with daemons.connect(1) as ctx:
        assert hd.Range(2).map(hold_the_gil).collect().run(ctx) == [0, 1]
    daemons.scheduler.send_signal(signal.SIGTERM)
    daemons.scheduler.wait(10)
    assert "gone: silent" not in told_by(daemons.scheduler)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "retire", "lifetime"])
def test_a_daemon_leaves_without_losing_what_it_computed(daemons: Daemons, how: str, tmp_path: Path) -> None:
    """Each step is computed once: the calls are counted in a file."""
    calls = str(tmp_path / "calls")

    def counted(x: int) -> int:
        with open(calls, "a") as file:
            file.write(".")
        time.sleep(0.002)
        return x

    leaver = daemons.worker(2, "--name", "leaver", *(["--lifetime", "3s"] if how == "lifetime" else []))
    with daemons.connect(2) as ctx:
        run = ctx.submit(hd.Range(3000).map(counted).sum())
        assert eventually(lambda: run.report.steps_done > 0)
        daemons.worker(1, "--name", "other")
        ctx.wait_for_workers(3, timeout=20)
        if how == "retire":
            with Monitor("127.0.0.1", daemons.port) as monitor:
                assert "leaver" in monitor.retire("leav")["worker"]
        elif how != "lifetime":
            leaver.send_signal(signal.Signals[how])
        assert leaver.wait(20) == 0
        assert run.result(timeout=60) == sum(range(3000))
        assert os.path.getsize(calls) == 3000
    told = told_by(leaver)
    assert "leaving: " in told
    assert "worker ends: left: " in told
    assert "elsewhere" not in told


def stuck_run(ctx: hd.DistributedContext, path: Path) -> hd.Run[Any]:
    """A run that is in a C call which no signal ends."""
    begun = path / "begun"

    def stick(x: int) -> int:
        begun.touch()
        return sum(range(10**12))

    run = ctx.submit(hd.Range(1).map(stick).sum())
    assert eventually(begun.exists)
    return run


def test_a_stride_that_is_longer_than_the_grace_is_given_up(daemons: Daemons, tmp_path: Path) -> None:
    leaver = daemons.worker(1, "--leave-grace", "0.5s")
    with daemons.connect(1) as ctx:
        run = stuck_run(ctx, tmp_path)
        leaver.send_signal(signal.SIGTERM)
        assert leaver.wait(20) == 0
        assert "1 steps run elsewhere" in told_by(leaver)
        assert not run.done()
        assert [r["unassigned"] for r in status(daemons)["runs"]] == [1]
        run.cancel()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_wait(daemons: Daemons, second: signal.Signals, tmp_path: Path) -> None:
    leaver = daemons.worker(1, "--leave-grace", "1h")
    with daemons.connect(1) as ctx:
        run = stuck_run(ctx, tmp_path)
        leaver.send_signal(signal.SIGTERM)
        assert eventually(lambda: [w["state"] for w in status(daemons)["workers"]] == ["leaving"])
        leaver.send_signal(second)
        assert leaver.wait(20) == 0
        run.cancel()


# --- clients ----------------------------------------------------------------------------------------------

CLIENT = """
    import haydi as hd
    ctx = hd.DistributedContext({where})
    def work(x):
        return sum(range(10**12))  # in C, with the lock of the interpreter
    run = ctx.submit(hd.Range(4).map(work).sum())
    print("ready", flush=True)
    run.result()
"""


def start_client(tmp_path: Path, where: str) -> subprocess.Popen[str]:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(CLIENT.format(where=where)))
    client = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, env=environment(), text=True
    )
    assert client.stdout is not None
    assert client.stdout.readline() == "ready\n"
    return client


def test_a_killed_client_s_run_is_cancelled_on_the_cluster(daemons: Daemons, tmp_path: Path) -> None:
    """Also where its function is in a C call that listens to nobody; then others can use the slots."""
    daemons.worker(2)
    with daemons.connect(2) as ctx:
        with start_client(tmp_path, f"port={daemons.port}") as client:
            assert eventually(lambda: any(w["held"] for w in status(daemons)["workers"]))
            client.kill()
        assert eventually(lambda: not status(daemons)["runs"], 5)
        assert slow_sum(100).run(ctx, timeout=20) == squares(100)
        assert status(daemons)["runs"] == []


def test_a_killed_client_s_own_cluster_is_gone(tmp_path: Path, no_leftovers: object) -> None:
    with start_client(tmp_path, "spawn_workers=2") as client:
        process = psutil.Process(client.pid)
        assert eventually(lambda: len(process.children(recursive=True)) == 5)
        tree = process.children(recursive=True)
        client.kill()
    assert eventually(lambda: not any(alive(p.pid) for p in tree), 5)


# --- operators --------------------------------------------------------------------------------------------


def haydi_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "haydi.cli", *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=30,
        check=False,
    )


def test_status_and_retire(daemons: Daemons) -> None:
    workers = [daemons.worker(1, "--name", name) for name in ("node1", "node2")]
    with daemons.connect(2) as ctx:
        run = ctx.submit(slow_sum(10**5), priority=3)
        assert eventually(lambda: run.report.steps_done > 0)
        table = haydi_command("status", daemons.address)
        assert table.returncode == 0
        for text in (
            "2 workers with 2 slots",
            "1 client",
            "1 run",
            "node1",
            "node2",
            "100000",
            "PRIORITY",
            "working",
        ):
            assert text in table.stdout
        told = json.loads(haydi_command("status", daemons.address, "--json").stdout)
        assert {w["name"] for w in told["workers"]} == {"node1", "node2"}
        assert told["runs"][0]["priority"] == 3
        several = haydi_command("retire", daemons.address, "node")
        assert several.returncode == 1
        assert "means 2 workers" in several.stderr
        none = haydi_command("retire", daemons.address, "nobody")
        assert none.returncode == 1
        assert "node2" in none.stderr
        one = haydi_command("retire", daemons.address, f"{told['workers'][0]['host']}:{workers[0].pid}")
        assert (one.returncode, one.stderr) == (0, "")
        assert "was told to leave" in one.stdout
        assert workers[0].wait(20) == 0
        assert eventually(lambda: ctx.worker_count == 1)
        run.cancel()
        with (
            Monitor("127.0.0.1", daemons.port) as monitor,
            pytest.raises(OrderRefusedError, match="no worker"),
        ):
            monitor.retire("node1")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["status", "127.0.0.1:9", "--patience", "0.3"], 3, "no haydi-scheduler answers at 127.0.0.1:9"),
        (["status", "127.0.0.1:99999"], 2, "HOST:PORT"),
        (["retire", "127.0.0.1"], 2, "Missing argument"),
    ],
)
def test_orders_that_cannot_be_given(arguments: list[str], code: int, text: str) -> None:
    done = haydi_command(*arguments)
    assert done.returncode == code
    assert text in done.stderr


def test_a_monitor_does_not_wait_for_ever() -> None:
    with pytest.raises(ConnectionFailedError, match="within"):
        Monitor("127.0.0.1", 9, 0.2)


# --- shares -----------------------------------------------------------------------------------------------


def test_a_flood_of_runs_does_not_starve_another_client(daemons: Daemons) -> None:
    daemons.worker(2)
    with daemons.connect(2) as many, daemons.connect(2) as one:
        flood = [many.submit(slow_sum(100_000)) for _ in range(100)]
        assert eventually(lambda: any(run.report.steps_done for run in flood))
        # Alone it takes some 0.5 s; with an even share twice as much; as one of 101 it would be a minute.
        assert slow_sum(1000).run(one, timeout=20) == squares(1000)
        assert one.last_report is not None
        assert one.last_report.state == "done"
        for run in flood:
            run.cancel()


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "2", True, None])
@pytest.mark.parametrize("how", ["run", "submit"])
def test_a_priority_that_is_none_is_refused(value: Any, how: str) -> None:
    call: Callable[..., object] = getattr(hd.SerialContext(), how)
    with pytest.raises(hd.UsageError, match=rf"priority={value!r}".replace("(", r"\(")):
        call(hd.Range(3).sum(), priority=value)


def test_all_contexts_take_a_priority(ctx: hd.DistributedContext) -> None:
    for context in (hd.SerialContext(), ctx):
        assert hd.Range(4).sum().run(context, priority=0.5) == 6
        assert context.submit(hd.Range(4).sum(), priority=2).result(timeout=20) == 6
    with pytest.raises(hd.UsageError, match="priority=0"):
        hd.Range(4).sum().run(ctx, priority=0)
    assert worker_tree(ctx)


# --- together with what fails -----------------------------------------------------------------------------


def test_a_run_that_skips_outlives_schedulers_workers_and_its_own_program(
    daemons: Daemons, tmp_path: Path
) -> None:
    """Steps that kill and steps that raise are told once, by whichever start of the program comes to the end."""
    file = tmp_path / "run.haydi"
    pipeline = (
        hd.Range(4000).map(slowly).map(fatal(leaves, 10**2, 2000**2, 3500**2)).map(no_cube_root).count()
    )
    worker = daemons.worker(2)
    with daemons.connect(2) as ctx:
        run = ctx.submit(pipeline, checkpoint=file, on_error="skip", priority=2)
        assert eventually(lambda: run.report.failures_total >= 2, 30)
        daemons.scheduler.kill()
        daemons.scheduler.wait()
        assert eventually(lambda: not ctx._link.connected)
        restart_scheduler(daemons)
        assert progresses(run)
        run.cancel()
    daemons.worker(2)
    with daemons.connect(3) as ctx:
        worker.send_signal(signal.SIGTERM)
        assert pipeline.run(ctx, checkpoint=file, on_error="skip") == 4000 - 7
        report = ctx.last_report
        assert report is not None
        assert report.coverage == [(0, 4000)]
        assert {f.step: f.deaths for f in report.failures} == (
            dict.fromkeys((10, 2000, 3500), 3) | dict.fromkeys(range(1, 4000, 1000), 0)
        )
        assert report.failures_total == 7
        assert all(f.element is not None for f in report.failures)


def no_cube_root(square: int) -> int:
    if math.isqrt(square) % 1000 == 1:
        raise ValueError(f"no cube root of {square}")
    return square


def test_a_local_cluster_whose_parts_are_started_again_keeps_its_limits(no_leftovers: object) -> None:
    with hd.DistributedContext(spawn_workers=1, memory_limit="150MiB") as ctx:
        run = ctx.submit(hd.Range(3000).map(slowly).map(fatal(swells, 2900**2)).count(), on_error="skip")
        assert eventually(lambda: run.report.steps_done > 0)
        assert ctx._cluster is not None
        os.kill(ctx._cluster._scheduler.pid, signal.SIGKILL)
        assert progresses(run)
        supervisor, _ = worker_tree(ctx)
        supervisor.kill()
        assert run.result(60) == 2999
        (failure,) = run.report.failures
        assert (failure.step, failure.deaths) == (2900, 3)
        assert failure.memory is not None
        assert "of 150.0 MiB" in failure.memory


@pytest.mark.parametrize("skip", ["skip", "raise"])
def test_a_time_limit_while_steps_are_suspected_is_kept(skip: Any, no_leftovers: object) -> None:
    """Every step ends its process: there is always one on trial when the time is over."""
    with hd.DistributedContext(spawn_workers=2) as ctx:
        pipeline = hd.Range(10**6).map(kill_slowly).count()
        if skip == "skip":
            found = pipeline.run(ctx, timeout=2.0, on_error=skip)
            report = ctx.last_report
            assert report is not None
            assert report.state == "timeout"
            assert found == 0
            assert report.failures_total == report.steps_done
        else:
            with pytest.raises(PoisonStepError):
                pipeline.run(ctx, timeout=60.0, on_error=skip)
        assert hd.Range(9).sum().run(ctx) == 36


def kill_slowly(x: int) -> int:
    time.sleep(0.02)
    os._exit(9)


def test_other_threads_may_use_the_context_while_runs_are_submitted_again(
    daemons: Daemons, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cancels a run has the run's lock and wants the link's: who submits again must not hold that one."""
    start = RunCore.start
    free: list[bool] = []

    def start_and_look(self: RunCore, number: int | None = None) -> list[m.Message]:
        if number is not None:
            thread = threading.Thread(target=ctx._link.nudge, daemon=True)
            thread.start()
            thread.join(5)
            free.append(not thread.is_alive())
        return start(self, number)

    daemons.worker(1)
    with daemons.connect(1) as ctx:
        run = ctx.submit(slow_sum(10**6))
        assert eventually(lambda: run.report.steps_done > 0)
        monkeypatch.setattr(RunCore, "start", start_and_look)
        daemons.scheduler.kill()
        daemons.scheduler.wait()
        restart_scheduler(daemons)
        assert eventually(lambda: free, 30)
        assert free == [True]
        run.cancel()
        assert slow_sum(10).run(ctx, timeout=30) == squares(10)
