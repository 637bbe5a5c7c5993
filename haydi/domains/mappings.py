"""Mappings: every way to give each key a value.

**Order.** A mapping is the vector of its values, one for each key in the order of the key domain, and
mappings come as the product of these vectors: the value of the last key changes fastest, whatever
``map_class`` is.

**Elements.** A mapping is a :class:`~haydi.basic.Map`, its keys sorted whatever the order of the key domain.
All Maps of a domain share their keys; one Map costs one small object and the tuple that
``itertools.product`` makes anyway. Where the key domain is not in order, the values are put into place by
``operator.itemgetter``, in C. Any other ``map_class`` is called with an iterable of pairs, in the order of
the key domain.

**Filters.** A filter in the value domain rejects steps, as everywhere. A key domain stands for the set of its
elements, so a filter there only makes this set smaller: it is applied at once, when the domain is described.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import repeat
from operator import eq, itemgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from haydi.basic import Keys, Map, map_of_sorted
from haydi.domains.arguments import as_domain, as_function
from haydi.domains.describe import show_int
from haydi.domains.domain import Domain
from haydi.domains.in_order import iterates_in_order
from haydi.domains.selections import require_size
from haydi.domains.sequences import Sequences
from haydi.errors import ArgumentValueError
from haydi.order import sort_key

if TYPE_CHECKING:
    from random import Random

__all__ = ["Mappings"]

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R")

_KEY_COUNT_MAX = 1 << 20


class Mappings(Domain[R], Generic[K, V, R]):
    """All mappings from one domain to another, as Maps.

    Args:
        keys: The domain of the keys: every mapping has all of them. At most about a million.
        values: The domain of the values.
        map_class: Called with an iterable of (key, value) pairs, makes an element, for example ``dict``.
        name: A name shown in ``repr``.

    Raises:
        ArgumentTypeError: ``keys`` or ``values`` is not a domain, or ``map_class`` not callable. While
        iterating:
            a key has no place in the order of basic objects, which a Map needs.
        ArgumentValueError: There are too many keys. While iterating: ``keys`` has equal elements.
        UnknownSizeError: The size of ``keys`` or ``values`` is not known.

    >>> from haydi.domains.elementary import Boolean, Range
    >>> Mappings(Range(2), Boolean())
    <Mappings size=4 {{0: False, 1: False}, {0: False, 1: True}, {0: True, 1: False}, ...}>
    >>> Mappings(Range(2), Boolean(), map_class=dict)[-1]
    {0: True, 1: True}
    >>> automata = Mappings(Range(5) * Range(2), Range(5))
    >>> automata.size, automata[2024][4, 1]
    (9765625, 4)
    """

    @overload
    def __init__(
        self: Mappings[K, V, Map[K, V]], keys: Domain[K], values: Domain[V], *, name: str | None = None
    ) -> None: ...
    @overload
    def __init__(
        self,
        keys: Domain[K],
        values: Domain[V],
        *,
        map_class: Callable[[Iterable[tuple[K, V]]], R],
        name: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        keys: Domain[K],
        values: Domain[V],
        *,
        map_class: Callable[[Any], Any] = Map,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self._key_domain: Domain[K] = as_domain("keys", keys)
        self._value_domain: Domain[V] = as_domain("values", values)
        self._map_class = as_function("map_class", map_class)
        self._parts = (keys, values)
        count = require_size("keys", keys, "Mappings")
        require_size("values", values, "Mappings")
        if count > _KEY_COUNT_MAX:
            raise ArgumentValueError(
                f"keys has {show_int(count)} elements; every mapping holds all of them, so there may be "
                f"at most {_KEY_COUNT_MAX}"
            )
        if keys.filtered:
            count = len(self._items)
        self._vectors = Sequences(values, count)

    @property
    def key_domain(self) -> Domain[K]:
        """The domain of the keys."""
        return self._key_domain

    @property
    def value_domain(self) -> Domain[V]:
        """The domain of the values."""
        return self._value_domain

    @property
    def map_class(self) -> Callable[[Any], R]:
        """What makes an element out of pairs."""
        return self._map_class

    @property
    def size(self) -> int:
        return self._vectors.size

    @property
    def filtered(self) -> bool:
        return self._vectors.filtered

    @property
    def strict(self) -> bool:
        return self._map_class is Map and self._parts_strict

    @cached_property
    def _items(self) -> tuple[K, ...]:
        """The keys, in the order of their domain."""
        return tuple(self._key_domain)

    @cached_property
    def _layout(self) -> tuple[Keys[K], Callable[[tuple[V, ...]], Any] | None]:
        """The sorted keys, and what brings the values into their order (None when they are)."""
        items = self._items
        if iterates_in_order(self._key_domain):
            return Keys(items), None
        sort_keys = list(map(sort_key, items))
        positions = sorted(range(len(items)), key=sort_keys.__getitem__)
        ordered = list(map(sort_keys.__getitem__, positions))
        if any(map(eq, ordered, ordered[1:])):
            raise ArgumentValueError(
                f"keys has equal elements, but a mapping has one value for each key: {self._key_domain!r}"
            )
        if positions == list(range(len(items))):
            return Keys(items), None
        return Keys(tuple(map(items.__getitem__, positions))), itemgetter(*positions)

    def _make_all(self, vectors: Iterator[tuple[V, ...]]) -> Iterator[R]:
        if self._map_class is not Map:
            return map(self._map_class, map(zip, repeat(self._items), vectors))
        keys, permute = self._layout
        values = vectors if permute is None else map(permute, vectors)
        maps: Iterator[Any] = map(map_of_sorted, repeat(keys), values)
        return maps

    def _make(self, vector: tuple[V, ...]) -> R:
        return next(self._make_all(iter((vector,))))

    def _elements(self, start: int, stop: int) -> Iterator[R]:
        return self._make_all(self._vectors._elements(start, stop))

    def _at(self, step: int) -> R:
        return self._make(self._vectors._at(step))

    def _generate_one(self, rng: Random) -> R:
        return self._make(self._vectors._generate_one(rng))

    @cached_property
    def _transparent(self) -> bool:
        """Whether ``map_class`` is known to keep the values where they can be had again."""
        return self._map_class is Map or self._map_class is dict

    def _index(self, element: object) -> int:
        if not self._transparent:
            return super()._index(element)
        if type(element) is not self._map_class:
            raise self._absent(element)
        mapping: Any = element
        try:
            step = self._vectors._index(tuple(map(mapping.__getitem__, self._items)))
        except (KeyError, ValueError):
            raise self._absent(element) from None
        # The element may have more keys, or differ where a tuple does not see it (0 is not False in a Map).
        if self._at(step) == element:
            return step
        if not self._value_domain._distinct:
            return super()._index(element)
        raise self._absent(element)

    @cached_property
    def _searches(self) -> bool:
        return not (self._transparent and self._value_domain._distinct) or self._value_domain._searches

    @cached_property
    def _previewable(self) -> bool:
        parts = self._transparent and not self._key_domain.filtered and self._key_domain._previewable
        return parts and not self.filtered and self._value_domain._previewable

    @cached_property
    def _width(self) -> int:
        return 1 + self._vectors._width

    def _with_parts(self, parts: tuple[Domain[Any], ...]) -> Mappings[K, V, R]:
        return Mappings(parts[0], parts[1], map_class=self._map_class, name=self._name)
