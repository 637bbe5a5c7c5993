"""The least image of an object under all renamings of its atoms.

The search writes the word of the least image from left to right. As long as it can, it keeps all renamings
that begin with what is written, as one ordered partition of the atoms, by rules that lose nothing and need no
choice (:mod:`haydi.symmetry.rules`).

Only where none of these helps the search branches: it tries who takes the first place of some cell. A Set of
pairs of atoms, and whatever ends with one, has a search of its own (:mod:`haydi.symmetry.rows`). Any other goes
depth first and drops what is greater than the best word so far. Two ways to the same word are an
automorphism; from then on, of several branches that known automorphisms turn into each other only one is
tried, and the branch that led to the second way is given up (B. D. McKay, *Practical graph isomorphism*,
1981). Branches of one node are looked at up to their next nodes, and only the least are entered.
Transpositions of *twins* are looked for in advance, as they are both the most frequent automorphisms and the
cheapest to find.

To find the least image of a graph is NP-hard (L. Babai, E. M. Luks, *Canonical labeling of graphs*, 1983), so
some objects take long: those where choices that are not symmetric look alike until late.

At the end all renamings that lead to the least word are known: they are a coset of the automorphism group.
On the way to it each branching point has an orbit of equally good choices, and the cells that are left are
free; so the branching points are a base of the group in the sense of Schreier and Sims, with these orbits.
"""

from __future__ import annotations

from functools import cached_property
from math import prod
from typing import NamedTuple

from haydi.symmetry.partition import Cells, Orbits
from haydi.symmetry.rows import LeastRows, Pairs
from haydi.symmetry.rules import Rules, Todo, push
from haydi.symmetry.stabilizers import stabilizer_orbits
from haydi.symmetry.twins import twins
from haydi.symmetry.words import Bag, Text

__all__ = ["Base", "LeastImage"]


class Base(NamedTuple):
    """One level of a chain of stabilizers: an atom, and its orbit when all earlier ones are held fixed."""

    atom: int
    orbit: tuple[int, ...]


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
        automorphisms: Some automorphisms, as the image of each atom; with the permutations inside of the last
            cells they generate all of them.
    """

    def __init__(self, text: Text) -> None:
        self._count = len(text.atoms)
        self._rules = Rules(len(text.atoms))
        self.automorphisms = twins(text)
        self._out: list[int] = []
        self._best: list[int] | None = None
        self._path: list[_Node] = []
        self._best_atoms: list[int] = []
        first = [run.start for run in text.runs for _ in run]
        self._best_cells = Cells(first, {run.start: tuple(run) for run in text.runs})
        self._best_path: list[tuple[_Node, int]] = []
        self._rows: LeastRows | None = None
        self.places: list[int] = []
        root = self._grow(-1, self._best_cells, push(text.word, None), None)
        assert root is not None
        pairs = _pairs(root.todo, self._count)
        if root.choices and pairs is not None:
            self._rows = LeastRows(pairs, root.cells, self.automorphisms)
            self.places = [0] * self._count
            for place, atom in enumerate(self._rows.order):
                self.places[atom] = place
        else:
            self._search(root)

    # ---- depth first -------------------------------------------------------------------------------------

    def _search(self, root: _Branch) -> None:
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
            cells, todo, tied = self._rules.step(cells, todo, out)
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
                choices = self._rules.choices(cells, tied)
                if len(choices) > 1:
                    return _Branch(atom, out, shown, cells, todo, choices)
                cells = cells.place(choices[0])
            elif todo is None:
                return _Branch(atom, out, out, cells, None, [])

    # ---- the group ---------------------------------------------------------------------------------------

    @property
    def group_order(self) -> int:
        """Number of automorphisms."""
        if self._rows is not None:
            return self._rows.group_order
        return prod(len(level.orbit) for level in self.base)

    @cached_property
    def base(self) -> list[Base]:
        """A chain of stabilizers of the automorphism group; levels with one atom are left out."""
        levels: list[Base] = []
        if self._rows is not None:
            orbits = stabilizer_orbits(self._rows.order, self.automorphisms, self._rows.group_order)
            levels += map(Base, self._rows.order, orbits)
        else:
            for node, atom in self._best_path:
                node.orbits.join(self.automorphisms)
                levels.append(Base(atom, node.orbits.of(atom)))
            for _, group in sorted(self._best_cells.members.items()):
                levels += [Base(atom, group[i:]) for i, atom in enumerate(group)]
        return [level for level in levels if len(level.orbit) > 1]


def _pairs(todo: Todo, count: int) -> Pairs | None:
    """What is still to be written, if it is a Set of pairs of atoms, all of one form, and nothing else."""
    if todo is None or todo[1] is not None or not isinstance(todo[0], Bag):
        return None
    keys = [entry.key for entry in todo[0].entries if not entry.value.parts]
    lead = keys[0].lead if keys else []
    if len(keys) < len(todo[0].entries) or any(key.lead != lead for key in keys):
        return None
    near = [0] * count
    ordered = all(key.pair is not None for key in keys)
    for key in keys:
        if ordered:
            assert key.pair is not None
            one, other = key.pair
        elif key.choice is not None and len(key.choice) == 2:
            one, other = key.choice
            near[other] |= 1 << one
        else:
            return None
        near[one] |= 1 << other
    return Pairs(near, ordered)
