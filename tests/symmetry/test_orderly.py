"""Walks over canonical prefixes: both engines, every cut, and automorphisms against brute force."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import haydi as hd
from haydi.domains.domain import Domain
from haydi.order import sort_key
from haydi.symmetry import tester
from haydi.symmetry.layout import Layout
from haydi.symmetry.orderly import Engine, Path, Walk
from haydi.symmetry.trie import Trie
from haydi.symmetry.watch import MovingWatch, PlainWatch, watch
from tests.symmetry.oracles import group_order, renamed, renamings
from tests.symmetry.strict import strict_domains

Case = tuple[Domain, list[hd.USet]]

n3, n4, m2 = hd.USet(3, "n"), hd.USet(4, "n"), hd.USet(2, "m")


def gone_through(layout: Layout, engine: Engine) -> list[tuple[Any, int]]:
    """Sort keys of all representatives, each with its number of automorphisms."""
    walk = Walk(layout, engine)
    return [
        (sort_key(x), walk.automorphisms(i, own))
        for i, own in walk.events()
        for x in layout.root.completions(engine.f, i, own)
    ]


def small_graphs(n: int) -> Domain[Any]:
    return hd.Subsets(hd.Subsets(hd.USet(n, "n"), 2))


DOMAINS = [
    small_graphs(5),
    hd.Subsets(n3 * n3),
    hd.Subsets(hd.Subsets(n4, 2), 3),
    hd.Subsets(hd.Subsets(n4, 2), 2, 4),
    hd.Mappings(n3, n3),
    hd.Mappings(n3 * m2, n3),
    hd.Mappings(n3, hd.Subsets(n3)),
    hd.Mappings(n3, hd.Range(3)) * hd.Subsets(n3) * n3,
    hd.Subsets(n3) * hd.Subsets(n3 * hd.Range(2), 1, 3),
    hd.Permutations(n3 + hd.Range(1)) * n3,
    hd.Sequences(n4, 4),
    hd.Mappings(hd.Subsets(n4, 2), hd.Range(3)),
]


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(strict_domains(max_size=500))
def test_both_engines_agree(case: Case):
    layout = Layout(case[0])
    by_rows = gone_through(layout, watch(layout))
    assert gone_through(layout, tester.Tester(layout)) == by_rows
    assert gone_through(layout, watch(layout, Trie(layout))) == by_rows


@pytest.mark.parametrize("domain", DOMAINS, ids=repr)
def test_automorphisms_are_those_of_brute_force(domain: Domain):
    layout = Layout(domain)
    assert layout.sizes == tuple(uset.size for uset in layout.usets)
    names = list(renamings(layout.usets))
    walk = Walk(layout, watch(layout))
    labelled = 0
    for i, own in walk.events():
        count = walk.automorphisms(i, own)
        for x in layout.root.completions(walk.engine.f, i, own):
            assert count == sum(sort_key(renamed(x, one)) == sort_key(x) for one in names)
            labelled += group_order(layout.usets) // count
    assert labelled == domain.size


@pytest.mark.parametrize("make", [watch, tester.Tester], ids=["watch", "tester"])
@pytest.mark.parametrize("domain", DOMAINS, ids=repr)
def test_a_walk_can_be_cut_and_begun_anywhere(domain: Domain, make: Any):
    layout = Layout(domain)

    def pieces(start: Path, cut: frozenset[Path]) -> list[tuple[Path, Any]]:
        walk = Walk(layout, make(layout))
        return [
            (walk.path, sort_key(x))
            for i, own in walk.events(start, cut)
            for x in layout.root.completions(walk.engine.f, i, own)
        ]

    whole = [key for _, key in pieces((), frozenset())]
    for limit in (1, 7, 60, 10**9):
        paths = list(Walk(layout, make(layout)).prefixes(limit))
        assert paths == sorted(set(paths))
        cut = frozenset(path[:level] for path in paths for level in range(len(path)))
        by_path = pieces((), cut)
        assert [key for _, key in by_path] == whole
        assert [path for path, _ in by_path] == sorted(path for path, _ in by_path)
        for start in paths[:: max(1, len(paths) // 6)]:
            assert pieces(start, cut) == [pair for pair in by_path if pair[0] >= start]


@pytest.mark.parametrize("domain", DOMAINS, ids=repr)
def test_an_engine_is_left_as_it_was_found(domain: Domain):
    layout = Layout(domain)
    engine = watch(layout)
    first = gone_through(layout, engine)
    assert gone_through(layout, engine) == first
    list(Walk(layout, engine).prefixes(30))
    assert gone_through(layout, engine) == first


def test_sets_come_before_those_that_extend_them():
    graphs = list(small_graphs(4).cnfs())
    domain = list(small_graphs(4))
    assert [domain.index(g) for g in graphs] == sorted(domain.index(g) for g in graphs)


def test_the_rest_is_told_at_once_where_nothing_waits():
    layout = Layout(hd.Permutations(n3) * hd.Subsets(hd.Range(10)))
    assert sum(1 for _ in Walk(layout, watch(layout)).events()) == 1
    assert len(gone_through(layout, watch(layout))) == 1024


def test_kernels_are_chosen_by_what_moves():
    assert isinstance(watch(Layout(small_graphs(4))), PlainWatch)
    assert isinstance(watch(Layout(hd.Mappings(n3, n3))), MovingWatch)


def test_long_vectors_need_no_deep_recursion():
    assert hd.Sequences(m2, 3000).cnfs().take(2).count().run() == 2


def test_tester_on_prefixes():
    test = tester.Tester(Layout(small_graphs(6))).test
    unknown = [-1] * 13
    assert test([0, 0, *unknown]) is not None
    assert test([1, 0, *unknown]) is None
    assert test([1] * 15) == 720
    assert test([0] * 15) == 720
