"""Hundreds of random nestings of all domains: each agrees with itself, and with its model."""

from __future__ import annotations

from itertools import islice, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from haydi.domains.domain import Domain
from haydi.testing import check_domain
from tests.strategies import REJECTED, Modelled, domains, large_domains, modelled


@settings(max_examples=300)
@given(domains(), st.integers(0, 2**32))
def test_nestings_keep_the_contract(domain: Domain, seed: int):
    check_domain(domain, max_elements=60, seed=seed)


@settings(max_examples=300)
@given(modelled(), st.data())
def test_nestings_agree_with_their_model(made: Modelled, data: st.DataObject):
    domain, steps = made
    assert domain.size == len(steps)
    assert domain.filtered or REJECTED not in steps
    start, stop = sorted((data.draw(st.integers(0, len(steps))), data.draw(st.integers(0, len(steps)))))
    assert list(domain) == made.elements
    assert list(domain.elements(start, stop)) == [x for x in steps[start:stop] if x is not REJECTED]
    assert list(domain.to_values()) == made.elements
    assert list(domain.to_values(max_size=7)) == made.elements
    for element in made.elements[:20]:
        assert steps[domain.index(element)] == element


@settings(max_examples=300)
@given(modelled(), st.data())
def test_the_pieces_of_any_cut_make_the_whole(made: Modelled, data: st.DataObject):
    cuts = data.draw(st.lists(st.integers(0, len(made.steps)), max_size=8))
    borders = [0, *sorted(cuts), len(made.steps)]
    pieces = [made.domain.elements(a, b) for a, b in pairwise(borders)]
    assert [element for piece in pieces for element in piece] == made.elements


@settings(max_examples=100)
@given(large_domains(), st.integers(0, 2**32))
def test_large_nestings_keep_the_contract(domain: Domain, seed: int):
    check_domain(domain, max_elements=30, seed=seed)


@settings(max_examples=100)
@given(large_domains(), st.data())
def test_large_nestings_count_on_where_they_were_left(domain: Domain, data: st.DataObject):
    size = domain.size
    assert size is not None
    start = data.draw(st.integers(0, size - 1))
    stop = min(size, start + 20)
    onwards = islice(domain.elements(start), 5)
    assert list(onwards) == list(islice(domain.elements(start, size), 5))
    window = list(domain.elements(start, stop))
    if not domain.filtered:
        assert [domain.index(element) for element in window] == list(
            iter(range(start, stop))
        ) or not domain._distinct
