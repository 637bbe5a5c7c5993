"""The least image of a relation: of a Set of pairs of atoms, written row by row.

Sets of pairs (graphs, digraphs, bipartite graphs) deserve a room of their own. The *row* of an atom is all its
pairs with it in front; the word of the Set is the rows by place, the first place first. When an atom takes the
next place, its row is known at once: inside of each cell its neighbours take the first places. So a row is
told by who is *missed*, as the bits of an int: in each cell zeros for neighbours, then ones for the others. The
least row is the least int. Then the cells are split into neighbours and others. With sets of atoms as bits of
an int too, all this is one operation for each cell.

**Breadth first.** All states that begin with the least rows so far are kept, so that nothing is extended
that is not the beginning of a least word; a search in depth would follow many that are not, and in graphs with
nearly all edges this is what takes the time. A level that grows too wide is cut into portions which are
finished one after another; the least rows known are the bound for those that follow.

**States that are alike** are kept once, with the number of renamings they stand for:

* of *twins* in a cell only one is tried;
* states with the same cells ahead have the same future;
* states that end, by any rule that ends somewhere, with the same word: the two ends are an automorphism, and as
  both begin with the same rows it takes one state to the other. So a level that has grown sends a scout ahead
  from each state, who always takes the first of the least. What a scout finds needs not be the least word.

All of these tell automorphisms, and together these generate the whole group: whatever ends with the least word
is taken by them, state by state, to the one end that is kept. The number of renamings that this end stands
for, times the free permutations inside of its cells, is the order of the group.

**Many places at once.** Where all orders of some atoms give the same rows they stay together in one cell, and
nobody has to say who of them is first: atoms without pairs that are not written yet; in a digraph, atoms with the
same neighbours. In graphs with nearly all edges, atoms that each miss one other atom take places in a row, and any
order of them gives the same rows; it decides only in which order the missed ones stand at the end of their
cell. So these are left in one cell, and the *chain* of those that miss them takes its order from there in the
end (:mod:`haydi.symmetry.chains`). This is what keeps the levels narrow where nearly all pairs are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import factorial, prod
from typing import Final, NamedTuple

from haydi.symmetry.chains import Chain, atoms_in, chain_of
from haydi.symmetry.partition import Cells

__all__ = ["LeastRows", "Pairs"]

#: Levels with so many states send no scouts.
_FEW: Final = 8
#: States that are extended at once.
_PORTION: Final = 1 << 12

Masks = tuple[int, ...]


class Pairs(NamedTuple):
    """A relation.

    Attributes:
        near: For each atom the set of atoms it is paired with, as the bits of an int.
        ordered: Whether pairs have an order; else those of an atom with earlier ones are in their rows.
    """

    near: list[int]
    ordered: bool


class _State(NamedTuple):
    """Renamings that begin with the same rows, as an ordered partition.

    Attributes:
        written: The cells whose rows are known, and chains.
        ahead: The other cells.
        rows: Rows that are known and come next: ``ahead`` is how it is after these.
        ways: Number of beginnings this one stands for, by automorphisms known.
    """

    written: tuple[int | Chain, ...]
    ahead: Masks
    rows: tuple[int, ...]
    ways: int

    def order(self) -> list[int]:
        """The atoms by place, for one of the renamings."""
        found: list[int] = []  # from the last place on
        turn: dict[int, int] = {}
        for cell in reversed(self.written + self.ahead):
            if isinstance(cell, Chain):
                mates = dict(zip(cell.links, cell.mates, strict=True))
                group = sorted(cell.links, key=lambda link: -turn[mates[link]])
            else:
                group = sorted(atoms_in(cell), reverse=True)
            for atom in group:
                turn[atom] = len(found)
                found.append(atom)
        return found[::-1]


class LeastRows:
    """The least word of a relation.

    Args:
        pairs: The relation.
        cells: The renamings to try.
        automorphisms: Swaps of twins, as the image of each atom; others are appended, until they generate all.

    Attributes:
        order: The atoms by place in the least image.
        group_order: Number of automorphisms.
    """

    def __init__(self, pairs: Pairs, cells: Cells, automorphisms: list[list[int]]) -> None:
        self._near, self._ordered = pairs
        self._automorphisms = automorphisms
        self._twins = _classes(automorphisms, len(self._near))
        self._least: list[int] = []
        self._ends: list[_State] = []
        masks = tuple(sum(1 << atom for atom in cells.members[start]) for start in sorted(cells.members))
        self._search(_State((), masks, (), 1))
        best = self._ends[0]
        self.order = best.order()
        for other in self._ends[1:]:
            self._note(self.order, other.order())
        count = sum(end.ways for end in self._ends)
        self.group_order = count * self._free(best)

    def _free(self, end: _State) -> int:
        """Number of permutations inside of the last cells; their swaps are noted."""
        cells = [tuple(atoms_in(cell)) for cell in end.written if not isinstance(cell, Chain)]
        for one, other in (pair for cell in cells for pair in pairwise(cell)):
            images = list(range(len(self.order)))
            images[one], images[other] = other, one
            # Links follow their mates, and may be mates themselves.
            for chain in reversed(end.written):
                if isinstance(chain, Chain):
                    links = dict(zip(chain.mates, chain.links, strict=True))
                    for mate, link in links.items():
                        images[link] = links[images[mate]]
            self._automorphisms.append(images)
        return prod(factorial(len(cell)) for cell in cells)

    # ---- the search --------------------------------------------------------------------------------------

    def _search(self, start: _State) -> None:
        portions = [(0, _FEW, [start])]
        while portions:
            place, few, states = portions.pop()
            row, level = self._next_level(states)
            if self._least[place:]:
                if row > self._least[place]:
                    continue
                if row < self._least[place]:
                    del self._least[place:]
                    self._ends.clear()
                    portions = [portion for portion in portions if portion[0] <= place]
            if not self._least[place:]:
                self._least.append(row)
            if len(level) > 2 * few:
                level = self._unlike(level)
                few = max(_FEW, len(level))
            if place + 1 == len(self._near):
                self._ends += level
                continue
            for i in range(0, len(level), _PORTION):
                portions.append((place + 1, few, level[i : i + _PORTION]))

    def _next_level(self, states: list[_State]) -> tuple[int, list[_State]]:
        """The least next row that one of the states has, and the states after it."""
        least: int | None = None
        level: dict[object, _State] = {}
        for state in states:
            row, after = self._after(state)
            if least is None or row < least:
                least = row
                level.clear()
            elif row > least:
                continue
            for new in after:
                key = (new.rows, new.ahead, new.written if self._ordered else None)
                known = level.get(key)
                if known is not None:
                    self._note(known.order(), new.order())
                    new = known._replace(ways=known.ways + new.ways)
                level[key] = new
        assert least is not None
        return least, list(level.values())

    def _after(self, state: _State) -> tuple[int, list[_State]]:
        """The least next row, and the states after it."""
        if state.rows:
            return state.rows[0], [state._replace(rows=state.rows[1:])]
        row, atoms = self._least_row(state)
        scope = self._scope(state, atoms[0][0])
        if not self._near[atoms[0][0]] & sum(scope):
            # Nobody in the cell has a pair that is not written yet.
            head = state.ahead[0]
            rows = [row if self._ordered else row >> i for i in range(1, head.bit_count())]
            written = (*state.written, head)
            return row, [_State(written, state.ahead[1:], tuple(rows), state.ways)]
        if (
            len(atoms) > 1
            and self._ordered
            and self._all_alike(group := self._group(state, atoms), state.ahead[0])
        ):
            return row, [self._with_group(state, group)]
        if len(atoms) > 1 and not self._ordered:
            chain = chain_of(state.ahead, [atom for atom, _ in atoms], self._near)
            if chain is not None:
                return row, [self._with_chain(state, chain, prod(alike for _, alike in atoms))]
        return row, [self._placed(state, atom, alike) for atom, alike in atoms]

    def _least_row(self, state: _State) -> tuple[int, list[tuple[int, int]]]:
        """The least next row, and who has it with how many twins."""
        least: int | None = None
        atoms: list[tuple[int, int]] = []
        sizes = [cell.bit_count() for cell in self._scope(state, next(atoms_in(state.ahead[0])))]
        for atom, alike in self._candidates(state.ahead[0]):
            row = self._row(self._scope(state, atom), sizes, atom)
            if least is None or row < least:
                least, atoms = row, [(atom, alike)]
            elif row == least:
                atoms.append((atom, alike))
        assert least is not None
        return least, atoms

    def _row(self, scope: Masks, sizes: list[int], atom: int) -> int:
        others = ~self._near[atom]
        row = 0
        for cell, size in zip(scope, sizes, strict=True):
            row = row << size | (1 << (cell & others).bit_count()) - 1
        return row

    def _scope(self, state: _State, atom: int) -> Masks:
        """The cells that count for the row of an atom that takes the next place, which is cut off."""
        own = 1 << atom
        head, *tail = state.ahead
        if self._ordered:
            return (*state.written, own, head ^ own, *tail)  # type: ignore[arg-type]
        return (head ^ own, *tail)

    def _placed(self, state: _State, atom: int, alike: int) -> _State:
        """What follows when an atom takes the next place."""
        near, own = self._near[atom], 1 << atom
        head, *tail = state.ahead
        written: tuple[int | Chain, ...] = state.written
        if self._ordered:
            written = _split(written, near)  # type: ignore[arg-type]
        return _State((*written, own), _split((head ^ own, *tail), near), (), state.ways * alike)

    def _in_turn(self, state: _State, atoms: Iterable[int]) -> tuple[tuple[int, ...], _State]:
        """The rows of some atoms that take the next places in this order, and what follows."""
        rows: list[int] = []
        for atom in atoms:
            scope = self._scope(state, atom)
            rows.append(self._row(scope, [cell.bit_count() for cell in scope], atom))
            state = self._placed(state, atom, 1)
        return tuple(rows), state

    def _with_chain(self, state: _State, chain: Chain, alike: int) -> _State:
        """What follows when the links of a chain take the next places."""
        rows, end = self._in_turn(state, chain.links)
        mates = sum(1 << mate for mate in chain.mates)
        last = 1 << chain.mates[-1]
        ahead = [mates if cell == last else cell for cell in end.ahead if not cell & (mates ^ last)]
        return _State((*state.written, chain), tuple(ahead), rows[1:], state.ways * alike)

    def _group(self, state: _State, atoms: list[tuple[int, int]]) -> int:
        group = 0
        for atom, _ in atoms:
            group |= self._twins[atom] & state.ahead[0]
        return group

    def _all_alike(self, group: int, head: int) -> bool:
        """Whether some atoms that have the least row take places in a row, with the same rows in any order."""
        shapes = set()
        wanted = any(self._near[atom] & group for atom in atoms_in(head & ~group))
        for atom in atoms_in(group):
            own, near = 1 << atom, self._near[atom]
            inside = near & group & ~own
            # When one is placed the others are still in front: as its neighbours, or with the whole cell. In
            # this case nobody in the cell may be the better for having the one as a neighbour.
            together = inside == group & ~own or not (wanted or near & head & ~own)
            shapes.add((near & ~group, bool(near & own), together))
        return len(shapes) == 1 and shapes.pop()[2]

    def _with_group(self, state: _State, group: int) -> _State:
        """What follows when atoms whose rows are the same in any order take the next places: a cell of them."""
        rows, end = self._in_turn(state, atoms_in(group))
        written = [cell for cell in end.written if isinstance(cell, int) and not cell & group]
        return _State((*written, group), end.ahead, rows[1:], state.ways)

    def _candidates(self, cell: int) -> Iterator[tuple[int, int]]:
        """The atoms of a cell, one of each class of twins with the number of these."""
        while cell:
            atom = (cell & -cell).bit_length() - 1
            twins = self._twins[atom] & cell
            yield atom, twins.bit_count()
            cell ^= twins

    # ---- what is alike -----------------------------------------------------------------------------------

    def _unlike(self, states: list[_State]) -> list[_State]:
        """One of the states of each class that scouts tell."""
        found: dict[tuple[int, ...], tuple[_State, _State]] = {}
        for state in states:
            word, end = self._scout(state)
            known, known_end = found.setdefault(word, (state, end))
            if known is not state:
                self._note(known_end.order(), end.order())
                found[word] = (known._replace(ways=known.ways + state.ways), known_end)
        return [state for state, _ in found.values()]

    def _scout(self, state: _State) -> tuple[tuple[int, ...], _State]:
        word: list[int] = []
        while state.ahead or state.rows:
            row, after = self._after(state)
            word.append(row)
            state = after[0]
        return tuple(word), state

    def _note(self, one: list[int], other: list[int]) -> None:
        """Two ways to the same word are an automorphism."""
        images = [0] * len(one)
        for atom, image in zip(one, other, strict=True):
            images[atom] = image
        self._automorphisms.append(images)


def _split(cells: Sequence[int], near: int) -> Masks:
    """Each cell cut into neighbours and others."""
    parts: list[int] = []
    for cell in cells:
        inside = cell & near
        if inside:
            parts.append(inside)
        if inside != cell:
            parts.append(cell ^ inside)
    return tuple(parts)


def _classes(swaps: list[list[int]], count: int) -> list[int]:
    """For each atom the class that swaps join it to, as a set of bits."""
    found = [1 << atom for atom in range(count)]
    for images in swaps:
        a, b = (atom for atom, image in enumerate(images) if atom != image)
        joined = found[a] | found[b]
        for atom in atoms_in(joined):
            found[atom] = joined
    return found
