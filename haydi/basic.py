"""Basic objects: what domains are made of.

A *basic object* is an :class:`Atom`, an ``int``, a ``str``, a ``tuple``, a :class:`Map`, a :class:`Set`, a
``bool`` or ``None``; tuples, Maps and Sets hold basic objects. All of them stand in one total order
(:mod:`haydi.order`), and the items of a Set and the keys of a Map are sorted by it.

**A bool is not an int here.** Python says ``0 == False``, the order keeps them apart, and Sets and Maps
follow the order: ``Set((0, False))`` has two items, ``Set((0,)) != Set((False,))``, ``False not in
Set((0,))``, also inside tuples in them. A bare tuple is Python's own: ``(0,) == (False,)`` stays true
outside of a Set or Map.

**Operators.** ``<`` and its kin on Atom, Set and Map follow :func:`compare`; on Sets they do *not* mean
inclusion.

**Cheap to build.** Domains make Sets and Maps by the million out of item tuples that are sorted already,
through :func:`set_of_sorted` and :func:`map_of_sorted`, which check nothing; all Maps of a domain share one
:class:`Keys`. Ways that were measured to build objects of 262,144 tuples (CPython 3.11, in M objects/s)::

    map(tuple subclass)                          9.0   but a Set is no tuple: + * == isinstance all lie
    map(class with unchecked one-slot __init__)  6.9   leaves no room for the checking constructor
    map(type.__call__ past a metaclass)          6.9   the same speed for more magic
    map(plain function around object.__new__)    6.7   chosen
    map(class, tuples, repeat(unchecked flag))   6.3   puts the flag into the public signature
    object.__new__ and slot.__set__ in chunks    5.1   slower, and the first object waits for a chunk
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import starmap
from operator import attrgetter, is_
from typing import Any, Final, Generic, Protocol, TypeVar, final, overload

from haydi.errors import ArgumentValueError
from haydi.order import KEY_OF_TYPE, NATIVE_ORDER, Ordered, SortKey, argument_items, compare, sort, sort_key

__all__ = ["Atom", "Keys", "Map", "Set", "compare", "map_of_sorted", "set_of_sorted", "sort", "sort_key"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
K = TypeVar("K")
V = TypeVar("V")


class AtomParent(Protocol):
    """What an atom needs to know of its USet."""

    @property
    def name(self) -> str | None:
        """Name of the USet; atoms are called after it."""

    @property
    def size(self) -> int | None:
        """Number of atoms of the USet."""


@final
class Atom(Ordered):
    """One of the interchangeable elements of a USet.

    Atoms are equal when their index and the name and size of their USets are: a USet *is* its name and size,
    so that an atom that went to another process and back, or that a worker made itself, is still the same
    atom.

    Args:
        index: Position in the USet, from 0.
        parent: The USet.

    >>> from haydi.domains.elementary import USet
    >>> first, second = USet(2, "a")
    >>> first, second.index, first < second, first == USet(2, "a")[0], first == USet(2, "b")[0]
    (a0, 1, True, True, False)
    """

    __slots__ = ("_hash", "_index", "_key", "_parent")

    def __init__(self, index: int, parent: AtomParent) -> None:
        self._index = index
        self._parent = parent
        self._key: Final = (0, parent.name or "", parent.size or 0, index)
        # Atoms are few objects that are used often, as keys most of all.
        self._hash = hash(self._key)

    @property
    def index(self) -> int:
        """Position in the USet, from 0."""
        return self._index

    @property
    def parent(self) -> AtomParent:
        """The USet this atom is of."""
        return self._parent

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return self._key == other._key if type(other) is Atom else NotImplemented

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"{self._key[1]}{self._index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return Atom, (self._index, self._parent)


def _same_kind(one: object, other: object) -> bool:
    """Whether objects that are ``==`` are also equal in the order: no bool stands against an int."""
    if one is other:
        return True
    if isinstance(one, tuple) and isinstance(other, tuple):
        return _same_kinds(one, other)
    return isinstance(one, bool) == isinstance(other, bool)


def _same_kinds(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return all(map(is_, one, other)) or all(map(_same_kind, one, other))


@final
class Set(Ordered, Generic[T_co]):
    """An immutable, hashable set of basic objects that iterates in the order of :func:`compare`.

    Args:
        items: The items, in any order; repeated items count once.

    Raises:
        ArgumentTypeError: ``items`` is not iterable, or an item is no basic object.

    >>> s = Set((2, 0, 1, 0))
    >>> s, len(s), 1 in s, s[0], s == Set((0, 1, 2))
    ({0, 1, 2}, 3, True, 0, True)
    """

    __slots__ = ("_items",)

    _items: tuple[T_co, ...]

    def __init__(self, items: Iterable[T_co] = ()) -> None:
        if type(items) is Set:
            self._items = items._items
            return
        values = tuple(argument_items("Set", "items", items))
        kinds = set(map(type, values))
        if len(kinds) == 1 and kinds <= NATIVE_ORDER:
            native: Any = set(values)
            self._items = tuple(sorted(native))
            return
        keyed: dict[SortKey, T_co] = {}
        for value in values:
            keyed.setdefault(sort_key(value), value)
        self._items = tuple(map(keyed.__getitem__, sorted(keyed)))

    def __contains__(self, item: object) -> bool:
        if item not in self._items:
            return False
        kind = type(item)
        return kind is str or kind is Atom or any(x == item and _same_kind(x, item) for x in self._items)

    @overload
    def __getitem__(self, position: int) -> T_co: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[T_co, ...]: ...
    def __getitem__(self, position: int | slice) -> T_co | tuple[T_co, ...]:
        return self._items[position]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T_co]:
        return iter(self._items)

    def __eq__(self, other: object) -> bool:
        if type(other) is not Set:
            return NotImplemented
        mine, others = self._items, other._items
        return mine is others or (mine == others and _same_kinds(mine, others))

    def __hash__(self) -> int:
        return hash((Set, self._items))

    def __repr__(self) -> str:
        return "{" + ", ".join(map(repr, self._items)) + "}"

    def __reduce__(self) -> tuple[Any, ...]:
        return set_of_sorted, (self._items,)

    def to_set(self) -> set[T_co]:
        """The items as a new Python set (in which 0 and False are one)."""
        return set(self._items)

    def to_frozenset(self) -> frozenset[T_co]:
        """The items as a Python frozenset (in which 0 and False are one)."""
        return frozenset(self._items)


@final
class Keys(Generic[K]):
    """The sorted keys that all Maps of a domain share, with the way from a key to its position.

    Args:
        items: Basic objects in strictly increasing order; not checked.
    """

    __slots__ = ("_hash", "_positions", "items")

    def __init__(self, items: tuple[K, ...]) -> None:
        self.items = items
        self._positions: dict[object, int] | None = None
        self._hash = hash(items)

    def find(self, key: object) -> int:
        """Position of ``key``, or -1."""
        if self._positions is None:
            self._positions = {item: position for position, item in enumerate(self.items)}
        try:
            position = self._positions.get(key, -1)
        except TypeError:
            return -1
        if position < 0 or _same_kind(self.items[position], key):
            return position
        # Python's dict holds 0 and False under one key; look for the other one.
        for position, item in enumerate(self.items):
            if item == key and _same_kind(item, key):
                return position
        return -1

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(other) is not Keys:
            return NotImplemented
        return self.items == other.items and _same_kinds(self.items, other.items)

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return Keys, (self.items,)


@final
class Map(Ordered, Generic[K, V]):
    """An immutable, hashable mapping of basic objects to basic objects that iterates over its sorted keys.

    Args:
        items: A mapping, or an iterable of (key, value) pairs, in any order.

    Raises:
        ArgumentTypeError: ``items`` is neither, or a key is no basic object.
        ArgumentValueError: A key occurs twice, or an item is no pair.

    >>> m = Map({1: "b", 0: "a"})
    >>> m, m[1], len(m), 2 in m, list(m), m.values(), m.to_dict()
    ({0: 'a', 1: 'b'}, 'b', 2, False, [0, 1], ('a', 'b'), {0: 'a', 1: 'b'})
    """

    __slots__ = ("_keys", "_values")

    _keys: Keys[K]
    _values: tuple[V, ...]

    def __init__(self, items: Map[K, V] | Mapping[K, V] | Iterable[tuple[K, V]] = ()) -> None:
        if isinstance(items, Map):
            self._keys, self._values = items._keys, items._values
            return
        pairs: Iterable[Any] = items.items() if isinstance(items, Mapping) else items
        keyed: dict[SortKey, tuple[K, V]] = {}
        for pair in argument_items("Map", "items", pairs):
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise ArgumentValueError(f"Map: items must be (key, value) pairs, but one is {pair!r}")
            item: tuple[K, V] = (pair[0], pair[1])
            if keyed.setdefault(sort_key(pair[0]), item) is not item:
                raise ArgumentValueError(
                    f"Map: key {pair[0]!r} occurs twice; a Map has one value for each key"
                )
        ordered = [keyed[key] for key in sorted(keyed)]
        self._keys = Keys(tuple(key for key, _ in ordered))
        self._values = tuple(value for _, value in ordered)

    def __getitem__(self, key: K) -> V:
        position = self._keys.find(key)
        if position < 0:
            raise KeyError(key)
        return self._values[position]

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: V) -> V: ...
    def get(self, key: K, default: V | None = None) -> V | None:
        """The value of ``key``, or ``default`` when the key is absent."""
        position = self._keys.find(key)
        return default if position < 0 else self._values[position]

    def __contains__(self, key: object) -> bool:
        return self._keys.find(key) >= 0

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[K]:
        return iter(self._keys.items)

    def keys(self) -> tuple[K, ...]:
        """The keys, sorted."""
        return self._keys.items

    def values(self) -> tuple[V, ...]:
        """The values, in the order of the keys."""
        return self._values

    def items(self) -> tuple[tuple[K, V], ...]:
        """The (key, value) pairs, in the order of the keys."""
        return tuple(zip(self._keys.items, self._values, strict=True))

    def to_dict(self) -> dict[K, V]:
        """A new Python dict (in which 0 and False are one key)."""
        return dict(zip(self._keys.items, self._values, strict=True))

    def __eq__(self, other: object) -> bool:
        if type(other) is not Map:
            return NotImplemented
        mine, others = self._values, other._values
        return self._keys == other._keys and (
            mine is others or (mine == others and _same_kinds(mine, others))
        )

    def __hash__(self) -> int:
        return hash((self._keys, self._values))

    def __repr__(self) -> str:
        if not self._values:
            return "{:}"
        return "{" + ", ".join(starmap("{!r}: {!r}".format, self.items())) + "}"

    def __reduce__(self) -> tuple[Any, ...]:
        return map_of_sorted, (self._keys, self._values)


_new = object.__new__


def set_of_sorted(items: tuple[T, ...]) -> Set[T]:
    """A Set of items that are strictly increasing already; nothing is checked.

    >>> set_of_sorted((0, 1))
    {0, 1}
    """
    made = _new(Set)
    made._items = items
    return made


def map_of_sorted(keys: Keys[K], values: tuple[V, ...]) -> Map[K, V]:
    """A Map of shared keys and the values in their order; nothing is checked.

    >>> map_of_sorted(Keys((0, 1)), ("a", "b"))
    {0: 'a', 1: 'b'}
    """
    made = _new(Map)
    made._keys = keys
    made._values = values
    return made


_atom_key: Callable[[Any], SortKey] = attrgetter("_key")


def _map_key(value: Map[Any, Any]) -> SortKey:
    return (4, len(value), *zip(map(sort_key, value.keys()), map(sort_key, value.values()), strict=True))


def _set_key(value: Set[Any]) -> SortKey:
    return (5, len(value), *map(sort_key, value))


KEY_OF_TYPE.update({Atom: _atom_key, Map: _map_key, Set: _set_key})
