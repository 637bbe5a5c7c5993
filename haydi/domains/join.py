"""One domain after another.

Steps are those of the first part, then those of the second, and so on. A random element is drawn in two
stages, a part and an element of it; parts are weighted by their sizes unless ratios are given, in exact
integers, since sizes are too large for floats. A part that rejects the draw then sends it back to the choice
of the part: so all accepted elements keep the same chance, although the weights count steps.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any, TypeVar, overload

from haydi.domains.arguments import as_domains
from haydi.domains.describe import shorten
from haydi.domains.domain import Domain
from haydi.errors import ArgumentTypeError, ArgumentValueError, SkippedStepError, UnknownSizeError

if TYPE_CHECKING:
    from random import Random

__all__ = ["Join"]

T = TypeVar("T")

Ratios = Iterable[float | Fraction]


class Join(Domain[T]):
    """All elements of the first domain, then all of the second, and so on.

    Equal elements of several parts stay what they are: steps of their own. ``a + b`` is a join too, and
    extends a plain ``Join`` without ratios on its left.

    Args:
        domains: The parts.
        ratios: How often a random element is drawn from each part, relative to the others; parts known to be
            empty are left out. When not given, all elements have the same chance.
        name: A name shown in ``repr``.

    Raises:
        ArgumentTypeError: A part is not a domain, or a ratio not a number.
        ArgumentValueError: There are not as many ratios as parts, or one is negative, or none is positive.

    >>> from haydi.domains.elementary import NoneDomain, Range
    >>> Range(2) + NoneDomain()
    <Join size=3 {0, 1, None}>
    >>> maybe = Join((Range(10**6), NoneDomain()), ratios=(1, 1))
    >>> import random
    >>> rng = random.Random(1)
    >>> 400 < sum(maybe.generate_one(rng) is None for _ in range(1000)) < 600
    True
    """

    _distinct = False

    @overload
    def __init__(
        self, domains: Iterable[Domain[T]], ratios: Ratios | None = None, *, name: str | None = None
    ) -> None: ...
    @overload
    def __init__(
        self: Join[Any],
        domains: Iterable[Domain[Any]],
        ratios: Ratios | None = None,
        *,
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self, domains: Iterable[Domain[Any]], ratios: Ratios | None = None, *, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        self._parts = as_domains("domains", domains)
        self._ratios = None if ratios is None else _checked_ratios(ratios, len(self._parts))

    @property
    def domains(self) -> tuple[Domain[Any], ...]:
        """The parts."""
        return self._parts

    @property
    def ratios(self) -> tuple[float | Fraction, ...] | None:
        """The ratios, or None when all elements have the same chance."""
        return self._ratios

    @property
    def strict(self) -> bool:
        return not self._parts or self._parts_strict

    @property
    def size(self) -> int | None:
        return None if self._ends is None else self._ends[-1]

    @cached_property
    def _ends(self) -> tuple[int, ...] | None:
        """Where the parts end, after a 0; None when a size is missing."""
        sizes = [part.size for part in self._parts]
        known = [size for size in sizes if size is not None]
        return tuple(accumulate(known, initial=0)) if len(known) == len(sizes) else None

    def _known_ends(self) -> tuple[int, ...]:
        if self._ends is None:
            self._known_size()
        assert self._ends is not None
        return self._ends

    def _iterate(self) -> Iterator[T]:
        return chain.from_iterable(part._iterate() for part in self._parts)

    def _elements(self, start: int, stop: int) -> Iterator[T]:
        return chain.from_iterable(self._runs(start, stop))

    def _runs(self, start: int, stop: int) -> Iterator[Iterator[T]]:
        ends = self._known_ends()
        while start < stop:
            number = bisect_right(ends, start) - 1
            origin = ends[number]
            end = min(stop, ends[number + 1])
            yield self._parts[number]._elements(start - origin, end - origin)
            start = end

    def _at(self, step: int) -> T:
        ends = self._known_ends()
        number = bisect_right(ends, step) - 1
        element: T = self._parts[number]._at(step - ends[number])
        return element

    def _rejected_around(self, step: int) -> range:
        ends = self._known_ends()
        number = bisect_right(ends, step) - 1
        block = self._parts[number]._rejected_around(step - ends[number])
        return range(ends[number] + block.start, ends[number] + block.stop)

    def _index(self, element: object) -> int:
        if self._ends is None:
            return super()._index(element)
        for origin, part in zip(self._ends, self._parts, strict=False):
            try:
                return origin + part._index(element)
            except ValueError:
                continue
        raise self._absent(element)

    @cached_property
    def _accepted_count(self) -> int | None:
        counts = [part._accepted_count for part in self._parts]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    @cached_property
    def _weights(self) -> tuple[int, ...]:
        """Running sums of the chances of the parts, as exact integers."""
        if self._ratios is None:
            if self._ends is None:
                raise UnknownSizeError(
                    f"a random element of {self!r} needs the sizes of all parts; where they are not known, "
                    f"say Join(domains, ratios=...) how often to draw from each"
                )
            if self._accepted_count is None:
                return self._ends
            return tuple(accumulate((part._accepted_count or 0 for part in self._parts), initial=0))
        shares = [
            Fraction(0 if part.size == 0 else ratio)
            for part, ratio in zip(self._parts, self._ratios, strict=True)
        ]
        unit = math.lcm(*(share.denominator for share in shares))
        return tuple(accumulate((int(share * unit) for share in shares), initial=0))

    def _generate_one(self, rng: Random) -> T:
        weights = self._weights
        if weights[-1] == 0:
            if self._ratios is None:
                raise SkippedStepError("rejected by a filter")
            raise ArgumentValueError(f"ratios={self._ratios} of {self!r} leave only parts that are empty")
        part: Domain[T] = self._parts[bisect_right(weights, rng.randrange(weights[-1])) - 1]
        weighted_by_steps = self._ratios is None and self._accepted_count is None
        return part._generate_one(rng) if weighted_by_steps else part.generate_one(rng)

    def _with_parts(self, parts: tuple[Domain[Any], ...]) -> Join[T]:
        return Join(parts, self._ratios, name=self._name)

    def __add__(self, other: Domain[Any]) -> Join[Any]:
        if type(self) is not Join or self._ratios is not None or not isinstance(other, Domain):
            return super().__add__(other)
        return Join((*self._parts, other))


def _checked_ratios(ratios: object, count: int) -> tuple[float | Fraction, ...]:
    if isinstance(ratios, str) or not isinstance(ratios, Iterable):
        raise ArgumentTypeError(f"ratios must be a sequence of numbers, not {shorten(ratios)}")
    numbers = tuple(ratios)
    for ratio in numbers:
        if not isinstance(ratio, int | float | Fraction):
            raise ArgumentTypeError(f"ratios must be ints, floats or Fractions, not {shorten(ratio)}")
        if not 0 <= ratio < math.inf:
            raise ArgumentValueError(f"ratios must be finite and not negative, not {shorten(ratio)}")
    if len(numbers) != count:
        raise ArgumentValueError(f"ratios has {len(numbers)} numbers for {count} domains; give one for each")
    if not any(numbers):
        raise ArgumentValueError(f"ratios={shorten(numbers)} never draw anything; make at least one positive")
    return numbers
