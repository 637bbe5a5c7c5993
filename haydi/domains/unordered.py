"""Unordered products: each unordered combination of elements once.

The product of a domain with itself has ``(x, y)`` and ``(y, x)``; where the order of the factors does not
matter that is everything twice. An unordered product of ``k`` equal factors has the tuples whose elements
stand in the order of the domain, an element repeated as often as one likes: the multisets of size ``k``, in
the order of ``itertools.combinations_with_replacement``. Where elements must differ, use ``Subsets(domain,
k, set_class=tuple)``.

Factors are equal when they are one object, or built the same way from equal parts. For factors that differ,
"unordered" has no meaning that would not depend on who shares which element with whom, so they are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from haydi.domains.arguments import as_domains
from haydi.domains.combinatorics import SelectionTree
from haydi.domains.domain import Domain
from haydi.domains.elementary import Boolean, NoneDomain, Range
from haydi.domains.selections import Selections, require_size
from haydi.errors import ArgumentValueError

__all__ = ["UnorderedProduct"]

T = TypeVar("T")


class UnorderedProduct(Selections[T, tuple[T, ...]]):
    """Tuples with one element of each of some equal domains, each unordered combination once.

    Args:
        domains: The factors, at least one, all equal; their size is known.
        name: A name shown in ``repr``.

    Raises:
        ArgumentTypeError: A factor is not a domain.
        ArgumentValueError: There is no factor, or the factors differ.
        UnknownSizeError: The size of the factors is not known.

    >>> from haydi.domains.elementary import Range
    >>> pairs = UnorderedProduct((Range(3), Range(3)))
    >>> pairs, pairs.index((1, 2))
    (<UnorderedProduct size=6 {(0, 0), (0, 1), (0, 2), ...}>, 4)
    """

    def __init__(self, domains: Iterable[Domain[T]], *, name: str | None = None) -> None:
        factors = as_domains("domains", domains)
        if not factors:
            raise ArgumentValueError("domains must have at least one domain")
        for i, factor in enumerate(factors):
            if not _equal(factor, factors[0]):
                raise ArgumentValueError(
                    f"domains[{i}] is {factor!r} and differs from domains[0], {factors[0]!r}; the factors of "
                    f"an unordered product must be the same domain (use Product and a filter for others)"
                )
        items = require_size("domain", factors[0], "UnorderedProduct")
        super().__init__(factors[0], SelectionTree(items, len(factors), len(factors), repeat=True), name=name)

    @property
    def domains(self) -> tuple[Domain[T], ...]:
        """The factors."""
        return (self._domain,) * self._tree.size_max

    @property
    def strict(self) -> bool:
        # (a0, a1) becomes (a1, a0) when the two are swapped, and that is not here.
        return self._parts_strict and not any(map(_renamable, self._parts))

    def _make(self, items: tuple[T, ...]) -> tuple[T, ...]:
        return items

    def _make_all(self, selections: Iterator[tuple[T, ...]]) -> Iterator[tuple[T, ...]]:
        return selections

    def _index(self, element: object) -> int:
        if not isinstance(element, tuple):
            raise self._absent(element)
        return self._index_of(element, element)

    def _with_parts(self, parts: tuple[Domain[Any], ...]) -> UnorderedProduct[T]:
        return UnorderedProduct(parts * self._tree.size_max, name=self._name)


def _renamable(domain: Domain[Any]) -> bool:
    """Whether renaming may change an element: it may, unless a domain is known to be made of no atoms."""
    if domain._parts:
        return any(map(_renamable, domain._parts))
    return not isinstance(domain, Boolean | NoneDomain | Range)


def _equal(one: object, other: object) -> bool:
    """Whether two domains, or parts of their states, are equal in structure."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Domain) and isinstance(other, Domain):
        mine, others = one.__getstate__(), other.__getstate__()
        return mine.keys() == others.keys() and all(_equal(mine[key], others[key]) for key in mine)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)
