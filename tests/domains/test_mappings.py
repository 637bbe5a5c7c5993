from __future__ import annotations

import pickle
import random
from itertools import islice, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import haydi.domains as hd
from haydi.basic import Map, compare
from haydi.domains.mappings import Mappings
from haydi.errors import ArgumentTypeError, ArgumentValueError, SkippedStepError, UnknownSizeError
from haydi.testing import check_domain
from tests.strategies import REJECTED, modelled


class Unsized(hd.Domain[int]):
    def _iterate(self):
        return iter((1, 2))


def test_documented_order():
    domain = Mappings(hd.Range(2), hd.Values("ab"))
    assert [m.values() for m in domain] == [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")]
    backwards = Mappings(hd.Range(1, -1, -1), hd.Values("ab"))
    assert list(backwards) == [Map({1: x, 0: y}) for x in "ab" for y in "ab"]
    assert backwards[1].items() == ((0, "b"), (1, "a"))


@settings(max_examples=150)
@given(modelled(4), modelled(4), st.data())
def test_agrees_with_its_model(keys, values, data):
    domain = Mappings(keys.domain, values.domain, map_class=tuple)
    steps = [
        tuple(zip(keys.elements, v, strict=True)) for v in product(values.steps, repeat=len(keys.elements))
    ]
    assert domain.size == len(steps)
    start = data.draw(st.integers(0, len(steps)))
    stop = data.draw(st.integers(start, len(steps)))
    expected = [m for m in steps[start:stop] if all(value is not REJECTED for _, value in m)]
    assert list(domain.elements(start, stop)) == expected
    check_domain(domain, max_elements=20, seed=start)


@settings(max_examples=100)
@given(modelled(4), modelled(4))
def test_maps_are_sorted_whatever_the_order_of_the_keys(keys, values):
    distinct = [x for i, x in enumerate(keys.elements) if x not in keys.elements[:i]]
    domain = Mappings(hd.Values(distinct), values.domain)
    expected = (
        Map(zip(distinct, vector, strict=True)) for vector in product(values.elements, repeat=len(distinct))
    )
    for found, wanted in zip(domain, expected, strict=True):
        assert found == wanted
        assert all(compare(a, b) < 0 for a, b in zip(found, islice(found, 1, None), strict=False))
    check_domain(domain, max_elements=20)


@pytest.mark.parametrize(
    "domain",
    [
        Mappings(hd.Range(5) * hd.Range(2), hd.Range(5)),
        Mappings(hd.Range(100), hd.Range(10**6)),
        Mappings(hd.USet(40, "a"), hd.USet(3, "b") + hd.NoneDomain(), name="partial"),
        Mappings(hd.Values("zay"), hd.Boolean()),
        Mappings(hd.Range(9).filter(lambda x: x % 2), hd.Range(3)),
        Mappings(hd.Range(5), hd.Range(9).filter(lambda x: x % 4 == 1)),
        Mappings(hd.Range(0), hd.Range(3)),
        Mappings(hd.Range(3), hd.Range(0)),
        Mappings(hd.Range(1), hd.Range(3)),
        Mappings(hd.Values([0, False, True]), hd.Values([1, True])),
        Mappings(hd.Range(3), Mappings(hd.Range(2), hd.Range(2))),
        Mappings(hd.Range(4), hd.Range(3), map_class=dict),
        Mappings(hd.Range(2), hd.Range(3), map_class=lambda pairs: sum(v for _, v in pairs)),
    ],
    ids=repr,
)
def test_contract(domain):
    check_domain(domain, uniform=True)


def test_starts_at_any_of_many_steps():
    domain = Mappings(hd.Range(100), hd.Range(1000))
    assert domain.size == 1000**100
    step = random.Random(1).randrange(domain.size)
    near = list(islice(domain.elements(step), 2000))
    assert near[1999] == domain[step + 1999]
    assert domain.index(near[-1]) == step + 1999


def test_maps_share_their_keys():
    one, other = islice(Mappings(hd.Range(3), hd.Range(3)), 2)
    assert one.keys() is other.keys()
    many = list(Mappings(hd.Values([f"a long name, {i}" for i in range(30)]), hd.Range(2)).elements(0, 500))
    assert len(pickle.dumps(many)) < 500 * 120


def test_a_filter_of_keys_is_applied_at_once_and_leaves_no_gaps():
    domain = Mappings(hd.Range(10).filter(lambda x: x % 3 == 0), hd.Boolean())
    assert domain.size == 2**4
    assert not domain.filtered
    assert domain[0].keys() == (0, 3, 6, 9)
    strict = Mappings(
        (hd.USet(2, "a") * hd.USet(2, "a")).filter(lambda p: p[0] != p[1], strict=True), hd.Boolean()
    )
    assert strict.strict
    assert strict.size == 4


def test_a_filter_of_values_rejects_steps():
    domain = Mappings(hd.Range(3), hd.Range(5).filter(lambda x: x > 2))
    assert domain.filtered
    assert domain.size == 5**3
    assert len(list(domain)) == 2**3
    with pytest.raises(SkippedStepError):
        domain[0]


def test_index():
    domain = Mappings(hd.Range(2), hd.Range(3))
    assert all(domain.index(m) == step for step, m in enumerate(domain))
    strangers = [Map(), Map({0: 0}), Map({0: 0, 1: 9}), Map({0: 0, 2: 0}), Map({0: 0, 1: 1, 2: 2})]
    for stranger in [*strangers, {0: 0, 1: 0}, 5, [], Map({0: False, 1: 0}), Map({False: 0, 1: 0})]:
        assert stranger not in domain
        with pytest.raises(ValueError, match="is not in <Mappings"):
            domain.index(stranger)
    assert {0: 0, 1: 2} in Mappings(hd.Range(2), hd.Range(3), map_class=dict)


def test_map_class():
    domain = Mappings(hd.Values("ba"), hd.Range(2), map_class=list)
    assert domain[1] == [("b", 0), ("a", 1)]
    assert list(Mappings(hd.Values([1.5]), hd.Range(2), map_class=dict)) == [{1.5: 0}, {1.5: 1}]
    with pytest.raises(ArgumentTypeError, match=r"float objects have no place .*map_class="):
        list(Mappings(hd.Values([1.5]), hd.Range(2)))


def test_attributes():
    keys, values = hd.USet(2, "a"), hd.Range(2)
    domain = Mappings(keys, values, name="m")
    assert (domain.key_domain, domain.value_domain, domain.map_class, domain.name) == (keys, values, Map, "m")
    assert domain.strict
    assert not Mappings(keys, values, map_class=dict).strict
    assert not Mappings(keys, hd.Values("a")).strict
    assert repr(Mappings(hd.Range(1), values)) == "<Mappings size=2 {{0: 0}, {0: 1}}>"


def test_repr_calls_no_function_of_the_user():
    calls: list[object] = []
    mapped = hd.Range(3).map(calls.append)
    for domain in (
        Mappings(mapped, hd.Range(2)),
        Mappings(hd.Range(2), mapped),
        Mappings(hd.Range(2), hd.Range(2), map_class=calls.append),
    ):
        assert "Mappings" in repr(domain)
    assert not calls


def test_to_values():
    domain = Mappings(hd.Range(2), hd.Range(3).filter(lambda x: x != 1))
    assert list(domain.to_values()) == list(domain)
    parts = Mappings(hd.Range(10), hd.Range(3).map(str)).to_values(max_size=5)
    assert isinstance(parts, Mappings)
    assert isinstance(parts.value_domain, hd.Values)
    assert parts[-1] == Map(dict.fromkeys(range(10), "2"))


def test_wrong_arguments():
    with pytest.raises(ArgumentTypeError, match="values must be a domain, not 5; use Range"):
        Mappings(hd.Range(2), 5)  # type: ignore[call-overload]
    with pytest.raises(ArgumentTypeError, match="map_class must be a function"):
        Mappings(hd.Range(2), hd.Range(2), map_class=5)  # type: ignore[call-overload]
    with pytest.raises(UnknownSizeError, match=r"Mappings needs a keys of known size|keys"):
        Mappings(Unsized(), hd.Range(2))
    with pytest.raises(UnknownSizeError, match="values"):
        Mappings(hd.Range(2), Unsized())
    with pytest.raises(ArgumentValueError, match=r"keys has 100000000 elements.*at most 1048576"):
        Mappings(hd.Range(10**8), hd.Range(2))
    with pytest.raises(ArgumentValueError, match="keys has equal elements"):
        list(Mappings(hd.Values("aa"), hd.Range(2)))
