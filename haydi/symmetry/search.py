"""The least image of an object under all renamings of its atoms.

The search writes the word of the least image from left to right (:mod:`haydi.symmetry.words`) and keeps, as
long as it can, all renamings that begin with what is written, as one ordered partition of the atoms: each
*cell* of atoms owns a run of places, and inside of it every bijection is still possible. Three rules go on
without loss:

* where the next part of the word is an atom, it takes the first place of its cell;
* where it is a bag, the entry with the least possible word comes first, when there is only one such entry;
* where several entries tie and each depends on one atom of the same cell alone, they take the places of this
  cell in a row, sorted by what is known of their values. The cell is split, and nobody has to say who of them
  is first. So the neighbours of a node are numbered without trying their orders.

Only where none of these helps the search branches: it tries who takes the first place of some cell. It goes
depth first and drops what is greater than the best word so far. Two ways to the same word are an
automorphism; from then on, of several branches that known automorphisms turn into each other only one is
tried, and the branch that led to the second way is given up (B. D. McKay, *Practical graph isomorphism*,
1981). Branches of one node are looked at up to their next nodes, and only the least are entered.
Transpositions of *twins* are looked for in advance, as they are both the most frequent automorphisms and the
cheapest to find.

At the end all renamings that lead to the least word are known: they are a coset of the automorphism group.
On the way to it each branching point has an orbit of equally good choices, and the cells that are left are
free; so the branching points are a base of the group in the sense of Schreier and Sims, with these orbits.
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple

from haydi.symmetry.partition import Cells, Orbits
from haydi.symmetry.twins import twins
from haydi.symmetry.words import Bag, Entry, Part, Text, Word

__all__ = ["Base", "LeastImage"]

#: Looks at entries with bags inside that are kept.
_LOOKS_MAX: Final = 1 << 16

#: What is still to be written: a linked list of parts.
Todo = tuple[Part, Any] | None


class Base(NamedTuple):
    """One level of a chain of stabilizers: an atom, and its orbit when all earlier ones are held fixed."""

    atom: int
    orbit: tuple[int, ...]


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


class _Branch(NamedTuple):
    """One choice at a node, and where it leads without another choice.

    Attributes:
        atom: Who takes the place in question.
        segment: What is written then, up to the next node or the end.
        shown: The segment, and what surely follows it: the beginning on which entries tie at the node.
        cells: The cells there.
        todo: What is still to be written.
        choices: The choices there; none at an end.
    """

    atom: int
    segment: list[int]
    shown: list[int]
    cells: Cells
    todo: Todo
    choices: list[int]


class _Node:
    """A branching point, and the branches that may lead to the least word."""

    def __init__(self, cells: Cells, written: int) -> None:
        self.orbits = Orbits(cells)
        self.written = written
        self.branches: list[_Branch] = []
        self.current = -1
        self._tried: list[int] = []

    def is_new(self, atom: int, automorphisms: list[list[int]]) -> bool:
        """Whether no known automorphism makes this choice an earlier one; then it is noted as tried."""
        self.orbits.join(automorphisms)
        if any(self.orbits.same(atom, one) for one in self._tried):
            return False
        self._tried.append(atom)
        return True

    def forget(self) -> None:
        """Take all choices as not tried yet."""
        self._tried.clear()


class LeastImage:
    """The least image of an object, and its automorphisms.

    Args:
        text: The object.

    Attributes:
        places: For each atom its place in the least image.
        base: A chain of stabilizers of the automorphism group; levels with one atom are left out.
        automorphisms: Some automorphisms, as the image of each atom; with the permutations inside of the last
            cells they generate all of them.
    """

    def __init__(self, text: Text) -> None:
        self._count = len(text.atoms)
        self._looks: dict[Any, tuple[list[int], bool]] = {}
        self.automorphisms = twins(text)
        self._out: list[int] = []
        self._best: list[int] | None = None
        self._path: list[_Node] = []
        self._best_atoms: list[int] = []
        first = [run.start for run in text.runs for _ in run]
        self._best_cells = Cells(first, {run.start: tuple(run) for run in text.runs})
        self._best_path: list[tuple[_Node, int]] = []
        self.places: list[int] = []
        self._search(self._best_cells, _push(text.word, None))
        self.base = self._chain()

    # ---- depth first -------------------------------------------------------------------------------------

    def _search(self, cells: Cells, todo: Todo) -> None:
        root = self._grow(-1, cells, todo, None)
        assert root is not None
        self._enter(root)
        path = self._path
        while path:
            node = path[-1]
            if not node.branches:
                path.pop()
                continue
            branch = node.branches.pop()
            if node.is_new(branch.atom, self.automorphisms):
                node.current = branch.atom
                del self._out[node.written :]
                if self._is_good(branch.shown):
                    self._enter(branch)

    def _is_good(self, shown: list[int]) -> bool:
        """Whether the best word is not less; it is forgotten when it is greater."""
        if self._best is None:
            return True
        written = len(self._out)
        old = self._best[written : written + len(shown)]
        if shown < old:
            self._best = None
        return shown <= old

    def _enter(self, branch: _Branch) -> None:
        """Go to where a branch leads: a node, whose branches are looked at, or an end."""
        self._out += branch.segment
        if not branch.choices:
            self._end(branch.cells)
            return
        written = len(self._out)
        node = _Node(branch.cells, written)
        least = None if self._best is None else self._best[written:]
        for atom in branch.choices:
            if not node.is_new(atom, self.automorphisms):
                continue
            grown = self._grow(atom, branch.cells.place(atom), branch.todo, least)
            if grown is None:
                continue
            size = len(grown.shown)
            if least is None or grown.shown < least[:size]:
                self._best = None
                least = grown.shown
                # Of the others those that came to a node sooner may still lead to something as small.
                node.branches = [b for b in node.branches if b.shown == least[: len(b.shown)]]
            elif size > len(least):
                least = grown.shown
            node.branches.append(grown)
        node.forget()
        self._path.append(node)

    def _end(self, cells: Cells) -> None:
        places = cells.places()
        if self._best is None:
            self._best = self._out.copy()
            self._best_cells, self.places = cells, places
            self._best_path = [(node, node.current) for node in self._path]
            self._best_atoms = sorted(range(self._count), key=places.__getitem__)
            return
        # The same word in another way. The branch that parted from the best way is as good as that one.
        self.automorphisms.append([self._best_atoms[place] for place in places])
        depth = 0
        while self._best_path[depth] == (self._path[depth], self._path[depth].current):
            depth += 1
        del self._path[depth + 1 :]

    def _grow(self, atom: int, cells: Cells, todo: Todo, least: list[int] | None) -> _Branch | None:
        """Write while there is no choice; None as soon as that is greater than the least known."""
        out: list[int] = []
        compared = 0
        while True:
            cells, todo, tied = self._step(cells, todo, out)
            shown = out + tied[0].word if tied else out
            if least is not None:
                old = least[compared : len(shown)]
                new = shown[compared : compared + len(old)]
                if new > old:
                    return None
                if new < old:
                    least = None
                compared = min(len(out), len(least or ()))
            if tied:
                choices = self._choices(cells, tied)
                if len(choices) > 1:
                    return _Branch(atom, out, shown, cells, todo, choices)
                cells = cells.place(choices[0])
            elif todo is None:
                return _Branch(atom, out, out, cells, None, [])

    # ---- the rules ---------------------------------------------------------------------------------------

    def _step(self, cells: Cells, todo: Todo, out: list[int]) -> tuple[Cells, Todo, list[Look]]:
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
                todo = _push(entry.value, (Bag(tuple([one.entry for one in looks[stop:]])), rest))
                return cells, todo, []
            todo = _push(entry.value, (Bag(tuple([one.entry for one in looks[stop:]])), rest))
            return cells, _push(entry.key, todo), []
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

    def _choices(self, cells: Cells, tied: list[Look]) -> list[int]:
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
        todo = _push(word, None)
        while True:
            cells, todo, tied = self._step(cells, todo, out)
            if tied:
                return out + tied[0].word, None
            if todo is None:
                return out, cells

    # ---- the group ---------------------------------------------------------------------------------------

    def _chain(self) -> list[Base]:
        levels: list[Base] = []
        for node, atom in self._best_path:
            node.orbits.join(self.automorphisms)
            levels.append(Base(atom, node.orbits.of(atom)))
        for _, group in sorted(self._best_cells.members.items()):
            levels += [Base(atom, group[i:]) for i, atom in enumerate(group)]
        return [level for level in levels if len(level.orbit) > 1]


def _push(word: Word, todo: Todo) -> Todo:
    for part in reversed(word.parts):
        todo = (part, todo)
    return todo
