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
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from haydi.actions import Action, FoldAgain, Frequencies
from haydi.domains.guard import guarded_filter, guarded_map
from haydi.errors import ArgumentValueError, StepFailure
from haydi.pipeline import Cnfs, Filter, Generate, Map, Pipeline, Take, require_end
from haydi.sources import ENDLESS, CnfsSource, GenerateSource, IterateSource, Source, StreamSource
from haydi.taken import Taken

if TYPE_CHECKING:
    from haydi.domains.domain import Domain
    from haydi.symmetry.generate import Representatives

__all__ = ["Plan", "compile_plan", "stream"]

#: Ranges of up to this many steps are run step by step, so that a failure is located without a second run.
TRACKED_STEPS_MAX: Final = 64
#: Ranges of more steps than this have elements so cheap that nothing may be added to each of them.
MARKED_STEPS_MAX: Final = 1 << 14

#: Longest text by which an error shows an element.
ELEMENT_TEXT_MAX: Final = 300


@dataclass
class _Position:
    """The step and the element that a run step by step is at."""

    #: Either the step, or what tells it.
    at: int | Callable[[], int]
    element: Any = None
    known: bool = False
    #: The source was asked for more than its last element.
    finished: bool = False

    @property
    def step(self) -> int:
        return self.at if isinstance(self.at, int) else self.at()

    def move(self, at: int | Callable[[], int]) -> None:
        """On to the next step; its element is not known yet."""
        self.at, self.known = at, False


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

    def cut(self, start: int, stop: int) -> int:
        """A step in ``(start, stop]`` that is a good place to stop at, for whoever is free to choose."""
        return self.source.cut(start, stop) if isinstance(self.source, CnfsSource) else stop

    def execute(self, start: int, stop: int) -> Any:
        """The partial of steps ``[start, stop)``.

        Raises:
            Exception: what a user function raised; it carries its :class:`~haydi.errors.StepFailure` as the
                attribute ``haydi_failure``.
        """
        partial = None if self.transformations else self._without_elements(start, stop)
        if partial is not None:
            return partial
        if stop - start <= TRACKED_STEPS_MAX:
            return self._execute_tracked(start, stop)
        try:
            partial, whole = self._execute_fast(start, stop)
        except Exception as error:
            return self.locate(start, stop, error)
        return partial if whole else self._execute_tracked(start, stop)

    def _without_elements(self, start: int, stop: int) -> Any:
        """The partial of actions that need no element, or None where elements have to be made to tell."""
        action, source = self.action, self.source
        if not action.needs_elements:
            number = source.count(start, stop)
            return None if number is None else action.fold_number(action.init(), number)
        if isinstance(action, Frequencies) and action.key is not None and isinstance(source, CnfsSource):
            tally = source.tally(start, stop, action.key)
            return None if tally is None else action.fold_tally(action.init(), tally)
        return None

    def _execute_fast(self, start: int, stop: int) -> tuple[Any, bool]:
        """The partial, and False when a user function ended it too early by raising StopIteration.

        To the iterators of the C library that exception means "no more elements", and elements would be lost
        without a word. What shows it is that the source was never asked for an element behind its last one.
        Noticing that costs some nanoseconds an element. A large range has elements that cheap, and there it
        is only looked whether the source is used up; the one element for which that says nothing, the last,
        is run once more. That needs a source of which the last element is known.
        """
        end: list[bool] = []
        large = stop - start > MARKED_STEPS_MAX and self.source.one_each

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
            step = position.step
            _attach(error, step, step + 1, position if position.known else None)
            raise
        return partial

    def _tracked(self, start: int, stop: int, position: _Position) -> Iterator[Any]:
        source = self.source
        if isinstance(source, CnfsSource):  # most of its steps have no element
            for element in source.tracked(start, stop, position.move):
                position.element, position.known = element, True
                yield element
        elif source.one_each:
            elements = source.elements(start, stop)
            for step in range(start, stop):
                position.move(step)
                for element in elements:
                    position.element, position.known = element, True
                    yield element
                    break
        else:
            for step in range(start, stop):
                position.move(step)
                for element in source.elements(step, step + 1):
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
        if steps and domain.size == 0:
            raise ArgumentValueError(f"{domain!r} is empty: there is nothing to draw with generate()")
        seed = method.seed if method.seed is not None else int.from_bytes(os.urandom(8))
        return GenerateSource(domain, steps, seed), method.count is None, seed
    if isinstance(method, Cnfs):
        return CnfsSource(_representatives(domain, method)), False, None
    if domain.size is None:
        return StreamSource(domain), False, None
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
            guarded = guarded_map if isinstance(t, Map) else guarded_filter
            elements = guarded(t.function, elements)
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
    with suppress(Exception):  # a class of the user may refuse
        error.haydi_failure = failure  # type: ignore[attr-defined]
