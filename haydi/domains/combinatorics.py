"""Counting, ranking and cutting of selections and permutations, over indices alone.

A *selection* picks, out of ``n`` items, some in increasing order of their indices: a subset, or, where items
may be picked again, a multiset. Selections stand in **pre-order**: a selection comes right before those that
extend it, and of two that part ways at some place, the smaller index comes first::

    {}  {0}  {0,1}  {0,1,2}  {0,2}  {1}  {1,2}  {2}

Selections of one size alone are then in the order of ``itertools.combinations``. The order is that of a
tree: a node is a selection, its children add one index that is above (or, for multisets, not below) all
others.

Everything rests on one number: how many selections lie below a node through its children from ``x`` on. For
a node of size ``j`` with ``m`` candidates left that is a sum of binomials in ``m`` alone
(:meth:`SelectionTree.below`), so the steps before a child are a difference of two such numbers, and the
child that holds a step is found by bisection. No table, no enumeration: a domain of 2**200 subsets is
entered at any step at once.

:meth:`SelectionTree.blocks` cuts a range of steps into *blocks*, "this prefix, a range of children, and all
that is below them", at most three for each level of the tree. What fills a block runs at the speed of
itertools (see :mod:`haydi.domains.selections`), and a block whose prefix holds a rejected item is skipped in
one go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import comb, factorial
from typing import NamedTuple

__all__ = [
    "Block",
    "PermutationBlock",
    "SelectionTree",
    "permutation_blocks",
    "permutation_rank",
    "permutation_unrank",
    "subsets_count",
]


@lru_cache(maxsize=1 << 14)
def subsets_count(n: int, size_min: int, size_max: int) -> int:
    """Number of subsets of ``n`` items with at least ``size_min`` and at most ``size_max`` items.

    >>> subsets_count(5, 0, 5), subsets_count(5, 2, 2), subsets_count(5, 1, 3), subsets_count(2, 3, 4)
    (32, 10, 25, 0)
    """
    size_max = min(size_max, n)
    if size_min > size_max:
        return 0
    if 2 * (size_max - size_min) > n:
        # Most sizes take part: count the few that do not.
        return (1 << n) - _binomials(n, 0, size_min - 1) - _binomials(n, 0, n - size_max - 1)
    return _binomials(n, size_min, size_max)


def _binomials(n: int, first: int, last: int) -> int:
    if first > last:
        return 0
    term = total = comb(n, first)
    for k in range(first, last):
        term = term * (n - k) // (k + 1)
        total += term
    return total


class Block(NamedTuple):
    """A node and children of it with everything below them.

    Attributes:
        prefix: Indices of the node.
        own: Whether the node itself belongs to the block (it comes first).
        first: The first child.
        last: One more than the last child; ``first`` when there is none.
    """

    prefix: tuple[int, ...]
    own: bool
    first: int
    last: int


#: A node still to be cut: prefix, first candidate, and the steps ``[start, stop)`` counted from the node.
_Cut = tuple[tuple[int, ...], int, int, int]


class SelectionTree:
    """The tree of selections of ``size_min`` to ``size_max`` out of ``n`` items, in pre-order.

    Args:
        n: Number of items.
        size_min: Size of the smallest selections.
        size_max: Size of the largest selections; equal to ``size_min`` when ``repeat`` is set.
        repeat: Whether an item may be picked again.

    >>> tree = SelectionTree(3, 0, 3)
    >>> [tree.unrank(step) for step in range(tree.size)]
    [(), (0,), (0, 1), (0, 1, 2), (0, 2), (1,), (1, 2), (2,)]
    >>> tree.rank((1, 2))
    6
    """

    __slots__ = ("_gap", "n", "repeat", "size", "size_max", "size_min")

    def __init__(self, n: int, size_min: int, size_max: int, repeat: bool = False) -> None:
        assert 0 <= size_min <= size_max
        assert size_min == size_max or not repeat
        self.n = n
        self.size_min = size_min
        self.size_max = size_max
        self.repeat = repeat
        self._gap = 0 if repeat else 1
        self.size = self.below(0, n) + (size_min == 0)

    def below(self, depth: int, candidates: int) -> int:
        """Number of selections properly below a node of size ``depth`` that has so many candidates left."""
        size_max = self.size_max - depth
        if size_max <= 0 or candidates <= 0:
            return 0
        if self.repeat:
            return comb(candidates + size_max - 1, size_max)
        return subsets_count(candidates, max(self.size_min - depth, 1), min(size_max, candidates))

    def _child(self, depth: int, first: int, step: int) -> int:
        """The child that holds a step, counted from the beginning of child ``first``."""
        rest = self.below(depth, self.n - first) - step
        low, high = first, self.n
        while high - low > 1:
            middle = (low + high) // 2
            if self.below(depth, self.n - middle) >= rest:
                low = middle
            else:
                high = middle
        return low

    def unrank(self, step: int) -> tuple[int, ...]:
        """The selection at a step, ``0 <= step < size``."""
        indices: list[int] = []
        first = 0
        while True:
            if len(indices) >= self.size_min:
                if step == 0:
                    return tuple(indices)
                step -= 1
            depth = len(indices)
            child = self._child(depth, first, step)
            step -= self.below(depth, self.n - first) - self.below(depth, self.n - child)
            indices.append(child)
            first = child + self._gap

    def rank(self, indices: Sequence[int]) -> int:
        """The step of a selection; it must be one of this tree."""
        step = 0
        first = 0
        for depth, index in enumerate(indices):
            step += depth >= self.size_min
            step += self.below(depth, self.n - first) - self.below(depth, self.n - index)
            first = index + self._gap
        return step

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """Cut the steps ``[start, stop)`` into blocks, in order, at most three for each level of the tree.

        >>> list(SelectionTree(4, 2, 2).blocks(1, 6))
        [Block(prefix=(0,), own=False, first=2, last=4), Block(prefix=(), own=False, first=1, last=4)]
        """
        # An explicit stack: the tree is as deep as the selections are large.
        todo: list[Block | _Cut] = [((), 0, start, stop)]
        while todo:
            task = todo.pop()
            if isinstance(task, Block):
                yield task
            else:
                todo.extend(reversed(self._cut(*task)))

    def _cut(self, prefix: tuple[int, ...], first: int, start: int, stop: int) -> list[Block | _Cut]:
        """Cut steps of the node ``prefix`` into blocks, and at most two children to cut further."""
        if start >= stop:
            return []
        depth = len(prefix)
        own = False
        if depth >= self.size_min:
            own, start, stop = start == 0, max(start - 1, 0), stop - 1
        total = self.below(depth, self.n - first)
        if start == 0 and stop == total:
            return [Block(prefix, own, first, self.n)]
        parts: list[Block | _Cut] = []
        if own:
            parts.append(Block(prefix, True, first, first))
        if start >= stop:
            return parts
        left, right = self._child(depth, first, start), self._child(depth, first, stop - 1)
        left_from = total - self.below(depth, self.n - left)
        right_from = total - self.below(depth, self.n - right)
        right_to = total - self.below(depth, self.n - right - 1)
        if left == right and (start, stop) != (left_from, right_to):
            return [*parts, ((*prefix, left), left + self._gap, start - left_from, stop - left_from)]
        whole_first, whole_last = left, right + 1
        if start > left_from:
            left_to = total - self.below(depth, self.n - left - 1)
            parts.append(((*prefix, left), left + self._gap, start - left_from, left_to - left_from))
            whole_first = left + 1
        if stop < right_to:
            whole_last = right
        elif stop == total:
            # The last children may have nothing below them; a block up to the last item is filled faster.
            whole_last = self.n
        if whole_first < whole_last:
            parts.append(Block(prefix, False, whole_first, whole_last))
        if stop < right_to:
            parts.append(((*prefix, right), right + self._gap, 0, stop - right_from))
        return parts


class PermutationBlock(NamedTuple):
    """Permutations that begin with a prefix, go on with one of some items, and with the others in any order.

    Attributes:
        prefix: Indices that come first.
        rest: The other indices, increasing.
        first: Position in ``rest`` of the first item that may follow.
        last: One more than that of the last.
    """

    prefix: tuple[int, ...]
    rest: tuple[int, ...]
    first: int
    last: int


def permutation_unrank(n: int, step: int) -> tuple[int, ...]:
    """The permutation of ``range(n)`` at a step of their lexicographic order.

    >>> permutation_unrank(3, 4)
    (2, 0, 1)
    """
    digits = []
    for base in range(1, n + 1):
        step, digit = divmod(step, base)
        digits.append(digit)
    rest = list(range(n))
    return tuple(rest.pop(digit) for digit in reversed(digits))


def permutation_rank(permutation: Sequence[int]) -> int:
    """The step of a permutation of ``range(n)``.

    >>> permutation_rank((2, 0, 1))
    4
    """
    rest = list(range(len(permutation)))
    step = 0
    for index in permutation:
        position = rest.index(index)
        step = step * len(rest) + position
        del rest[position]
    return step


def permutation_blocks(n: int, start: int, stop: int) -> Iterator[PermutationBlock]:
    """Cut steps ``[start, stop)`` of the permutations of ``range(n)`` into blocks.

    >>> [(b.prefix, b.rest[b.first : b.last]) for b in permutation_blocks(3, 1, 6)]
    [((0,), (2,)), ((), (1, 2))]
    """
    todo: list[PermutationBlock | tuple[tuple[int, ...], tuple[int, ...], int, int, int]]
    todo = [((), tuple(range(n)), factorial(n), start, stop)]
    while todo:
        task = todo.pop()
        if isinstance(task, PermutationBlock):
            yield task
            continue
        prefix, rest, count, start, stop = task
        if start >= stop:
            continue
        if stop - start == count:
            yield PermutationBlock(prefix, rest, 0, len(rest))
            continue
        each = count // len(rest)
        left, left_start = divmod(start, each)
        right, right_stop = divmod(stop, each)
        if left == right:
            todo.append((*_descend(prefix, rest, left), each, left_start, right_stop))
            continue
        if right_stop:
            todo.append((*_descend(prefix, rest, right), each, 0, right_stop))
        whole_first = left + (left_start > 0)
        if whole_first < right:
            todo.append(PermutationBlock(prefix, rest, whole_first, right))
        if left_start:
            todo.append((*_descend(prefix, rest, left), each, left_start, each))


def _descend(
    prefix: tuple[int, ...], rest: tuple[int, ...], position: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (*prefix, rest[position]), rest[:position] + rest[position + 1 :]
