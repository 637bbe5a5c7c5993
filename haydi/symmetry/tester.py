"""Test C: is a vector, or the known beginning of one, the least of its orbit, without listing the renamings.

A renaming puts atoms into *slots*, the places of the atoms in their USets. The test builds renamings slot by
slot, and only as far as they are needed: what is undecided are *cells*, runs of neighbouring slots whose
atoms may still stand in any order. A state is a renaming ``rep``, a partition of the slots into cells, and a
position ``p``; it stands for all renamings ``y rep`` with ``y`` from the group ``Y`` that permutes inside
the cells, and all of these agree with ``f`` on the positions before ``p``. What can stand at ``p`` comes
from the orbit ``O`` of ``p`` under ``Y``:

* ``O`` is ``p`` alone: its value is known up to ``Y``. If the least value in reach is less than ``f[p]``,
  then ``f`` is *refuted*; if it is greater, no renaming of the state is an automorphism. Otherwise an atom
  moves to the first slot of its cell, which costs nothing (so a breadth-first search would number the nodes
  of a graph);
* ``O`` is as large as one cell, and stands in a row: the values in sorted order are the best there is. They
  must be what ``f`` has there, and the cell falls into cells of equal values;
* otherwise the search branches: some atom of a cell is put into its first slot.

Where positions *and* values move, the least value of an orbit is only a bound: only values that ``Y`` leaves
alone can refute. A chain of stabilizers holds the slots from the last to the first; at each level one search
for each atom that might stand in the slot either refutes, or finds an automorphism (which spares the search
for all atoms that it connects) or shows that there is none. The orbits of the levels multiply to the number
of automorphisms. Transpositions of *twins* are found in advance, as they are most of all automorphisms there
are in practice.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from haydi.symmetry.layout import Layout

__all__ = ["Tester"]

_UNKNOWN = -1
_REFUTED = -1
_FAILED = -2


class _Renaming(NamedTuple):
    """A row, and which atom stands in which slot."""

    src: tuple[int, ...]
    vals: tuple[tuple[int, ...], ...]
    atoms: tuple[int, ...]


class _Place(NamedTuple):
    """The orbit of a position, when it is not alone.

    Attributes:
        orbit: The positions, in order.
        row: The first slot of the cell whose slots the orbit stands for, one by one; -1 when there is none.
        cell: The first slot of a cell that moves the position.
    """

    orbit: tuple[int, ...]
    row: int
    cell: int


class _Value(NamedTuple):
    """The orbit of a value, when it is not alone.

    Attributes:
        least: The least value of the orbit.
        slot: The slot that the value stands for, when the orbit stands for the slots of a cell; -1 otherwise.
        cell: The first slot of a cell that moves the orbit.
    """

    least: int
    slot: int
    cell: int


class _Cells:
    """What a partition of the slots leaves undecided.

    Args:
        tester: The tester.
        begins: For each slot a bit, set where a cell begins.
    """

    def __init__(self, tester: Tester, begins: int) -> None:
        count = tester.slots
        self._swaps = [i for i in range(count - 1) if not begins >> (i + 1) & 1]
        self._rows = {i: tester.swap(i, i + 1) for i in self._swaps}
        self._cell_of: list[int] = []
        for i in range(count):
            self._cell_of.append(i if begins >> i & 1 else self._cell_of[-1])
        self.sizes = {cell: self._cell_of.count(cell) for cell in set(self._cell_of)}
        self.places: list[_Place | None] = [None] * tester.m
        for orbit in _orbits(tester.m, [row.src for row in self._rows.values()]):
            self._add_places(orbit)
        self.values: list[list[_Value | None]] = []
        for a, alphabet in enumerate(tester.layout.alphabets):
            found: list[_Value | None] = [None] * alphabet.size
            tables = [] if alphabet.fixed else [row.vals[a] for row in self._rows.values()]
            for orbit in _orbits(alphabet.size, tables) if tables else []:
                cells, row = self._cells_of(orbit, [self._rows[i].vals[a] for i in self._swaps])
                for t, value in enumerate(orbit):
                    found[value] = _Value(orbit[0], row + t if row >= 0 else -1, cells[0])
            self.values.append(found)

    def _add_places(self, orbit: tuple[int, ...]) -> None:
        tables = [self._rows[i].src for i in self._swaps]
        pairs = list(zip(self._swaps, tables, strict=True))
        cells, row = self._cells_of(orbit, tables)
        if row >= 0 and orbit[-1] - orbit[0] != len(orbit) - 1:
            row = -1
        for p in orbit:
            moved = [self._cell_of[i] for i, table in pairs if table[p] != p]
            self.places[p] = _Place(orbit, row, min(moved, default=cells[0]))

    def _cells_of(self, orbit: tuple[int, ...], tables: list[tuple[int, ...]]) -> tuple[list[int], int]:
        """The cells that move an orbit; and the cell whose slots it stands for in order, or -1."""
        pairs = list(zip(self._swaps, tables, strict=True))
        moving = [i for i, table in pairs if any(table[x] != x for x in orbit)]
        cells = sorted({self._cell_of[i] for i in moving})
        first = cells[0]
        if len(cells) > 1 or self.sizes[first] != len(orbit):
            return cells, -1
        table_of = dict(pairs)
        in_order = all(table_of[first + t][orbit[t]] == orbit[t + 1] for t in range(len(orbit) - 1))
        return cells, first if in_order else -1


class Tester:
    """An :class:`~haydi.symmetry.orderly.Engine` for groups of any size.

    Args:
        layout: The layout.

    Attributes:
        f: The vector. To go on, write ``f[i]`` and call ``advance(i)``.
        waiting: 0 at the end, 1 elsewhere: this engine cannot tell that the rest of a vector is free.
        kernel: Number of renamings that leave all vectors as they are; told for vectors without positions
            only.

    >>> from haydi.domains import Subsets, USet
    >>> n = USet(12, "n")
    >>> tester = Tester(Layout(Subsets(Subsets(n, 2))))
    >>> tester.test([0] + [1] * 65), tester.test([1] * 65 + [0])
    (7257600, None)
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.m = layout.m
        self.f = [0] * layout.m
        self.waiting = [1] * layout.m + [0]
        self.kernel = layout.group_order
        self._automorphisms = layout.group_order
        self._known = [_UNKNOWN] * layout.m
        self._kind = layout.kind
        self._slot_usets = [number for number, size in enumerate(layout.sizes) for _ in range(size)]
        self.slots = len(self._slot_usets)
        self._starts = [sum(layout.sizes[:number]) for number in range(len(layout.sizes))]
        self._swaps: dict[tuple[int, int], _Renaming] = {}
        self._cells: dict[int, _Cells] = {}
        self._twins: list[int] = []
        self._ends: dict[int, int] = {}
        for node in layout.sets:
            if node.free:
                self._ends.update(dict.fromkeys(range(node.start, node.stop - 1), node.stop))

    @property
    def automorphisms(self) -> int:
        """Number of renamings that leave the vector as it is; ask right after the last position was
        advanced.
        """
        return self._automorphisms

    # ---- what the walk asks ------------------------------------------------------------------------------

    def advance(self, i: int) -> bool:
        """Take notice of ``f[i]``; False, and nothing is changed, when no canonical vector begins so."""
        self._known[i] = self.f[i]
        # Inside of a free Set the walk goes on with the end of the Set, and it is enough to look there.
        if i in self._ends or self._test_known():
            return True
        self._known[i] = _UNKNOWN
        return False

    def retreat(self, i: int) -> None:
        """Take ``advance(i)`` back."""
        self._known[i] = _UNKNOWN

    def settle(self, i: int) -> None:
        """Take notice that all entries from ``i`` on are 1, which no renaming still in play can change."""
        self.spine(i, self.m)
        self.unwind(i, self.m)

    def spine(self, start: int, stop: int) -> bool:
        """Leave out all items at ``[start, stop)``; as ``advance``."""
        self._known[start:stop] = self.f[start:stop] = [1] * (stop - start)
        if self._test_known():
            return True
        self._known[start:stop] = [_UNKNOWN] * (stop - start)
        return False

    def unwind(self, start: int, stop: int) -> None:
        """Take ``spine`` back."""
        self._known[start:stop] = [_UNKNOWN] * (stop - start)

    def exclude(self, kept: None, i: int, stop: int) -> None:
        """Leave out the item at ``i``, which ``spine`` has done before."""
        self._known[i] = self.f[i] = 1

    def _test_known(self) -> bool:
        found = self.test(self._known)
        if found is None:
            return False
        self._automorphisms = found
        return True

    # ---- the test ----------------------------------------------------------------------------------------

    def swap(self, i: int, j: int) -> _Renaming:
        """The renaming that swaps the atoms of two slots of one USet."""
        key = (min(i, j), max(i, j))
        if key not in self._swaps:
            number = self._slot_usets[i]
            start = self._starts[number]
            atoms = list(range(self.slots))
            atoms[i], atoms[j] = j, i
            row = self.layout.swap(self.layout.usets[number], i - start, j - start)
            self._swaps[key] = _Renaming(row.src, row.vals, tuple(atoms))
        return self._swaps[key]

    def test(self, f: list[int]) -> int | None:
        """Whether a canonical vector may begin as ``f`` does.

        Args:
            f: A vector; -1 stands for what is not known.

        Returns:
            None when the vector is not canonical, whatever the unknown entries are. Otherwise, for a vector
            that is known as a whole, the number of renamings that leave it as it is.
        """
        self._find_twins(f)
        joined = list(range(self.slots))
        automorphisms = 1
        for k in range(self.slots - 1, -1, -1):
            stop = self._stop_of(k)
            for b in range(k + 1, stop):
                if self._twins[b] == self._twins[k]:
                    _join(joined, k, b)
            failed: list[int] = []
            for b in range(k + 1, stop):
                if _find(joined, b) in {_find(joined, x) for x in (k, *failed)}:
                    continue
                found = self._search(f, self.swap(k, b), self._level(k), 0)
                if found == _REFUTED:
                    return None
                if isinstance(found, int):
                    failed.append(b)
                    continue
                for slot, atom in enumerate(found.atoms):
                    _join(joined, slot, atom)
            root = _find(joined, k)
            automorphisms *= sum(_find(joined, x) == root for x in range(k, self.slots))
        return automorphisms

    def _stop_of(self, slot: int) -> int:
        number = self._slot_usets[slot]
        return self._starts[number] + self.layout.sizes[number]

    def _level(self, k: int) -> int:
        """Slots up to ``k`` are decided; the others of its USet are a cell, those of each later USet too."""
        begins = (1 << (k + 2)) - 1
        for start in self._starts:
            begins |= 1 << start
        return begins & ((1 << self.slots) - 1)

    def _find_twins(self, f: list[int]) -> None:
        """For each slot the first one whose atom can be swapped with its atom, and ``f`` stays as it is."""
        self._twins = list(range(self.slots))
        kind = self._kind
        for start, size in zip(self._starts, self.layout.sizes, strict=True):
            firsts: list[int] = []
            for b in range(start, start + size):
                for a in firsts:
                    src, vals, _ = self.swap(a, b)
                    if all(
                        f[q] == entry if f[q] < 0 or entry < 0 else vals[c][f[q]] == entry
                        for q, entry, c in zip(src, f, kind, strict=True)
                    ):
                        self._twins[b] = a
                        break
                else:
                    firsts.append(b)

    def _search(self, f: list[int], rep: _Renaming, begins: int, p: int) -> _Renaming | int:
        """An automorphism among the renamings of a state, or that one of them refutes, or that all fail."""
        while True:
            if p == self.m:
                return rep
            if f[p] < 0:
                return _FAILED
            cells = self._cells.get(begins)
            if cells is None:
                cells = self._cells[begins] = _Cells(self, begins)
            place = cells.places[p]
            step = (
                self._alone(f, rep, begins, p, cells)
                if place is None
                else self._together(f, rep, begins, p, cells, place)
            )
            if isinstance(step, int):
                if step < 0:
                    return step
                return self._branch(f, rep, begins, p, step, cells.sizes[step])
            rep, begins, p = step

    def _branch(
        self, f: list[int], rep: _Renaming, begins: int, p: int, cell: int, size: int
    ) -> _Renaming | int:
        """Put each atom of a cell into its first slot; of twins one is enough."""
        seen: set[int] = set()
        for slot in range(cell, cell + size):
            twin = self._twins[rep.atoms[slot]]
            if twin not in seen:
                seen.add(twin)
                found = self._search(f, *self._to_front(rep, begins, cell, slot), p)
                if found != _FAILED:
                    return found
        return _FAILED

    def _to_front(self, rep: _Renaming, begins: int, cell: int, slot: int) -> tuple[_Renaming, int]:
        if slot != cell:
            rep = self._after(rep, self.swap(cell, slot))
        return rep, begins | (1 << (cell + 1) if cell + 1 < self.slots else 0)

    def _after(self, rep: _Renaming, swap: _Renaming) -> _Renaming:
        """First ``rep``, then a swap of slots."""
        vals = rep.vals
        if not self.layout.fixed:
            vals = tuple(
                [tuple([then[x] for x in first]) for first, then in zip(vals, swap.vals, strict=True)]
            )
        src, atoms = rep.src, rep.atoms
        return _Renaming(tuple([src[q] for q in swap.src]), vals, tuple([atoms[x] for x in swap.atoms]))

    def _alone(
        self, f: list[int], rep: _Renaming, begins: int, p: int, cells: _Cells
    ) -> tuple[_Renaming, int, int] | int:
        """Position ``p`` stays in its place: the next state, the cell to branch on, or how it ended."""
        entry = f[rep.src[p]]
        if entry < 0:
            return _FAILED
        value = rep.vals[self._kind[p]][entry]
        reach = cells.values[self._kind[p]][value]
        least = value if reach is None else reach.least
        if least != f[p]:
            return _REFUTED if least < f[p] else _FAILED
        if reach is None:
            return rep, begins, p + 1
        if reach.slot < 0:
            return reach.cell
        return (*self._to_front(rep, begins, reach.cell, reach.slot), p)

    def _together(
        self, f: list[int], rep: _Renaming, begins: int, p: int, cells: _Cells, place: _Place
    ) -> tuple[_Renaming, int, int] | int:
        """Position ``p`` moves with others; returns as :meth:`_alone`."""
        src, vals, reaches = rep.src, rep.vals, cells.values
        kind, here = self._kind, f[p]
        exact = True
        found: list[int] = []
        for q in place.orbit:
            entry = f[src[q]]
            if entry < 0:
                exact = False
                continue
            value = vals[kind[q]][entry]
            reach = reaches[kind[q]][value]
            if reach is not None:
                exact, value = False, reach.least
            elif value < here:
                return _REFUTED
            found.append(value)
        if found and min(found) > here:
            return _FAILED
        if not exact or place.row < 0 or place.orbit[0] != p:
            return place.cell
        for value, entry in zip(sorted(found), f[p : p + len(found)], strict=True):
            if value != entry:
                return _REFUTED if value < entry else _FAILED
        return (*self._sorted(rep, begins, place.row, found), p + len(found))

    def _sorted(self, rep: _Renaming, begins: int, cell: int, values: list[int]) -> tuple[_Renaming, int]:
        """Put the slots of a cell into the order of their values, and part it between different ones."""
        current = values.copy()
        for t in range(len(current)):
            j = min(range(t, len(current)), key=current.__getitem__)
            if current[j] < current[t]:
                rep = self._after(rep, self.swap(cell + t, cell + j))
                current[t], current[j] = current[j], current[t]
        for t in range(1, len(current)):
            if current[t] != current[t - 1]:
                begins |= 1 << (cell + t)
        return rep, begins


def _find(joined: list[int], x: int) -> int:
    while joined[x] != x:
        joined[x] = joined[joined[x]]
        x = joined[x]
    return x


def _join(joined: list[int], x: int, y: int) -> None:
    x, y = _find(joined, x), _find(joined, y)
    joined[max(x, y)] = min(x, y)


def _orbits(count: int, tables: list[Any]) -> list[tuple[int, ...]]:
    """The orbits of more than one number under some permutations of ``range(count)``, in order."""
    joined = list(range(count))
    for table in tables:
        for x, y in enumerate(table):
            if x != y:
                _join(joined, x, y)
    orbits: dict[int, list[int]] = {}
    for x in range(count):
        orbits.setdefault(_find(joined, x), []).append(x)
    return [tuple(orbit) for orbit in orbits.values() if len(orbit) > 1]
