"""The main job while its workers are killed: the same answer, and what it costs.

Cerny's conjecture for all automata with n states runs on a cluster of daemons, each with one compute process.
Every so many seconds a random one of them, supervisor or compute process, gets SIGKILL; a killed supervisor
is started again, as an operator would. The time of the same run without kills stands beside it.

    PYTHONPATH=. python benchmarks/kills.py --states 5 --every 1
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import psutil

import haydi as hd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))


class Cluster:
    """A scheduler in this process' care, and worker daemons that can be killed."""

    def __init__(self, workers: int) -> None:
        self._environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._scheduler = subprocess.Popen(
            [sys.executable, "-m", "haydi.scheduler", "--local", "127.0.0.1", "0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
        )
        assert self._scheduler.stdout is not None
        self.port = int(self._scheduler.stdout.readline())
        self.workers = [self._start(i) for i in range(workers)]

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        command = ["-m", "haydi.worker", f"127.0.0.1:{self.port}", "--workers", "1", "--log-level", "error"]
        return subprocess.Popen(
            [sys.executable, *command, "--name", f"w{number}"], env=self._environment, start_new_session=True
        )

    def kill_one(self, rng: random.Random) -> str:
        """SIGKILL to a random daemon, or to a random compute process; what it was."""
        number = rng.randrange(len(self.workers))
        worker = self.workers[number]
        computes = [c for n in psutil.Process(worker.pid).children() for c in n.children()]
        if computes and rng.random() < 0.5:
            computes[0].kill()
            return "compute process"
        worker.kill()
        worker.wait()
        self.workers[number] = self._start(number)
        return "daemon"

    def close(self) -> None:
        """End all."""
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait(10)
        assert self._scheduler.stdin is not None
        assert self._scheduler.stdout is not None
        self._scheduler.stdin.close()
        self._scheduler.wait(10)
        self._scheduler.stdout.close()


def timed_run(states: int, workers: int, every: float | None, seed: int) -> tuple[float, Any, dict[str, int]]:
    """Wall seconds of one search, its result, and how many were killed."""
    cerny = importlib.import_module("cerny")
    cluster = Cluster(workers)
    killed: dict[str, int] = {}
    over = threading.Event()
    rng = random.Random(seed)

    def kill() -> None:
        while every is not None and not over.wait(every):
            what = cluster.kill_one(rng)
            killed[what] = killed.get(what, 0) + 1

    try:
        with hd.DistributedContext(port=cluster.port) as ctx:
            ctx.wait_for_workers(workers, timeout=30)
            killer = threading.Thread(target=kill)
            killer.start()
            try:
                begin = time.perf_counter()
                result = cerny.search(states).run(ctx)
                seconds = time.perf_counter() - begin
            finally:
                over.set()
                killer.join()
    finally:
        cluster.close()
    return seconds, result, killed


def main() -> None:
    """Run without and with kills, and print both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--states", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)  # that the daemons need a moment to join
    calm, expected, _ = timed_run(args.states, args.workers, None, args.seed)
    rough, result, killed = timed_run(args.states, args.workers, args.every, args.seed)
    print(f"cerny n={args.states}, {args.workers} daemons of one compute process")
    print(f"  without kills {calm:8.2f} s")
    told = ", ".join(f"{count} x {what}" for what, count in sorted(killed.items()))
    print(f"  with kills    {rough:8.2f} s   killed: {told or 'none'}")
    print(f"  same result: {result == expected}; longest reset word: {max(result)}")
    sys.exit(result != expected)


if __name__ == "__main__":
    main()
