"""From a strict domain to one representative of each class.

**Runs.** A domain is a chain of *runs*, gone through one after another. A Join is the runs of its parts,
Sequences of several lengths have a run for each length, a filter at the top filters the representatives of
what is below it (all elements of a class get the same answer, that is what its strictness says). What is
left is compiled to a :class:`~haydi.symmetry.layout.Layout` and walked through; without any USet, each
element is a class of its own.

**Order.** Representatives come in the order of ``iterate()``, wherever inner elements iterate in the order of
``compare``: they are an ordered subsequence then. Elsewhere (a Range that goes down, Subsets of several
sizes as keys or values) inner elements are taken in the order of ``compare``.

**Steps.** So that representatives can be made on many workers, a step is an *address* in the tree of a run
(:mod:`haydi.symmetry.addresses`). Any range of steps can be asked for, in any order, and a search that turns out heavy
can be cut further at any time; elements have the order of the whole, in each range and between ranges. There are
more steps than classes, and many have no element. A worker gets to a step by replaying a path; one that goes on where
it left just goes on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from itertools import chain
from operator import itemgetter
from typing import Any

from haydi.domains.arguments import as_int
from haydi.domains.describe import shorten
from haydi.domains.domain import Domain
from haydi.domains.join import Join
from haydi.domains.sequences import Sequences
from haydi.domains.transformed import FilteredDomain
from haydi.errors import ArgumentTypeError, ArgumentValueError
from haydi.symmetry.cnf_values import CnfValues
from haydi.symmetry.effective import usets_of
from haydi.symmetry.layout import require_strict
from haydi.symmetry.runs import LayoutRun, ListRun, Note, Run, Tallied, Tally

__all__ = ["Representatives", "check_part"]

#: Pieces for each of the parts that somebody asked for: one piece may be much heavier than another.
_PIECES_PER_PART = 64


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
    >>> maps.steps, maps.count(0, maps.steps), maps.count(2, 4)
    (4, 3, 1)
    """

    def __init__(
        self, domain: Domain[Any], with_orbit_size: bool = False, part: tuple[int, int] | None = None
    ) -> None:
        require_strict(domain, "cnfs")
        self._sizes = with_orbit_size
        self._part = part
        self._runs = list(_runs(domain, ()))

    def __getstate__(self) -> dict[str, Any]:
        """Workers find the pieces anew."""
        return {"_sizes": self._sizes, "_part": self._part, "_runs": self._runs}

    @cached_property
    def _pieces(self) -> list[tuple[int, Run, int]]:
        """Where steps come from, in order: the first step, its run, and its step there."""
        whole = sum(run.steps for run in self._runs)
        ranges = [(0, whole)]
        if self._part is not None:
            r, m = self._part
            pieces = min(whole, m * _PIECES_PER_PART)
            ranges = [(whole * k // pieces, whole * (k + 1) // pieces) for k in range(r, pieces, m)]
        found: list[tuple[int, Run, int]] = []
        self._steps = 0
        for start, stop in ranges:
            offset = 0
            for run in self._runs:
                first, last = max(start - offset, 0), min(stop - offset, run.steps)
                if first < last:
                    found.append((self._steps, run, first))
                    self._steps += last - first
                offset += run.steps
        return found

    @cached_property
    def steps(self) -> int:
        """Number of steps."""
        pieces = self._pieces
        return self._steps if pieces else 0

    def __iter__(self) -> Iterator[Any]:
        return self.elements(0, self.steps)

    def _cut(self, start: int, stop: int) -> Iterator[tuple[Run, int, int, int]]:
        """A range of steps by runs: the run, its range, and how many steps come before the run's first one."""
        pieces, steps = self._pieces, self.steps
        for number in range(max(0, bisect_right(pieces, start, key=itemgetter(0)) - 1), len(pieces)):
            begin, run, first = pieces[number]
            if begin >= stop:
                return
            end = pieces[number + 1][0] if number + 1 < len(pieces) else steps
            yield run, first + max(start, begin) - begin, first + min(stop, end) - begin, begin - first

    def cut(self, start: int, stop: int) -> int:
        """A step in ``(start, stop]`` that is a good place to stop at: getting there again is quick."""
        run, first, last, before = next(self._cut(start, stop))
        return run.cut(first, last) + before

    def elements(self, start: int, stop: int) -> Iterator[Any]:
        """The representatives of steps ``[start, stop)``, in order."""
        return chain.from_iterable(
            run.elements(first, last, self._sizes) for run, first, last, _ in self._cut(start, stop)
        )

    def tracked(self, start: int, stop: int, note: Note) -> Iterator[Any]:
        """The same.

        Args:
            start: The first step.
            stop: One more than the last step.
            note: Before each element is made, this is given a function that tells its step. Until the next one is
                asked for it can be called.
        """
        for run, first, last, before in self._cut(start, stop):
            yield from run.tracked(first, last, self._sizes, partial(_note_behind, note, before))

    def tally(self, start: int, stop: int, key: Callable[[Any], Any]) -> Tally | None:
        """What a function says of these elements and how often, in their order; none is made.

        None where elements have to be made to tell. That can be left out for ``len`` of Sets, and for
        ``operator.itemgetter(1)`` of pairs with the size of a class.
        """
        told: Tallied
        if key is len and not self._sizes:
            told = "length"
        elif self._sizes and isinstance(key, itemgetter) and key.__reduce__()[1] == (1,):
            told = "orbit size"
        else:
            return None
        tallies = [run.tally(first, last, told) for run, first, last, _ in self._cut(start, stop)]
        if any(tally is None for tally in tallies):
            return None
        return chain.from_iterable(tally for tally in tallies if tally is not None)

    def count(self, start: int, stop: int) -> int | None:
        """Number of these elements; none is made. None where a filter has to see them."""
        total = 0
        for run, first, last, _ in self._cut(start, stop):
            count = run.count(first, last)
            if count is None:
                return None
            total += count
        return total


def _runs(domain: Domain[Any], accepts: tuple[Callable[[Any], object], ...]) -> Iterator[Run]:
    if isinstance(domain, FilteredDomain):
        yield from _runs(domain.domain, (domain.function, *accepts))
    elif domain._distinct and not usets_of(domain):
        yield ListRun(domain, accepts, True)
    elif isinstance(domain, CnfValues):
        from haydi.domains.elementary import Values

        yield ListRun(Values(domain.values), accepts, False)
    elif isinstance(domain, Join):
        for part in domain.domains:
            yield from _runs(part, accepts)
    elif isinstance(domain, Sequences) and len(domain.lengths) > 1:
        for length in domain.lengths:
            yield LayoutRun(Sequences(domain.domain, length), accepts)
    else:
        yield LayoutRun(domain, accepts)


def _note_behind(note: Note, before: int, tell: Callable[[], int]) -> None:
    note(lambda: tell() + before)


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
