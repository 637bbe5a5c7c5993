"""Addresses: whatever is cut anywhere is the whole, and engines and machines agree on what they mean."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import haydi as hd
from haydi.domains.domain import Domain
from haydi.order import sort_key
from haydi.symmetry import tester
from haydi.symmetry.addresses import Addresses
from haydi.symmetry.branching import Branching
from haydi.symmetry.generate import Representatives
from haydi.symmetry.layout import Layout
from haydi.symmetry.orderly import Engine, Scout
from haydi.symmetry.watch import watch
from tests.symmetry.strict import strict_domains
from tests.symmetry.test_orderly import DOMAINS, pieces

Case = tuple[Domain, list[hd.USet]]


def addresses(layout: Layout, engine: Engine, size: int | None = None) -> Addresses:
    branching = Branching(layout)
    return Addresses(branching, Scout(branching, engine).look, layout.root.total if size is None else size)


@pytest.mark.parametrize("domain", DOMAINS, ids=repr)
def test_places_are_in_order_and_every_class_has_its_own(domain: Domain):
    layout = Layout(domain)
    total = layout.root.total
    ours = addresses(layout, watch(layout))
    bounds = [ours.path(i) for i in range(total)]
    assert all(a is not None and (b is None or a <= b) for a, b in pairwise(bounds))
    assert bounds[0] == ()
    assert ours.path(total) is None
    starts = [ours.start(path) for path, _, _ in pieces(layout, tester.Tester(layout))]
    assert all(a < b for a, b in pairwise(starts))


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(strict_domains(max_size=300), st.integers(1, 400), st.randoms(use_true_random=False))
def test_engines_agree_at_every_size(case: Case, size: int, rng: random.Random):
    layout = Layout(case[0])
    if not layout.root.total:
        return
    one, other = addresses(layout, watch(layout), size), addresses(layout, tester.Tester(layout), size)
    places = rng.sample(range(size + 1), min(size, 50))
    assert [one.path(i) for i in places] == [other.path(i) for i in places]
    for path, _, _ in pieces(layout, tester.Tester(layout))[:20]:
        start = one.start(path)
        assert start == other.start(path)
        bound, following = one.path(start), one.path(start + 1)
        assert bound is not None
        assert bound <= path
        assert following is None or path < following
    for low in places[:20]:
        high = rng.randrange(low + 1, size + 1) if low < size else low + 1
        if high <= size:
            middle = one.between(low, high)
            assert low < middle <= high
            assert middle == other.between(low, high)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(strict_domains(max_size=400), st.randoms(use_true_random=False))
def test_ranges_in_any_order_are_the_whole(case: Case, rng: random.Random):
    domain, _ = case
    whole = list(map(sort_key, domain.cnfs()))
    made = Representatives(domain)
    cuts = sorted({0, made.steps, *(rng.randint(0, made.steps) for _ in range(6))})
    cuts = sorted({*cuts, *(made.cut(a, b) for a, b in pairwise(cuts))})
    ranges = list(pairwise(cuts))
    found: dict[tuple[int, int], list[Any]] = {}
    for start, stop in rng.sample(ranges, len(ranges)):
        found[start, stop] = list(map(sort_key, made.elements(start, stop)))
        count = made.count(start, stop)
        assert count is None or count == len(found[start, stop])
    assert [key for one in ranges for key in found[one]] == whole


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(strict_domains(max_size=200), st.booleans())
def test_each_element_knows_its_step(case: Case, sizes: bool):
    domain, _ = case
    made = Representatives(domain, sizes)
    steps: list[int] = []
    tells: list[Any] = []
    elements = []
    for element in made.tracked(0, made.steps, tells.append):
        elements.append(element)
        steps.append(tells[-1]())
    assert elements == list(made)
    assert steps == sorted(steps)
    for step, element in zip(steps, elements, strict=True):
        assert element in list(made.elements(step, step + 1))


@pytest.mark.parametrize("large", [False, True])
def test_a_function_that_raises_names_step_and_element(large: bool):
    nodes = hd.USet(5, "n")
    domain: Domain[Any] = hd.Subsets(hd.Subsets(nodes, 2))
    if large:
        domain = domain * hd.Range(1000)
    culprit = domain.cnfs().run()[20]

    def fails(x: Any) -> Any:
        if x == culprit:
            raise RuntimeError("no")
        return x

    with pytest.raises(RuntimeError) as caught:
        domain.cnfs().map(fails).run()
    failure = caught.value.haydi_failure  # type: ignore[attr-defined]
    made = Representatives(domain)
    assert culprit in list(made.elements(failure.step, failure.step + 1))
    assert failure.element == repr(culprit)


def test_huge_trees_have_no_more_addresses_than_anybody_needs():
    nodes = hd.USet(20, "n")
    made = Representatives(hd.Subsets(hd.Subsets(nodes, 2)))
    assert made.steps == 1 << 64
    first = list(made.elements(0, 1))
    assert first[0] == hd.Set()


def test_leaving_a_step_out_leaves_out_one_class():
    nodes = hd.USet(6, "n")
    graphs = hd.Subsets(hd.Subsets(nodes, 2)).cnfs()
    assert graphs.map(lambda g: 1 // (len(g) - 7)).count().run(on_error="skip") == 156 - 24  # OEIS A008406
