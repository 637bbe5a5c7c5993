"""Brute force over all renamings: what the symmetry of small objects and domains is by definition.

Nothing here shares a line with the code under test but the classes of the objects and the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import permutations, product
from math import factorial, prod
from typing import Any

from hypothesis import strategies as st

import haydi as hd
from haydi.order import SortKey, sort_key


def usets_in(x: Any) -> list[hd.USet]:
    """The USets whose atoms occur in an object."""
    found: dict[tuple[str, int], hd.USet] = {}

    def look(value: Any) -> None:
        if isinstance(value, hd.Atom):
            parent: Any = value.parent
            found[parent.name, parent.size] = parent
        elif isinstance(value, hd.Map):
            for key, item in value.items():
                look(key)
                look(item)
        elif isinstance(value, hd.Set | tuple):
            for item in value:
                look(item)

    look(x)
    return [found[key] for key in sorted(found)]


def renamed(x: Any, names: dict[hd.Atom, hd.Atom]) -> Any:
    """The object with its atoms renamed, made with the checking constructors."""
    if isinstance(x, hd.Atom):
        return names.get(x, x)
    if isinstance(x, hd.Map):
        return hd.Map([(renamed(key, names), renamed(item, names)) for key, item in x.items()])
    if isinstance(x, hd.Set):
        return hd.Set([renamed(item, names) for item in x])
    if isinstance(x, tuple):
        return tuple([renamed(item, names) for item in x])
    return x


def renamings(usets: Iterable[hd.USet]) -> Iterator[dict[hd.Atom, hd.Atom]]:
    """All renamings of the atoms of some USets."""
    for orders in product(*[permutations(uset) for uset in usets]):
        atoms = [atom for uset in usets for atom in uset]
        images = [atom for order in orders for atom in order]
        yield dict(zip(atoms, images, strict=True))


def group_order(usets: Iterable[hd.USet]) -> int:
    return prod(factorial(uset.size) for uset in usets)


def orbit(x: Any) -> dict[SortKey, Any]:
    """The class of an object, by sort key."""
    images = [renamed(x, names) for names in renamings(usets_in(x))]
    return {sort_key(image): image for image in images}


def least(x: Any) -> Any:
    """The canonical form."""
    found = orbit(x)
    return found[min(found)]


def automorphisms(x: Any) -> int:
    return sum(sort_key(renamed(x, names)) == sort_key(x) for names in renamings(usets_in(x)))


def classes(domain: Iterable[Any]) -> list[Any]:
    """The least element of each class of a domain, in the order of compare."""
    return [x for x in sorted(domain, key=sort_key) if sort_key(least(x)) == sort_key(x)]


def objects(usets: list[hd.USet], max_leaves: int = 12) -> st.SearchStrategy[Any]:
    """Nested basic objects over the atoms of some USets."""
    atoms = [st.sampled_from(list(uset)) for uset in usets if uset.size]
    scalars = st.sampled_from([0, 1, "a", True, False, None])
    leaves = st.one_of(*atoms, *atoms, *atoms, scalars)
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4).map(hd.Set),
            st.lists(inner, max_size=3).map(tuple),
            st.lists(st.tuples(inner, inner), max_size=4).map(_map),
            *[st.lists(st.tuples(inner, atom), max_size=4).map(_map) for atom in atoms],
            *[st.sets(st.frozensets(atom, max_size=3), max_size=6).map(_sets) for atom in atoms],
            *[st.lists(st.tuples(atom, atom), max_size=6).map(hd.Set) for atom in atoms],
        ),
        max_leaves=max_leaves,
    )


def _map(pairs: list[tuple[Any, Any]]) -> hd.Map[Any, Any]:
    return hd.Map({sort_key(key): (key, value) for key, value in pairs}.values())


def _sets(sets: Iterable[Iterable[Any]]) -> hd.Set[Any]:
    return hd.Set([hd.Set(inner) for inner in sets])
