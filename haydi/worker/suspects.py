"""Suspects: steps that a compute process died in.

The death of a process tells little: somebody may have killed it, or one of its steps does that to each process that
runs it, which is then a *poison* step. What it was at is *suspected* and run again, alone: by itself in a stride, with
nothing held before and nothing waiting behind. A suspect that is survived is innocent. One that kills again is
narrowed:

* to the chunk that was at work, when that is known. A suspect is run in up to 64 chunks, so that each death makes it
  some 64 times smaller;
* else, when processes died in it as often as is allowed, to its halves, each a suspect that one more death is enough
  to halve again.

So a suspect of N steps costs ``log N`` deaths, and in the end it is one step. That step is named as poison when so many
processes have died in it *alone* as are allowed; all steps around it are computed like any other. Where there is no
poison, deaths blame nobody: the evidence against a step is deaths in this very step.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Suspect", "Suspects", "narrow"]


class Suspect(NamedTuple):
    """Steps ``[start, stop)`` that ``deaths`` processes died in."""

    start: int
    stop: int
    deaths: int


class Suspects:
    """The suspects of a run, apart from each other, in order.

    Example:
        >>> suspects = Suspects()
        >>> suspects.add(Suspect(8, 9, 1))
        >>> suspects.add(Suspect(2, 5, 1))
        >>> suspects.cut(4)
        >>> suspects.take(), bool(suspects)
        (Suspect(start=2, stop=4, deaths=1), False)
    """

    def __init__(self) -> None:
        self._suspects: list[Suspect] = []

    def __bool__(self) -> bool:
        return bool(self._suspects)

    def __iter__(self) -> Iterator[Suspect]:
        return iter(self._suspects)

    def add(self, suspect: Suspect) -> None:
        """Add steps that are not suspected yet."""
        insort(self._suspects, suspect)

    def take(self) -> Suspect:
        """Remove and return the first; there must be one."""
        return self._suspects.pop(0)

    def drain(self) -> list[Suspect]:
        """Remove and return all."""
        suspects, self._suspects = self._suspects, []
        return suspects

    def cut(self, stop: int) -> None:
        """Steps from ``stop`` on are not needed any more."""
        self._suspects = [s._replace(stop=min(s.stop, stop)) for s in self._suspects if s.start < stop]


def narrow(before: Suspect | None, start: int, stop: int, allowed: int) -> tuple[list[Suspect], int]:
    """A process died in ``[start, stop)``.

    Args:
        before: The suspect that it was running, if it was one; the steps are a part of it.
        start: First step of what it was at.
        stop: Its end.
        allowed: Deaths that name a step, and that halve a range.

    Returns:
        Who is suspected now; or nobody, and how many processes died in the one step that this is.

    Example:
        >>> narrow(None, 0, 8, 3)
        ([Suspect(start=0, stop=8, deaths=1)], 0)
        >>> narrow(Suspect(0, 8, 2), 0, 8, 3)
        ([Suspect(start=0, stop=4, deaths=2), Suspect(start=4, stop=8, deaths=2)], 0)
        >>> narrow(Suspect(3, 4, 2), 3, 4, 3)
        ([], 3)
    """
    deaths = 1 if before is None else before.deaths + 1
    if stop - start == 1:
        if before is not None and before.stop - before.start > 1:
            deaths = 1
        return ([], deaths) if deaths >= allowed else ([Suspect(start, stop, deaths)], 0)
    if deaths < allowed:
        return [Suspect(start, stop, deaths)], 0
    middle = (start + stop) // 2
    halves = [(start, middle), (middle, stop)]
    # The deaths of a range are no evidence against a step of it.
    return [Suspect(a, b, allowed - 1 if b - a > 1 else 0) for a, b in halves], 0
