"""What the distributed runtime costs, next to the same work with nothing in between.

*Ideal* means: the same elements, split in advance into two parts of equal cost, in two bare processes at
once, that were started before. On cores that are shared with others this is all that two workers can reach;
half the serial time is not. Both are measured in one run, A B A B ..., so that a change of the machine's
pace hits both alike, and the ratio of the medians is what counts; where the pace changed a lot, the median
of the ratios of neighbours tells more. Times are wall times; nothing here passes or fails.

The parts:

- ``even``: sum of 20 million function values, each as expensive as the other.
- ``skewed``: the cost of an element grows with the square of its index; the ideal is cut by cost.
- ``latency``: runs of almost nothing on a warm context, next to a round trip to a bare process by a pipe.
- ``start``: from the start of an interpreter to the first result of two new workers, and then to the end.
- ``collect``: a million pairs as one list in order, next to the pool of multiprocessing with its best chunks.

Run it with ``PYTHONPATH=. python benchmarks/runtime.py [part ...] [--quick] [--json FILE]``; all of it takes
some three minutes. The machine should have two cores that nobody else uses; the load is printed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import time
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any

import haydi as hd

WORKERS = 2
ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Row:
    """One line of the result.

    Attributes:
        name: What was measured.
        haydi_seconds: All times of Haydi, in the order in which they were taken.
        other_seconds: All times of what stands next to it; empty where there is nothing.
        other: What that is.
        aim: What one would like to see.
    """

    name: str
    haydi_seconds: list[float]
    other_seconds: list[float] = field(default_factory=list)
    other: str = ""
    aim: str = ""

    def __str__(self) -> str:
        text = line(self.name, self.haydi_seconds)
        if self.other_seconds:
            ratio = median(self.haydi_seconds) / median(self.other_seconds)
            text += f"\n{line(f'    {self.other}', self.other_seconds)}  ratio {ratio:.3f}"
            if len(self.haydi_seconds) == len(self.other_seconds):
                pairs = zip(self.haydi_seconds, self.other_seconds, strict=True)
                text += f", of neighbours {median(mine / other for mine, other in pairs):.3f}"
        return text + (f"  aim {self.aim}" if self.aim else "")


def line(name: str, seconds: Sequence[float]) -> str:
    """A name, and the median and the spread of times, in milliseconds."""
    low, middle, high = (1000 * quantile(seconds, part) for part in (0.05, 0.5, 0.95))
    return f"{name:<52} {middle:10.3f} ms  (p5 {low:.3f}, p95 {high:.3f})"


def quantile(values: Sequence[float], part: float) -> float:
    """The value below which that part of the values lies."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def clock(action: Callable[[], Any]) -> tuple[float, Any]:
    """Wall time of an action in seconds, and its result."""
    begin = time.perf_counter()
    result = action()
    return time.perf_counter() - begin, result


# --- the work ---------------------------------------------------------------------------------------------


def increment(x: int) -> int:
    """Work of the same cost for each element."""
    return x + 1


def skewed(x: int) -> int:
    """Work that grows with the square of the index."""
    total = 0
    for i in range(skewed_cost(x)):
        total ^= i
    return total


def skewed_cost(x: int) -> int:
    """How often the loop of :func:`skewed` runs."""
    return x * x // 40


def pair(x: int) -> tuple[int, int]:
    """An element of which a result can be large."""
    return (x, x + 1)


FUNCTIONS: dict[str, Callable[[int], int]] = {"even": increment, "skewed": skewed}


class BareProcess:
    """A process that waits for a range of numbers and sums a function over it: Python alone.

    It is forked, so it must be made before this process has threads.
    """

    def __init__(self) -> None:
        job_end, self._jobs = os.pipe()
        self._answers, answer_end = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            os.close(self._jobs)
            try:
                while order := os.read(job_end, 100).split():
                    function = FUNCTIONS[order[0].decode()]
                    total = sum(map(function, range(int(order[1]), int(order[2]))))
                    os.write(answer_end, b"%d" % total)
            finally:
                os._exit(0)
        os.close(job_end)
        os.close(answer_end)

    def start(self, name: str, start: int, stop: int) -> None:
        """Let it begin with a range."""
        os.write(self._jobs, f"{name} {start} {stop}".encode())

    def wait(self) -> int:
        """Its sum, when it is ready."""
        return int(os.read(self._answers, 100))

    def compute(self, name: str, start: int, stop: int) -> int:
        """The sum over one range."""
        self.start(name, start, stop)
        return self.wait()

    def close(self) -> None:
        """End it."""
        os.close(self._jobs)
        os.close(self._answers)
        os.waitpid(self._pid, 0)


def ideal(bare: Sequence[BareProcess], name: str, cut: int, stop: int) -> int:
    """The sum over [0, stop) by two bare processes at once, the first of which takes [0, cut)."""
    bare[0].start(name, 0, cut)
    bare[1].start(name, cut, stop)
    return sum(process.wait() for process in bare)


# --- the parts --------------------------------------------------------------------------------------------


def against_ideal(
    ctx: hd.Context, bare: Sequence[BareProcess], name: str, stop: int, cut: int, rounds: int
) -> Row:
    """Sum a function over [0, stop) on the context and by the bare processes, in turns."""
    pipeline = hd.Range(stop).map(FUNCTIONS[name]).sum()
    row = Row(f"{name}, {stop:,} elements, {WORKERS} workers", [], [], "ideal: two bare processes", "1.03")
    pipeline.run(ctx)  # both are warm
    ideal(bare, name, cut, stop)
    for _ in range(rounds):
        seconds, mine = clock(lambda: pipeline.run(ctx))
        row.haydi_seconds.append(seconds)
        seconds, other = clock(lambda: ideal(bare, name, cut, stop))
        row.other_seconds.append(seconds)
        if mine != other:
            raise AssertionError(f"{name}: Haydi finds {mine}, the bare processes {other}")
    return row


def even(ctx: hd.Context, bare: Sequence[BareProcess], quick: bool) -> list[Row]:
    """Elements of the same cost."""
    stop = 4_000_000 if quick else 20_000_000
    return [against_ideal(ctx, bare, "even", stop, stop // 2, 3 if quick else 11)]


def skew(ctx: hd.Context, bare: Sequence[BareProcess], quick: bool) -> list[Row]:
    """Elements whose cost grows with the square of the index."""
    stop = 1500 if quick else 3000
    costs = list(
        accumulate(skewed_cost(x) + 10 for x in range(stop))
    )  # a call costs as much as some 10 loops
    return [against_ideal(ctx, bare, "skewed", stop, bisect(costs, costs[-1] // 2), 3 if quick else 11)]


def latency(ctx: hd.Context, bare: Sequence[BareProcess], quick: bool) -> list[Row]:
    """Runs of almost nothing, one after the other."""
    count = 1000 if quick else 10_000
    rows = []
    cases: list[tuple[str, hd.Pipeline[Any, Any]]] = [
        ("latency of hd.Range(1)", hd.Range(1).collect()),
        ("latency of hd.Range(1).map(f)", hd.Range(1).map(increment).collect()),
    ]
    for name, pipeline in cases:
        row = Row(f"{name}, {count:,} runs", [], [], "round trip to a bare process", "0.6 ms in the median")
        for _ in range(50):
            pipeline.run(ctx)
        for _ in range(count):
            row.haydi_seconds.append(clock(lambda p=pipeline: p.run(ctx))[0])  # type: ignore[misc]
            row.other_seconds.append(clock(lambda: bare[0].compute("even", 0, 1))[0])
        rows.append(row)
    return rows


FIRST_RESULT = f"""
import time
begin = time.monotonic()
import haydi as hd
imported = time.monotonic()
ctx = hd.DistributedContext(spawn_workers={WORKERS})
ready = time.monotonic()
assert hd.Range(10).map(lambda x: x + 1).sum().run(ctx) == 55
result = time.monotonic()
ctx.close()
print(begin, imported, ready, result, time.monotonic(), flush=True)
"""


def first_result(_ctx: hd.Context, _bare: Sequence[BareProcess], quick: bool) -> list[Row]:
    """From nothing to the first result, and back to nothing."""
    total = Row("interpreter start to first result", [], [], "start and end of a bare interpreter", "0.4 s")
    made = Row(f"DistributedContext(spawn_workers={WORKERS}) to first result", [], aim="0.4 s")
    imported = Row("import haydi", [])
    closed = Row("close()", [])
    ended = Row("result printed to end of the interpreter", [])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for _ in range(3 if quick else 21):
        begin = time.monotonic()
        command = [sys.executable, "-c", FIRST_RESULT]
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        end = time.monotonic()
        first, after_import, _ready, result, down = map(float, run.stdout.split())
        total.haydi_seconds.append(result - begin)
        imported.haydi_seconds.append(after_import - first)
        made.haydi_seconds.append(result - after_import)
        closed.haydi_seconds.append(down - result)
        ended.haydi_seconds.append(end - down)
        bare = [sys.executable, "-c", "pass"]
        total.other_seconds.append(clock(lambda command=bare: subprocess.run(command, check=True))[0])  # type: ignore[misc]
    return [total, imported, made, closed, ended]


def collect(ctx: hd.Context, _bare: Sequence[BareProcess], quick: bool) -> list[Row]:
    """A million pairs, as one list in order."""
    count = 200_000 if quick else 1_000_000
    rounds = 3 if quick else 9
    chunk_sizes = [1000, 4000, 16_000, 64_000, count // WORKERS]
    pipeline = hd.Range(count).map(pair)
    mine: list[float] = []
    others: dict[int, list[float]] = {size: [] for size in chunk_sizes}
    # Spawned, not forked: this process has threads by now.
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        expected = pool.map(pair, range(count))
        if pipeline.run(ctx) != expected:
            raise AssertionError("collect: Haydi and the pool find different lists")
        for _ in range(rounds):
            for size in chunk_sizes:
                mine.append(clock(lambda: pipeline.run(ctx))[0])
                others[size].append(clock(lambda n=size: pool.map(pair, range(count), chunksize=n))[0])  # type: ignore[misc]
    best = min(chunk_sizes, key=lambda size: median(others[size]))
    return [
        Row(f"collect {count:,} pairs in order", mine, others[best], f"multiprocessing, chunks of {best:,}")
    ]


Part = Callable[[hd.Context, Sequence[BareProcess], bool], list[Row]]
PARTS: dict[str, Part] = {
    "even": even,
    "skewed": skew,
    "latency": latency,
    "start": first_result,
    "collect": collect,
}


# --- the command line -------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "haydi": hd.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the distributed runtime costs.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (all of them)")
    parser.add_argument(
        "--quick", action="store_true", help="fewer and smaller rounds: rough figures in 15 seconds"
    )
    parser.add_argument("--json", metavar="FILE", help="write all single times to this file")
    args = parser.parse_args()
    if unknown := sorted(set(args.parts) - set(PARTS)):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()), flush=True)
    bare = [BareProcess() for _ in range(WORKERS)]
    rows: list[Row] = []
    try:
        with hd.DistributedContext(spawn_workers=WORKERS) as ctx:
            for name in args.parts or PARTS:
                for row in PARTS[name](ctx, bare, args.quick):
                    rows.append(row)
                    print(row, flush=True)
    finally:
        for process in reversed(bare):  # the later ones inherited the pipes of the earlier ones
            process.close()
    print(f"load at the end: {os.getloadavg()[0]}")
    if args.json:
        Path(args.json).write_text(
            json.dumps({"machine": about, "rows": [asdict(row) for row in rows]}, indent=1)
        )


if __name__ == "__main__":
    main()
