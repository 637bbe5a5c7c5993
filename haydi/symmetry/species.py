"""How many elements of a strict domain a renaming leaves as they are, without looking at any element.

Take a renaming ``g`` of the atoms. It permutes the elements of a strict domain, and all that matters here is
how the domain is built and the *cycle type* of ``g``, that is, how many cycles of which lengths it has on the
atoms of each ``USet``. Two numbers carry each other upwards through the composition:

* ``fixed(g, k)``: how many elements are fixed by the power ``g**k``;
* ``cycles(g)``: how many cycles of which lengths ``g`` has on the elements. An element lies on a cycle whose
  length divides ``k`` exactly when ``g**k`` fixes it, so the one follows from the other by Moebius inversion.

A tuple is fixed when each part is; a Map, when along each cycle of keys of length ``L`` the values are the
turns of one value that ``g**L`` fixes; a Set, when it is a union of cycles of items. In ``g**k`` a cycle of
length ``L`` falls into ``gcd(L, k)`` cycles, so cycles need to be found for ``g`` itself alone.

Polynomials in the size of a Set are kept as one big int, the coefficients side by side in ``width`` bits each
(Kronecker's substitution), so that to multiply by ``1 + x**L`` is a shift and an addition.

The name is that of the theory: F. Bergeron, G. Labelle, P. Leroux, *Combinatorial Species and Tree-like
Structures* (1998).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, reduce
from itertools import product
from math import comb, factorial, gcd, lcm, prod
from typing import Any

from haydi.basic import Atom
from haydi.domains.domain import Domain
from haydi.domains.elementary import USet
from haydi.order import sort_key
from haydi.symmetry.renaming import rename

__all__ = [
    "Atoms",
    "Cycles",
    "Either",
    "Fixpoints",
    "Listed",
    "Maps",
    "Orders",
    "Sets",
    "Species",
    "Tuples",
    "Words",
    "cycle_types",
    "divisors",
    "powers",
    "size_polynomial",
]

#: How many cycles there are of each length.
Cycles = dict[int, int]


def cycle_types(size: int) -> Iterator[tuple[Cycles, int]]:
    """The cycle types of the permutations of a set, each with the number of permutations that have it.

    >>> [(dict(cycles), number) for cycles, number in cycle_types(3)]
    [({3: 1}, 2), ({2: 1, 1: 1}, 3), ({1: 3}, 1)]
    """
    whole = factorial(size)
    for parts in _partitions(size, size):
        yield dict(parts), whole // prod(length**number * factorial(number) for length, number in parts)


def _partitions(total: int, largest: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """Partitions of an int as pairs of part and multiplicity, large parts first."""
    if total == 0:
        yield ()
        return
    for part in range(min(total, largest), 0, -1):
        if part == 1:
            yield ((1, total),)
            return
        for number in range(total // part, 0, -1):
            for rest in _partitions(total - part * number, part - 1):
                yield ((part, number), *rest)


def divisors(numbers: Iterable[int]) -> set[int]:
    """All divisors of some numbers.

    >>> sorted(divisors((4, 6)))
    [1, 2, 3, 4, 6]
    """
    found: set[int] = set()
    for number in set(numbers):
        if number not in found:
            small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
            found.update(small, (number // d for d in small))
    return found


def powers(cycles: Cycles, k: int, longest: int | None = None) -> Cycles:
    """The cycles of the ``k``-th power; those longer than ``longest`` left out.

    >>> powers({6: 1, 1: 2}, 4)
    {3: 2, 1: 2}
    """
    found: Cycles = {}
    for length, number in cycles.items():
        pieces = gcd(length, k)
        short = length // pieces
        if longest is None or short <= longest:
            found[short] = found.get(short, 0) + number * pieces
    return found


def size_polynomial(cycles: Cycles, size_max: int, width: int) -> int:
    """The product of ``(1 + x**L)**c`` up to ``x**size_max``, its coefficients in ``width`` bits each.

    >>> hex(size_polynomial({1: 2, 2: 1}, 4, 8))
    '0x102020201'
    """
    mask = (1 << width * (size_max + 1)) - 1
    polynomial = 1
    for length, number in cycles.items():
        if length > size_max:
            continue
        if number <= 64 or number <= 2 * size_max // length:
            for _ in range(number):
                polynomial += polynomial << width * length
                polynomial &= mask
        else:
            terms = range(min(number, size_max // length) + 1)
            polynomial *= sum(comb(number, j) << width * length * j for j in terms)
            polynomial &= mask
    return polynomial


class Fixpoints:
    """One cycle type, and what has been found out for it.

    Args:
        cycles: The cycles on the atoms of each USet.

    Attributes:
        cycles: As given.
        order: The least power that is the identity.
    """

    def __init__(self, cycles: dict[USet, Cycles]) -> None:
        self.cycles = cycles
        self.order = lcm(*(length for lengths in cycles.values() for length in lengths))
        self.fixed_by: dict[tuple[Species, int], int] = {}
        self.cycles_on: dict[Species, Cycles] = {}
        self.cycles_listed: dict[tuple[Species, int], dict[int, list[list[Any]]]] = {}
        self._renamings: dict[int, dict[Atom, Atom]] = {}

    def renaming(self, k: int) -> dict[Atom, Atom]:
        """The ``k``-th power of one renaming of this type: that whose cycles are runs of atoms."""
        k %= self.order
        if k not in self._renamings:
            made: dict[Atom, Atom] = {}
            for uset, cycles in self.cycles.items():
                start = 0
                for length, number in cycles.items():
                    for _ in range(number):
                        for i in range(length):
                            made[uset[start + i]] = uset[start + (i + k) % length]
                        start += length
            self._renamings[k] = made
        return self._renamings[k]


class Species(ABC):
    """The elements of a strict domain, as renamings see them.

    Attributes:
        parts: The species it is made of.
    """

    parts: tuple[Species, ...] = ()

    def fixed(self, g: Fixpoints, k: int = 1) -> int:
        """How many elements the ``k``-th power of ``g`` fixes."""
        key = (self, gcd(k, g.order))
        known = g.fixed_by.get(key)
        if known is None:
            known = g.fixed_by[key] = self._fixed(g, key[1])
        return known

    def cycles(self, g: Fixpoints) -> Cycles:
        """How many cycles ``g`` has on the elements, by length."""
        known = g.cycles_on.get(self)
        if known is None:
            # Elements whose least period is n: those fixed by the n-th power, but by no power that divides
            # it.
            exact: Cycles = {}
            for n in sorted(divisors(self._periods(g))):
                number = self.fixed(g, n) - sum(exact[d] for d in exact if n % d == 0)
                if number:
                    exact[n] = number
            known = g.cycles_on[self] = {n: number // n for n, number in exact.items()}
        return known

    @abstractmethod
    def _fixed(self, g: Fixpoints, k: int) -> int: ...

    def _periods(self, g: Fixpoints) -> set[int]:
        """Lengths among which, or among whose divisors, all lengths of cycles are."""
        return {g.order}


class Atoms(Species):
    """The atoms of a USet."""

    def __init__(self, uset: USet) -> None:
        self.uset = uset

    def cycles(self, g: Fixpoints) -> Cycles:
        return g.cycles[self.uset]

    def _fixed(self, g: Fixpoints, k: int) -> int:
        return sum(length * number for length, number in g.cycles[self.uset].items() if k % length == 0)

    def _periods(self, g: Fixpoints) -> set[int]:
        return set(g.cycles[self.uset])


class Listed(Species):
    """Elements that are at hand, or that no renaming moves.

    Args:
        elements: The elements, each once.
        moved: Whether renamings move any of them.
        size: Number of elements.
    """

    def __init__(self, elements: Domain[Any] | Sequence[Any], moved: bool, size: int) -> None:
        self.elements = elements
        self.moved = moved
        self.size = size

    def stays(self, g: Fixpoints, k: int) -> list[Any]:
        """The elements that ``g**k`` fixes."""
        renaming = g.renaming(k)
        return [one for one in self.elements if sort_key(rename(one, renaming)) == sort_key(one)]

    def _fixed(self, g: Fixpoints, k: int) -> int:
        return len(self.stays(g, k)) if self.moved and k % g.order else self.size

    def _periods(self, g: Fixpoints) -> set[int]:
        return {g.order} if self.moved else {1}


class Tuples(Species):
    """Tuples with one element of each part.

    Args:
        parts: The parts.
        make: Makes the element of the tuple.
    """

    def __init__(self, parts: Iterable[Species], make: Callable[[tuple[Any, ...]], Any] = tuple) -> None:
        self.parts = tuple(parts)
        self.make = make

    def _fixed(self, g: Fixpoints, k: int) -> int:
        return prod(part.fixed(g, k) for part in self.parts)

    def _periods(self, g: Fixpoints) -> set[int]:
        periods = {1}
        for part in self.parts:
            periods = {lcm(*two) for two in product(periods, part._periods(g))}
        return periods


class Words(Species):
    """Tuples of elements of one part, of some lengths."""

    def __init__(self, part: Species, lengths: range) -> None:
        self.parts = (part,)
        self.lengths = lengths

    def _fixed(self, g: Fixpoints, k: int) -> int:
        letters = self.parts[0].fixed(g, k)
        if letters == 1:
            return len(self.lengths)
        # The geometric series; without letters it is 1 where the empty word is in it.
        return int((letters**self.lengths.stop - letters**self.lengths.start) // (letters - 1))

    def _periods(self, g: Fixpoints) -> set[int]:
        return _joint_periods(self.parts[0]._periods(g), self.lengths[-1])


class Either(Species):
    """The elements of all parts."""

    def __init__(self, parts: Iterable[Species]) -> None:
        self.parts = tuple(parts)

    def _fixed(self, g: Fixpoints, k: int) -> int:
        return sum(part.fixed(g, k) for part in self.parts)

    def _periods(self, g: Fixpoints) -> set[int]:
        return set[int]().union(*(part._periods(g) for part in self.parts))


class Maps(Species):
    """All Maps from the elements of one part, which must be few, to those of another."""

    def __init__(self, keys: Species, values: Species, domain: Domain[Any]) -> None:
        self.parts = (keys, values)
        self._domain = domain

    @cached_property
    def key_list(self) -> tuple[Any, ...]:
        """The keys, in the order of their domain."""
        return tuple(self._domain)

    def _fixed(self, g: Fixpoints, k: int) -> int:
        keys, values = self.parts
        turns = powers(keys.cycles(g), k)
        return prod(values.fixed(g, k * length) ** number for length, number in turns.items())


class Sets(Species):
    """Sets of elements of one part, of some sizes.

    Args:
        part: The items.
        sizes: The sizes.
        domain: The domain of the items.
    """

    def __init__(self, part: Species, sizes: range, domain: Domain[Any]) -> None:
        self.parts = (part,)
        self.sizes = sizes
        self.domain = domain

    def items(self, g: Fixpoints) -> int:
        """How many items there are."""
        return self.parts[0].fixed(g, g.order)

    def _fixed(self, g: Fixpoints, k: int) -> int:
        items = self.items(g)
        last = min(self.sizes[-1], items)
        if self.sizes[0] > last:
            return 0
        if self.sizes[0] == 0 and last == items:
            return 1 << sum(powers(self.parts[0].cycles(g), k).values())
        width = _binomial_bits(items, last)
        polynomial = size_polynomial(powers(self.parts[0].cycles(g), k, last), last, width)
        return sum(coefficients(polynomial, width)[self.sizes[0] :])

    def _periods(self, g: Fixpoints) -> set[int]:
        return _joint_periods(self.parts[0]._periods(g), self.sizes[-1])


class Orders(Species):
    """The tuples that hold each element of one part once."""

    def __init__(self, part: Species, domain: Domain[Any]) -> None:
        self.parts = (part,)
        self.domain = domain

    def _fixed(self, g: Fixpoints, k: int) -> int:
        # An order stays only when each of its items does.
        items = self.parts[0].fixed(g, g.order)
        return factorial(items) if self.parts[0].fixed(g, k) == items else 0


def coefficients(polynomial: int, width: int) -> list[int]:
    """The coefficients of a polynomial that is kept as one int.

    >>> coefficients(0x102020201, 8)
    [1, 2, 2, 2, 1]
    """
    size = -(-width // 8)
    if width % 8 == 0:
        data = polynomial.to_bytes(-(-polynomial.bit_length() // width) * size, "little")
        return [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data), size)]
    mask = (1 << width) - 1
    return [polynomial >> i & mask for i in range(0, polynomial.bit_length(), width)]


def _binomial_bits(items: int, size_max: int) -> int:
    """Bits that hold each coefficient of a polynomial of sizes, in whole bytes."""
    return -(-comb(items, min(size_max, items // 2)).bit_length() // 8) * 8


def _joint_periods(periods: set[int], number: int) -> set[int]:
    """What the least common multiples of so many periods can be."""
    found = {1} | periods
    for _ in range(min(number, 64) - 1):
        more = {lcm(a, b) for a in found for b in periods}
        if more <= found:
            return found
        found |= more
    return {reduce(lcm, periods, 1)} if number > 64 else found
