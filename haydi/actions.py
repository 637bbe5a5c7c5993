"""Actions: how the elements of a pipeline become its result.

An action is a *monoid with a view*: a neutral partial result (:meth:`Action.init`), a way to put elements into
a partial (:meth:`Action.fold`), an associative :meth:`Action.merge` of the partials of two neighbouring
ranges of steps, and a last look at the whole (:meth:`Action.finish`). The one law is

    fold(init, xs + ys) == merge(fold(init, xs), fold(init, ys))

for all sequences ``xs`` and ``ys``. It makes the result independent of how the steps were cut and who ran
them, so the serial run and the run on a thousand workers are the same computation. ``merge`` always gets the
earlier range on its left: it may rely on order and need not be commutative.

An action that can be sure of its result early says so with :meth:`Action.is_final`: "nothing that comes to the
right of this partial can change the result". A partial, once given to ``fold`` or ``merge``, belongs to that
call and may be changed in place.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import reduce
from itertools import count as counter_from
from itertools import islice
from typing import Any, Final, Generic, TypeVar

from haydi.errors import ArgumentTypeError, ArgumentValueError

__all__ = [
    "Action",
    "Collect",
    "Count",
    "First",
    "FoldAgain",
    "Frequencies",
    "Groups",
    "GroupsCounts",
    "Max",
    "Min",
    "OrderedReduce",
    "Reduce",
    "Sum",
]

T = TypeVar("T")  # element
P = TypeVar("P")  # partial result
R = TypeVar("R")  # result


class FoldAgain(Exception):  # noqa: N818 - a signal, not an error
    """Raised by ``fold_all`` after it used up its elements: run the range again, with ``fold_again``."""


class Action(ABC, Generic[T, P, R]):
    """How elements of type ``T`` become, over partials of type ``P``, a result of type ``R``.

    To write your own, subclass it at module level (or anywhere: functions and classes of a script travel to the
    workers by value), give :meth:`init`, :meth:`fold` and :meth:`merge`, and hand an instance to
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
        """Put all elements into a partial. The built-in actions do this at C speed."""
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


class Collect(Action[T, list[T], list[T]]):
    """All elements, in step order, as a list."""

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


class Count(Action[object, int, int]):
    """The number of elements. Where nothing asks for the elements themselves, none is built."""

    needs_elements = False

    def init(self) -> int:
        return 0

    def fold(self, partial: int, element: object) -> int:
        return partial + 1

    def fold_all(self, partial: int, elements: Iterator[object]) -> int:
        numbers = counter_from(partial)
        deque(zip(elements, numbers, strict=False), maxlen=0)  # zip asks elements first, so none is counted twice
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


class Reduce(Action[T, Any, Any]):
    """Left fold of an *associative* function; ``init``, if given, is put in once, at the left.

    The claim of associativity is checked where it costs nothing, on the first elements a process sees: a function
    that counts (``lambda n, x: n + 1``) or whose first argument is of another kind than its second would give a
    wrong result on any cut, so it is refused with the remedy (``associative=False``).
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
        return element if partial is MISSING else self.fn(partial, element)

    def fold_all(self, partial: Any, elements: Iterator[T]) -> Any:
        if not self._checked:
            head = list(islice(elements, 3))
            self._check(head)
            for element in head:
                partial = self.fold(partial, element)
        if partial is MISSING:
            partial = next(elements, MISSING)
            if partial is MISSING:
                return MISSING
        return reduce(self.fn, elements, partial)

    def merge(self, left: Any, right: Any) -> Any:
        if left is MISSING:
            return right
        return left if right is MISSING else self.fn(left, right)

    def finish(self, partial: Any) -> Any:
        if self.initial is MISSING:
            if partial is MISSING:
                raise ArgumentValueError("reduce() of no elements has no result: pass init=, its value for an empty stream")
            return partial
        return self.initial if partial is MISSING else self.fn(self.initial, partial)

    def _check(self, head: list[T]) -> None:
        values: list[Any] = ([] if self.initial is MISSING else [self.initial]) + list(head)
        if len(values) < 3:
            return
        self._checked = True
        a, b, c = values[:3]
        fn = self.fn
        try:
            left, right = fn(fn(a, b), c), fn(a, fn(b, c))
            same = left is right or bool(left == right) or _close(left, right)
        except Exception:  # the fold itself will raise it again where step and element are known
            return
        if not same:
            raise ArgumentValueError(
                f"reduce(fn, ...): fn is not associative: with a={a!r}, b={b!r}, c={c!r} fn(fn(a, b), c) is {left!r} "
                f"but fn(a, fn(b, c)) is {right!r}; pass associative=False to get the left fold on every context"
            )


def _close(left: object, right: object) -> bool:
    """Floating point addition counts as associative; rounding is the caller's business."""
    return (
        isinstance(left, (int, float, complex))
        and isinstance(right, (int, float, complex))
        and abs(left - right) <= 1e-9 * max(abs(left), abs(right))
    )


class OrderedReduce(Action[T, list[T], Any]):
    """The serial left fold of any function: workers compute the elements, the client folds them in step order."""

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
            return reduce(self.fn, partial, self.initial)
        if not partial:
            raise ArgumentValueError("reduce() of no elements has no result: pass init=, its value for an empty stream")
        return reduce(self.fn, partial)


#: Partial of Sum: the exact sum of ints and other exact numbers, and a non-overlapping expansion of the floats.
SumPartial = tuple[Any, tuple[float, ...]]

_SUM_CHUNK: Final = 4096


class Sum(Action[Any, SumPartial, Any]):
    """The sum of numbers, exactly: floats are summed without rounding and rounded once, at the end.

    That is what :func:`math.fsum` gives, and it is why the result does not depend on how the steps were cut. A
    partial keeps the floats as an expansion: a few floats whose exact sum is the exact sum of all of them.
    """

    def init(self) -> SumPartial:
        return (0, ())

    def fold(self, partial: SumPartial, element: Any) -> SumPartial:
        exact, floats = partial
        if isinstance(element, float):
            return (exact, _expansion([*floats, element]))
        return (exact + element, floats)

    def fold_all(self, partial: SumPartial, elements: Iterator[Any]) -> SumPartial:
        exact, floats = partial
        head = next(elements, 0)
        if isinstance(head, float):
            return self.fold_again(self.fold(partial, head), elements)
        total = sum(elements, head)
        if isinstance(total, float):  # floats among the ints: the C loop has rounded already
            raise FoldAgain
        return (exact + total, floats)

    def fold_again(self, partial: SumPartial, elements: Iterator[Any]) -> SumPartial:
        exact, floats = partial
        while chunk := list(islice(elements, _SUM_CHUNK)):
            some = [x for x in chunk if isinstance(x, float)]
            if len(some) < len(chunk):
                exact = sum((x for x in chunk if not isinstance(x, float)), exact)
            floats = _expansion([*floats, *some])
        return (exact, floats)

    def merge(self, left: SumPartial, right: SumPartial) -> SumPartial:
        return (left[0] + right[0], _expansion([*left[1], *right[1]]))

    def finish(self, partial: SumPartial) -> Any:
        exact, floats = partial
        if not floats:
            return exact
        if not isinstance(exact, int):
            return exact + math.fsum(floats)
        try:
            return math.fsum([*floats, float(exact)]) if abs(exact) <= 2**53 else _fsum_with(exact, floats)
        except OverflowError:
            return float(exact) + math.fsum(floats)


def _fsum_with(exact: int, floats: tuple[float, ...]) -> float:
    """Round ``exact + sum(floats)`` once, for an int that no float holds: split it into floats that do."""
    parts = []
    while exact:
        part = float(exact)
        parts.append(part)
        exact -= int(part)
    return math.fsum([*parts, *floats])


def _expansion(values: list[float]) -> tuple[float, ...]:
    """Few floats with the same exact sum: take the rounded sum out, again and again, until nothing is left."""
    if len(values) < 2:
        return tuple(values)
    parts: list[float] = []
    try:
        while (rounded := math.fsum(values)) != 0.0:
            parts.append(rounded)
            if not math.isfinite(rounded):
                return (rounded,)
            values.append(-rounded)
    except (OverflowError, ValueError):  # beyond the largest float, or inf - inf: what plain addition says
        return (sum(values) - sum(parts),) if not parts else (sum(parts),)
    return tuple(parts) or (0.0,)


class Max(Action[T, tuple[Any, list[T]], list[T]]):
    """All elements with the greatest key, in step order; with ``size`` the earliest ``size`` of them.

    A partial is ``(key, elements)``; an empty list of elements marks the neutral one.
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
                best, kept = (element if key is None else key(element)), [element]
                break
            else:
                return partial
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

    def merge(self, left: Counter[Any], right: Counter[Any]) -> Counter[Any]:
        left.update(right)
        return left

    def finish(self, partial: Counter[Any]) -> dict[Any, int]:
        return dict(partial)


def check_limit(argument: str, value: int | None, *, least: int = 1) -> None:
    """Refuse a limit that is no int or too small; None means no limit.

    Raises:
        ArgumentTypeError, ArgumentValueError: naming the argument and the value.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise ArgumentTypeError(f"{argument}={value!r}: an int of at least {least}, or None for no limit, is needed")
    if value < least:
        raise ArgumentValueError(f"{argument}={value!r}: must be at least {least}, or None for no limit")


def check_callable(argument: str, value: object) -> None:
    """Refuse what cannot be called.

    Raises:
        ArgumentTypeError: naming the argument and the value.
    """
    if not callable(value):
        raise ArgumentTypeError(f"{argument}={value!r}: a function of one element is needed")


def merge_all(action: Action[Any, P, Any], partials: Iterable[P]) -> P:
    """Merge partials of consecutive ranges, from left to right."""
    return reduce(action.merge, partials, action.init())
