"""What the runs of the simulation compute, what their steps cost, and what a plain loop makes of them.

A job has a real plan with a real action, which the simulated compute processes execute and the real merger merges.
What should come out is computed here a second time, by the shortest Python there is and without any of that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import Any

from haydi.actions import Action, Collect, Count, First, Groups, Max, Sum
from haydi.pipeline import Filter, Map
from haydi.plan import Plan
from haydi.taken import Taken

__all__ = [
    "Costs",
    "Expected",
    "Job",
    "Ranges",
    "StepError",
    "counting_job",
    "quadratic_costs",
    "random_job",
    "table_costs",
    "uniform_costs",
]

Ranges = Sequence[tuple[int, int]]

#: Jobs of up to this many steps have all their elements built.
STEPS_MAX = 4000


class StepError(Exception):
    """What the functions of a job raise."""


@dataclass(frozen=True)
class Costs:
    """What steps cost: ``of(start, stop)`` is how many seconds they take together."""

    name: str
    of: Callable[[int, int], float]
    #: The dearest step.
    most: float


def uniform_costs(each: float) -> Costs:
    return Costs("uniform", lambda start, stop: (stop - start) * each, each)


def quadratic_costs(steps: int, total: float) -> Costs:
    """Costs that grow with the square of the index."""
    scale = total / max(1, _squares(steps))
    most = max(0, steps - 1) ** 2 * scale
    return Costs("quadratic", lambda start, stop: (_squares(stop) - _squares(start)) * scale, most)


def _squares(i: int) -> int:
    return (i - 1) * i * (2 * i - 1) // 6


def table_costs(name: str, each: Sequence[float]) -> Costs:
    sums = list(accumulate(each, initial=0.0))
    return Costs(name, lambda start, stop: sums[stop] - sums[start], max(each, default=0.0))


def random_costs(rng: Random, steps: int, total: float) -> Costs:
    """Costs of ``total`` seconds altogether (a giant step comes on top)."""
    each = total / max(1, steps)
    kind = rng.choice(["uniform", "quadratic", "tail", "giant", "jump"])
    if kind == "uniform" or not steps:
        return uniform_costs(each)
    if kind == "quadratic":
        return quadratic_costs(steps, total)
    if kind == "tail":
        weights = [min(rng.paretovariate(1.1), 1000.0) for _ in range(steps)]
        scale = total / sum(weights)
        return table_costs(kind, [w * scale for w in weights])
    costs = [each] * steps
    if kind == "giant":
        costs[rng.randrange(steps)] = rng.uniform(1.0, 8.0)
        return table_costs(kind, costs)
    at = rng.randrange(steps)
    low, high = each / 20, each * 2
    return table_costs(kind, [low if i < at else high for i in range(steps)])


@dataclass(frozen=True)
class Steps:
    """The source of a job: the numbers of its steps."""

    steps: int
    one_each: bool = True

    def elements(self, start: int, stop: int) -> Iterator[int]:
        return iter(range(start, stop))

    def count(self, start: int, stop: int) -> int:
        return stop - start


@dataclass(frozen=True)
class Expected:
    """How a run has to end: with a value, or with a failure in one of some steps."""

    state: str
    value: Any = None
    #: Steps that may be the one named as failing.
    steps: frozenset[int] = frozenset()
    kind: str = ""


@dataclass(eq=False)
class Job:
    """One thing to compute."""

    name: str
    plan: Plan
    costs: Costs
    #: What a plain loop makes of the steps in some ranges.
    serial: Callable[[Ranges], Expected]
    #: Steps whose function raises; that kill their process; whose partial cannot be pickled.
    failing: frozenset[int] = frozenset()
    deadly: frozenset[int] = frozenset()
    sticky: frozenset[int] = frozenset()
    #: No host can load it.
    broken: bool = False
    #: Its functions swallow interrupts.
    stubborn: bool = False
    #: What a pickled partial weighs, in bytes, beyond what it really does.
    ballast: int = 0
    #: Nothing about it needs to be looked at between chunks.
    plain: bool = field(init=False)

    def __post_init__(self) -> None:
        self.plain = not (self.plan.action.early or self.failing or self.deadly)

    @property
    def steps(self) -> int:
        return self.plan.steps

    @property
    def early(self) -> bool:
        return self.plan.action.early

    def describe(self) -> str:
        bad = "".join(
            f" {name}={sorted(steps)}"
            for name, steps in [("failing", self.failing), ("deadly", self.deadly), ("sticky", self.sticky)]
            if steps
        )
        flags = " broken" * self.broken + " stubborn" * self.stubborn
        return f"{self.name} of {self.steps} steps, {self.costs.name} costs{bad}{flags}"


class _Functions:
    """The elements of a job: ``value`` is a fixed number for each step, ``keeps`` a fixed choice among them."""

    def __init__(self, salt: int, modulus: int, failing: frozenset[int]) -> None:
        self.salt = salt
        self.modulus = modulus
        self.failing = failing

    def value(self, step: int) -> int:
        if step in self.failing:
            raise StepError(step)
        x = (step * 0x9E3779B97F4A7C15 + self.salt) & 0xFFFFFFFFFFFFFFFF
        x = (x ^ x >> 31) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        return (x ^ x >> 29) % 1_000_003

    def keeps(self, value: int) -> bool:
        return value % self.modulus == 0


def _residue(value: int) -> int:
    return value % 97


def _color(value: int) -> int | None:
    return None if value % 5 == 4 else value % 5


def _seventh(value: int) -> float:
    return value / 7.0 - 50_000.0


def _plus_one(value: int) -> int:
    return value + 1


def _is_odd(value: int) -> bool:
    return value % 2 == 1


Serial = Callable[[Iterator[int], Callable[[int], bool]], Any]


def _serial_first(values: Iterator[int], keeps: Callable[[int], bool]) -> Any:
    return next((x for x in values if keeps(x)), None)


def _serial_max(size: int) -> Serial:
    def serial(values: Iterator[int], keeps: Callable[[int], bool]) -> Any:
        kept = list(values)
        best = max(map(_residue, kept), default=None)
        return [x for x in kept if _residue(x) == best][:size]

    return serial


def _serial_taken(limit: int, *, odd: bool) -> Serial:
    def serial(values: Iterator[int], keeps: Callable[[int], bool]) -> Any:
        taken: list[int] = []
        for x in values:
            if keeps(x):
                taken.append(x + 1)
                if len(taken) == limit:
                    break
        return [x for x in taken if x % 2 == 1] if odd else taken

    return serial


def _serial_groups(limit: int) -> Serial:
    def serial(values: Iterator[int], keeps: Callable[[int], bool]) -> Any:
        groups: dict[int, list[int]] = {}
        for x in values:
            if (key := _color(x)) is not None and len(groups.setdefault(key, [])) < limit:
                groups[key].append(x)
        return groups

    return serial


def random_action(rng: Random) -> tuple[str, Action[Any, Any, Any], bool, Serial]:
    """Name, action, whether a filter stands before it, and what a plain loop makes of the values."""
    size = rng.choice([1, 2, 7])
    choices: list[tuple[str, Action[Any, Any, Any], bool, Serial]] = [
        ("collect", Collect(), False, lambda values, keeps: list(values)),
        ("count", Count(), True, lambda values, keeps: sum(1 for x in values if keeps(x))),
        ("sum", Sum(), False, lambda values, keeps: math.fsum(map(_seventh, values))),
        ("first", First(), True, _serial_first),
        (f"max({size})", Max(_residue, size), False, _serial_max(size)),
        (f"groups({size})", Groups(_color, size), False, _serial_groups(size)),
        (f"take({size})", Taken(size, (Map(_plus_one),), Collect()), True, _serial_taken(size, odd=False)),
        (
            f"take({size}).filter",
            Taken(size, (Map(_plus_one), Filter(_is_odd)), Collect()),
            True,
            _serial_taken(size, odd=True),
        ),
    ]
    return rng.choice(choices)


def random_job(rng: Random, seconds: float, *, calm: bool) -> Job:
    """A job of some ``seconds`` of work; a calm one has no step that goes wrong."""
    if rng.random() < 0.15:
        return huge_job(rng, seconds)
    name, action, filtered, serial = random_action(rng)
    steps = rng.choice([0, 1, 2, 3, 10, 60, 400, 1500, STEPS_MAX])
    failing: frozenset[int] = frozenset()
    deadly, sticky, broken = failing, failing, False
    if not calm and steps:
        kind = rng.choices(["fine", "failing", "deadly", "sticky", "broken"], [30, 6, 3, 2, 1])[0]
        some = frozenset(rng.randrange(steps) for _ in range(rng.choice([1, 1, 3])))
        if kind == "failing":
            failing = some
        elif (
            action.early
        ):  # only an exception tells its very step, and only then the serial result is well-defined
            pass
        elif kind == "deadly":
            deadly = frozenset([min(some)])
        elif kind == "sticky":
            sticky = some
        broken = kind == "broken"
    functions = _Functions(
        rng.getrandbits(60), rng.choice([2, 11, max(2, steps // 3), 10 * steps + 2]), failing
    )
    transformations: tuple[Map | Filter, ...] = (Map(functions.value),)
    if filtered:
        transformations += (Filter(functions.keeps),)
    if name == "sum":
        transformations += (Map(_seventh),)
    plan = Plan(Steps(steps), transformations, action, steps)

    bad, kind = (deadly, "died") if deadly else (failing, "user")

    def expected(ranges: Ranges) -> Expected:
        if broken and steps:
            return Expected("failed", kind="load", steps=frozenset(range(steps)))
        if sticky:
            return Expected("failed", kind="result", steps=sticky)
        if bad and not action.early:
            return Expected("failed", kind=kind, steps=bad)
        at = [-1]

        def values() -> Iterator[int]:
            for start, stop in ranges:
                for step in range(start, stop):
                    at[0] = step
                    yield functions.value(step)

        try:
            return Expected("done", serial(values(), functions.keeps))
        except StepError:
            return Expected("failed", kind=kind, steps=frozenset(at))

    return Job(
        name,
        plan,
        random_costs(rng, steps, seconds),
        expected,
        failing=failing,
        deadly=deadly,
        sticky=sticky,
        broken=broken,
        stubborn=rng.random() < 0.05,
        ballast=rng.choice([0, 0, 0, 1 << 12, 1 << 17, 600_000]),
    )


def counting_job(steps: int, costs: Costs) -> Job:
    """Count steps: what it costs is all there is to it."""
    plan = Plan(Steps(steps), (), Count(), steps)
    return Job("count", plan, costs, lambda ranges: Expected("done", sum(b - a for a, b in ranges)))


def huge_job(rng: Random, seconds: float) -> Job:
    """More steps than a machine word holds: all of them counted, or little of them looked at."""
    steps = rng.choice([1 << 63, (1 << 64) + 3, 10**30, 1 << 2000])
    if rng.random() < 0.5:
        costs = Costs("uniform", lambda start, stop: (stop - start) / steps * seconds, 0.0)
        return counting_job(steps, costs)
    hit = rng.choice([0, 5, 700])

    def is_hit(step: int) -> bool:
        return step >= hit and step % 3 == 0

    def expected(ranges: Ranges) -> Expected:
        covered = (step for start, stop in ranges for step in range(start, stop))
        return Expected("done", next(filter(is_hit, covered), None))

    plan = Plan(Steps(steps), (Filter(is_hit),), First(), steps)
    return Job("first", plan, uniform_costs(seconds / 1000), expected)
