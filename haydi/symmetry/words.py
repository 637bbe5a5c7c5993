"""An object as words: what a search for its least image reads.

The order of basic objects is the lexicographic order of *words*. The word of an atom is one number, its
place; that of a tuple is a number for "tuple of this length" and then the words of its items; that of a Set
or Map says the same and goes on with the words of its items in increasing order. No word is the beginning
of another, so comparing words compares objects. What is not known before the atoms have their names is the
order in the Sets and Maps: there the word of an unnamed object has a *bag* of entries instead.

All numbers of one object are small ints: the atoms that occur come first, by USet and index; the *literals*
(everything else) follow in the order of :mod:`haydi.order`. Atoms that do not occur play no part: the least
image of an object has no gaps, so it is an object over as many atoms as there are.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import groupby
from typing import Any, Union

from haydi.basic import Atom, Map, Set
from haydi.order import SortKey, sort_key
from haydi.symmetry.renaming import atoms_of

__all__ = ["Bag", "Entry", "Text", "Word", "frozen"]

Part = Union[int, "Bag"]


class Word:
    """The word of an object, before atoms have names.

    Attributes:
        parts: Atoms, literals and bags.
        atoms: The atoms inside, each once.
        flat: Whether there are no bags.
        choice: The atoms of the bag, when ``parts`` is literals and then one bag of nothing but atoms.
        pair: Two atoms, when ``parts`` is literals and then these.
        lead: In these two cases, the literals.
    """

    __slots__ = ("atoms", "choice", "flat", "lead", "pair", "parts")

    def __init__(self, parts: tuple[Part, ...], atoms_count: int) -> None:
        self.parts = parts
        bags = [part for part in parts if isinstance(part, Bag)]
        self.flat = not bags
        self.atoms: tuple[int, ...]
        found = {part for part in parts if isinstance(part, int) and part < atoms_count}
        self.choice: tuple[int, ...] | None = None
        self.pair: tuple[int, int] | None = None
        self.lead: list[int] = []
        ends = [part for part in parts[-2:] if isinstance(part, int) and part < atoms_count]
        if self.flat and len(ends) == 2 and found == set(ends) and found.isdisjoint(parts[:-2]):
            self.lead = [part for part in parts[:-2] if isinstance(part, int)]
            self.pair = (ends[0], ends[1])
        if len(bags) == 1 and not found and isinstance(parts[-1], Bag):
            self.lead = [part for part in parts if isinstance(part, int)]
            self.choice = bags[0].plain_atoms(atoms_count)
        for bag in bags:
            for entry in bag.entries:
                found.update(entry.key.atoms, entry.value.atoms)
        self.atoms = tuple(sorted(found))


class Entry:
    """An item of a Set, or a key of a Map and its value (which has no parts in a Set)."""

    __slots__ = ("key", "value")

    def __init__(self, key: Word, value: Word) -> None:
        self.key = key
        self.value = value


class Bag:
    """The entries of a Set or Map, in any order."""

    __slots__ = ("entries",)

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self.entries = entries

    def plain_atoms(self, atoms_count: int) -> tuple[int, ...] | None:
        """The entries, if all of them are bare atoms."""
        found: list[int] = []
        for entry in self.entries:
            parts = entry.key.parts
            if len(parts) != 1 or entry.value.parts or not isinstance(parts[0], int):
                return None
            if parts[0] >= atoms_count:
                return None
            found.append(parts[0])
        return tuple(found)


class Text:
    """An object with its atoms numbered.

    Args:
        value: A basic object.

    Attributes:
        atoms: The atoms that occur, in order; the number of an atom is its position here.
        runs: For each USet the range of numbers of its atoms.
        word: The word of the object.

    Raises:
        ArgumentTypeError: ``value`` is no basic object.
    """

    def __init__(self, value: Any) -> None:
        self.atoms: tuple[Atom, ...] = tuple(sorted(set(atoms_of(value)), key=sort_key))
        self.runs: list[range] = []
        for _, run in groupby(self.atoms, key=lambda atom: sort_key(atom)[1:3]):
            start = self.runs[-1].stop if self.runs else 0
            self.runs.append(range(start, start + len(list(run))))
        self._numbers: dict[object, int] = {atom: i for i, atom in enumerate(self.atoms)}
        literals: set[SortKey] = set()
        _collect(value, literals)
        count = len(self.atoms)
        self._literals = {literal: count + i for i, literal in enumerate(sorted(literals))}
        self._empty = Word((), count)
        self.word = self._word(value)

    @property
    def numbers_count(self) -> int:
        """How many numbers words are made of: atoms and literals."""
        return len(self.atoms) + len(self._literals)

    @property
    def signature(self) -> tuple[Any, ...]:
        """What isomorphic objects have in common at first sight: atoms of each USet, and literals."""
        kinds = [(sort_key(self.atoms[run.start])[1:3], len(run)) for run in self.runs]
        return (kinds, *self._literals)

    def targets(self) -> list[Atom]:
        """The first atoms of each USet, as many as occur: what the atoms of the least image are."""
        found: list[Atom] = []
        for run in self.runs:
            parent = self.atoms[run.start].parent
            found.extend(Atom(i, parent) for i in range(len(run)))
        return found

    def _word(self, value: Any) -> Word:
        parts: list[Part] = []
        self._write(value, parts)
        return Word(tuple(parts), len(self.atoms))

    def _write(self, value: Any, parts: list[Part]) -> None:
        kind = type(value)
        if kind is Atom:
            parts.append(self._numbers[value])
            return
        parts.append(self._literals[_literal(value)])
        if kind is Set:
            parts.append(Bag(tuple(Entry(self._word(item), self._empty) for item in value)))
        elif kind is Map:
            parts.append(Bag(tuple(Entry(self._word(k), self._word(v)) for k, v in value.items())))
        elif isinstance(value, tuple):
            for item in value:
                self._write(item, parts)


def _literal(value: Any) -> SortKey:
    """What stands in a word for an object without its items."""
    kind = type(value)
    if kind is Set:
        return (5, len(value))
    if kind is Map:
        return (4, len(value))
    if isinstance(value, tuple):
        return (3, len(value))
    return sort_key(value)


def _collect(value: Any, literals: set[SortKey]) -> None:
    kind = type(value)
    if kind is Atom:
        return
    literals.add(_literal(value))
    if kind is Map:
        for key, item in value.items():
            _collect(key, literals)
            _collect(item, literals)
    elif kind is Set or isinstance(value, tuple):
        for item in value:
            _collect(item, literals)


def frozen(word: Word, names: Sequence[int]) -> Hashable:
    """Something hashable that is the same for equal objects, with the atoms renamed.

    Args:
        word: The word of an object.
        names: The new number of each number, literals included.
    """
    if word.flat:
        return tuple([names[part] for part in word.parts])  # type: ignore[index]
    if word.choice is not None:
        return (*word.lead, frozenset([names[atom] for atom in word.choice]))
    return tuple(
        names[part]
        if isinstance(part, int)
        else frozenset((frozen(entry.key, names), frozen(entry.value, names)) for entry in part.entries)
        for part in word.parts
    )
