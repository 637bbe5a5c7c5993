"""Runs: the trees that make up the representatives of a domain (:mod:`haydi.symmetry.generate`).

A run is a range of steps. One that is compiled to a layout finds the elements of a range of steps by walking from one
path to another; it keeps a cursor where it stopped, because most often it is asked to go on there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from itertools import chain, islice, repeat
from math import factorial, prod
from typing import Any, Literal

from haydi.domains.describe import shorten, show_function
from haydi.domains.domain import Domain
from haydi.errors import ArgumentValueError
from haydi.symmetry.addresses import Addresses
from haydi.symmetry.branching import Branching
from haydi.symmetry.layout import Layout
from haydi.symmetry.orderly import Engine, Scout, Walk
from haydi.symmetry.renaming import atoms_of, rename
from haydi.symmetry.structure import SetNode
from haydi.symmetry.trie import Trie
from haydi.symmetry.watch import watch

__all__ = ["ROWS_MAX", "LayoutRun", "ListRun", "Note", "Run", "Tallied", "Tally"]

#: Groups up to this order are looked at renaming by renaming.
ROWS_MAX = 50_000

#: So many addresses for each class there may be, so that most classes can be parted from their neighbours: at least
#: some, and not more than anybody can go through.
_ADDRESSES_PER_CLASS = 64
_ADDRESSES_FEW = 1 << 16
_ADDRESSES_MAX = 1 << 64

#: How many elements a strict filter is tested on, and by how many swaps of atoms.
_PROMISES_CHECKED = 16


#: Values that a function of elements has, and how often; the first ones first, and one may come again.
Tally = Iterator[tuple[Any, int]]

#: What can be told of elements without making them: the size of their class, or their length.
Tallied = Literal["orbit size", "length"]

#: Is told how to find out the step of the next element.
Note = Callable[[Callable[[], int]], object]


class Run(ABC):
    """One tree of representatives.

    Attributes:
        steps: Number of addresses.
    """

    steps: int

    @abstractmethod
    def elements(self, start: int, stop: int, sizes: bool) -> Iterator[Any]:
        """The representatives of a range of steps; with ``sizes`` pairs of these and class sizes."""

    @abstractmethod
    def tracked(self, start: int, stop: int, sizes: bool, note: Note) -> Iterator[Any]:
        """As :meth:`elements`; before each one is made, ``note`` is given a function that tells its step, until the
        next one is asked for.
        """

    def cut(self, start: int, stop: int) -> int:
        """A step in ``(start, stop]`` that is a good place to stop at."""
        return stop

    @abstractmethod
    def count(self, start: int, stop: int) -> int | None:
        """Number of these elements, or None where they have to be made to tell."""

    def tally(self, start: int, stop: int, key: Tallied) -> Tally | None:
        """What ``key`` says of these elements, or None where they have to be made to tell."""
        return None


class LayoutRun(Run):
    """The classes of a domain that is compiled as a whole.

    Args:
        domain: The domain.
        accepts: Filters; a representative must pass all of them.
    """

    def __init__(self, domain: Domain[Any], accepts: tuple[Callable[[Any], object], ...]) -> None:
        self._domain = domain
        self._accepts = accepts
        #: A walk that stands before a step, for whoever goes on there.
        self._cursor: tuple[int, Walk] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What is compiled stays here; a worker compiles again."""
        return {"_domain": self._domain, "_accepts": self._accepts, "_cursor": None}

    @cached_property
    def layout(self) -> Layout:
        return Layout(self._domain)

    @cached_property
    def steps(self) -> int:  # type: ignore[override]
        total = self.layout.root.total
        classes = total // self.layout.group_order
        return min(total, max(_ADDRESSES_PER_CLASS * classes, _ADDRESSES_FEW), _ADDRESSES_MAX)

    @cached_property
    def _branching(self) -> Branching:
        return Branching(self.layout)

    @cached_property
    def _trie(self) -> Trie:
        return Trie(self.layout)

    @cached_property
    def _addresses(self) -> Addresses:
        return Addresses(self._branching, Scout(self._branching, self._engine()).look, self.steps)

    @cached_property
    def _promises(self) -> list[_Promise]:
        return [_Promise(accept, self.layout) for accept in self._accepts]

    def _engine(self) -> Engine:
        if self.layout.group_order <= ROWS_MAX:
            return watch(self.layout, self._trie)
        from haydi.symmetry.tester import Tester

        return Tester(self.layout)

    def _events(self, start: int, stop: int) -> Iterator[tuple[Walk, int, bool]]:
        """The events of a range of steps; a cursor that stands there goes on."""
        cursor, self._cursor = self._cursor, None
        if cursor is not None and cursor[0] == start:
            walk = cursor[1]
        else:
            path = self._addresses.path(start) if start else ()
            if path is None:
                return
            walk = Walk(self._branching, self._engine())
            walk.seek(path)
        bound = self._addresses.path(stop) if stop < self.steps else None
        while (event := walk.next(bound)) is not None:
            yield walk, *event
        self._cursor = (stop, walk)

    def elements(self, start: int, stop: int, sizes: bool) -> Iterator[Any]:
        elements = self._pairs(start, stop) if sizes else self._plain(start, stop)
        for accept in self._promises:
            elements = filter(_OnElement(accept) if sizes else accept, elements)
        return elements

    def _plain(self, start: int, stop: int) -> Iterator[Any]:
        root, m = self.layout.root, self.layout.m
        for walk, i, own in self._events(start, stop):
            if i == m:
                yield root.build(walk.f)
            else:
                yield from root.completions(walk.f, i, own)

    def _pairs(self, start: int, stop: int) -> Iterator[tuple[Any, int]]:
        for walk, i, own in self._events(start, stop):
            yield from self._sized(walk, i, own)

    def _sized(self, walk: Walk, i: int, own: bool) -> Iterator[tuple[Any, int]]:
        """The elements of an event, each with the size of its class."""
        layout = self.layout
        size = layout.group_order // walk.automorphisms(i, own)
        elements = layout.root.completions(walk.f, i, own)
        if layout.group_order == layout.group_order_full:
            return zip(elements, repeat(size), strict=False)
        return ((element, self._spread(element, size)) for element in elements)

    def _spread(self, element: Any, size: int) -> int:
        """The size of a class over all atoms, when it is ``size`` over the effective ones.

        A class over ``N`` atoms whose elements hold ``k`` of them has, for each choice of ``k`` atoms, as
        many elements as for any other choice.
        """
        atoms = set(atoms_of(element))
        for uset, few in zip(self.layout.usets, self.layout.sizes, strict=True):
            held = sum(atom.parent == uset for atom in atoms)
            size = size * _falling(uset.size, held) // _falling(few, held)
        return size

    def tracked(self, start: int, stop: int, sizes: bool, note: Note) -> Iterator[Any]:
        number = 0
        for walk, i, own in self._events(start, stop):
            alone = i == self.layout.m
            for element, size in self._sized(walk, i, own):
                number += 1
                note(
                    partial(self._addresses.start, walk.path)
                    if alone
                    else partial(self._step_of, number, start, stop)
                )
                if all(accept(element) for accept in self._promises):
                    yield (element, size) if sizes else element

    def cut(self, start: int, stop: int) -> int:
        return self._addresses.between((start + stop) // 2, stop) if stop - start > 1 else stop

    def tally(self, start: int, stop: int, key: Tallied) -> Tally | None:
        layout = self.layout
        if self._accepts:
            return None
        if key == "orbit size":
            return self._orbit_sizes(start, stop) if layout.group_order == layout.group_order_full else None
        root = layout.root
        if not isinstance(root, SetNode):
            return None
        return chain.from_iterable(root.lengths(walk.f, i, own) for walk, i, own in self._events(start, stop))

    def _orbit_sizes(self, start: int, stop: int) -> Tally:
        order, root = self.layout.group_order, self.layout.root
        for walk, i, own in self._events(start, stop):
            yield order // walk.automorphisms(i, own), root.count(walk.f, i, own)

    def _step_of(self, number: int, start: int, stop: int) -> int:
        """The step of the ``number``-th element of a range of steps, counted from 1, filters left aside."""
        low, high = start, stop - 1
        while low < high:
            middle = (low + high) // 2
            if self._number(start, middle + 1) < number:
                low = middle + 1
            else:
                high = middle
        return low

    def _number(self, start: int, stop: int) -> int:
        root, m = self.layout.root, self.layout.m
        return sum(1 if i == m else root.count(walk.f, i, own) for walk, i, own in self._events(start, stop))

    def count(self, start: int, stop: int) -> int | None:
        return None if self._accepts else self._number(start, stop)


class ListRun(Run):
    """Classes that are listed already: of a domain without USets, or canonical forms that were given.

    Args:
        domain: A domain of representatives.
        accepts: Filters; a representative must pass all of them.
        lone: Whether each class has one element.
    """

    def __init__(self, domain: Domain[Any], accepts: tuple[Callable[[Any], object], ...], lone: bool) -> None:
        self._domain = domain
        self._accepts = accepts
        self._lone = lone
        self.steps = domain._known_size()

    def elements(self, start: int, stop: int, sizes: bool) -> Iterator[Any]:
        elements = self._domain.elements(start, stop)
        for accept in self._accepts:
            elements = filter(accept, elements)
        return ((element, self._class_size(element)) for element in elements) if sizes else elements

    def tracked(self, start: int, stop: int, sizes: bool, note: Note) -> Iterator[Any]:
        for step in range(start, stop):
            note(partial(int, step))
            yield from self.elements(step, step + 1, sizes)

    def _class_size(self, element: Any) -> int:
        if self._lone:
            return 1
        from haydi.symmetry.canon import orbit_size

        return orbit_size(element)

    def count(self, start: int, stop: int) -> int | None:
        if self._accepts or self._domain.filtered:
            return None
        return stop - start


class _Promise:
    """A filter that was promised to be strict; on the first elements it is held to that.

    Args:
        accept: The function of the filter.
        layout: The layout of the elements.
    """

    def __init__(self, accept: Callable[[Any], object], layout: Layout) -> None:
        self.accept = accept
        self._left = _PROMISES_CHECKED
        pairs = ((uset[i], uset[i + 1]) for uset in layout.usets for i in range(uset.size - 1))
        self._swaps = [{a: b, b: a} for a, b in islice(pairs, _PROMISES_CHECKED)]

    def __call__(self, element: Any) -> object:
        answer = self.accept(element)
        if self._left:
            self._left -= 1
            for swap in self._swaps:
                image = rename(element, swap)
                if bool(self.accept(image)) != bool(answer):
                    raise ArgumentValueError(
                        f"filter({show_function(self.accept)}, strict=True) is not strict: it "
                        f"says {bool(answer)} to {shorten(element)} and {not answer} to {shorten(image)}, "
                        f"which differ in names of atoms; filter representatives instead: cnfs().filter(fn)"
                    )
        return answer


class _OnElement:
    """A filter of elements, for pairs of element and class size."""

    def __init__(self, accept: Callable[[Any], object]) -> None:
        self.accept = accept

    def __call__(self, pair: tuple[Any, int]) -> object:
        return self.accept(pair[0])


def _falling(n: int, k: int) -> int:
    """``n * (n - 1) * ... * (n - k + 1)``, the number of ways to choose ``k`` atoms one after another."""
    return factorial(n) // factorial(n - k) if n < 1000 else prod(range(n - k + 1, n + 1))
