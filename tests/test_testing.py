"""Domains that break the contract, each in one way: check_domain catches all of them, and says what."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

import haydi.domains as hd
from haydi.domains.domain import Domain
from haydi.errors import ArgumentTypeError, ArgumentValueError, DomainCheckError, SkippedStepError
from haydi.testing import check_domain


class Sound(Domain[int]):
    """The ints below ``count``; the broken domains below differ from it in one method."""

    def __init__(self, count: int = 30) -> None:
        super().__init__()
        self.number = count

    @property
    def size(self) -> Any:
        return self.number

    def _elements(self, start: int, stop: int) -> Iterator[int]:
        return iter(range(start, stop))

    def _at(self, step: int) -> int:
        return step

    def _index(self, element: object) -> int:
        if type(element) is int and 0 <= element < self.number:
            return element
        raise self._absent(element)


class Unsized(Domain[int]):
    def _iterate(self) -> Iterator[int]:
        return iter(range(10))


def broken(problem: str, kind: type[Domain] = Sound, size: Any = None, **attributes: Any) -> Any:
    """A case: a subclass of ``kind`` with these attributes, and what the message has to say."""
    made = type("Broken", (kind,), attributes)
    name = f"{problem}-{'-'.join(attributes)}"
    return pytest.param(made if size is None else (lambda: made(size)), problem, id=name)


def skip_seven(self: Any, step: int) -> int:
    if step == 7:
        raise SkippedStepError("seven")
    return step


class Chatty(Sound):
    def __repr__(self) -> str:
        return "x" * 5000


class Growing(Sound):
    """Keeps what it has computed where the pickle finds it."""

    def _at(self, step: int) -> int:
        self.__dict__.setdefault("kept", {})[step] = step
        return step


class Tired(Sound):
    """Gives less each time it is asked."""

    def _elements(self, start: int, stop: int) -> Iterator[int]:
        turn = self.__dict__["turn"] = self.__dict__.get("turn", 0) + 1
        return iter(range(start, stop if turn < 4 else stop - 1))

    def __getstate__(self) -> dict[str, Any]:
        return {"number": self.number, "_name": None}


class Forgetful(Sound):
    """Its pickle becomes another domain."""

    def __reduce__(self) -> Any:
        return Forgetful, (self.number - 1,)


class Shifted(Sound):
    """Its pickle has the right size and the wrong elements."""

    def _at(self, step: int) -> int:
        return step + self.__dict__.get("shift", 0)

    def _elements(self, start: int, stop: int) -> Iterator[int]:
        return map(self._at, range(start, stop))

    def __getstate__(self) -> dict[str, Any]:
        return {"number": self.number, "_name": None, "shift": 1}


class Twice:
    """An element whose pickle is not equal to it."""


def for_ints(function: Callable[[Any, int], Any]) -> Callable[[Any, Any], Any]:
    """A ``__getitem__`` that does this with an int, and the right thing with a slice."""
    return lambda self, i: function(self, i) if isinstance(i, int) else Sound.__getitem__(self, i)


def for_slices(function: Callable[[Any, slice], Any]) -> Callable[[Any, Any], Any]:
    return lambda self, i: function(self, i) if isinstance(i, slice) else Sound.__getitem__(self, i)


def index_of_ints(function: Callable[[Any, int], Any]) -> Callable[[Any, Any], Any]:
    """An ``_index`` that does this with an int, and the right thing with a stranger."""
    return lambda self, x: function(self, x) if type(x) is int else Sound._index(self, x)


def hashed_index(self: Any, element: Any) -> int:
    if type(element) is object:
        raise self._absent(element)
    return {x: x for x in range(30)}[element]  # TypeError for what has no hash


def open_end(self: Any, start: int = 0, stop: int | None = None) -> Iterator[int]:
    return iter(range(start, start + 3)) if stop is None else self._elements(start, stop)


def no_bounds(self: Any, start: int = 0, stop: int | None = None) -> Iterator[int]:
    return iter(range(start, self.number if stop is None else stop))


def no_window(self: Any, start: int = 0, stop: int | None = None) -> Iterator[int]:
    return iter(range(10) if stop is None else ())


def one_too_many(self: Any, start: int, stop: int) -> Iterator[int]:
    """Wrong only where more than one step is asked for, and not at the end."""
    return iter(range(start, stop if stop - start < 2 else min(stop + 1, self.number)))


SOURCE = random.Random(3)
TURNS = count()

BROKEN = [
    broken("size is -1", size=-1),
    broken("size is 3.0", size=3.0),
    broken("size is True", size=True),
    broken("filtered is 1", filtered=1),
    broken("strict is None", strict=None),
    broken("name is 5", name=5),
    broken("repr has 5000 characters", Chatty),
    # the size against the elements
    broken(
        r"elements\(0, 30\) gives .*; from place 29 on: nothing and 29",
        _elements=lambda s, a, b: iter(range(a, b if b - a < 2 else min(b, 29))),
    ),
    broken(r"_iterate\(\) gives .*; from place 30 on: nothing and 30", _iterate=lambda s: iter(range(31))),
    broken(
        r"elements\(29, 30\) gives \[29, 99\]",
        _elements=lambda s, a, b: iter([*range(a, b), 99][: b - a + b // 30]),
    ),
    # iteration against steps, and against itself
    broken(
        r"elements\(0, 1\) gives \[1\], domain\[i\] gives \[0\]",
        _elements=lambda s, a, b: iter(range(a + 1, b + 1)),
    ),
    broken(
        r"elements\(17, 18\) gives \[\], domain",
        _elements=lambda s, a, b: (x for x in range(a, b) if x != 17),
    ),
    broken("the same cut at", _elements=one_too_many),
    broken(
        r"elements\(15, 15\) gives \[15\], an empty range",
        _elements=lambda s, a, b: iter(range(a, max(b, a + (a == 15)))),
    ),
    broken("iteration gives .* from place 5 on: 5 and nothing", __iter__=lambda s: iter(range(5))),
    broken(r"elements\(0\) gives \[0, 1, 2\]", size=1000, elements=open_end),
    broken("gives", Tired),
    broken(
        r"elements\(18446744073709551616, 18446744073709551617\) gives \[0\]",
        size=2**70,
        _elements=lambda s, a, b: (x % 2**64 if x == 2**64 else x for x in range(a, b)),
    ),
    # filters
    broken("step 7 is rejected, but filtered is False", _at=skip_seven),
    broken(r"elements\(7, 8\) gives \[7\], domain\[i\] gives \[\]", filtered=True, _at=skip_seven),
    # bounds
    broken(r"elements\(-1, 30\) gives \[-1\]", elements=no_bounds),
    broken(r"domain\[30\] gives 30", __getitem__=for_ints(lambda s, i: i if i >= 0 else 30 + i)),
    broken(
        r"domain\[30\] raises KeyError, not IndexError",
        __getitem__=for_ints(lambda s, i: {j: j for j in range(-30, 30)}[i]),
    ),
    broken(
        r"domain\[-1\] gives 1,",
        __getitem__=for_ints(lambda s, i: Sound.__getitem__(s, abs(i) if -30 <= i < 0 else i)),
    ),
    # slices
    broken(
        r"domain\[\d+:\d+:-?\d\] gives",
        __getitem__=for_slices(lambda s, i: hd.Range(30)[i].map(lambda x: x + 1)),
    ),
    broken(r"domain\[\d+:\d+:-?\d\] has size 31, not", __getitem__=for_slices(lambda s, i: Sound(31))),
    # index
    broken(
        "3 is at step 3, but `in` denies it",
        __contains__=lambda s, x: x != 3,
    ),
    broken(r"index\(\d+\) gives 0, but that element is at step", _index=index_of_ints(lambda s, x: 0)),
    broken(r"index\(\d+\) gives 10\d\d, but", _index=index_of_ints(lambda s, x: x + 1000)),
    broken(r"index\(\[\]\) raises TypeError, not ValueError", _index=hashed_index),
    broken(r"index\(<object object.* gives 4", _index=lambda s, x: x if type(x) is int else 4),
    # randomness
    broken("generate_one gives 30, which is not in the domain", _generate_one=lambda s, rng: 30),
    broken("uses the global random generator", _generate_one=lambda s, rng: random.randrange(30)),
    broken("generate_one gives .*, the same seed again", _generate_one=lambda s, rng: SOURCE.randrange(30)),
    broken("ZeroDivisionError", _generate_one=lambda s, rng: 1 // 0),
    broken("generate_one of an empty domain gives 0", size=0, generate_one=lambda s, rng: 0),
    # pickling
    broken("its pickle has grown", Growing),
    broken("size gives 30, its pickle gives 29", Forgetful),
    broken(r"domain\[0\] gives 0, its pickle gives 1", Shifted),
    broken("it cannot be pickled", __getstate__=lambda s: {"x": (i for i in range(3))}),
    # without a size
    broken(
        "iterating again gives",
        Unsized,
        _iterate=lambda s: iter([next(TURNS)]),
    ),
    broken(r"elements\(3, 5\) gives \[\], iteration", Unsized, elements=no_window),
]


@pytest.mark.parametrize(("make", "problem"), BROKEN)
def test_a_broken_domain_is_caught(make: Callable[[], Domain], problem: str):
    with pytest.raises(DomainCheckError, match=problem):
        check_domain(make())


@pytest.mark.parametrize("seed", range(5))
def test_what_the_broken_domains_derive_from_is_sound(seed: int):
    check_domain(Sound(), uniform=True, seed=seed)
    check_domain(Sound(2**70), seed=seed)
    check_domain(Sound(0), seed=seed)
    check_domain(Unsized(), seed=seed)


def test_an_element_that_changes_when_it_is_sent_is_caught():
    with pytest.raises(DomainCheckError, match="its pickle gives"):
        check_domain(hd.Values([Twice()]))


@pytest.mark.parametrize(
    "draw",
    [
        lambda domain, rng: max(rng.randrange(10), rng.randrange(10)),
        lambda domain, rng: rng.randrange(9),
        lambda domain, rng: rng.choice([0, 0, *range(1, 10)]) if rng.random() < 0.9 else 0,
    ],
)
def test_a_preference_for_some_elements_is_caught(draw: Callable[[Domain, random.Random], int]):
    made = type("Preferring", (Sound,), {"_generate_one": draw})(10)
    check_domain(made)
    with pytest.raises(DomainCheckError, match="times in 600 draws, where 60 were to be expected"):
        check_domain(made, uniform=True)


def test_ratios_are_a_preference_too():
    domain = hd.Join([hd.Range(5), hd.Boolean()], ratios=[1, 9])
    check_domain(domain)
    with pytest.raises(DomainCheckError, match="to be expected"):
        check_domain(domain, uniform=True)


def test_wrong_arguments_are_told():
    with pytest.raises(ArgumentTypeError, match=r"domain must be a domain, not \[1\]"):
        check_domain([1])  # type: ignore[arg-type]
    with pytest.raises(ArgumentValueError, match="max_elements must be at least 1, not 0"):
        check_domain(hd.Range(3), max_elements=0)
