"""Addresses: every place in the tree of canonical prefixes has a number.

So that representatives can be made on many workers, the tree of :mod:`haydi.symmetry.orderly` is laid out along a
line of addresses ``[0, size)``, which can be cut anywhere. A node owns a run of addresses. Its children share
that run in the order in which they are visited: each *canonical* child gets as much as it has vectors below it,
canonical or not. That number is known without a search, and it is a good guess of the work to come, because
what is far from canonical has been left out on the way.

* Where everything is canonical, as it is without a USet, the address of an element is its rank.
* With ``size`` the number of all vectors, each node owns at least as many addresses as it has vectors below it,
  so that any two representatives can be parted. Fewer addresses are quicker to find, and leave some together.
* A node *stands at* its first address. Addresses grow in the order of paths, so "the first node that stands at or
  behind an address" (:meth:`Addresses.path`) turns a range of addresses into a range of paths, and neighbouring ranges
  into neighbouring ones: what is cut anywhere is the whole, each element once.

It depends on the layout alone which nodes there are and how many vectors are below them; so an address means the same
on every machine, whichever engine it uses.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

from haydi.symmetry.branching import Branching, Path, after
from haydi.symmetry.orderly import Look

__all__ = ["Addresses"]

#: So many nodes with their shares are remembered. Places that follow each other have most nodes in common.
_SHARES_MAX = 1 << 12


class _Shares(NamedTuple):
    """How a node's run is divided.

    Attributes:
        choices: The children, by the choices that lead to them.
        begins: The address at which each of them stands; None where all have the same share.
    """

    choices: Sequence[int]
    begins: Sequence[int] | None


class Addresses:
    """The addresses of the nodes of one tree.

    Args:
        branching: The choices of a layout.
        look: Looks at a node (see :class:`haydi.symmetry.orderly.Scout`).
        size: Number of addresses.

    >>> from haydi.domains import Subsets, USet
    >>> from haydi.symmetry.layout import Layout
    >>> from haydi.symmetry.orderly import Scout
    >>> from haydi.symmetry.watch import watch
    >>> n = USet(3, "n")
    >>> layout = Layout(Subsets(Subsets(n, 2)))
    >>> branching = Branching(layout)
    >>> addresses = Addresses(branching, Scout(branching, watch(layout)).look, layout.root.total)
    >>> [addresses.path(i) for i in range(8)]
    [(), (0,), (0, 0), (0, 1), (0, 1, 0), (0, 1, 2), (0, 1, 3), (0, 1, 3)]
    >>> addresses.start((0, 1)), addresses.path(8)
    (3, None)
    >>> addresses.between(1, 5)
    3
    """

    def __init__(self, branching: Branching, look: Callable[[Path], Look], size: int) -> None:
        self._branching = branching
        self._look = look
        self._size = size
        self._m = branching.layout.m
        self._f = [0] * self._m
        self._kept: dict[Path, _Shares] = {}

    def path(self, address: int) -> Path | None:
        """A bound between all nodes that stand before an address and all others; None when there are no others."""
        begin, end, i = 0, self._size, 0
        path: Path = ()
        if address >= end:
            return None
        while address > begin:
            shares = self._shares(path, i, begin, end)
            number = len(shares.choices)
            if shares.begins is not None:
                j = bisect_left(shares.begins, address)
            else:
                j = -((begin - address) * number // (end - begin))
            if j < number and self._begin(shares, j, begin, end) == address:
                return (*path, shares.choices[j])
            if j == 0:  # a leaf, or a node that no canonical vector is below
                return after(path)
            begin, end = self._begin(shares, j - 1, begin, end), self._begin(shares, j, begin, end)
            path = (*path, shares.choices[j - 1])
            i = self._branching.down(self._f, i, path[-1])
        return path

    def between(self, low: int, high: int) -> int:
        """An address in ``(low, high]`` at which a node stands high up in the tree: it is quick to find again."""
        begin, end, i = 0, self._size, 0
        path: Path = ()
        while high < end and begin <= low:
            shares = self._shares(path, i, begin, end)
            number = len(shares.choices)
            if not number:
                return high
            if shares.begins is not None:
                j = bisect_right(shares.begins, high) - 1
            else:
                j = min(number, -((begin - high - 1) * number // (end - begin))) - 1
            begin, end = self._begin(shares, j, begin, end), self._begin(shares, j + 1, begin, end)
            path = (*path, shares.choices[j])
            i = self._branching.down(self._f, i, path[-1])
        return high if high >= end else begin

    def start(self, path: Path) -> int:
        """The address at which a node stands."""
        begin, end, i = 0, self._size, 0
        for level, choice in enumerate(path):
            shares = self._shares(path[:level], i, begin, end)
            j = bisect_left(shares.choices, choice)
            begin, end = self._begin(shares, j, begin, end), self._begin(shares, j + 1, begin, end)
            i = self._branching.down(self._f, i, choice)
        return begin

    @staticmethod
    def _begin(shares: _Shares, j: int, begin: int, end: int) -> int:
        """Where the ``j``-th child stands; the end of the run for what follows the last one."""
        if j == len(shares.choices):
            return end
        if shares.begins is not None:
            return shares.begins[j]
        return begin + (end - begin) * j // len(shares.choices)

    def _shares(self, path: Path, i: int, begin: int, end: int) -> _Shares:
        """The shares of the node of a path, whose entries before position ``i`` are in ``f``."""
        known = self._kept.get(path)
        if known is None:
            if len(self._kept) >= _SHARES_MAX:
                self._kept.clear()
            known = self._kept[path] = self._divide(path, i, begin, end)
        return known

    def _divide(self, path: Path, i: int, begin: int, end: int) -> _Shares:
        if i == self._m:
            return _Shares((), ())
        branching, f = self._branching, self._f
        look = self._look(path)
        choices = branching.choices(f, i) if look.free else look.choices
        if not choices or branching.uniform(i):
            return _Shares(choices, None if choices else ())
        count = branching.layout.root.count
        below = [count(f, branching.down(f, i, choice)) for choice in choices]
        total = sum(below)
        return _Shares(
            choices, [begin + (end - begin) * before // total for before in accumulate(below[:-1], initial=0)]
        )
