"""All renamings of a layout, as rows.

The symmetric group on ``k + 1`` atoms falls into ``k + 1`` cosets of that on ``k``, and the products of
adjacent swaps ``s_k``, ``s_k s_{k-1}``, ... are representatives of them. So each row costs one composition
of tables, done by ``operator.itemgetter`` in C; no object is ever renamed. Renamings that act alike are one
row.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import Any

from haydi.symmetry.layout import Layout, Row

__all__ = ["GroupRows"]

#: A row as a bare pair: there are many of them.
Pair = tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]


class GroupRows:
    """The renamings of a layout, each action once.

    Args:
        layout: The layout; its group should have some 50,000 elements at most.

    Attributes:
        rows: Pairs of ``src`` and ``vals``, without the identity.
        kernel: How many renamings act like the identity.

    >>> from haydi.domains import Subsets, USet
    >>> n = USet(4, "n")
    >>> group = GroupRows(Layout(Subsets(Subsets(n, 2))))
    >>> len(group.rows), group.kernel, GroupRows(Layout(Subsets(n, 4))).kernel
    (23, 1, 1)
    """

    def __init__(self, layout: Layout) -> None:
        identity: Pair = (layout.identity.src, layout.identity.vals)
        everything = [identity]
        for uset, size in zip(layout.usets, layout.sizes, strict=True):
            members = [identity]
            for k in range(size - 1):
                cosets = [_Factor(Row(*identity), layout)]
                for j in range(k, -1, -1):
                    swap = _Factor(layout.swap(uset, j, j + 1), layout)
                    cosets.append(_Factor(Row(*swap.after(cosets[-1].pair)), layout))
                members = [coset.after(one) for one in members for coset in cosets]
            factors = [_Factor(Row(*one), layout) for one in members] if len(everything) > 1 else []
            everything = [f.after(one) for one in everything for f in factors] if factors else members
        different = dict.fromkeys(everything)
        del different[identity]
        self.rows = list(different)
        self.kernel = len(everything) // (len(different) + 1)


class _Factor:
    """A row made ready to be applied after many others."""

    def __init__(self, row: Row, layout: Layout) -> None:
        self.pair: Pair = (row.src, row.vals)
        self._positions = _picker(row.src)
        self._vals = row.vals
        self._fixed = layout.fixed
        self._keep = [alphabet.fixed for alphabet in layout.alphabets]

    def after(self, pair: Pair) -> Pair:
        """The row of first ``pair``, then this one."""
        src, vals = pair
        if not self._fixed:
            vals = tuple(
                [
                    first if keep else tuple(map(then.__getitem__, first))
                    for first, then, keep in zip(vals, self._vals, self._keep, strict=True)
                ]
            )
        return self._positions(src), vals


def _picker(src: tuple[int, ...]) -> Callable[[tuple[int, ...]], tuple[Any, ...]]:
    """``itemgetter`` gives a bare item where it is asked for one, and refuses to be asked for none."""
    return itemgetter(*src) if len(src) > 1 else partial(_all, len(src))


def _all(count: int, entries: tuple[int, ...]) -> tuple[int, ...]:
    return entries[:count]
