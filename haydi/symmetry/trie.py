"""All renamings of a layout, in bundles of those that look at the same things first.

Kernel W (:mod:`haydi.symmetry.watch`) compares ``g f`` with ``f`` position by position, for each renaming
``g``. Renamings whose ``src`` begins alike, and that have done the same to the values so far, are compared
alike. They share one :class:`Bundle`, which is split where they part; so bundles make a trie. It is built
while it is used, since most of it never is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from haydi.symmetry.group import GroupRows, Pair
from haydi.symmetry.layout import Layout

__all__ = ["Bundle", "Parts", "Single", "Trie"]

#: A renaming on its own: ``src``, the position to compare next, and the tables of its values for each
#: position.
Single = tuple[tuple[int, ...], int, Any]


class Bundle:
    """Rows that share ``src[0] ... src[p]``, and have been equal before ``p``.

    Attributes:
        p: The position to compare next.
        q: The position that the entry there comes from.
        least: For each value at ``q`` the least one that a row makes of it; None where values stay what they
            are. parts: What the bundle becomes past ``p``, for each value at ``q`` and each one at ``p``;
            see
            :meth:`Trie.past`.
    """

    __slots__ = ("least", "p", "parts", "q", "rows")

    def __init__(self, rows: list[Pair], p: int) -> None:
        self.rows = rows
        self.p = p
        self.q = rows[0][0][p]
        self.least: list[int] | None = None
        self.parts: dict[tuple[int, int], Parts] = {}


class Parts(NamedTuple):
    """Rows, parted by the position that they look at next.

    Attributes:
        bundles: Pairs of this position and the rows, where there are several.
        singles: Pairs of this position and the row, where there is one.
        automorphisms: How many rows have nothing left to look at.
    """

    bundles: list[tuple[int, Bundle]]
    singles: list[tuple[int, Single]]
    automorphisms: int


class Trie:
    """The renamings of a layout.

    Args:
        layout: The layout; its group should have some 50,000 elements at most.

    Attributes:
        root: All renamings but those that move nothing.
        kernel: How many of these there are.
        plain: Whether renamings leave all values as they are.

    >>> from haydi.domains import Subsets, USet
    >>> n = USet(4, "n")
    >>> trie = Trie(Layout(Subsets(Subsets(n, 2))))
    >>> [(q, len(bundle.rows)) for q, bundle in trie.root.bundles]
    [(0, 3), (1, 4), (2, 4), (3, 4), (4, 4), (5, 4)]
    """

    def __init__(self, layout: Layout) -> None:
        group = GroupRows(layout)
        self.kernel = group.kernel
        self.plain = layout.fixed
        self._m = layout.m
        self._kind = layout.kind
        self._fixed = [alphabet.fixed for alphabet in layout.alphabets]
        self.root = self.split(group.rows, 0)

    def split(self, rows: list[Pair], p: int) -> Parts:
        """Rows that are equal before ``p``, parted."""
        if p == self._m:
            return Parts([], [], len(rows))
        parted: dict[int, list[Pair]] = {}
        for row in rows:
            parted.setdefault(row[0][p], []).append(row)
        bundles: list[tuple[int, Bundle]] = []
        singles: list[tuple[int, Single]] = []
        for q in sorted(parted):
            some = parted[q]
            if len(some) == 1:
                src, vals = some[0]
                singles.append((q, (src, p, None if self.plain else [vals[kind] for kind in self._kind])))
            else:
                bundles.append((q, self._bundle(some, p)))
        return Parts(bundles, singles, 0)

    def _bundle(self, rows: list[Pair], p: int) -> Bundle:
        made = Bundle(rows, p)
        kind = self._kind[p]
        if not self._fixed[kind]:
            made.least = list(map(min, zip(*[vals[kind] for _, vals in rows], strict=True)))
        return made

    def past(self, bundle: Bundle, a: int, b: int) -> Parts:
        """Those rows of a bundle that make ``b`` of ``a``, past its position.

        Where values stay what they are, call it with ``0, 0``: the rows are the same for all values.
        """
        rows, p = bundle.rows, bundle.p
        if bundle.least is not None:
            kind = self._kind[p]
            rows = [row for row in rows if row[1][kind][a] == b]
        made = bundle.parts[a, b] = self.split(rows, p + 1)
        return made
