"""Random domains for property tests, each with a model: the plain list of what its steps hold.

The model is made beside the domain by the shortest code that can be right (``itertools`` over the lists of
the parts), so that a composition is compared with something that shares no line with it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

from hypothesis import assume
from hypothesis import strategies as st

import haydi.domains as hd
from haydi.domains.domain import Domain
from haydi.errors import SkippedStepError


class Rejected:
    """What the model has where a filter rejects the step."""

    def __repr__(self) -> str:
        return "REJECTED"


REJECTED = Rejected()


class Modelled(NamedTuple):
    """A domain, and for each of its steps the element or ``REJECTED``."""

    domain: Domain[Any]
    steps: list[Any]

    @property
    def elements(self) -> list[Any]:
        return [element for element in self.steps if element is not REJECTED]


def _digest(element: object) -> int:
    """A number that depends on the whole element: the same in every process, and for equal elements."""
    if isinstance(element, tuple):
        return 3 + sum(place * _digest(item) for place, item in enumerate(element, 2))
    if isinstance(element, int):
        return abs(element) + 11 * (element < 0)
    return sum(map(ord, str(element)))


def is_mostly(element: object) -> bool:
    return _digest(element) % 5 != 0


def is_seldom(element: object) -> bool:
    return _digest(element) % 5 == 0


def is_never(element: object) -> bool:
    return False


def is_always(element: object) -> bool:
    return True


def tagged(element: object) -> tuple[str, object]:
    return ("tag", element)


def folded(element: object) -> int:
    """Not injective: many elements become one."""
    return _digest(element) % 4


def _combined(parts: list[list[Any]]) -> list[Any]:
    return [REJECTED if any(item is REJECTED for item in items) else items for items in product(*parts)]


def leaves(max_size: int) -> st.SearchStrategy[Modelled]:
    """Domains that are not made of others, with at most so many steps."""
    few = min(max_size, 9)
    ranges = st.builds(
        lambda start, size, step: (hd.Range(start, start + size * step, step), range(size), start, step),
        st.integers(-20, 20),
        st.integers(0, few),
        st.sampled_from([1, 1, 2, 5, -1, -3]),
    ).map(lambda made: Modelled(made[0], [made[2] + i * made[3] for i in made[1]]))
    scalars = st.sampled_from([None, "a", "bc", -3, 0, 1, (), (1, "x"), (2,)])
    values = st.lists(scalars, max_size=few).map(lambda items: Modelled(hd.Values(items), items))
    usets = st.integers(0, few).map(lambda size: hd.USet(size, "u")).map(lambda d: Modelled(d, list(d)))
    kinds = [ranges, values, usets, st.just(Modelled(hd.NoneDomain(), [None]))]
    if max_size >= 2:
        kinds.append(st.just(Modelled(hd.Boolean(), [False, True])))
    return st.one_of(kinds)


@st.composite
def _products(draw: st.DrawFn, max_size: int, depth: int) -> Modelled:
    parts: list[Modelled] = []
    room = max_size
    for _ in range(draw(st.integers(0, 3))):
        parts.append(draw(modelled(room, depth)))
        room //= max(1, len(parts[-1].steps))
    domains = [part.domain for part in parts]
    steps = _combined([part.steps for part in parts])
    if draw(st.integers(0, 4)) == 0:
        return Modelled(hd.NamedProduct([(f"f{i}", d) for i, d in enumerate(domains)]), steps)
    if len(domains) == 2 and type(domains[0]) is not hd.Product:
        return Modelled(domains[0] * domains[1], steps)
    return Modelled(hd.Product(domains), steps)


@st.composite
def _sequences(draw: st.DrawFn, max_size: int, depth: int) -> Modelled:
    part = draw(modelled(max_size, depth))
    shortest = draw(st.integers(0, 3))
    if len(part.steps) ** shortest > max_size:
        shortest = 1
    lengths = [shortest]
    steps = _combined([part.steps] * shortest)
    for length in range(shortest + 1, shortest + draw(st.integers(1, 3))):
        if len(steps) + len(part.steps) ** length > max_size:
            break
        lengths.append(length)
        steps += _combined([part.steps] * length)
    if len(lengths) == 1 and draw(st.booleans()):
        return Modelled(part.domain**shortest, steps)
    return Modelled(hd.Sequences(part.domain, lengths[0], lengths[-1]), steps)


@st.composite
def _joins(draw: st.DrawFn, max_size: int, depth: int) -> Modelled:
    count = draw(st.integers(0, 3))
    parts = [draw(modelled(max_size // count, depth)) for _ in range(count)]
    steps = [element for part in parts for element in part.steps]
    domains = [part.domain for part in parts]
    # Only a part that has an element can be drawn from.
    full = [bool(part.elements) for part in parts]
    if any(full) and draw(st.integers(0, 3)) == 0:
        ratios = [draw(st.sampled_from([1, 2, 0.25])) if one else 0 for one in full]
        return Modelled(hd.Join(domains, ratios=ratios), steps)
    if count == 2:
        return Modelled(domains[0] + domains[1], steps)
    return Modelled(hd.Join(domains), steps)


@st.composite
def _transformed(draw: st.DrawFn, max_size: int, depth: int) -> Modelled:
    domain, steps = draw(modelled(max_size, depth))
    kind = draw(st.sampled_from(["map", "filter", "filter", "slice"]))
    if kind == "map":
        function = draw(st.sampled_from([tagged, folded]))
        return Modelled(domain.map(function), [x if x is REJECTED else function(x) for x in steps])
    if kind == "filter":
        test = draw(st.sampled_from([is_mostly, is_mostly, is_seldom, is_always, is_never]))
        return Modelled(
            domain.filter(test), [x if x is not REJECTED and test(x) else REJECTED for x in steps]
        )
    cut = draw(st.slices(len(steps)))
    return Modelled(domain[cut], steps[cut])


_SELECTIONS: list[Callable[[Domain[Any]], Domain[Any]]] = [
    hd.Permutations,
    hd.Subsets,
    lambda d: hd.Subsets(d, 2),
    lambda d: hd.Subsets(d, 1, 3, set_class=tuple),
    lambda d: hd.Mappings(d if d._distinct else hd.Range(3), hd.Range(2)),
    lambda d: hd.Mappings(hd.Range(2), d),
    lambda d: hd.UnorderedProduct((d, d)),
]


@st.composite
def _selected(draw: st.DrawFn, max_size: int, depth: int) -> Modelled:
    """Domains with tests of their own: their model is what they say of each single step."""
    part = draw(modelled(min(max_size, 6), depth)).domain
    make: Callable[[Domain[Any]], Domain[Any]] = draw(st.sampled_from(_SELECTIONS))
    domain = make(part)
    size = domain.size
    assume(size is not None and size <= max_size)
    return Modelled(domain, [_at(domain, step) for step in range(size or 0)])


def _at(domain: Domain[Any], step: int) -> Any:
    try:
        return domain[step]
    except SkippedStepError:
        return REJECTED


def modelled(max_size: int = 300, depth: int = 3) -> st.SearchStrategy[Modelled]:
    """Domains nested up to ``depth`` levels, with at most ``max_size`` steps, and their models."""
    if depth == 0:
        return leaves(max_size)
    return st.deferred(
        lambda: st.one_of(
            leaves(max_size),
            _products(max_size, depth - 1),
            _products(max_size, depth - 1),
            _sequences(max_size, depth - 1),
            _joins(max_size, depth - 1),
            _transformed(max_size, depth - 1),
            _transformed(max_size, depth - 1),
            _selected(max_size, depth - 1),
        )
    )


def domains(max_size: int = 300, depth: int = 3) -> st.SearchStrategy[Domain[Any]]:
    """Nested domains with at most ``max_size`` steps."""
    return modelled(max_size, depth).map(lambda made: made.domain)


def large_domains() -> st.SearchStrategy[Domain[Any]]:
    """Nested domains of up to thousands of digits, whose ``index`` need not search."""
    leaf: st.SearchStrategy[Domain[Any]] = st.one_of(
        st.sampled_from([2, 7, 10**5, 2**32, 2**64 + 1, 10**30]).map(hd.Range),
        st.just(hd.Range(10**40, -(10**40), -7)),
        st.just(hd.Boolean()),
        st.just(hd.Range(10_000).filter(is_mostly)),
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda two: two[0] * two[1]),
            st.tuples(inner, inner).map(lambda two: two[0] + two[1]),
            st.lists(inner, min_size=1, max_size=3).map(hd.Product),
            st.tuples(inner, st.integers(1, 12)).map(lambda two: hd.Sequences(two[0], 1, two[1])),
            st.tuples(inner, st.integers(1, 12)).map(lambda two: two[0] ** two[1]),
            st.tuples(inner, st.integers(1, 9)).map(lambda two: two[0][:: two[1]]),
        ),
        max_leaves=6,
    ).filter(lambda domain: domain._width <= 120)  # sequences of sequences of sequences take their time


def rngs() -> st.SearchStrategy[random.Random]:
    """Generators of random numbers that can be shown, and made again, by their seed."""
    return st.integers(0, 2**32).map(random.Random)
