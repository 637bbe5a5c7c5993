"""Functions of the user under iterators of the C library.

``map`` and ``filter`` take a StopIteration that their function raises for the end of the elements: what follows is
lost without a word. Generators have turned it into a RuntimeError since PEP 479, and so does :func:`guarded`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, TypeVar

__all__ = ["guarded", "guarded_filter", "guarded_map"]

_MESSAGE = "a function raised StopIteration, which would end the elements without a word"

S = TypeVar("S")
T = TypeVar("T")


def guarded(function: Callable[[S], T]) -> Callable[[S], T]:
    """The same function, with a RuntimeError in place of a StopIteration.

    Example:
        >>> list(map(guarded(lambda x: next(iter(()))), [1, 2]))
        Traceback (most recent call last):
            ...
        RuntimeError: a function raised StopIteration, which would end the elements without a word
    """

    def guard(element: S) -> T:
        try:
            return function(element)
        except StopIteration as error:
            raise RuntimeError(_MESSAGE) from error

    return guard


def guarded_map(function: Callable[[S], T], source: Iterator[S]) -> Iterator[T]:
    """``map`` with a RuntimeError in place of a StopIteration that ends it too early, at some nanoseconds an element.

    What shows it is that the source was never asked for more than its last element.

    Example:
        >>> list(guarded_map(lambda x: next(iter(())) if x == 2 else x, iter(range(3))))
        Traceback (most recent call last):
            ...
        RuntimeError: a function raised StopIteration, which would end the elements without a word
    """
    unread = [True]
    marked: Iterator[S] = chain(source, iter(unread.pop, True))  # type: ignore[arg-type]
    return chain(map(function, marked), _check(unread))


def guarded_filter(function: Callable[[S], object], source: Iterator[S]) -> Iterator[S]:
    """``filter``, as :func:`guarded_map` is ``map``."""
    unread = [True]
    marked: Iterator[S] = chain(source, iter(unread.pop, True))  # type: ignore[arg-type]
    return chain(filter(function, marked), _check(unread))


def _check(unread: list[bool]) -> Iterator[Any]:
    if unread:
        raise RuntimeError(_MESSAGE)
    yield from ()
