"""Layouts: vectors stand for elements, rows do to vectors what renamings do to elements, order is kept."""

from __future__ import annotations

from itertools import islice, pairwise
from math import factorial, prod
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

import haydi as hd
from haydi.domains.domain import Domain
from haydi.errors import ArgumentValueError
from haydi.order import sort_key
from haydi.symmetry.alphabet import Alphabet
from haydi.symmetry.effective import shrink, usets_of, width
from haydi.symmetry.group import GroupRows
from haydi.symmetry.layout import Layout, Row
from tests.symmetry.oracles import orbit, renamed
from tests.symmetry.strict import strict_domains

Case = tuple[Domain, list[hd.USet]]

n3, n4 = hd.USet(3, "n"), hd.USet(4, "n")


def moved(row: Row, layout: Layout, f: list[int]) -> list[int]:
    return [row.vals[kind][f[q]] for kind, q in zip(layout.kind, row.src, strict=True)]


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(strict_domains(max_size=400))
def test_a_row_does_to_the_vector_what_the_renaming_does_to_the_element(case: Case):
    layout = Layout(case[0])
    elements = list(islice(layout.domain, 60))
    for x in elements:
        f = layout.vector(x)
        assert len(f) == layout.m
        assert sort_key(layout.build(f)) == sort_key(x)
        for uset, size in zip(layout.usets, layout.sizes, strict=True):
            for i in range(size - 1):
                row = layout.swap(uset, i, i + 1)
                image = renamed(x, {uset[i]: uset[i + 1], uset[i + 1]: uset[i]})
                assert sort_key(layout.build(moved(row, layout, f))) == sort_key(image)
                assert moved(row, layout, f) == layout.vector(image)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(strict_domains(max_size=400))
def test_in_an_orbit_vectors_stand_in_the_order_of_elements(case: Case):
    layout = Layout(case[0])
    assume(layout.group_order == layout.group_order_full)
    for x in islice(layout.domain, 10):
        in_order = [image for _, image in sorted(orbit(x).items())]
        assert all(one < other for one, other in pairwise(map(layout.vector, in_order)))


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(strict_domains(max_size=400))
def test_completions_of_every_beginning_are_the_vectors_that_begin_so(case: Case):
    layout = Layout(case[0])
    whole = list(layout.root.completions([], 0))
    assert len(whole) == layout.root.total == layout.root.count([], 0)
    assert {sort_key(x) for x in whole} == {sort_key(x) for x in layout.domain}
    vectors = [layout.vector(x) for x in whole]
    for f in vectors[:: max(1, len(vectors) // 5)]:
        for i in range(layout.m + 1):
            begun = [x for x, g in zip(whole, vectors, strict=True) if g[:i] == f[:i]]
            assert list(map(sort_key, layout.root.completions(f, i))) == list(map(sort_key, begun))
            assert layout.root.count(f, i) == len(begun)
            assert len(list(layout.root.completions(f, i, False))) == layout.root.count(f, i, False)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(strict_domains(max_size=400))
def test_the_group_is_closed_and_whole(case: Case):
    layout = Layout(case[0])
    group = GroupRows(layout)
    rows = {(row.src, row.vals) for row in layout.generators()} - {tuple(layout.identity)}
    assert rows <= set(group.rows)
    assert len(set(group.rows)) == len(group.rows)
    assert (len(group.rows) + 1) * group.kernel == layout.group_order
    assert layout.group_order == prod(map(factorial, layout.sizes))


def test_positions_and_alphabets():
    graphs = Layout(hd.Subsets(hd.Subsets(n4, 2)))
    assert (graphs.m, graphs.kind, graphs.fixed) == (6, (0,) * 6, True)
    automata = Layout(hd.Mappings(n4 * hd.Range(2), n4))
    assert (automata.m, len(automata.alphabets), automata.fixed) == (8, 1, False)
    sized = Layout(hd.Mappings(n3, hd.Subsets(n3)))
    assert sized.m == 3 * 4
    assert [node.sized for node in sized.sets] == [True] * 3
    assert Layout(hd.Mappings(hd.Range(2), hd.Subsets(n3))).m == 2 * 3


@pytest.mark.parametrize(
    ("domain", "atoms"),
    [
        (n4, 1),
        (n4**3, 3),
        (n4**9, 4),
        (hd.Subsets(hd.Subsets(n4, 1), 0, 2), 2),
        (hd.Sequences(n4, 0, 2), 2),
        (n4 + n4 * n4, 2),
        (hd.Mappings(hd.Range(2), n4), 2),
        (hd.Mappings(n4, hd.Range(2)), 4),
        (hd.Permutations(n4), 4),
        ((n4 * n4).filter(bool, strict=True), 2),
        (hd.Subsets(n4, 0, 0), 0),
        (hd.CnfValues([n4[0], (n4[0], n4[1])]), 2),
        (hd.Range(3), 0),
    ],
    ids=repr,
)
def test_effective_numbers_of_atoms(domain: Domain[Any], atoms: int):
    assert width(domain, n4) == atoms
    assert usets_of(domain) == ((n4,) if domain.size != 3 else ())


def test_shrunk_domains_hold_the_atoms_they_held():
    few = shrink(hd.Mappings(hd.Range(1), n4) * hd.CnfValues([(n4[0], n4[1])]), {n4: 2})
    assert few.size == 4
    assert all(atom.parent == n4 for _, pair in few for atom in pair)


def test_a_custom_domain_is_listed():
    class Pairs(hd.Domain[Any]):
        size = 3
        strict = True

        def _at(self, step: int) -> Any:
            return (n3[step], n3[step])

    layout = Layout(Pairs() * n3)
    assert (layout.m, layout.sizes) == (2, (3,))
    assert len((Pairs() * n3).cnfs().run()) == 2


@pytest.mark.parametrize("build", [hd.Subsets, lambda items: hd.Mappings(items, hd.Boolean())])
def test_what_has_too_many_parts_is_refused_before_they_are_listed(
    build: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Alphabet, "of", lambda *args, **kwargs: pytest.fail("the parts were listed"))
    with pytest.raises(ArgumentValueError, match="too many parts for canonical forms: at most 65536"):
        Layout(build(n3 * hd.Range(1 << 15)))


def test_alphabets_keep_bools_and_ints_apart():
    alphabet = Alphabet.of(
        hd.Boolean() + hd.Range(2) + (hd.Range(1) * hd.Boolean()) + (hd.Boolean() * hd.Range(1))
    )
    assert alphabet.size == 8
    assert [alphabet.index(x) for x in alphabet.elements] == list(range(8))


def test_what_is_not_there_has_no_vector():
    layout = Layout(hd.Subsets(n3 * n3, 0, 2))
    others: list[Any] = [hd.Set([n3[0]]), 3, hd.Map(), hd.Set([(n3[0], n4[0])])]
    for x in others:
        with pytest.raises(ArgumentValueError, match="is not an element"):
            layout.vector(x)


@pytest.mark.parametrize("sizes", [(0, 12), (2, 5), (3, 12)])
def test_the_number_of_completions_is_told_without_making_them(sizes: tuple[int, int]):
    layout = Layout(hd.Subsets(n3 * n4, *sizes))
    root = layout.root
    f = [1] * layout.m
    f[2] = f[3] = 0
    for i in range(layout.m):
        for own in (True, False) if i else (True,):
            assert root.count(f, i, own) == sum(1 for _ in root.completions(f, i, own)), (i, own)
