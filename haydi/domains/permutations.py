"""Permutations of a domain: all its elements, in every order.

The order is that of ``itertools.permutations``, which is also what fills in everything: a range of steps
falls into at most two blocks for each level, "a prefix, some items that may follow, and all orders of the
others" (:func:`haydi.domains.combinatorics.permutation_blocks`).

A permutation holds every element of the domain, so a filter inside cannot reject single steps; the domain
stands for the set of its accepted elements, and these are found at once, when the permutations are
described.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, permutations, repeat
from math import factorial
from operator import add
from typing import TYPE_CHECKING, Any, TypeVar

from haydi.domains.arguments import as_domain
from haydi.domains.combinatorics import (
    PermutationBlock,
    permutation_blocks,
    permutation_rank,
    permutation_unrank,
)
from haydi.domains.describe import show_int
from haydi.domains.domain import POOL_SIZE_MAX, Domain
from haydi.domains.selections import accepted_items, require_size
from haydi.errors import ArgumentValueError

if TYPE_CHECKING:
    from random import Random

__all__ = ["Permutations"]

T = TypeVar("T")


class Permutations(Domain[tuple[T, ...]]):
    """All orders of the elements of a domain, as tuples.

    Args:
        domain: The domain whose elements are permuted; at most 16384.
        name: A name shown in ``repr``.

    Raises:
        ArgumentTypeError: ``domain`` is not a domain.
        ArgumentValueError: The domain is too large.
        UnknownSizeError: The size of the domain is not known.

    >>> from haydi.domains.elementary import Range
    >>> Permutations(Range(3))
    <Permutations size=6 {(0, 1, 2), (0, 2, 1), (1, 0, 2), ...}>
    >>> Permutations(Range(52)).index(tuple(reversed(range(52)))) == Permutations(Range(52)).size - 1
    True
    """

    filtered = False

    def __init__(self, domain: Domain[T], *, name: str | None = None) -> None:
        super().__init__(name=name)
        self._domain: Domain[T] = as_domain("domain", domain)
        self._parts = (domain,)
        count = require_size("domain", domain, "Permutations")
        if count > POOL_SIZE_MAX:
            raise ArgumentValueError(
                f"domain has {show_int(count)} elements; every permutation holds all of them, so there may "
                f"be at most {POOL_SIZE_MAX}"
            )
        self._count = len(self._kept[1]) if domain.filtered else count

    @property
    def domain(self) -> Domain[T]:
        """The domain whose elements are permuted."""
        return self._domain

    @cached_property
    def size(self) -> int:
        return factorial(self._count)

    @cached_property
    def _kept(self) -> tuple[Sequence[int], tuple[T, ...]]:
        """Steps and elements of the inner domain."""
        return accepted_items(self._domain)

    def _elements(self, start: int, stop: int) -> Iterator[tuple[T, ...]]:
        blocks = permutation_blocks(self._count, start, stop)
        return chain.from_iterable(chain.from_iterable(map(self._fill, blocks)))

    def _fill(self, block: PermutationBlock) -> Iterator[Iterable[tuple[T, ...]]]:
        items = self._kept[1]
        prefix = tuple(map(items.__getitem__, block.prefix))
        rest = tuple(map(items.__getitem__, block.rest))
        if block.first == 0 and block.last == len(rest):
            yield map(add, repeat(prefix), permutations(rest)) if prefix else permutations(rest)
            return
        for position in range(block.first, block.last):
            others = rest[:position] + rest[position + 1 :]
            yield map(add, repeat((*prefix, rest[position])), permutations(others))

    def _at(self, step: int) -> tuple[T, ...]:
        return tuple(map(self._kept[1].__getitem__, permutation_unrank(self._count, step)))

    def _index(self, element: object) -> int:
        if not isinstance(element, tuple) or len(element) != self._count:
            raise self._absent(element)
        steps = self._kept[0]
        try:
            indices = [bisect_left(steps, self._domain._index(item)) for item in element]
        except ValueError:
            raise self._absent(element) from None
        if len(set(indices)) == len(indices):
            return permutation_rank(indices)
        if self._domain._distinct:
            raise self._absent(element)
        # Equal elements of the domain have one index; which order of them was meant has to be searched for.
        return super()._index(element)

    def _generate_one(self, rng: Random) -> tuple[T, ...]:
        return tuple(rng.sample(self._kept[1], self._count))

    @cached_property
    def _distinct(self) -> bool:
        return self._domain._distinct

    @cached_property
    def _searches(self) -> bool:
        return self._domain._searches or not self._domain._distinct

    @cached_property
    def _previewable(self) -> bool:
        return not self._domain.filtered and self._domain._previewable

    @cached_property
    def _width(self) -> int:
        return 1 + self._count * self._domain._width

    def _with_parts(self, parts: tuple[Domain[Any], ...]) -> Permutations[T]:
        return Permutations(parts[0], name=self._name)
