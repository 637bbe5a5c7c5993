"""What a checkpoint costs: runs with and without one, in this process and on two workers.

Runs with and without are measured in turn, A B A B ..., so that a change of the machine's pace hits both alike, and
the medians are compared. Beside that stand the processor seconds of this process, which a busy machine disturbs
less: what is spent there is what the client does for the file, its writing thread included. ``begin and end`` is the
fixed part: opening the file, and closing it.

Run it with ``PYTHONPATH=. python benchmarks/checkpoint.py [rounds]``; it takes some minutes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import haydi as hd

_ROUNDS = 5

Measured = tuple[float, float, int]


def _work(x: int) -> int:
    return sum(range(x % 100)) % 1009


def _seven(x: int) -> int:
    return x % 7


def _rest(x: int) -> int:
    return x % 10_000


def _cases() -> list[tuple[str, hd.Pipeline[Any, Any]]]:
    """Name and pipeline; each runs some seconds."""
    return [
        ("begin and end", hd.Range(10).map(_work).sum()),
        ("sum", hd.Range(5_000_000).map(_work).sum()),
        ("max(size=10)", hd.Range(5_000_000).map(_work).max(size=10)),
        ("groups(limit=100)", hd.Range(5_000_000).map(_work).groups(_seven, limit=100)),
        ("frequencies, 10000 keys", hd.Range(10_000_000).frequencies(_rest)),
        ("collect 1 of 1009", hd.Range(5_000_000).filter(_is_rare).collect()),
        ("collect all, 1 us each", hd.Range(5_000_000).map(_work).collect()),
    ]


def _is_rare(x: int) -> bool:
    return _work(x) == 0


def _measure(ctx: hd.Context, pipeline: hd.Pipeline[Any, Any], file: Path | None) -> Measured:
    """Seconds, processor seconds of this process, and bytes of the file."""
    begin, spent = time.perf_counter(), time.process_time()
    ctx.run(pipeline, checkpoint=file)
    seconds, spent = time.perf_counter() - begin, time.process_time() - spent
    size = 0
    if file is not None:
        size = file.stat().st_size
        file.unlink()
    return seconds, spent, size


def main() -> None:
    """Measure all cases and print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else _ROUNDS
    print(f"{'':32}{'seconds':>9}{'with':>9}{'more':>9}{'cpu':>9}{'with':>9}{'of the run':>12}{'file kB':>9}")
    with tempfile.TemporaryDirectory() as directory, hd.DistributedContext(spawn_workers=2) as workers:
        file = Path(directory) / "run.haydi"
        for where, ctx in (("serial", hd.SerialContext()), ("2 workers", workers)):
            for name, pipeline in _cases():
                pairs = [
                    (_measure(ctx, pipeline, None), _measure(ctx, pipeline, file)) for _ in range(rounds)
                ]
                plain, kept = (
                    [median(m[i] for m in side) for i in range(3)] for side in zip(*pairs, strict=True)
                )
                of_run = 100 * (kept[1] - plain[1]) / plain[0]
                print(
                    f"{f'{where}: {name}':32}{plain[0]:>9.3f}{kept[0]:>9.3f}{100 * (kept[0] / plain[0] - 1):>8.1f}%"
                    f"{plain[1]:>9.3f}{kept[1]:>9.3f}{of_run:>11.2f}%{kept[2] / 1e3:>9.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
