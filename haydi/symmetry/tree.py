"""The tree of canonical prefixes of one layout, by addresses, whoever walks through it: C, or Python.

Everything is asked for by ranges of addresses (:mod:`haydi.symmetry.addresses`), and is the same either way: the C
kernel only gives many vectors at once (:mod:`haydi.symmetry.kernel`). Walks are kept where they stopped, because most
often somebody goes on there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

from haydi.symmetry import kernel
from haydi.symmetry.addresses import Addresses
from haydi.symmetry.branching import Branching, Path
from haydi.symmetry.layout import Layout
from haydi.symmetry.orderly import Engine, Look, Scout, Walk
from haydi.symmetry.trie import Trie
from haydi.symmetry.watch import watch

if TYPE_CHECKING:
    from haydi.symmetry._kernel import Search

__all__ = ["Batch", "Tree", "Walker"]

#: Groups up to this order are looked at renaming by renaming, in Python.
ROWS_MAX = 50_000

#: More addresses than that are not given out: nobody could go through them. Up to there each class has its own.
_ADDRESSES_MAX = 1 << 64

#: Vectors in the first batch, and at most: who wants only the first ones should not wait for more.
_BATCH_FIRST = 16
_BATCH_MOST = 4096

#: Walks that are kept. There are several only while several generators are gone through at once.
_WALKS_MAX = 4


class Walker(Protocol):
    """A walk in C or in Python; see :class:`haydi.symmetry.orderly.Walk`."""

    @property
    def f(self) -> Sequence[int]:
        """The vector of the last event."""

    @property
    def path(self) -> Path:
        """The path of the last event."""

    def seek(self, path: Path, /) -> None:
        """Go to a place."""

    def next(self, stop: Path | None, /) -> tuple[int, bool] | None:
        """The next event before a bound."""

    def automorphisms(self, i: int, own: bool, /) -> int:
        """Number of renamings that leave the vectors of an event as they are."""


class Batch(NamedTuple):
    """Events, one after another.

    Attributes:
        vectors: Whole vectors.
        automorphisms: For each of them the number of renamings that leave it as it is.
        walk: Where the walk stands.
        lump: An event that stands for several vectors and comes behind the others, or None.
    """

    vectors: Sequence[Sequence[int]]
    automorphisms: Sequence[int]
    walk: Walker
    lump: tuple[int, bool] | None


class Tree:
    """The canonical prefixes of a layout.

    Args:
        layout: The layout.

    Attributes:
        layout: As given.
        size: Number of addresses.

    >>> from haydi.domains import Subsets, USet
    >>> tree = Tree(Layout(Subsets(Subsets(USet(4, "n"), 2))))
    >>> tree.size, tree.count(0, tree.size), tree.count(10, 20)
    (64, 11, 1)
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.size = min(layout.root.total, _ADDRESSES_MAX)
        self._branching = Branching(layout)
        #: Walks that nobody uses, with the address at which each stands, if that is known.
        self._idle: list[tuple[int | None, Walker | Search]] = []

    @cached_property
    def addresses(self) -> Addresses:
        """Where things are."""
        search = kernel.search(self.layout)
        if search is None:
            return Addresses(self._branching, Scout(self._branching, self._engine()).look, self.size)
        self._idle.append((None, search))  # it looks around without moving
        return Addresses(self._branching, lambda path: Look(*search.look(path)), self.size)

    @cached_property
    def _trie(self) -> Trie:
        return Trie(self.layout)

    def _engine(self) -> Engine:
        if self.layout.group_order <= ROWS_MAX:
            return watch(self.layout, self._trie)
        from haydi.symmetry.tester import Tester

        return Tester(self.layout)

    def events(self, start: int, stop: int) -> Iterator[tuple[Walker, int, bool]]:
        """The events of a range of addresses, one by one."""
        walk, bound = self._walk(start), self._bound(stop)
        at = None
        try:
            while walk is not None and (event := walk.next(bound)) is not None:
                yield walk, *event
            at = stop
        finally:
            self._leave(at, walk)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """The events of a range of addresses."""
        m = self.layout.m
        if not kernel.is_in_c(self._walker()):
            for walk, i, own in self.events(start, stop):
                if i == m:
                    yield Batch((walk.f,), (walk.automorphisms(i, own),), walk, None)
                else:
                    yield Batch((), (), walk, (i, own))
            return
        search, bound = self._walk(start), self._bound(stop)
        at, limit, over = None, _BATCH_FIRST, search is None
        try:
            while not over:
                assert kernel.is_in_c(search)
                flat, automorphisms, lump, over = search.run(bound, limit)
                limit = min(4 * limit, _BATCH_MOST)
                number = len(automorphisms)
                entries = flat if isinstance(flat, bytes) else flat.tolist()
                vectors = [entries[k : k + m] for k in range(0, m * number, m)] if m else [b""] * number
                yield Batch(vectors, automorphisms, search, lump)
            at = stop
        finally:
            self._leave(at, search)

    def count(self, start: int, stop: int) -> int:
        """Number of vectors in a range of addresses."""
        root, m = self.layout.root, self.layout.m
        if not kernel.is_in_c(self._walker()):
            return sum(
                1 if i == m else root.count(walk.f, i, own) for walk, i, own in self.events(start, stop)
            )
        search, bound = self._walk(start), self._bound(stop)
        found, at, over = 0, None, search is None
        try:
            while not over:
                assert kernel.is_in_c(search)
                number, _, lump, over = search.count(bound)
                found += number
                if lump is not None:
                    found += root.count(search.f, *lump)
            at = stop
        finally:
            self._leave(at, search)
        return found

    # ---- walks -------------------------------------------------------------------------------------------

    def _walker(self) -> Walker | Search:
        """One of the walks; there is at least one that nobody uses afterwards."""
        if not self._idle:
            made = kernel.search(self.layout) or Walk(self._branching, self._engine())
            self._idle.append((None, made))
        return self._idle[-1][1]

    def _walk(self, start: int) -> Walker | Search | None:
        """Take a walk that stands at an address; None when nothing comes there."""
        for number, (at, walk) in enumerate(self._idle):
            if at == start:
                del self._idle[number]
                return walk
        path = self.addresses.path(start) if start else ()
        if path is None:
            return None
        self._walker()
        _, walk = self._idle.pop()
        walk.seek(path)
        return walk

    def _bound(self, stop: int) -> Path | None:
        return self.addresses.path(stop) if stop < self.size else None

    def _leave(self, at: int | None, walk: Walker | Search | None) -> None:
        if walk is not None and len(self._idle) < _WALKS_MAX:
            self._idle.append((at, walk))
