"""Actions: how the elements of a pipeline become its result.

An action is a *monoid with a view*: a neutral partial result (:meth:`Action.init`), a way to put elements
into a partial (:meth:`Action.fold`), an associative :meth:`Action.merge` of the partials of two neighbouring
ranges of steps, and a last look at the whole (:meth:`Action.finish`). The one law is

    fold(init, xs + ys) == merge(fold(init, xs), fold(init, ys))

for all sequences ``xs`` and ``ys``. It makes the result independent of how the steps were cut and who ran
them, so the serial run and the run on a thousand workers are the same computation. ``merge`` always gets the
earlier range on its left: it may rely on order and need not be commutative.

An action that can be sure of its result early says so with :meth:`Action.is_final`: "nothing that comes to
the right of this partial can change the result". A partial, once given to ``fold`` or ``merge``, belongs to
that call and may be changed in place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

from haydi.errors import ArgumentTypeError, ArgumentValueError

__all__ = ["Action", "FoldAgain", "check_callable", "check_limit"]

T = TypeVar("T")  # element
P = TypeVar("P")  # partial result
R = TypeVar("R")  # result


class FoldAgain(Exception):  # noqa: N818 - a signal, not an error
    """Raised by ``fold_all`` after it used up its elements: run the range again, with ``fold_again``."""


class Action(ABC, Generic[T, P, R]):
    """How elements of type ``T`` become, over partials of type ``P``, a result of type ``R``.

    To write your own, subclass it at module level (or anywhere: functions and classes of a script travel to
    the workers by value), give :meth:`init`, :meth:`fold` and :meth:`merge`, and hand an instance to
    :meth:`haydi.Pipeline.action`.

    Example:
        >>> import haydi as hd
        >>> class Span(hd.Action):
        ...     '''(smallest, largest) of the elements.'''
        ...     def init(self): return None
        ...     def fold(self, partial, x):
        ...         return (x, x) if partial is None else (min(partial[0], x), max(partial[1], x))
        ...     def merge(self, left, right):
        ...         if left is None or right is None:
        ...             return left or right
        ...         return (min(left[0], right[0]), max(left[1], right[1]))
        >>> hd.Range(3, 9).iterate().map(lambda x: x * x).action(Span()).run()
        (9, 64)
    """

    #: True when :meth:`is_final` can ever be true: steps are then given out from the beginning on, in small
    #: pieces, so that little is computed that the result does not need.
    early: bool = False
    #: False when the number of elements is all that :meth:`fold_number` needs.
    needs_elements: bool = True
    #: True when a partial keeps all elements it was given: a checkpoint then never looks for something to save.
    grows: bool = False
    #: True when the result needs an end of the elements (an endless stream of random ones is then refused).
    needs_end: bool = True

    @property
    def name(self) -> str:
        """The action as ``repr`` of a pipeline shows it."""
        return type(self).__name__

    @abstractmethod
    def init(self) -> P:
        """The neutral partial: the result of no elements. A fresh object at each call."""

    @abstractmethod
    def fold(self, partial: P, element: T) -> P:
        """Put one element into a partial."""

    @abstractmethod
    def merge(self, left: P, right: P) -> P:
        """Join the partials of two neighbouring ranges; ``left`` is the earlier one."""

    def fold_all(self, partial: P, elements: Iterator[T]) -> P:
        """Put all elements into a partial. The built-in actions do this at C speed.

        When the elements have come to an end, they must not be asked for more: that is how a StopIteration
        that a function of the user raised is told from the end.
        """
        fold = self.fold
        for element in elements:
            partial = fold(partial, element)
        return partial

    def fold_again(self, partial: P, elements: Iterator[T]) -> P:
        """As :meth:`fold_all`, after that raised :class:`FoldAgain`."""
        return self.fold_all(partial, elements)

    def fold_number(self, partial: P, number: int) -> P:
        """Put ``number`` unseen elements into a partial; only when ``needs_elements`` is false."""
        raise NotImplementedError(f"{self.name} needs the elements themselves")

    def finish(self, partial: P) -> R:
        """The result. Must leave ``partial`` as it is: it may be looked at while the run goes on."""
        return partial  # type: ignore[return-value]

    def is_final(self, partial: P) -> bool:
        """True when no element to the right of this partial can change the result."""
        return False


def check_limit(argument: str, value: int | None, *, least: int = 1) -> None:
    """Refuse a limit that is no int or too small; None means no limit.

    Raises:
        ArgumentTypeError, ArgumentValueError: naming the argument and the value.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise ArgumentTypeError(
            f"{argument}={value!r}: an int of at least {least}, or None for no limit, is needed"
        )
    if value < least:
        raise ArgumentValueError(f"{argument}={value!r}: must be at least {least}, or None for no limit")


def check_callable(argument: str, value: object) -> None:
    """Refuse what cannot be called.

    Raises:
        ArgumentTypeError: naming the argument and the value.
    """
    if not callable(value):
        raise ArgumentTypeError(f"{argument}={value!r}: a function of one element is needed")
