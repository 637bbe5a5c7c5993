"""Kernel W: is a vector the least of its orbit, told while its entries become known one by one.

For each renaming ``g`` but the identity, ``g f`` is compared with ``f`` from the left. The comparison of
position ``p`` needs ``f[p]`` and ``f[src[p]]``, so it can go on when position ``max(p, src[p])`` becomes
known, and *waits* there until then. When it is looked at,

* ``(g f)[p] < f[p]``: the vector is not canonical, nor is any other one with this beginning;
* ``(g f)[p] > f[p]``: nothing that comes later can make ``g`` interesting again: it is dropped;
* they are equal: on to ``p + 1``, at once or later; past the last position ``g`` is an automorphism.

Most renamings are dropped after one or two comparisons, and where all are dropped, the rest of the vector is
free. To take an entry back, a *trail* says where comparisons went to sleep; they are taken out there, and
those that waited before are still in their lists.

Renamings whose ``src`` begins alike are compared alike as long as indices stay what they are; they share one
:class:`_Bundle`, which is split where they part (a trie of the ``src``, made while it is used). Where
renamings move indices too, a bundle falls into its rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from haydi.symmetry.group import GroupRows, Pair
from haydi.symmetry.layout import Layout

__all__ = ["Spine", "Watch"]

#: A renaming on its own: ``src``, the position to compare next, and the tables of its values for each
#: position.
Single = tuple[tuple[int, ...], int, Any]


class _Bundle:
    """Rows that share ``src[0] ... src[p]``, and have been equal before ``p``."""

    __slots__ = ("bundles", "p", "q", "rows", "singles")

    def __init__(self, rows: list[Pair], p: int) -> None:
        self.rows = rows
        self.p = p
        self.q = rows[0][0][p]
        #: What the bundle becomes past ``p``, with the positions it waits on; made when it is needed.
        self.bundles: list[tuple[int, _Bundle]] | None = None
        self.singles: list[tuple[int, Single]] = []


class Spine(NamedTuple):
    """What went to sleep when the items of a Set were left out one after another, for each of these
    positions.
    """

    singles: list[list[tuple[int, Single]]]
    bundles: list[list[tuple[int, _Bundle]]]


class Watch:
    """The comparisons of one vector with all its renamings.

    Args:
        layout: The layout.
        group: Its renamings, where they are at hand already.

    Attributes:
        f: The vector. To go on, write ``f[i]`` and call ``advance(i)``.
        waiting: ``waiting[i]`` is the number of comparisons that wait on positions from ``i`` on. Where it
            is 0, any
            entries from ``i`` on make a canonical vector.
        kernel: The number of renamings that move nothing.

    >>> from haydi.domains import USet
    >>> watch = Watch(Layout(USet(3, "n") ** 2))
    >>> watch.f[0] = 1
    >>> watch.advance(0)
    False
    >>> watch.f[0] = 0
    >>> watch.advance(0), watch.waiting[1]
    (True, 0)
    """

    def __init__(self, layout: Layout, group: GroupRows | None = None) -> None:
        group = group or GroupRows(layout)
        self.m = layout.m
        self.kernel = group.kernel
        self.f = [0] * layout.m
        self.waiting = [0] * (layout.m + 1)
        self._found = 0
        self._layout = layout
        self._plain = layout.fixed
        self._moving = [not layout.alphabets[kind].fixed for kind in layout.kind]
        self._singles: list[list[Single]] = [[] for _ in range(layout.m)]
        self._bundles: list[list[_Bundle]] = [[] for _ in range(layout.m)]
        self._trails: list[list[int]] = [[] for _ in range(layout.m)]
        self._bundle_trails: list[list[int]] = [[] for _ in range(layout.m)]
        bundles, singles = self._split(group.rows, 0)
        for k, bundle in bundles:
            self._bundles[k].append(bundle)
        for k, single in singles:
            self._singles[k].append(single)
        self.waiting[0] = len(bundles) + len(singles)

    @property
    def automorphisms(self) -> int:
        """Number of renamings that leave the vector as it is; ask right after the last position was
        advanced.
        """
        return (self._found + 1) * self.kernel

    def _split(self, rows: list[Pair], p: int) -> tuple[list[tuple[int, _Bundle]], list[tuple[int, Single]]]:
        """Rows by their ``src[p]``, as bundles and singles, each with the position it waits on."""
        parted: dict[int, list[Pair]] = {}
        for row in rows:
            parted.setdefault(row[0][p], []).append(row)
        bundles: list[tuple[int, _Bundle]] = []
        singles: list[tuple[int, Single]] = []
        for q in sorted(parted):
            some, k = parted[q], max(p, q)
            if len(some) == 1:
                singles.append((k, self._single(some[0], p)))
            else:
                bundles.append((k, _Bundle(some, p)))
        return bundles, singles

    def _single(self, row: Pair, p: int) -> Single:
        src, vals = row
        return (src, p, None if self._plain else [vals[kind] for kind in self._layout.kind])

    def advance(self, i: int) -> bool:
        """Take notice of ``f[i]``; all positions before are known.

        Returns:
            Whether a canonical vector may begin so. If not, nothing has changed.
        """
        trail: list[int] = []
        bundle_trail: list[int] = []
        self._trails[i] = trail
        self._bundle_trails[i] = bundle_trail
        self._found = 0
        singles, bundles = self._singles[i], self._bundles[i]
        compare = self._compare_plain if self._plain else self._compare
        if (bundles and not self._open(bundles, i, trail, bundle_trail)) or (
            singles and not compare(singles, i, trail)
        ):
            self.retreat(i)
            return False
        self.waiting[i + 1] = self.waiting[i] - len(singles) - len(bundles) + len(trail) + len(bundle_trail)
        return True

    def retreat(self, i: int) -> None:
        """Take ``advance(i)`` back."""
        lists: Any = self._singles
        for k in self._trails[i]:
            lists[k].pop()
        lists = self._bundles
        for k in self._bundle_trails[i]:
            lists[k].pop()

    def _compare_plain(self, singles: list[Single], i: int, trail: list[int]) -> bool:
        """Go on with single rows that move positions only."""
        f, m, lists = self.f, self.m, self._singles
        for src, p, _ in singles:
            q = src[p]
            while True:
                a, b = f[q], f[p]
                if a != b:
                    if a < b:
                        return False
                    break
                p += 1
                if p == m:
                    self._found += 1
                    break
                q = src[p]
                k = q if q > p else p
                if k > i:
                    lists[k].append((src, p, None))
                    trail.append(k)
                    break
        return True

    def _compare(self, singles: list[Single], i: int, trail: list[int]) -> bool:
        """Go on with single rows that move indices too."""
        f, m, lists = self.f, self.m, self._singles
        for src, p, vals in singles:
            q = src[p]
            while True:
                a, b = vals[p][f[q]], f[p]
                if a != b:
                    if a < b:
                        return False
                    break
                p += 1
                if p == m:
                    self._found += 1
                    break
                q = src[p]
                k = q if q > p else p
                if k > i:
                    lists[k].append((src, p, vals))
                    trail.append(k)
                    break
        return True

    def _open(self, bundles: list[_Bundle], i: int, trail: list[int], bundle_trail: list[int]) -> bool:
        """Go on with bundles, and with all that they fall into."""
        f, moving = self.f, self._moving
        todo = bundles.copy()
        loose: list[Single] = []
        while todo:
            bundle = todo.pop()
            p = bundle.p
            if moving[p]:
                if bundle.bundles is None:
                    bundle.bundles = []
                    bundle.singles = [(0, self._single(row, p)) for row in bundle.rows]
                loose.extend([single for _, single in bundle.singles])
                continue
            a, b = f[bundle.q], f[p]
            if a != b:
                if a < b:
                    return False
                continue
            parts = bundle.bundles
            if parts is None:
                parts, bundle.singles = self._split(bundle.rows, p + 1)
                bundle.bundles, bundle.rows = parts, []
            for k, part in parts:
                if k <= i:
                    todo.append(part)
                else:
                    self._bundles[k].append(part)
                    bundle_trail.append(k)
            for k, single in bundle.singles:
                if k <= i:
                    loose.append(single)
                else:
                    self._singles[k].append(single)
                    trail.append(k)
        return not loose or (self._compare_plain if self._plain else self._compare)(loose, i, trail)

    def spine(self, start: int, stop: int) -> bool:
        """Leave out the items of a free Set from position ``start`` on; ``stop`` is the end of the Set.

        Returns:
            Whether a canonical vector may have the Set as it is then. If not, *no Set that extends it by
            later items is canonical either* (R. C. Read, Every one a winner, 1978), and nothing has changed.
        """
        f = self.f
        f[start:stop] = [1] * (stop - start)
        for i in range(start, stop):
            if not self.waiting[i]:
                self._found = 0
                for j in range(i, stop):
                    self._trails[j], self._bundle_trails[j] = [], []
                    self.waiting[j + 1] = 0
                return True
            if not self.advance(i):
                for j in range(i - 1, start - 1, -1):
                    self.retreat(j)
                return False
        return True

    def unwind(self, start: int, stop: int) -> Spine:
        """Take ``spine(start, stop)`` back, and keep what it came to."""
        kept = Spine([], [])
        for i in range(stop - 1, start - 1, -1):
            singles, bundles = self._singles, self._bundles
            kept.singles.append([(k, singles[k].pop()) for k in reversed(self._trails[i])])
            kept.bundles.append([(k, bundles[k].pop()) for k in reversed(self._bundle_trails[i])])
        return kept

    def exclude(self, kept: Spine, i: int, stop: int) -> None:
        """Leave out the item at ``i`` as :meth:`spine` did, without comparing anything again."""
        self.f[i] = 1
        singles, bundles = kept.singles[stop - 1 - i], kept.bundles[stop - 1 - i]
        for k, single in reversed(singles):
            self._singles[k].append(single)
        for k, bundle in reversed(bundles):
            self._bundles[k].append(bundle)
        self._trails[i] = [k for k, _ in reversed(singles)]
        self._bundle_trails[i] = [k for k, _ in reversed(bundles)]
        asleep = len(singles) + len(bundles)
        self.waiting[i + 1] = self.waiting[i] - len(self._singles[i]) - len(self._bundles[i]) + asleep
