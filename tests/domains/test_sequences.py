"""Sequences of one length and of several."""

from __future__ import annotations

import random
from itertools import islice, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haydi.domains import Boolean, Domain, Range, Sequences, USet, Values
from haydi.errors import ArgumentTypeError, ArgumentValueError, UnknownSizeError
from haydi.testing import check_domain


def odd(x: int) -> int:
    return x % 2


class Unsized(Domain[str]):
    def _iterate(self) -> Any:
        return iter("pq")


@pytest.mark.parametrize("size", [0, 1, 2, 3])
@pytest.mark.parametrize("lengths", [(0, 0), (1, 1), (3, 3), (0, 1), (0, 3), (2, 4)])
def test_by_length_then_as_a_product(size: int, lengths: tuple[int, int]):
    domain = Sequences(Range(size), *lengths)
    model = [t for n in range(lengths[0], lengths[1] + 1) for t in product(range(size), repeat=n)]
    assert list(domain) == model
    assert domain.size == len(model)
    for start in range(len(model) + 1):
        assert list(domain.elements(start)) == model[start:]
    check_domain(domain, uniform=True)


@given(st.integers(0, 4), st.integers(0, 3), st.integers(0, 2), st.data())
def test_filtered_items_keep_the_numbering(size: int, shortest: int, more: int, data: st.DataObject):
    domain = Sequences(Range(size).filter(odd), shortest, shortest + more)
    model = [t for n in range(shortest, shortest + more + 1) for t in product(range(size), repeat=n)]
    start = data.draw(st.integers(0, len(model)))
    stop = data.draw(st.integers(start, len(model)))
    assert domain.size == len(model)
    assert list(domain.elements(start, stop)) == [t for t in model[start:stop] if all(map(odd, t))]


@pytest.mark.parametrize("item", [Range(5).filter(odd), Range(10**30).filter(odd)])
@pytest.mark.parametrize("lengths", [(2, 2), (0, 2)])
def test_random_sequences_of_filtered_items(item: Domain[int], lengths: tuple[int, int]):
    check_domain(Sequences(item, *lengths), uniform=True)


def test_random_lengths_follow_what_the_filter_leaves():
    # Of 100 items two are left, so 4 of the 6 sequences have length 2; by steps it would be 100 in 101.
    domain = Sequences(Range(100).filter(lambda x: x < 2), 1, 2)
    check_domain(domain.to_values(), uniform=True)
    assert domain.to_values().size == 6
    rng = random.Random(2)
    pairs = sum(len(domain.generate_one(rng)) == 2 for _ in range(3000))
    assert 1850 < pairs < 2150


def test_the_power_operator():
    domain = Boolean() ** 3
    assert isinstance(domain, Sequences)
    assert (domain.domain.size, domain.lengths, domain.size) == (2, range(3, 4), 8)
    assert list(Range(5) ** 0) == [()]
    with pytest.raises(ArgumentValueError, match="min_length must be at least 0, not -1"):
        Range(2) ** -1
    with pytest.raises(TypeError, match="unsupported operand"):
        Range(2) ** 1.5  # type: ignore[operator]


def test_it_begins_anywhere_at_once():
    domain = Boolean() ** 1000
    assert next(domain.elements(2**999)) == (True, *[False] * 999)
    assert list(domain.elements(2**1000 - 1)) == [(True,) * 1000]
    lengths = Sequences(Range(10), 0, 3000)
    start = (10**2000 - 1) // 9  # how many are shorter than 2000
    assert list(islice(lengths.elements(start - 1), 2)) == [(9,) * 1999, (0,) * 2000]
    assert lengths.index((0,) * 2000) == start
    assert Sequences(Range(1), 0, 10**9)[10**6] == (0,) * 10**6


def test_index_of_strangers():
    domain = Sequences(Range(3), 1, 2)
    assert [domain.index(x) for x in ((0,), (2,), (0, 0), (2, 2))] == [0, 2, 3, 11]
    strangers: list[object] = [*((), (0, 0, 0), (3,), [0], 0, "a", None, ([],))]
    for stranger in strangers:
        assert stranger not in domain


def test_wrong_arguments_are_refused():
    with pytest.raises(ArgumentValueError, match="max_length must be at least 3, not 2"):
        Sequences(Range(2), 3, 2)
    with pytest.raises(ArgumentTypeError, match=r"min_length must be an int, not 1.0"):
        Sequences(Range(2), 1.0)  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match=r"domain must be a domain, not 2; use Range\(n\)"):
        Sequences(2, 2)  # type: ignore[arg-type]
    with pytest.raises(UnknownSizeError, match=r"needs the size of <Unsized size=\?>"):
        Sequences(Unsized(), 2)


def test_strictness_and_materializing():
    assert (USet(2, "a") ** 2).strict
    assert not (Values("ab") ** 2).strict
    lazy = Sequences(Range(3).map(str), 1, 5)
    kept = lazy.to_values(max_size=10)
    assert isinstance(kept, Sequences)
    assert isinstance(kept.domain, Values)
    assert list(kept) == list(lazy)
