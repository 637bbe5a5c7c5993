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
:meth:`Walk.prefixes` lists the paths of some depth, which are places to cut; a walk that is told of them
gives no event that reaches over a cut, so that the events of the piece between two of them are those with a
path between the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
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

    def spine(self, start: int, stop: int) -> bool:
        """Leave out all items at ``[start, stop)``; as ``advance``."""

    def unwind(self, start: int, stop: int) -> Any:
        """Take ``spine`` back; what is returned is for ``exclude``."""

    def exclude(self, kept: Any, i: int, stop: int) -> None:
        """Leave out the item at ``i``, which ``spine`` has done before."""


class _Frame:
    """A node of the tree whose children are being visited.

    Attributes:
        i: The first position that is not known.
        choice: The child that is being visited.
        own: Whether the event of that child would include the end of the Set.
        replays: Whether this node lies on the path to the start.
    """

    __slots__ = ("_applied", "choice", "engine", "i", "own", "replays")

    def __init__(self, engine: Engine, i: int, replays: bool) -> None:
        self.engine = engine
        self.i = i
        self.replays = replays
        self.own = True
        self.choice = -2
        self._applied = False

    def next(self) -> int:
        """Go to the next child: the first position not known there, or -1 when there is no other one."""
        raise NotImplementedError


class _EntryFrame(_Frame):
    """A choice among the entries of one position."""

    __slots__ = ("_entries",)

    def __init__(self, engine: Engine, i: int, replays: bool, entries: Iterator[int]) -> None:
        super().__init__(engine, i, replays)
        self._entries = entries

    def next(self) -> int:
        engine, i = self.engine, self.i
        if self._applied:
            engine.retreat(i)
            self._applied = False
        for entry in self._entries:
            engine.f[i] = entry
            if engine.advance(i):
                self._applied = True
                self.choice = entry
                return i + 1
        return -1


class _SetFrame(_Frame):
    """A choice of the next item of a free Set: its position, or -1 for none.

    The end of the Set is tried first. When its walk is over, the comparisons it has caused are kept, and the
    items are left out again one by one while later items are tried.

    Args:
        node: The Set.
        inside: Number of items it has.
        first: The first choice to be made.
        whole: Whether several children may be told of in one event.
    """

    __slots__ = ("_at", "_ends", "_first", "_kept", "_last", "_node", "_phase", "_whole")

    def __init__(
        self,
        engine: Engine,
        i: int,
        replays: bool,
        node: SetNode,
        inside: int,
        first: int,
        whole: bool,
    ) -> None:
        super().__init__(engine, i, replays)
        self._node = node
        self._first = first
        self._ends = first == -1 and inside >= node.size_min
        # An item at j leaves stop - j - 1 that may follow, and the Set must come to its smallest size.
        enough = node.stop - max(0, node.size_min - inside)
        self._last = enough if inside < node.size_max else -1
        self._whole = whole
        self._phase = 0
        self._kept: Any = None
        self._at = i

    def next(self) -> int:
        if self._phase == 0:
            self._phase = 1
            if not self.engine.spine(self.i, self._node.stop):
                self._phase = 3
                return -1
            if self._ends:
                self.choice = -1
                return self._node.stop
        if self._phase == 1:
            self._kept = self.engine.unwind(self.i, self._node.stop)
            self._phase = 2
        return self._next_item() if self._phase == 2 else -1

    def _next_item(self) -> int:
        engine, at, stop = self.engine, self._at, self._node.stop
        if self._applied:
            engine.retreat(at)
            self._applied = False
            engine.exclude(self._kept, at, stop)
            at += 1
        while at < stop and at <= self._last:
            if at >= self._first:
                self.choice = at
                if not engine.waiting[at] and self._whole and at > self.i:
                    self.own = False
                    self._last = -1
                    self._at = at
                    return at
                engine.f[at] = 0
                if engine.advance(at):
                    self._applied = True
                    self._at = at
                    return at + 1
            engine.exclude(self._kept, at, stop)
            at += 1
        self._finish(at)
        return -1

    def _finish(self, at: int) -> None:
        for j in range(at - 1, self.i - 1, -1):
            self.engine.retreat(j)
        self._phase = 3


class Walk:
    """Depth-first walks over the canonical prefixes of a layout.

    Args:
        layout: The layout.
        engine: What tells canonical prefixes; it is left as it was found, unless a walk is given up half-way.

    Attributes:
        path: The path of the last event.

    >>> from haydi.domains import Subsets, USet
    >>> from haydi.symmetry.watch import Watch
    >>> n = USet(3, "n")
    >>> layout = Layout(Subsets(n * n, 0, 2))
    >>> walk = Walk(layout, Watch(layout))
    >>> sum(layout.root.count(walk.engine.f, i, own) for i, own in walk.events())
    11
    >>> list(walk.prefixes(1)), len(list(walk.prefixes(2)))
    ([(-1,), (0,), (1,), (3,)], 13)
    """

    def __init__(self, layout: Layout, engine: Engine) -> None:
        self.layout = layout
        self.engine = engine
        self.path: Path = ()
        self._set_of: list[SetNode | None] = [None] * (layout.m + 1)
        self._sized_of: list[SetNode | None] = [None] * (layout.m + 1)
        self._order_of: list[OrderNode | None] = [None] * (layout.m + 1)
        for node in layout.sets:
            of = self._set_of if node.free else self._sized_of
            of[node.start : node.stop] = [node] * (node.stop - node.start)
        for order in layout.orders:
            self._order_of[order.start : order.stop] = [order] * (order.stop - order.start)

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

    def prefixes(self, depth: int) -> Iterator[Path]:
        """Paths of so many choices, and shorter ones that lead to a whole vector, in order.

        What lies below them is everything, each once; below some there may be nothing.
        """
        return (self.path for _ in self._walk((), frozenset(), depth))

    def automorphisms(self, i: int, own: bool) -> int:
        """Number of renamings that leave the vectors of an event as they are: the same for all of them."""
        return self.engine.automorphisms if own and i == self.layout.m else self.engine.kernel

    def _walk(self, start: Path, cut: Set[Path], depth: int | None) -> Iterator[tuple[int, bool]]:
        waiting = self.engine.waiting
        if self.layout.root.total == 0:
            return
        self.path = ()
        if not waiting[0] and not start and () not in cut and not (depth and self._worth_cutting(0)):
            yield 0, True
            return
        if depth == 0:
            yield 0, True
            return
        frames = [self._frame(0, start[:1], () not in cut and depth is None)]
        while frames:
            frame = frames[-1]
            i = frame.next()
            if i < 0:
                frames.pop()
                continue
            level = len(frames)
            path = tuple([above.choice for above in frames])
            replays = frame.replays and level < len(start) and frame.choice == start[level - 1]
            whole = depth is None and path not in cut
            if waiting[i] or replays:
                told = level == depth
            else:
                told = not frame.own or whole or i == self.layout.m or level == depth
                told = told or (depth is not None and not self._worth_cutting(i))
            if told:
                self.path = path
                yield i, frame.own
            else:
                frames.append(self._frame(i, start[level : level + 1] if replays else (), whole))

    def _worth_cutting(self, i: int) -> bool:
        """Whether a node below which everything is canonical should have its children told one by one."""
        layout = self.layout
        return i < layout.m and layout.alphabets[layout.kind[i]].size <= _CUT_SIZE_MAX

    def _frame(self, i: int, first: Path, whole: bool) -> _Frame:
        """The children of a node.

        Args:
            i: The first position not known.
            first: The first child to visit, if not the very first.
            whole: Whether several of them may be told of in one event.
        """
        engine = self.engine
        replays = bool(first)
        node = self._set_of[i]
        if node is not None:
            inside = engine.f[node.start : i].count(0)
            return _SetFrame(engine, i, replays, node, inside, first[0] if first else -1, whole)
        entries = self._entries(i)
        chosen = [entry for entry in entries if entry >= first[0]] if first else entries
        return _EntryFrame(engine, i, replays, iter(chosen))

    def _entries(self, i: int) -> range | list[int]:
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
