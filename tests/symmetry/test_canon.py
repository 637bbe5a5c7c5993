"""Canonical forms of single objects, against brute force over all renamings."""

from __future__ import annotations

import random
from itertools import combinations, islice
from math import factorial, perm
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import haydi as hd
from haydi.order import sort_key
from tests.symmetry import oracles

SMALL = [hd.USet(4, "a"), hd.USet(3, "b")]
ONE = [hd.USet(5, "n")]


def graph(uset: hd.USet, edges: Any) -> hd.Set[Any]:
    return hd.Set(hd.Set((uset[a], uset[b])) for a, b in edges)


def shuffled(x: Any, rng: random.Random) -> Any:
    names: dict[hd.Atom, hd.Atom] = {}
    for uset in oracles.usets_in(x):
        names.update(zip(uset, rng.sample(list(uset), uset.size), strict=True))
    return oracles.renamed(x, names)


def check(x: Any) -> None:
    """Everything that is said of an object is what brute force says."""
    least = oracles.least(x)
    found, names = hd.canonize(x, return_renaming=True)
    assert sort_key(found) == sort_key(least)
    assert sort_key(oracles.renamed(x, names)) == sort_key(least)
    assert hd.is_canonical(x) == (sort_key(x) == sort_key(least))
    order = oracles.group_order(oracles.usets_in(x))
    assert hd.automorphism_count(x) == oracles.automorphisms(x)
    assert hd.automorphism_count(x) * hd.orbit_size(x) == order
    expanded = [sort_key(image) for image in hd.expand(x)]
    assert sorted(expanded) == sorted(oracles.orbit(x))
    assert len(expanded) == hd.orbit_size(x)


@given(oracles.objects(SMALL))
def test_two_usets_against_all_renamings(x: Any) -> None:
    check(x)


@given(oracles.objects(ONE, max_leaves=20))
def test_one_uset_against_all_renamings(x: Any) -> None:
    check(x)


@given(st.sets(st.sampled_from(list(combinations(range(5), 2)))))
def test_graphs_against_all_renamings(edges: set[tuple[int, int]]) -> None:
    check(graph(ONE[0], edges))


@given(st.lists(st.sets(st.sampled_from(list(combinations(range(4), 2))), max_size=4), max_size=4))
def test_sets_of_graphs_against_all_renamings(graphs: list[set[tuple[int, int]]]) -> None:
    check(hd.Set(graph(SMALL[0], edges) for edges in graphs))


@given(st.lists(st.integers(0, 4), min_size=5, max_size=5), st.lists(st.integers(0, 4), max_size=5))
def test_automata_against_all_renamings(first: list[int], second: list[int]) -> None:
    n = ONE[0]
    targets = [first, second]
    check(hd.Map(((n[i], k), n[to]) for k, row in enumerate(targets) for i, to in enumerate(row)))


@given(oracles.objects(SMALL), oracles.objects(SMALL))
def test_isomorphic_is_having_one_least_image(x: Any, y: Any) -> None:
    assert hd.is_isomorphic(x, y) == (sort_key(oracles.least(x)) == sort_key(oracles.least(y)))


@given(oracles.objects([hd.USet(9, "a"), hd.USet(8, "b")], max_leaves=40), st.randoms(use_true_random=False))
def test_larger_objects_do_not_depend_on_names(x: Any, rng: random.Random) -> None:
    canonical = hd.canonize(x)
    y = shuffled(x, rng)
    assert sort_key(hd.canonize(y)) == sort_key(canonical)
    assert hd.is_canonical(canonical)
    assert hd.is_isomorphic(x, y)
    assert hd.automorphism_count(x) == hd.automorphism_count(y)
    for image in islice(hd.expand(x), 5):
        assert sort_key(hd.canonize(image)) == sort_key(canonical)


@pytest.mark.parametrize("density", [0.1, 0.3, 0.5, 0.7])
@pytest.mark.parametrize("nodes", [12, 20, 30])
def test_random_graphs_do_not_depend_on_names(nodes: int, density: float) -> None:
    rng = random.Random(nodes)
    n = hd.USet(nodes, "n")
    x = graph(n, [edge for edge in combinations(range(nodes), 2) if rng.random() < density])
    least = hd.canonize(x)
    assert hd.canonize(shuffled(x, rng)) == least
    assert hd.is_canonical(least)
    assert hd.compare(least, x) <= 0


def hypercube(dimension: int) -> list[tuple[int, int]]:
    corners = range(1 << dimension)
    return [(i, i | 1 << bit) for i in corners for bit in range(dimension) if not i >> bit & 1]


@pytest.mark.parametrize(
    ("nodes", "edges", "automorphisms"),
    [
        (30, list(combinations(range(30), 2)), factorial(30)),
        (30, [(i, (i + 1) % 30) for i in range(30)], 60),
        (30, [(2 * i, 2 * i + 1) for i in range(15)], 2**15 * factorial(15)),
        (30, [(i, j) for i in range(15) for j in range(15, 30)], 2 * factorial(15) ** 2),
        (
            30,
            [(3 * i + a, 3 * i + b) for i in range(10) for a, b in [(0, 1), (0, 2), (1, 2)]],
            6**10 * factorial(10),
        ),
        (32, hypercube(5), 3840),
        (29, [(i, j) for j, i in combinations(range(29), 2) if pow(i - j, 14, 29) == 1], 29 * 14),
        (40, [(0, i) for i in range(1, 40)], factorial(39)),
    ],
    ids=["complete", "cycle", "matching", "bipartite", "triangles", "hypercube", "Paley", "star"],
)
def test_symmetric_graphs_cost_nothing_factorial(
    nodes: int, edges: list[tuple[int, int]], automorphisms: int
) -> None:
    n = hd.USet(nodes, "n")
    x = graph(n, edges)
    assert hd.automorphism_count(x) == automorphisms
    assert hd.orbit_size(x) == factorial(nodes) // automorphisms
    assert hd.canonize(shuffled(x, random.Random(1))) == hd.canonize(x)


def test_deep_objects_of_huge_orbits() -> None:
    n = hd.USet(40, "n")
    rng = random.Random(4)
    orders = hd.Set(tuple(rng.sample(list(n), 25)) for _ in range(3))
    nested = hd.Set(
        hd.Set((hd.Set(rng.sample(list(n), 3)), rng.choice(list(n))) for _ in range(4)) for _ in range(6)
    )
    cliques = hd.Set(hd.Set(map(hd.Set, combinations(list(n)[4 * i : 4 * i + 4], 2))) for i in range(10))
    for x in (orders, nested, cliques, hd.Map((a, a) for a in n), hd.Map({orders: nested, cliques: n[3]})):
        assert hd.canonize(shuffled(x, rng)) == hd.canonize(x)
    assert hd.automorphism_count(cliques) == 24**10 * factorial(10)


def test_gaps_are_closed() -> None:
    n = hd.USet(10**6, "n")
    assert hd.canonize((n[999_999], n[5], n[999_999])) == (n[0], n[1], n[0])
    assert not hd.is_canonical((n[1],))
    assert hd.orbit_size((n[7], n[5])) == perm(10**6, 2)
    assert [x[0].index for x in islice(hd.expand((n[3],)), 3)] == [0, 1, 2]


def test_atoms_of_usets_of_one_name_and_different_sizes_are_strangers() -> None:
    small, large = hd.USet(2, "u"), hd.USet(3, "u")
    assert hd.canonize((large[2], small[1])) == (large[0], small[0])
    assert hd.orbit_size((large[2], small[1])) == 6


def test_objects_without_atoms_are_alone() -> None:
    for x in (3, "x", None, True, (1, 2), hd.Set((1, (2,))), hd.Map({1: 2})):
        assert hd.canonize(x) == x
        assert hd.is_canonical(x)
        assert list(hd.expand(x)) == [x]
        assert (hd.automorphism_count(x), hd.orbit_size(x)) == (1, 1)
    assert not hd.is_isomorphic(0, False)
    assert not hd.is_isomorphic((0,), (False,))


def test_named_tuples_keep_their_class() -> None:
    n = hd.USet(3, "n")
    edge = hd.NamedProduct([("source", n), ("target", n)], type_name="Edge")[5]
    assert repr(hd.canonize(edge)) == "Edge(source=n0, target=n1)"


@pytest.mark.parametrize(
    "call", [hd.canonize, hd.is_canonical, hd.expand, hd.automorphism_count, hd.orbit_size]
)
@pytest.mark.parametrize("x", [1.5, [1], (1, {2})], ids=["float", "list", "set inside"])
def test_no_basic_object_is_told_at_the_call(call: Any, x: Any) -> None:
    with pytest.raises(TypeError, match=r"x=.* is no basic object.*use atoms"):
        call(x)


def test_both_arguments_of_is_isomorphic_are_checked() -> None:
    with pytest.raises(TypeError, match="no basic object"):
        hd.is_isomorphic(1, 1.5)


def complement(nodes: int, edges: Any) -> list[tuple[int, int]]:
    there = {frozenset(edge) for edge in edges}
    return [edge for edge in combinations(range(nodes), 2) if frozenset(edge) not in there]


#: Pieces whose unions, and the complements of these, have many ties that no automorphism explains.
PIECES = st.lists(
    st.sampled_from(
        [
            (2, [(0, 1)]),
            (3, [(0, 1), (1, 2)]),
            (3, [(0, 1), (1, 2), (0, 2)]),
            (4, [(0, 1), (1, 2), (2, 3)]),
            (5, [(0, 1), (1, 2), (2, 3), (2, 4)]),
        ]
    ),
    max_size=3,
)


@given(PIECES, st.booleans(), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=2))
@settings(max_examples=50)
def test_sparse_and_dense_graphs_against_all_renamings(
    pieces: list[tuple[int, list[tuple[int, int]]]], dense: bool, more: list[tuple[int, int]]
) -> None:
    edges = {frozenset(edge) for edge in more if edge[0] != edge[1]}
    start = 0
    for nodes, piece in pieces:
        edges |= {frozenset((start + a, start + b)) for a, b in piece if start + max(a, b) < 6}
        start += nodes
    pairs = [tuple(edge) for edge in edges]
    check(graph(hd.USet(6, "m"), complement(6, pairs) if dense else pairs))


@given(st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4))), st.booleans())
def test_digraphs_with_loops_against_all_renamings(arcs: set[tuple[int, int]], dense: bool) -> None:
    n = ONE[0]
    kept = {(i, j) for i in range(5) for j in range(5)} - arcs if dense else arcs
    check(hd.Set((n[i], n[j]) for i, j in kept))


@given(
    st.sets(st.tuples(st.integers(0, 3), st.integers(0, 2))),
    st.sets(st.integers(0, 3)),
    st.booleans(),
)
def test_bipartite_graphs_after_something_else_against_all_renamings(
    arcs: set[tuple[int, int]], marked: set[int], ordered: bool
) -> None:
    a, b = SMALL
    pairs = [(a[i], b[j]) for i, j in arcs]
    check((hd.Set(a[i] for i in marked), hd.Set(pairs) if ordered else hd.Set(map(hd.Set, pairs))))


def test_orbits_and_orders_of_mid_size_graphs_agree_with_their_complements() -> None:
    """Written quite differently, an object and its complement have the same automorphisms."""
    rng = random.Random(7)
    n = hd.USet(12, "n")
    for density in (0.05, 0.1, 0.2, 0.3, 0.5):
        for _ in range(12):
            edges = [edge for edge in combinations(range(12), 2) if rng.random() < density]
            x, y = graph(n, edges), graph(n, complement(12, edges))
            if not edges:
                continue
            assert hd.automorphism_count(x) == hd.automorphism_count(y)
            images = list(islice(hd.expand(y), 40))
            assert len(set(images)) == len(images) == min(40, hd.orbit_size(y))
            assert {hd.canonize(image) for image in images[::13]} == {hd.canonize(y)}
            renaming = hd.canonize(y, return_renaming=True)[1]
            assert oracles.renamed(y, renaming) == hd.canonize(y)


HARD = [random.Random(f"hard {i}") for i in range(12)]


@pytest.mark.parametrize("rng", HARD, ids=range(len(HARD)))
@pytest.mark.parametrize("density", [0.03, 0.9, 0.93, 0.95, 0.97])
def test_sparse_and_dense_graphs_on_thirty_nodes(density: float, rng: random.Random) -> None:
    n = hd.USet(30, "n")
    x = graph(n, [edge for edge in combinations(range(30), 2) if rng.random() < density])
    y = shuffled(x, rng)
    least, renaming = hd.canonize(x, return_renaming=True)
    assert hd.canonize(y) == least == oracles.renamed(x, renaming)
    assert hd.automorphism_count(x) == hd.automorphism_count(y)
    assert hd.is_isomorphic(x, y)


def test_graphs_that_look_alike_from_everywhere() -> None:
    """The two strongly regular graphs with parameters (16, 6, 2, 2), and their complements."""
    n = hd.USet(16, "n")
    cells = [(i // 4, i % 4) for i in range(16)]
    steps = {(0, 1), (0, 3), (1, 0), (3, 0), (1, 1), (3, 3)}
    shrikhande = [
        (i, j)
        for i, j in combinations(range(16), 2)
        if ((cells[i][0] - cells[j][0]) % 4, (cells[i][1] - cells[j][1]) % 4) in steps
    ]
    rook = [
        (i, j)
        for i, j in combinations(range(16), 2)
        if cells[i][0] == cells[j][0] or cells[i][1] == cells[j][1]
    ]
    for one, other in ((shrikhande, rook), (complement(16, shrikhande), complement(16, rook))):
        assert not hd.is_isomorphic(graph(n, one), graph(n, other))
        assert hd.automorphism_count(graph(n, one)) == 192
        assert hd.automorphism_count(graph(n, other)) == 1152
