"""Numbers of classes against brute force over all renamings, and against the encyclopedia of sequences."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, permutations
from math import comb, factorial
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import haydi as hd
from haydi.domains.domain import Domain
from haydi.symmetry.species import coefficients, cycle_types, divisors, powers, size_polynomial
from tests.symmetry.oracles import classes
from tests.symmetry.strict import distinct, representatives, strict_domains

Case = tuple[Domain[Any], list[hd.USet]]


def has_filter(domain: Domain[Any]) -> bool:
    return domain.filtered or any(map(has_filter, domain._parts))


@given(strict_domains())
def test_random_domains_against_brute_force(case: Case) -> None:
    domain, usets = case
    assume(not has_filter(domain))
    # At the top equal elements are elements of their own, and brute force sees them as one.
    assume(distinct(domain))
    assert domain.cnf_count() == len(representatives(domain, usets))


@settings(max_examples=40)
@given(strict_domains(max_size=7, depth=2), st.integers(0, 4), st.integers(0, 4))
def test_numbers_by_size_against_brute_force(case: Case, least: int, more: int) -> None:
    items, usets = case
    assume(not has_filter(items) and distinct(items))
    for domain in (hd.Subsets(items), hd.Subsets(items, least, least + more)):
        sizes = Counter(len(x) for x, _ in representatives(domain, usets))
        counts = domain.cnf_count(by_size=True)
        assert Counter({size: n for size, n in enumerate(counts) if n}) == sizes
        assert sum(counts) == domain.cnf_count()


@settings(max_examples=50)
@given(strict_domains(max_size=100))
def test_equal_elements_below_the_top_are_one(case: Case) -> None:
    domain, usets = case
    assume(not has_filter(domain) and len(domain._parts) > 0)
    twice = hd.Product((hd.Join((domain, domain)), usets[0]))
    assert twice.cnf_count() == len(representatives(twice, usets))


def graphs(n: int) -> hd.Subsets[Any, Any]:
    return hd.Subsets(hd.Subsets(hd.USet(n, "n"), 2))


def relations(n: int) -> Domain[Any]:
    nodes = hd.USet(n, "n")
    return hd.Subsets(nodes * nodes)


def colourings(n: int) -> Domain[Any]:
    return hd.Mappings(hd.Subsets(hd.USet(n, "n"), 2), hd.Range(3))


def operations(n: int) -> Domain[Any]:
    carrier = hd.USet(n, "n")
    return hd.Mappings(carrier * carrier, carrier)


def automata(n: int, letters: Domain[Any]) -> Domain[Any]:
    states = hd.USet(n, "q")
    return hd.Mappings(states * letters, states)


def functions(n: int) -> Domain[Any]:
    nodes = hd.USet(n, "n")
    return hd.Mappings(nodes, nodes)


def matrices(n: int) -> Domain[Any]:
    return hd.Subsets(hd.USet(n, "row") * hd.USet(n, "column"))


@pytest.mark.parametrize(
    ("make", "first", "values"),
    [
        (
            graphs,
            2,
            [2, 4, 11, 34, 156, 1044, 12346, 274668, 12005168, 1018997864, 165091172592],
        ),
        (relations, 1, [2, 10, 104, 3044, 291968, 96928992, 112282908928]),
        (functions, 1, [1, 3, 7, 19, 47, 130, 343, 951, 2615, 7318, 20491, 57903, 163898, 466199]),
        (lambda n: automata(n, hd.Range(2)), 1, [1, 10, 129, 2836, 83061, 3076386, 136647824]),
        (lambda n: automata(n, hd.USet(2, "l")), 1, [1, 7, 74, 1474, 41876, 1540696, 68343112]),
        (lambda n: hd.Subsets(hd.Subsets(hd.USet(n, "n"), 3)), 3, [2, 5, 34, 2136, 7013320]),
        (lambda n: hd.Sequences(hd.USet(n, "n"), n), 1, [1, 2, 5, 15, 52, 203, 877, 4140]),
        (operations, 1, [1, 10, 3330, 178981952]),
        (colourings, 2, [3, 10, 66, 792, 25506]),
        (matrices, 1, [2, 7, 36, 317, 5624, 251610]),
        (lambda n: hd.Subsets(hd.Subsets(hd.USet(n, "n"))), 1, [4, 12, 80, 3984, 37333248]),
    ],
    ids=[
        *("A000088", "A000595", "A001372", "A054050", "A054745", "A000665"),
        *("A000110", "A001329", "A004102", "A002724", "A003180"),
    ],
)
def test_numbers_of_the_encyclopedia(make: Any, first: int, values: list[int]) -> None:
    assert [make(n).cnf_count() for n in range(first, first + len(values))] == values


def test_graphs_by_number_of_edges() -> None:  # OEIS A008406
    expected = [1, 1, 2, 5, 9, 15, 21, 24, 24, 21, 15, 9, 5, 2, 1, 1]
    assert graphs(6).cnf_count(by_size=True) == expected


def test_large_numbers_are_exact() -> None:
    count = graphs(30).cnf_count()
    assert len(str(count)) == 99
    # Nearly all graphs have no symmetry, so there are a little more classes than that.
    assert 0 < count * factorial(30) - 2 ** comb(30, 2) < 2 ** comb(30, 2) // 1000
    counts = graphs(14).cnf_count(by_size=True)
    assert sum(counts) == graphs(14).cnf_count()
    assert counts == counts[::-1]


def test_only_atoms_that_an_element_can_hold_matter() -> None:
    many = hd.USet(10**6, "n")
    assert (many**4).cnf_count() == 15  # the Bell number
    assert hd.Subsets(many, 0, 3).cnf_count(by_size=True)[:5] == [1, 1, 1, 1]
    assert hd.Subsets(hd.Subsets(many, 2), 3).cnf_count() == 5  # triangle, star, path, two and one, three


def test_types_are_compared_with_each_other() -> None:
    assert hd.Mappings(hd.USet(2, "n"), hd.USet(2, "n") + hd.Range(2)).cnf_count() == 10


def test_small_and_empty_domains() -> None:
    n = hd.USet(3, "n")
    assert hd.Product(()).cnf_count() == 1
    assert hd.Range(7).cnf_count() == 7
    assert hd.USet(0, "n").cnf_count() == 0
    assert hd.Subsets(hd.USet(0, "n")).cnf_count(by_size=True) == [1]
    assert hd.Sequences(n, 0).cnf_count() == 1
    assert hd.Subsets(n, 0, 0).cnf_count() == 1
    assert hd.Subsets(n, 5).cnf_count(by_size=True) == [0, 0, 0, 0]
    assert hd.Permutations(n).cnf_count() == 1
    assert hd.Permutations(n + hd.Range(1)).cnf_count() == 4
    assert (n + n).cnf_count() == 2
    assert hd.Product((n + n,)).cnf_count() == 1


def test_cnf_values_are_counted() -> None:
    n = hd.USet(3, "n")
    pairs = (n * n).to_cnf_values()
    assert pairs.cnf_count() == 2
    for domain in (pairs * n, hd.Subsets(pairs, 2), hd.Mappings(hd.Range(2), pairs)):
        assert domain.cnf_count() == len(classes(domain))


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (hd.USet(3, "n").filter(bool, strict=True), "<FilteredDomain size<=3.*is filtered; enumerate"),
        (hd.Subsets(hd.USet(3, "n").filter(bool, strict=True)), "FilteredDomain.*is filtered"),
        (hd.Permutations(hd.USet(3, "n").filter(bool, strict=True)), "FilteredDomain.*is filtered"),
        (hd.USet(3, "n") * hd.Values("ab"), "<Values size=2.*is not strict.*CnfValues"),
        (hd.USet(3, "n").map(str), "MappedDomain.*is not strict"),
        (hd.Sequences(hd.USet(100, "n"), 100), "cycle types.*limit"),
    ],
)
def test_what_cannot_be_counted_is_told(domain: Domain[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        domain.cnf_count()


def test_by_size_is_for_subsets() -> None:
    with pytest.raises(ValueError, match="by_size=True is for Subsets, not for <USet"):
        hd.USet(3, "n").cnf_count(by_size=True)


def test_equal_items_are_refused_where_they_must_differ() -> None:
    n = hd.USet(3, "n")
    twice = hd.Join((n, n))
    for domain in (hd.Subsets(twice), hd.Mappings(twice * n, n), hd.Permutations(twice)):
        with pytest.raises(ValueError, match="has equal elements; what is built of it needs distinct ones"):
            domain.cnf_count()
    assert hd.Subsets(hd.Sequences(twice, 0)).cnf_count() == 2  # only the empty sequence


def test_parts_that_may_share_elements_are_told() -> None:
    n = hd.USet(9, "n")
    with pytest.raises(ValueError, match=r"cannot be told.*tag"):
        hd.Product((hd.Join((hd.Mappings(n, n), hd.Mappings(n, n))),)).cnf_count()


# --- the arithmetic of cycles -----------------------------------------------------------------------------


def cycles_of(permutation: tuple[int, ...]) -> dict[int, int]:
    lengths: Counter[int] = Counter()
    seen: set[int] = set()
    for start in range(len(permutation)):
        x, length = start, 0
        while x not in seen:
            seen.add(x)
            x, length = permutation[x], length + 1
        lengths[length] += 1
    del lengths[0]
    return dict(lengths)


@pytest.mark.parametrize("size", range(7))
def test_cycle_types_against_all_permutations(size: int) -> None:
    expected = Counter(tuple(sorted(cycles_of(one).items())) for one in permutations(range(size)))
    assert {tuple(sorted(cycles.items())): n for cycles, n in cycle_types(size)} == expected


@given(st.integers(1, 7).flatmap(lambda n: st.permutations(range(n))), st.integers(1, 12))
def test_cycles_of_powers(permutation: list[int], k: int) -> None:
    power = tuple(range(len(permutation)))
    for _ in range(k):
        power = tuple(permutation[x] for x in power)
    assert powers(cycles_of(tuple(permutation)), k) == cycles_of(power)


@given(st.dictionaries(st.integers(1, 5), st.integers(1, 3), max_size=3), st.integers(0, 12))
def test_polynomials_count_unions_of_cycles(cycles: dict[int, int], size_max: int) -> None:
    lengths = [length for length, number in cycles.items() for _ in range(number)]
    sums = Counter(sum(some) for r in range(len(lengths) + 1) for some in combinations(lengths, r))
    found = coefficients(size_polynomial(cycles, size_max, 64), 64)
    assert Counter({size: n for size, n in enumerate(found) if n}) == Counter(
        {size: n for size, n in sums.items() if size <= size_max}
    )


def test_polynomials_of_many_equal_cycles() -> None:
    found = coefficients(size_polynomial({1: 1000, 2: 500}, 3, 72), 72)
    assert found == [1, 1000, comb(1000, 2) + 500, comb(1000, 3) + 500 * 1000]


@given(st.lists(st.integers(1, 200)))
def test_divisors(numbers: list[int]) -> None:
    assert divisors(numbers) == {d for d in range(1, 201) if any(n % d == 0 for n in numbers)}
