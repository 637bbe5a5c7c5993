"""Random isomorphism classes, each with the same probability.

A random element does not do: a class has as many elements as there are renamings divided by its
automorphisms, so symmetric objects would hardly ever come. Dixon and Wilf (*The random selection of unlabeled
graphs*, 1983) draw a pair of a renaming ``g`` and an element that ``g`` fixes, all pairs alike. By the orbit
lemma each class has as many pairs as there are renamings, so its class is uniform. The draw goes in three
steps:

* a cycle type, weighted by how many such pairs it has (:mod:`haydi.symmetry.counting`); conjugate renamings
  fix elements of the same classes, so one renaming of each type is enough;
* an element that this renaming fixes, part by part: for each cycle of keys of a Map one value, fixed by the
  power that brings the cycle back to its first key, is carried around the cycle; a Set takes whole cycles of
  items; and so on;
* its canonical form.

A strict filter at the top draws again what it rejects, which leaves the accepted classes uniform.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate
from math import comb
from typing import TYPE_CHECKING, Any, TypeVar

from haydi.basic import Map, Set
from haydi.domains.domain import POOL_SIZE_MAX, Domain
from haydi.domains.join import Join
from haydi.domains.transformed import FilteredDomain
from haydi.errors import ArgumentValueError, SkippedStepError
from haydi.order import sort_key
from haydi.symmetry.canon import canonize
from haydi.symmetry.counting import Terms
from haydi.symmetry.effective import usets_of
from haydi.symmetry.layout import require_strict
from haydi.symmetry.renaming import rename
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
    powers,
    size_polynomial,
)

if TYPE_CHECKING:
    from random import Random

__all__ = ["UniformClasses", "draw_fixed"]

T = TypeVar("T")

#: Cycle types whose tables are kept.
_KEPT_MAX = 256

#: Draws of an item until one is on a cycle of the right length.
_DRAWS_MAX = 100_000


class UniformClasses(Domain[T]):
    """The canonical forms of a strict domain, to draw from: each class with the same probability.

    Args:
        domain: A strict domain; filters are allowed at the top only.

    Raises:
        ArgumentValueError: The domain is not strict, a part inside of it is filtered, or there are too many
            cycle types.

    >>> from random import Random
    >>> from haydi.domains import Subsets, USet
    >>> n = USet(4, "n")
    >>> graphs = UniformClasses(Subsets(Subsets(n, 2)))
    >>> graphs.size, graphs.generate_one(Random(1))
    (11, {{n0, n1}, {n0, n2}, {n0, n3}, {n1, n2}, {n1, n3}, {n2, n3}})
    """

    strict = False
    _previewable = False

    def __init__(self, domain: Domain[T]) -> None:
        super().__init__()
        require_strict(domain, "generate_cnf")
        self._domain = domain
        self._filters = []
        while isinstance(domain, FilteredDomain):
            self._filters.append(domain.function)
            domain = domain.domain
        self._base: Domain[Any] = domain
        self._joined = isinstance(domain, Join) and bool(usets_of(domain))
        if self._joined:
            self._parts = tuple(UniformClasses(part) for part in domain._parts)
        elif usets_of(domain):
            assert self._terms is not None  # what cannot be counted is told at the call

    @property
    def filtered(self) -> bool:
        return bool(self._filters) or self._parts_filtered

    @cached_property
    def _terms(self) -> Terms:
        return Terms(self._base)

    @cached_property
    def _types(self) -> tuple[list[tuple[Cycles, ...]], list[int]]:
        """The cycle types, and running sums of the numbers of pairs."""
        types: list[tuple[Cycles, ...]] = []
        weights: list[int] = []
        for g, number in self._terms:
            weight = number * self._terms.species.fixed(g)
            if weight:
                types.append(tuple(g.cycles.values()))
                weights.append(weight)
        return types, list(accumulate(weights, initial=0))

    @cached_property
    def size(self) -> int:
        if self._joined:
            return sum(part._known_size() for part in self._parts)
        if not usets_of(self._base):
            return self._base._known_size()
        return self._types[1][-1] // self._terms.group_order

    @cached_property
    def _kept(self) -> dict[int, Fixpoints]:
        return {}

    def _generate_one(self, rng: Random) -> T:
        element: T = self._unfiltered(rng)
        if not all(accepts(element) for accepts in reversed(self._filters)):
            raise SkippedStepError("rejected by a filter")
        return element

    def _unfiltered(self, rng: Random) -> Any:
        if self._joined:
            ends = list(accumulate((part._known_size() for part in self._parts), initial=0))
            return self._parts[bisect_right(ends, rng.randrange(ends[-1])) - 1]._generate_one(rng)
        if not usets_of(self._base):
            return self._base._at(rng.randrange(self.size))
        types, ends = self._types
        number = bisect_right(ends, rng.randrange(ends[-1])) - 1
        g = self._kept.get(number)
        if g is None:
            if len(self._kept) >= _KEPT_MAX:
                self._kept.clear()
            cycles = dict(zip(self._terms.sizes, types[number], strict=True))
            g = self._kept[number] = Fixpoints(cycles)
        return canonize(draw_fixed(self._terms.species, g, 1, rng))

    def _repr_args(self) -> str:
        return f"of {self._domain!r}"


def draw_fixed(species: Species, g: Fixpoints, k: int, rng: Random) -> Any:
    """A random element that ``g.renaming(k)`` fixes, all of them alike; there must be one.

    Args:
        species: The elements.
        g: The cycle type.
        k: The power.
        rng: The source of randomness.
    """
    if isinstance(species, Atoms):
        return _draw_atom(species, g, k, rng)
    if isinstance(species, Listed):
        if species.moved and k % g.order:
            return rng.choice(species.stays(g, k))
        return species.elements[rng.randrange(species.size)]
    if isinstance(species, Tuples):
        return species.make(tuple([draw_fixed(part, g, k, rng) for part in species.parts]))
    if isinstance(species, Words):
        return _draw_word(species, g, k, rng)
    if isinstance(species, Either):
        ends = list(accumulate((part.fixed(g, k) for part in species.parts), initial=0))
        return draw_fixed(species.parts[bisect_right(ends, rng.randrange(ends[-1])) - 1], g, k, rng)
    if isinstance(species, Maps):
        return _draw_map(species, g, k, rng)
    if isinstance(species, Sets):
        return _draw_set(species, g, k, rng)
    assert isinstance(species, Orders)
    items = list(species.domain)
    return tuple(rng.sample(items, len(items)))


def _draw_atom(species: Atoms, g: Fixpoints, k: int, rng: Random) -> Any:
    left = rng.randrange(species.fixed(g, k))
    start = 0
    for length, number in g.cycles[species.uset].items():
        if k % length == 0:
            if left < length * number:
                return species.uset[start + left]
            left -= length * number
        start += length * number
    raise AssertionError("fewer atoms than were counted")


def _draw_word(species: Words, g: Fixpoints, k: int, rng: Random) -> tuple[Any, ...]:
    letters = species.parts[0].fixed(g, k)
    left = rng.randrange(species.fixed(g, k))
    # Nearly all words are long.
    for length in reversed(species.lengths):
        if left < letters**length:
            return tuple([draw_fixed(species.parts[0], g, k, rng) for _ in range(length)])
        left -= letters**length
    raise AssertionError("fewer words than were counted")


def _draw_map(species: Maps, g: Fixpoints, k: int, rng: Random) -> Map[Any, Any]:
    renaming = g.renaming(k)
    pairs: list[tuple[Any, Any]] = []
    for cycles in _cycles_of(species, species.key_list, g, k).values():
        for cycle in cycles:
            value = draw_fixed(species.parts[1], g, k * len(cycle), rng)
            for key in cycle:
                pairs.append((key, value))
                value = rename(value, renaming)
    return Map(pairs)


def _draw_set(species: Sets, g: Fixpoints, k: int, rng: Random) -> Set[Any]:
    items = species.items(g)
    last = min(species.sizes[-1], items)
    if species.sizes[0] == 0 and last == items:
        cycles = _cycles_of(species, species.domain, g, k)
        return Set(
            [item for same in cycles.values() for cycle in same if rng.getrandbits(1) for item in cycle]
        )
    lengths = sorted(powers(species.parts[0].cycles(g), k, last).items())
    ways = _ways(lengths, last, items)
    ends = list(accumulate(ways[0][species.sizes[0] :], initial=0))
    left = species.sizes[0] + bisect_right(ends, rng.randrange(ends[-1])) - 1
    chosen: list[Any] = []
    for (length, number), rest in zip(lengths, ways[1:], strict=True):
        most = min(number, left // length)
        ends = list(
            accumulate((comb(number, j) * rest[left - j * length] for j in range(most + 1)), initial=0)
        )
        count = bisect_right(ends, rng.randrange(ends[-1])) - 1
        if count:
            chosen.extend(_draw_cycles(species, g, k, length, count, rng))
        left -= count * length
    return Set(chosen)


def _ways(lengths: list[tuple[int, int]], last: int, items: int) -> list[list[int]]:
    """For each tail of the lengths: in how many ways its cycles give a Set of each size."""
    width = (comb(items, min(last, items // 2)).bit_length() // 8 + 1) * 8
    found: list[list[int]] = []
    for i in range(len(lengths) + 1):
        counts = coefficients(size_polynomial(dict(lengths[i:]), last, width), width)
        found.append(counts + [0] * (last + 1 - len(counts)))
    return found


def _draw_cycles(species: Sets, g: Fixpoints, k: int, length: int, count: int, rng: Random) -> Iterator[Any]:
    """The items of so many random cycles of one length."""
    if species.domain._known_size() <= POOL_SIZE_MAX:
        for cycle in rng.sample(_cycles_of(species, species.domain, g, k)[length], count):
            yield from cycle
        return
    # Items that come back after so many turns, and not before; too many to be listed.
    renaming = g.renaming(k)
    seen: set[Any] = set()
    for _ in range(_DRAWS_MAX):
        if not count:
            return
        first = draw_fixed(species.parts[0], g, k * length, rng)
        cycle = [first]
        while len(cycle) <= length and sort_key(following := rename(cycle[-1], renaming)) != sort_key(first):
            cycle.append(following)
        if len(cycle) == length and sort_key(first) not in seen:
            seen.update(map(sort_key, cycle))
            count -= 1
            yield from cycle
    raise ArgumentValueError(
        f"items of {species.domain!r} that return after {length} turns are too rare to be found by drawing; "
        f"use a domain of at most {POOL_SIZE_MAX} items"
    )


def _cycles_of(species: Species, elements: Any, g: Fixpoints, k: int) -> dict[int, list[list[Any]]]:
    """The cycles of ``g.renaming(k)`` on elements, by length."""
    kept = g.cycles_listed
    key = (species, k % g.order)
    if key not in kept:
        renaming = g.renaming(k)
        found: dict[int, list[list[Any]]] = {}
        seen: set[Any] = set()
        for element in elements:
            if sort_key(element) in seen:
                continue
            cycle = [element]
            while sort_key(following := rename(cycle[-1], renaming)) != sort_key(element):
                cycle.append(following)
            seen.update(map(sort_key, cycle))
            found.setdefault(len(cycle), []).append(cycle)
        kept[key] = found
    return kept[key]
