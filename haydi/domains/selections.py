"""What Subsets and UnorderedProduct share: selections out of a domain, filled in at the speed of itertools.

:class:`~haydi.domains.combinatorics.SelectionTree` says where each selection stands and cuts ``[start,
stop)`` into blocks of indices. This module turns blocks into tuples of elements. It has two ways:

* **From a pool**, where the inner domain is small enough to be kept as a tuple. Selections of one size are
  ``itertools.combinations`` of a tail of the pool. Where sizes are mixed, a Python loop walks over the upper
  part of the tree only; everything below is a slice of a *tail table*, all selections out of the last few
  items (some thousand tuples), with the node put in front of each by ``map(add, repeat(node), table)``. Since
  selections stand in pre-order, those out of fewer last items are the end of the same table.
* **As a stream**, where it is too large for that: the last index runs through ``inner.elements(...)``, only
the
  indices before it are looked up one by one.

Filters: the tree counts all items of the inner domain, so a step keeps its number whatever is rejected. A
block whose prefix holds a rejected item is dropped whole, and pools hold accepted items only.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, combinations, combinations_with_replacement, count, islice, repeat
from operator import add, lt
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from haydi.domains.combinatorics import Block, SelectionTree, subsets_count
from haydi.domains.domain import POOL_SIZE_MAX, Domain
from haydi.errors import ArgumentTypeError, ArgumentValueError, SkippedStepError, UnknownSizeError
from haydi.order import sort_key

if TYPE_CHECKING:
    from random import Random

__all__ = ["Selections", "TailTables", "accepted_items", "require_size", "strictly_increasing"]

T = TypeVar("T")
R = TypeVar("R")

#: One table costs some 0.2 ms, once; a thousand tuples are enough to make the loop above them not felt.
_TABLE_SIZE_MAX = 1 << 10


def require_size(argument: str, domain: Domain[Any], user: str) -> int:
    """The size of an inner domain, or an error that names the argument and tells what to do.

    >>> from haydi.domains.elementary import Range
    >>> require_size("domain", Range(3), "Subsets")
    3
    """
    size = domain.size
    if size is None:
        raise UnknownSizeError(
            f"{user} needs a {argument} of known size, not {domain!r}; "
            f"materialize it with {argument}.to_values(), or give it a size"
        )
    return size


def accepted_items(domain: Domain[T]) -> tuple[Sequence[int], tuple[T, ...]]:
    """Steps and elements of the accepted items of a domain of known and moderate size."""
    size = domain._known_size()
    if not domain.filtered:
        return range(size), tuple(domain._elements(0, size))
    accepted = list(_stepwise(domain, 0, size))
    return [step for step, _ in accepted], tuple(item for _, item in accepted)


def _stepwise(domain: Domain[T], start: int, stop: int) -> Iterator[tuple[int, T]]:
    """Pairs of step and element, rejected steps left out."""
    if not domain.filtered:
        yield from zip(count(start), domain._elements(start, stop), strict=False)
        return
    for step in iter(range(start, stop)):
        for item in domain._elements(step, step + 1):
            yield step, item


def strictly_increasing(items: Iterable[object]) -> bool:
    """Whether these are basic objects, each before the next in the order of basic objects."""
    try:
        keys = list(map(sort_key, items))
    except ArgumentTypeError:
        return False
    return all(map(lt, keys, keys[1:]))


def _joined(chunks: Iterator[Iterable[T]]) -> Iterator[T]:
    """All chunks in a row; a single one as it is, since ``chain`` costs a quarter of ``combinations``."""
    begin = list(islice(chunks, 2))
    if len(begin) == 1:
        return iter(begin[0])
    return chain.from_iterable(chain(begin, chunks))


class TailTables(Generic[T]):
    """All selections out of a tuple of items, given out as iterables that run in C.

    Args:
        items: The items, in the order of their indices.
        repeat: Whether an item may be picked again; then all selections asked for must be of one size.
    """

    def __init__(self, items: tuple[T, ...], repeat: bool) -> None:
        self.items = items
        self._gap = 0 if repeat else 1
        self._choose: Callable[[Iterable[T], int], Iterator[tuple[T, ...]]]
        self._choose = combinations_with_replacement if repeat else combinations
        self._lengths: dict[tuple[int, int], int] = {}
        self._tables: dict[tuple[int, int], list[tuple[T, ...]]] = {}

    def below(
        self, prefix: tuple[T, ...], first: int, last: int, size_min: int, size_max: int
    ) -> Iterator[Iterable[tuple[T, ...]]]:
        """The selections below a node, through its children ``[first, last)``, in pre-order.

        Args:
            prefix: The items of the node, put in front of each selection.
            first: Position of the first child.
            last: One more than that of the last child.
            size_min: The smallest number of items to add to the prefix, at least 1.
            size_max: The largest number of items to add.
        """
        items, end = self.items, len(self.items)
        todo = [(prefix, first, last, size_min, size_max)]
        while todo:
            prefix, first, last, size_min, size_max = todo.pop()
            if first >= last or size_min > size_max or (self._gap and size_min > end - first):
                continue
            if last == end:
                tail = self._tail(first, size_min, size_max)
                if tail is not None:
                    yield map(add, repeat(prefix), tail) if prefix else tail
                    continue
            if size_max == 1:
                yield zip(*map(repeat, prefix), items[first:last], strict=False)
                continue
            todo.append((prefix, first + 1, last, size_min, size_max))
            child = (*prefix, items[first])
            if size_min == 1:
                yield (child,)
            todo.append((child, first + self._gap, end, max(size_min - 1, 1), size_max - 1))

    def _tail(self, first: int, size_min: int, size_max: int) -> Iterable[tuple[T, ...]] | None:
        """All selections out of the items from ``first`` on, or None where a table would be too large."""
        if size_min == size_max:
            return self._choose(self.items[first:], size_max)
        left = len(self.items) - first
        size_max = min(size_max, len(self.items))
        length = self._length(size_min, size_max)
        if left > length:
            return None
        # One table serves all that begin with this size and may take as many items as there are.
        key = (size_min, size_max if size_max < length else -1)
        table = self._tables.get(key)
        if table is None:
            table = _preorder(self.items[len(self.items) - length :], size_min, size_max)
            self._tables[key] = table
        return table[len(table) - subsets_count(left, size_min, min(size_max, left)) :]

    def _length(self, size_min: int, size_max: int) -> int:
        """How many last items have a table of selections of these sizes that keeps the limit."""
        length = self._lengths.get((size_min, size_max))
        if length is None:
            length = 0
            while length < len(self.items):
                if subsets_count(length + 1, size_min, size_max) > _TABLE_SIZE_MAX:
                    break
                length += 1
            self._lengths[size_min, size_max] = length
        return length


def _preorder(items: tuple[T, ...], size_min: int, size_max: int) -> list[tuple[T, ...]]:
    """All non-empty subsets of given sizes, in pre-order."""
    table: list[tuple[T, ...]] = []
    for first, item in enumerate(items):
        if size_min > len(items) - first:
            break
        child = (item,)
        if size_min == 1:
            table.append(child)
        if size_max > 1:
            rest = _preorder(items[first + 1 :], max(size_min - 1, 1), size_max - 1)
            table.extend(map(add, repeat(child), rest))
    return table


class Selections(Domain[R], Generic[T, R]):
    """Base of the domains whose elements are made of selections out of another domain.

    Args:
        domain: The domain to select from; its size is known.
        tree: The selections.
        name: A name shown in ``repr``.
    """

    def __init__(self, domain: Domain[T], tree: SelectionTree, *, name: str | None) -> None:
        super().__init__(name=name)
        self._parts = (domain,)
        self._domain = domain
        self._tree = tree

    @property
    def size(self) -> int:
        return self._tree.size

    @abstractmethod
    def _make(self, items: tuple[T, ...]) -> R:
        """The element that stands for these items."""

    @abstractmethod
    def _make_all(self, selections: Iterator[tuple[T, ...]]) -> Iterator[R]:
        """The elements that stand for these tuples of items; runs in C but for making the element."""

    @cached_property
    def _kept(self) -> tuple[Sequence[int], tuple[T, ...]] | None:
        """Steps and elements of the inner domain, when there are few enough to keep."""
        if self._tree.n > POOL_SIZE_MAX:
            return None
        if not self._domain.filtered:
            return range(self._tree.n), self._domain._pool or ()
        return accepted_items(self._domain)

    @cached_property
    def _tables(self) -> TailTables[T]:
        assert self._kept is not None
        return TailTables(self._kept[1], self._tree.repeat)

    def _elements(self, start: int, stop: int) -> Iterator[R]:
        fill = self._stream_block if self._kept is None else self._pool_block
        blocks = self._tree.blocks(start, stop)
        return self._make_all(_joined(chain.from_iterable(map(fill, blocks))))

    def _sizes_below(self, depth: int) -> tuple[int, int]:
        """Smallest and largest number of items that may be added to a node of this size."""
        return max(self._tree.size_min - depth, 1), self._tree.size_max - depth

    def _pool_block(self, block: Block) -> Iterator[Iterable[tuple[T, ...]]]:
        assert self._kept is not None
        steps, items = self._kept
        positions = [bisect_left(steps, step) for step in block.prefix]
        for step, position in zip(block.prefix, positions, strict=True):
            if position == len(steps) or steps[position] != step:
                return
        prefix = tuple(map(items.__getitem__, positions))
        if block.own:
            yield (prefix,)
        first, last = bisect_left(steps, block.first), bisect_left(steps, block.last)
        yield from self._tables.below(prefix, first, last, *self._sizes_below(len(prefix)))

    def _stream_block(self, block: Block) -> Iterator[Iterable[tuple[T, ...]]]:
        try:
            prefix = tuple(map(self._domain._at, block.prefix))
        except SkippedStepError:
            return
        if block.own:
            yield (prefix,)
        domain, end, gap = self._domain, self._tree.n, 0 if self._tree.repeat else 1
        todo = [(prefix, block.first, block.last)]
        while todo:
            prefix, first, last = todo.pop()
            size_min, size_max = self._sizes_below(len(prefix))
            if first >= last or size_max < 1 or (gap and size_min > end - first):
                continue
            if size_max == 1:
                yield zip(*map(repeat, prefix), domain._elements(first, last), strict=False)
                continue
            for step, item in _stepwise(domain, first, last):
                child = (*prefix, item)
                if size_min == 1:
                    yield (child,)
                todo.append((prefix, step + 1, last))
                todo.append((child, step + gap, end))
                break

    def _at(self, step: int) -> R:
        return self._make(tuple(map(self._domain._at, self._tree.unrank(step))))

    def _index_of(self, element: object, items: Iterable[object]) -> int:
        """A step of the element that is made of these items."""
        try:
            indices = sorted(map(self._domain._index, items))
        except ValueError:
            raise self._absent(element) from None
        repeated = not self._tree.repeat and len(set(indices)) < len(indices)
        if not repeated and self._tree.size_min <= len(indices) <= self._tree.size_max:
            step = self._tree.rank(indices)
            if self._at(step) == element:
                return step
        if self._items_repeat:
            return super()._index(element)
        raise self._absent(element)

    @cached_property
    def _items_repeat(self) -> bool:
        """Whether the inner domain may have equal items, so that an item has more than one index."""
        if self._domain._distinct:
            return False
        items = () if self._kept is None else self._kept[1]
        try:
            return self._kept is None or len(set(items)) < len(items)
        except TypeError:
            return True

    @cached_property
    def _searches(self) -> bool:
        return self._domain._searches or not self._domain._distinct

    def _generate_one(self, rng: Random) -> R:
        if not self.filtered or self._kept is None:
            return super()._generate_one(rng)
        # Drawing from the accepted items alone is uniform too, and nothing need be drawn again.
        items = self._kept[1]
        if self._kept_tree.size == 0:
            raise ArgumentValueError(f"{self!r} has no element: its filter leaves only {len(items)} items")
        indices = self._kept_tree.unrank(rng.randrange(self._kept_tree.size))
        return self._make(tuple(map(items.__getitem__, indices)))

    @cached_property
    def _kept_tree(self) -> SelectionTree:
        assert self._kept is not None
        tree = self._tree
        return SelectionTree(len(self._kept[1]), tree.size_min, tree.size_max, tree.repeat)

    @cached_property
    def _width(self) -> int:
        return 1 + max(self._tree.size_min, 3) * self._domain._width
