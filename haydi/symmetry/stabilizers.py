"""A chain of stabilizers from generators, when the order of the group is known.

A *base* is a list of points such that only the identity holds all of them fixed. The chain has for each base
point its orbit when all earlier points are held fixed, and for each point of the orbit a permutation that takes
the base point there. To *sift* a permutation is to undo it level by level with these; where its image is not in
the orbit, what is left of it is a new generator of this level and those before (O. Schreier; C. C. Sims,
*Computation with permutation groups*, 1971).

Random products of the generators are sifted until the orbits have the product that the order of the group
asks for. Chance decides only how long this takes: at most half of all elements are in a proper subgroup, so
each has an even chance to be of use. The random numbers are always the same, and so is the chain.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from math import prod
from typing import Final

__all__ = ["stabilizer_orbits"]

#: Elements that random products are made of, at least.
_POOL: Final = 10

Permutation = tuple[int, ...]


def stabilizer_orbits(
    base: Sequence[int], generators: Iterable[Sequence[int]], order: int
) -> list[tuple[int, ...]]:
    """The orbit of each base point under the stabilizer of those before.

    Args:
        base: Points that no element but the identity holds all fixed.
        generators: Permutations that generate the group, as the image of each point.
        order: The order of the group.

    >>> stabilizer_orbits([0, 1], [(1, 2, 3, 0), (0, 3, 2, 1)], 8)
    [(0, 1, 2, 3), (1, 3)]
    """
    chain = [_Level(point) for point in base]
    given = [tuple(images) for images in generators]
    for element in given:
        _sift(chain, element)
    pool = given * (1 + _POOL // max(len(given), 1))
    rng = random.Random(1971)
    while prod(len(level.ways) for level in chain) < order:
        # Product replacement: the pool goes on generating the group.
        i, j = rng.sample(range(len(pool)), 2)
        pool[i] = _then(pool[i], pool[j] if rng.random() < 0.5 else _inverse(pool[j]))
        _sift(chain, pool[i])
    orbits = [tuple(sorted(level.ways)) for level in chain]
    assert prod(map(len, orbits)) == order, "the generators are of a larger group"
    return orbits


class _Level:
    """A base point, generators that fix all earlier ones, and ways to the points of its orbit."""

    def __init__(self, point: int) -> None:
        self.point = point
        self.generators: list[Permutation] = []
        self.ways: dict[int, Permutation | None] = {point: None}

    def add(self, element: Permutation) -> None:
        """One more generator; the orbit grows."""
        self.generators.append(element)
        fresh = self._step(list(self.ways), [element])
        while fresh:
            fresh = self._step(fresh, self.generators)

    def _step(self, points: list[int], elements: list[Permutation]) -> list[int]:
        found: list[int] = []
        for point in points:
            for element in elements:
                if element[point] not in self.ways:
                    way = self.ways[point]
                    self.ways[element[point]] = element if way is None else _then(way, element)
                    found.append(element[point])
        return found


def _sift(chain: list[_Level], element: Permutation) -> None:
    for i, level in enumerate(chain):
        image = element[level.point]
        if image not in level.ways:
            for earlier in chain[: i + 1]:
                earlier.add(element)
            return
        way = level.ways[image]
        if way is not None:
            element = _then(element, _inverse(way))


def _then(one: Permutation, other: Permutation) -> Permutation:
    return tuple([other[image] for image in one])


def _inverse(element: Permutation) -> Permutation:
    images = [0] * len(element)
    for point, image in enumerate(element):
        images[image] = point
    return tuple(images)
