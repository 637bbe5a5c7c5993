"""Random classes: uniform to the chi-square test, canonical, determined by the seed and the step alone."""

from __future__ import annotations

import pickle
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, given, settings

import haydi as hd
from haydi.domains.domain import Domain
from haydi.order import SortKey, sort_key
from haydi.symmetry.counting import Terms
from haydi.symmetry.effective import usets_of
from haydi.symmetry.renaming import rename
from haydi.symmetry.uniform import UniformClasses, draw_fixed
from tests.strategies import rngs
from tests.symmetry.strict import representatives, strict_domains
from tests.symmetry.test_counting import has_filter

#: Draws for each class, and how many standard deviations chi-square may lie above its mean.
DRAWS = 60
DEVIATIONS_MAX = 4

N = hd.USet(3, "n")
FIVE = hd.USet(5, "n")


def expected(domain: Domain[Any]) -> list[SortKey]:
    return [sort_key(x) for x, _ in representatives(domain, list(usets_of(domain)))]


def has_loop(relation: Any) -> bool:
    return any(a == b for a, b in relation)


@pytest.mark.parametrize(
    "domain",
    [
        hd.Subsets(hd.Subsets(FIVE, 2)),
        hd.Subsets(hd.Subsets(FIVE, 2), 2, 4),
        hd.Subsets(N * N),
        hd.Subsets(N * N, 2, 3),
        hd.Mappings(N, N),
        hd.Mappings(N * hd.USet(2, "l"), hd.Range(2)),
        hd.Mappings(N, hd.Subsets(N, 0, 2)),
        hd.Mappings(hd.Range(2), hd.Subsets(N)),
        hd.Sequences(N + hd.Range(2), 0, 3),
        hd.Permutations(N + hd.Range(2)),
        hd.NamedProduct([("start", N), ("ends", hd.Subsets(N))]),
        hd.Join((N * N, hd.Range(3), hd.Subsets(N, 2))),
        hd.Product((hd.Join((N, N)), hd.Boolean())),
        (N * N).to_cnf_values() * N,
        hd.Range(5) * hd.Boolean(),
        hd.Subsets(N * N).filter(has_loop, strict=True),
        hd.USet(1000, "m") ** 3,
    ],
    ids=repr,
)
def test_all_classes_are_equally_likely(domain: Domain[Any]) -> None:
    if domain.size is not None and domain.size > 10**6:
        keys = [sort_key(x) for x in domain.cnfs()]
    else:
        keys = expected(domain)
    draws = domain.generate_cnf(DRAWS * len(keys), seed=11).run()
    counts = Counter(map(sort_key, draws))
    assert set(counts) <= set(keys)
    assert all(draw in domain for draw in draws[:50])
    chi_square = sum((counts[key] - DRAWS) ** 2 / DRAWS for key in keys)
    freedom = len(keys) - 1
    assert chi_square <= freedom + DEVIATIONS_MAX * (2 * freedom) ** 0.5 + 1


@given(strict_domains(max_size=500), rngs())
def test_random_domains_give_canonical_elements(case: Any, rng: random.Random) -> None:
    domain, _ = case
    assume(not has_filter(domain))
    uniform = UniformClasses(domain)
    if uniform.size == 0:
        with pytest.raises(ValueError, match="empty"):
            uniform.generate_one(rng)
        return
    for _ in range(3):
        element = uniform.generate_one(rng)
        assert element in domain
        assert hd.is_canonical(element)


@settings(max_examples=50)
@given(strict_domains(max_size=300), rngs())
def test_drawn_elements_are_fixed_and_all_of_them_come(case: Any, rng: random.Random) -> None:
    domain, _ = case
    assume(not has_filter(domain))
    terms = Terms(domain)
    for g, _ in terms:
        for k in (1, 2):
            count = terms.species.fixed(g, k)
            if not 0 < count <= 6:
                continue
            drawn = [draw_fixed(terms.species, g, k, rng) for _ in range(25 * count)]
            assert all(sort_key(rename(x, g.renaming(k))) == sort_key(x) for x in drawn)
            assert len(set(map(sort_key, drawn))) == count


def test_items_too_many_to_be_listed() -> None:
    words = hd.Sequences(N, 9)
    assert words.size > 1 << 14
    for domain in (hd.Subsets(words, 1), hd.Subsets(words, 1, 2)):
        draws = domain.generate_cnf(100, seed=2).run()
        assert all(map(hd.is_canonical, draws))
        assert all(draw in domain for draw in draws)
        assert len(set(draws)) > 90


def test_a_draw_depends_on_seed_and_step_alone() -> None:
    domain = hd.Subsets(hd.Subsets(FIVE, 2))
    twenty = domain.generate_cnf(20, seed="x").run()
    assert domain.generate_cnf(7, seed="x").run() == twenty[:7]
    assert domain.generate_cnf(seed="x").take(20).run() == twenty
    assert domain.generate_cnf(20, seed="y").run() != twenty
    state = random.getstate()
    domain.generate_cnf(5, seed=1).run()
    assert random.getstate() == state


def test_it_travels_to_workers_without_its_tables() -> None:
    uniform = UniformClasses(hd.Subsets(hd.Subsets(hd.USet(12, "n"), 2)))
    first = uniform.generate_one(random.Random(1))
    data = pickle.dumps(uniform)
    assert len(data) < 1000
    assert pickle.loads(data).generate_one(random.Random(1)) == first


def test_large_graphs_are_drawn_and_canonized() -> None:
    graphs = hd.Subsets(hd.Subsets(hd.USet(16, "n"), 2))
    draws = graphs.generate_cnf(20, seed=3).run()
    assert all(map(hd.is_canonical, draws))
    assert len(set(draws)) == 20


def test_rejected_draws_are_repeated() -> None:
    loops = hd.Subsets(N * N).filter(has_loop, strict=True)
    assert all(map(has_loop, loops.generate_cnf(50, seed=1).run()))


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (hd.Values("ab") * N, "generate_cnf.*needs a strict domain.*Values"),
        (hd.Subsets(N.filter(bool, strict=True)), "is filtered"),
        (hd.Sequences(hd.USet(100, "n"), 100), "cycle types"),
    ],
)
def test_what_cannot_be_drawn_is_told_at_the_call(domain: Domain[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        domain.generate_cnf(5)
