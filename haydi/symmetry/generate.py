"""From a strict domain to one representative of each class.

**Runs.** A domain is a chain of *runs*, gone through one after another. A Join is the runs of its parts,
Sequences of several lengths have a run for each length, a filter at the top filters the representatives of
what is below it (all elements of a class get the same answer, that is what its strictness says). What is
left is compiled to a :class:`~haydi.symmetry.layout.Layout` and walked through; without any USet, each
element is a class of its own.

**Order.** Representatives come in the order of ``iterate()``, wherever inner elements iterate in the order of
``compare``: they are an ordered subsequence then. Elsewhere (a Range that goes down, Subsets of several
sizes as keys or values) inner elements are taken in the order of ``compare``.

**Branches.** So that representatives can be made on many workers, they are numbered by *branches*: paths in
the trees of the runs. How many there should be is told by the number of elements divided by that of
renamings, which is about the number of classes. Branches depend on the domain alone; in them,
and between them, elements have the order of the whole. A worker gets to its branch by replaying the path; one
that goes on to the next branch just goes on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import chain, islice, repeat
from math import factorial, prod
from typing import Any

from haydi.domains.arguments import as_int
from haydi.domains.describe import shorten, show_function
from haydi.domains.domain import Domain
from haydi.domains.join import Join
from haydi.domains.sequences import Sequences
from haydi.domains.transformed import FilteredDomain
from haydi.errors import ArgumentTypeError, ArgumentValueError
from haydi.symmetry.cnf_values import CnfValues
from haydi.symmetry.effective import usets_of
from haydi.symmetry.layout import Layout, require_strict
from haydi.symmetry.orderly import Engine, Path, Walk
from haydi.symmetry.renaming import atoms_of, rename
from haydi.symmetry.trie import Trie
from haydi.symmetry.watch import watch

__all__ = ["Representatives", "check_part"]

#: Groups up to this order are looked at renaming by renaming.
ROWS_MAX = 50_000

#: How many classes a branch should have at least, how many branches make it more, and how many are enough.
_BRANCH_SIZE = 32
_BRANCHES_FEW = 1 << 8
_BRANCHES_MAX = 1 << 12

#: Branches for each of the parts that somebody asked for.
_BRANCHES_PER_PART = 32

#: How many elements a strict filter is tested on, and by how many swaps of atoms.
_PROMISES_CHECKED = 16


class _Run(ABC):
    """One tree of representatives, whose places are paths."""

    @abstractmethod
    def prefixes(self, parts: int) -> list[Path]:
        """Places to begin, from the first on, enough for so many parts."""

    @abstractmethod
    def elements(self, start: Path, stop: Path | None, sizes: bool) -> Iterator[Any]:
        """The representatives from one place up to another; with ``sizes`` pairs of these and class sizes."""

    @abstractmethod
    def count(self, start: Path, stop: Path | None) -> int | None:
        """Number of these elements, or None where they have to be made to tell."""

    @abstractmethod
    def cut_at(self, places: list[Path]) -> None:
        """Be told of all places that will be asked for."""


class _Cursor:
    """A walk that has been left between two branches, for whoever goes on there."""

    def __init__(self, walk: Walk, start: Path, cut: frozenset[Path]) -> None:
        self.walk = walk
        self.at: Path | None = start
        self.events = walk.events(start, cut)
        self.pending = next(self.events, None)


class _LayoutRun(_Run):
    """The classes of a domain that is compiled as a whole.

    Args:
        domain: The domain.
        accepts: Filters; a representative must pass all of them.
    """

    def __init__(self, domain: Domain[Any], accepts: tuple[Callable[[Any], object], ...]) -> None:
        self._domain = domain
        self._accepts = accepts
        self._cut: frozenset[Path] = frozenset()
        self._cursor: _Cursor | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What is compiled stays here; a worker compiles again."""
        return {"_domain": self._domain, "_accepts": self._accepts, "_cut": self._cut, "_cursor": None}

    @cached_property
    def layout(self) -> Layout:
        return Layout(self._domain)

    @cached_property
    def _trie(self) -> Trie:
        return Trie(self.layout)

    @cached_property
    def _promises(self) -> list[_Promise]:
        return [_Promise(accept, self.layout) for accept in self._accepts]

    def _walk(self) -> Walk:
        engine: Engine
        if self.layout.group_order <= ROWS_MAX:
            engine = watch(self.layout, self._trie)
        else:
            from haydi.symmetry.tester import Tester

            engine = Tester(self.layout)
        return Walk(self.layout, engine)

    def prefixes(self, parts: int) -> list[Path]:
        classes = self.layout.root.total // self.layout.group_order
        wanted = min(max(classes // _BRANCH_SIZE, min(classes // 2, _BRANCHES_FEW)), _BRANCHES_MAX)
        if parts > 1:
            wanted = max(wanted, _BRANCHES_PER_PART * parts)
        many = max(8 * wanted, _BRANCHES_MAX)
        total = self.layout.root.total
        found: list[Path] = [()]
        # Branches of at most total >> low vectors are too few, those of total >> high are too many.
        low, high, shift = 0, 0, 4
        while len(found) < wanted and high != low + 1 and low < total.bit_length():
            places = list(islice(self._walk().prefixes(total >> shift), many + 1))
            if len(places) > many:
                high = shift
            else:
                low, found = shift, places
            shift = (low + high) // 2 if high else 2 * shift
        return found

    def cut_at(self, places: list[Path]) -> None:
        self._cut = frozenset(path[:level] for path in places for level in range(len(path)))

    def _events(self, start: Path, stop: Path | None) -> Iterator[tuple[Walk, int, bool]]:
        """The events from one place up to another; a cursor that stands there goes on."""
        cursor, self._cursor = self._cursor, None
        if cursor is None or cursor.at != start:
            cursor = _Cursor(self._walk(), start, self._cut)
        cursor.at = None
        walk, events, event = cursor.walk, cursor.events, cursor.pending
        while event is not None and (stop is None or walk.path < stop):
            yield walk, *event
            event = next(events, None)
        cursor.pending, cursor.at = event, stop
        self._cursor = cursor if event is not None else None

    def elements(self, start: Path, stop: Path | None, sizes: bool) -> Iterator[Any]:
        elements = self._pairs(start, stop) if sizes else self._plain(start, stop)
        for accept in self._promises:
            elements = filter(_OnElement(accept) if sizes else accept, elements)
        return elements

    def _plain(self, start: Path, stop: Path | None) -> Iterator[Any]:
        root, m = self.layout.root, self.layout.m
        for walk, i, own in self._events(start, stop):
            if i == m:
                yield root.build(walk.engine.f)
            else:
                yield from root.completions(walk.engine.f, i, own)

    def _pairs(self, start: Path, stop: Path | None) -> Iterator[tuple[Any, int]]:
        layout = self.layout
        order, whole = layout.group_order, layout.group_order == layout.group_order_full
        for walk, i, own in self._events(start, stop):
            size = order // walk.automorphisms(i, own)
            elements = layout.root.completions(walk.engine.f, i, own)
            if whole:
                yield from zip(elements, repeat(size))
            else:
                yield from ((element, self._spread(element, size)) for element in elements)

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

    def count(self, start: Path, stop: Path | None) -> int | None:
        if self._accepts:
            return None
        root = self.layout.root
        return sum(root.count(walk.engine.f, i, own) for walk, i, own in self._events(start, stop))


class _ListRun(_Run):
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

    def prefixes(self, parts: int) -> list[Path]:
        size = self._domain._known_size()
        branches = min(-(-size // _BRANCH_SIZE), max(_BRANCHES_MAX, _BRANCHES_PER_PART * parts))
        return [(size * i // branches,) for i in range(branches)] if branches else [()]

    def cut_at(self, places: list[Path]) -> None:
        """A list can be begun anywhere."""

    def _range(self, start: Path, stop: Path | None) -> tuple[int, int]:
        return start[0] if start else 0, stop[0] if stop else self._domain._known_size()

    def elements(self, start: Path, stop: Path | None, sizes: bool) -> Iterator[Any]:
        elements = self._domain.elements(*self._range(start, stop))
        for accept in self._accepts:
            elements = filter(accept, elements)
        return ((element, self._class_size(element)) for element in elements) if sizes else elements

    def _class_size(self, element: Any) -> int:
        if self._lone:
            return 1
        from haydi.symmetry.canon import orbit_size

        return orbit_size(element)

    def count(self, start: Path, stop: Path | None) -> int | None:
        if self._accepts or self._domain.filtered:
            return None
        first, last = self._range(start, stop)
        return last - first


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


class Representatives:
    """One representative of each class of a strict domain.

    Args:
        domain: A strict domain.
        with_orbit_size: Whether to give pairs of representative and number of elements of its class.
        part: ``(r, m)`` for the ``r``-th of ``m`` disjoint parts.

    Raises:
        ArgumentValueError: The domain is not strict, or cannot be compiled.

    >>> from haydi.domains import Mappings, USet
    >>> n = USet(2, "n")
    >>> maps = Representatives(Mappings(n, n), with_orbit_size=True)
    >>> list(maps)
    [({n0: n0, n1: n0}, 2), ({n0: n0, n1: n1}, 1), ({n0: n1, n1: n0}, 1)]
    >>> maps.steps, maps.count(0, maps.steps)
    (1, 3)
    """

    def __init__(
        self, domain: Domain[Any], with_orbit_size: bool = False, part: tuple[int, int] | None = None
    ) -> None:
        require_strict(domain, "cnfs")
        self._sizes = with_orbit_size
        self._part = part
        self._runs = list(_runs(domain, ()))

    @cached_property
    def _branches(self) -> list[tuple[int, Path, Path | None]]:
        """For each step: the number of its run, where it begins, and where it ends."""
        found: list[tuple[int, Path, Path | None]] = []
        for number, run in enumerate(self._runs):
            places = run.prefixes(1 if self._part is None else self._part[1])
            run.cut_at(places)
            found += zip(repeat(number), places, [*places[1:], None], strict=False)
        return found if self._part is None else found[self._part[0] :: self._part[1]]

    def __getstate__(self) -> dict[str, Any]:
        """Branches travel, so that a worker does not look for them again."""
        return {"_sizes": self._sizes, "_part": self._part, "_branches": self._branches, "_runs": self._runs}

    @property
    def steps(self) -> int:
        """Number of branches."""
        return len(self._branches)

    def __iter__(self) -> Iterator[Any]:
        if self._part is not None:
            return self.elements(0, self.steps)
        return chain.from_iterable(run.elements((), None, self._sizes) for run in self._runs)

    def elements(self, start: int, stop: int) -> Iterator[Any]:
        """The representatives of branches ``[start, stop)``, in order."""
        branches = islice(self._branches, start, stop)
        return chain.from_iterable(
            self._runs[number].elements(first, last, self._sizes) for number, first, last in branches
        )

    def count(self, start: int, stop: int) -> int | None:
        """Number of these elements; none is made. None where a filter has to see them."""
        total = 0
        for number, first, last in islice(self._branches, start, stop):
            count = self._runs[number].count(first, last)
            if count is None:
                return None
            total += count
        return total


def _runs(domain: Domain[Any], accepts: tuple[Callable[[Any], object], ...]) -> Iterator[_Run]:
    if isinstance(domain, FilteredDomain):
        yield from _runs(domain.domain, (domain.function, *accepts))
    elif domain._distinct and not usets_of(domain):
        yield _ListRun(domain, accepts, True)
    elif isinstance(domain, CnfValues):
        from haydi.domains.elementary import Values

        yield _ListRun(Values(domain.values), accepts, False)
    elif isinstance(domain, Join):
        for part in domain.domains:
            yield from _runs(part, accepts)
    elif isinstance(domain, Sequences) and len(domain.lengths) > 1:
        for length in domain.lengths:
            yield _LayoutRun(Sequences(domain.domain, length), accepts)
    else:
        yield _LayoutRun(domain, accepts)


def _falling(n: int, k: int) -> int:
    """``n * (n - 1) * ... * (n - k + 1)``, the number of ways to choose ``k`` atoms one after another."""
    return factorial(n) // factorial(n - k) if n < 1000 else prod(range(n - k + 1, n + 1))


def check_part(part: object) -> tuple[int, int] | None:
    """Refuse a ``part`` that is no pair ``(r, m)`` with ``0 <= r < m``.

    Raises:
        ArgumentTypeError: It is no pair of ints.
        ArgumentValueError: There is no such part.

    >>> check_part((2, 3))
    (2, 3)
    """
    if part is None:
        return None
    if not isinstance(part, tuple) or len(part) != 2:
        raise ArgumentTypeError(f"part must be a pair (r, m): the r-th of m parts; not {shorten(part)}")
    r, m = as_int("part[0]", part[0], least=0), as_int("part[1]", part[1], least=1)
    if r >= m:
        raise ArgumentValueError(f"part={part!r}: there are the parts (0, {m}) to ({m - 1}, {m})")
    return r, m
