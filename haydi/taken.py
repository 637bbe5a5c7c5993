"""``take(n)`` behind a filter: the one transformation that looks across steps, as part of the action."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from haydi.actions import Action
from haydi.pipeline import Filter, Map, Take, Transformation

__all__ = ["Taken"]


class Taken(Action[Any, list[Any], Any]):
    """``take(limit)`` behind a filter, with all that follows it in the pipeline.

    A partial is the list of the first ``limit`` survivors, each as a *record* of what the tail makes of it.
    When the tail has only maps, a record is just the value. Otherwise it is ``(depth, value)``: how many
    takes the element arrives at, this one counted, and its value if it arrives at the action (then depth is
    one more than the number of takes). :meth:`_replay` then applies the limits one after another, as a serial
    run would.
    """

    early = True
    needs_end = False

    def __init__(self, limit: int, tail: tuple[Transformation, ...], action: Action[Any, Any, Any]) -> None:
        self.limits = [limit]
        self.action = action
        self.segments: list[list[Map | Filter]] = [[]]
        for t in tail:
            if isinstance(t, Take):
                self.limits.append(t.limit)
                self.segments.append([])
            else:
                self.segments[-1].append(t)
        self.plain = len(self.segments) == 1 and all(isinstance(t, Map) for t in self.segments[0])

    @property
    def name(self) -> str:
        return self.action.name

    def init(self) -> list[Any]:
        return []

    def fold(self, partial: list[Any], element: Any) -> list[Any]:
        return self.fold_all(partial, iter((element,)))

    def fold_all(self, partial: list[Any], elements: Iterator[Any]) -> list[Any]:
        room = max(0, self.limits[0] - len(partial))
        kept: Iterator[Any] = islice(elements, room)
        if self.plain:
            for t in self.segments[0]:
                kept = map(t.function, kept)
        else:
            kept = map(self._record, kept)
        partial.extend(kept)
        return partial

    def _record(self, value: Any) -> tuple[int, Any]:
        for depth, segment in enumerate(self.segments, 1):
            for t in segment:
                if isinstance(t, Map):
                    value = t.function(value)
                elif not t.function(value):
                    return (depth, None)
        return (len(self.segments) + 1, value)

    def merge(self, left: list[Any], right: list[Any]) -> list[Any]:
        left.extend(islice(right, max(0, self.limits[0] - len(left))))
        return left

    def _replay(self, records: list[Any]) -> Any:
        """Partial of the action behind the limits."""
        partial = self.action.init()
        if self.plain:
            return self.action.fold_all(partial, iter(records))
        counts = [0] * len(self.limits)
        for depth, value in records:
            for i in range(min(depth, len(counts))):
                counts[i] += 1
            if depth > len(counts):
                partial = self.action.fold(partial, value)
            if any(map(int.__ge__, counts, self.limits)) or self.action.is_final(partial):
                break
        return partial

    def finish(self, partial: list[Any]) -> Any:
        if 0 in self.limits:
            return self.action.finish(self.action.init())
        return self.action.finish(self._replay(partial))

    def is_final(self, partial: list[Any]) -> bool:
        if len(partial) >= self.limits[0] or 0 in self.limits:
            return True
        if len(partial) >= min(self.limits) and self._limit_is_reached(partial):
            return True
        return self.action.early and self.action.is_final(self._replay(partial))

    def _limit_is_reached(self, records: list[Any]) -> bool:
        """Whether one of the limits behind the first is reached; none can be before it has so many records."""
        return any(
            sum(depth > i for depth, _ in records) >= limit for i, limit in enumerate(self.limits[1:], 1)
        )
