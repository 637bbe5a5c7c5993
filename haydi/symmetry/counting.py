"""The exact number of isomorphism classes, without enumerating them.

By the lemma of Cauchy, Frobenius and Burnside the number of classes is the mean, over all renamings, of the
number of elements that a renaming fixes. That depends on the cycle type of the renaming alone, so there is
one term for each way to choose a partition of the size of each ``USet``: 5604 terms for graphs on 30 nodes,
whose classes take 99 digits to write down. :mod:`haydi.symmetry.species` tells what a term is.

Only as many atoms of a USet take part as one element can hold (:mod:`haydi.symmetry.effective`): the classes
of triples out of a million atoms are those of triples out of three.

Filters are opaque: whether a renaming fixes an accepted element cannot be told from the numbers, so domains
with filters are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from math import comb, factorial, prod
from typing import Any

from haydi.domains.arguments import as_bool
from haydi.domains.describe import brief, show_int
from haydi.domains.domain import POOL_SIZE_MAX, Domain
from haydi.domains.elementary import Boolean, NoneDomain, Range, USet
from haydi.domains.join import Join
from haydi.domains.mappings import Mappings
from haydi.domains.permutations import Permutations
from haydi.domains.product import NamedProduct, Product
from haydi.domains.sequences import Sequences
from haydi.domains.subsets import Subsets
from haydi.errors import ArgumentTypeError, ArgumentValueError
from haydi.order import sort_key
from haydi.symmetry.effective import shrink, usets_of, width
from haydi.symmetry.renaming import atoms_of
from haydi.symmetry.species import (
    Atoms,
    Cycles,
    Either,
    Fixpoints,
    Listed,
    Maps,
    Orders,
    Sets,
    Species,
    Tuples,
    Words,
    coefficients,
    cycle_types,
    size_polynomial,
)

__all__ = ["Terms", "cnf_count", "species_of"]

#: More cycle types than that would take hours.
CYCLE_TYPES_MAX = 5_000_000

_TAGS_MAX = 1000


def cnf_count(domain: Domain[Any], by_size: bool = False) -> int | list[int]:
    """The number of isomorphism classes of a strict domain, exactly and without enumerating them.

    The lemma of Cauchy, Frobenius and Burnside; for graphs the result is that of Polya (OEIS A000088).

    Args:
        domain: A strict domain without filters.
        by_size: For ``Subsets``: a list with the number of classes of Sets with 0, 1, 2, ... items.

    Raises:
        ArgumentValueError: A part of the domain is filtered or not strict, or there are too many cycle types;
            or ``by_size`` is asked of anything but Subsets.

    >>> from haydi.domains import Subsets, USet
    >>> nodes = USet(6, "n")
    >>> cnf_count(Subsets(Subsets(nodes, 2)))
    156
    >>> cnf_count(Subsets(Subsets(nodes, 2)), by_size=True)
    [1, 1, 2, 5, 9, 15, 21, 24, 24, 21, 15, 9, 5, 2, 1, 1]
    """
    return _count_by_size(domain) if as_bool("by_size", by_size) else _count_all(domain)


def _count_all(domain: Domain[Any]) -> int:
    usets = _usets_checked(domain)
    if not usets:
        return domain._known_size()
    if isinstance(domain, Join):
        # At the top equal elements of two parts are two elements, as they are to iterate().
        return sum(map(_count_all, domain.domains))
    return _count(domain)


def _count(domain: Domain[Any]) -> int:
    terms = Terms(domain)
    total = sum(terms.species.fixed(g) * number for g, number in terms)
    classes, rest = divmod(total, terms.group_order)
    assert rest == 0, "the fixed elements of all renamings must divide evenly"
    return classes


def _count_by_size(domain: Domain[Any]) -> list[int]:
    if not isinstance(domain, Subsets):
        raise ArgumentValueError(f"by_size=True is for Subsets, not for {domain!r}; leave it out")
    terms = Terms(domain)
    species = terms.species
    assert isinstance(species, Sets)
    items = domain.domain._known_size()
    last = min(domain.sizes[-1], items)
    if last < domain.sizes[0]:
        return [0] * (items + 1)
    bits = -(-(comb(items, min(last, items // 2)) * terms.group_order).bit_length() // 8) * 8
    total = 0
    for g, number in terms:
        total += number * size_polynomial(species.parts[0].cycles(g), last, bits)
    counts = coefficients(total // terms.group_order, bits)
    counts += [0] * (last + 1 - len(counts))
    return [0] * domain.sizes[0] + counts[domain.sizes[0] :]


class Terms:
    """The terms of the lemma for one domain: cycle types, and how many renamings have each.

    Args:
        domain: A strict domain without filters.

    Attributes:
        species: What the domain is to renamings.
        sizes: How many atoms of each USet matter.
        group_order: Number of renamings of these atoms.
    """

    def __init__(self, domain: Domain[Any]) -> None:
        self.sizes = {uset: width(domain, uset) for uset in _usets_checked(domain)}
        self.species = species_of(domain, self.sizes)
        self.group_order = prod(map(factorial, self.sizes.values()))
        count = prod(_partitions_count(size) for size in self.sizes.values())
        if count > CYCLE_TYPES_MAX:
            raise ArgumentValueError(
                f"counting the classes of {domain!r} takes {show_int(count)} cycle types of renamings, and "
                f"the limit is {CYCLE_TYPES_MAX}; use smaller USets, or elements that hold fewer atoms"
            )

    def __iter__(self) -> Iterator[tuple[Fixpoints, int]]:
        usets = tuple(self.sizes)
        for types in product(*map(cycle_types, self.sizes.values())):
            cycles: tuple[Cycles, ...] = tuple(one for one, _ in types)
            yield Fixpoints(dict(zip(usets, cycles, strict=True))), prod(number for _, number in types)


def _partitions_count(size: int) -> int:
    """Number of partitions of an int, by Euler's recurrence over the parts; exact up to some thousands."""
    if size > 1000:
        return CYCLE_TYPES_MAX + 1
    ways = [1] + [0] * size
    for part in range(1, size + 1):
        for total in range(part, size + 1):
            ways[total] += ways[total - part]
    return ways[size]


def _usets_checked(domain: Domain[Any]) -> tuple[USet, ...]:
    """The USets of a domain, or an error that names the part that stands in the way."""
    if not isinstance(domain, Domain):
        raise ArgumentTypeError(f"domain must be a domain, not {domain!r}")
    culprit = _find(domain, filtered=True)
    if culprit is not None:
        raise ArgumentValueError(
            f"classes cannot be counted through a filter: {brief(culprit)} is filtered; enumerate the "
            f"classes instead, as domain.cnfs().count()"
        )
    if not domain.strict:
        culprit = _find(domain, filtered=False) or domain
        raise ArgumentValueError(
            f"only strict domains have isomorphism classes of their own, and {brief(culprit)} is not "
            f"strict: when atoms are renamed, its elements may leave it; use CnfValues for given values"
        )
    return usets_of(domain)


def _find(domain: Domain[Any], filtered: bool) -> Domain[Any] | None:
    """The innermost part that is filtered, or not strict."""
    for part in domain._parts:
        found = _find(part, filtered)
        if found is not None:
            return found
    return domain if (domain.filtered if filtered else not domain.strict) else None


def species_of(domain: Domain[Any], sizes: dict[USet, int]) -> Species:
    """What a strict domain is to renamings.

    Args:
        domain: A strict domain without filters.
        sizes: How many atoms of each of its USets matter.

    Raises:
        ArgumentValueError: A Join inside has equal elements where they must differ, or cannot be compared.
    """
    return _Compiler(sizes).species(domain)


class _Compiler:
    """Makes species of domains; equal parts (one object) become one species, so that work is shared."""

    def __init__(self, sizes: dict[USet, int]) -> None:
        self.sizes = sizes
        # The domains are kept so that their ids stay their own.
        self._made: dict[int, tuple[Species, Domain[Any]]] = {}
        self._repeating: set[int] = set()

    def species(self, domain: Domain[Any]) -> Species:
        """The species of a domain; equal elements count as one."""
        key = id(domain)
        if key not in self._made:
            self._made[key] = (self._make(domain), domain)
            if any(id(part) in self._repeating for part in domain._parts):
                self._repeating.add(key)
        return self._made[key][0]

    def _items(self, domain: Domain[Any]) -> Species:
        """The species of a domain whose elements must differ, or an error."""
        species = self.species(domain)
        if id(domain) in self._repeating:
            shrunk = self._shrunk(domain)
            if shrunk._known_size() > POOL_SIZE_MAX or len(set(map(sort_key, shrunk))) < shrunk._known_size():
                raise ArgumentValueError(
                    f"{brief(domain)} has equal elements; what is built of it needs distinct ones to be "
                    f"counted"
                )
        return species

    def _make(self, domain: Domain[Any]) -> Species:
        kind = type(domain)
        if isinstance(domain, USet):
            return Atoms(domain)
        if kind in (Range, Boolean, NoneDomain):
            return Listed(domain, False, domain._known_size())
        if isinstance(domain, Product):
            make = partial(tuple.__new__, domain._class) if isinstance(domain, NamedProduct) else tuple
            return Tuples([self.species(part) for part in domain.domains], make)
        if isinstance(domain, Sequences):
            return Words(self.species(domain.domain), domain.lengths)
        if isinstance(domain, Join):
            return self._join(domain)
        if isinstance(domain, Mappings):
            keys = domain.key_domain
            return Maps(self._items(keys), self.species(domain.value_domain), keys)
        if isinstance(domain, Subsets):
            return Sets(self._items(domain.domain), domain.sizes, self._shrunk(domain.domain))
        if isinstance(domain, Permutations):
            return Orders(self._items(domain.domain), domain.domain)
        return self._listed(domain)

    def _shrunk(self, domain: Domain[Any]) -> Domain[Any]:
        return shrink(domain, {uset: size for uset, size in self.sizes.items() if size < uset.size})

    def _listed(self, domain: Domain[Any]) -> Species:
        """The elements in a list, unless they are known to differ and no renaming moves them."""
        usets = usets_of(domain)
        if not usets and domain._distinct:
            return Listed(domain, False, domain._known_size())
        elements = list(self._shrunk(domain))
        unique = {sort_key(element): element for element in elements}
        if len(unique) < len(elements):
            self._repeating.add(id(domain))
        strangers = {atom.parent for one in unique.values() for atom in atoms_of(one)} - set(self.sizes)
        if strangers:
            raise ArgumentValueError(
                f"{brief(domain)} has atoms of {strangers.pop()!r}, which is not among its parts; name it in "
                f"_parts, so that it can be renamed"
            )
        return Listed(list(unique.values()), bool(usets), len(unique))

    def _join(self, domain: Join[Any]) -> Species:
        """A join inside of something: there its elements are a set, and equal ones are one."""
        parts = [self.species(part) for part in domain.domains]
        tags = [_tags(part) for part in domain.domains]
        known = [one for one in tags if one is not None]
        if len(known) == len(tags) and sum(map(len, known)) == len(set().union(*known)):
            return Either(parts)
        shrunk = self._shrunk(domain)
        if shrunk._known_size() > POOL_SIZE_MAX:
            raise ArgumentValueError(
                f"whether parts of {brief(domain)} have equal elements cannot be told, for there are "
                f"too many; join parts of different kinds, or put a tag beside each as in Range(1) * part"
            )
        if len({sort_key(element) for element in shrunk}) == shrunk._known_size():
            return Either(parts)
        return self._listed(domain)


def _tags(domain: Domain[Any]) -> set[Any] | None:
    """Kinds of elements, such that elements of different kinds differ; None when they cannot be told."""
    kind = type(domain)
    if isinstance(domain, USet):
        return {("atom", domain)}
    if kind in (Range, Boolean, NoneDomain):
        return {kind}
    if isinstance(domain, Product):
        return {("tuple", len(domain.domains))}
    if isinstance(domain, Sequences) and len(domain.lengths) <= _TAGS_MAX:
        return {("tuple", length) for length in domain.lengths}
    if isinstance(domain, Subsets) and len(domain.sizes) <= _TAGS_MAX:
        return {("set", size) for size in domain.sizes}
    if isinstance(domain, Mappings):
        return {("map", domain._vectors.lengths[0])}
    if isinstance(domain, Join):
        tags = [_tags(part) for part in domain.domains]
        known = [one for one in tags if one is not None]
        return set().union(*known) if len(known) == len(tags) else None
    return None
