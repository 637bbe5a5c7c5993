"""Ordered partitions of atoms, and orbits.

An ordered partition stands for many renamings at once: each *cell* of atoms owns a run of places, as many as
it has atoms, and inside of a cell every bijection is possible. A partition is never changed, only refined
into a new one, so that a search can come back to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["Cells", "Orbits"]


class Cells:
    """An ordered partition of the atoms.

    Attributes:
        first: For each atom the first place of its cell.
        members: The atoms of each cell, by its first place.
    """

    __slots__ = ("first", "members")

    def __init__(self, first: list[int], members: dict[int, tuple[int, ...]]) -> None:
        self.first = first
        self.members = members

    def place(self, atom: int) -> Cells:
        """The atom in the first place of its cell."""
        start = self.first[atom]
        others = tuple([one for one in self.members[start] if one != atom])
        return self.split(start, ((atom,), others)) if others else self

    def split(self, start: int, groups: Iterable[tuple[int, ...]]) -> Cells:
        """One cell cut into groups, in their order; empty ones are left out."""
        first, members = self.first.copy(), self.members.copy()
        for group in groups:
            if group:
                members[start] = group
                for atom in group:
                    first[atom] = start
                start += len(group)
        return Cells(first, members)

    def loose(self, atom: int) -> bool:
        """Whether the atom shares its cell with others."""
        return len(self.members[self.first[atom]]) > 1

    def places(self) -> list[int]:
        """One of the bijections: the place of each atom."""
        found = [0] * len(self.first)
        for start, group in self.members.items():
            for i, atom in enumerate(group):
                found[atom] = start + i
        return found


class Orbits:
    """What automorphisms that keep the cells of a partition join together (a union-find structure).

    Args:
        cells: The partition.
    """

    __slots__ = ("_first", "_known", "_root")

    def __init__(self, cells: Cells) -> None:
        self._first = cells.first
        self._root = list(range(len(cells.first)))
        self._known = 0

    def join(self, automorphisms: Sequence[Sequence[int]]) -> None:
        """Take notice of those automorphisms that are new since the last time, and keep the cells."""
        first = self._first
        for images in automorphisms[self._known :]:
            if all(first[atom] == first[image] for atom, image in enumerate(images)):
                for atom, image in enumerate(images):
                    if atom != image:
                        self._root[self._find(atom)] = self._find(image)
        self._known = len(automorphisms)

    def same(self, one: int, other: int) -> bool:
        """Whether two atoms are in one orbit."""
        return self._find(one) == self._find(other)

    def of(self, atom: int) -> tuple[int, ...]:
        """The orbit of an atom."""
        return tuple(one for one in range(len(self._root)) if self.same(one, atom))

    def _find(self, atom: int) -> int:
        root = self._root
        while root[atom] != atom:
            root[atom] = root[root[atom]]
            atom = root[atom]
        return atom
