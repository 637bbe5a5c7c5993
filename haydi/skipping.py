"""``on_error="skip"``: a step that fails is left out, and told in the report.

What *failing* means has to be the same however the steps are cut: a step fails when its own elements, taken alone, make
a function raise an exception. Such a step gives nothing, no matter how many of its elements were fine, and everything
else is as if it was not there.

So the partial of a range is a :class:`Tally`: the partial of the action for the steps that are fine, and the failures
of the others, which are a monoid themselves (the earliest are kept, all are counted). Whoever merges the partials of
ranges merges their failures with them: each counts exactly once, as each step does, and none is told of a range whose
result was lost.

A range is run at full speed first. When it raises, the plan names the first step that fails; what is before it is run
without it, and so is what is behind. Steps are never counted through one by one: there may be more of them than
elements. An exception that no step raises alone is not of a step (two elements that cannot be compared, a function for
``reduce`` that refuses a pair), and ends the run as ever.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final, Literal

from haydi.actions import Action
from haydi.errors import ArgumentTypeError, ArgumentValueError, StepFailure, UsageError
from haydi.pipeline import Pipeline
from haydi.plan import Plan, compile_plan
from haydi.sources import StreamSource

__all__ = [
    "FAILURES_MOST",
    "OnError",
    "Skipping",
    "SkippingPlan",
    "Tally",
    "check_on_error",
    "failures_of",
    "named",
    "plan_for",
    "skipping",
]

OnError = Literal["raise", "skip"]

#: So many failures of a run are kept; all are counted.
FAILURES_MOST: Final = 1000
#: The end of a traceback tells most.
_TRACEBACK_TEXT_MAX: Final = 4000


def check_on_error(value: object) -> bool:
    """Whether failing steps are to be skipped.

    Raises:
        ArgumentTypeError, ArgumentValueError: naming the argument and the value.

    Example:
        >>> check_on_error("skip"), check_on_error("raise")
        (True, False)
    """
    if not isinstance(value, str):
        raise ArgumentTypeError(f"on_error={value!r}: 'raise' or 'skip' is needed")
    if value not in ("raise", "skip"):
        raise ArgumentValueError(f"on_error={value!r}: must be 'raise' or 'skip'")
    return value == "skip"


@dataclass(slots=True)
class Tally:
    """The partial of a range of steps, some of which may have failed.

    Attributes:
        partial: The partial of the action for the others.
        failures: The first failures, in the order of steps.
        total: How many steps failed.
    """

    partial: Any
    failures: list[StepFailure] = field(default_factory=list)
    total: int = 0


class Skipping(Action[Any, Tally, Any]):
    """An action, and the failures beside it."""

    def __init__(self, action: Action[Any, Any, Any]) -> None:
        self.action = action
        self.early = action.early
        self.grows = action.grows
        self.needs_end = action.needs_end

    @property
    def name(self) -> str:
        return self.action.name

    def init(self) -> Tally:
        return Tally(self.action.init())

    def fold(self, partial: Tally, element: Any) -> Tally:
        partial.partial = self.action.fold(partial.partial, element)
        return partial

    def merge(self, left: Tally, right: Tally) -> Tally:
        left.partial = self.action.merge(left.partial, right.partial)
        left.failures.extend(right.failures[: max(0, FAILURES_MOST - len(left.failures))])
        left.total += right.total
        return left

    def finish(self, partial: Tally) -> Any:
        return self.action.finish(partial.partial)

    def is_final(self, partial: Tally) -> bool:
        return self.action.is_final(partial.partial)

    def failed(self, failure: StepFailure) -> Tally:
        """The partial of a step that failed."""
        return Tally(self.action.init(), [failure], 1)


@dataclass(frozen=True)
class SkippingPlan(Plan):
    """A plan that leaves out the steps that fail; its action is a :class:`Skipping`."""

    def execute(self, start: int, stop: int) -> Tally:
        assert isinstance(self.action, Skipping)
        plan = Plan(self.source, self.transformations, self.action.action, self.steps, self.seed)
        return _run(plan, self.action, start, stop)


def plan_for(pipeline: Pipeline[Any, Any], on_error: str) -> Plan:
    """Decide how a pipeline is run, and what becomes of steps that fail.

    Raises:
        ArgumentTypeError, ArgumentValueError: when ``on_error`` is neither raise nor skip, or the pipeline cannot be
            run.
    """
    skip = check_on_error(on_error)
    plan = compile_plan(pipeline)
    return skipping(plan) if skip else plan


def skipping(plan: Plan) -> SkippingPlan:
    """The same plan, but steps that fail are left out.

    Example:
        >>> import haydi as hd
        >>> from haydi.plan import compile_plan
        >>> plan = skipping(compile_plan(hd.Range(4).map(lambda x: 6 // x).collect()))
        >>> tally = plan.execute(0, 4)
        >>> tally.partial, [(f.step, f.element, f.error) for f in tally.failures], tally.total
        ([6, 3, 2], [(0, '0', "ZeroDivisionError('integer division or modulo by zero')")], 1)
    """
    return SkippingPlan(plan.source, plan.transformations, Skipping(plan.action), plan.steps, plan.seed)


def _run(plan: Plan, action: Skipping, start: int, stop: int) -> Tally:
    if isinstance(plan.source, StreamSource):
        plan.source.elements(start, stop)  # they are read once; a stream that fails has no more of them
    tally = action.init()
    todo = [(start, stop)]
    while todo and not (action.early and action.is_final(tally)):
        start, stop = todo.pop()
        try:
            piece = Tally(plan.execute(start, stop))
        except Exception as error:
            if stop - start > 1:
                todo += reversed(_parts(plan, start, stop, error))
                continue
            piece = action.failed(_failure(error, start))
        tally = action.merge(tally, piece)
    return tally


def _parts(plan: Plan, start: int, stop: int, error: Exception) -> list[tuple[int, int]]:
    """Smaller ranges for one that raised: around the step that the plan has named, or halves.

    Raises:
        UsageError: when it says of several steps that they cannot be (a function for ``reduce`` that is not
            associative): no smaller range would show it.
    """
    named = getattr(error, "haydi_failure", None)
    if isinstance(named, StepFailure) and named.stop == named.step + 1 and start <= named.step < stop:
        cuts = [start, named.step, named.stop, stop]
        if isinstance(error, UsageError) and _is_fine(plan, named.step):
            raise error
        return [(a, b) for a, b in pairwise(cuts) if a < b]
    middle = (start + stop) // 2
    return [(start, middle), (middle, stop)]


def _is_fine(plan: Plan, step: int) -> bool:
    try:
        plan.execute(step, step + 1)
    except Exception:
        return False
    return True


def _failure(error: Exception, step: int) -> StepFailure:
    failure = getattr(error, "haydi_failure", None)
    if not isinstance(failure, StepFailure):
        import os
        import socket

        text = "".join(traceback.format_exception(error))
        failure = StepFailure(step, step + 1, None, _text(error), text, socket.gethostname(), os.getpid())
    return replace(failure, step=step, stop=step + 1, traceback=failure.traceback[-_TRACEBACK_TEXT_MAX:])


def _text(error: Exception) -> str:
    try:
        return repr(error)
    except Exception:
        return f"<{type(error).__name__} whose repr raises>"


def failures_of(partials: Iterable[Any]) -> tuple[list[StepFailure], int]:
    """The first failures of some tallies in the order of steps, and how many there are; nothing of other partials."""
    tallies = [partial for partial in partials if isinstance(partial, Tally)]
    return list(_first(tallies)), sum(tally.total for tally in tallies)


def named(failures: Iterable[StepFailure], elements: Mapping[int, str]) -> list[StepFailure]:
    """Failures in the order of steps, with the elements that are known."""
    told = (replace(f, element=elements[f.step]) if f.step in elements else f for f in failures)
    return sorted(told, key=lambda failure: failure.step)


def _first(tallies: list[Tally]) -> Iterator[StepFailure]:
    left = FAILURES_MOST
    for tally in tallies:
        some = tally.failures[:left]
        left -= len(some)
        yield from some
