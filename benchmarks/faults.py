"""What each fault costs: how soon the cluster acts, how much time is lost, and how many steps run again.

One job of known result runs on two daemons of one compute process each, while something is killed, stopped or swells.
Each step sleeps 2 ms and writes its number, process and time to a file before that: so what ran more than once is
counted, not estimated. A step that a fault cut short and that ran again counts too.

*Detection* is the time from the fault to the first sign that the cluster acts on it; what the sign is stands beside
each fault. *Lost* is the run time less what the same steps take, at the rate of a calm run, on the slots that were
there before and after the fault. Figures are medians; the result is compared in every round.

    PYTHONPATH=. python benchmarks/faults.py              # some four minutes
    PYTHONPATH=. python benchmarks/faults.py daemon scheduler --rounds 9
    PYTHONPATH=. python benchmarks/faults.py --peers      # the same faults with other libraries: faults_peers.py

All of it listens on loopback, has a time limit, and ends only what it started.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import logging
import os
import platform
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import psutil

import haydi as hd
from benchmarks.faults_cluster import (
    ENVIRONMENT,
    LIMIT_SECONDS,
    STEPS,
    Journal,
    Row,
    calm_seconds,
    check,
    cluster_and_context,
    journal,
    lost,
    wait_for,
)
from haydi.errors import PoisonStepError, RunLostError
from haydi.monitor.ask import Monitor


def at_work(run: hd.Run[Any]) -> None:
    """Wait until a quarter of the job is merged."""
    wait_for(lambda: run.report.steps_done > STEPS // 4)


def one_left(ctx: hd.DistributedContext) -> float:
    """Wait until the context counts one worker; when that was."""
    return wait_for(lambda: ctx.worker_count == 1)


def no_runs(monitor: Monitor) -> float:
    """Wait until the scheduler knows of no run; when that was."""
    return wait_for(lambda: not monitor.status()["runs"])


def all_gone(tree: list[psutil.Process]) -> float:
    """Wait until none of the processes is there; when that was."""
    return wait_for(lambda: not any(_alive(p) for p in tree))


def last_report(ctx: hd.DistributedContext) -> hd.Report:
    """What the latest run tells."""
    assert ctx.last_report is not None
    return ctx.last_report


# --- compute processes ------------------------------------------------------------------------------------


def _leave() -> None:
    os._exit(9)


def _segfault() -> None:
    ctypes.string_at(0)


def _swell() -> None:
    kept = bytearray(1) * 400_000_000
    time.sleep(30 + 0 * len(kept))


def compute_faults(rounds: int) -> Iterator[Row]:
    """A compute process dies: killed from outside, by the step it is at, or for its memory."""
    yield _killed_compute(rounds)
    for name, how, arguments in (
        ("os._exit in a step, once", _leave, ()),
        ("segfault in a step, once", _segfault, ()),
        ("400 MB in a step, once; limit 256 MiB", _swell, ("--memory-limit", "256MiB")),
    ):
        row = Row(name, "a step runs again, or in a new process")
        for _ in range(rounds):
            with cluster_and_context(*arguments) as (_, ctx), journal() as notes:
                began = time.monotonic()
                check(notes.job(how).run(ctx))
                over_at = time.monotonic()
                fault_at = next(at for step, _, at in notes.entries() if step == STEPS // 3)
                row.detection_seconds.append(notes.acted_at(fault_at) - fault_at)
                row.lost_seconds.append(lost(began, fault_at, over_at))
                row.repeated.append(notes.repeated())
        yield row


def _killed_compute(rounds: int) -> Row:
    row = Row("compute process SIGKILL", "a step runs again, or in a new process")
    for _ in range(rounds):
        with cluster_and_context() as (cluster, ctx), journal() as notes:
            began = time.monotonic()
            run = ctx.submit(notes.job())
            at_work(run)
            fault_at = time.monotonic()
            cluster.compute_processes()[0].kill()
            check(run.result(LIMIT_SECONDS))
            row.lost_seconds.append(lost(began, fault_at, time.monotonic()))
            row.detection_seconds.append(notes.acted_at(fault_at) - fault_at)
            row.repeated.append(notes.repeated())
    return row


def poison_faults(rounds: int) -> Iterator[Row]:
    """A step that ends each process that runs it."""
    for steps, at in ((10**5, 70_001), (10**12, 5_000_001)):
        for skip in (False, True):
            row = Row(f"poison, 10^{len(str(steps)) - 1} steps, {'skipped' if skip else 'named'}",
                      "first death to the " + ("last" if skip else "error"))  # fmt: skip
            deaths = []
            for _ in range(rounds):
                with cluster_and_context() as (_, ctx), journal() as notes:
                    _one_poison(ctx, notes, row, steps, at, skip)
                    deaths.append(len(notes.entries()))
            row.note = f"{median(deaths):g} deaths"
            yield row


def _one_poison(
    ctx: hd.DistributedContext, notes: Journal, row: Row, steps: int, at: int, skip: bool
) -> None:
    path = notes.path

    def deadly(x: int) -> int:
        if x == at:
            with open(path, "ab", 0) as file:
                file.write(b"%d %d %.6f\n" % (x, os.getpid(), time.monotonic()))
            os._exit(9)
        return x

    pipeline = hd.Range(steps).map(deadly).sum()
    if skip:
        found = pipeline.run(ctx, timeout=None if steps < 10**6 else 8, on_error="skip")
        report = last_report(ctx)
        check([failure.step for failure in report.failures], [at])
        check(found, sum((a + b - 1) * (b - a) // 2 for a, b in report.coverage) - at)
        over_at = notes.entries()[-1][2]
    else:
        try:
            pipeline.run(ctx)
        except PoisonStepError as error:
            over_at = time.monotonic()
            check(error.failure.step, at)
        else:
            raise AssertionError("no error")
    row.detection_seconds.append(over_at - notes.entries()[0][2])


# --- daemons ----------------------------------------------------------------------------------------------


def daemon_faults(rounds: int) -> Iterator[Row]:
    """One of two daemons is killed, stopped, or asked to leave."""
    for name, how, times in (
        ("daemon SIGKILL", signal.SIGKILL, rounds),
        ("daemon SIGSTOP", signal.SIGSTOP, min(rounds, 3)),
        ("daemon SIGTERM (leaves)", signal.SIGTERM, rounds),
    ):
        row = Row(name, "the context counts one worker less")
        for _ in range(times):
            with cluster_and_context() as (cluster, ctx), journal() as notes:
                began = time.monotonic()
                run = ctx.submit(notes.job())
                at_work(run)
                fault_at = time.monotonic()
                cluster.daemons[0].send_signal(how)
                row.detection_seconds.append(one_left(ctx) - fault_at)
                check(run.result(LIMIT_SECONDS))
                row.lost_seconds.append(lost(began, fault_at, time.monotonic(), 1))
                row.repeated.append(notes.repeated())
        if how == signal.SIGTERM:
            check(row.repeated, [0] * times)
        yield row


# --- the scheduler ----------------------------------------------------------------------------------------


class _FirstWarning(logging.Handler):
    """When the client first says something."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.at = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        self.at = self.at or time.monotonic()


def scheduler_faults(rounds: int) -> Iterator[Row]:
    """The scheduler is killed, and comes back or stays away."""
    back = Row("scheduler SIGKILL, again after 1 s", "the client warns", note="lost includes the second")
    for _ in range(rounds):
        with cluster_and_context() as (cluster, ctx), journal() as notes:
            heard = _FirstWarning()
            logging.getLogger("haydi.client").addHandler(heard)
            began = time.monotonic()
            run = ctx.submit(notes.job())
            at_work(run)
            fault_at = time.monotonic()
            cluster.scheduler.kill()
            cluster.scheduler.wait()
            time.sleep(1.0)  # it is away for so long
            cluster.start_scheduler()
            check(run.result(LIMIT_SECONDS))
            back.lost_seconds.append(lost(began, fault_at, time.monotonic()))
            logging.getLogger("haydi.client").removeHandler(heard)
            back.detection_seconds.append(heard.at - fault_at)
            back.repeated.append(notes.repeated())
    yield back
    gone = Row("scheduler SIGKILL, for good; scheduler_timeout=3", "RunLostError")
    for _ in range(min(rounds, 3)):
        with cluster_and_context(scheduler_timeout=3) as (cluster, ctx), journal() as notes:
            run = ctx.submit(notes.job())
            at_work(run)
            fault_at = time.monotonic()
            cluster.scheduler.kill()
            try:
                run.result(LIMIT_SECONDS)
            except RunLostError:
                gone.detection_seconds.append(time.monotonic() - fault_at)
            else:
                raise AssertionError("no error")
    yield gone


# --- the client -------------------------------------------------------------------------------------------

CLIENT = """
import threading, time
import haydi as hd
ctx = hd.DistributedContext({where})
def stuck(x):
    return sum(range(10**12))
def brief(x):
    time.sleep(0.002)
    return x
threading.Timer(1, print, ("ready",), {{"flush": True}}).start()
try:
    hd.Range(10**6).map({work}).sum().run(ctx)
except KeyboardInterrupt:
    print(time.monotonic(), flush=True)
    assert hd.Range(100).sum().run(ctx) == 4950
    print(time.monotonic(), flush=True)
    ctx.close()
"""


@contextmanager
def client(where: str, work: str) -> Iterator[subprocess.Popen[str]]:
    """A program whose run is going on."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT.format(where=where, work=work)],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    try:
        assert process.stdout is not None
        check(process.stdout.readline(), "ready\n")
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def client_faults(rounds: int) -> Iterator[Row]:
    """The program is killed, or interrupted."""
    vanished = Row("client SIGKILL, steps in a C loop", "the scheduler knows no run")
    for _ in range(rounds):
        with cluster_and_context() as (cluster, ctx), client(f"port={cluster.port}", "stuck") as process:
            with Monitor("127.0.0.1", cluster.port) as monitor:
                check(len(monitor.status()["runs"]), 1)
                fault_at = time.monotonic()
                process.kill()
                over_at = no_runs(monitor)
            vanished.detection_seconds.append(over_at - fault_at)
            check(hd.Range(100).sum().run(ctx), 4950)
    yield vanished
    gone = Row("the same, with spawn_workers=2", "its 5 processes are gone")
    for _ in range(rounds):
        with client("spawn_workers=2", "stuck") as process:
            tree = psutil.Process(process.pid).children(recursive=True)
            check(len(tree), 5)
            fault_at = time.monotonic()
            process.kill()
            over_at = all_gone(tree)
        gone.detection_seconds.append(over_at - fault_at)
    yield gone
    for work, told in (("brief", "steps of 2 ms"), ("stuck", "steps in a C loop")):
        row = Row(f"Ctrl-C, {told}", "KeyboardInterrupt is there")
        again = []
        for _ in range(rounds):
            with client("spawn_workers=2", work) as process:
                assert process.stdout is not None
                fault_at = time.monotonic()
                process.send_signal(signal.SIGINT)
                row.detection_seconds.append(float(process.stdout.readline()) - fault_at)
                again.append(float(process.stdout.readline()) - fault_at)
                check(process.wait(LIMIT_SECONDS), 0)
        row.note = f"next run over after {median(again):.3f} s"
        yield row


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def timeouts(rounds: int) -> Iterator[Row]:
    """How late a timeout of 1 s is."""

    def brief(x: int) -> int:
        return x

    def longer(x: int) -> int:
        time.sleep(0.01)
        return x

    def stuck(x: int) -> int:
        return sum(range(10**12))

    for name, work in (("1 us or less", brief), ("10 ms", longer), ("one long C call", stuck)):
        row = Row(f"timeout of 1 s, steps of {name}", "how late the result is there")
        with hd.DistributedContext(spawn_workers=2) as ctx:
            for _ in range(rounds):
                began = time.monotonic()
                found = hd.Range(10**12).map(work).sum().run(ctx, timeout=1)
                row.detection_seconds.append(time.monotonic() - began - 1)
                check(found, sum((a + b - 1) * (b - a) // 2 for a, b in last_report(ctx).coverage))
        yield row


# --- the command line -------------------------------------------------------------------------------------

PARTS: dict[str, Callable[[int], Iterator[Row]]] = {
    "compute": compute_faults,
    "poison": poison_faults,
    "daemon": daemon_faults,
    "scheduler": scheduler_faults,
    "client": client_faults,
    "timeout": timeouts,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What each fault costs.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (all of them)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", action="store_true", help="the same faults with other libraries")
    parser.add_argument("--json", metavar="FILE", help="write all single figures to this file")
    args = parser.parse_args()
    if unknown := sorted(set(args.parts) - set(PARTS)):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if args.peers:
        sys.exit(subprocess.call([sys.executable, str(Path(__file__).with_name("faults_peers.py"))]))
    warnings.simplefilter("ignore", RuntimeWarning)  # that the daemons need a moment to join
    print(f"haydi {hd.__version__}, python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    print(f"the job without faults: {calm_seconds():.2f} s", flush=True)
    print(f"{'fault':<46} {'detection':<24} {'lost':<24} {'steps again':<14} sign", flush=True)
    rows = []
    for name in args.parts or PARTS:
        for row in PARTS[name](args.rounds):
            rows.append(asdict(row))
            print(row, flush=True)
    print(f"load at the end: {os.getloadavg()[0]:.1f}; every result was the known one")
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
