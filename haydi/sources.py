"""Sources: numbered steps, and the elements that each of them gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any, Final, Protocol

from haydi.domains.domain import Domain
from haydi.domains.guard import guarded

if TYPE_CHECKING:
    from haydi.symmetry.generate import Representatives

__all__ = ["ENDLESS", "CnfsSource", "GenerateSource", "IterateSource", "Source", "StreamSource"]

#: Number of steps of an endless stream: more than any computer will reach.
ENDLESS: Final = 1 << 128


class Source(Protocol):
    """Numbered steps and their elements."""

    @property
    def steps(self) -> int:
        """Number of steps."""

    @property
    def one_each(self) -> bool:
        """True when each step gives exactly one element."""

    def elements(self, start: int, stop: int) -> Iterator[Any]:
        """The elements of steps ``[start, stop)``, in order."""

    def count(self, start: int, stop: int) -> int | None:
        """Number of elements of steps ``[start, stop)``, or None where these have to be made to tell."""


@dataclass(frozen=True)
class IterateSource:
    """All elements of a domain of known size."""

    domain: Domain[Any]
    steps: int

    @property
    def one_each(self) -> bool:
        return not self.domain.filtered

    def elements(self, start: int, stop: int) -> Iterator[Any]:
        return self.domain.elements(start, stop)

    def count(self, start: int, stop: int) -> int | None:
        return stop - start if self.one_each else None


@dataclass(frozen=True)
class GenerateSource:
    """Random elements; the draw of a step depends on the seed and the number of the step alone."""

    domain: Domain[Any]
    steps: int
    seed: int | str
    _key: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        import hashlib  # here and below: what only some runs need is loaded when they do

        text = f"{type(self.seed).__name__}:{self.seed}".encode()
        object.__setattr__(self, "_key", int.from_bytes(hashlib.blake2b(text, digest_size=16).digest()))

    @property
    def one_each(self) -> bool:
        return True

    def elements(self, start: int, stop: int) -> Iterator[Any]:
        rng = Random()
        key, seed, draw = self._key, rng.seed, self.domain.generate_one

        def element(step: int) -> Any:
            seed(step << 128 | key)
            return draw(rng)

        return map(guarded(element), _steps(start, stop))

    def count(self, start: int, stop: int) -> int | None:
        return stop - start


@dataclass(frozen=True)
class CnfsSource:
    """One representative of each class of a strict domain; a step is an address in the search for them.

    There are as many steps as there are elements, isomorphic or not, so most ranges of steps have few elements or none.
    """

    representatives: Representatives

    @property
    def steps(self) -> int:
        return self.representatives.steps

    @property
    def one_each(self) -> bool:
        return False

    def elements(self, start: int, stop: int) -> Iterator[Any]:
        return self.representatives.elements(start, stop)

    def cut(self, start: int, stop: int) -> int:
        """A step in ``(start, stop]`` that is a good place to stop at."""
        return self.representatives.cut(start, stop)

    def tracked(self, start: int, stop: int, note: Callable[[Callable[[], int]], object]) -> Iterator[Any]:
        """As :meth:`elements`; before each one is made, ``note`` is given a function that tells its step, which can be
        called until the next element is asked for.
        """
        return self.representatives.tracked(start, stop, note)

    def count(self, start: int, stop: int) -> int | None:
        return self.representatives.count(start, stop)

    def tally(self, start: int, stop: int, key: Callable[[Any], Any]) -> Iterator[tuple[Any, int]] | None:
        """What a function says of these elements and how often, or None where they have to be made to tell."""
        return self.representatives.tally(start, stop, key)


class StreamSource:
    """Elements of a domain that cannot tell its size, one after another; a step is a position.

    It is used up by going through it, so each plan has its own, and it runs where it is: in the serial
    context. The latest elements are kept until the next are asked for, so that a range that failed can be run
    again.
    """

    steps = ENDLESS
    one_each = False  # the last steps of a range may be behind the end

    def __init__(self, domain: Domain[Any]) -> None:
        self._iterator = iter(domain)
        self._kept: list[Any] = []
        self._kept_start = 0
        #: Number of elements, once the end was met.
        self.end: int | None = None

    def elements(self, start: int, stop: int) -> Iterator[Any]:
        """The elements of steps ``[start, stop)``, which are the next ones or among the latest."""
        kept_stop = self._kept_start + len(self._kept)
        if start >= kept_stop and self.end is None:
            assert start == kept_stop, "a stream has no way back"
            self._kept_start, self._kept = start, list(islice(self._iterator, stop - start))
            if len(self._kept) < stop - start:
                self.end = start + len(self._kept)
        return iter(self._kept[start - self._kept_start : stop - self._kept_start])

    def count(self, start: int, stop: int) -> int | None:
        return None


def _steps(start: int, stop: int) -> Iterator[int]:
    """``range`` counts at C speed at any size; only its length is limited, which nobody asks for here."""
    return iter(range(start, stop))
