"""Sets of steps, kept as sorted disjoint ranges.

The one data structure of the runtime: what is unassigned, what a worker holds, what is merged. Steps are
unbounded ints; a set costs memory for its ranges, not for its steps. All operations find their place by
bisection: O(log n) plus the number of ranges they touch, plus the list's own shifting.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

__all__ = ["RangeSet", "in_words"]


def in_words(steps: int) -> str:
    """A number of steps for a message; huge ones roughly, because Python refuses to write very long numbers.

    Example:
        >>> in_words(1000), in_words(2**20000)
        ('1000', 'about 2^20000')
    """
    return str(steps) if steps.bit_length() <= 512 else f"about 2^{steps.bit_length() - 1}"


class RangeSet:
    """A set of non-negative ints as sorted, disjoint, non-touching half-open ranges.

    Example:
        >>> done = RangeSet([(0, 5), (7, 9)])
        >>> done.add(5, 7)
        >>> list(done), len(done), done.size
        ([(0, 9)], 1, 9)
    """

    __slots__ = ("_starts", "_stops", "size")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        #: Number of steps in the set.
        self.size = 0
        for start, stop in ranges:
            self.add(start, stop)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._stops, strict=True)

    def __len__(self) -> int:
        """Number of ranges, not of steps."""
        return len(self._starts)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeSet):
            return NotImplemented
        return self._starts == other._starts and self._stops == other._stops

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RangeSet({list(self)})"

    @property
    def first(self) -> int:
        """The least step; the set must not be empty."""
        return self._starts[0]

    @property
    def last(self) -> tuple[int, int]:
        """The last range; the set must not be empty."""
        return self._starts[-1], self._stops[-1]

    def add(self, start: int, stop: int) -> None:
        """Add ``[start, stop)``; what is there already stays."""
        if start >= stop:
            return
        lo = bisect_left(self._stops, start)
        hi = bisect_right(self._starts, stop)
        if lo < hi:
            start = min(start, self._starts[lo])
            stop = max(stop, self._stops[hi - 1])
            self.size -= sum(self._stops[lo:hi]) - sum(self._starts[lo:hi])
        self._starts[lo:hi] = [start]
        self._stops[lo:hi] = [stop]
        self.size += stop - start

    def remove(self, start: int, stop: int) -> None:
        """Remove ``[start, stop)``; what is not there does not matter."""
        if start >= stop:
            return
        lo = bisect_right(self._stops, start)
        hi = bisect_left(self._starts, stop)
        if lo >= hi:
            return
        starts: list[int] = []
        stops: list[int] = []
        if self._starts[lo] < start:
            starts.append(self._starts[lo])
            stops.append(start)
        if self._stops[hi - 1] > stop:
            starts.append(stop)
            stops.append(self._stops[hi - 1])
        self.size += sum(stops) - sum(starts) - sum(self._stops[lo:hi]) + sum(self._starts[lo:hi])
        self._starts[lo:hi] = starts
        self._stops[lo:hi] = stops

    def contains(self, start: int, stop: int) -> bool:
        """True when all of ``[start, stop)`` is in the set."""
        if start >= stop:
            return True
        i = bisect_right(self._starts, start) - 1
        return i >= 0 and self._stops[i] >= stop

    def overlaps(self, start: int, stop: int) -> bool:
        """True when any of ``[start, stop)`` is in the set."""
        return start < stop and bisect_right(self._stops, start) < bisect_left(self._starts, stop)

    def take_first(self, steps: int) -> tuple[int, int]:
        """Remove and return the beginning of the first range, at most ``steps`` of it."""
        start, stop = self._starts[0], self._stops[0]
        if stop - start > steps:
            stop = start + steps
            self._starts[0] = stop
        else:
            del self._starts[0], self._stops[0]
        self.size -= stop - start
        return start, stop

    def take_last(self, steps: int) -> tuple[int, int]:
        """Remove and return the end of the last range, at most ``steps`` of it."""
        start, stop = self._starts[-1], self._stops[-1]
        if stop - start > steps:
            start = stop - steps
            self._stops[-1] = start
        else:
            del self._starts[-1], self._stops[-1]
        self.size -= stop - start
        return start, stop

    def cut(self, stop: int) -> None:
        """Remove everything from ``stop`` on."""
        if self._stops and self._stops[-1] > stop:
            self.remove(stop, self._stops[-1])

    def prefix(self) -> int:
        """The first step that is missing: ``[0, prefix)`` is in the set."""
        return self._stops[0] if self._starts and self._starts[0] == 0 else 0

    def gaps(self, stop: int) -> list[tuple[int, int]]:
        """The ranges of ``[0, stop)`` that are not in the set."""
        result = []
        at = 0
        for a, b in self:
            if a >= stop:
                break
            if a > at:
                result.append((at, a))
            at = b
        if at < stop:
            result.append((at, stop))
        return result
