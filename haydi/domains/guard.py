"""Functions of the user under iterators of the C library.

``map`` and ``filter`` take a StopIteration that their function raises for the end of the elements: what follows is
lost without a word. Generators have turned it into a RuntimeError since PEP 479, and so does :func:`guarded`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["guarded"]

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
            raise RuntimeError(
                "a function raised StopIteration, which would end the elements without a word"
            ) from error

    return guard
