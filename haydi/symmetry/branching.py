"""Choices: how a vector is written on the way down the tree of prefixes, as far as the layout alone tells.

A walk (:mod:`haydi.symmetry.orderly`) goes down by *choices*, and a node is named by the choices that lead to it, a
*path*:

* at most positions the choice is the entry;
* in a free Set the choice is the position of the next item, or -1: no more items. So a Set comes right
  before those that extend it by later items. A Set that is not canonical by itself has no canonical
  extension by later items (Read, 1978; Faradzev, 1978), so the walk asks first whether the Set could end
  where it is.

So the visiting order of nodes is the lexicographic order of their paths.
"""

from __future__ import annotations

from collections.abc import Sequence

from haydi.symmetry.layout import Layout
from haydi.symmetry.structure import OrderNode, SetNode

__all__ = ["Branching", "Path", "after"]

#: The choices from the root to a node.
Path = tuple[int, ...]


def after(path: Path) -> Path | None:
    """The bound between what is below a node and what comes after it; None when nothing can.

    >>> after((3, -1)), after(())
    ((3, 0), None)
    """
    return (*path[:-1], path[-1] + 1) if path else None


class Branching:
    """The choices at each position, as far as the layout alone tells.

    Args:
        layout: The layout.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._set_of: list[SetNode | None] = [None] * (layout.m + 1)
        self._sized_of: list[SetNode | None] = [None] * (layout.m + 1)
        self._order_of: list[OrderNode | None] = [None] * (layout.m + 1)
        for node in layout.sets:
            of = self._set_of if node.free else self._sized_of
            of[node.start : node.stop] = [node] * (node.stop - node.start)
        for order in layout.orders:
            self._order_of[order.start : order.stop] = [order] * (order.stop - order.start)

    def free_set(self, i: int) -> SetNode | None:
        """The free Set that position ``i`` is a bit of."""
        return self._set_of[i]

    def uniform(self, i: int) -> bool:
        """Whether all choices at position ``i`` have the same number of vectors below them."""
        return self._set_of[i] is None and self._sized_of[i] is None

    def items(self, f: Sequence[int], i: int, node: SetNode) -> tuple[bool, range]:
        """Whether a free Set may end at position ``i``, and where its next item may be."""
        inside = f[node.start : i].count(0)
        # Past an item at j there are stop - j - 1 others, and the Set must come to its smallest size.
        last = node.stop - max(1, node.size_min - inside) if inside < node.size_max else -1
        return inside >= node.size_min, range(i, last + 1)

    def entries(self, f: Sequence[int], i: int) -> Sequence[int]:
        """The entries that position ``i`` may have, after those before it; not inside of a free Set."""
        entries = range(self.layout.alphabets[self.layout.kind[i]].size)
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

    def choices(self, f: Sequence[int], i: int) -> Sequence[int]:
        """All choices at position ``i``, canonical or not."""
        node = self._set_of[i]
        if node is None:
            return self.entries(f, i)
        ends, items = self.items(f, i, node)
        return [-1, *items] if ends else items

    def down(self, f: list[int], i: int, choice: int) -> int:
        """Write what a choice at position ``i`` says; returns the next position."""
        node = self._set_of[i]
        if node is None:
            f[i] = choice
            return i + 1
        if choice < 0:
            f[i : node.stop] = [1] * (node.stop - i)
            return node.stop
        f[i:choice] = [1] * (choice - i)
        f[choice] = 0
        return choice + 1
