"""Sequences over one domain: tuples of one length, or of a range of lengths.

Ordered by length, then as a product: the last item changes fastest. Over a domain of ``n`` steps there are
``n**l`` sequences of length ``l``; how many are shorter than ``l`` has a closed form, so the length that a
step belongs to is found by bisection, without a table, however many lengths there are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from haydi.domains.arguments import as_domain, as_int
from haydi.domains.domain import Domain
from haydi.domains.grid import Combinations, grid_at, grid_elements, grid_index, grid_rejected_around
from haydi.errors import SkippedStepError

if TYPE_CHECKING:
    from random import Random

__all__ = ["Sequences"]

T = TypeVar("T")


class Sequences(Domain[tuple[T, ...]]):
    """Tuples of elements of a domain: by length, then with the last item changing fastest.

    Args:
        domain: The domain of the items.
        min_length: The length; the smallest one when there is also a largest.
        max_length: The largest length, included; the same as ``min_length`` when it is left out.
        name: A name shown in ``repr``.

    Raises:
        ArgumentTypeError: ``domain`` is not a domain, or a length is not an int.
        ArgumentValueError: ``min_length`` is negative, or more than ``max_length``.
        UnknownSizeError: The size of the domain is not known.

    >>> from haydi.domains.elementary import Boolean, Range
    >>> Sequences(Boolean(), 2)
    <Sequences size=4 {(False, False), (False, True), (True, False), ...}>
    >>> list(Sequences(Range(2), 0, 2))
    [(), (0,), (1,), (0, 0), (0, 1), (1, 0), (1, 1)]
    """

    def __init__(
        self,
        domain: Domain[T],
        min_length: int,
        max_length: int | None = None,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self._domain: Domain[T] = as_domain("domain", domain)
        self._domain._known_size()
        self._parts = (domain,)
        self._min = as_int("min_length", min_length, least=0)
        self._max = self._min if max_length is None else as_int("max_length", max_length, least=self._min)

    @property
    def domain(self) -> Domain[T]:
        """The domain of the items."""
        return self._domain

    @property
    def lengths(self) -> range:
        """The lengths that sequences may have."""
        return range(self._min, self._max + 1)

    @cached_property
    def size(self) -> int:
        return self._shorter(self._domain._known_size(), self._max + 1)

    @cached_property
    def _accepted_count(self) -> int | None:
        choices = self._domain._accepted_count
        return None if choices is None else self._shorter(choices, self._max + 1)

    @cached_property
    def _width(self) -> int:
        return 1 + self._max * self._domain._width

    def _shorter(self, choices: int, length: int) -> int:
        """Number of sequences shorter than ``length`` when an item can be chosen in so many ways."""
        if choices == 1:
            return length - self._min
        # For no choices this is 0**0 - 0 = 1: the empty sequence.
        return int((choices**length - choices**self._min) // (choices - 1))

    def _length_of(self, choices: int, number: int) -> int:
        """The length of the sequence with this number."""
        longer = bisect_right(self.lengths, number, key=lambda length: self._shorter(choices, length))
        return self._min + longer - 1

    def _elements(self, start: int, stop: int) -> Iterator[tuple[T, ...]]:
        if self._min == self._max:
            return grid_elements(self._factors(self._min), start, stop)
        return chain.from_iterable(self._by_length(start, stop))

    def _by_length(self, start: int, stop: int) -> Iterator[Combinations]:
        choices = self._domain._known_size()
        while start < stop:
            length = self._length_of(choices, start)
            origin = self._shorter(choices, length)
            end = min(stop, origin + choices**length)
            yield grid_elements(self._factors(length), start - origin, end - origin)
            start = end

    def _factors(self, length: int) -> tuple[Domain[T], ...]:
        return (self._domain,) * length

    def _at(self, step: int) -> tuple[T, ...]:
        choices = self._domain._known_size()
        length = self._length_of(choices, step)
        return grid_at(self._factors(length), step - self._shorter(choices, length))

    def _rejected_around(self, step: int) -> range:
        choices = self._domain._known_size()
        length = self._length_of(choices, step)
        origin = self._shorter(choices, length)
        block = grid_rejected_around(self._factors(length), step - origin)
        return range(origin + block.start, origin + block.stop)

    def _index(self, element: object) -> int:
        if not isinstance(element, tuple) or len(element) not in self.lengths:
            raise self._absent(element)
        length = len(element)
        return self._shorter(self._domain._known_size(), length) + grid_index(self._factors(length), element)

    def _generate_one(self, rng: Random) -> tuple[T, ...]:
        draw = self._domain.generate_one
        if self._min == self._max:
            return tuple([draw(rng) for _ in range(self._min)])
        # Lengths are weighted by what a filter of the items leaves. Where that is not known, a sequence with
        # a rejected item is drawn anew as a whole, which comes to the same.
        choices = self._domain._accepted_count
        if choices is None:
            choices, draw = self._domain._known_size(), self._domain._generate_one
        total = self._shorter(choices, self._max + 1)
        if total == 0:
            raise SkippedStepError("rejected by a filter")
        length = self._length_of(choices, rng.randrange(total))
        return tuple([draw(rng) for _ in range(length)])

    def _with_parts(self, parts: tuple[Domain[Any], ...]) -> Sequences[T]:
        return Sequences(parts[0], self._min, self._max, name=self._name)
