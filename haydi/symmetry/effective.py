"""How many atoms of a USet matter.

The canonical form of a class has no gaps: if it held the atom ``a2`` but not ``a1``, the renaming that swaps
the two would make it smaller. So an element that holds at most ``w`` atoms of a USet has its canonical form
among the first ``w`` of them, and the group to look at is that of ``w`` atoms, not of all. Quadruples out of
a USet of a thousand atoms are a matter of four atoms. :func:`width` is such a ``w``, and :func:`shrink`
describes the same domain over fewer atoms. The atoms stay what they are (an atom knows the size of its USet),
only the domain that gives them out becomes a slice of the USet.
"""

from __future__ import annotations

from typing import Any

from haydi.domains.domain import Domain
from haydi.domains.elementary import Boolean, NoneDomain, Range, USet
from haydi.domains.join import Join
from haydi.domains.mappings import Mappings
from haydi.domains.product import Product
from haydi.domains.sequences import Sequences
from haydi.domains.subsets import Subsets
from haydi.domains.transformed import FilteredDomain
from haydi.symmetry.cnf_values import CnfValues, uset_of
from haydi.symmetry.renaming import atoms_of

__all__ = ["shrink", "usets_of", "width"]


def usets_of(domain: Domain[Any]) -> tuple[USet, ...]:
    """The USets a domain is built of, each once, in the order of their atoms.

    >>> from haydi.domains import Range, USet
    >>> b, a = USet(2, "b"), USet(3, "a")
    >>> usets_of(Range(2) * b * (a + b))
    (<USet 'a' size=3 {a0, a1, a2}>, <USet 'b' size=2 {b0, b1}>)
    """
    found: set[USet] = set()
    seen: set[int] = set()
    todo = [domain]
    while todo:
        part = todo.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, USet):
            found.add(part)
        elif isinstance(part, CnfValues):
            found.update(part.usets)
        elif _is_opaque(part):
            found.update(_usets_inside(part))
        todo.extend(part._parts)
    return tuple(sorted(found, key=lambda uset: (uset.name or "", uset.size)))


def _is_opaque(domain: Domain[Any]) -> bool:
    """Whether a domain is made of nothing that could tell its atoms: one that somebody else has written."""
    return not domain._parts and not isinstance(domain, USet | Range | Boolean | NoneDomain | Product | Join)


def _usets_inside(domain: Domain[Any]) -> set[USet]:
    return {uset_of(atom) for element in domain for atom in atoms_of(element)}


def width(domain: Domain[Any], uset: USet) -> int:
    """An upper bound of the number of atoms of a USet in one element.

    >>> from haydi.domains import Mappings, Subsets, USet
    >>> n = USet(1000, "n")
    >>> width(n**4, n), width(Subsets(Subsets(n, 2), 0, 3), n), width(Mappings(n, n), n)
    (4, 6, 1000)
    """
    parts = [width(part, uset) for part in domain._parts]
    if isinstance(domain, USet):
        bound = int(domain == uset)
    elif isinstance(domain, CnfValues):
        bound = domain.width(uset)
    elif isinstance(domain, Product):
        bound = sum(parts)
    elif isinstance(domain, Sequences):
        bound = domain.lengths[-1] * parts[0]
    elif isinstance(domain, Join | FilteredDomain):
        bound = max(parts, default=0)
    elif isinstance(domain, Subsets):
        bound = domain.sizes[-1] * parts[0]
    elif isinstance(domain, Mappings) and not parts[0]:
        bound = domain.key_domain._known_size() * parts[1]
    else:
        # Keys of a Map and the items of a permutation are all there; of other domains nothing is known.
        inside = any(parts) or (_is_opaque(domain) and uset in _usets_inside(domain))
        bound = uset.size if inside else 0
    return min(bound, uset.size)


def shrink(domain: Domain[Any], sizes: dict[USet, int]) -> Domain[Any]:
    """The elements of a domain that hold only the first few atoms of some USets.

    Args:
        domain: A strict domain.
        sizes: How many atoms, where not all of them.

    >>> from haydi.domains import Boolean, NoneDomain, Range, USet
    >>> n = USet(1000, "n")
    >>> list(shrink(n**2, {n: 2}))
    [(n0, n0), (n0, n1), (n1, n0), (n1, n1)]
    """
    return _shrunk(domain, sizes, {}) if sizes else domain


def _shrunk(domain: Domain[Any], sizes: dict[USet, int], made: dict[int, Domain[Any]]) -> Domain[Any]:
    known = made.get(id(domain))
    if known is not None:
        return known
    new: Domain[Any] = domain
    if isinstance(domain, USet):
        if domain in sizes:
            new = domain[: sizes[domain]]
    elif isinstance(domain, CnfValues):
        new = domain.within(sizes)
    else:
        parts = tuple(_shrunk(part, sizes, made) for part in domain._parts)
        if any(part is not old for part, old in zip(parts, domain._parts, strict=True)):
            new = domain._with_parts(parts)
    made[id(domain)] = new
    return new
