"""Domains seen through a function, a filter, or a slice of their steps.

The steps of a mapped or filtered domain are the steps of the domain below, one by one: a filter rejects
steps, it never renumbers them. A slice renumbers: its step ``i`` is step ``steps[i]`` below, where ``steps``
is a ``range``, so that slices of slices are slices, and cost nothing.

A pipeline takes the mapped and filtered domains off the top of its source and runs their functions itself; it
relies on ``domain`` and ``function`` to say everything there is to say about them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from haydi.domains.arguments import as_domain, as_function
from haydi.domains.describe import brief, shorten, show_function
from haydi.domains.domain import Domain
from haydi.domains.guard import guarded, guarded_filter, guarded_map
from haydi.domains.stepping import accepted, range_size, slice_of_block
from haydi.errors import ArgumentTypeError, ArgumentValueError, SkippedStepError

if TYPE_CHECKING:
    from random import Random

__all__ = ["FilteredDomain", "MappedDomain", "Slice"]

T = TypeVar("T")
R = TypeVar("R")

_SKIPPING_STRIDE_MAX = 16
_FUNCTIONS_SHOWN_MAX = 5


class MappedDomain(Domain[R], Generic[T, R]):
    """The domain of ``function(element)``; what ``domain.map(function)`` makes.

    Args:
        domain: Where the elements come from.
        function: Called with an element.
        name: A name shown in ``repr``.

    Attributes:
        domain: As given.
        function: As given.

    >>> from haydi.domains.elementary import Range
    >>> def square(x):
    ...     return x * x
    >>> MappedDomain(Range(5), square)
    <MappedDomain size=5 {0, 1, 2, ...} | map square>
    """

    strict = False
    _distinct = False
    _previewable = False

    def __init__(self, domain: Domain[T], function: Callable[[T], R], *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.domain: Domain[T] = as_domain("domain", domain)
        self.function: Callable[[T], R] = as_function("fn", function)
        self._parts = (domain,)

    @property
    def size(self) -> int | None:
        return self.domain.size

    @cached_property
    def _accepted_count(self) -> int | None:
        return self.domain._accepted_count

    def _iterate(self) -> Iterator[R]:
        return guarded_map(self.function, self.domain._iterate())

    def _elements(self, start: int, stop: int) -> Iterator[R]:
        return guarded_map(self.function, self.domain._elements(start, stop))

    def _at(self, step: int) -> R:
        return guarded(self.function)(self.domain._at(step))

    def _rejected_around(self, step: int) -> range:
        return self.domain._rejected_around(step)

    def _generate_one(self, rng: Random) -> R:
        return guarded(self.function)(self.domain._generate_one(rng))

    def _with_parts(self, parts: tuple[Domain[Any], ...]) -> MappedDomain[T, R]:
        return MappedDomain(parts[0], self.function, name=self._name)

    def _repr_args(self) -> str:
        return _describe_chain(self)


class FilteredDomain(Domain[T]):
    """The elements for which a function says true; what ``domain.filter(function)`` makes.

    Args:
        domain: Where the elements come from.
        function: Called with an element.
        strict: Promise that the function gives the same answer when atoms of a ``USet`` are renamed.
        name: A name shown in ``repr``.

    Attributes:
        domain: As given.
        function: As given.

    >>> from haydi.domains.elementary import Range
    >>> def odd(x):
    ...     return x % 2
    >>> FilteredDomain(Range(5), odd)
    <FilteredDomain size<=5 {0, 1, 2, ...} | filter odd>
    """

    filtered = True
    _previewable = False

    def __init__(
        self,
        domain: Domain[T],
        function: Callable[[T], object],
        *,
        strict: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.domain: Domain[T] = as_domain("domain", domain)
        self.function: Callable[[T], object] = as_function("fn", function)
        self._parts = (domain,)
        self._promised_strict = bool(strict)

    @property
    def size(self) -> int | None:
        return self.domain.size

    @property
    def strict(self) -> bool:
        return self._promised_strict and self.domain.strict

    def _iterate(self) -> Iterator[T]:
        return guarded_filter(self.function, self.domain._iterate())

    def _elements(self, start: int, stop: int) -> Iterator[T]:
        return guarded_filter(self.function, self.domain._elements(start, stop))

    def _at(self, step: int) -> T:
        element = self.domain._at(step)
        if not guarded(self.function)(element):
            raise SkippedStepError("rejected by a filter")
        return element

    def _rejected_around(self, step: int) -> range:
        try:
            self.domain._at(step)
        except SkippedStepError:
            return self.domain._rejected_around(step)
        return range(step, step + 1)

    def _index(self, element: object) -> int:
        if self.size is None:
            return super()._index(element)
        step = self.domain._index(element)
        if not guarded(self.function)(element):  # type: ignore[arg-type]  # the domain below has it, so it is a T
            raise self._absent(element)
        return step

    def _generate_one(self, rng: Random) -> T:
        element = self.domain._generate_one(rng)
        if not guarded(self.function)(element):
            raise SkippedStepError("rejected by a filter")
        return element

    def _with_parts(self, parts: tuple[Domain[Any], ...]) -> FilteredDomain[T]:
        return FilteredDomain(parts[0], self.function, strict=self._promised_strict, name=self._name)

    def _repr_args(self) -> str:
        return _describe_chain(self)


class Slice(Domain[T]):
    """Some steps of a domain, forwards or backwards; what ``domain[a:b:c]`` makes.

    Args:
        domain: Where the elements come from.
        steps: Which of its steps, in which order.
        name: A name shown in ``repr``.

    Attributes:
        domain: Where the elements come from; never itself a Slice.
        steps: The steps there.

    >>> from haydi.domains.elementary import Range
    >>> Range(10**30)[::-1][3:]
    <Slice size=999999999999999999999999999997 {999999999999999999999999999996, ...}>
    """

    strict = False

    def __init__(self, domain: Domain[T], steps: range, *, name: str | None = None) -> None:
        super().__init__(name=name)
        size = as_domain("domain", domain)._known_size()
        if not isinstance(steps, range):
            raise ArgumentTypeError(
                f"steps must be a range, not {shorten(steps)}; or write domain[start:stop:step]"
            )
        if steps and not (0 <= steps[0] < size and 0 <= steps[-1] < size):
            raise ArgumentValueError(f"steps {shorten(steps)} are not all inside of {domain!r}")
        if type(domain) is Slice:
            # Renumber towards the domain below, so that towers of slices stay flat.
            below = domain.steps
            origin, stride = below.start, below.step
            steps = range(origin + steps.start * stride, origin + steps.stop * stride, steps.step * stride)
            domain = domain.domain
        self.domain: Domain[T] = domain
        self.steps: range = steps
        self._parts = (domain,)

    @cached_property
    def size(self) -> int:
        return range_size(self.steps)

    @cached_property
    def _searches(self) -> bool:
        return self.domain._searches or not self._distinct

    def _elements(self, start: int, stop: int) -> Iterator[T]:
        steps = self.steps[start:stop]
        if not steps:
            return iter(())
        if steps.step == 1:
            return self.domain._elements(steps.start, steps.stop)
        if self.filtered:
            return accepted(self.domain, steps)
        if 1 < steps.step <= _SKIPPING_STRIDE_MAX:
            return islice(self.domain._elements(steps[0], steps[-1] + 1), 0, None, steps.step)
        return map(self.domain._at, steps)

    def _at(self, step: int) -> T:
        return self.domain._at(self.steps[step])

    def _rejected_around(self, step: int) -> range:
        return slice_of_block(self.steps, self.domain._rejected_around(self.steps[step]))

    def _index(self, element: object) -> int:
        step = self.domain._index(element)
        if step in self.steps:
            return self.steps.index(step)
        if self.domain._distinct:
            raise self._absent(element)
        # The domain below may have an equal element again, at a step that is inside.
        return super()._index(element)

    def _with_parts(self, parts: tuple[Domain[Any], ...]) -> Domain[T]:
        # Materializing a filtered domain renumbers its steps.
        return self if self.filtered else Slice(parts[0], self.steps, name=self._name)


def _describe_chain(domain: Domain[Any]) -> str:
    """The base of a chain of maps and filters, then their functions; no function is called."""
    functions: list[str] = []
    base = domain
    while isinstance(base, MappedDomain | FilteredDomain):
        kind = "map" if isinstance(base, MappedDomain) else "filter"
        functions.append(f"| {kind} {show_function(base.function)}")
        base = base.domain
    shown = base._repr_args() if base._previewable else brief(base)
    del functions[_FUNCTIONS_SHOWN_MAX:]
    return " ".join([shown, *reversed(functions)])
