"""Plans: what a worker executes.

A plan is a pipeline made ready to run: a *source* with numbered steps ``[0, steps)``, the transformations
that act on each element alone, and an action. It can be pickled, knows nothing of processes or sockets, and
has one promise: :meth:`Plan.execute` of neighbouring ranges, merged by the action, gives the same partial as
one call for both. So any cut of the steps, run anywhere in any order, ends in the same result.

``take(n)`` is the one transformation that looks across steps. Where each step gives one element it only makes
``steps`` smaller; behind a filter it becomes part of the action (:class:`Taken`): a range keeps its first n
survivors with what the rest of the pipeline makes of them, and the limit is applied when the ranges are put
together. The part behind the limit may therefore be computed for a few elements that are then left out.

The elements run at C speed (``map``, ``filter``, ``itertools``) with no bookkeeping. Which step raised is
found by going through a range that failed once more, step by step (:meth:`Plan.locate`); short ranges are run
step by step from the beginning, because there the bookkeeping costs nothing and a step may be heavy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from random import Random
from typing import Any, Final, Protocol

from haydi.actions import Action, FoldAgain
from haydi.domains.domain import Domain
from haydi.domains.guard import guarded
from haydi.errors import StepFailure
from haydi.pipeline import Filter, Generate, Map, Pipeline, Take, Transformation, require_end

__all__ = [
    "ENDLESS",
    "GenerateSource",
    "IterateSource",
    "Plan",
    "Source",
    "StreamSource",
    "Taken",
    "compile_plan",
    "stream",
]

#: Number of steps of an endless stream: more than any computer will reach.
ENDLESS: Final = 1 << 128

#: Ranges of up to this many steps are run step by step, so that a failure is located without a second run.
TRACKED_STEPS_MAX: Final = 64
#: Ranges of more steps than this have elements so cheap that nothing may be added to each of them.
MARKED_STEPS_MAX: Final = 1 << 14

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

        return map(guarded(element), _steps(start, stop))


class StreamSource:
    """Elements of a domain that cannot tell its size, one after another; a step is a position.

    It is used up by going through it, so each plan has its own, and it runs where it is: in the serial
    context. The latest elements are kept until the next are asked for, so that a range that failed can be run
    again.
    """

    steps = ENDLESS
    one_each = False  # the last steps of a range may be behind the end

    def __init__(self, domain: Domain[Any]) -> None:
        self._iterator = iter(domain)
        self._kept: list[Any] = []
        self._kept_start = 0
        #: Number of elements, once the end was met.
        self.end: int | None = None

    def elements(self, start: int, stop: int) -> Iterator[Any]:
        """The elements of steps ``[start, stop)``, which are the next ones or among the latest."""
        kept_stop = self._kept_start + len(self._kept)
        if start >= kept_stop and self.end is None:
            assert start == kept_stop, "a stream has no way back"
            self._kept_start, self._kept = start, list(islice(self._iterator, stop - start))
            if len(self._kept) < stop - start:
                self.end = start + len(self._kept)
        return iter(self._kept[start - self._kept_start : stop - self._kept_start])


def _steps(start: int, stop: int) -> Iterator[int]:
    """``range`` counts at C speed at any size; only its length is limited, which nobody asks for here."""
    return iter(range(start, stop))


class Taken(Action[Any, list[Any], Any]):
    """``take(limit)`` behind a filter, with all that follows it in the pipeline.

    A partial is the list of the first ``limit`` survivors, each as a *record* of what the tail makes of it.
    When the tail has only maps, a record is just the value. Otherwise it is ``(depth, value)``: how many
    takes the element arrives at, this one counted, and its value if it arrives at the action (then depth is
    one more than the number of takes). :meth:`_replay` then applies the limits one after another, as a serial
    run would.
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
    #: The source was asked for more than its last element.
    finished: bool = False


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
        if not self.action.needs_elements and not self.transformations and self.source.one_each:
            return self.action.fold_number(self.action.init(), stop - start)
        if stop - start <= TRACKED_STEPS_MAX:
            return self._execute_tracked(start, stop)
        try:
            partial, whole = self._execute_fast(start, stop)
        except Exception as error:
            return self.locate(start, stop, error)
        return partial if whole else self._execute_tracked(start, stop)

    def _execute_fast(self, start: int, stop: int) -> tuple[Any, bool]:
        """The partial, and False when a user function ended it too early by raising StopIteration.

        To the iterators of the C library that exception means "no more elements", and elements would be lost
        without a word. What shows it is that the source was never asked for an element behind its last one.
        Noticing that costs some nanoseconds an element. A large range has elements that cheap, and there it
        is only looked whether the source is used up; the one element for which that says nothing, the last,
        is run once more.
        """
        end: list[bool] = []
        large = stop - start > MARKED_STEPS_MAX

        def elements() -> Iterator[Any]:
            source = self.source.elements(start, stop)
            end[:] = [True]
            if large:
                used.append(source)
            else:
                source = chain(source, iter(end.pop, True))
            return self._transformed(source)

        used: list[Iterator[Any]] = []
        partial = self._fold(elements)
        if self.action.early and self.action.is_final(partial):
            return partial, True
        if not large:
            return partial, not end
        whole = next(used[-1], end) is end
        if whole:
            self._execute_tracked(stop - 1, stop)
        return partial, whole

    def _fold(self, elements: Callable[[], Iterator[Any]]) -> Any:
        try:
            return self.action.fold_all(self.action.init(), elements())
        except FoldAgain:
            return self.action.fold_again(self.action.init(), elements())

    def _execute_tracked(self, start: int, stop: int) -> Any:
        position = _Position(start)
        try:
            partial = self._fold(lambda: self._transformed(self._tracked(start, stop, position)))
            if not position.finished and not (self.action.early and self.action.is_final(partial)):
                raise RuntimeError(
                    "a function raised StopIteration, which would end the stream without a word"
                )
        except Exception as error:
            _attach(error, position.step, position.step + 1, position if position.known else None)
            raise
        return partial

    def _tracked(self, start: int, stop: int, position: _Position) -> Iterator[Any]:
        if self.source.one_each:
            elements = self.source.elements(start, stop)
            for step in range(start, stop):
                position.step, position.known = step, False
                for element in elements:
                    position.element, position.known = element, True
                    yield element
                    break
            position.finished = True
            return
        for step in range(start, stop):
            position.step, position.known = step, False
            for element in self.source.elements(step, step + 1):
                position.element, position.known = element, True
                yield element
        position.finished = True

    def locate(self, start: int, stop: int, error: Exception) -> Any:
        """Run steps ``[start, stop)`` once more, step by step, to name the step that raised ``error``.

        Returns:
            The partial, in case nothing is raised this time (a function that depends on more than its
            element).

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
        ArgumentValueError: when the action waits for the end of an endless stream.
    """
    method = pipeline.method
    seed: int | str | None = None
    if isinstance(method, Generate):
        endless = method.count is None
        steps = ENDLESS if method.count is None else method.count
        seed = method.seed if method.seed is not None else int.from_bytes(os.urandom(8))
    else:
        endless = False
        steps = ENDLESS if pipeline.domain.size is None else pipeline.domain.size
    unsized = not isinstance(method, Generate) and pipeline.domain.size is None
    one_each = isinstance(method, Generate) or not (unsized or pipeline.domain.filtered)
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
    source: Source
    if isinstance(method, Generate):
        assert seed is not None
        source = GenerateSource(pipeline.domain, steps, seed)
    elif unsized and steps:
        source = StreamSource(pipeline.domain)
    else:
        source = IterateSource(pipeline.domain, steps)
    return Plan(source, tuple(before), action, steps, seed)


def stream(pipeline: Pipeline[Any, Any]) -> Iterator[Any]:
    """The elements of a pipeline without an action, lazily, in this process. Sizes need not be known."""
    method = pipeline.method
    elements: Iterator[Any]
    if isinstance(method, Generate):
        seed = method.seed if method.seed is not None else int.from_bytes(os.urandom(8))
        steps = ENDLESS if method.count is None else method.count
        elements = GenerateSource(pipeline.domain, steps, seed).elements(0, steps)
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
