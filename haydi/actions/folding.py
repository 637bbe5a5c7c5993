"""Actions that fold elements into one value: count, sum, reduce."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import reduce
from itertools import count as counter_from
from itertools import islice
from typing import Any, Final, TypeVar

from haydi.actions.base import Action, FoldAgain
from haydi.actions.choosing import Collect
from haydi.errors import ArgumentValueError

__all__ = ["MISSING", "Count", "OrderedReduce", "Reduce", "Sum"]

T = TypeVar("T")


class Count(Action[object, int, int]):
    """The number of elements. Where nothing asks for the elements themselves, none is built."""

    needs_elements = False

    def init(self) -> int:
        return 0

    def fold(self, partial: int, element: object) -> int:
        return partial + 1

    def fold_all(self, partial: int, elements: Iterator[object]) -> int:
        numbers = counter_from(partial)
        deque(
            zip(elements, numbers, strict=False), maxlen=0
        )  # zip asks elements first, so none is counted twice
        return next(numbers)

    def fold_number(self, partial: int, number: int) -> int:
        return partial + number

    def merge(self, left: int, right: int) -> int:
        return left + right


class _Missing:
    """The partial of a reduce that has seen no element. One instance a process, also after unpickling."""

    def __reduce__(self) -> str:
        return "MISSING"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


#: On so many elements, in each process, a function is tried for being associative.
_CHECKED_ELEMENTS: Final = 5


class Reduce(Action[T, Any, Any]):
    """Left fold of an *associative* function; ``init``, if given, is put in once, at the left.

    The claim of associativity is checked where it costs nothing, on the first elements a process sees: a
    function that counts (``lambda n, x: n + 1``) or whose first argument is of another kind than its second
    would give a wrong result on any cut, so it is refused with the remedy (``associative=False``).
    """

    def __init__(self, fn: Callable[[Any, Any], Any], init: object = MISSING) -> None:
        self.fn = fn
        self.initial = init
        self._checked = False

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_checked": False}

    def init(self) -> Any:
        return MISSING

    def fold(self, partial: Any, element: T) -> Any:
        return _copied(element) if partial is MISSING else self.fn(partial, element)

    def fold_all(self, partial: Any, elements: Iterator[T]) -> Any:
        if not self._checked:
            head = list(islice(elements, _CHECKED_ELEMENTS))
            self._check(head)
            for element in head:
                partial = self.fold(partial, element)
            if not self._checked:  # there are no more
                return partial
        if partial is MISSING:
            partial = next(elements, MISSING)
            if partial is MISSING:
                return MISSING
            partial = _copied(partial)
        return reduce(self.fn, elements, partial)

    def merge(self, left: Any, right: Any) -> Any:
        if left is MISSING:
            return right
        return left if right is MISSING else self.fn(left, right)

    def finish(self, partial: Any) -> Any:
        if self.initial is MISSING:
            if partial is MISSING:
                raise ArgumentValueError(
                    "reduce() of no elements has no result: pass init=, its value for an empty stream"
                )
            return partial
        initial = _copied(self.initial)
        return initial if partial is MISSING else self.fn(initial, partial)

    def _check(self, head: list[T]) -> None:
        values: list[Any] = ([] if self.initial is MISSING else [self.initial]) + list(head)
        self._checked = len(head) == _CHECKED_ELEMENTS
        fn = self.fn
        for a, b, c in zip(values, values[1:], values[2:], strict=False):
            try:
                # On copies: a function may change its first argument, and these elements will be folded.
                left = fn(fn(_copied(a), _copied(b)), _copied(c))
                right = fn(_copied(a), fn(_copied(b), _copied(c)))
                same = left is right or bool(left == right) or _close(left, right)
            except Exception:  # the fold itself will raise it again where step and element are known
                return
            if not same:
                raise ArgumentValueError(
                    f"reduce(fn, ...): fn is not associative: with a={a!r}, b={b!r}, c={c!r} fn(fn(a, b), c) is "
                    f"{left!r} but fn(a, fn(b, c)) is {right!r}; pass associative=False to get the left fold on "
                    f"every context"
                )


def _copied(value: Any) -> Any:
    """A copy, where one can be had: a function that changes its first argument must not change what is kept."""
    if isinstance(value, (int, float, str, bytes)):
        return value
    try:
        return deepcopy(value)
    except Exception:  # locks, handles: whoever folds these does not change them in place
        return value


def _close(left: object, right: object) -> bool:
    """Floating point addition counts as associative; rounding is the caller's business."""
    return (
        isinstance(left, (int, float, complex))
        and isinstance(right, (int, float, complex))
        and abs(left - right) <= 1e-9 * max(abs(left), abs(right))
    )


class OrderedReduce(Action[T, list[T], Any]):
    """The serial left fold of any function: workers compute the elements, the client folds them in step order."""

    grows = True

    def __init__(self, fn: Callable[[Any, T], Any], init: object = MISSING) -> None:
        self.fn = fn
        self.initial = init
        self._collect: Collect[T] = Collect()

    @property
    def name(self) -> str:
        return "Reduce(associative=False)"

    def init(self) -> list[T]:
        return []

    def fold(self, partial: list[T], element: T) -> list[T]:
        return self._collect.fold(partial, element)

    def fold_all(self, partial: list[T], elements: Iterator[T]) -> list[T]:
        return self._collect.fold_all(partial, elements)

    def merge(self, left: list[T], right: list[T]) -> list[T]:
        return self._collect.merge(left, right)

    def finish(self, partial: list[T]) -> Any:
        if self.initial is not MISSING:
            return reduce(self.fn, partial, _copied(self.initial))
        if not partial:
            raise ArgumentValueError(
                "reduce() of no elements has no result: pass init=, its value for an empty stream"
            )
        elements = iter(partial)
        first = _copied(next(elements))
        return reduce(self.fn, elements, first)


#: Partial of Sum: the exact sum of ints and other exact numbers, and a non-overlapping expansion of the
#: floats.
SumPartial = tuple[Any, tuple[float, ...]]

_SUM_CHUNK: Final = 4096
#: Floats beyond this are integers, and far from it sums of them overflow.
_LARGE: Final = 2.0**900


class Sum(Action[Any, SumPartial, Any]):
    """The sum of numbers, exactly: floats are summed without rounding and rounded once, at the end.

    That is what :func:`math.fsum` gives, and it is why the result does not depend on how the steps were cut.
    A partial keeps the floats as an expansion: a few floats whose exact sum is the exact sum of all of them.
    """

    def init(self) -> SumPartial:
        return (0, ())

    def fold(self, partial: SumPartial, element: Any) -> SumPartial:
        exact, floats = partial
        if isinstance(element, float):
            return _with_floats(exact, [*floats, element])
        return (exact + element, floats)

    def fold_all(self, partial: SumPartial, elements: Iterator[Any]) -> SumPartial:
        exact, floats = partial
        head: Any = next(elements, MISSING)
        if head is MISSING:  # and the elements must not be asked again
            return partial
        if isinstance(head, float):
            return self.fold_again(self.fold(partial, head), elements)
        try:
            total = sum(elements, head)
        except OverflowError:  # a float met an int that is larger than any float
            raise FoldAgain from None
        if isinstance(total, float):  # floats among the ints: the C loop has rounded already
            raise FoldAgain
        return (exact + total, floats)

    def fold_again(self, partial: SumPartial, elements: Iterator[Any]) -> SumPartial:
        exact, floats = partial
        # A short chunk is the last: the elements must not be asked for more than once behind their end.
        chunk: list[Any] = [0] * _SUM_CHUNK
        while len(chunk) == _SUM_CHUNK:
            chunk = list(islice(elements, _SUM_CHUNK))
            some = [x for x in chunk if isinstance(x, float)]
            if len(some) < len(chunk):
                exact = sum((x for x in chunk if not isinstance(x, float)), exact)
            exact, floats = _with_floats(exact, [*floats, *some])
        return (exact, floats)

    def merge(self, left: SumPartial, right: SumPartial) -> SumPartial:
        return _with_floats(left[0] + right[0], [*left[1], *right[1]])

    def finish(self, partial: SumPartial) -> Any:
        exact, floats = partial
        if not floats:
            return exact
        if not isinstance(exact, int):
            return exact + math.fsum(floats)
        if not all(map(math.isfinite, floats)):
            return sum(floats)
        try:
            return math.fsum([*_as_floats(exact), *floats])
        except OverflowError:  # on the way, or at the end
            return _rounded(exact, floats)


def _as_floats(exact: int) -> list[float]:
    """Floats with this sum, exactly."""
    parts = []
    while exact:
        part = float(exact)
        parts.append(part)
        exact -= int(part)
    return parts


def _rounded(exact: int, floats: tuple[float, ...]) -> float:
    """``exact + sum(floats)`` rounded once, whatever its size."""
    from fractions import Fraction

    total = sum(map(Fraction, floats), Fraction(exact))
    try:
        return float(total)
    except OverflowError:
        return math.inf if total > 0 else -math.inf


def _with_floats(exact: Any, values: list[float]) -> SumPartial:
    """A partial with few floats: take the rounded sum out, again and again, until nothing is left.

    Where that leaves the range of floats the large ones go to the exact part: they are integers.
    """
    if len(values) < 2:
        return (exact, tuple(values))
    parts: list[float] = []
    rest = list(values)
    try:
        while (rounded := math.fsum(rest)) != 0.0:
            if not math.isfinite(rounded):
                return (exact, (rounded,))
            parts.append(rounded)
            rest.append(-rounded)
    except ValueError:  # inf and -inf
        return (exact, (math.nan,))
    except OverflowError:
        if special := [x for x in values if not math.isfinite(x)]:
            return (exact, (sum(special),))
        large = [x for x in values if abs(x) > _LARGE]
        small = [x for x in values if abs(x) <= _LARGE]
        return _with_floats(exact + sum(map(int, large)), [0.0, 0.0, *small])
    return (exact, tuple(parts) or (0.0,))
