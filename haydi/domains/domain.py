"""The contract of a domain: an immutable, lazy, indexed space of elements.

A domain of size ``N`` is the sequence of *steps* ``0 .. N - 1``; most steps have an element. Where a filter
takes part, a step may be *rejected*: it keeps its number and has no element. So a filter never changes the
numbering, the size stays an exact count of steps (and an upper bound of the elements), and ``[0, N)`` can be
cut anywhere: ``elements(a, b)`` and ``elements(b, c)`` together are always ``elements(a, c)``. Everything
that is run in parallel rests on that one law.

Two more promises hold the speed. To begin at a step costs the same wherever it lies; and the iterator that
``elements`` returns does its bulk in C (``map``, ``filter``, ``itertools``). Sizes and steps are unbounded
integers, everyday domains exceed 64 bits, so ``len()`` is not offered.

What a domain knows about itself is derived from its parts (``_parts``) wherever that can be done: whether it
is filtered, strict, free of repeated elements, or safe to show in a ``repr``.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from haydi.domains.arguments import as_int
from haydi.domains.describe import brief, listing, shorten, show_int
from haydi.domains.guard import guarded
from haydi.domains.shortcuts import Shortcuts
from haydi.domains.stepping import accepted, search
from haydi.errors import ArgumentTypeError, ArgumentValueError, SkippedStepError, UnknownSizeError

if TYPE_CHECKING:
    from random import Random

    from haydi.domains.join import Join
    from haydi.domains.product import Product
    from haydi.domains.sequences import Sequences
    from haydi.domains.transformed import FilteredDomain, MappedDomain, Slice

__all__ = ["POOL_SIZE_MAX", "Domain"]

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")

POOL_SIZE_MAX = 1 << 14
"""A domain with at most so many steps is kept as a tuple where a composition goes through it repeatedly."""

_PREVIEW_WIDTH_MAX = 1000
_DRAWS_BEFORE_SCAN = 10_000
_SCAN_SIZE_MAX = 1_000_000
_DRAWS_MAX = 10_000_000


class Domain(Shortcuts[T], ABC, Generic[T]):
    """A finite set of discrete structures, in a fixed order.

    To write your own domain, inherit from this class, call ``super().__init__(name=name)``, and define

    * ``size`` (a property) and one of ``_at(step)`` or ``_elements(start, stop)``, better both; or
    * ``_iterate()`` alone, for a domain that cannot tell its size (``size`` stays ``None``).

    The hooks, with the arguments already validated:

    * ``_elements(start, stop)``: iterator over the elements of steps ``[start, stop)``, rejected ones left
      out.
    * ``_at(step)``: the element of a step; raises :class:`~haydi.errors.SkippedStepError` when it is
      rejected.
    * ``_index(element)``: a step that has this element; raises ``ValueError`` (never ``TypeError``, whatever
      the argument is) when there is none. The default searches from the first step on.
    * ``_generate_one(rng)``: one random draw; may raise ``SkippedStepError``, and is then repeated.
    * ``_rejected_around(step)``: a block of consecutive steps around a rejected one, all of them rejected.
    * ``_iterate()``: iterator over all elements.
    * ``_parts``: the domains this one is built of. ``filtered``, ``strict`` and more follow from them.
    * ``_with_parts(parts)``: the same domain over other parts (used by :meth:`to_values`).
    * ``_repr_args()``: what ``repr`` shows after the size.

    A domain is immutable; what it computes once and keeps belongs into a ``functools.cached_property``, which
    the pickle leaves out. :func:`haydi.testing.check_domain` tells whether a domain keeps the contract.

    Args:
        name: A name shown in ``repr``.

    >>> class Squares(Domain[int]):
    ...     size = 5
    ...     def _at(self, step):
    ...         return step * step
    >>> Squares()
    <Squares size=5 {0, 1, 4, ...}>
    >>> list(Squares().elements(2, 5)), Squares().index(9)
    ([4, 9, 16], 3)
    """

    _parts: tuple[Domain[Any], ...] = ()

    def __init__(self, *, name: str | None = None) -> None:
        if name is not None and not isinstance(name, str):
            raise ArgumentTypeError(f"name must be a string or None, not {shorten(name)}")
        self._name = name

    # ---- what a domain knows of itself -------------------------------------------------------------------

    @property
    def name(self) -> str | None:
        """The name given at construction, or None."""
        return self._name

    @property
    def size(self) -> int | None:
        """Number of steps: an exact int of any magnitude, or None when it is not known.

        The number of elements is the same, or at most that when the domain is :attr:`filtered`.
        """
        return None

    @property
    def filtered(self) -> bool:
        """True when a filter may reject some of the steps."""
        return self._parts_filtered

    @property
    def strict(self) -> bool:
        """True when the elements are closed under renaming the atoms of each ``USet``."""
        return self._parts_strict

    @cached_property
    def _parts_filtered(self) -> bool:
        return any(part.filtered for part in self._parts)

    @cached_property
    def _parts_strict(self) -> bool:
        return bool(self._parts) and all(part.strict for part in self._parts)

    @cached_property
    def _distinct(self) -> bool:
        """True when no two steps are known to have equal elements; the usual composition keeps that."""
        return bool(self._parts) and all(part._distinct for part in self._parts)

    @cached_property
    def _searches(self) -> bool:
        """True when ``index`` may have to go through the elements."""
        return type(self)._index is Domain._index or any(part._searches for part in self._parts)

    @cached_property
    def _previewable(self) -> bool:
        """True when the first elements can be had without running a function of the user."""
        return self.size is not None and not self.filtered and all(part._previewable for part in self._parts)

    @cached_property
    def _width(self) -> int:
        """Roughly how many things an element holds; the preview keeps off giants."""
        return 1 + sum(part._width for part in self._parts)

    @cached_property
    def _pool(self) -> tuple[T, ...] | None:
        """All elements, when there are few enough to keep."""
        size = self.size
        return tuple(self._elements(0, size)) if size is not None and size <= POOL_SIZE_MAX else None

    @cached_property
    def _accepted_count(self) -> int | None:
        """Number of accepted steps, where it can be told."""
        if not self.filtered:
            return self.size
        return None if self._pool is None else len(self._pool)

    def _known_size(self) -> int:
        """The size, or an error that tells what to do."""
        size = self.size
        if size is None:
            raise UnknownSizeError(
                f"this operation needs the size of {self!r}, which is not known; "
                f"give the domain a size, or materialize it with to_values()"
            )
        return size

    # ---- iteration ---------------------------------------------------------------------------------------

    def elements(self, start: int = 0, stop: int | None = None) -> Iterator[T]:
        """Iterate over the elements of steps ``[start, stop)`` in order, rejected steps left out.

        The time to begin does not depend on ``start`` (a domain without a size has to go there, though).

        Args:
            start: The first step.
            stop: One more than the last step; None is the size.

        Raises:
            ArgumentValueError: Unless ``0 <= start <= stop <= size``.

        >>> from haydi.domains.elementary import Range
        >>> list((Range(10**30) * Range(10**30)).elements(10**59, 10**59 + 2))
        [(100000000000000000000000000000, 0), (100000000000000000000000000000, 1)]
        """
        size = self.size
        first = as_int("start", start)
        last = size if stop is None else as_int("stop", stop)
        if last is None and first >= 0:
            return islice(self._iterate(), first, None) if first else self._iterate()
        if last is None or not 0 <= first <= last or (size is not None and last > size):
            end = "None" if last is None else show_int(last)
            raise ArgumentValueError(
                f"elements(start={show_int(first)}, stop={end}) does not fit {self!r}: "
                f"it must hold that 0 <= start <= stop <= size"
            )
        return islice(self._iterate(), first, last) if size is None else self._elements(first, last)

    def __iter__(self) -> Iterator[T]:
        """Iterate over all elements."""
        return self.elements()

    def _iterate(self) -> Iterator[T]:
        return self._elements(0, self._known_size())

    def _elements(self, start: int, stop: int) -> Iterator[T]:
        kind = type(self)
        if kind._at is not Domain._at:
            steps = range(start, stop)
            return accepted(self, steps) if self.filtered else map(guarded(self._at), steps)
        if kind._iterate is not Domain._iterate:
            return islice(self._iterate(), start, stop)
        raise NotImplementedError(f"{kind.__qualname__} must define _elements, _at or _iterate")

    # ---- access by step ----------------------------------------------------------------------------------

    @overload
    def __getitem__(self, step: int) -> T: ...
    @overload
    def __getitem__(self, step: slice) -> Slice[T]: ...
    def __getitem__(self, step: int | slice) -> T | Slice[T]:
        """The element of a step, or a lazy sub-domain for a slice; negative numbers count from the end.

        Raises:
            IndexError: The domain has no such step.
            SkippedStepError: A filter rejects the element of this step.

        >>> from haydi.domains.elementary import Range
        >>> domain = Range(10) ** 30
        >>> domain[-1][:3], domain[::-2].size == 10**30 // 2
        ((9, 9, 9), True)
        """
        if isinstance(step, slice):
            from haydi.domains.transformed import Slice

            return Slice(self, range(self._known_size())[step])
        size = self._known_size()
        index = as_int("step", step)
        if not -size <= index < size:
            raise IndexError(f"step {show_int(index)} is not in {self!r} of size {show_int(size)}")
        try:
            return self._at(index if index >= 0 else index + size)
        except SkippedStepError as error:
            raise SkippedStepError(f"step {show_int(index)} of {self!r} is rejected by a filter") from error

    def _at(self, step: int) -> T:
        for element in self._elements(step, step + 1):
            return element
        raise SkippedStepError("rejected by a filter")

    def _rejected_around(self, step: int) -> range:
        return range(step, step + 1)

    def index(self, element: object) -> int:
        """A step that has this element.

        It is the only one, unless the domain has equal elements at several steps. Domains made by ``map``,
        and those of users without an ``_index``, are searched from the first step on.

        Raises:
            ValueError: The element is not in the domain, or rejected by a filter.

        >>> from haydi.domains.elementary import Boolean, Range
        >>> (Range(3) * Boolean()).index((2, True))
        5
        """
        try:
            return self._index(element)
        except UnknownSizeError:
            raise
        except ValueError as error:
            raise ArgumentValueError(f"{shorten(element)} is not in {self!r}") from error

    def _index(self, element: object) -> int:
        step = search(self, element)
        if step is not None:
            return step
        raise self._absent(element)

    def _absent(self, element: object) -> ArgumentValueError:
        """What ``_index`` raises; ``index`` says it in words, which would cost ``in`` most of its time."""
        return ArgumentValueError("absent")

    def __contains__(self, element: object) -> bool:
        """Whether :meth:`index` finds the element."""
        try:
            self._index(element)
        except UnknownSizeError:
            raise
        except ValueError:
            return False
        return True

    # ---- randomness --------------------------------------------------------------------------------------

    def generate_one(self, rng: Random) -> T:
        """Draw a random element, each with the same probability (a ``Join`` with ratios: by its ratios).

        Args:
            rng: The source of randomness.

        Raises:
            ArgumentValueError: The domain has no element, or 10 million draws in a row were rejected.
            UnknownSizeError: The size of the domain is not known.

        >>> from random import Random
        >>> from haydi.domains.elementary import Range
        >>> Range(1000).generate_one(Random(7)) == Range(1000).generate_one(Random(7))
        True
        """
        if not hasattr(rng, "randrange"):
            raise ArgumentTypeError(f"rng must be a random.Random, not {shorten(rng)}")
        if self.size == 0:
            raise ArgumentValueError(f"{self!r} is empty: there is nothing to draw")
        for draw in range(_DRAWS_MAX):
            try:
                return self._generate_one(rng)
            except SkippedStepError:
                few = (self.size or 0) <= _SCAN_SIZE_MAX
                if draw == _DRAWS_BEFORE_SCAN and few and next(self._iterate(), self) is self:
                    raise ArgumentValueError(
                        f"{self!r} has no element: its filter rejects every step"
                    ) from None
        raise ArgumentValueError(
            f"{show_int(_DRAWS_MAX)} random draws from {self!r} were rejected by its filter; "
            f"describe the domain more closely, or iterate over it instead"
        )

    def _generate_one(self, rng: Random) -> T:
        return self._at(rng.randrange(self._known_size()))

    # ---- building other domains --------------------------------------------------------------------------

    def map(self, fn: Callable[[T], R]) -> MappedDomain[T, R]:
        """The domain of ``fn(element)``, step by step.

        >>> from haydi.domains.elementary import Range
        >>> list(Range(4).map(lambda x: x * 10))
        [0, 10, 20, 30]
        """
        from haydi.domains.transformed import MappedDomain

        return MappedDomain(self, fn)

    def filter(self, fn: Callable[[T], object], strict: bool = False) -> FilteredDomain[T]:
        """The domain of the elements for which ``fn`` says true; the others are rejected steps.

        Args:
            fn: Called with an element.
            strict: Promise that ``fn`` gives the same answer when atoms of a ``USet`` are renamed.

        >>> from haydi.domains.elementary import Range
        >>> odd = Range(10).filter(lambda x: x % 2)
        >>> list(odd), odd.size, odd[3]
        ([1, 3, 5, 7, 9], 10, 3)
        """
        from haydi.domains.transformed import FilteredDomain

        return FilteredDomain(self, fn, strict=strict)

    def to_values(self, max_size: int | None = None) -> Domain[T]:
        """Compute the elements now and keep them.

        Args:
            max_size: Where the domain has more steps than that, it stays as it is, and its parts are
                materialized instead, as far as they are small enough. None is no limit.

        Returns:
            ``Values`` of all elements, or the same domain over materialized parts.

        >>> from haydi.domains.elementary import Range
        >>> Range(4).map(str).to_values()
        <Values size=4 {'0', '1', '2', ...}>
        >>> (Range(100).map(str) * Range(1000)).to_values(max_size=100)
        <Product size=100000 {('0', 0), ('0', 1), ('0', 2), ...}>
        """
        from haydi.domains.elementary import Values

        size = self.size
        if max_size is None or (size is not None and size <= as_int("max_size", max_size, least=0)):
            return Values(self, name=self._name)
        parts = tuple(part.to_values(max_size) for part in self._parts)
        if all(new is old for new, old in zip(parts, self._parts, strict=True)):
            return self
        return self._with_parts(parts)

    def _with_parts(self, parts: tuple[Domain[Any], ...]) -> Domain[T]:
        return self

    def __mul__(self, other: Domain[S]) -> Product:
        """Pairs of elements; a ``Product`` on the left is extended rather than nested.

        >>> from haydi.domains.elementary import Range
        >>> r = Range(2)
        >>> (r * r * r)[1], (r * (r * r))[1]
        ((0, 0, 1), (0, (0, 1)))
        """
        from haydi.domains.product import Product

        return Product((self, other)) if isinstance(other, Domain) else NotImplemented

    def __add__(self, other: Domain[S]) -> Join[T | S]:
        """The elements of this domain, then those of the other.

        >>> from haydi.domains.elementary import Range, Values
        >>> list(Range(2) + Values("ab"))
        [0, 1, 'a', 'b']
        """
        from haydi.domains.join import Join

        return Join((self, other)) if isinstance(other, Domain) else NotImplemented

    def __pow__(self, length: int) -> Sequences[T]:
        """Sequences of a given length: ``domain**3`` is ``Sequences(domain, 3)``."""
        from haydi.domains.sequences import Sequences

        return Sequences(self, length) if isinstance(length, int) else NotImplemented

    # ---- pickling and repr -------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """The state without what can be computed again."""
        kind = type(self)
        return {
            key: value
            for key, value in self.__dict__.items()
            if not isinstance(getattr(kind, key, None), cached_property)
        }

    def __repr__(self) -> str:
        """Kind, size and first elements; never long, never calling a function of the user."""
        try:
            arguments = self._repr_args()
            return brief(self, arguments)
        except Exception as error:
            return f"<{type(self).__name__} (no description: {type(error).__name__})>"

    def _repr_args(self) -> str:
        if self._previewable and self._width <= _PREVIEW_WIDTH_MAX:
            return "{" + listing(map(shorten, self._iterate())) + "}"
        return "of " + listing(map(brief, self._parts)) if self._parts else ""
