"""Ordered partitions, orbits and twins; Test C against the search for least images: they share nothing."""

from __future__ import annotations

import random
from itertools import combinations
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

import haydi as hd
from haydi.domains.domain import Domain
from haydi.symmetry import tester
from haydi.symmetry.layout import Layout
from haydi.symmetry.partition import Cells, Orbits
from haydi.symmetry.twins import twins
from haydi.symmetry.words import Text
from tests.symmetry.oracles import objects, renamed
from tests.symmetry.strict import strict_domains


def whole(count: int) -> Cells:
    return Cells([0] * count, {0: tuple(range(count))})


def test_cells_are_refined_and_never_changed() -> None:
    cells = whole(5)
    placed = cells.place(3)
    assert (placed.first, placed.members) == ([1, 1, 1, 0, 1], {0: (3,), 1: (0, 1, 2, 4)})
    split = placed.split(1, [(4,), (), (0, 2), (1,)])
    assert (split.first, split.members) == ([2, 4, 2, 0, 1], {0: (3,), 1: (4,), 2: (0, 2), 4: (1,)})
    assert split.places() == [2, 4, 3, 0, 1]
    assert [split.loose(atom) for atom in range(5)] == [True, False, True, False, False]
    assert cells.members == {0: (0, 1, 2, 3, 4)}
    assert split.place(3) is split


def test_orbits_take_only_what_keeps_the_cells() -> None:
    orbits = Orbits(whole(5).split(0, [(0, 1, 2), (3, 4)]))
    found = [[1, 0, 2, 3, 4], [0, 1, 3, 2, 4]]
    orbits.join(found)
    assert (orbits.of(0), orbits.of(2), orbits.of(3)) == ((0, 1), (2,), (3,))
    found.append([0, 2, 1, 3, 4])
    orbits.join(found)
    assert orbits.of(2) == (0, 1, 2)
    assert not orbits.same(2, 3)


@given(objects([hd.USet(4, "a"), hd.USet(3, "b")], max_leaves=15))
def test_twins_are_automorphisms(x: Any) -> None:
    text = Text(x)
    for images in twins(text):
        names = {atom: text.atoms[image] for atom, image in zip(text.atoms, images, strict=True)}
        assert hd.compare(renamed(x, names), x) == 0


@given(st.sets(st.sampled_from(list(combinations(range(5), 2))), min_size=1))
def test_all_twins_of_a_graph_are_found(edges: set[tuple[int, int]]) -> None:
    n = hd.USet(5, "n")
    x = hd.Set(hd.Set((n[a], n[b])) for a, b in edges)
    text = Text(x)
    orbits = Orbits(whole(len(text.atoms)))
    orbits.join(twins(text))
    for i, j in combinations(range(len(text.atoms)), 2):
        a, b = text.atoms[i], text.atoms[j]
        assert orbits.same(i, j) == (renamed(x, {a: b, b: a}) == x)


def agree(domain: Domain[Any], layout: Layout, element: Any) -> None:
    found = tester.Tester(layout).test(layout.vector(element))
    if not hd.is_canonical(element):
        assert found is None
        return
    unused = [uset for uset in layout.usets if uset not in {atom.parent for atom in Text(element).atoms}]
    order = hd.automorphism_count(element)
    for uset in unused:
        for i in range(2, uset.size + 1):
            order *= i
    assert found == order


@given(strict_domains(max_size=400), st.randoms(use_true_random=False))
def test_test_c_agrees_with_the_search(case: Any, rng: random.Random) -> None:
    domain, _ = case
    assume(domain.size)
    layout = Layout(domain)
    assume(layout.group_order == layout.group_order_full)
    elements = list(domain)
    for element in rng.sample(elements, min(5, len(elements))):
        try:
            layout.vector(element)
        except ValueError:
            continue
        agree(domain, layout, element)
        agree(domain, layout, hd.canonize(element))


def test_test_c_agrees_on_larger_graphs() -> None:
    rng = random.Random(7)
    nodes = hd.USet(12, "n")
    domain = hd.Subsets(hd.Subsets(nodes, 2))
    layout = Layout(domain)
    for density in (0.05, 0.2, 0.5, 0.9):
        chosen = [edge for edge in domain.domain if rng.random() < density]
        agree(domain, layout, hd.canonize(hd.Set(chosen)))
        agree(domain, layout, hd.Set(chosen))
