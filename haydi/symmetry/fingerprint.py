"""What isomorphic objects have in common, and most others do not: colours of atoms, refined a few times.

The colour of an atom is a number that depends only on how the object looks from the atom, never on names. At
first it is its USet; then, round by round, the looks of all entries that it is in, with the colours of all other
atoms there. Objects with different colours are not isomorphic; for those with the same nothing is said. Numbers
are hashes, and where two of them happen to be equal less is told, not something wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from haydi.symmetry.words import Bag, Entry, Text, Word

__all__ = ["fingerprint"]

#: Rounds; from the third on hardly any random object has atoms that could still be told apart.
_ROUNDS = 3


def fingerprint(text: Text) -> tuple[Any, ...]:
    """Equal for isomorphic objects of one signature.

    >>> from haydi.basic import Set
    >>> from haydi.domains import USet
    >>> a, b, c = USet(3, "a")
    >>> path, other, fork = Set([(a, b), (b, c)]), Set([(c, a), (b, c)]), Set([(a, b), (a, c)])
    >>> prints = [fingerprint(Text(x)) for x in (path, other, fork)]
    >>> prints[0] == prints[1], prints[0] == prints[2]
    (True, False)
    """
    count = len(text.atoms)
    colours = [run.start for run in text.runs for _ in run] + list(range(count, text.numbers_count))
    bags = [part for part in text.word.parts if isinstance(part, Bag)]
    for _ in range(_ROUNDS):
        seen = [0] * count
        for number, bag in enumerate(bags):
            for entry in bag.entries:
                look = number, _look_of_entry(entry, colours)
                for atom in {*entry.key.atoms, *entry.value.atoms}:
                    seen[atom] += hash((look, *_roles(entry, atom)))
        colours[:count] = [hash(pair) for pair in zip(colours, seen, strict=False)]
    return (_look(text.word, colours), *sorted(colours[:count]))


def _look(word: Word, colours: Sequence[int]) -> int:
    return hash(
        tuple(
            [
                colours[part]
                if isinstance(part, int)
                else hash(tuple(sorted([_look_of_entry(entry, colours) for entry in part.entries])))
                for part in word.parts
            ]
        )
    )


def _look_of_entry(entry: Entry, colours: Sequence[int]) -> int:
    return hash((_look(entry.key, colours), _look(entry.value, colours)))


def _roles(entry: Entry, atom: int) -> tuple[bool, ...]:
    """Where in an entry an atom is, as far as that is seen from outside."""
    return tuple([part == atom for word in (entry.key, entry.value) for part in word.parts])
