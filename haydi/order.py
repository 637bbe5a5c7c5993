"""The one order over all basic objects.

Everything that has to agree between processes, runs and machines (the items inside a Set, the representative
of an isomorphism class, the result of :func:`sort`) rests on a total order that depends on values alone,
never on identity or on hashes:

* between types: Atom < int < str < tuple < Map < Set < bool < None;
* atoms by USet (its name, then its size), then by index; ints and strings as Python orders them;
* tuples, Maps (as tuples of their items) and Sets (as tuples of their items) by length, then item by item.
  Named tuples count as tuples.

:func:`sort_key` is the only definition of it; everything else compares its keys. The types that live in
:mod:`haydi.basic` enter themselves into :data:`KEY_OF_TYPE`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from haydi.errors import ArgumentTypeError

__all__ = [
    "KEY_OF_TYPE",
    "NATIVE_ORDER",
    "Ordered",
    "SortKey",
    "argument_items",
    "compare",
    "sort",
    "sort_key",
]

T = TypeVar("T")

#: A key that Python's own ``<`` and ``==`` compare as the order demands.
SortKey = tuple[Any, ...]

#: How the key of an object is made. Each begins with the place of the type;
#: haydi.basic adds places 0, 4 and 5.
KEY_OF_TYPE: dict[type, Callable[[Any], SortKey]] = {
    int: lambda x: (1, x),
    str: lambda x: (2, x),
    tuple: lambda x: (3, len(x), *map(sort_key, x)),
    bool: lambda x: (6, x),
    type(None): lambda x: (7,),
}

#: Types whose elements, among themselves, Python sorts as the order demands, by comparisons in C.
NATIVE_ORDER: frozenset[type] = frozenset((int, str, bool))


def sort_key(value: object) -> SortKey:
    """A key for ``sorted``, ``max`` and dictionaries.

    Keys compare as :func:`compare` does, and are equal when it is 0.

    Args:
        value: A basic object.

    Raises:
        ArgumentTypeError: ``value``, or something inside it, is no basic object.

    >>> max([3, "a", None, (1, 2)], key=sort_key) is None
    True
    """
    make = KEY_OF_TYPE.get(type(value))
    if make is None:
        for base in (int, str, tuple):
            if isinstance(value, base):
                return KEY_OF_TYPE[base](value)
        raise ArgumentTypeError(
            f"{type(value).__name__} objects have no place in the order of basic objects "
            f"(got {value!r:.100}); use atoms, ints, strings, tuples, Maps, Sets, bools and None, "
            "or a container of your own (set_class=, map_class=)"
        )
    return make(value)


def compare(a: object, b: object) -> int:
    """Compare two basic objects of any types.

    Returns:
        -1, 0 or 1 when ``a`` stands before, with or after ``b`` (see the module for the order).

    Raises:
        ArgumentTypeError: One of them, or something inside it, is no basic object.

    >>> from haydi.basic import Set
    >>> compare(2, "a"), compare((9,), (0, 0)), compare(0, False), compare(Set((1, 2)), Set((2, 1)))
    (-1, -1, -1, 0)
    """
    key_a, key_b = sort_key(a), sort_key(b)
    return (key_a > key_b) - (key_a < key_b)


def sort(iterable: Iterable[T]) -> list[T]:
    """A new list of basic objects in the order of :func:`compare`; equal objects keep their places (stable).

    Raises:
        ArgumentTypeError: ``iterable`` is not iterable, or something in it is no basic object.

    >>> sort([None, False, "b", (1, 2), 3, (5,), 1])
    [1, 3, 'b', (5,), (1, 2), False, None]
    """
    values = list(argument_items("sort", "iterable", iterable))
    kinds = set(map(type, values))
    if len(kinds) == 1 and kinds <= NATIVE_ORDER:
        native: Any = values
        native.sort()
    else:
        values.sort(key=sort_key)
    return values


def argument_items(what: str, argument: str, iterable: Iterable[T]) -> Iterator[T]:
    """An iterator over an argument, or an error that names it."""
    try:
        return iter(iterable)
    except TypeError:
        raise ArgumentTypeError(
            f"{what}: {argument} must be iterable, not {iterable!r} of type {type(iterable).__name__}"
        ) from None


def _comparable(value: object) -> SortKey | None:
    """The sort key of ``value``, or None when it is no basic object and an operator must decline."""
    try:
        return sort_key(value)
    except TypeError:
        return None


class Ordered:
    """Comparison operators that follow :func:`compare`."""

    __slots__ = ()

    def __lt__(self, other: object) -> bool:
        key = _comparable(other)
        return NotImplemented if key is None else sort_key(self) < key

    def __le__(self, other: object) -> bool:
        key = _comparable(other)
        return NotImplemented if key is None else sort_key(self) <= key

    def __gt__(self, other: object) -> bool:
        key = _comparable(other)
        return NotImplemented if key is None else sort_key(self) > key

    def __ge__(self, other: object) -> bool:
        key = _comparable(other)
        return NotImplemented if key is None else sort_key(self) >= key
