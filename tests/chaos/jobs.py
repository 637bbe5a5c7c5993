"""Pipelines whose results are known without Haydi: closed forms, plain Python, or a table of OEIS.

Their functions sleep rather than work: what is tried is the runtime, and a machine has only so many cores. The module
is imported by clients and compute processes alike, which keeps what travels small.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import haydi as hd
from haydi.errors import PoisonStepError, UserCodeError

__all__ = ["JOBS", "Job", "Outcome", "check"]

STEP_SECONDS = 0.0015


def slowly(x: int) -> int:
    time.sleep(STEP_SECONDS)
    return x * x


def slow_residue(x: int) -> int:
    time.sleep(STEP_SECONDS)
    return x % 7


@dataclass(frozen=True)
class FallsDead:
    """Ends its process at some numbers, and passes the others on."""

    numbers: frozenset[int]

    def __call__(self, x: int) -> int:
        if x in self.numbers:
            os._exit(9)
        time.sleep(STEP_SECONDS)
        return x


@dataclass(frozen=True)
class Raises:
    """Raises at some numbers, and passes the others on."""

    numbers: frozenset[int]

    def __call__(self, x: int) -> int:
        if x in self.numbers:
            raise KeyError(x)
        time.sleep(STEP_SECONDS)
        return x


@dataclass(frozen=True)
class SquareIs:
    """Whether a number is one of some squares."""

    least: int
    modulus: int

    def __call__(self, square: int) -> bool:
        return square >= self.least * self.least and square % self.modulus == 0


@dataclass(frozen=True)
class Job:
    """A pipeline, how to run it, and what has to come out.

    Attributes:
        pipeline: What to run.
        expected: Its result, or the type of the error that has to end it.
        skip: Whether failing steps are left out.
        failures: The steps that have to be reported as failed.
    """

    pipeline: hd.Pipeline[Any, Any]
    expected: Any
    skip: bool = False
    failures: tuple[int, ...] = field(default=())


#: OEIS A000088, graphs with n nodes, from n = 0 on.
GRAPHS = (1, 1, 2, 4, 11, 34, 156, 1044)


def _steps(rng: random.Random) -> int:
    return rng.randrange(200, 4000)


def _numbers(rng: random.Random, steps: int, most: int) -> frozenset[int]:
    return frozenset(rng.sample(range(steps), rng.randint(1, most)))


def total(rng: random.Random) -> Job:
    n = _steps(rng)
    return Job(hd.Range(n).map(slowly).sum(), (n - 1) * n * (2 * n - 1) // 6)


def count(rng: random.Random) -> Job:
    n = _steps(rng)
    return Job(hd.Range(n).map(slow_residue).filter(bool).count(), n - (n + 6) // 7)


def ordered(rng: random.Random) -> Job:
    n = _steps(rng)
    return Job(hd.Range(n).map(slowly).collect(), [x * x for x in range(n)])


def large(rng: random.Random) -> Job:
    """Results of some megabytes, which the flow control has to hold back."""
    n = rng.randrange(100, 400)
    return Job(hd.Range(n).map(slowly).map(_text).collect(), [_text(x * x) for x in range(n)])


def _text(x: int) -> str:
    return str(x) * 2000


def early_take(rng: random.Random) -> Job:
    least, some = rng.randrange(3000), rng.randrange(1, 8)
    first = -(-least // 13) * 13
    pipeline = hd.Range(10**12).map(slowly).filter(SquareIs(least, 13)).take(some).collect()
    return Job(pipeline, [(first + 13 * k) ** 2 for k in range(some)])


def early_first(rng: random.Random) -> Job:
    least = rng.randrange(3000)
    return Job(hd.Range(10**30).map(slowly).filter(SquareIs(least, 1)).first(), least * least)


def greatest(rng: random.Random) -> Job:
    n, size = _steps(rng), rng.randrange(1, 9)
    return Job(hd.Range(n).max(slow_residue, size=size), list(range(6, n, 7))[:size])


def groups(rng: random.Random) -> Job:
    n, limit = _steps(rng), rng.randrange(1, 6)
    expected = {r: list(range(r, n, 7))[:limit] for r in range(7)}
    return Job(hd.Range(n).groups(slow_residue, limit=limit), expected)


def graphs(rng: random.Random) -> Job:
    n = rng.randrange(2, 8)
    return Job(hd.Subsets(hd.Subsets(hd.USet(n, "n"), 2)).cnfs().count(), GRAPHS[n])


def drawn(rng: random.Random) -> Job:
    seed, n = rng.randrange(10**6), rng.randrange(100, 2000)
    pipeline = (hd.Range(1000) * hd.Range(1000)).generate(n, seed=seed)
    return Job(pipeline.filter(_slow_sum_is_odd), pipeline.filter(_sum_is_odd).run())


def _sum_is_odd(pair: tuple[int, int]) -> bool:
    return sum(pair) % 2 == 1


def _slow_sum_is_odd(pair: tuple[int, int]) -> bool:
    time.sleep(STEP_SECONDS)
    return _sum_is_odd(pair)


def poison(rng: random.Random) -> Job:
    n = _steps(rng)
    bad = _numbers(rng, n, 3)
    return Job(
        hd.Range(n).map(FallsDead(bad)).collect(),
        [x for x in range(n) if x not in bad],
        True,
        tuple(sorted(bad)),
    )


def exceptions(rng: random.Random) -> Job:
    n = _steps(rng)
    bad = _numbers(rng, n, 20)
    return Job(hd.Range(n).map(Raises(bad)).sum(), sum(range(n)) - sum(bad), True, tuple(sorted(bad)))


def fatal(rng: random.Random) -> Job:
    n = _steps(rng)
    step = rng.randrange(n)
    return Job(hd.Range(n).map(FallsDead(frozenset([step]))).sum(), PoisonStepError, failures=(step,))


def raised(rng: random.Random) -> Job:
    n = _steps(rng)
    step = rng.randrange(n)
    return Job(hd.Range(n).map(Raises(frozenset([step]))).sum(), KeyError, failures=(step,))


JOBS: dict[str, Callable[[random.Random], Job]] = {
    "sum": total,
    "count": count,
    "collect": ordered,
    "large": large,
    "take": early_take,
    "first": early_first,
    "max": greatest,
    "groups": groups,
    "cnfs": graphs,
    "generate": drawn,
    "skip-poison": poison,
    "skip-exception": exceptions,
    "poison": fatal,
    "exception": raised,
}


@dataclass(frozen=True)
class Outcome:
    """What came of a run: ``right``, ``wrong``, or an ``error`` that nobody expected."""

    what: str
    text: str = ""


def check(job: Job, ctx: hd.Context) -> Outcome:
    """Run a job and compare."""
    failed = isinstance(job.expected, type)
    try:
        result = job.pipeline.run(ctx, on_error="skip" if job.skip else "raise")
    except Exception as error:
        if not (failed and isinstance(error, job.expected | UserCodeError)):
            return Outcome("error", f"{type(error).__name__}: {error}")
        return _check_failures(job, ctx)
    if failed:
        return Outcome("wrong", f"{_short(result)} came instead of {job.expected.__name__}")
    if result != job.expected:
        return Outcome(
            "wrong", f"{_short(result)} came instead of {_short(job.expected)}{_parts(result, job.expected)}"
        )
    return _check_failures(job, ctx)


def _check_failures(job: Job, ctx: hd.Context) -> Outcome:
    report = ctx.last_report
    steps = tuple(failure.step for failure in report.failures) if report is not None else None
    if steps != job.failures:
        return Outcome("wrong", f"the steps {steps} are reported as failed, not {job.failures}")
    return Outcome("right")


def _short(thing: object) -> str:
    text = repr(thing)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(text)} characters)"


def _parts(result: object, expected: object) -> str:
    if not isinstance(result, Iterable) or not isinstance(expected, list):
        return ""
    found = list(result)
    missing = [x for x in expected if x not in found]
    return f"; {len(found)} for {len(expected)} elements, missing {_short(missing)}"
