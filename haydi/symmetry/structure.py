"""The shape of the elements of a strict domain: how an object is made of a vector, and how renamings move it.

A *node* describes the objects that stand in one place of a domain, and owns the positions ``[start, stop)``
of the vector. There are five kinds:

* :class:`Leaf`: one position, an index into an alphabet;
* :class:`TupleNode`: its parts, side by side;
* :class:`MapNode`: one part for each key, in the order of the keys. Renaming a key moves a whole part;
* :class:`SetNode`: one bit for each item that a Set may have, 0 for "in" and 1 for "out", so that of two
  Sets of one size the lesser one has the lesser vector. Sets compare by size first: where renamings may move
  the node (inside of a Map), sizes can differ between places and a *size position* goes first. Elsewhere the
  Sets that are compared have one size, and the node is *free*;
* :class:`OrderNode`: the tuples of all elements of an alphabet; no index stands twice.

A search knows the first ``i`` entries of a vector, and often sees that no renaming cares about the others.
:meth:`Node.completions` then gives all objects at once that begin so, with ``itertools`` from the inside
out, and :meth:`Node.count` their number. They come in the order of the vectors, free Sets in *pre-order*: a
Set before those that extend it by later items. That is the order in which domains iterate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, chain, combinations, compress, permutations, product, repeat
from math import comb, factorial
from operator import mul
from typing import Any

from haydi.basic import Keys, map_of_sorted, set_of_sorted
from haydi.domains.combinatorics import subsets_count
from haydi.domains.domain import POOL_SIZE_MAX
from haydi.domains.selections import TailTables
from haydi.symmetry.alphabet import Alphabet
from haydi.symmetry.renaming import Renaming

__all__ = ["BIT", "Leaf", "MapNode", "Node", "OrderNode", "SetNode", "TupleNode"]

#: The alphabet of a SetNode's positions.
BIT = Alphabet((True, False), True)

#: Turns 0 for "in" into what is true, and 1 into what is not.
_FLIP = bytes([1, 0]) + bytes(254)

#: One entry of a vector: its position, and where a renaming takes it from.
Move = tuple[int, int]


class Node(ABC):
    """The objects in one place of a domain.

    Attributes:
        start: The first position.
        stop: One more than the last position.
        total: Number of objects.
    """

    start: int
    stop: int
    total: int

    @abstractmethod
    def build(self, f: Sequence[int]) -> Any:
        """The object of a vector."""

    @abstractmethod
    def read(self, value: Any, f: list[int]) -> None:
        """Write the vector of an object; raises KeyError when the node has no such object."""

    @abstractmethod
    def moves(self, renaming: Renaming) -> Iterator[Move]:
        """Where a renaming takes each entry from: pairs of position and source."""

    @abstractmethod
    def _some(self, f: Sequence[int], i: int, own: bool) -> Iterator[Any]:
        """As :meth:`completions`, where ``start < i < stop``, or ``start == i`` and ``own``."""

    @abstractmethod
    def _number(self, f: Sequence[int], i: int, own: bool) -> int:
        """As :meth:`count`, where ``start < i < stop``."""

    def completions(self, f: Sequence[int], i: int, own: bool = True) -> Iterator[Any]:
        """The objects of all vectors that begin with ``f[:i]``, in order.

        Args:
            f: A vector, or its beginning.
            i: How many entries are known.
            own: Whether the free Set that ``i`` lies inside of may end there; otherwise it has more items.
        """
        if i >= self.stop:
            return iter((self.build(f),) if self.total else ())
        if i <= self.start:
            return iter(self._pool) if self.total <= POOL_SIZE_MAX else self._some(f, self.start, True)
        return self._some(f, i, own)

    def count(self, f: Sequence[int], i: int, own: bool = True) -> int:
        """Number of :meth:`completions`; none is built."""
        if i >= self.stop:
            return min(1, self.total)
        return self.total if i <= self.start else self._number(f, i, own)

    @property
    def _pool(self) -> tuple[Any, ...]:
        """All objects, kept; only where there are few."""
        known: tuple[Any, ...] | None = self.__dict__.get("_all")
        if known is None:
            known = self.__dict__["_all"] = tuple(self._some((), self.start, True))
        return known


class Leaf(Node):
    """An element of an alphabet."""

    def __init__(self, alphabet: Alphabet, start: int) -> None:
        self.alphabet = alphabet
        self.start, self.stop = start, start + 1
        self.total = alphabet.size

    def build(self, f: Sequence[int]) -> Any:
        return self.alphabet.elements[f[self.start]]

    def read(self, value: Any, f: list[int]) -> None:
        f[self.start] = self.alphabet.index(value)

    def moves(self, renaming: Renaming) -> Iterator[Move]:
        yield self.start, self.start

    def _some(self, f: Sequence[int], i: int, own: bool) -> Iterator[Any]:
        return iter(self.alphabet.elements)

    def _number(self, f: Sequence[int], i: int, own: bool) -> int:
        return self.total


class TupleNode(Node):
    """One object of each part, as a tuple.

    Args:
        parts: The nodes, in the order of their positions.
        start: The first position.
        make: Makes the object of a tuple; None leaves it a tuple.
    """

    def __init__(
        self, parts: Sequence[Node], start: int, make: Callable[[tuple[Any, ...]], Any] | None = None
    ) -> None:
        self.parts = tuple(parts)
        self.start = start
        self.stop = self.parts[-1].stop if self.parts else start
        #: Number of tuples of objects of the parts from each one on.
        self._rest = list(accumulate((part.total for part in reversed(self.parts)), mul, initial=1))[::-1]
        self._starts = [part.start for part in self.parts]
        self.total = self._rest[0]
        self._make = make

    def build(self, f: Sequence[int]) -> Any:
        made = tuple([part.build(f) for part in self.parts])
        return made if self._make is None else self._make(made)

    def read(self, value: Any, f: list[int]) -> None:
        if not isinstance(value, tuple) or len(value) != len(self.parts):
            raise KeyError(value)
        for part, item in zip(self.parts, value, strict=True):
            part.read(item, f)

    def moves(self, renaming: Renaming) -> Iterator[Move]:
        return chain.from_iterable(part.moves(renaming) for part in self.parts)

    def _some(self, f: Sequence[int], i: int, own: bool) -> Iterator[Any]:
        return self._made(product(*[part.completions(f, i, own) for part in self.parts]))

    def _made(self, tuples: Iterator[tuple[Any, ...]]) -> Iterator[Any]:
        return tuples if self._make is None else map(self._make, tuples)

    def _number(self, f: Sequence[int], i: int, own: bool) -> int:
        number = bisect_left(self._starts, i) - 1
        return self.parts[number].count(f, i, own) * self._rest[number + 1]


class MapNode(TupleNode):
    """One object of a part for each key, as a Map.

    Args:
        keys: The keys.
        parts: As many nodes, all of one shape.
        start: The first position.
    """

    def __init__(self, keys: Alphabet, parts: Sequence[Node], start: int) -> None:
        super().__init__(parts, start)
        self.keys = keys
        self._shared = Keys(tuple(keys.elements))

    def build(self, f: Sequence[int]) -> Any:
        return map_of_sorted(self._shared, tuple([part.build(f) for part in self.parts]))

    def read(self, value: Any, f: list[int]) -> None:
        if not hasattr(value, "values") or len(value) != len(self.parts):
            raise KeyError(value)
        for part, key in zip(self.parts, self.keys.elements, strict=True):
            part.read(value[key], f)

    def moves(self, renaming: Renaming) -> Iterator[Move]:
        if not self.parts:
            return
        images = self.keys.act(renaming)
        first = self.parts[0].start
        inner = [(p - first, q - first) for p, q in self.parts[0].moves(renaming)]
        for part, image in zip(self.parts, images, strict=True):
            to = self.parts[image].start
            for p, q in inner:
                yield to + p, part.start + q

    def _made(self, tuples: Iterator[tuple[Any, ...]]) -> Iterator[Any]:
        return map(map_of_sorted, repeat(self._shared), tuples)


class SetNode(Node):
    """A Set of elements of an alphabet.

    Args:
        items: The elements.
        sizes: The numbers of items that a Set may have: consecutive ints.
        start: The first position.
        free: Whether renamings leave the node in its place, so that no size position is needed.

    Attributes:
        first: The position of the first bit.
        sized: Whether there is a size position, just before the first bit.
    """

    def __init__(self, items: Alphabet, sizes: Alphabet, start: int, free: bool) -> None:
        self.items = items
        self.sizes = sizes
        self.size_min = sizes.elements[0]
        self.size_max = min(sizes.elements[-1], items.size)
        self.free = free
        self.sized = not free and sizes.size > 1
        self.start = start
        self.first = start + self.sized
        self.stop = self.first + items.size
        self.total = (
            subsets_count(items.size, self.size_min, self.size_max) if self.size_min <= items.size else 0
        )
        self._tables = TailTables(tuple(items.elements), False)

    def build(self, f: Sequence[int]) -> Any:
        bits = f[self.first : self.stop]
        if type(bits) is bytes:
            return set_of_sorted(tuple(compress(self.items.elements, bits.translate(_FLIP))))
        return set_of_sorted(
            tuple([item for item, out in zip(self.items.elements, bits, strict=True) if not out])
        )

    def read(self, value: Any, f: list[int]) -> None:
        if not hasattr(value, "to_frozenset") or not self.size_min <= len(value) <= self.size_max:
            raise KeyError(value)
        if self.sized:
            f[self.start] = len(value) - self.size_min
        f[self.first : self.stop] = [1] * self.items.size
        for item in value:
            f[self.first + self.items.index(item)] = 0

    def moves(self, renaming: Renaming) -> Iterator[Move]:
        if self.sized:
            yield self.start, self.start
        for j, image in enumerate(self.items.act(renaming)):
            yield self.first + image, self.first + j

    def _state(self, f: Sequence[int], i: int) -> tuple[int, int, int]:
        """How many items are in, and the smallest and largest number of items to add."""
        inside = f[self.first : i].count(0) if i > self.first else 0
        if self.sized and i > self.start:
            size = self.size_min + f[self.start]
            return inside, size - inside, size - inside
        return inside, max(0, self.size_min - inside), self.size_max - inside

    def _some(self, f: Sequence[int], i: int, own: bool) -> Iterator[Any]:
        _, least, most = self._state(f, i)
        at = max(0, i - self.first)
        bits = f[self.first : i] if at else ()
        prefix = tuple([item for item, out in zip(self.items.elements, bits, strict=False) if not out])
        if self.free:
            tuples: list[Iterator[tuple[Any, ...]]] = [iter((prefix,))] if own and least <= 0 else []
            below = self._tables.below(prefix, at, self.items.size, max(1, least), most)
            return map(set_of_sorted, chain(*tuples, chain.from_iterable(below)))
        rest = self._tables.items[at:]
        by_size = chain.from_iterable(combinations(rest, size) for size in range(least, most + 1))
        return map(set_of_sorted, map(prefix.__add__, by_size) if prefix else by_size)

    def _number(self, f: Sequence[int], i: int, own: bool) -> int:
        _, least, most = self._state(f, i)
        left = self.stop - max(i, self.first)
        if self.free and not own:
            least = max(1, least)
        return subsets_count(left, max(0, least), most)

    def lengths(self, f: Sequence[int], i: int, own: bool = True) -> list[tuple[int, int]]:
        """Which numbers of items the Sets of :meth:`completions` have and how often, in the order in which they come.

        Only where the node is free, or all its Sets have the same size.
        """
        i = max(i, self.start)
        inside, least, most = self._state(f, i)
        left = self.stop - max(i, self.first)
        least = max(1 if not own else 0, least)
        pairs = [(inside + size, comb(left, size)) for size in range(least, min(most, left) + 1)]
        return pairs if self.total else []


class OrderNode(Node):
    """All elements of an alphabet in some order, as a tuple."""

    def __init__(self, items: Alphabet, start: int) -> None:
        self.items = items
        self.start, self.stop = start, start + items.size
        self.total = factorial(items.size)

    def build(self, f: Sequence[int]) -> Any:
        return tuple(map(self.items.elements.__getitem__, f[self.start : self.stop]))

    def read(self, value: Any, f: list[int]) -> None:
        if not isinstance(value, tuple) or len(value) != self.items.size:
            raise KeyError(value)
        indices = list(map(self.items.index, value))
        if len(set(indices)) < len(indices):
            raise KeyError(value)
        f[self.start : self.stop] = indices

    def moves(self, renaming: Renaming) -> Iterator[Move]:
        return ((p, p) for p in range(self.start, self.stop))

    def _some(self, f: Sequence[int], i: int, own: bool) -> Iterator[Any]:
        elements = self.items.elements
        used = tuple(f[self.start : i])
        prefix = tuple(map(elements.__getitem__, used))
        rest = [element for j, element in enumerate(elements) if j not in used]
        return map(prefix.__add__, permutations(rest))

    def _number(self, f: Sequence[int], i: int, own: bool) -> int:
        return factorial(self.stop - i)
