"""Ranges, values, Boolean, None and USets."""

from __future__ import annotations

import pickle
import random
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haydi.basic import Atom, compare
from haydi.domains import Boolean, Domain, NoneDomain, Range, USet, Values
from haydi.domains.domain import POOL_SIZE_MAX
from haydi.errors import ArgumentTypeError, ArgumentValueError
from haydi.testing import check_domain

ELEMENTARY: list[tuple[Domain[Any], list[Any]]] = [
    (Range(0), []),
    (Range(-3), []),
    (Range(5), [0, 1, 2, 3, 4]),
    (Range(2, 6), [2, 3, 4, 5]),
    (Range(1, 8, 3), [1, 4, 7]),
    (Range(1, 9, 3), [1, 4, 7]),
    (Range(5, 0, -2), [5, 3, 1]),
    (Range(0, 5, -1), []),
    (Values([]), []),
    (Values("abca"), ["a", "b", "c", "a"]),
    (Values([[1], {2}, "x"]), [[1], {2}, "x"]),
    (Values(iter((None, 1))), [None, 1]),
    (Boolean(), [False, True]),
    (NoneDomain(), [None]),
]


@pytest.mark.parametrize(("domain", "elements"), ELEMENTARY, ids=repr)
def test_elements(domain: Domain[Any], elements: list[Any]):
    assert list(domain) == elements
    assert domain.size == len(elements)
    assert [type(x) for x in domain] == [type(x) for x in elements]
    check_domain(domain, uniform=True)


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(-9, 9).filter(bool))
def test_ranges_are_ranges(start: int, stop: int, step: int):
    domain, model = Range(start, stop, step), range(start, stop, step)
    assert list(domain) == list(model)
    assert domain.size == len(model)
    for x in (*model, start - 1, stop, stop + 1):
        assert (x in domain) == (x in model)


def test_ranges_of_any_magnitude():
    domain = Range(10**50, -(10**50), -7)
    assert domain.size == (2 * 10**50 + 6) // 7
    assert domain[10**49] == 10**50 - 7 * 10**49
    assert list(islice(domain.elements(2**64), 2)) == [10**50 - 7 * 2**64, 10**50 - 7 * 2**64 - 7]
    check_domain(domain)


@pytest.mark.parametrize("element", [1.0, True, "1", None, 5, -1, [1], Atom(1, USet(3, "a"))])
def test_a_range_has_nothing_but_its_ints(element: object):
    assert element not in Range(5)
    with pytest.raises(ArgumentValueError, match=r"is not in <Range size=5 \{0, 1, 2, ...\}>"):
        Range(5).index(element)


def test_booleans_are_not_ints():
    assert [x in Boolean() for x in (False, True, 0, 1, None, "")] == [True, True, False, False, False, False]
    assert [x in NoneDomain() for x in (None, False, 0, ())] == [True, False, False, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.5,), "stop must be an int, not 1.5"),
        (("7",), "stop must be an int, not '7'"),
        ((None,), "stop must be an int, not None"),
        ((0, 1.5), "stop must be an int, not 1.5"),
        (([], 1), r"start must be an int, not \[\]"),
        ((0, 5, 0.5), "step must be an int, not 0.5"),
    ],
)
def test_a_range_of_something_else_is_refused(arguments: tuple[Any, ...], message: str):
    with pytest.raises(ArgumentTypeError, match=message):
        Range(*arguments)


def test_a_range_that_stands_still_is_refused():
    with pytest.raises(ArgumentValueError, match="step must not be 0; use Values"):
        Range(0, 5, 0)


def test_values_find_the_first_of_equal_elements():
    domain = Values([1, [2], "a", 1, [2], (3,)])
    assert [domain.index(x) for x in (1, [2], "a", (3,))] == [0, 1, 2, 5]
    assert [domain[i] for i in range(6)] == [1, [2], "a", 1, [2], (3,)]
    strangers: list[object] = [[3], {}, 2, (3, 4)]
    for absent in strangers:
        with pytest.raises(ArgumentValueError):
            domain.index(absent)


def test_values_keep_what_they_were_given_and_nothing_else():
    source = [1, 2]
    domain = Values(source)
    source.append(3)
    assert list(domain) == [1, 2]
    assert domain.to_values() is domain
    assert not domain.strict
    with pytest.raises(
        ArgumentTypeError, match=r"values must be iterable, not 7; one object x is Values\(\[x\]\)"
    ):
        Values(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 1, 5, POOL_SIZE_MAX, POOL_SIZE_MAX + 1, 10**30])
def test_usets(size: int):
    domain = USet(size, "q")
    assert domain.size == size
    assert domain.strict
    first = list(islice(domain, 3))
    assert [atom.index for atom in first] == list(range(min(3, size)))
    assert all(atom.parent is domain for atom in first)
    check_domain(domain, max_elements=50)


def test_a_uset_is_its_name_and_size():
    one = USet(3, "a")
    assert one == USet(3, "a") != USet(3, "b")
    assert one != USet(4, "a")
    assert one != "a"
    assert len({one, USet(3, "a"), USet(4, "a")}) == 2
    assert one[0] in USet(3, "a")
    for stranger in (USet(3, "b")[0], USet(4, "a")[0], 0, "a0"):
        assert stranger not in one
    assert list(map(repr, one)) == ["a0", "a1", "a2"]


def test_atoms_stay_themselves_on_the_way_to_another_process():
    domain = USet(3, "a")
    there = pickle.loads(pickle.dumps([domain, *domain]))
    assert there == [domain, *domain]
    assert there[1] in domain
    assert there[1].parent is there[2].parent
    assert [compare(a, b) for a, b in zip(there[1:], domain, strict=True)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((-1, "a"), ArgumentValueError, "size must be at least 0, not -1"),
        (("a", 3), ArgumentTypeError, "name must be a string, not 3"),
        ((3, ""), ArgumentValueError, "name must not be empty"),
        ((2.0, "a"), ArgumentTypeError, "size must be an int, not 2.0"),
    ],
)
def test_wrong_usets_are_refused(arguments: tuple[Any, ...], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        USet(*arguments)


def test_who_is_strict():
    assert [d.strict for d in (Range(3), Boolean(), NoneDomain(), USet(2, "a"))] == [True] * 4


def test_random_elements_of_huge_ranges_reach_everywhere():
    domain, rng = Range(10**40), random.Random(5)
    quarters = {4 * domain.generate_one(rng) // 10**40 for _ in range(60)}
    assert quarters == {0, 1, 2, 3}
