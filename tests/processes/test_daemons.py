"""Daemons started by their commands: a cluster by hand."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading

import pytest

import haydi as hd
from haydi.errors import ConnectionFailedError, NoWorkersError, RunLostError
from tests.processes.conftest import Daemons, Gate, environment, eventually


def slow_square(x: int) -> int:
    return sum(range(x % 300)) * 0 + x * x


def held(gate: Gate) -> hd.Pipeline[int, int]:
    """A sum that is not done before the gate is open; many other steps can be done until then."""

    def square(x: int) -> int:
        if x == 100_000:
            gate.wait()
        return x * x

    return hd.Range(200_000).map(square).sum()


EXPECTED = sum(x * x for x in range(200_000))
JOB = hd.Range(200_000).map(slow_square).sum()


def test_three_terminals(daemons: Daemons) -> None:
    daemons.worker(2)
    with daemons.connect(2) as ctx:
        assert ctx.worker_count == 2
        assert JOB.run(ctx) == EXPECTED


def test_worker_may_start_before_the_scheduler_and_join_a_run(daemons: Daemons, gate: Gate) -> None:
    daemons.worker(1)
    with daemons.connect(1) as ctx:
        run = ctx.submit(held(gate))
        daemons.worker(1, "--name", "latecomer")
        assert eventually(lambda: any("latecomer" in name for name in run.report.shares), 30)
        gate.open()
        assert run.result(timeout=60) == EXPECTED


def test_killed_worker_changes_nothing(daemons: Daemons, gate: Gate) -> None:
    victim = daemons.worker(1)
    daemons.worker(1)
    with daemons.connect(2) as ctx:
        run = ctx.submit(held(gate))
        assert eventually(lambda: run.report.steps_done > 0)
        victim.kill()
        assert eventually(lambda: ctx.worker_count == 1)
        gate.open()
        assert run.result(timeout=60) == EXPECTED
        assert run.report.coverage == [(0, 200_000)]


def test_worker_leaves_in_order(daemons: Daemons, gate: Gate) -> None:
    leaver = daemons.worker(1)
    daemons.worker(1)
    with daemons.connect(2) as ctx:
        run = ctx.submit(held(gate))
        assert eventually(lambda: run.report.steps_done > 0)
        leaver.send_signal(signal.SIGTERM)
        assert leaver.wait(10) == 0
        gate.open()
        assert run.result(timeout=60) == EXPECTED


def test_two_clients_share_the_workers(daemons: Daemons) -> None:
    daemons.worker(2)
    results: list[int] = []
    with daemons.connect(2) as one, daemons.connect(2) as two:
        threads = [
            threading.Thread(target=lambda c=c: results.extend(JOB.run(c) for _ in range(3)))
            for c in (one, two)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert results == [EXPECTED] * 6


def test_a_long_run_of_one_client_does_not_lock_out_another(daemons: Daemons) -> None:
    daemons.worker(1)
    with daemons.connect(1) as one, daemons.connect(1) as two:
        long = one.submit(hd.Range(10**13).map(slow_square).sum())
        assert eventually(lambda: long.report.steps_done > 0)
        assert hd.Range(1000).map(slow_square).sum().run(two, timeout=20) == sum(x * x for x in range(1000))
        assert two.last_report is not None
        assert two.last_report.state == "done"
        long.cancel()


def test_no_workers_is_said_clearly(daemons: Daemons) -> None:
    with daemons.connect() as ctx:
        assert ctx.worker_count == 0
        with pytest.raises(NoWorkersError, match=r"haydi-worker 127\.0\.0\.1"):
            ctx.wait_for_workers(1, timeout=0.2)
        ctx.no_worker_seconds = 0.3
        with pytest.raises(NoWorkersError, match="no workers"):
            JOB.run(ctx)


def test_warning_when_there_are_no_workers_yet(daemons: Daemons) -> None:
    with daemons.connect():
        pass  # the scheduler answers
    with pytest.warns(RuntimeWarning, match="no workers yet"):
        hd.DistributedContext(port=daemons.port).close()


def test_scheduler_that_ends_ends_its_runs_and_workers(daemons: Daemons) -> None:
    worker = daemons.worker(1)
    with daemons.connect(1) as ctx:
        run = ctx.submit(hd.Range(10**13).map(slow_square).sum())
        assert eventually(lambda: run.report.steps_done > 0)
        daemons.scheduler.send_signal(signal.SIGTERM)
        with pytest.raises(RunLostError, match="ended"):
            run.result(timeout=10)
        assert daemons.scheduler.wait(10) == 0
        assert worker.wait(10) == 0
        with pytest.raises(RunLostError):
            JOB.run(ctx)


def test_port_in_use(daemons: Daemons) -> None:
    with daemons.connect():
        pass
    second = daemons.start("haydi.scheduler", "--port", str(daemons.port))
    assert second.wait(10) == 1
    assert second.stderr is not None
    assert f"port {daemons.port} on 127.0.0.1 is in use" in second.stderr.read()


def test_worker_gives_up_when_no_scheduler_answers() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "haydi.worker", "127.0.0.1:9", "--workers", "1", "--death-timeout", "0.3"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=30,
    )
    assert done.returncode == 3
    assert "no scheduler answered" in done.stderr


def test_something_else_on_the_port() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ConnectionFailedError):
        hd.DistributedContext(port=other.getsockname()[1], connect_timeout=0.5)


def test_json_log(daemons: Daemons) -> None:
    worker = daemons.worker(1, "--json-log")
    with daemons.connect(1):
        pass
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    assert worker.stderr is not None
    lines = [json.loads(line) for line in worker.stderr.read().splitlines()]
    assert any("connected to cluster" in line["message"] for line in lines)
    assert all({"time", "level", "message"} <= line.keys() for line in lines)


@pytest.mark.parametrize("module", ["haydi.scheduler", "haydi.worker", "haydi.cli"])
def test_help_teaches(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=30,
    )
    assert done.returncode == 0
    assert "haydi" in done.stdout
    assert "Usage" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["127.0.0.1:99999"], "HOST:PORT"),
        (["127.0.0.1:1", "--workers", "none"], "neither auto nor a number"),
        ([], "Missing argument"),
    ],
)
def test_wrong_usage_of_the_worker_command(arguments: list[str], text: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "haydi.worker", *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=30,
    )
    assert done.returncode == 2
    assert text in done.stderr
