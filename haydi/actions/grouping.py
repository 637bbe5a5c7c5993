"""Actions that sort elements into groups by a key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

from haydi.actions.base import Action, check_callable, check_limit

__all__ = ["Frequencies", "Groups", "GroupsCounts"]

T = TypeVar("T")


class Groups(Action[T, dict[Any, list[T]], dict[Any, list[T]]]):
    """Elements by key; with ``limit`` the earliest ``limit`` of each group. A key of None belongs to no group.

    Groups come in the order of their first element.
    """

    def __init__(self, key: Callable[[T], Hashable], limit: int | None = None) -> None:
        check_callable("key", key)
        check_limit("limit", limit)
        self.key = key
        self.limit = limit

    def init(self) -> dict[Any, list[T]]:
        return {}

    def fold(self, partial: dict[Any, list[T]], element: T) -> dict[Any, list[T]]:
        return self.fold_all(partial, iter((element,)))

    def fold_all(self, partial: dict[Any, list[T]], elements: Iterator[T]) -> dict[Any, list[T]]:
        key_of, limit = self.key, self.limit
        for element in elements:
            key = key_of(element)
            if key is None:
                continue
            group = partial.get(key)
            if group is None:
                partial[key] = [element]
            elif limit is None or len(group) < limit:
                group.append(element)
        return partial

    def merge(self, left: dict[Any, list[T]], right: dict[Any, list[T]]) -> dict[Any, list[T]]:
        for key, group in right.items():
            mine = left.get(key)
            if mine is None:
                left[key] = group
            else:
                mine.extend(group if self.limit is None else group[: max(0, self.limit - len(mine))])
        return left


class GroupsCounts(Action[T, dict[Any, list[Any]], dict[Any, list[Any]]]):
    """For each key ``[count, element, element, ...]`` with the earliest ``limit`` elements of the group."""

    def __init__(self, key: Callable[[T], Hashable], limit: int | None = None) -> None:
        check_callable("key", key)
        if limit is not None:
            check_limit("limit", limit, least=0)
        self.key = key
        self.limit = limit

    def init(self) -> dict[Any, list[Any]]:
        return {}

    def fold(self, partial: dict[Any, list[Any]], element: T) -> dict[Any, list[Any]]:
        return self.fold_all(partial, iter((element,)))

    def fold_all(self, partial: dict[Any, list[Any]], elements: Iterator[T]) -> dict[Any, list[Any]]:
        key_of, limit = self.key, self.limit
        for element in elements:
            key = key_of(element)
            if key is None:
                continue
            group = partial.get(key)
            if group is None:
                group = partial[key] = [0]
            group[0] += 1
            if limit is None or len(group) <= limit:
                group.append(element)
        return partial

    def merge(self, left: dict[Any, list[Any]], right: dict[Any, list[Any]]) -> dict[Any, list[Any]]:
        for key, group in right.items():
            mine = left.get(key)
            if mine is None:
                left[key] = group
                continue
            mine[0] += group[0]
            room = None if self.limit is None else max(0, self.limit + 1 - len(mine))
            mine.extend(group[1:] if room is None else group[1 : 1 + room])
        return left


class Frequencies(Action[T, "Counter[Any]", dict[Any, int]]):
    """How often each key (or element, without one) occurs: a dict in the order of first occurrence."""

    def __init__(self, key: Callable[[T], Hashable] | None = None) -> None:
        self.key = key

    def init(self) -> Counter[Any]:
        return Counter()

    def fold(self, partial: Counter[Any], element: T) -> Counter[Any]:
        partial[element if self.key is None else self.key(element)] += 1
        return partial

    def fold_all(self, partial: Counter[Any], elements: Iterator[T]) -> Counter[Any]:
        partial.update(elements if self.key is None else map(self.key, elements))
        return partial

    def fold_tally(self, partial: Counter[Any], tally: Iterator[tuple[Any, int]]) -> Counter[Any]:
        """Put pairs of a key and how often it occurs into a partial."""
        for key, number in tally:
            partial[key] += number
        return partial

    def merge(self, left: Counter[Any], right: Counter[Any]) -> Counter[Any]:
        left.update(right)
        return left

    def finish(self, partial: Counter[Any]) -> dict[Any, int]:
        return dict(partial)
