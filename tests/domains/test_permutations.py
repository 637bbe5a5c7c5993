from __future__ import annotations

import random
from itertools import islice, permutations
from math import factorial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import haydi.domains as hd
from haydi.domains.combinatorics import permutation_blocks, permutation_rank, permutation_unrank
from haydi.domains.permutations import Permutations
from haydi.errors import ArgumentTypeError, ArgumentValueError, UnknownSizeError
from haydi.testing import check_domain
from tests.strategies import modelled


@pytest.mark.parametrize("n", range(6))
def test_any_range_of_steps(n):
    steps = list(permutations(range(n)))
    domain = Permutations(hd.Range(n))
    assert domain.size == len(steps)
    assert list(domain) == steps
    for start in range(len(steps) + 1):
        for stop in range(start, len(steps) + 1, 1 + n // 3):
            assert list(domain.elements(start, stop)) == steps[start:stop]


@settings(max_examples=100)
@given(modelled(5), st.data())
def test_agrees_with_its_model(made, data):
    domain = Permutations(made.domain)
    steps = list(permutations(made.elements))
    start = data.draw(st.integers(0, len(steps)))
    stop = data.draw(st.integers(start, len(steps)))
    assert domain.size == len(steps)
    assert list(domain.elements(start, stop)) == steps[start:stop]
    check_domain(domain, max_elements=30, seed=start)


@pytest.mark.parametrize(
    "domain",
    [
        Permutations(hd.Range(4)),
        Permutations(hd.Range(100)),
        Permutations(hd.USet(30, "a"), name="orders"),
        Permutations(hd.Values("abca")),
        Permutations(hd.Range(9).filter(lambda x: x % 3)),
        Permutations(hd.Range(4).map(str)),
        Permutations(Permutations(hd.Range(3))),
        Permutations(hd.Range(0)),
        Permutations(hd.Range(1)),
    ],
    ids=repr,
)
def test_contract(domain):
    check_domain(domain, uniform=True)


def test_starts_at_any_of_many_steps():
    domain = Permutations(hd.Range(200))
    assert domain.size == factorial(200)
    rng = random.Random(2)
    for _ in range(5):
        step = rng.randrange(domain.size)
        near = list(islice(domain.elements(step), 200))
        assert near == [domain[step + i] for i in range(200)]
        assert domain.index(near[-1]) == step + 199


@given(st.integers(0, 30), st.data())
def test_rank_and_unrank(n, data):
    step = data.draw(st.integers(0, factorial(n) - 1))
    permutation = permutation_unrank(n, step)
    assert sorted(permutation) == list(range(n))
    assert permutation_rank(permutation) == step


def test_a_range_of_steps_has_few_blocks():
    rng = random.Random(3)
    size = factorial(60)
    for _ in range(10):
        start, stop = sorted((rng.randrange(size), rng.randrange(size)))
        assert len(list(permutation_blocks(60, start, stop))) <= 2 * 60


def test_a_filter_is_applied_at_once_and_leaves_no_gaps():
    domain = Permutations(hd.Range(6).filter(lambda x: x % 2))
    assert domain.size == 6
    assert not domain.filtered
    assert domain[-1] == (5, 3, 1)
    assert domain.index((5, 3, 1)) == 5
    assert (5, 3, 2) not in domain


def test_index():
    domain = Permutations(hd.Range(3))
    stranger: Any
    for stranger in ((0, 1), (0, 1, 1), (0, 1, 3), [0, 1, 2], 5, (0, 1, []), (0, 1, 2.0)):
        assert stranger not in domain
        with pytest.raises(ValueError, match="is not in <Permutations"):
            domain.index(stranger)
    twice = Permutations(hd.Values("aab"))
    assert twice[twice.index(("a", "b", "a"))] == ("a", "b", "a")
    assert ("b", "b", "a") not in twice


def test_attributes():
    base = hd.USet(3, "a")
    domain = Permutations(base, name="p")
    assert (domain.domain, domain.name, domain.strict) == (base, "p", True)
    assert repr(domain) == "<Permutations 'p' size=6 {(a0, a1, a2), (a0, a2, a1), (a1, a0, a2), ...}>"
    assert not Permutations(hd.Values("ab")).strict
    assert list(Permutations(base.map(str)).to_values(max_size=3)) == list(permutations(["a0", "a1", "a2"]))


def test_repr_calls_no_function_of_the_user():
    calls: list[object] = []
    assert "Permutations" in repr(Permutations(hd.Range(3).map(calls.append)))
    assert not calls


def test_wrong_arguments():
    with pytest.raises(ArgumentTypeError, match="domain must be a domain, not 5; use Range"):
        Permutations(5)  # type: ignore[arg-type]
    with pytest.raises(ArgumentValueError, match=r"domain has 100000 elements.*at most 16384"):
        Permutations(hd.Range(10**5))

    class Unsized(hd.Domain[int]):
        def _iterate(self):
            return iter((1, 2))

    with pytest.raises(UnknownSizeError, match="Permutations needs a domain of known size"):
        Permutations(Unsized())
