"""Random strict domains, and what their representatives are by definition."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

import haydi as hd
from haydi.domains.domain import Domain
from haydi.order import SortKey, sort_key
from tests.symmetry.oracles import group_order, renamed, renamings


def representatives(domain: Iterable[Any], usets: list[hd.USet]) -> list[tuple[Any, int]]:
    """The least element of each class and the number of elements of the class, in the order of compare."""
    elements: dict[SortKey, Any] = {sort_key(x): x for x in domain}
    seen: set[SortKey] = set()
    found = []
    names = list(renamings(usets))
    for key in sorted(elements):
        if key not in seen:
            orbit = {sort_key(renamed(elements[key], one)) for one in names}
            assert orbit <= elements.keys(), "not strict"
            seen |= orbit
            found.append((elements[key], len(orbit)))
    return found


def even_atoms(x: Any) -> bool:
    """Whether the number of places that atoms have in an object is even: the same for all names of atoms."""
    return atoms_in(x) % 2 == 0


def atoms_in(x: Any) -> int:
    if isinstance(x, hd.Atom):
        return 1
    if isinstance(x, hd.Map):
        return sum(atoms_in(key) + atoms_in(value) for key, value in x.items())
    return sum(map(atoms_in, x)) if isinstance(x, hd.Set | tuple) else 0


def differs(x: Any) -> bool:
    """Whether the two items of a pair differ."""
    return not isinstance(x, tuple) or len(x) != 2 or sort_key(x[0]) != sort_key(x[1])


USETS = [[hd.USet(n, "a")] for n in (1, 2, 3, 4)] + [
    [hd.USet(m, "a"), hd.USet(n, "b")] for m, n in ((2, 2), (3, 2), (1, 3))
]


@st.composite
def strict_domains(
    draw: st.DrawFn, max_size: int = 2000, depth: int = 3
) -> tuple[Domain[Any], list[hd.USet]]:
    """A strict domain of at most ``max_size`` steps, and its USets."""
    usets = draw(st.sampled_from(USETS))
    domain = draw(_strict(usets, max_size, depth))
    assert group_order(usets) <= 24
    return domain, usets


@st.composite
def _strict(draw: st.DrawFn, usets: list[hd.USet], max_size: int, depth: int) -> Domain[Any]:
    leaves: list[Domain[Any]] = [
        *usets,
        *usets,
        hd.Range(2),
        hd.Boolean(),
        hd.NoneDomain(),
        hd.Range(3, 1, -1),
    ]
    if depth == 0:
        return draw(st.sampled_from(leaves))
    made = _composed(draw, usets, max_size, depth - 1)
    assert made is None or made.strict
    return draw(st.sampled_from(leaves)) if made is None or (made.size or 0) > max_size else made


KINDS = ["product", "product", "sequences", "subsets", "subsets", "mappings", "join", "permute", "filter"]


def _composed(draw: st.DrawFn, usets: list[hd.USet], max_size: int, depth: int) -> Domain[Any] | None:
    def part(limit: int = max_size) -> Domain[Any]:
        return draw(_strict(usets, limit, depth))

    kind = draw(st.sampled_from(KINDS))
    if kind == "product":
        parts = [part() for _ in range(draw(st.integers(0, 3)))]
        if draw(st.integers(0, 4)) == 0:
            return hd.NamedProduct([(f"f{i}", one) for i, one in enumerate(parts)])
        return hd.Product(parts)
    if kind == "sequences":
        shortest = draw(st.integers(0, 2))
        return hd.Sequences(part(), shortest, shortest + draw(st.integers(0, 2)))
    if kind == "join":
        return hd.Join([part() for _ in range(draw(st.integers(0, 3)))])
    if kind == "filter":
        test = draw(st.sampled_from([even_atoms, differs]))
        return part().filter(test, strict=True)
    if kind == "mappings":
        keys = part(6)
        return (
            hd.Mappings(keys, part()) if keys.size is not None and keys.size <= 6 and distinct(keys) else None
        )
    items = part(14 if kind == "subsets" else 6)
    if not distinct(items) or (items.size or 0) > 14:
        return None
    if kind == "permute":
        return hd.Permutations(items) if (items.size or 0) <= 6 else None
    if draw(st.booleans()):
        return hd.Subsets(items)
    least = draw(st.integers(0, 3))
    return hd.Subsets(items, least, least + draw(st.integers(0, 3)))


def distinct(domain: Domain[Any]) -> bool:
    elements = list(map(sort_key, domain))
    return len(set(elements)) == len(elements)


def in_order(domain: Domain[Any]) -> bool:
    """Whether inner domains iterate in the order of compare; representatives come as in iterate() then."""
    return all(map(in_order, domain._parts)) and all(
        one < other for part in domain._parts for one, other in pairwise(map(sort_key, part))
    )
