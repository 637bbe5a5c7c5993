"""Domains that are not made of others: the leaves of every description.

``Range`` is Python's ``range`` with another coat, so going through it costs what ``range`` costs. ``Values``
keeps its elements; everything else computes them. An int is not a bool here, and a float is no int: ``True in
Range(3)`` is false, as the total order of :mod:`haydi.order` wants it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from functools import cached_property
from itertools import islice, repeat
from typing import TYPE_CHECKING, TypeVar

from haydi.basic import Atom
from haydi.domains.arguments import as_int
from haydi.domains.describe import shorten
from haydi.domains.domain import POOL_SIZE_MAX, Domain
from haydi.domains.stepping import range_size
from haydi.errors import ArgumentTypeError, ArgumentValueError

if TYPE_CHECKING:
    from random import Random

__all__ = ["Boolean", "NoneDomain", "Range", "USet", "Values"]

T = TypeVar("T")


class Range(Domain[int]):
    """The ints of a ``range``; as there, ``Range(stop)`` or ``Range(start, stop[, step])``.

    Args:
        start: The first int; 0 when it is left out.
        stop: The end, itself not included.
        step: The distance from one int to the next, not 0.
        name: A name shown in ``repr``.

    Raises:
        ArgumentTypeError: An argument is no int.
        ArgumentValueError: ``step`` is 0.

    >>> Range(4)
    <Range size=4 {0, 1, 2, ...}>
    >>> list(Range(10, 0, -3))
    [10, 7, 4, 1]
    """

    strict = True
    _distinct = True

    def __init__(
        self, start: int, stop: int | None = None, step: int = 1, *, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        if stop is None:
            start, stop = 0, as_int("stop", start)
        distance = as_int("step", step)
        if distance == 0:
            raise ArgumentValueError("step must not be 0; use Values to repeat an int")
        self._steps = range(as_int("start", start), as_int("stop", stop), distance)

    @cached_property
    def size(self) -> int:
        return range_size(self._steps)

    def _elements(self, start: int, stop: int) -> Iterator[int]:
        return iter(self._steps[start:stop])

    def _at(self, step: int) -> int:
        return self._steps[step]

    def _index(self, element: object) -> int:
        if isinstance(element, int) and not isinstance(element, bool) and element in self._steps:
            return self._steps.index(element)
        raise self._absent(element)

    def _generate_one(self, rng: Random) -> int:
        return self._steps[rng.randrange(self.size)]


class Values(Domain[T]):
    """The given objects, in the order given; repeated objects stay repeated.

    Args:
        values: The objects; they are taken out of the iterable at once.
        name: A name shown in ``repr``.

    Raises:
        ArgumentTypeError: ``values`` is not iterable.

    >>> colours = Values(["red", "green", "blue"])
    >>> colours, colours[-1], colours.index("green")
    (<Values size=3 {'red', 'green', 'blue'}>, 'blue', 1)
    """

    strict = False

    def __init__(self, values: Iterable[T], *, name: str | None = None) -> None:
        super().__init__(name=name)
        if not isinstance(values, Iterable):
            raise ArgumentTypeError(
                f"values must be iterable, not {shorten(values)}; one object x is Values([x])"
            )
        self._values = tuple(values)

    @property
    def size(self) -> int:
        return len(self._values)

    @cached_property
    def _positions(self) -> dict[Hashable, int]:
        """Where each hashable value stands first; the others are searched for."""
        positions: dict[Hashable, int] = {}
        for step, value in enumerate(self._values):
            try:
                positions.setdefault(value, step)
            except TypeError:
                continue
        return positions

    @cached_property
    def _distinct(self) -> bool:
        return len(self._positions) == len(self._values)

    @cached_property
    def _pool(self) -> tuple[T, ...]:
        return self._values

    def _elements(self, start: int, stop: int) -> Iterator[T]:
        if start == 0:
            return islice(self._values, stop)
        return map(self._values.__getitem__, range(start, stop))

    def _at(self, step: int) -> T:
        return self._values[step]

    def _index(self, element: object) -> int:
        try:
            step = self._positions.get(element)
        except TypeError:
            step = None
        if step is not None:
            return step
        # An unhashable value can be equal to what is asked for, hashable or not.
        if len(self._positions) < len(self._values) and element in self._values:
            return self._values.index(element)
        raise self._absent(element)

    def to_values(self, max_size: int | None = None) -> Values[T]:
        return self


class Boolean(Domain[bool]):
    """False and True.

    >>> Boolean()
    <Boolean size=2 {False, True}>
    """

    size = 2
    strict = True
    _distinct = True

    def _elements(self, start: int, stop: int) -> Iterator[bool]:
        return iter((False, True)[start:stop])

    def _at(self, step: int) -> bool:
        return step == 1

    def _index(self, element: object) -> int:
        if isinstance(element, bool):
            return int(element)
        raise self._absent(element)


class NoneDomain(Domain[None]):
    """The one element None, as in ``Range(5) + NoneDomain()``.

    >>> NoneDomain()
    <NoneDomain size=1 {None}>
    """

    size = 1
    strict = True
    _distinct = True

    def _elements(self, start: int, stop: int) -> Iterator[None]:
        return repeat(None, stop - start)

    def _at(self, step: int) -> None:
        return None

    def _index(self, element: object) -> int:
        if element is None:
            return 0
        raise self._absent(element)


class USet(Domain[Atom]):
    """An unlabelled set: atoms that may be renamed among each other.

    A USet *is* its name and its size: two of the same name and size have equal atoms, so that an atom that
    was sent to another process, or made there, is still the same atom. Give different sets different names.

    Args:
        size: Number of atoms.
        name: What the atoms are called after.

    Raises:
        ArgumentTypeError: ``size`` is no int, or ``name`` no string.
        ArgumentValueError: ``size`` is negative, or ``name`` empty.

    >>> states = USet(3, "q")
    >>> states, states[1].index, states[1].parent is states
    (<USet 'q' size=3 {q0, q1, q2}>, 1, True)
    """

    strict = True
    _distinct = True

    def __init__(self, size: int, name: str) -> None:
        if not isinstance(name, str):
            raise ArgumentTypeError(f"name must be a string, not {shorten(name)}: atoms are told apart by it")
        if not name:
            raise ArgumentValueError("name must not be empty: atoms are told apart by it")
        super().__init__(name=name)
        self._size = as_int("size", size, least=0)

    @property
    def size(self) -> int:
        return self._size

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, USet):
            return NotImplemented
        return self._size == other._size and self._name == other._name

    def __hash__(self) -> int:
        return hash((self._size, self._name))

    @cached_property
    def _atoms(self) -> tuple[Atom, ...]:
        return tuple(map(Atom, range(self._size), repeat(self)))

    def _elements(self, start: int, stop: int) -> Iterator[Atom]:
        if self._size <= POOL_SIZE_MAX:
            return iter(self._atoms[start:stop])
        return map(Atom, range(start, stop), repeat(self))

    def _at(self, step: int) -> Atom:
        return self._atoms[step] if self._size <= POOL_SIZE_MAX else Atom(step, self)

    def _index(self, element: object) -> int:
        if isinstance(element, Atom) and element.parent == self:
            return element.index
        raise self._absent(element)
