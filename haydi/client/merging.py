"""Merging partials that come in any order.

The partials of neighbouring ranges are merged as soon as both are there, so what is kept is one partial for
each gap-free block: few of them, however many pieces came. Each step is merged exactly once; a range that
overlaps what is there already is refused.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from haydi.actions import Action

__all__ = ["Merger"]


class Merger:
    """The partial results of one run, by block of steps.

    Example:
        >>> from haydi.actions import Collect
        >>> merger = Merger(Collect())
        >>> for start, stop in [(4, 6), (0, 2), (2, 4)]:
        ...     _ = merger.add(start, stop, list(range(start, stop)))
        >>> merger.coverage(), merger.result()
        ([(0, 6)], [0, 1, 2, 3, 4, 5])
    """

    def __init__(self, action: Action[Any, Any, Any]) -> None:
        self.action = action
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._partials: list[Any] = []
        #: Number of steps merged.
        self.steps = 0

    def add(self, start: int, stop: int, partial: Any) -> int | None:
        """Merge the partial of steps ``[start, stop)``.

        Returns:
            The end of the block it became part of when nothing behind that can change the result, else None.

        Raises:
            ValueError: when some of the steps are merged already.
        """
        i = bisect_left(self._stops, start)
        if i < len(self._starts) and self._stops[i] == start:
            left = i
            i += 1
        else:
            left = -1
        if i < len(self._starts) and self._starts[i] < stop:
            raise ValueError(
                f"steps [{start}, {stop}) overlap the merged ones [{self._starts[i]}, {self._stops[i]})"
            )
        self.steps += stop - start
        merge = self.action.merge
        if left >= 0:
            self._stops[left] = stop
            self._partials[left] = merge(self._partials[left], partial)
            i = left
        else:
            self._starts.insert(i, start)
            self._stops.insert(i, stop)
            self._partials.insert(i, partial)
        if i + 1 < len(self._starts) and self._starts[i + 1] == stop:
            self._partials[i] = merge(self._partials[i], self._partials.pop(i + 1))
            self._stops[i] = self._stops.pop(i + 1)
            del self._starts[i + 1]
        return self._stops[i] if self.action.early and self.action.is_final(self._partials[i]) else None

    def restore(self, pieces: Iterable[tuple[int, int, Any]]) -> int | None:
        """Merge what was kept of an earlier run. Returns where that settles the result, or None."""
        finals = [self.add(start, stop, partial) for start, stop, partial in pieces]
        return min((final for final in finals if final is not None), default=None)

    def coverage(self) -> list[tuple[int, int]]:
        """The merged ranges, in order."""
        return list(zip(self._starts, self._stops, strict=True))

    def partials(self) -> list[Any]:
        """The partials of the merged ranges, in order; they go on changing."""
        return list(self._partials)

    def blocks(self) -> list[tuple[int, int, Any]]:
        """The merged ranges and their partials, which must not be changed."""
        return list(zip(self._starts, self._stops, self._partials, strict=True))

    def peek(self) -> Any:
        """The result of everything merged so far, made of copies: more may be added after this."""
        whole = self.action.init()
        for partial in self._partials:
            whole = self.action.merge(whole, deepcopy(partial))
        return self.action.finish(whole)

    @property
    def prefix(self) -> int:
        """The first step that is not merged."""
        return self._stops[0] if self._starts and self._starts[0] == 0 else 0

    def prefix_is_final(self) -> bool:
        """True when the steps merged from the beginning on settle the result."""
        return self.prefix > 0 and self.action.is_final(self._partials[0])

    def result(self) -> Any:
        """What the action makes of everything merged so far, in step order."""
        if not self._partials:
            return self.action.finish(self.action.init())
        whole = self._partials[0]
        for partial in self._partials[1:]:
            whole = self.action.merge(whole, partial)
        self._partials = [whole]  # merging used the parts up: nothing may be added after this
        return self.action.finish(whole)
