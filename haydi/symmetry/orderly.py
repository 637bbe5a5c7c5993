"""Orderly generation: the walk over the tree of canonical prefixes.

A vector is the least of its orbit only if no renaming makes a beginning of it less; so the beginnings of
canonical vectors form a tree, and a depth-first walk that asks an :class:`Engine` at each step reaches all
of them and little else. Nothing is remembered, compared or removed afterwards.

**Choices.** The walk goes down by *choices*, and a node is named by the choices that lead to it, a *path*:

* at most positions the choice is the entry;
* in a free Set the choice is the position of the next item, or -1: no more items. So a Set comes right
  before those that extend it by later items. A Set that is not canonical by itself has no canonical
  extension by later items (Read, 1978; Faradzev, 1978), so the walk asks first whether the Set could end
  where it is.

**Events.** ``(i, own)`` says: all vectors that begin with ``f[:i]`` are canonical. With ``own`` false ``i``
lies in a free Set and its end there has been told already: these have at least one more item of the Set.

**Cuts.** Siblings are numbered in the order in which they are visited, so visiting order is the lexicographic
order of paths, and a walk can begin at any of them: it gets there by replaying the choices.
:meth:`Walk.prefixes` lists paths of nodes that have little below them, which are places to cut; a walk that
is told of them gives no event that reaches over a cut, so that the events of the piece between two of them
are those with a path between the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import Any, Protocol

from haydi.symmetry.layout import Layout
from haydi.symmetry.structure import OrderNode, SetNode

__all__ = ["Engine", "Path", "Walk"]

#: The choices from the root to a node.
Path = tuple[int, ...]

#: Alphabets that are larger than that are not cut into their elements where nothing else depends on them.
_CUT_SIZE_MAX = 1 << 12


class Engine(Protocol):
    """What tells whether a canonical vector may begin with ``f[:i]``; see
    :class:`haydi.symmetry.watch.Watch`.
    """

    f: list[int]
    m: int
    waiting: list[int]

    @property
    def automorphisms(self) -> int:
        """Number of renamings that leave the whole vector as it is."""

    @property
    def kernel(self) -> int:
        """Number of renamings that leave all vectors as they are."""

    def advance(self, i: int) -> bool:
        """Take notice of ``f[i]``; False, and nothing is changed, when no canonical vector begins so."""

    def retreat(self, i: int) -> None:
        """Take ``advance(i)`` back."""

    def settle(self, i: int) -> None:
        """Take notice that all entries from ``i`` on are 1, which no renaming still in play can change."""

    def spine(self, start: int, stop: int) -> bool:
        """Leave out all items at ``[start, stop)``; as ``advance``."""

    def unwind(self, start: int, stop: int) -> Any:
        """Take ``spine`` back; what is returned is for ``exclude``."""

    def exclude(self, kept: Any, i: int, stop: int) -> None:
        """Leave out the item at ``i``, which ``spine`` has done before."""


#: A child of a node: the choice that leads to it, the first position not known there, and ``own`` of its
#: event.
Child = tuple[int, int, bool]


def _entries(engine: Engine, i: int, choices: Iterable[int]) -> Iterator[Child]:
    """The children of a node where an entry is chosen; the engine is at the child while that is visited."""
    f = engine.f
    for choice in choices:
        f[i] = choice
        if engine.advance(i):
            yield choice, i + 1, True
            engine.retreat(i)


def _items(engine: Engine, i: int, node: SetNode, first: int, whole: bool) -> Iterator[Child]:
    """The children of a node where the next item of a free Set is chosen, or the end of the Set.

    The end is tried first. When its walk is over, the comparisons it has caused are kept, and items are left
    out again one by one while later items are tried. Where the walk begins at a later choice, what led to its
    start has been found canonical before, and items are left out by comparing.

    Args:
        engine: The engine.
        i: The position of the first item to choose from.
        node: The Set.
        first: The first choice to make.
        whole: Whether several children may be told of in one event.
    """
    stop, f, waiting = node.stop, engine.f, engine.waiting
    inside = f[node.start : i].count(0)
    kept: Any = None
    if first == -1:
        if i == node.start and stop == engine.m:
            # Nothing that leaves everything before in its place moves the empty Set.
            engine.settle(i)
            if node.size_min == 0:
                yield -1, stop, True
        else:
            if not engine.spine(i, stop):
                return
            if inside >= node.size_min:
                yield -1, stop, True
            kept = engine.unwind(i, stop)
    # Past an item at j there are stop - j - 1 others, and the Set must come to its smallest size.
    last = stop - max(1, node.size_min - inside) if inside < node.size_max else -1
    at = i
    while at <= last:
        if at >= first:
            if whole and at > i and not waiting[at]:
                yield at, at, False
                break
            f[at] = 0
            if engine.advance(at):
                yield at, at + 1, True
                engine.retreat(at)
        if kept is None:
            f[at] = 1
            if not engine.advance(at):
                break
        else:
            engine.exclude(kept, at, stop)
        at += 1
    for j in range(at - 1, i - 1, -1):
        engine.retreat(j)


class Walk:
    """Depth-first walks over the canonical prefixes of a layout.

    Args:
        layout: The layout.
        engine: What tells canonical prefixes; it is left as it was found, unless a walk is given up half-way.

    >>> from haydi.domains import Subsets, USet
    >>> from haydi.symmetry.watch import watch
    >>> n = USet(3, "n")
    >>> layout = Layout(Subsets(n * n, 0, 2))
    >>> walk = Walk(layout, watch(layout))
    >>> sum(layout.root.count(walk.engine.f, i, own) for i, own in walk.events())
    11
    >>> list(walk.prefixes(8))
    [(-1,), (0, -1), (0, 1), (0, 3), (0, 4), (0, 5), (0, 7), (1,), (3,)]
    """

    def __init__(self, layout: Layout, engine: Engine) -> None:
        self.layout = layout
        self.engine = engine
        self._choices: list[int] = []
        self._set_of: list[SetNode | None] = [None] * (layout.m + 1)
        self._sized_of: list[SetNode | None] = [None] * (layout.m + 1)
        self._order_of: list[OrderNode | None] = [None] * (layout.m + 1)
        for node in layout.sets:
            of = self._set_of if node.free else self._sized_of
            of[node.start : node.stop] = [node] * (node.stop - node.start)
        for order in layout.orders:
            self._order_of[order.start : order.stop] = [order] * (order.stop - order.start)

    @property
    def path(self) -> Path:
        """The path of the last event."""
        return tuple(self._choices)

    def events(self, start: Path = (), cut: Set[Path] = frozenset()) -> Iterator[tuple[int, bool]]:
        """All canonical vectors from one path on.

        Args:
            start: The first path; the empty one is the root.
            cut: Nodes of which the children shall be told one by one.

        Yields:
            ``(i, own)``, see the module; ``engine.f`` holds the entries, and ``path`` the path, until the
            next event is asked for.
        """
        return self._walk(start, cut, None)

    def prefixes(self, limit: int) -> Iterator[Path]:
        """Paths to the topmost nodes below which there are at most so many vectors, canonical or not, in
        order.

        What lies below these nodes is everything, each once; below some there may be nothing.
        """
        return (self.path for _ in self._walk((), frozenset(), limit))

    def automorphisms(self, i: int, own: bool) -> int:
        """Number of renamings that leave the vectors of an event as they are: the same for all of them."""
        return self.engine.automorphisms if own and i == self.layout.m else self.engine.kernel

    def _walk(self, start: Path, cut: Set[Path], limit: int | None) -> Iterator[tuple[int, bool]]:
        if self.layout.root.total == 0:
            return
        waiting = self.engine.waiting
        choices = self._choices = []
        deepest = max(map(len, cut), default=-1)
        whole = limit is None and () not in cut
        if not start and self._is_told(0, True, whole, limit):
            yield 0, True
            return
        levels = [self._children(0, start[:1], whole)]
        choices.append(-2)
        # How many of the choices are those that lead to the start.
        replayed = 0
        while levels:
            child = next(levels[-1], None)
            if child is None:
                levels.pop()
                choices.pop()
                continue
            choices[-1], i, own = child
            level = len(levels)
            replays = level < len(start) and replayed == level - 1 and choices[-1] == start[level - 1]
            replayed = level if replays else min(replayed, level - 1)
            whole = limit is None and (level > deepest or self.path not in cut)
            if not replays and (not own or (whole and not waiting[i]) or self._is_told(i, own, whole, limit)):
                yield i, own
            else:
                levels.append(self._children(i, start[level : level + 1] if replays else (), whole))
                choices.append(-2)

    def _is_told(self, i: int, own: bool, whole: bool, limit: int | None) -> bool:
        """Whether a node is an event, rather than a place to go down."""
        if i == self.layout.m:
            return True
        if not self.engine.waiting[i] and (whole or not self._worth_cutting(i)):
            return True
        return limit is not None and self.layout.root.count(self.engine.f, i, own) <= limit

    def _worth_cutting(self, i: int) -> bool:
        """Whether a node below which everything is canonical should have its children told one by one."""
        layout = self.layout
        return i < layout.m and layout.alphabets[layout.kind[i]].size <= _CUT_SIZE_MAX

    def _children(self, i: int, first: Path, whole: bool) -> Iterator[Child]:
        """The children of a node.

        Args:
            i: The first position not known.
            first: The first child to visit, if not the very first.
            whole: Whether several of them may be told of in one event.
        """
        node = self._set_of[i]
        if node is not None:
            return _items(self.engine, i, node, first[0] if first else -1, whole)
        choices: Iterable[int] = self._choices_at(i)
        if first:
            choices = [choice for choice in choices if choice >= first[0]]
        return _entries(self.engine, i, choices)

    def _choices_at(self, i: int) -> range | list[int]:
        """The entries that position ``i`` may have, after those before it."""
        layout, f = self.layout, self.engine.f
        entries = range(layout.alphabets[layout.kind[i]].size)
        order = self._order_of[i]
        if order is not None:
            used = set(f[order.start : i])
            return [entry for entry in entries if entry not in used]
        node = self._sized_of[i]
        if node is None:
            return entries
        if i < node.first:
            return range(max(0, node.size_max - node.size_min + 1))
        size = node.size_min + (f[node.start] if node.sized else 0)
        missing = size - f[node.first : i].count(0)
        return range(0 if missing else 1, 2 if missing < node.stop - i else 1)
