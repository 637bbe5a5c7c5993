"""What the runs of the simulation compute, what their steps cost, and what a plain loop makes of them.

A job has a real plan with a real action, which the simulated compute processes execute and the real merger merges.
What should come out is computed here a second time, by the shortest Python there is and without any of that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import Any

from haydi.actions import Action, Collect, Count, First, Groups, Max, Sum
from haydi.pipeline import Filter, Map
from haydi.plan import Plan
from haydi.skipping import skipping
from haydi.taken import Taken

__all__ = [
    "Costs",
    "Dies",
    "Expected",
    "Job",
    "Ranges",
    "StepError",
    "Swells",
    "counting_job",
    "poison_job",
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


class Dies(BaseException):
    """A step ends its process."""


class Swells(BaseException):
    """A step uses up the memory of its process."""


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
    #: Steps that cannot even be counted.
    deadly: frozenset[int] = frozenset()

    def elements(self, start: int, stop: int) -> Iterator[int]:
        return iter(range(start, stop))

    def count(self, start: int, stop: int) -> int:
        if any(start <= step < stop for step in self.deadly):
            raise Dies
        return stop - start


@dataclass(frozen=True)
class Expected:
    """How a run has to end: with a value, or with a failure in one of some steps."""

    state: str
    value: Any = None
    #: Steps that may be the one named as failing, and how; of a run that skips, those that have to be.
    steps: Mapping[int, str] = field(default_factory=dict)


@dataclass(eq=False)
class Job:
    """One thing to compute."""

    name: str
    plan: Plan
    costs: Costs
    #: What a plain loop makes of the steps in some ranges, without some of them.
    serial: Callable[[Ranges, Collection[int]], Expected]
    #: Steps that fail, and how: "user" (a function raises) or "died" (the process is killed).
    bad: Mapping[int, str] = field(default_factory=dict)
    #: Steps whose partial cannot be pickled.
    sticky: frozenset[int] = frozenset()
    #: Steps that fail are left out.
    skip: bool = False
    #: No host can load it.
    broken: bool = False
    #: Its functions swallow interrupts.
    stubborn: bool = False
    #: What a pickled partial weighs, in bytes, beyond what it really does.
    ballast: int = 0
    #: Nothing about it needs to be looked at between chunks.
    plain: bool = field(init=False)

    def __post_init__(self) -> None:
        self.plain = not (self.plan.action.early or self.bad)

    @property
    def steps(self) -> int:
        return self.plan.steps

    @property
    def early(self) -> bool:
        return self.plan.action.early

    def describe(self) -> str:
        bad = f" bad={dict(self.bad)}" * bool(self.bad) + f" sticky={sorted(self.sticky)}" * bool(self.sticky)
        flags = " broken" * self.broken + " stubborn" * self.stubborn + " skip" * self.skip
        return f"{self.name} of {self.steps} steps, {self.costs.name} costs{bad}{flags}"


class _Functions:
    """The elements of a job: ``value`` is a fixed number for each step, ``keeps`` a fixed choice among them."""

    def __init__(self, salt: int, modulus: int, bad: Mapping[int, BaseException]) -> None:
        self.salt = salt
        self.modulus = modulus
        self.bad = bad

    def value(self, step: int) -> int:
        if step in self.bad:
            raise self.bad[step]
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
        return huge_job(rng, seconds, calm=calm)
    name, action, filtered, serial = random_action(rng)
    steps = rng.choice([0, 1, 2, 3, 10, 60, 400, 1500, STEPS_MAX])
    bad: dict[int, BaseException] = {}
    sticky: frozenset[int] = frozenset()
    broken, skip = False, rng.random() < 0.4
    if not calm and steps:
        kind = rng.choices(["fine", "failing", "deadly", "mixed", "sticky", "broken"], [30, 6, 6, 4, 2, 1])[0]
        some = [rng.randrange(steps) for _ in range(rng.choice([1, 1, 3]))]
        if kind in ("failing", "deadly", "mixed"):
            raised: list[type[BaseException]] = [StepError, Dies, Swells]
            raised = raised[:1] if kind == "failing" else raised[kind == "deadly" :]
            bad = {step: rng.choice(raised)(step) for step in some}
        elif kind == "sticky" and not action.early:  # only what tells its very step is well-defined there
            sticky = frozenset(some)
        broken = kind == "broken"
    functions = _Functions(rng.getrandbits(60), rng.choice([2, 11, max(2, steps // 3), 10 * steps + 2]), bad)
    transformations: tuple[Map | Filter, ...] = (Map(functions.value),)
    if filtered:
        transformations += (Filter(functions.keeps),)
    if name == "sum":
        transformations += (Map(_seventh),)
    plan = Plan(Steps(steps), transformations, action, steps)
    kinds = {step: "user" if isinstance(error, StepError) else "died" for step, error in bad.items()}

    def expected(ranges: Ranges, without: Collection[int]) -> Expected:
        if broken and steps:
            return Expected("failed", steps=dict.fromkeys(range(steps), "load"))
        if sticky:
            return Expected("failed", steps=dict.fromkeys(sticky, "result"))
        if kinds and not action.early and not skip:
            return Expected("failed", steps=kinds)
        met: dict[int, str] = {}

        def values() -> Iterator[int]:
            for start, stop in ranges:
                for step in range(start, stop):
                    if step in kinds:
                        met[step] = kinds[step]
                    if not skip or (step not in kinds and step not in without):
                        yield functions.value(step)

        try:
            return Expected("done", serial(values(), functions.keeps), met)
        except (StepError, Dies, Swells):
            return Expected("failed", steps=met)

    return Job(
        name,
        skipping(plan) if skip else plan,
        random_costs(rng, steps, seconds),
        expected,
        bad=kinds,
        sticky=sticky,
        skip=skip,
        broken=broken,
        stubborn=rng.random() < 0.05,
        ballast=rng.choice([0, 0, 0, 1 << 12, 1 << 17, 600_000]),
    )


def counting_job(steps: int, costs: Costs) -> Job:
    """Count steps: what it costs is all there is to it."""
    plan = Plan(Steps(steps), (), Count(), steps)
    return Job("count", plan, costs, lambda ranges, without: Expected("done", sum(b - a for a, b in ranges)))


def poison_job(steps: int, costs: Costs, deadly: frozenset[int], *, skip: bool) -> Job:
    """Count steps, some of which end the process that does."""
    plan = Plan(Steps(steps, deadly=deadly), (), Count(), steps)
    kinds = dict.fromkeys(deadly, "died")

    def expected(ranges: Ranges, without: Collection[int]) -> Expected:
        if not skip:
            return Expected("failed", steps=kinds)
        met = {step: "died" for step in deadly if any(a <= step < b for a, b in ranges)}
        out = len(met) + sum(any(a <= x < b for a, b in ranges) for x in set(without) - deadly)
        return Expected("done", sum(b - a for a, b in ranges) - out, met)

    return Job("count", skipping(plan) if skip else plan, costs, expected, bad=kinds, skip=skip)


def huge_job(rng: Random, seconds: float, *, calm: bool) -> Job:
    """More steps than a machine word holds: all of them counted, or little of them looked at."""
    steps = rng.choice([1 << 63, (1 << 64) + 3, 10**30, 1 << 2000])
    if rng.random() < 0.5:
        costs = Costs("uniform", lambda start, stop: (stop - start) / steps * seconds, 0.0)
        if rng.random() < 0.3 and not calm and steps <= 10**30:
            deadly = frozenset(rng.randrange(steps) for _ in range(rng.choice([1, 2])))
            return poison_job(steps, costs, deadly, skip=rng.random() < 0.5)
        return counting_job(steps, costs)
    hit = rng.choice([0, 5, 700])

    def is_hit(step: int) -> bool:
        return step >= hit and step % 3 == 0

    def expected(ranges: Ranges, without: Collection[int]) -> Expected:
        covered = (step for start, stop in ranges for step in range(start, stop))
        return Expected("done", next(filter(is_hit, covered), None))

    plan = Plan(Steps(steps), (Filter(is_hit),), First(), steps)
    return Job("first", plan, uniform_costs(seconds / 1000), expected)
