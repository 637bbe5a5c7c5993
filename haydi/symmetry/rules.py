"""Writing the least word as far as it needs no choice.

What is written so far is the beginning of the word of the least image (:mod:`haydi.symmetry.words`); the
renamings that begin so are an ordered partition of the atoms (:mod:`haydi.symmetry.partition`). Three rules
go on without loss:

* where the next part of the word is an atom, it takes the first place of its cell;
* where it is a bag, the entry with the least possible word comes first, when there is only one such entry;
* where several entries tie and each depends on one atom of the same cell alone, they take the places of this
  cell in a row, sorted by what is known of their values. The cell is split, and nobody has to say who of them
  is first. So the neighbours of a node are numbered without trying their orders.

Where none of these helps, the first of the entries that tie surely needs the first place of some cell; the
atoms that may take it are the choices. How the entries of a bag compare is found by writing each of them in
private, by the same rules, as far as they go: what is found so is the exact beginning of the least word that
the entry can have.
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple

from haydi.symmetry.partition import Cells
from haydi.symmetry.words import Bag, Entry, Part, Word

__all__ = ["Look", "Rules", "Todo", "push"]

#: Looks at entries with bags inside that are kept.
_LOOKS_MAX: Final = 1 << 16

#: What is still to be written: a linked list of parts.
Todo = tuple[Part, Any] | None


def push(word: Word, todo: Todo) -> Todo:
    """A word, and then what was to be written already."""
    for part in reversed(word.parts):
        todo = (part, todo)
    return todo


class Look(NamedTuple):
    """The beginning of the least word that an entry can have.

    Attributes:
        word: The beginning.
        whole: Whether it is the whole word.
        entry: The entry.
    """

    word: list[int]
    whole: bool
    entry: Entry


class _Row(NamedTuple):
    """Entries that take places in a row: what is written, the cells after it, and which entries these are."""

    cells: Cells
    word: list[int]
    taken: set[Entry]


class Rules:
    """The rules, for one object.

    Args:
        count: Number of its atoms.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._looks: dict[Any, tuple[list[int], bool]] = {}

    def step(self, cells: Cells, todo: Todo, out: list[int]) -> tuple[Cells, Todo, list[Look]]:
        """Write up to the next bag, and what can be said at once of that.

        Returns:
            The cells and what is to do, and, where nothing can be said, the entries that tie.
        """
        while todo is not None:
            part, rest = todo
            if isinstance(part, Bag):
                if part.entries:
                    return self._open(cells, part, rest, out)
            elif part < self._count:
                cells = cells.place(part)
                out.append(cells.first[part])
            else:
                out.append(part)
            todo = rest
        return cells, None, []

    def _open(self, cells: Cells, bag: Bag, rest: Todo, out: list[int]) -> tuple[Cells, Todo, list[Look]]:
        looks = [self._look(entry, cells) for entry in bag.entries]
        looks.sort(key=attrgetter("word"))
        i, end = 0, len(looks)
        while i < end:
            look = looks[i]
            stop = i + 1
            size = len(look.word)
            while stop < end and looks[stop].word[:size] == look.word:
                stop += 1
            if stop > i + 1:
                row = self._in_a_row(cells, looks[i:stop], looks[stop:])
                if row is None:
                    return cells, (Bag(tuple([one.entry for one in looks[i:]])), rest), looks[i:stop]
                out += row.word
                left = [one.entry for one in looks[i:] if one.entry not in row.taken]
                return row.cells, (Bag(tuple(left)), rest), []
            entry = look.entry
            if look.whole and not any(map(cells.loose, entry.key.atoms)):
                out += look.word
                if entry.value.flat and not any(map(cells.loose, entry.value.atoms)):
                    out += self._look_flat(entry.value, cells)
                    i = stop
                    continue
                todo = push(entry.value, (Bag(tuple([one.entry for one in looks[stop:]])), rest))
                return cells, todo, []
            todo = push(entry.value, (Bag(tuple([one.entry for one in looks[stop:]])), rest))
            return cells, push(entry.key, todo), []
        return cells, rest, []

    def _in_a_row(self, cells: Cells, tied: list[Look], others: list[Look]) -> _Row | None:
        """Entries that tie take the places of one cell in a row, if each depends on one atom of it alone.

        Of a Map, those entries come first whose values are known and less than what the others can have.
        """
        rows: list[tuple[list[int], int, Entry]] = []
        unknown: list[list[int]] = []
        starts = set()
        for look in tied:
            atom = self._lone(look, cells)
            if atom is None:
                return None
            starts.add(cells.first[atom])
            value = self._settled(look.entry.value, cells)
            if value is None:
                unknown.append(self._look_at(look.entry.value, cells)[0])
            else:
                rows.append((value, atom, look.entry))
        if unknown:
            least = min(unknown)
            rows = [row for row in rows if row[0] < least]
        if len(starts) != 1 or not rows:
            return None
        start = starts.pop()
        word = tied[0].word
        last = start + len(rows) - 1
        if others and others[0].word <= [last if n == start else n for n in word]:
            return None
        rows.sort(key=itemgetter(0))
        groups: list[tuple[int, ...]] = []
        out: list[int] = []
        place = start
        for _, equal in groupby(rows, key=itemgetter(0)):
            group: list[int] = []
            for value, atom, _ in equal:
                out += [place if n == start else n for n in word]
                out += value
                group.append(atom)
                place += 1
            groups.append(tuple(group))
        taken = {atom for group in groups for atom in group}
        rest = tuple([atom for atom in cells.members[start] if atom not in taken])
        return _Row(cells.split(start, (*groups, rest)), out, {entry for _, _, entry in rows})

    def _lone(self, look: Look, cells: Cells) -> int | None:
        """The one loose atom that decides about the word of an entry, if there is one."""
        if not look.whole:
            return None
        word = look.entry.key
        loose = [atom for atom in word.atoms if cells.loose(atom)]
        if len(loose) == 1:
            return loose[0]
        if word.flat:
            return None
        after = self._settle(word, cells)[1]
        if after is None or len(after.members) != len(cells.members) + 1:
            return None
        (start,) = (s for s in cells.members if len(after.members[s]) < len(cells.members[s]))
        # Others of the cell may be inside too, all alike; then the word changes its shape with the place.
        inside = range(start + 1, start + len(cells.members[start]))
        alone = len(after.members[start]) == 1 and not any(number in inside for number in look.word)
        return after.members[start][0] if alone else None

    def _settled(self, word: Word, cells: Cells) -> list[int] | None:
        """The word, if it is the same for all bijections."""
        if not any(map(cells.loose, word.atoms)):
            return self._look_at(word, cells)[0]
        if word.flat:
            return None
        out, after = self._settle(word, cells)
        return out if after is not None and len(after.members) == len(cells.members) else None

    def choices(self, cells: Cells, tied: list[Look]) -> list[int]:
        """Atoms for the first place of some cell that the first of the entries surely needs."""
        word = tied[0].word
        best: list[int] = []
        for place in dict.fromkeys(word):
            group = cells.members.get(place, ())
            if len(group) < 2:
                continue
            inside: set[int] = set()
            for look in tied:
                key = look.entry.key
                if key.flat:
                    inside.update(
                        part  # type: ignore[misc]
                        for part, number in zip(key.parts, word, strict=False)
                        if number == place
                    )
                else:
                    inside.update(key.atoms)
            choices = [atom for atom in reversed(group) if atom in inside]
            if not best or len(choices) < len(best):
                best = choices
        assert best, "entries that tie differ in an atom that is not placed yet"
        return best

    # ---- looking ahead -----------------------------------------------------------------------------------

    def _look(self, entry: Entry, cells: Cells) -> Look:
        return Look(*self._look_at(entry.key, cells), entry)

    def _look_at(self, word: Word, cells: Cells) -> tuple[list[int], bool]:
        """The beginning of the least word, and whether it is the whole."""
        if word.flat:
            return self._look_flat(word, cells), True
        if word.choice is not None:
            # Atoms of one cell take its first places.
            first = cells.first
            if len(word.choice) == 2:
                a, b = word.choice
                p, q = first[a], first[b]
                return [*word.lead, p, q] if p < q else [*word.lead, q, p + (p == q)], True
            places = sorted([first[atom] for atom in word.choice])
            for i in range(1, len(places)):
                if places[i] <= places[i - 1]:
                    places[i] = places[i - 1] + 1
            return word.lead + places, True
        # The least word depends on which atoms share a cell, and on the order of these cells.
        key = (id(word), *[cells.first[atom] for atom in word.atoms])
        known = self._looks.get(key)
        if known is None:
            if len(self._looks) >= _LOOKS_MAX:
                self._looks.clear()
            out, after = self._settle(word, cells)
            known = self._looks[key] = (out, after is not None)
        return known

    def _look_flat(self, word: Word, cells: Cells) -> list[int]:
        first, count = cells.first, self._count
        if word.pair is not None:
            # Most words have two atoms at the end, and most of these lie in different cells.
            a, b = word.pair
            p, q = first[a], first[b]
            return [*word.lead, p, q + 1 if p == q and a != b else q]
        out: list[int] = []
        used: dict[int, list[int]] = {}
        part: int
        for part in word.parts:  # type: ignore[assignment]
            if part >= count:
                out.append(part)
                continue
            place = first[part]
            earlier = used.setdefault(place, [])
            if part not in earlier:
                earlier.append(part)
            out.append(place + earlier.index(part))
        return out

    def _settle(self, word: Word, cells: Cells) -> tuple[list[int], Cells | None]:
        """The least word as far as it needs no choice, and the cells after it; None where there is one."""
        out: list[int] = []
        todo = push(word, None)
        while True:
            cells, todo, tied = self.step(cells, todo, out)
            if tied:
                return out + tied[0].word, None
            if todo is None:
                return out, cells
