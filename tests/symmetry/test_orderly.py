"""Walks over canonical prefixes: both engines, every cut, and automorphisms against brute force."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import haydi as hd
from haydi.domains.domain import Domain
from haydi.order import sort_key
from haydi.symmetry import tester
from haydi.symmetry.branching import Branching, Path, after
from haydi.symmetry.layout import Layout
from haydi.symmetry.orderly import Engine, Scout, Walk
from haydi.symmetry.trie import Trie
from haydi.symmetry.watch import MovingWatch, PlainWatch, watch
from tests.symmetry.oracles import group_order, renamed, renamings
from tests.symmetry.strict import strict_domains

Case = tuple[Domain, list[hd.USet]]

n3, n4, m2 = hd.USet(3, "n"), hd.USet(4, "n"), hd.USet(2, "m")


Piece = tuple[Path, Any, int]


def pieces(
    layout: Layout, engine: Engine, start: Path = (), stops: Sequence[Path | None] = (None,)
) -> list[Piece]:
    """Path, sort key and number of automorphisms of all representatives from a place on, bounded in turn by stops."""
    walk = Walk(Branching(layout), engine)
    walk.seek(start)
    found = []
    for stop in stops:
        while (event := walk.next(stop)) is not None:
            assert stop is None or walk.path < stop
            count = walk.automorphisms(*event)
            found += [(walk.path, sort_key(x), count) for x in layout.root.completions(walk.f, *event)]
    return found


def gone_through(layout: Layout, engine: Engine) -> list[tuple[Any, int]]:
    """Sort keys of all representatives, each with its number of automorphisms."""
    return [(key, count) for _, key, count in pieces(layout, engine)]


def engines(layout: Layout) -> list[Engine]:
    return [watch(layout), tester.Tester(layout)]


def tree(layout: Layout, engine: Engine) -> dict[Path, list[int]]:
    """All nodes with their children, as a scout sees them."""
    branching = Branching(layout)
    scout = Scout(branching, engine)
    found: dict[Path, list[int]] = {}
    todo: list[Path] = [()]
    while todo:
        path = todo.pop()
        look = scout.look(path)
        if look.i < layout.m:
            f = list(engine.f)
            found[path] = list(branching.choices(f, look.i) if look.free else look.choices)
            todo += [(*path, choice) for choice in found[path]]
        else:
            found[path] = []
    return found


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
    walk = Walk(Branching(layout), watch(layout))
    walk.seek(())
    labelled = 0
    while (event := walk.next(None)) is not None:
        count = walk.automorphisms(*event)
        for x in layout.root.completions(walk.f, *event):
            assert count == sum(sort_key(renamed(x, one)) == sort_key(x) for one in names)
            labelled += group_order(layout.usets) // count
    assert labelled == domain.size


@pytest.mark.parametrize("domain", DOMAINS, ids=repr)
def test_scouts_see_the_same_tree_with_every_engine(domain: Domain):
    layout = Layout(domain)
    by_rows, by_cells = (tree(layout, engine) for engine in engines(layout))
    assert by_rows == by_cells
    leaves = [path for path, choices in by_rows.items() if not choices]
    paths = {path for path, _, _ in pieces(layout, tester.Tester(layout))}
    assert paths <= set(leaves)
    # What is below a leaf that is no event was found not canonical on the way to its end.
    assert paths == {path for path in leaves if _depth(layout, path) == layout.m}


def _depth(layout: Layout, path: Path) -> int:
    branching, f, i = Branching(layout), [0] * layout.m, 0
    for choice in path:
        i = branching.down(f, i, choice)
    return i


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(strict_domains(max_size=300), st.randoms(use_true_random=False))
def test_a_walk_can_be_cut_and_begun_anywhere(case: Case, rng: random.Random):
    layout = Layout(case[0])
    whole = [key for _, key, _ in pieces(layout, watch(layout))]
    by_cells = pieces(layout, tester.Tester(layout))
    assert [key for _, key, _ in by_cells] == whole
    nodes = sorted(tree(layout, watch(layout))) if layout.root.total else [()]
    bounds = [path for path in nodes if rng.random() < 0.3]
    bounds += [bound for path in nodes if rng.random() < 0.2 if (bound := after(path)) is not None]
    bounds += [(*path, rng.randrange(-1, 4)) for path in nodes if rng.random() < 0.1]
    bounds = sorted(set(bounds))
    for engine in engines(layout):
        assert [key for _, key, _ in pieces(layout, engine, (), [*bounds, None])] == whole
    for engine in engines(layout):
        walk_from = rng.choice([(), *bounds])
        later = [bound for bound in bounds if bound > walk_from]
        expected = [key for path, key, _ in by_cells if path >= walk_from]
        assert [key for _, key, _ in pieces(layout, engine, walk_from, [*later, None])] == expected


@pytest.mark.parametrize("domain", DOMAINS, ids=repr)
def test_a_walk_can_go_back(domain: Domain):
    layout = Layout(domain)
    for engine in engines(layout):
        walk = Walk(Branching(layout), engine)
        walk.seek(())
        paths = []
        while walk.next(None) is not None:
            paths.append(walk.path)
        for path in [paths[len(paths) // 2], paths[0], paths[-1], (), paths[len(paths) // 3]]:
            walk.seek(path)
            assert walk.next(None) is not None
            assert walk.path == (path or paths[0])


def test_sets_come_before_those_that_extend_them():
    graphs = list(small_graphs(4).cnfs())
    domain = list(small_graphs(4))
    assert [domain.index(g) for g in graphs] == sorted(domain.index(g) for g in graphs)


def test_the_rest_is_told_at_once_where_nothing_waits():
    layout = Layout(hd.Permutations(n3) * hd.Subsets(hd.Range(10)))
    walk = Walk(Branching(layout), watch(layout))
    walk.seek(())
    assert walk.next(None) == (2, True)  # the third atom has no choice
    assert walk.next(None) is None
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
