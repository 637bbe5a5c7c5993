"""Twins: atoms that can be swapped without anything else changing.

They are the most frequent automorphisms, and cheap to find: only entries of Sets and Maps with one of the two
atoms inside are touched by the swap. "To be twins" is an equivalence, so each atom is compared with one atom
of each class, and the swaps of neighbours in a class generate all its permutations.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import chain

from haydi.symmetry.words import Bag, Entry, Text, Word, frozen

__all__ = ["twins"]


def twins(text: Text) -> list[list[int]]:
    """Swaps of twins, as the image of each atom; they generate all permutations of twins.

    Args:
        text: An object.

    >>> from haydi.basic import Set
    >>> from haydi.domains import USet
    >>> a, b, c, d = USet(4, "a")
    >>> twins(Text(Set([(a, b), (a, c), (d, d)])))
    [[0, 2, 1, 3]]
    """
    return _Twins(text).swaps()


class _Twins:
    """Entries of the outermost Sets and Maps of an object, by the atoms inside."""

    def __init__(self, text: Text) -> None:
        self._text = text
        count = len(text.atoms)
        self._names = list(range(max(count, 1 + max(_numbers_in(text.word), default=0))))
        self._alone = {part for part in text.word.parts if isinstance(part, int)}
        self._inside: list[list[tuple[int, Entry]]] = [[] for _ in range(count)]
        self._bags: list[frozenset[Hashable]] = []
        marks: list[list[tuple[int, ...]]] = [[] for _ in range(count)]
        for bag in (part for part in text.word.parts if isinstance(part, Bag)):
            number = len(self._bags)
            self._bags.append(frozenset(self._frozen(entry) for entry in bag.entries))
            for entry in bag.entries:
                keys, values = set(entry.key.atoms), set(entry.value.atoms)
                for atom in keys | values:
                    self._inside[atom].append((number, entry))
                    marks[atom].append((number, len(keys), len(values), atom in keys, atom in values))
        # What the entries around an atom look like from afar; twins agree in that.
        self._marks = [tuple(sorted(mark)) for mark in marks]

    def _frozen(self, entry: Entry) -> Hashable:
        return frozen(entry.key, self._names), frozen(entry.value, self._names)

    def swaps(self) -> list[list[int]]:
        found: list[list[int]] = []
        for run in self._text.runs:
            latest: list[int] = []  # of each class
            for b in run:
                if b in self._alone:
                    continue
                at = next((i for i, a in enumerate(latest) if self._are_twins(a, b)), None)
                if at is None:
                    latest.append(b)
                    continue
                swap = list(range(len(self._text.atoms)))
                swap[latest[at]], swap[b] = b, latest[at]
                found.append(swap)
                latest[at] = b
        return found

    def _are_twins(self, a: int, b: int) -> bool:
        if self._marks[a] != self._marks[b]:
            return False
        names = self._names
        names[a], names[b] = b, a
        same = all(
            self._frozen(entry) in self._bags[n] for n, entry in chain(self._inside[a], self._inside[b])
        )
        names[a], names[b] = a, b
        return same


def _numbers_in(word: Word) -> Iterator[int]:
    for part in word.parts:
        if isinstance(part, int):
            yield part
        else:
            for entry in part.entries:
                yield from _numbers_in(entry.key)
                yield from _numbers_in(entry.value)
