"""Representatives: against brute force over whole domains, against OEIS, and cut in every way."""

from __future__ import annotations

import pickle
from collections import Counter
from itertools import chain
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import haydi as hd
from haydi.domains.domain import Domain
from haydi.domains.transformed import FilteredDomain
from haydi.errors import ArgumentTypeError, ArgumentValueError
from haydi.order import sort_key
from haydi.plan import compile_plan
from haydi.symmetry.kernel import kernel
from haydi.testing import check_cnfs
from tests.symmetry.strict import in_order, representatives, strict_domains

Case = tuple[Domain, list[hd.USet]]

n1, n2, n3, n4 = (hd.USet(size, "n") for size in (1, 2, 3, 4))
m2 = hd.USet(2, "m")


def graphs(n: int) -> Domain[Any]:
    nodes = hd.USet(n, "n")
    return hd.Subsets(hd.Subsets(nodes, 2))


def keys(elements: Any) -> list[Any]:
    return list(map(sort_key, elements))


# --- brute force ------------------------------------------------------------------------------------------


def is_join(domain: Domain) -> bool:
    """Whether equal elements of several parts stay apart, as they do in iterate()."""
    return isinstance(domain, hd.Join) or (isinstance(domain, FilteredDomain) and is_join(domain.domain))


def check(domain: Domain, usets: list[hd.USet]) -> None:
    expected = representatives(domain, usets)
    found = domain.cnfs(with_orbit_size=True).run()
    plain = list(domain.cnfs())
    assert keys(plain) == keys([x for x, _ in found])
    repeated = is_join(domain)
    if not repeated:
        assert len(set(keys(plain))) == len(plain)
    sizes = {sort_key(x): size for x, size in found}
    used = {sort_key(x): size for x, size in expected}
    assert sizes.keys() == used.keys()
    # A USet that is not in the domain changes no class.
    assert sizes == used
    if in_order(domain) and not repeated:
        wanted = set(keys(plain))
        assert keys(plain) == [key for key in keys(domain) if key in wanted]
    assert domain.cnfs().count().run() == len(plain)


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
@given(strict_domains())
def test_representatives_are_those_of_brute_force(case: Case):
    check(*case)


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(strict_domains(max_size=30_000, depth=4))
def test_representatives_of_larger_domains_are_those_of_brute_force(case: Case):
    check(*case)


FIXED_CASES: list[Case] = [
    (graphs(4), [n4]),
    (hd.Subsets(n3 * n3), [n3]),
    (hd.Subsets(n3 * n3, 2, 4), [n3]),
    (hd.Subsets(n3 * n3, 3), [n3]),
    (hd.Mappings(n3, hd.Subsets(n3)), [n3]),
    (hd.Mappings(n3, hd.Subsets(n3, 1, 2)), [n3]),
    (hd.Mappings(hd.Range(2), hd.Subsets(n3)), [n3]),
    (hd.Subsets(n3) * hd.Subsets(n3, 0, 2), [n3]),
    (hd.Product([hd.Subsets(n3), n3, hd.Subsets(n3 * hd.Range(2))]), [n3]),
    (hd.Sequences(hd.Subsets(n3), 0, 2), [n3]),
    (hd.Mappings(n3 * m2, n3), [n3, m2]),
    (hd.Permutations(n4), [n4]),
    (hd.Permutations(n2 * m2) * n2, [n2, m2]),
    (hd.Mappings(n2, hd.Permutations(n3 + hd.Boolean()) + n2), [n3, n2]),
    (hd.Subsets(hd.Subsets(n3)), [n3]),
    (hd.Mappings(hd.Subsets(n3, 2), n3), [n3]),
    (hd.Mappings(n3, n3 + (n3 * n3) + hd.Range(2)), [n3]),
    ((n3 * n3).filter(lambda x: x[0] != x[1], strict=True) * n3, [n3]),
    (hd.Mappings(n2, hd.Sequences(n2, 0, 2)), [n2]),
    (hd.NamedProduct([("source", n3), ("targets", hd.Subsets(n3))]), [n3]),
    (hd.Product([]), []),
    (hd.Join([]), []),
    (hd.Range(5, 0, -2) * hd.Boolean(), []),
    (n1 + n3 + hd.NoneDomain(), [n1, n3]),
]


@pytest.mark.parametrize("case", FIXED_CASES, ids=lambda case: repr(case[0])[:60])
def test_representatives_of_chosen_domains(case: Case):
    check(*case)


@pytest.mark.parametrize("case", FIXED_CASES, ids=lambda case: repr(case[0])[:60])
def test_check_cnfs_agrees(case: Case):
    check_cnfs(case[0])


def test_check_cnfs_finds_a_domain_that_is_not_strict():
    class Wrong(hd.Domain[Any]):
        size = 2
        strict = True

        def _at(self, step: int) -> Any:
            return n3[step]

    with pytest.raises(hd.HaydiError):
        check_cnfs(Wrong() * n3)


# --- OEIS -------------------------------------------------------------------------------------------------

COUNTS: list[tuple[str, Any, int, list[int]]] = [
    ("A000088", graphs, 2, [2, 4, 11, 34, 156, 1044]),
    ("A000595", lambda n: hd.Subsets(hd.USet(n, "n") * hd.USet(n, "n")), 1, [2, 10, 104, 3044]),
    (
        "A000273",
        lambda n: hd.Subsets((hd.USet(n, "n") ** 2).filter(lambda x: x[0] != x[1], strict=True)),
        1,
        [1, 3, 16, 218, 9608],
    ),
    ("A001372", lambda n: hd.Mappings(hd.USet(n, "n"), hd.USet(n, "n")), 1, [1, 3, 7, 19, 47, 130]),
    ("A054050", lambda n: hd.Mappings(hd.USet(n, "n") * hd.Range(2), hd.USet(n, "n")), 1, [1, 10, 129, 2836]),
    ("A054745", lambda n: hd.Mappings(hd.USet(n, "n") * m2, hd.USet(n, "n")), 1, [1, 7, 74, 1474]),
    ("A000665", lambda n: hd.Subsets(hd.Subsets(hd.USet(n, "n"), 3)), 3, [2, 5, 34, 2136]),
    ("A000110", lambda n: hd.Sequences(hd.USet(n, "n"), n), 1, [1, 2, 5, 15, 52, 203]),
]


@pytest.mark.parametrize(("name", "make", "first", "values"), COUNTS, ids=[case[0] for case in COUNTS])
def test_numbers_of_classes_are_those_of_the_encyclopedia(
    name: str, make: Any, first: int, values: list[int]
):
    counts = []
    for n in range(first, first + len(values)):
        found = make(n).cnfs(with_orbit_size=True).run()
        counts.append(len(found))
        if not make(n)._parts[0].filtered:
            assert sum(size for _, size in found) == make(n).size
    assert counts == values


LARGE: list[Any] = [
    pytest.param("A000088", 9, 274_668),
    pytest.param("A000088", 10, 12_005_168, marks=pytest.mark.slow),
    pytest.param("A000595", 5, 291_968),
    pytest.param("A000273", 6, 1_540_944),
    pytest.param("A001372", 11, 20_491),
    pytest.param("A001372", 13, 163_898, marks=pytest.mark.slow),
    pytest.param("A054050", 5, 83_061),
    pytest.param("A054050", 6, 3_076_386, marks=pytest.mark.slow),
    pytest.param("A054745", 5, 41_876),
    pytest.param("A054745", 6, 1_540_696, marks=pytest.mark.slow),
    pytest.param("A000665", 7, 7_013_320, marks=pytest.mark.slow),
    pytest.param("A000110", 8, 4_140),
]


@pytest.mark.skipif(kernel() != "C", reason="takes too long without the C extension")
@pytest.mark.parametrize(("name", "n", "classes"), LARGE)
def test_numbers_of_many_classes_are_those_of_the_encyclopedia(name: str, n: int, classes: int):
    make = next(case[1] for case in COUNTS if case[0] == name)
    sizes = make(n).cnfs(with_orbit_size=True).frequencies(itemgetter(1)).run()
    assert sum(sizes.values()) == classes
    if not make(n)._parts[0].filtered:
        assert sum(size * number for size, number in sizes.items()) == make(n).size
        assert make(n).cnf_count() == classes


def test_graphs_by_number_of_edges():  # OEIS A008406
    assert graphs(6).cnfs().frequencies(len).run() == dict(
        enumerate([1, 1, 2, 5, 9, 15, 21, 24, 24, 21, 15, 9, 5, 2, 1, 1])
    )


# --- cuts -------------------------------------------------------------------------------------------------

CUT_CASES = [
    graphs(6),
    hd.Subsets(hd.USet(3, "n") * hd.USet(3, "n")),
    hd.Mappings(hd.USet(4, "n") * m2, hd.USet(4, "n")),
    hd.Sequences(n3, 0, 4) + hd.Range(100) + hd.Subsets(n3) * hd.Subsets(n3),
    hd.Mappings(n3, hd.Subsets(n3)),
    hd.Range(1000) * hd.Boolean(),
    graphs(5).filter(lambda g: len(g) % 2, strict=True),
]


@pytest.mark.parametrize("domain", CUT_CASES, ids=repr)
@pytest.mark.parametrize("m", [1, 2, 3, 7])
def test_parts_are_disjoint_and_everything(domain: Domain, m: int):
    whole = domain.cnfs().run()
    parts = [domain.cnfs(part=(r, m)).run() for r in range(m)]
    assert sorted(chain.from_iterable(parts), key=sort_key) == sorted(whole, key=sort_key)
    places = {x: i for i, x in enumerate(whole)}
    assert all([places[x] for x in part] == sorted(places[x] for x in part) for part in parts)
    assert [list(domain.cnfs(part=(r, m))) for r in range(m)] == parts


@pytest.mark.parametrize("domain", CUT_CASES, ids=repr)
def test_steps_in_any_order_give_the_serial_order(domain: Domain):
    plan = compile_plan(domain.cnfs(part=(0, 1)))
    whole = list(domain.cnfs())
    sent = pickle.loads(pickle.dumps(compile_plan(domain.cnfs(part=(0, 1))))) if not domain.filtered else plan
    pieces = [list(sent.source.elements(i, i + 1)) for i in reversed(range(plan.steps))]
    assert list(chain.from_iterable(reversed(pieces))) == whole
    half = plan.steps // 2
    assert plan.execute(0, half) + plan.execute(half, plan.steps) == whole
    counts = [plan.source.count(i, i + 1) for i in range(plan.steps)]
    assert counts == [None if domain.filtered else len(piece) for piece in reversed(pieces)]


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(strict_domains(max_size=600), st.integers(1, 5))
def test_parts_of_random_domains(case: Case, m: int):
    domain, _ = case
    whole = keys(domain.cnfs())
    parts = [keys(domain.cnfs(part=(r, m))) for r in range(m)]
    assert sorted(chain.from_iterable(parts)) == sorted(whole)


def test_a_walk_given_up_half_way_does_not_harm_the_next_one():
    pipeline = graphs(5).cnfs()
    source = compile_plan(pipeline).source
    first = source.elements(0, source.steps)
    second = source.elements(0, source.steps)
    assert [next(first) for _ in range(5)] == [next(second) for _ in range(5)]
    del first
    assert len(list(second)) == 29
    assert len(list(source.elements(0, source.steps))) == 34


def test_representatives_stream():
    huge = hd.Mappings(hd.USet(6, "n"), hd.USet(6, "n") * hd.Range(10**5))
    assert len(huge.cnfs().take(5).run()) == 5
    assert next(iter(huge.cnfs()))[hd.USet(6, "n")[0]] == (hd.USet(6, "n")[0], 0)


# --- sizes of USets ---------------------------------------------------------------------------------------


def test_a_thousand_atoms_cost_no_more_than_are_held():
    nodes = hd.USet(1000, "n")
    found = (nodes**4).cnfs(with_orbit_size=True).run()
    assert len(found) == 15
    assert sum(size for _, size in found) == 1000**4
    few = hd.Subsets(hd.Subsets(nodes, 2), 0, 3)
    assert few.cnfs().count().run() == 9
    assert sum(size for _, size in few.cnfs(with_orbit_size=True)) == few.size


def test_groups_too_large_to_be_listed():
    twelve = hd.USet(12, "n")
    assert hd.Mappings(twelve, hd.Range(2)).cnfs().count().run() == 13
    few = hd.Subsets(hd.Subsets(twelve, 2), 0, 4)
    found = few.cnfs(with_orbit_size=True).run()
    assert [sum(len(g) == k for g, _ in found) for k in range(5)] == [1, 1, 2, 5, 11]
    assert sum(size for _, size in found) == few.size


# --- strict or not ----------------------------------------------------------------------------------------


def test_strictness():
    strict: list[Domain[Any]] = [
        hd.Permutations(n3),
        n3 + hd.Range(2),
        hd.Mappings(n3, hd.Boolean()),
        hd.Product([]),
        hd.Join([]),
    ]
    strict += [hd.UnorderedProduct([hd.Range(3)] * 2), hd.CnfValues([n3[0]])]
    assert all(domain.strict for domain in strict)
    loose: list[Domain[Any]] = [
        hd.Values([1]),
        hd.Mappings(hd.Values([1]), n3),
        hd.Mappings(n3, hd.Values([1])),
    ]
    loose += [hd.UnorderedProduct([n3] * 2), n3.map(str), n3.filter(bool), n3[:2]]
    loose += [hd.Subsets(n3, set_class=frozenset), hd.Mappings(n3, n3, map_class=dict)]
    assert not any(domain.strict for domain in loose)


@pytest.mark.parametrize(
    "domain",
    [
        hd.Mappings(hd.Values("ab"), n3),
        hd.Range(2) * (n3 + hd.Values("ab")),
        hd.Subsets(n3.filter(bool)),
        hd.Product([n3.map(str)]),
    ],
    ids=repr,
)
def test_a_domain_that_is_not_strict_is_refused_and_its_part_named(domain: Domain):
    with pytest.raises(
        ArgumentValueError, match=r"cnfs\(\) needs a strict domain, but the part <(Val|Fil|Map)"
    ):
        domain.cnfs()


def test_a_filter_that_tells_atoms_apart_is_refused_with_a_witness():
    first = n3.filter(lambda atom: atom.index == 0, strict=True)
    with pytest.raises(ArgumentValueError, match="it has n0, but when n0 and n1 are swapped"):
        (first * n3).cnfs().run()
    some = hd.USet(9, "n").filter(lambda atom: atom.index < 7, strict=True)
    with pytest.raises(ArgumentValueError, match="it has n6, but when n6 and n7 are swapped"):
        (some * hd.Range(2)).cnfs().run()
    with pytest.raises(ArgumentValueError, match="says True to n0 and False to n1"):
        first.cnfs().run()


def test_a_filter_at_the_top_filters_representatives():
    seen = []

    def connected(g: Any) -> bool:
        seen.append(g)
        return len(g) > 7

    assert graphs(5).filter(connected, strict=True).cnfs().count().run() == 4
    assert len(seen) < 500


@pytest.mark.parametrize("part", [(1, 1), (-1, 2), (0, 0), (2, 1)])
def test_a_part_that_is_none_is_refused(part: Any):
    with pytest.raises(ArgumentValueError, match="part"):
        n3.cnfs(part=part)


@pytest.mark.parametrize("part", [3, (1,), "ab", (0.5, 2)])
def test_a_part_must_be_a_pair_of_ints(part: Any):
    with pytest.raises(ArgumentTypeError, match="part"):
        n3.cnfs(part=part)


def test_equal_items_are_refused_where_they_must_differ():
    twice = hd.Range(2) + hd.Range(2) + n3
    for domain in (hd.Subsets(twice), hd.Permutations(twice)):
        with pytest.raises(ArgumentValueError, match="more than once"):
            domain.cnfs().run()


def test_a_part_that_is_too_large_to_be_listed_is_refused():
    with pytest.raises(ArgumentValueError, match="in a list"):
        hd.Mappings(n3, n3**20 + hd.Range(2)).cnfs().run()


# --- pipelines --------------------------------------------------------------------------------------------


def test_transformations_and_actions():
    cnfs = graphs(4).cnfs()
    assert cnfs.map(len).run() == [len(g) for g in graphs(4) if hd.is_canonical(g)]
    assert cnfs.filter(lambda g: len(g) == 3).count().run() == 3
    assert cnfs.take(2).map(len).run() == [0, 1]
    assert len(cnfs.max(len).run()) == 1
    assert cnfs.first().run() == hd.Set()
    assert cnfs.groups_counts(len, limit=0).run()[3] == [3]


def test_counting_builds_no_element(monkeypatch: pytest.MonkeyPatch):
    from haydi.symmetry import structure

    def forbidden(*args: Any) -> Any:
        raise AssertionError("an element was built")

    monkeypatch.setattr(structure, "set_of_sorted", forbidden)
    assert hd.Subsets(n3 * n3).cnfs().count().run() == 104


def test_cnf_values():
    pairs = (n3 * n3).to_cnf_values()
    assert pairs.values == ((n3[0], n3[0]), (n3[0], n3[1]))
    assert sorted(pairs) == sorted(n3 * n3)
    assert pairs.cnfs(with_orbit_size=True).run() == [((n3[0], n3[0]), 3), ((n3[0], n3[1]), 6)]
    assert [pairs.index(x) for x in pairs] == list(range(9))
    check(pairs * n3, [n3])
    check(hd.Subsets(hd.CnfValues([(n3[0], n3[1])])), [n3])
    with pytest.raises(ArgumentValueError, match=r"values\[0\].*n1.*not canonical"):
        hd.CnfValues([n3[1]])
    with pytest.raises(ArgumentValueError, match=r"values\[1\] repeats"):
        hd.CnfValues([n3[0], n3[0]])


# --- faults of an earlier program -------------------------------------------------------------------------


def test_types_are_compared_with_each_other():
    assert hd.Mappings(n2, n2 + hd.Range(2)).cnfs().count().run() == 10


def test_subsets_of_no_item_are_one():
    assert hd.Subsets(n3, 0, 0).cnfs().run() == [hd.Set()]


def test_sequences_of_no_item_end():
    assert hd.Sequences(n3, 0, 0).cnfs().run() == [()]


def test_an_empty_product_has_one_element():
    assert hd.Product([]).cnfs().run() == [()]


def test_permutations_and_nested_filters_have_representatives():
    assert hd.Permutations(n4).cnfs().run() == [tuple(n4)]
    edges = (n3 * n3).filter(lambda x: x[0] != x[1], strict=True)
    assert hd.Subsets(edges).cnfs().count().run() == 16


def test_random_permutations_and_atoms_do_not_raise():
    assert sorted(hd.Permutations(n3).generate(1, seed=1).run()[0]) == list(n3)
    assert n3.generate(1, seed=1).run()[0] in n3


def test_stepped_ranges():
    assert hd.Range(4, 15, 3).size == 4
    assert set(hd.Range(4, 15, 3).generate(100, seed=1).run()) == {4, 7, 10, 13}
    assert (hd.Range(4, 15, 3) * n2).cnfs().count().run() == 4


def test_a_join_loses_no_step_at_a_boundary():
    domain = n2 + hd.Range(3) + n2
    assert domain.cnfs().run() == [n2[0], 0, 1, 2, n2[0]]
    assert [list(domain.elements(i, i + 1)) for i in range(7)] == [[x] for x in domain]


def test_mappings_are_strict_by_keys_and_values():
    assert not hd.Mappings(hd.Values([1, 2]), n2).strict
    assert not hd.Mappings(n2, hd.Values([1, 2])).strict
    assert hd.Mappings(n2, n2).strict


def test_a_filter_gives_each_element_once_wherever_it_is_cut():
    domain = graphs(5).filter(lambda g: len(g) % 2 == 0, strict=True)
    plan = compile_plan(domain.cnfs(part=(0, 1)))
    pieces = chain.from_iterable(plan.execute(i, i + 1) for i in range(plan.steps))
    assert list(pieces) == [g for g in graphs(5).cnfs() if len(g) % 2 == 0]


# --- what needs no elements -------------------------------------------------------------------------------


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(strict_domains(max_size=600))
def test_tallies_are_those_of_the_elements(case: Case):
    domain, _ = case
    lengths = [len(x) if isinstance(x, hd.Set) else -1 for x in domain.cnfs()]
    if -1 not in lengths:
        told = domain.cnfs().frequencies(len).run()
        assert list(told.items()) == list(Counter(lengths).items())
    pairs = list(domain.cnfs(with_orbit_size=True))
    sizes = domain.cnfs(with_orbit_size=True).frequencies(itemgetter(1)).run()
    assert list(sizes.items()) == list(Counter(size for _, size in pairs).items())


def test_tallies_build_no_element(monkeypatch: pytest.MonkeyPatch):
    from haydi.symmetry import structure

    def forbidden(*args: Any) -> Any:
        raise AssertionError("an element was built")

    monkeypatch.setattr(structure, "set_of_sorted", forbidden)
    by_edges = graphs(6).cnfs().frequencies(len).run()  # OEIS A008406
    assert by_edges == dict(enumerate([1, 1, 2, 5, 9, 15, 21, 24, 24, 21, 15, 9, 5, 2, 1, 1]))
    sizes = graphs(6).cnfs(with_orbit_size=True).frequencies(itemgetter(1)).run()
    assert sum(sizes.values()) == 156
    assert sum(size * number for size, number in sizes.items()) == 2**15


@pytest.mark.parametrize(
    "call",
    [
        # a part that slipped into the place of with_orbit_size
        lambda: n3.cnfs((0, 4)),  # type: ignore[arg-type]
        lambda: hd.Subsets(n3).cnf_count(by_size=2),  # type: ignore[call-overload]
        lambda: hd.canonize(n3[1], n3),  # type: ignore[call-overload]
    ],
)
def test_an_argument_that_is_no_bool_is_refused(call: Any):
    with pytest.raises(ArgumentTypeError, match="must be True or False"):
        call()
