"""Subsets of a domain: all of them, those of one size, or those of a range of sizes.

**Order.** Subsets of one size come as ``itertools.combinations`` brings them. Subsets of several sizes come
in pre-order, each right before those that extend it by later elements (:mod:`haydi.domains.combinatorics`)::

    {}  {0}  {0, 1}  {0, 1, 2}  {0, 2}  {1}  {1, 2}  {2}

Both are one order, restricted to different sizes; it never depends on ``set_class``.

**Elements.** A subset is a :class:`~haydi.basic.Set`, its items sorted whatever the order of the inner
domain; where that comes in order anyway (ranges upwards, atoms, products of these, or seen to be so) nothing
is sorted or checked. Any other ``set_class`` is called with the tuple of items in the order of the inner
domain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeVar, overload

from haydi.basic import Set, set_of_sorted
from haydi.domains.arguments import as_domain, as_function, as_int
from haydi.domains.combinatorics import SelectionTree
from haydi.domains.domain import Domain
from haydi.domains.in_order import iterates_in_order
from haydi.domains.selections import Selections, require_size, strictly_increasing

__all__ = ["Subsets"]

T = TypeVar("T")
R = TypeVar("R")

_COLLECTIONS = (frozenset, tuple, set, list)


class Subsets(Selections[T, R]):
    """Subsets of a domain, as Sets.

    ``Subsets(d)`` has all subsets, ``Subsets(d, k)`` those with ``k`` items, ``Subsets(d, a, b)`` those with
    at least ``a`` and at most ``b`` items.

    Args:
        domain: The domain of the items; its size is known.
        min_size: The smallest number of items.
        max_size: The largest number of items; the same as ``min_size`` when only that is given.
        set_class: Called with the tuple of items, makes an element, for example ``frozenset`` or ``tuple``.
        name: A name shown in ``repr``.

    Raises:
        ArgumentTypeError: ``domain`` is not a domain, a size is not an int, or ``set_class`` not callable.
        While
            iterating: an item has no place in the order of basic objects, which a Set needs.
        ArgumentValueError: ``min_size`` is negative, or more than ``max_size``.
        UnknownSizeError: The size of the domain is not known.

    >>> from haydi.domains.elementary import Range
    >>> Subsets(Range(3))
    <Subsets size=8 {{}, {0}, {0, 1}, ...}>
    >>> list(Subsets(Range(3), 2)), list(Subsets(Range(3), 0, 1, set_class=frozenset))[1]
    ([{0, 1}, {0, 2}, {1, 2}], frozenset({0}))
    >>> Subsets(Range(200))[10**50].to_set() < set(range(200))
    True
    """

    @overload
    def __init__(
        self: Subsets[T, Set[T]],
        domain: Domain[T],
        min_size: int | None = None,
        max_size: int | None = None,
        *,
        name: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self,
        domain: Domain[T],
        min_size: int | None = None,
        max_size: int | None = None,
        *,
        set_class: Callable[[tuple[T, ...]], R],
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        domain: Domain[T],
        min_size: int | None = None,
        max_size: int | None = None,
        *,
        set_class: Callable[[Any], Any] = Set,
        name: str | None = None,
    ) -> None:
        items = require_size("domain", as_domain("domain", domain), "Subsets")
        size_min = 0 if min_size is None else as_int("min_size", min_size, least=0)
        if max_size is not None:
            size_max = as_int("max_size", max_size, least=size_min)
        else:
            size_max = items if min_size is None else size_min
        super().__init__(domain, SelectionTree(items, size_min, size_max), name=name)
        self._sizes_given = (min_size, max_size)
        self._set_class = as_function("set_class", set_class)

    @property
    def domain(self) -> Domain[T]:
        """The domain of the items."""
        return self._domain

    @property
    def sizes(self) -> range:
        """The numbers of items that subsets may have."""
        return range(self._tree.size_min, self._tree.size_max + 1)

    @property
    def set_class(self) -> Callable[[Any], R]:
        """What makes an element out of the tuple of its items."""
        return self._set_class

    @property
    def strict(self) -> bool:
        return self._set_class is Set and self._parts_strict

    @cached_property
    def _in_order(self) -> bool:
        if iterates_in_order(self._domain):
            return True
        return self._kept is not None and strictly_increasing(self._kept[1])

    def _make(self, items: tuple[T, ...]) -> R:
        made: R = self._set_class(items)
        return made

    def _make_all(self, selections: Iterator[tuple[T, ...]]) -> Iterator[R]:
        make: Callable[[Any], Any] = self._set_class
        if make is tuple:
            same: Iterator[Any] = selections
            return same
        if make is Set and self._in_order:
            make = set_of_sorted
        return map(make, selections)

    @cached_property
    def _transparent(self) -> bool:
        """Whether ``set_class`` is known to keep the items where they can be had again."""
        return self._set_class is Set or self._set_class in _COLLECTIONS

    def _index(self, element: object) -> int:
        if not self._transparent:
            return Domain._index(self, element)
        if type(element) is not self._set_class:
            raise self._absent(element)
        items: Any = element
        return self._index_of(element, items)

    @cached_property
    def _searches(self) -> bool:
        return not self._transparent or self._domain._searches or not self._domain._distinct

    @cached_property
    def _previewable(self) -> bool:
        return self._transparent and not self.filtered and self._domain._previewable

    def _with_parts(self, parts: tuple[Domain[Any], ...]) -> Subsets[T, R]:
        return Subsets(parts[0], *self._sizes_given, set_class=self._set_class, name=self._name)
