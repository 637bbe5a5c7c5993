"""The contract itself: what follows for a domain of a user from the hooks it defines, and what is refused."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import Any

import pytest

from haydi.domains import Boolean, Domain, Product, Range, Sequences, USet, Values
from haydi.domains import domain as domain_module
from haydi.errors import ArgumentTypeError, ArgumentValueError, SkippedStepError, UnknownSizeError
from haydi.testing import check_domain


class ByStep(Domain[int]):
    """Squares, known by ``_at`` alone; as many as wanted."""

    def __init__(self, count: int = 10, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.number = count

    @property
    def size(self) -> int:
        return self.number

    def _at(self, step: int) -> int:
        return step * step


class ByElements(ByStep):
    _at = Domain._at

    def _elements(self, start: int, stop: int) -> Iterator[int]:
        return (step * step for step in range(start, stop))


class ByIteration(ByStep):
    _at = Domain._at

    def _iterate(self) -> Iterator[int]:
        return (step * step for step in range(self.number))


class OddByStep(ByStep):
    """Rejects by itself, without a FilteredDomain."""

    filtered = True

    def _at(self, step: int) -> int:
        if step % 2 == 0:
            raise SkippedStepError("even")
        return step * step


class OddByElements(OddByStep):
    _at = Domain._at

    def _elements(self, start: int, stop: int) -> Iterator[int]:
        return (step * step for step in range(start, stop) if step % 2)


class Unsized(Domain[int]):
    def _iterate(self) -> Iterator[int]:
        return iter([3, 1, 4, 1, 5])


@pytest.mark.parametrize("kind", [ByStep, ByElements, ByIteration])
def test_one_hook_is_enough(kind: type[ByStep]):
    domain = kind()
    assert list(domain) == [i * i for i in range(10)]
    assert list(domain.elements(3, 5)) == [9, 16]
    assert (domain[2], domain[-1], list(domain[::-4])) == (4, 81, [81, 25, 1])
    assert (domain.index(49), 50 in domain) == (7, False)
    assert not domain.filtered
    assert not domain.strict
    check_domain(domain, uniform=True)
    check_domain(domain * Boolean())
    check_domain(kind(0))


@pytest.mark.parametrize("kind", [OddByStep, OddByElements])
def test_one_hook_is_enough_for_a_domain_that_rejects(kind: type[ByStep]):
    domain = kind()
    assert list(domain) == [1, 9, 25, 49, 81]
    assert list(domain.elements(2, 6)) == [9, 25]
    assert domain.index(25) == 5
    assert 4 not in domain
    with pytest.raises(SkippedStepError, match=r"step 4 of <Odd.* is rejected by a filter"):
        domain[4]
    check_domain(domain, uniform=True)
    check_domain(Range(3) * domain * domain)


def test_far_away_steps_cost_nothing():
    domain = ByStep(10**60)
    assert list(domain.elements(10**50, 10**50 + 2)) == [10**100, 10**100 + 2 * 10**50 + 1]
    assert list(islice(domain.elements(2**64), 1)) == [2**128]
    assert domain[-1] == (10**60 - 1) ** 2


def test_no_hook_is_an_error_that_names_them():
    class Nothing(Domain[int]):
        size = 3

    with pytest.raises(NotImplementedError, match="Nothing must define _elements, _at or _iterate"):
        list(Nothing())
    assert repr(Nothing()) == "<Nothing (no description: NotImplementedError)>"


def test_a_domain_without_a_size():
    domain = Unsized()
    assert domain.size is None
    assert list(domain) == [3, 1, 4, 1, 5]
    assert list(domain.elements(1, 3)) == [1, 4]
    assert list(domain.elements(3)) == [1, 5]
    assert list(domain.map(str)) == list("31415")
    assert list(domain.filter(lambda x: x > 2)) == [3, 4, 5]
    assert (domain.index(4), 9 in domain) == (2, False)
    assert list(domain.to_values()) == [3, 1, 4, 1, 5]
    assert domain.to_values(max_size=100) is domain
    assert repr(domain) == "<Unsized size=?>"
    check_domain(domain)
    check_domain(domain.map(str))
    check_domain(domain.filter(lambda x: x > 2))


@pytest.mark.parametrize(
    "use",
    [
        lambda d: d[0],
        lambda d: d[1:],
        lambda d: d.generate_one(random.Random(1)),
        lambda d: d**2,
        lambda d: (d * d)[0],
        lambda d: (d + d)[0],
    ],
)
def test_what_needs_a_size_says_so(use: Any):
    with pytest.raises(UnknownSizeError, match=r"size=\?.*(give the domain a size|sizes of all parts)"):
        use(Unsized())


@pytest.mark.parametrize(
    "domain", [Range(5), Range(5) * Boolean(), Range(10).filter(bool), Range(3) + Range(2)]
)
@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 11), (11, None), (-1, None), (2, -1)])
def test_steps_outside_are_refused(domain: Domain[Any], start: int, stop: int | None):
    with pytest.raises(ArgumentValueError, match=r"it must hold that 0 <= start <= stop <= size"):
        domain.elements(start, stop)


def test_a_domain_without_a_size_refuses_what_cannot_be():
    for start, stop in ((-1, None), (2, 1), (-2, -1)):
        with pytest.raises(ArgumentValueError, match="0 <= start <= stop"):
            Unsized().elements(start, stop)


def test_other_steps_are_no_steps():
    for step in (1.0, "1", None):
        with pytest.raises(ArgumentTypeError, match="step must be an int"):
            Range(5)[step]  # type: ignore[call-overload]
    with pytest.raises(ArgumentTypeError, match=r"start must be an int, not 1\.5"):
        Range(5).elements(1.5)  # type: ignore[arg-type]
    for number in (5, -6, 10**30):
        with pytest.raises(IndexError, match=rf"step {number} is not in <Range size=5 .*> of size 5"):
            Range(5)[number]


def test_arguments_of_every_domain():
    with pytest.raises(ArgumentTypeError, match="name must be a string or None, not 3"):
        Range(5, name=3)  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match=r"rng must be a random.Random, not 7"):
        Range(5).generate_one(7)  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match="fn must be a function, not 'f'"):
        Range(5).map("f")  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match="fn must be a function, not None"):
        Range(5).filter(None)  # type: ignore[arg-type]
    with pytest.raises(ArgumentValueError, match="max_size must be at least 0, not -1"):
        Range(5).to_values(-1)


# ---- randomness ----


def test_an_empty_domain_has_nothing_to_draw():
    empty: list[Domain[Any]] = [Range(0), Range(3) * Range(0), Values([])]
    for domain in empty:
        with pytest.raises(ArgumentValueError, match="is empty: there is nothing to draw"):
            domain.generate_one(random.Random(1))


def test_a_filter_that_rejects_everything_is_noticed():
    with pytest.raises(ArgumentValueError, match="has no element: its filter rejects every step"):
        Range(1000).filter(lambda x: x < 0).generate_one(random.Random(1))


def test_drawing_from_next_to_nothing_has_an_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(domain_module, "_DRAWS_MAX", 30_000)
    with pytest.raises(
        ArgumentValueError, match=r"30000 random draws from .* were rejected by its filter; describe"
    ):
        Range(10**30).filter(lambda x: x == 5).generate_one(random.Random(1))


def test_rare_elements_are_found():
    assert Range(10**6).filter(lambda x: x % 20_000 == 7).generate_one(random.Random(1)) % 20_000 == 7


# ---- pickling ----


class Caching(ByStep):
    @cached_property
    def squares(self) -> list[int]:
        return [step * step for step in range(1000)]


def test_what_can_be_computed_again_stays_at_home():
    domain = Caching(name="kept")
    before = pickle.dumps(domain)
    assert len(domain.squares) == 1000
    assert pickle.dumps(domain) == before
    copy = pickle.loads(before)
    assert (copy.name, copy.size, list(copy)) == ("kept", 10, list(domain))


def test_pickles_of_used_compositions_do_not_grow():
    domain = Sequences(Range(100) * USet(50, "a") + Range(9), 1, 3)
    before = len(pickle.dumps(domain))
    assert sum(1 for _ in domain.elements(0, 20_000)) == 20_000
    domain.generate_one(random.Random(1))
    assert len(pickle.dumps(domain)) == before


# ---- repr ----


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        (Range(3), "<Range size=3 {0, 1, 2}>"),
        (Range(0), "<Range size=0 {}>"),
        (Range(4, name="digits"), "<Range 'digits' size=4 {0, 1, 2, ...}>"),
        (Range(3) * Boolean(), "<Product size=6 {(0, False), (0, True), (1, False), ...}>"),
        (Range(3).filter(bool), "<FilteredDomain size<=3 {0, 1, 2} | filter bool>"),
        (Range(9).map(str).filter(len), "<FilteredDomain size<=9 {0, 1, 2, ...} | map str | filter len>"),
        (Range(3).map(str) * Range(2), "<Product size=6 of <MappedDomain size=3>, <Range size=2>>"),
        (Range(10**5000), "<Range size=~10**5000 {0, 1, 2, ...}>"),
        (Values(["x" * 1000]), "<Values size=1 {'" + "x" * 17 + "..." + "x" * 18 + "'}>"),
        (ByStep(), "<ByStep size=10 {0, 1, 4, ...}>"),
        ((Range(4) ** 2)[3:], "<Slice size=13 {(0, 3), (1, 0), (1, 1), ...}>"),
    ],
)
def test_repr(domain: Domain[Any], text: str):
    assert repr(domain) == text


def test_repr_is_bounded_and_comes_at_once():
    nested: Domain[Any] = Boolean()
    for _ in range(14):
        nested = Product((nested, nested))
    deep: Domain[Any] = Range(5)
    for _ in range(300):
        deep = deep.map(str)
    for domain in (nested, deep, Boolean() ** 10**6, Range(9) ** 500, Product([Range(2)] * 5000)):
        assert len(repr(domain)) < 500


def test_repr_calls_no_function_of_the_user():
    def forbidden(x: object) -> object:
        raise AssertionError("called")

    mapped = Range(5).map(forbidden)
    filtered = Range(5).filter(forbidden)
    for domain in (
        mapped,
        filtered,
        mapped * filtered,
        mapped**2,
        mapped + filtered,
        filtered[1:],
        mapped[::2] ** 2,
    ):
        assert "size" in repr(domain)


def test_repr_survives_what_is_broken():
    class Broken(Domain[int]):
        size = 5

        def _elements(self, start: int, stop: int) -> Iterator[int]:
            raise ZeroDivisionError

    class Unshowable:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    assert repr(Broken()) == "<Broken (no description: ZeroDivisionError)>"
    assert repr(Values([Unshowable()])).startswith("<Values size=1 {<Unshowable instance at")


# ---- materializing ----


def test_to_values_goes_as_deep_as_it_has_to():
    domain = (Range(5).map(str) * Range(1000)) + Range(10).filter(lambda x: x > 7)
    kept = domain.to_values(max_size=10)
    assert repr(kept) == "<Join size=5002 {('0', 0), ('0', 1), ('0', 2), ...}>"
    assert list(kept) == list(domain)
    assert domain.to_values(max_size=4) is domain
    whole = domain.to_values()
    assert isinstance(whole, Values)
    assert whole.size == 5002


def test_slices_keep_their_steps_when_parts_are_materialized():
    rejecting = Range(10).filter(lambda x: x > 4)[2:8]
    assert list(rejecting.to_values(max_size=5)) == [5, 6, 7]
    strided = (Range(5).map(str) * Range(1000))[::700]
    assert list(strided.to_values(max_size=5)) == list(strided)
