"""Kernel W: is a vector the least of its orbit, told while its entries become known one by one.

For each renaming ``g`` but the identity, ``g f`` is compared with ``f`` from the left. The comparison of
position ``p`` needs ``f[p]`` and ``f[src[p]]``, so it can go on when position ``max(p, src[p])`` becomes
known, and *waits* there until then. When it is looked at,

* ``(g f)[p] < f[p]``: the vector is not canonical, nor is any other one with this beginning;
* ``(g f)[p] > f[p]``: nothing that comes later can make ``g`` interesting again: it is dropped;
* they are equal: on to ``p + 1``, at once or later; past the last position ``g`` is an automorphism.

Most renamings are dropped after one or two comparisons, and where all are dropped, the rest of the vector is
free. To take an entry back, a *trail* says on which lists comparisons were put to wait; those that waited
before are still on theirs.

There are two kernels. :class:`MovingWatch` is for layouts where renamings move values too. Where they do not,
:class:`PlainWatch` sorts those who wait by the value they wait for. A comparison that waits on position
``k`` to compare it with a known value ``c`` is equal for ``f[k] == c`` alone; for all other values it either
refutes or is dropped, and which of the two depends on the side that ``c`` is on. So of all that wait, only
those that go on are looked at, and what refutes is seen by a list not being empty.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import chain
from typing import Any

from haydi.symmetry.layout import Layout
from haydi.symmetry.trie import Bundle, Parts, Single, Trie

__all__ = ["MovingWatch", "PlainWatch", "Watch", "watch"]

#: The trail of a position that nothing waited on; never written to.
_NOTHING: list[list[Any]] = []

#: For one position: what was put to wait on which lists, and how many more wait now than before.
_Kept = tuple[list[tuple[list[Any], Any]], int]


class Watch(ABC):
    """The comparisons of one vector with all its renamings.

    Args:
        layout: The layout.
        trie: Its renamings.

    Attributes:
        f: The vector. To go on, write ``f[i]`` and call ``advance(i)``.
        waiting: ``waiting[i]`` is the number of comparisons that wait on positions from ``i`` on. Where it
            is 0,
            any entries from ``i`` on make a canonical vector.
        kernel: The number of renamings that move nothing.
    """

    def __init__(self, layout: Layout, trie: Trie) -> None:
        self.m = layout.m
        self.kernel = trie.kernel
        self.f = [0] * layout.m
        self.waiting = [0] * (layout.m + 1)
        self.waiting[0] = len(trie.root.bundles) + len(trie.root.singles)
        self._trie = trie
        self._found = 0
        self._trails: list[list[list[Any]]] = [_NOTHING] * layout.m

    @property
    def automorphisms(self) -> int:
        """Number of renamings that leave the vector as it is; ask right after the last position was
        advanced.
        """
        return (self._found + 1) * self.kernel

    @abstractmethod
    def advance(self, i: int) -> bool:
        """Take notice of ``f[i]``; all positions before are known.

        Returns:
            Whether a canonical vector may begin so. If not, nothing has changed.
        """

    def retreat(self, i: int) -> None:
        """Take ``advance(i)`` back."""
        for waiting in self._trails[i]:
            waiting.pop()

    def settle(self, i: int) -> None:
        """Take notice that all entries from ``i`` on are 1, which no renaming still in play can change."""
        self.f[i:] = [1] * (self.m - i)
        self._trails[i:] = [_NOTHING] * (self.m - i)
        self._found = sum(self._asleep(k) for k in range(i, self.m))

    @abstractmethod
    def _asleep(self, k: int) -> int:
        """Number of renamings that wait on position ``k``."""

    def spine(self, start: int, stop: int) -> bool:
        """Leave out the items of a free Set from position ``start`` on; ``stop`` is the end of the Set.

        Returns:
            Whether a canonical vector may have the Set as it is then. If not, *no Set that extends it by
            later items is canonical either* (R. C. Read, Every one a winner, 1978), and nothing has changed.
        """
        self.f[start:stop] = [1] * (stop - start)
        for i in range(start, stop):
            if not self.waiting[i]:
                self._found = 0
                self._trails[i:stop] = [_NOTHING] * (stop - i)
                self.waiting[i + 1 : stop + 1] = [0] * (stop - i)
                return True
            if not self.advance(i):
                for j in range(i - 1, start - 1, -1):
                    self.retreat(j)
                return False
        return True

    def unwind(self, start: int, stop: int) -> list[_Kept]:
        """Take ``spine(start, stop)`` back, and keep what it came to."""
        kept: list[_Kept] = []
        for i in range(stop - 1, start - 1, -1):
            pairs = [(waiting, waiting.pop()) for waiting in reversed(self._trails[i])]
            pairs.reverse()
            kept.append((pairs, self.waiting[i + 1] - self.waiting[i]))
        return kept

    def exclude(self, kept: list[_Kept], i: int, stop: int) -> None:
        """Leave out the item at ``i`` as :meth:`spine` did, without comparing anything again."""
        self.f[i] = 1
        pairs, more = kept[stop - 1 - i]
        self.waiting[i + 1] = self.waiting[i] + more
        if pairs:
            self._trails[i] = [waiting for waiting, _ in pairs]
            for waiting, comparison in pairs:
                waiting.append(comparison)
        else:
            self._trails[i] = _NOTHING


def watch(layout: Layout, trie: Trie | None = None) -> Watch:
    """The kernel for a layout.

    Args:
        layout: The layout.
        trie: Its renamings, where they are at hand already; several kernels may work with one trie.

    >>> from haydi.domains import USet
    >>> kernel = watch(Layout(USet(9, "n") ** 3))
    >>> kernel.f[0] = 1
    >>> kernel.advance(0)
    False
    >>> kernel.f[0] = 0
    >>> kernel.advance(0), kernel.waiting[1]
    (True, 1)
    """
    renamings = trie or Trie(layout)
    return (PlainWatch if renamings.plain else MovingWatch)(layout, renamings)


class MovingWatch(Watch):
    """Kernel W for renamings that move values."""

    def __init__(self, layout: Layout, trie: Trie) -> None:
        super().__init__(layout, trie)
        self._singles: list[list[Single]] = [[] for _ in range(layout.m)]
        self._bundles: list[list[Bundle]] = [[] for _ in range(layout.m)]
        for q, bundle in trie.root.bundles:
            self._bundles[q].append(bundle)
        for q, single in trie.root.singles:
            self._singles[q].append(single)

    def advance(self, i: int) -> bool:
        self._found = 0
        singles, bundles = self._singles[i], self._bundles[i]
        if not singles and not bundles:
            self._trails[i] = _NOTHING
            self.waiting[i + 1] = self.waiting[i]
            return True
        trail = self._trails[i] = []
        if (bundles and not self._open(bundles, i, trail)) or (
            singles and not self._compare(singles, i, trail)
        ):
            self.retreat(i)
            return False
        self.waiting[i + 1] = self.waiting[i] - len(singles) - len(bundles) + len(trail)
        return True

    def _asleep(self, k: int) -> int:
        return len(self._singles[k]) + sum(len(bundle.rows) for bundle in self._bundles[k])

    def _compare(self, singles: list[Single], i: int, trail: list[list[Any]]) -> bool:
        """Go on with single renamings."""
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
                    trail.append(lists[k])
                    break
        return True

    def _open(self, bundles: list[Bundle], i: int, trail: list[list[Any]]) -> bool:
        """Go on with bundles, and with all that they fall into."""
        f = self.f
        todo = bundles.copy()
        loose: list[Single] = []
        while todo:
            bundle = todo.pop()
            a, b = f[bundle.q], f[bundle.p]
            if bundle.least is None:
                if a != b:
                    if a < b:
                        return False
                    continue
                a = b = 0
            elif bundle.least[a] < b:
                return False
            parts = bundle.parts.get((a, b)) or self._trie.past(bundle, a, b)
            p = bundle.p + 1
            for q, part in parts.bundles:
                k = q if q > p else p
                if k <= i:
                    todo.append(part)
                else:
                    self._bundles[k].append(part)
                    trail.append(self._bundles[k])
            for q, single in parts.singles:
                k = q if q > p else p
                if k <= i:
                    loose.append(single)
                else:
                    self._singles[k].append(single)
                    trail.append(self._singles[k])
            self._found += parts.automorphisms
        return not loose or self._compare(loose, i, trail)


class PlainWatch(Watch):
    """Kernel W for renamings that move positions only.

    Those that wait on position ``k``, whose alphabet has ``n`` values, wait on one of ``2 n + 1`` lists: on
    list ``c`` when ``f[k]`` is what the renaming will put against a known ``c``; on list ``n + c`` when
    ``f[k]`` is what a known ``c`` will be put against; on the last one when nothing is known yet, or
    ``f[k]`` meets itself.
    """

    def __init__(self, layout: Layout, trie: Trie) -> None:
        super().__init__(layout, trie)
        self._sizes = [layout.alphabets[kind].size for kind in layout.kind]
        self._singles: list[list[list[Single]]] = [[[] for _ in range(2 * n + 1)] for n in self._sizes]
        self._bundles: list[list[list[Bundle]]] = [[[] for _ in range(2 * n + 1)] for n in self._sizes]
        for q, bundle in trie.root.bundles:
            self._bundles[q][-1].append(bundle)
        for q, single in trie.root.singles:
            self._singles[q][-1].append(single)
        #: All lists of a position at once.
        self._lists: list[tuple[list[Any], ...]] = [
            (*bundles, *singles) for bundles, singles in zip(self._bundles, self._singles, strict=True)
        ]
        #: For the two values of a bit, the lists that refute it: there are few enough to be kept.
        self._refuting = [
            [self._refute(i, value) for value in range(n)] if n == 2 else None
            for i, n in enumerate(self._sizes)
        ]

    def _refute(self, i: int, value: int) -> list[list[Any]]:
        """The lists where something waits that makes the vector less, when ``f[i]`` is ``value``."""
        # From a known value that is greater than what it will be compared with, to one that is less.
        refuting = slice(value + 1, self._sizes[i] + value)
        return [*self._bundles[i][refuting], *self._singles[i][refuting]]

    def advance(self, i: int) -> bool:
        self._found = 0
        lists = self._lists[i]
        if not any(lists):
            self._trails[i] = _NOTHING
            self.waiting[i + 1] = self.waiting[i]
            return True
        value, n = self.f[i], self._sizes[i]
        kept = self._refuting[i]
        if any(self._refute(i, value) if kept is None else kept[value]):
            return False
        singles, bundles = self._singles[i], self._bundles[i]
        trail: list[list[Any]] = []
        self._trails[i] = trail
        opened = bundles[value] + bundles[n + value]
        alike = singles[value] + singles[n + value]
        if (bundles[-1] or singles[-1]) and not self._meet(i, opened, alike):
            return False
        if opened and not self._open(opened, alike, i, trail):
            self.retreat(i)
            return False
        if alike and not self._compare(alike, i, trail):
            self.retreat(i)
            return False
        done = sum([len(waiting) for waiting in lists])
        self.waiting[i + 1] = self.waiting[i] - done + len(trail)
        return True

    def _asleep(self, k: int) -> int:
        bundles = chain.from_iterable(self._bundles[k])
        return sum(map(len, self._singles[k])) + sum(len(bundle.rows) for bundle in bundles)

    def _meet(self, i: int, opened: list[Bundle], alike: list[Single]) -> bool:
        """Compare what had nothing known to be compared with, and add what is equal."""
        f = self.f
        for bundle in self._bundles[i][-1]:
            a, b = f[bundle.q], f[bundle.p]
            if a == b:
                opened.append(bundle)
            elif a < b:
                return False
        for single in self._singles[i][-1]:
            src, p, _ = single
            a, b = f[src[p]], f[p]
            if a == b:
                alike.append(single)
            elif a < b:
                return False
        return True

    def _compare(self, singles: list[Single], i: int, trail: list[list[Any]]) -> bool:
        """Go on with single renamings that are equal where they stand."""
        f, m, lists, sizes = self.f, self.m, self._singles, self._sizes
        for src, p, _ in singles:
            while True:
                p += 1
                if p == m:
                    self._found += 1
                    break
                q = src[p]
                if p > i:
                    # Only now p has come to what is not known.
                    waiting = lists[p][sizes[p] + f[q]] if q <= i else lists[q if q > p else p][-1]
                elif q > i:
                    waiting = lists[q][f[p]]
                else:
                    a, b = f[q], f[p]
                    if a == b:
                        continue
                    if a < b:
                        return False
                    break
                waiting.append((src, p, None))
                trail.append(waiting)
                break
        return True

    def _open(self, todo: list[Bundle], loose: list[Single], i: int, trail: list[list[Any]]) -> bool:
        """Go on with bundles that are equal where they stand, and all that they fall into."""
        f = self.f
        while todo:
            bundle = todo.pop()
            parts = bundle.parts.get((0, 0)) or self._trie.past(bundle, 0, 0)
            p = bundle.p + 1
            if p > i:
                self._found += parts.automorphisms
                self._put_to_wait(parts, p, i, trail)
                continue
            b = f[p]
            for q, part in parts.bundles:
                if q > i:
                    waiting = self._bundles[q][b]
                    waiting.append(part)
                    trail.append(waiting)
                elif f[q] == b:
                    todo.append(part)
                elif f[q] < b:
                    return False
            for q, single in parts.singles:
                if q > i:
                    alone = self._singles[q][b]
                    alone.append(single)
                    trail.append(alone)
                elif f[q] == b:
                    loose.append(single)
                elif f[q] < b:
                    return False
        return True

    def _put_to_wait(self, parts: Parts, p: int, i: int, trail: list[list[Any]]) -> None:
        """Let all parts wait that have come to ``p``, which is not known."""
        f = self.f
        for lists, some in ((self._bundles, parts.bundles), (self._singles, parts.singles)):
            table: Any = lists
            for q, part in some:
                waiting = table[p][self._sizes[p] + f[q]] if q <= i else table[max(p, q)][-1]
                waiting.append(part)
                trail.append(waiting)
