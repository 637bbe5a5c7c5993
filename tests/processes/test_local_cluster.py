"""A cluster of one's own: starts, counts, works for scripts, and leaves nothing behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import psutil
import pytest

import haydi as hd
from haydi import DistributedContext, session
from tests.processes.conftest import Gate, alive, environment, eventually, worker_tree

pytestmark = pytest.mark.usefixtures("no_leftovers")


def test_the_users_own_document() -> None:
    dctx = DistributedContext(spawn_workers=4)
    session.set_parallel_context(dctx)
    try:
        assert dctx.worker_count == 4
        assert hd.Range(1000).map(lambda x: x + 1).collect().run(True) == list(range(1, 1001))
    finally:
        session.set_parallel_context(None)
        dctx.close()


def test_several_contexts_at_once_and_one_after_another() -> None:
    with DistributedContext(spawn_workers=1) as one, DistributedContext(spawn_workers=1) as two:
        assert hd.Range(100).sum().run(one) == hd.Range(100).sum().run(two) == 4950
    with DistributedContext(spawn_workers=1) as three:
        assert hd.Range(100).sum().run(three) == 4950


def test_closed_context_says_so() -> None:
    context = DistributedContext(spawn_workers=1)
    context.close()
    context.close()
    with pytest.raises(hd.UsageError, match="closed"):
        hd.Range(3).run(context)


def test_submit_and_look_after_several_runs() -> None:
    with DistributedContext(spawn_workers=2) as context:
        runs = [context.submit(hd.Range(1000 * i).map(lambda x: x + 1).sum()) for i in range(1, 9)]
        assert [run.result(timeout=30) for run in runs] == [sum(range(1, 1000 * i + 1)) for i in range(1, 9)]
        assert all(run.done() for run in runs)
        assert all(run.report.coverage == [(0, 1000 * i)] for i, run in enumerate(runs, 1))


def test_a_short_run_does_not_wait_for_a_long_one_of_the_same_program() -> None:
    with DistributedContext(spawn_workers=2) as cluster:
        long = cluster.submit(hd.Range(10**9).map(lambda x: x + 1).sum())
        assert eventually(lambda: long.report.coverage)
        merged = long.report.steps_done
        assert hd.Range(1000).sum().run(cluster, timeout=20) == 499500
        assert cluster.last_report is not None
        assert cluster.last_report.state == "done"
        assert not long.done()
        assert eventually(lambda: long.report.steps_done > merged)  # nor does the long one starve
        long.cancel()


def test_an_exception_of_a_signal_handler_ends_the_run() -> None:
    with DistributedContext(spawn_workers=2) as cluster:

        def ring(number: int, frame: object) -> None:
            raise InterruptedError("the bell rings")

        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        try:
            with pytest.raises(InterruptedError, match="the bell rings"):
                hd.Range(10**9).map(lambda x: x + 1).sum().run(cluster)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert cluster.last_report is not None
        assert cluster.last_report.state == "cancelled"
        assert hd.Range(10).sum().run(cluster, timeout=20) == 45


def test_cancel_leaves_the_cluster_usable() -> None:
    with DistributedContext(spawn_workers=2) as context:
        run = context.submit(hd.Range(10**15).map(lambda x: x + 1).sum())
        assert eventually(lambda: run.report.steps_done > 0)
        with pytest.raises(TimeoutError):
            run.result(timeout=0.01)
        run.cancel()
        with pytest.raises(hd.RemoteError, match="cancelled"):
            run.result(timeout=5)
        assert run.report.state == "cancelled"
        assert hd.Range(100).sum().run(context) == 4950


SCRIPT = """
    import haydi as hd
    from helper_module import triple

    OFFSET = 7

    def with_global(x):
        return triple(x) + OFFSET

    class Kind:
        def __init__(self, x):
            self.x = x
        def __eq__(self, other):
            return type(self) is type(other) and self.x == other.x

    ctx = hd.DistributedContext(spawn_workers=2)
    assert hd.Range(50).map(with_global).run(ctx) == [3 * x + 7 for x in range(50)]
    assert hd.Range(50).map(triple).run(ctx) == [3 * x for x in range(50)]
    assert hd.Range(5).map(Kind).run(ctx) == [Kind(x) for x in range(5)]
    print("fine")
"""


def test_script_without_guard_with_a_module_beside_it(tmp_path: Path) -> None:
    (tmp_path / "helper_module.py").write_text("def triple(x):\n    return 3 * x\n")
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, str(script)], cwd="/", env=environment(), capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)


def held(x: int, gate: Gate) -> int:
    if x == 200_000:
        gate.wait()
    return sum(range(x % 200))


def test_killed_compute_processes_change_nothing(gate: Gate) -> None:
    with DistributedContext(spawn_workers=2) as context:
        run = context.submit(hd.Range(300_000).map(lambda x: held(x, gate)).sum())
        # Slots are counted before their processes are all born.
        assert eventually(lambda: len(worker_tree(context)[1]) == 2)
        _, victims = worker_tree(context)
        assert eventually(lambda: run.report.steps_done > 0)
        for victim in victims:
            victim.kill()
        assert eventually(lambda: not any(alive(victim.pid) for victim in victims))
        gate.open()
        assert run.result(timeout=60) == sum(sum(range(x % 200)) for x in range(300_000))
        assert run.report.coverage == [(0, 300_000)]


def test_killed_daemon_changes_nothing(gate: Gate) -> None:
    with DistributedContext(spawn_workers=2) as context:
        run = context.submit(hd.Range(300_000).map(lambda x: held(x, gate)).collect())
        supervisor, computes = worker_tree(context)
        assert eventually(lambda: run.report.steps_done > 0)
        supervisor.kill()
        assert eventually(lambda: not any(alive(p.pid) for p in computes), 5)
        gate.open()
        assert run.result(timeout=60) == [sum(range(x % 200)) for x in range(300_000)]


ENDLESS = """
    import sys, time
    import haydi as hd
    ctx = hd.DistributedContext(spawn_workers=2)
    run = ctx.submit(hd.Range(4).map(lambda x: sum(range(10**12))).sum())
    print("ready", flush=True)
    {end}
"""


@pytest.mark.parametrize(
    ("end", "number"),
    [
        ("time.sleep(60)", signal.SIGKILL),
        ("time.sleep(60)", signal.SIGTERM),
        ("sys.exit(3)", None),
        ("raise ValueError", None),
        ("import os; os._exit(1)", None),
    ],
)
def test_all_is_gone_when_the_client_ends(tmp_path: Path, end: str, number: int | None) -> None:
    """Also compute processes in a C loop that listens to nobody."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(ENDLESS.format(end=end)))
    client = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
        text=True,
    )
    assert client.stdout is not None
    with client:
        assert client.stdout.readline() == "ready\n"
        tree: list[psutil.Process] = []
        if number:
            process = psutil.Process(client.pid)
            assert eventually(
                lambda: len(process.children(recursive=True)) == 5
            )  # with nursery and two computes
            tree = process.children(recursive=True)
            os.kill(client.pid, number)
        client.wait(20)
    assert eventually(lambda: not any(alive(p.pid) for p in tree), 5)


INTERRUPTED = """
    import signal, time
    import haydi as hd
    signal.signal(signal.SIGINT, signal.default_int_handler)  # children of a background job ignore it
    ctx = hd.DistributedContext(spawn_workers=2)
    def slow(x):
        time.sleep(0.05)
        return x
    for domain in (hd.Range(10**6).map(slow), hd.Range(10**6).map(lambda x: sum(range(10**11)))):
        print("ready", flush=True)
        try:
            domain.sum().run(ctx)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        began = time.monotonic()
        assert hd.Range(100).sum().run(ctx) == 4950
        print(time.monotonic() - began, ctx.last_report.state, flush=True)
"""


def test_ctrl_c_stops_the_run_and_leaves_the_cluster_usable(tmp_path: Path) -> None:
    """Also when the workers are in a C loop: these are ended, and started anew."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(INTERRUPTED))
    client = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, env=environment(), text=True
    )
    assert client.stdout is not None
    with client:
        for _ in range(2):
            assert client.stdout.readline() == "ready\n"
            # The handler is there once the main thread waits; signals that come before raise where they come.
            assert eventually(lambda: psutil.Process(client.pid).status() == psutil.STATUS_SLEEPING)
            os.kill(client.pid, signal.SIGINT)
            assert client.stdout.readline() == "interrupted\n"
            seconds, state = client.stdout.readline().split()
            assert float(seconds) < 20
            assert state == "done"
        assert client.wait(20) == 0


def test_a_forgotten_context_ends_its_cluster() -> None:
    context = DistributedContext(spawn_workers=1)
    assert hd.Range(10).sum().run(context) == 45
    supervisor, computes = worker_tree(context)
    assert context._cluster is not None
    pids = [context._cluster._scheduler.pid, supervisor.pid, *(process.pid for process in computes)]
    threads = threading.active_count()
    del context
    gc.collect()
    assert eventually(lambda: not any(map(alive, pids)))
    assert eventually(lambda: threading.active_count() < threads)


FORKED = """
    import os, sys, time
    import haydi as hd
    ctx = hd.DistributedContext(spawn_workers=1)
    run = ctx.submit(hd.Range(10**9).map(lambda x: x + 1).sum())
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        told = []
        for use in (
            lambda: ctx.worker_count,
            lambda: ctx.wait_for_workers(5, timeout=1),
            lambda: hd.Range(3).sum().run(ctx),
            lambda: run.result(timeout=1),
            run.cancel,
        ):
            try:
                told.append(f"no error: {use()!r}")
            except hd.UsageError:
                told.append("refused")
        repr(ctx)
        ctx.close()
        os.write(write, " ".join(told).encode())
        time.sleep(60)
        os._exit(0)
    print(os.read(read, 1000).decode(), flush=True)
    run.cancel()
    print(hd.Range(10).sum().run(ctx), child, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_a_forked_process_neither_uses_nor_keeps_the_cluster(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(FORKED))
    client = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, env=environment(), text=True
    )
    assert client.stdout is not None
    with client:
        assert client.stdout.readline() == "refused refused refused refused refused\n"
        tree = psutil.Process(client.pid).children(recursive=True)
        result, child = client.stdout.readline().split()
    assert result == "45"
    try:
        cluster = [process.pid for process in tree if process.pid != int(child)]
        assert cluster
        assert eventually(lambda: not any(map(alive, cluster)), 5)
    finally:
        os.kill(int(child), signal.SIGKILL)


INTERRUPTED_MERGE = """
    import os, signal, time
    import haydi as hd

    class Interrupting(hd.Action):
        def init(self): return 0
        def fold(self, partial, x): return partial + x
        def merge(self, left, right):
            if os.getpid() == CLIENT and SIGNALS:
                for number in SIGNALS:
                    os.kill(CLIENT, number)
                SIGNALS.clear()
                time.sleep(0.01)  # where the signals arrive
            return left + right

    def ring(number, frame):
        raise BaseException("the bell rings")

    CLIENT = os.getpid()
    SIGNALS = {signals}
    signal.signal(signal.SIGALRM, ring)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # children of a background job ignore it
    first = hd.DistributedContext(spawn_workers=1)
    print(hd.Range(10).sum().run(first))
    ctx = hd.DistributedContext(spawn_workers=2)
    other = ctx.submit(hd.Range(20_000).map(lambda x: (time.sleep(5e-6), x)[1]).sum())
    run = ctx.submit(hd.Range(20_000).map(lambda x: (time.sleep(5e-6), x)[1]).iterate().action(Interrupting()))
    try:
        run.result(timeout=60)
    except BaseException as error:
        print(type(error).__name__)
    try:
        print(run.result(timeout=60))
    except hd.HaydiError as error:
        print(error)
    print(other.result(timeout=60))
    ctx.close()
    first.close()
"""


@pytest.mark.parametrize(
    ("signals", "raised", "then"),
    [
        ("[signal.SIGINT]", "KeyboardInterrupt", "199990000"),  # taken after the merge
        ("[signal.SIGALRM]", "BaseException", "interrupted while"),
    ],
)
def test_a_signal_during_a_merge_makes_nobody_wait_for_ever(
    tmp_path: Path, signals: str, raised: str, then: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(INTERRUPTED_MERGE.format(signals=signals)))
    ended = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        env=environment(),
        text=True,
        timeout=100,
        check=False,
    )
    lines = ended.stdout.splitlines()
    assert len(lines) == 4, ended.stderr
    assert lines[:2] == ["45", raised]
    assert then in lines[2]
    assert lines[3] == "199990000"
