"""Plans: what a worker executes.

A plan is a pipeline made ready to run: a *source* with numbered steps ``[0, steps)``, the transformations that
act on each element alone, and an action. It can be pickled, knows nothing of processes or sockets, and has one
promise: :meth:`Plan.execute` of neighbouring ranges, merged by the action, gives the same partial as one call
for both. So any cut of the steps, run anywhere in any order, ends in the same result.

``take(n)`` is the one transformation that looks across steps. Where each step gives one element it only makes
``steps`` smaller; behind a filter it becomes part of the action (:class:`Taken`): a range keeps its first n
survivors with what the rest of the pipeline makes of them, and the limit is applied when the ranges are put
together. The part behind the limit may therefore be computed for a few elements that are then left out.

The elements run at C speed (``map``, ``filter``, ``itertools``) with no bookkeeping. Which step raised is found
by going through a range that failed once more, step by step (:meth:`Plan.locate`); short ranges are run step
by step from the beginning, because there the bookkeeping costs nothing and a step may be heavy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from random import Random
from typing import TYPE_CHECKING, Any, Final, Protocol

from haydi.actions import Action, FoldAgain
from haydi.domains.domain import Domain
from haydi.errors import StepFailure, UnknownSizeError
from haydi.pipeline import Cnfs, Filter, Generate, Map, Pipeline, Take, Transformation, require_end

if TYPE_CHECKING:
    from haydi.symmetry.generate import Representatives

__all__ = [
    "ENDLESS",
    "CnfsSource",
    "GenerateSource",
    "IterateSource",
    "Plan",
    "Source",
    "Taken",
    "compile_plan",
    "stream",
]

#: Number of steps of an endless stream: more than any computer will reach.
ENDLESS: Final = 1 << 128

#: Ranges of up to this many steps are run step by step, so that a failure is located without a second run.
TRACKED_STEPS_MAX: Final = 32

#: Longest text by which an error shows an element.
ELEMENT_TEXT_MAX: Final = 300


class Source(Protocol):
    """Numbered steps and their elements."""

    @property
    def steps(self) -> int:
        """Number of steps."""

    @property
    def one_each(self) -> bool:
        """True when each step gives exactly one element."""

    def elements(self, start: int, stop: int) -> Iterator[Any]:
        """The elements of steps ``[start, stop)``, in order."""

    def count(self, start: int, stop: int) -> int | None:
        """Number of elements of steps ``[start, stop)``, or None where these have to be made to tell."""


@dataclass(frozen=True)
class IterateSource:
    """All elements of a domain of known size."""

    domain: Domain[Any]
    steps: int

    @property
    def one_each(self) -> bool:
        return not self.domain.filtered

    def elements(self, start: int, stop: int) -> Iterator[Any]:
        return self.domain.elements(start, stop)

    def count(self, start: int, stop: int) -> int | None:
        return stop - start if self.one_each else None


@dataclass(frozen=True)
class GenerateSource:
    """Random elements; the draw of a step depends on the seed and the number of the step alone."""

    domain: Domain[Any]
    steps: int
    seed: int | str
    _key: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        import hashlib  # here and below: what only some runs need is loaded when they do

        text = f"{type(self.seed).__name__}:{self.seed}".encode()
        object.__setattr__(self, "_key", int.from_bytes(hashlib.blake2b(text, digest_size=16).digest()))

    @property
    def one_each(self) -> bool:
        return True

    def elements(self, start: int, stop: int) -> Iterator[Any]:
        rng = Random()
        key, seed, draw = self._key, rng.seed, self.domain.generate_one

        def element(step: int) -> Any:
            seed(step << 128 | key)
            return draw(rng)

        return map(element, _steps(start, stop))

    def count(self, start: int, stop: int) -> int | None:
        return stop - start


@dataclass(frozen=True)
class CnfsSource:
    """One representative of each class of a strict domain; a step is a branch of the search for them."""

    representatives: Representatives

    @property
    def steps(self) -> int:
        return self.representatives.steps

    @property
    def one_each(self) -> bool:
        return False

    def elements(self, start: int, stop: int) -> Iterator[Any]:
        return self.representatives.elements(start, stop)

    def count(self, start: int, stop: int) -> int | None:
        return self.representatives.count(start, stop)


def _steps(start: int, stop: int) -> Iterator[int]:
    """``range`` counts at C speed at any size; only its length is limited, which nobody asks for here."""
    return iter(range(start, stop))


class Taken(Action[Any, list[Any], Any]):
    """``take(limit)`` behind a filter, with all that follows it in the pipeline.

    A partial is the list of the first ``limit`` survivors, each as a *record* of what the tail makes of it. When the
    tail has only maps, a record is just the value. Otherwise it is ``(depth, value)``: how many takes the element
    arrives at, this one counted, and its value if it arrives at the action (then depth is one more than the number
    of takes). :meth:`_replay` then applies the limits one after another, as a serial run would.
    """

    early = True
    needs_end = False

    def __init__(self, limit: int, tail: tuple[Transformation, ...], action: Action[Any, Any, Any]) -> None:
        self.limits = [limit]
        self.action = action
        self.segments: list[list[Map | Filter]] = [[]]
        for t in tail:
            if isinstance(t, Take):
                self.limits.append(t.limit)
                self.segments.append([])
            else:
                self.segments[-1].append(t)
        self.plain = len(self.segments) == 1 and all(isinstance(t, Map) for t in self.segments[0])

    @property
    def name(self) -> str:
        return self.action.name

    def init(self) -> list[Any]:
        return []

    def fold(self, partial: list[Any], element: Any) -> list[Any]:
        return self.fold_all(partial, iter((element,)))

    def fold_all(self, partial: list[Any], elements: Iterator[Any]) -> list[Any]:
        room = max(0, self.limits[0] - len(partial))
        kept: Iterator[Any] = islice(elements, room)
        if self.plain:
            for t in self.segments[0]:
                kept = map(t.function, kept)
        else:
            kept = map(self._record, kept)
        partial.extend(kept)
        return partial

    def _record(self, value: Any) -> tuple[int, Any]:
        for depth, segment in enumerate(self.segments, 1):
            for t in segment:
                if isinstance(t, Map):
                    value = t.function(value)
                elif not t.function(value):
                    return (depth, None)
        return (len(self.segments) + 1, value)

    def merge(self, left: list[Any], right: list[Any]) -> list[Any]:
        left.extend(islice(right, max(0, self.limits[0] - len(left))))
        return left

    def _replay(self, records: list[Any]) -> tuple[Any, bool]:
        """Partial of the action behind the limits, and whether nothing more can change it."""
        partial = self.action.init()
        if self.plain:
            partial = self.action.fold_all(partial, iter(records))
            return partial, len(records) >= self.limits[0] or self.action.is_final(partial)
        counts = [0] * len(self.limits)
        for depth, value in records:
            for i in range(min(depth, len(counts))):
                counts[i] += 1
            if depth > len(counts):
                partial = self.action.fold(partial, value)
            if any(map(int.__ge__, counts, self.limits)) or self.action.is_final(partial):
                return partial, True
        return partial, False

    def finish(self, partial: list[Any]) -> Any:
        if 0 in self.limits:
            return self.action.finish(self.action.init())
        return self.action.finish(self._replay(partial)[0])

    def is_final(self, partial: list[Any]) -> bool:
        if len(partial) >= self.limits[0] or 0 in self.limits:
            return True
        return (self.action.early or not self.plain) and self._replay(partial)[1]


@dataclass
class _Position:
    """The step and the element that a run step by step is at."""

    step: int
    element: Any = None
    known: bool = False


@dataclass(frozen=True)
class Plan:
    """A pipeline made ready to run.

    Attributes:
        source: Where the elements come from.
        transformations: Maps and filters, in order.
        action: What makes a result of the elements.
        steps: Number of steps; :data:`ENDLESS` for an endless stream.
        seed: Seed of random draws, for the report; None where nothing is random.
    """

    source: Source
    transformations: tuple[Map | Filter, ...]
    action: Action[Any, Any, Any]
    steps: int
    seed: int | str | None = None

    def elements(self, start: int, stop: int) -> Iterator[Any]:
        """The transformed elements of steps ``[start, stop)``, in order, at C speed."""
        return self._transformed(self.source.elements(start, stop))

    def _transformed(self, elements: Iterator[Any]) -> Iterator[Any]:
        for t in self.transformations:
            elements = map(t.function, elements) if isinstance(t, Map) else filter(t.function, elements)
        return elements

    def execute(self, start: int, stop: int) -> Any:
        """The partial of steps ``[start, stop)``.

        Raises:
            Exception: what a user function raised; it carries its :class:`~haydi.errors.StepFailure` as the
                attribute ``haydi_failure``.
        """
        if not self.action.needs_elements and not self.transformations:
            number = self.source.count(start, stop)
            if number is not None:
                return self.action.fold_number(self.action.init(), number)
        if stop - start <= TRACKED_STEPS_MAX:
            return self._execute_tracked(start, stop)
        try:
            return self._fold(lambda: self.elements(start, stop))
        except Exception as error:
            return self.locate(start, stop, error)

    def _fold(self, elements: Callable[[], Iterator[Any]]) -> Any:
        try:
            return self.action.fold_all(self.action.init(), elements())
        except FoldAgain:
            return self.action.fold_again(self.action.init(), elements())

    def _execute_tracked(self, start: int, stop: int) -> Any:
        position = _Position(start)
        try:
            return self._fold(lambda: self._transformed(self._tracked(start, stop, position)))
        except Exception as error:
            _attach(error, position.step, position.step + 1, position if position.known else None)
            raise

    def _tracked(self, start: int, stop: int, position: _Position) -> Iterator[Any]:
        if self.source.one_each:
            elements = self.source.elements(start, stop)
            for step in range(start, stop):
                position.step, position.known = step, False
                for element in elements:
                    position.element, position.known = element, True
                    yield element
                    break
            return
        for step in range(start, stop):
            position.step, position.known = step, False
            for element in self.source.elements(step, step + 1):
                position.element, position.known = element, True
                yield element

    def locate(self, start: int, stop: int, error: Exception) -> Any:
        """Run steps ``[start, stop)`` once more, step by step, to name the step that raised ``error``.

        Returns:
            The partial, in case nothing is raised this time (a function that depends on more than its element).

        Raises:
            Exception: the error of this time, with its step and element.
        """
        try:
            return self._execute_tracked(start, stop)
        except Exception as again:
            if type(again) is not type(error):
                again.add_note(f"(the first time steps [{start}, {stop}) ran, they raised {error!r})")
            raise


def compile_plan(pipeline: Pipeline[Any, Any]) -> Plan:
    """Decide how a pipeline is run.

    Raises:
        UnknownSizeError: when all elements are asked for and their number is not known.
        ArgumentValueError: when the action waits for the end of an endless stream.
    """
    source, endless, seed = _source(pipeline)
    steps, one_each = source.steps, source.one_each
    before: list[Map | Filter] = []
    action = pipeline.chosen_action
    for i, t in enumerate(pipeline.transformations):
        if not isinstance(t, Take):
            before.append(t)
            one_each = one_each and isinstance(t, Map)
        elif one_each:
            steps, endless = min(steps, t.limit), False
        elif t.limit == 0:
            steps, endless = 0, False
        else:
            action, endless = Taken(t.limit, pipeline.transformations[i + 1 :], action), False
            break
    require_end(pipeline, endless and action.needs_end)
    return Plan(source, tuple(before), action, steps, seed)


def _source(pipeline: Pipeline[Any, Any]) -> tuple[Source, bool, int | str | None]:
    """Where the elements come from, whether they never end, and the seed of random ones."""
    domain, method = pipeline.domain, pipeline.method
    if isinstance(method, Generate):
        steps = ENDLESS if method.count is None else method.count
        seed = method.seed if method.seed is not None else int.from_bytes(os.urandom(8))
        return GenerateSource(domain, steps, seed), method.count is None, seed
    if isinstance(method, Cnfs):
        return CnfsSource(_representatives(domain, method)), False, None
    if domain.size is None:
        raise UnknownSizeError(
            f"{domain!r} does not know its size, and the steps of a run are numbered: "
            f"use .to_values(max_size) first, or iterate it yourself"
        )
    return IterateSource(domain, domain.size), False, None


def _representatives(domain: Domain[Any], method: Cnfs) -> Representatives:
    from haydi.symmetry.generate import Representatives

    return Representatives(domain, method.with_orbit_size, method.part)


def stream(pipeline: Pipeline[Any, Any]) -> Iterator[Any]:
    """The elements of a pipeline without an action, lazily, in this process. Sizes need not be known."""
    method = pipeline.method
    elements: Iterator[Any]
    if isinstance(method, Generate):
        seed = method.seed if method.seed is not None else int.from_bytes(os.urandom(8))
        steps = ENDLESS if method.count is None else method.count
        elements = GenerateSource(pipeline.domain, steps, seed).elements(0, steps)
    elif isinstance(method, Cnfs):
        elements = iter(_representatives(pipeline.domain, method))
    else:
        elements = iter(pipeline.domain)
    for t in pipeline.transformations:
        if isinstance(t, Take):
            elements = islice(elements, t.limit) if t.limit <= sys.maxsize else chain(elements)
        else:
            elements = map(t.function, elements) if isinstance(t, Map) else filter(t.function, elements)
    return elements


def _attach(error: Exception, step: int, stop: int, position: _Position | None) -> None:
    """Put where and how it failed on the exception, for the worker to send and for the user to read."""
    import socket
    import traceback

    element = None
    if position is not None:
        try:
            element = repr(position.element)
        except Exception as broken:
            element = f"<repr failed: {broken!r}>"
        if len(element) > ELEMENT_TEXT_MAX:
            element = f"{element[:ELEMENT_TEXT_MAX]}..."
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith("haydi."):
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames or error.__traceback__))
    failure = StepFailure(step, stop, element, repr(error), text, socket.gethostname(), os.getpid())
    error.haydi_failure = failure  # type: ignore[attr-defined]
