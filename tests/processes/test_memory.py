"""Large results pass through the daemons in pieces: the memory of a daemon does not grow with a result."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil

import haydi as hd
from tests.processes.conftest import environment, worker_tree

MEGABYTE = 1 << 20


def megabyte(x: int) -> bytes:
    time.sleep(0.002)
    return bytes([x % 256]) * MEGABYTE


def test_large_results_pass_through_the_daemons_in_pieces() -> None:
    with hd.DistributedContext(spawn_workers=2) as ctx:
        assert ctx._cluster is not None
        supervisor, computes = worker_tree(ctx)
        processes = [psutil.Process(ctx._cluster._scheduler.pid), supervisor, *computes]
        run = ctx.submit(hd.Range(400).map(megabyte).collect())
        most = 0
        while not run.done():
            most = max(most, *(process.memory_info().rss for process in processes))
            time.sleep(0.01)
        result = run.result()
    assert [(len(piece), piece[0]) for piece in result] == [(MEGABYTE, x % 256) for x in range(400)]
    assert most < 150 * MEGABYTE


STOPPED = """
    import sys
    import haydi as hd
    from tests.processes.test_memory import megabyte
    from tests.processes.conftest import worker_tree

    with hd.DistributedContext(spawn_workers=2) as ctx:
        supervisor, computes = worker_tree(ctx)
        print(ctx._cluster._scheduler.pid, supervisor.pid, *(c.pid for c in computes), flush=True)
        run = ctx.submit(hd.Range(400).map(megabyte).collect())
        while not run.report.steps_done:
            pass
        print("under way", flush=True)
        result = run.result()
    assert [(len(piece), piece[0]) for piece in result] == [(1 << 20, x % 256) for x in range(400)]
    print("right", flush=True)
"""


def test_a_client_that_is_stopped_stops_its_run_and_nobody_grows(tmp_path: Path, no_leftovers: None) -> None:
    """Until it goes on: then the run is completed. The others keep in touch with each other meanwhile."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(STOPPED))
    client = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, env=environment(), text=True
    )
    assert client.stdout is not None
    with client:
        processes = [psutil.Process(int(pid)) for pid in client.stdout.readline().split()]
        assert client.stdout.readline() == "under way\n"
        os.kill(client.pid, signal.SIGSTOP)
        try:
            most, idle_since, spent = 0, time.monotonic(), -1.0
            end = time.monotonic() + 8.0  # less than it takes to be given up
            while time.monotonic() < end and time.monotonic() - idle_since < 2.0:
                most = max(most, *(process.memory_info().rss for process in processes))
                now = sum(process.cpu_times().user for process in processes[2:])
                if now > spent:
                    spent, idle_since = now, time.monotonic()
                time.sleep(0.01)
        finally:
            os.kill(client.pid, signal.SIGCONT)
        assert time.monotonic() - idle_since >= 2.0, "workers go on computing for a client that takes nothing"
        while client.poll() is None and psutil.pid_exists(processes[0].pid):
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    most = max(most, process.memory_info().rss)
            time.sleep(0.01)
        assert client.stdout.readline() == "right\n"
        assert client.wait(60) == 0
    assert most < 150 * MEGABYTE
