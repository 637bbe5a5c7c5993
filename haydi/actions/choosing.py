"""Actions that keep elements: all, the first, the greatest, the least."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeVar

from haydi.actions.base import Action, check_limit

__all__ = ["Collect", "First", "Max", "Min"]

T = TypeVar("T")


class Collect(Action[T, list[T], list[T]]):
    """All elements, in step order, as a list."""

    grows = True

    def init(self) -> list[T]:
        return []

    def fold(self, partial: list[T], element: T) -> list[T]:
        partial.append(element)
        return partial

    def fold_all(self, partial: list[T], elements: Iterator[T]) -> list[T]:
        partial.extend(elements)
        return partial

    def merge(self, left: list[T], right: list[T]) -> list[T]:
        # The shorter moves into the longer: merging many pieces in any order stays linear in pointers moved.
        if len(left) >= len(right):
            left.extend(right)
            return left
        right[0:0] = left
        return right


class First(Action[T, tuple[T, ...], Any]):
    """The first element, or a default."""

    early = True
    needs_end = False

    def __init__(self, default: object = None) -> None:
        self.default = default

    def init(self) -> tuple[T, ...]:
        return ()

    def fold(self, partial: tuple[T, ...], element: T) -> tuple[T, ...]:
        return partial or (element,)

    def fold_all(self, partial: tuple[T, ...], elements: Iterator[T]) -> tuple[T, ...]:
        return partial or tuple(islice(elements, 1))

    def merge(self, left: tuple[T, ...], right: tuple[T, ...]) -> tuple[T, ...]:
        return left or right

    def finish(self, partial: tuple[T, ...]) -> Any:
        return partial[0] if partial else self.default

    def is_final(self, partial: tuple[T, ...]) -> bool:
        return bool(partial)


class Max(Action[T, tuple[Any, list[T]], list[T]]):
    """All elements with the greatest key, in step order; with ``size`` the earliest ``size`` of them.

    A partial is ``(key, elements)``; an empty list of elements marks the neutral one. A key that is not equal to
    itself (nan) has no place in the order; such elements are left out wherever they stand.
    """

    def __init__(self, key: Callable[[T], Any] | None = None, size: int | None = None) -> None:
        check_limit("size", size)
        self.key = key
        self.size = size

    @staticmethod
    def better(new: Any, old: Any) -> bool:
        """True when key ``new`` puts ``old`` out."""
        return bool(new > old)

    def init(self) -> tuple[Any, list[T]]:
        return (None, [])

    def fold(self, partial: tuple[Any, list[T]], element: T) -> tuple[Any, list[T]]:
        return self.fold_all(partial, iter((element,)))

    def fold_all(self, partial: tuple[Any, list[T]], elements: Iterator[T]) -> tuple[Any, list[T]]:
        best, kept = partial
        key, size, better = self.key, self.size, self.better
        if not kept:
            for element in elements:
                best = element if key is None else key(element)
                if best == best:
                    kept = [element]
                    break
            else:
                return (None, [])
        if key is None:
            for element in elements:
                # Equality first: ties are common, and for most types it is the cheaper question.
                if element == best:
                    if size is None or len(kept) < size:
                        kept.append(element)
                elif better(element, best):
                    best, kept = element, [element]
            return (best, kept)
        for element in elements:
            value = key(element)
            if value == best:
                if size is None or len(kept) < size:
                    kept.append(element)
            elif better(value, best):
                best, kept = value, [element]
        return (best, kept)

    def merge(self, left: tuple[Any, list[T]], right: tuple[Any, list[T]]) -> tuple[Any, list[T]]:
        if not left[1]:
            return right
        if not right[1]:
            return left
        if left[0] == right[0]:
            kept = left[1] + right[1]
            return (left[0], kept if self.size is None else kept[: self.size])
        return right if self.better(right[0], left[0]) else left

    def finish(self, partial: tuple[Any, list[T]]) -> list[T]:
        return list(partial[1])


class Min(Max[T]):
    """All elements with the least key, in step order; with ``size`` the earliest ``size`` of them."""

    @staticmethod
    def better(new: Any, old: Any) -> bool:
        return bool(new < old)
