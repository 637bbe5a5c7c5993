"""Joins: order, flattening, and how often each part is drawn from."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction
from typing import Any

import pytest

from haydi.domains import Boolean, Domain, Join, NoneDomain, Range, Values
from haydi.errors import ArgumentTypeError, ArgumentValueError, UnknownSizeError
from haydi.testing import check_domain


class Unsized(Domain[str]):
    def _iterate(self) -> Any:
        return iter("pq")

    def _generate_one(self, rng: random.Random) -> str:
        return rng.choice("pq")


def below_two(x: int) -> bool:
    return x < 2


def test_one_after_another():
    domain = Join([Range(3), Range(0), Values("ab"), NoneDomain()])
    assert list(domain) == [0, 1, 2, "a", "b", None]
    assert [list(domain.elements(i, j)) for i, j in ((2, 4), (3, 3), (5, 6))] == [[2, "a"], [], [None]]
    assert [domain.index(x) for x in ("b", None, 2)] == [4, 5, 2]
    check_domain(domain, uniform=True)
    check_domain(Join([]))


def test_equal_elements_are_steps_of_their_own():
    domain = Range(2) + Range(3)
    assert list(domain) == [0, 1, 0, 1, 2]
    assert [domain.index(x) for x in (0, 1, 2)] == [0, 1, 4]
    assert domain[2:].index(0) == 0
    check_domain(domain, uniform=True)
    # An int and a bool are equal in Python, and not the same here.
    assert (Range(2) + Boolean()).index(True) == 3


def test_sizes_of_any_magnitude():
    domain = Range(10**30) + Range(10**40, 0, -1) + NoneDomain()
    assert domain.size == 10**40 + 10**30 + 1
    assert list(domain.elements(10**40 + 10**30 - 1)) == [1, None]
    assert domain[10**30] == 10**40
    check_domain(domain)


def test_a_join_on_the_left_is_extended():
    a, b, c = Range(1), Range(2), Range(3)
    assert (a + b + c).domains == (a, b, c)
    assert (Join((a, b)) + c).domains == (a, b, c)
    assert len((a + (b + c)).domains) == 2
    weighted = Join((a, b), ratios=(1, 1))
    assert (weighted + c).domains == (weighted, c)
    for other in (3, "ab", None):
        with pytest.raises(TypeError, match="unsupported operand"):
            Join((a, b)) + other  # type: ignore[operator]
        with pytest.raises(TypeError, match="unsupported operand"):
            a + other  # type: ignore[operator]


def shares(domain: Domain[Any], draws: int = 4000) -> dict[Any, float]:
    rng = random.Random(11)
    return {x: n / draws for x, n in Counter(domain.generate_one(rng) for _ in range(draws)).items()}


def test_without_ratios_all_elements_have_the_same_chance():
    assert shares(Join([Range(8), NoneDomain()])) == pytest.approx(
        dict.fromkeys([*range(8), None], 1 / 9), abs=0.02
    )


@pytest.mark.parametrize("ratios", [(1, 3), (0.25, 0.75), (Fraction(1, 3), 1), (10**400, 3 * 10**400)])
def test_ratios(ratios: Any):
    found = shares(Join([Values("abc"), NoneDomain()], ratios=ratios))
    assert found.pop(None) == pytest.approx(0.75, abs=0.03)
    assert found == pytest.approx(dict.fromkeys("abc", 0.25 / 3), abs=0.02)


def test_ratios_hold_for_what_a_filter_leaves():
    domain = Join([Range(100).filter(below_two), NoneDomain()], ratios=[1, 1])
    assert shares(domain) == pytest.approx({0: 0.25, 1: 0.25, None: 0.5}, abs=0.03)


@pytest.mark.parametrize("size", [100, 10**6])  # what is left can be counted, and cannot
def test_without_ratios_filtered_parts_count_by_what_is_left(size: int):
    domain = Join([Range(0, size, size // 50).filter(lambda x: x == 0), NoneDomain()])
    assert shares(domain) == pytest.approx({0: 0.5, None: 0.5}, abs=0.03)
    unknown = Join([Range(size).filter(lambda x: 2 * x >= size), Range(-size // 2, 0)])
    rng = random.Random(3)
    negative = sum(unknown.generate_one(rng) < 0 for _ in range(4000))
    assert negative / 4000 == pytest.approx(0.5, abs=0.03)


def test_ratios_stay_when_parts_are_materialized():
    domain = Join([Range(5).map(str), Range(100)], ratios=[1, 0])
    kept = domain.to_values(max_size=5)
    assert isinstance(kept, Join)
    assert kept.ratios == (1, 0)
    assert isinstance(kept.domains[0], Values)
    assert set(shares(kept, 100)) == set("01234")


def test_empty_parts_are_never_drawn_from():
    assert set(shares(Join([Range(0), Range(2)], ratios=[5, 1]), 50)) == {0, 1}
    with pytest.raises(ArgumentValueError, match=r"ratios=\(1, 0\) of .* leave only parts that are empty"):
        Join([Range(0), Range(2)], ratios=[1, 0]).generate_one(random.Random(1))
    with pytest.raises(ArgumentValueError, match="has no element: its filter rejects every step"):
        Join([Range(5).filter(lambda x: x > 9), Range(0)]).generate_one(random.Random(1))


def test_without_sizes():
    domain = Range(2) + Unsized()
    assert domain.size is None
    assert list(domain) == [0, 1, "p", "q"]
    assert domain.index("q") == 3
    assert (Unsized() + Range(2)).index(1) == 3
    check_domain(domain)
    with pytest.raises(UnknownSizeError, match=r"say Join\(domains, ratios=...\) how often"):
        domain.generate_one(random.Random(1))
    with pytest.raises(UnknownSizeError, match=r"needs the size of <Join size=\? of"):
        domain[0]
    mixed = Join([Range(2), Unsized()], ratios=[1, 1])
    assert shares(mixed) == pytest.approx(dict.fromkeys([0, 1, "p", "q"], 0.25), abs=0.03)


@pytest.mark.parametrize(
    ("ratios", "error", "message"),
    [
        ([1], ArgumentValueError, "ratios has 1 numbers for 2 domains"),
        ([1, -1], ArgumentValueError, "finite and not negative, not -1"),
        ([1, float("inf")], ArgumentValueError, "finite and not negative, not inf"),
        ([1, float("nan")], ArgumentValueError, "finite and not negative, not nan"),
        ([0, 0], ArgumentValueError, r"ratios=\(0, 0\) never draw anything"),
        (["1", 2], ArgumentTypeError, "ratios must be ints, floats or Fractions, not '1'"),
        (3, ArgumentTypeError, "ratios must be a sequence of numbers, not 3"),
    ],
)
def test_wrong_ratios_are_refused(ratios: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        Join([Range(2), Boolean()], ratios=ratios)


def test_strictness():
    assert (Range(2) + Boolean()).strict
    assert Join([]).strict
    assert not (Range(2) + Values("a")).strict
