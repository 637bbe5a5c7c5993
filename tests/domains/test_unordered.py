from __future__ import annotations

import random
from itertools import combinations_with_replacement, islice, product
from math import comb
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import haydi.domains as hd
from haydi.domains import selections
from haydi.domains.unordered import UnorderedProduct
from haydi.errors import ArgumentTypeError, ArgumentValueError, UnknownSizeError
from haydi.testing import check_domain
from tests.strategies import REJECTED, modelled


def is_odd(x: int) -> bool:
    return x % 2 == 1


@pytest.mark.parametrize("pool_size_max", [0, 1 << 14])
@pytest.mark.parametrize("n", range(5))
def test_any_range_of_steps(n, pool_size_max, monkeypatch):
    monkeypatch.setattr(selections, "POOL_SIZE_MAX", pool_size_max)
    for k in range(1, 4):
        steps = list(combinations_with_replacement(range(n), k))
        domain = UnorderedProduct([hd.Range(n)] * k)
        odd = UnorderedProduct([hd.Range(n).filter(is_odd)] * k)
        assert domain.size == odd.size == len(steps)
        for start in range(len(steps) + 1):
            for stop in range(start, len(steps) + 1):
                assert list(domain.elements(start, stop)) == steps[start:stop]
                assert list(odd.elements(start, stop)) == [
                    s for s in steps[start:stop] if all(map(is_odd, s))
                ]


def test_each_unordered_pair_comes_once():
    letters = hd.Values("abcd")
    pairs = list(UnorderedProduct((letters, letters)))
    assert {frozenset(pair) for pair in pairs} == {frozenset(pair) for pair in product("abcd", repeat=2)}
    assert len(pairs) == 10


@settings(max_examples=100)
@given(modelled(6), st.integers(1, 3), st.data())
def test_agrees_with_its_model(made, k, data):
    domain = UnorderedProduct([made.domain] * k)
    steps = list(combinations_with_replacement(made.steps, k))
    start = data.draw(st.integers(0, len(steps)))
    stop = data.draw(st.integers(start, len(steps)))
    assert domain.size == len(steps)
    assert list(domain.elements(start, stop)) == [s for s in steps[start:stop] if REJECTED not in s]
    check_domain(domain, max_elements=30, seed=start)


@pytest.mark.parametrize(
    "domain",
    [
        UnorderedProduct([hd.Range(4)] * 2),
        UnorderedProduct([hd.Range(100)] * 30),
        UnorderedProduct([hd.Range(10**30)] * 3),
        UnorderedProduct([hd.Range(10**5).filter(is_odd)] * 2),
        UnorderedProduct([hd.Range(40).filter(is_odd)] * 3, name="odd"),
        UnorderedProduct([hd.USet(5, "a")]),
        UnorderedProduct([hd.Range(2) * hd.Boolean(), hd.Range(2) * hd.Boolean()]),
        UnorderedProduct([hd.Values("aab")] * 2),
        UnorderedProduct([hd.Range(0)] * 2),
    ],
    ids=repr,
)
def test_contract(domain):
    check_domain(domain, uniform=True)


def test_starts_at_any_of_many_steps():
    domain = UnorderedProduct([hd.Range(300)] * 50)
    assert domain.size == comb(349, 50)
    step = random.Random(4).randrange(domain.size)
    near = list(islice(domain.elements(step), 500))
    assert near[499] == domain[step + 499]
    assert domain.index(near[499]) == step + 499


def test_factors_built_the_same_way_are_equal():
    def make():
        return hd.Sequences(hd.Range(3) + hd.Values("ab"), 2).filter(bool)

    assert UnorderedProduct((make(), make())).size == comb(26, 2)


@pytest.mark.parametrize(
    "other",
    [hd.Range(4), hd.Values((0, 1, 2)), hd.Range(3, name="x"), hd.Range(3).filter(is_odd), hd.Range(3)[::-1]],
)
def test_factors_that_differ_are_refused(other):
    with pytest.raises(
        ArgumentValueError, match=r"domains\[1\] is <.*differs from domains\[0\].*use Product"
    ):
        UnorderedProduct((hd.Range(3), other))


def test_factors_with_different_functions_are_refused():
    with pytest.raises(ArgumentValueError, match="differs"):
        UnorderedProduct((hd.Range(3).map(str), hd.Range(3).map(repr)))


def test_index():
    domain = UnorderedProduct([hd.Range(3)] * 2)
    assert [domain.index(pair) for pair in domain] == list(range(6))
    stranger: Any
    for stranger in ((1, 0), (0,), (0, 1, 2), (0, 5), [0, 1], 7, (0, []), (0, False)):
        assert stranger not in domain
        with pytest.raises(ValueError, match="is not in <UnorderedProduct"):
            domain.index(stranger)


def test_attributes():
    base = hd.USet(3, "a")
    domain = UnorderedProduct((base, base), name="pairs")
    assert (domain.domains, domain.name, domain.strict, domain.filtered) == (
        (base, base),
        "pairs",
        False,
        False,
    )
    assert UnorderedProduct([hd.Range(3) * hd.Boolean()] * 2).strict  # nothing in it can be renamed
    assert repr(domain) == "<UnorderedProduct 'pairs' size=6 {(a0, a0), (a0, a1), (a0, a2), ...}>"
    mapped = UnorderedProduct([hd.Range(10).map(str)] * 3).to_values(max_size=10)
    assert isinstance(mapped, UnorderedProduct)
    assert isinstance(mapped.domains[0], hd.Values)
    assert mapped[-1] == ("9", "9", "9")


def test_wrong_arguments():
    with pytest.raises(ArgumentValueError, match="domains must have at least one domain"):
        UnorderedProduct(())
    with pytest.raises(ArgumentTypeError, match=r"domains\[1\] must be a domain, not 5"):
        UnorderedProduct((hd.Range(3), 5))  # type: ignore[arg-type]

    class Unsized(hd.Domain[int]):
        def _iterate(self):
            return iter((1, 2))

    one = Unsized()
    with pytest.raises(UnknownSizeError, match="UnorderedProduct needs a domain of known size"):
        UnorderedProduct((one, one))
