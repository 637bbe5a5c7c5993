"""Renaming the atoms of basic objects.

A renaming is a bijection of atoms that keeps each atom inside its ``USet``; what it does not name, it leaves
alone. It acts on an object by acting on the atoms in it. Sets and the keys of Maps are sorted afresh
afterwards, since their order depends on the names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from haydi.basic import Atom, Keys, Map, Set, map_of_sorted, set_of_sorted, sort
from haydi.order import sort_key

__all__ = ["Renaming", "atoms_of", "rename"]

#: Where atoms go; an atom that is not a key stays.
Renaming = Mapping[Atom, Atom]


def rename(value: Any, renaming: Renaming) -> Any:
    """The object with its atoms renamed.

    Args:
        value: A basic object.
        renaming: Where atoms go; on the atoms of ``value`` it must be injective.

    >>> from haydi.domains.elementary import USet
    >>> a, b, c = USet(3, "a")
    >>> rename((a, Set((a, b)), Map({b: 1})), {a: c, c: a})
    (a2, {a1, a2}, {a1: 1})
    """
    kind = type(value)
    if kind is Atom:
        return renaming.get(value, value)
    if kind is Set:
        return set_of_sorted(tuple(sort(rename(item, renaming) for item in value)))
    if kind is Map:
        pairs = [(rename(key, renaming), rename(item, renaming)) for key, item in value.items()]
        pairs.sort(key=lambda pair: sort_key(pair[0]))
        return map_of_sorted(Keys(tuple(key for key, _ in pairs)), tuple(item for _, item in pairs))
    if isinstance(value, tuple):
        return tuple.__new__(kind, [rename(item, renaming) for item in value])
    return value


def atoms_of(value: Any) -> Iterator[Atom]:
    """All atoms inside a basic object, each as often as it occurs.

    >>> from haydi.domains.elementary import USet
    >>> a, b = USet(2, "a")
    >>> list(atoms_of((b, Set((a, 5)), Map({a: b}))))
    [a1, a0, a0, a1]
    """
    kind = type(value)
    if kind is Atom:
        yield value
    elif kind is Map:
        for key, item in value.items():
            yield from atoms_of(key)
            yield from atoms_of(item)
    elif kind is Set or isinstance(value, tuple):
        for item in value:
            yield from atoms_of(item)
