from __future__ import annotations

import pickle
import random
from collections.abc import Collection
from functools import partial
from itertools import combinations, islice, pairwise
from math import comb
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import haydi.domains as hd
from haydi.basic import Set, compare
from haydi.domains import selections
from haydi.domains.combinatorics import SelectionTree, subsets_count
from haydi.domains.in_order import iterates_in_order
from haydi.domains.subsets import Subsets
from haydi.errors import ArgumentTypeError, ArgumentValueError, SkippedStepError, UnknownSizeError
from haydi.testing import check_domain
from tests.strategies import REJECTED, modelled


def preorder(items: list[Any], size_min: int, size_max: int) -> list[tuple[Any, ...]]:
    """Each subset right before those that extend it by later items."""

    def below(chosen: tuple[Any, ...], first: int):
        yield chosen
        for i in range(first, len(items)):
            yield from below((*chosen, items[i]), i + 1)

    return [chosen for chosen in below((), 0) if size_min <= len(chosen) <= size_max]


def without(rejected: Collection[int], x: int) -> bool:
    return x not in rejected


@pytest.fixture(params=["pool", "stream"])
def way(request, monkeypatch):
    """Both ways to fill blocks, on domains that are small."""
    if request.param == "stream":
        monkeypatch.setattr(selections, "POOL_SIZE_MAX", 0)
    return request.param


def test_documented_order():
    assert list(Subsets(hd.Range(3), set_class=tuple)) == preorder([0, 1, 2], 0, 3)
    assert list(Subsets(hd.Range(3), set_class=tuple))[:4] == [(), (0,), (0, 1), (0, 1, 2)]


@pytest.mark.parametrize("n", range(8))
def test_one_size_comes_as_combinations(n, way):
    for k in range(n + 2):
        domain = Subsets(hd.Range(n), k)
        assert [tuple(s) for s in domain] == list(combinations(range(n), k))
        assert domain.size == subsets_count(n, k, k) == len(list(combinations(range(n), k)))


@pytest.mark.parametrize("table_size_max", [1, 7, 1024])
def test_any_range_of_steps_of_any_sizes(table_size_max, way, monkeypatch):
    monkeypatch.setattr(selections, "_TABLE_SIZE_MAX", table_size_max)
    rng = random.Random(5)
    for n in range(8):
        for rejected in ((), (0,), (n - 1,), (1, 4), range(n)):
            base = hd.Range(n).filter(partial(without, rejected)) if rejected else hd.Range(n)
            for sizes in [(0, n), (1, n), (0, 2), (2, 4), (3, 3), (n // 2, n - 1), (n + 1, n + 2)]:
                if sizes[0] > sizes[1]:
                    continue
                domain = Subsets(base, *sizes, set_class=tuple)
                steps = preorder(list(range(n)), *sizes)
                assert domain.size == len(steps)
                for _ in range(10):
                    start = rng.randint(0, len(steps))
                    stop = rng.randint(start, len(steps))
                    expected = [s for s in steps[start:stop] if not set(s) & set(rejected)]
                    assert list(domain.elements(start, stop)) == expected


@settings(max_examples=150)
@given(modelled(7), st.integers(0, 4), st.integers(0, 4), st.data())
def test_agrees_with_its_model(made, size_min, more, data):
    domain = Subsets(made.domain, size_min, size_min + more, set_class=tuple)
    steps = preorder(made.steps, size_min, size_min + more)
    start = data.draw(st.integers(0, len(steps)))
    stop = data.draw(st.integers(start, len(steps)))
    expected = [s for s in steps[start:stop] if REJECTED not in s]
    assert list(domain.elements(start, stop)) == expected
    check_domain(domain, max_elements=30, seed=start)


@settings(max_examples=100)
@given(modelled(6))
def test_sets_are_sorted_whatever_the_order_inside(made):
    distinct = [x for i, x in enumerate(made.elements) if x not in made.elements[:i]]
    for domain in (Subsets(hd.Values(distinct)), Subsets(made.domain)):
        for found in domain:
            assert all(compare(a, b) < 0 for a, b in pairwise(found))
    assert len(set(Subsets(hd.Values(distinct)))) == 2 ** len(distinct)
    check_domain(Subsets(made.domain), max_elements=40)


@pytest.mark.parametrize(
    "domain",
    [
        Subsets(hd.Range(200)),
        Subsets(hd.Range(200), 90, 120),
        Subsets(hd.Range(200), 0, 3),
        Subsets(hd.Range(10**30), 3),
        Subsets(hd.Range(10**30), 0, 2),
        Subsets(hd.Range(10**6, 0, -1), 2),
        Subsets(hd.Range(100).filter(lambda x: x % 7), 4),
        Subsets(hd.Range(10**5).filter(lambda x: x % 7), 2),
        Subsets(hd.USet(64, "a"), name="sets of a"),
        Subsets(hd.Range(3) * hd.Boolean()),
        Subsets(hd.Values("cab"), 1, 2),
        Subsets(hd.Values([0, False, 1]), 2),
        Subsets(Subsets(hd.Range(3)), 2),
        Subsets(hd.Range(0)),
        Subsets(hd.Range(3), 5),
        Subsets(hd.Range(12), 2, set_class=frozenset),
        Subsets(hd.Range(5), 1, 5, set_class=list),
        Subsets(hd.Range(5), set_class=lambda items: sum(items)),
    ],
    ids=repr,
)
def test_contract(domain):
    check_domain(domain, uniform=True)


def test_starts_at_any_of_many_steps():
    domain = Subsets(hd.Range(200))
    assert domain.size == 2**200
    rng = random.Random(3)
    for _ in range(8):
        step = rng.randrange(2**200)
        near = list(islice(domain.elements(step), 200))
        assert near == [domain[step + i] for i in range(200)]
        assert domain.index(near[0]) == step
        assert list(domain.elements(step, step + 200)) == near


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_subsets_count(n, a, b):
    size_min, size_max = sorted((a, b))
    assert subsets_count(n, size_min, size_max) == sum(comb(n, k) for k in range(size_min, size_max + 1))


@given(st.integers(0, 40), st.integers(0, 6), st.integers(0, 6), st.booleans(), st.data())
def test_tree_ranks_what_it_unranks(n, size_min, more, repeat, data):
    tree = SelectionTree(n, size_min, size_min + (0 if repeat else more), repeat)
    if tree.size:
        step = data.draw(st.integers(0, tree.size - 1))
        indices = tree.unrank(step)
        assert tree.rank(indices) == step
        assert size_min <= len(indices) <= size_min + more
        assert all(a < b or (repeat and a == b) for a, b in pairwise(indices))


def test_a_range_of_steps_has_few_blocks():
    tree = SelectionTree(1000, 20, 20)
    rng = random.Random(1)
    for _ in range(10):
        start, stop = sorted((rng.randrange(tree.size), rng.randrange(tree.size)))
        assert len(list(tree.blocks(start, stop))) <= 3 * 21


def test_whole_blocks_of_rejected_prefixes_are_skipped():
    asked = []

    def accepts(x):
        asked.append(x)
        return x != 3

    domain = Subsets(hd.Range(24).filter(accepts), 12)
    first = domain.size // 2
    assert domain.filtered
    assert next(domain.elements(first))
    assert len(asked) < 60
    step = Subsets(hd.Range(24), 12).index(Set(range(3, 15)))
    with pytest.raises(SkippedStepError):
        domain[step]


def test_draws_from_a_filter_that_leaves_little():
    domain = Subsets(hd.Range(60).filter(lambda x: x < 6), 3)
    rng = random.Random(1)
    drawn = {domain.generate_one(rng) for _ in range(400)}
    assert drawn == set(domain)
    with pytest.raises(ArgumentValueError, match="filter leaves only 2 items"):
        Subsets(hd.Range(60).filter(lambda x: x < 2), 3).generate_one(rng)


def test_index():
    domain = Subsets(hd.Range(5), 1, 3)
    assert all(domain.index(s) == step for step, s in enumerate(domain))
    for stranger in (Set(), Set((7,)), Set((0, 1, 2, 3)), frozenset((1,)), (1,), 1, Set((False,)), [1]):
        assert stranger not in domain
        with pytest.raises(ValueError, match="is not in <Subsets"):
            domain.index(stranger)
    tuples = Subsets(hd.Range(5), 2, set_class=tuple)
    assert (1, 2) in tuples
    assert (2, 1) not in tuples


def test_set_class():
    base = hd.Values("cab")
    assert list(Subsets(base, 2, set_class=tuple)) == [("c", "a"), ("c", "b"), ("a", "b")]
    assert list(Subsets(base, 2, set_class=frozenset)) == [frozenset("ca"), frozenset("cb"), frozenset("ab")]
    assert list(Subsets(base, 2)) == [Set("ca"), Set("cb"), Set("ab")]
    assert Subsets(hd.Values([1.5, 2.5]), set_class=frozenset)[-1] == frozenset((2.5,))
    with pytest.raises(ArgumentTypeError, match=r"float objects have no place .*set_class="):
        list(Subsets(hd.Values([1.5, 2.5])))


def test_attributes():
    base = hd.USet(3, "a")
    domain = Subsets(base, 1, 2, name="few")
    assert (domain.domain, domain.sizes, domain.set_class, domain.name) == (base, range(1, 3), Set, "few")
    assert domain.strict
    assert not domain.filtered
    assert not Subsets(base, set_class=tuple).strict
    assert not Subsets(hd.Values("ab")).strict
    assert Subsets(base.filter(lambda x: True, strict=True)).strict
    assert repr(domain) == "<Subsets 'few' size=6 {{a0}, {a0, a1}, {a0, a2}, ...}>"


def test_repr_calls_no_function_of_the_user():
    def fail(*args):
        raise AssertionError("called")

    for base in (hd.Range(9).map(fail), hd.Range(9).filter(fail)):
        assert "Subsets" in repr(Subsets(base))
    assert "Subsets" in repr(Subsets(hd.Range(9), set_class=fail))


def test_to_values():
    domain = Subsets(hd.Range(3).filter(lambda x: x != 1))
    assert list(domain.to_values()) == list(domain) == [Set(), Set((0,)), Set((0, 2)), Set((2,))]
    inner = Subsets(hd.Range(10).map(str)).to_values(max_size=20)
    assert list(inner.elements(5, 9)) == list(Subsets(hd.Range(10).map(str)).elements(5, 9))
    assert isinstance(inner, Subsets)
    assert isinstance(inner.domain, hd.Values)


def test_wrong_arguments():
    with pytest.raises(ArgumentTypeError, match="domain must be a domain, not 5; use Range"):
        Subsets(5)  # type: ignore[call-overload]
    with pytest.raises(ArgumentValueError, match="min_size must be at least 0, not -1"):
        Subsets(hd.Range(3), -1)
    with pytest.raises(ArgumentValueError, match="max_size must be at least 2, not 1"):
        Subsets(hd.Range(3), 2, 1)
    with pytest.raises(ArgumentTypeError, match="min_size must be an int"):
        Subsets(hd.Range(3), 1.0)  # type: ignore[call-overload]
    with pytest.raises(ArgumentTypeError, match="set_class must be a function"):
        Subsets(hd.Range(3), set_class=3)  # type: ignore[call-overload]

    class Unsized(hd.Domain[int]):
        def _iterate(self):
            return iter((1, 2))

    with pytest.raises(UnknownSizeError, match=r"Subsets needs a domain of known size.*to_values"):
        Subsets(Unsized())
    assert len(list(Subsets(Unsized().to_values()))) == 4


def test_the_first_elements_come_at_once():
    calls = []

    def seen(x):
        calls.append(x)
        return x

    domain = Subsets(hd.Range(16).map(seen), set_class=tuple)
    assert next(iter(domain)) == ()
    assert len(calls) <= 16
    assert next(iter(Subsets(hd.Range(10**40), 2))) == Set((0, 1))


def test_caches_stay_out_of_the_pickle():
    domain = Subsets(hd.Range(1000), 2)
    before = len(pickle.dumps(domain))
    assert sum(1 for _ in domain) == domain.size
    assert len(pickle.dumps(domain)) <= before < 600


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (hd.Range(10**30), True),
        (hd.Range(5, 0, -1), False),
        (hd.Range(5, 4, -1), True),
        (hd.Range(9)[::-1], False),
        (hd.Range(9)[2::3], True),
        (hd.Range(9).filter(lambda x: x), True),
        (hd.Range(9).map(str), False),
        (hd.Range(3) * hd.Boolean() * hd.USet(2, "a"), True),
        (hd.Sequences(hd.Range(3), 0, 4), True),
        (hd.NamedProduct([("x", hd.Range(2))]), False),
        (hd.Range(2) + hd.Range(2), False),
        (hd.NoneDomain(), True),
    ],
)
def test_in_order_by_kind(domain, expected):
    assert iterates_in_order(domain) is expected
    if expected:
        few = list(islice(domain, 50))
        assert all(compare(a, b) < 0 for a, b in pairwise(few))
