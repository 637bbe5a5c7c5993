"""The one law of actions, and each action against plain Python."""

from __future__ import annotations

import copy
import functools
import math
import operator
from collections import Counter
from fractions import Fraction
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

import haydi as hd
from haydi import actions
from haydi.pipeline import Filter, Map, Take
from haydi.taken import Taken

INTS = st.lists(st.integers(-30, 30), max_size=40)
FLOATS = st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), max_size=30)


def mod5(x: int) -> int | None:
    return None if x % 5 == 4 else x % 5


ACTIONS: dict[str, actions.Action[Any, Any, Any]] = {
    "collect": actions.Collect(),
    "first": actions.First("default"),
    "count": actions.Count(),
    "sum": actions.Sum(),
    "reduce": actions.Reduce(lambda a, b: a + b, 3),
    "ordered": actions.OrderedReduce(lambda a, b: 2 * a - b, 3),
    "max": actions.Max(abs),
    "max size": actions.Max(lambda x: x % 4, 2),
    "max itself": actions.Max(),
    "min": actions.Min(lambda x: x % 7),
    "min size": actions.Min(None, 1),
    "groups": actions.Groups(mod5),
    "groups limit": actions.Groups(mod5, 2),
    "groups_counts": actions.GroupsCounts(mod5, 1),
    "groups_counts 0": actions.GroupsCounts(mod5, 0),
    "frequencies": actions.Frequencies(mod5),
    "frequencies of elements": actions.Frequencies(),
    "taken": Taken(4, (Map(abs),), actions.Collect()),
    "taken deep": Taken(7, (Filter(lambda x: x % 3), Take(4), Map(lambda x: x + 1), Take(3)), actions.Sum()),
    "taken first": Taken(5, (Filter(lambda x: x % 2),), actions.First()),
}


def fold(action: actions.Action[Any, Any, Any], values: list[Any]) -> Any:
    try:
        return action.fold_all(action.init(), iter(values))
    except actions.FoldAgain:
        return action.fold_again(action.init(), iter(values))


@pytest.mark.parametrize("name", ACTIONS)
@given(st.lists(INTS, max_size=6))
def test_any_cut_gives_the_same_result(name: str, pieces: list[list[int]]) -> None:
    action = ACTIONS[name]
    whole = action.finish(fold(action, [x for piece in pieces for x in piece]))
    partials = [fold(action, piece) for piece in pieces]
    left = functools.reduce(action.merge, copy.deepcopy(partials), action.init())
    right = action.init()
    for partial in reversed(copy.deepcopy(partials)):
        right = action.merge(partial, right)
    for merged in (left, right):
        assert repr(action.finish(merged)) == repr(whole)


@pytest.mark.parametrize("name", ACTIONS)
@given(INTS)
def test_element_by_element_is_the_same(name: str, values: list[int]) -> None:
    action = ACTIONS[name]
    partial = action.init()
    for value in values:
        partial = action.fold(partial, value)
    assert repr(action.finish(partial)) == repr(action.finish(fold(action, values)))


@pytest.mark.parametrize("name", ACTIONS)
@given(INTS, INTS)
def test_final_means_final(name: str, values: list[int], more: list[int]) -> None:
    action = ACTIONS[name]
    partial = fold(action, values)
    if action.is_final(partial):
        assert action.early
        before = repr(action.finish(partial))
        assert repr(action.finish(action.merge(partial, fold(action, more)))) == before


@pytest.mark.parametrize("name", ACTIONS)
@given(INTS)
def test_looking_at_a_result_changes_nothing(name: str, values: list[int]) -> None:
    action = ACTIONS[name]
    partial = fold(action, values)
    once = repr(action.finish(partial))
    result = action.finish(partial)
    if isinstance(result, list):
        result.append("graffiti")
    elif isinstance(result, dict) and name not in (
        "groups",
        "groups limit",
        "groups_counts",
        "groups_counts 0",
    ):
        result["graffiti"] = 1
    if name != "collect":
        assert repr(action.finish(partial)) == once


@given(INTS)
def test_against_plain_python(values: list[int]) -> None:
    def run(action: actions.Action[Any, Any, Any]) -> Any:
        return action.finish(fold(action, values))

    assert run(actions.Sum()) == sum(values)
    assert run(actions.Count()) == len(values)
    assert run(actions.First(None)) == (values[0] if values else None)
    assert run(actions.Frequencies(abs)) == Counter(map(abs, values))
    best = max(map(abs, values), default=None)
    assert run(actions.Max(abs)) == [x for x in values if abs(x) == best]
    assert run(actions.Max(abs, 2)) == [x for x in values if abs(x) == best][:2]
    least = min(values, default=None)
    assert run(actions.Min()) == [x for x in values if x == least]
    groups: dict[Any, list[int]] = {}
    for x in values:
        if mod5(x) is not None:
            groups.setdefault(mod5(x), []).append(x)
    assert run(actions.Groups(mod5, 3)) == {k: g[:3] for k, g in groups.items()}
    assert run(actions.GroupsCounts(mod5, 2)) == {k: [len(g), *g[:2]] for k, g in groups.items()}


@given(st.lists(FLOATS, max_size=5))
def test_floats_are_summed_exactly_whatever_the_cut(pieces: list[list[float]]) -> None:
    flat = [x for piece in pieces for x in piece]
    try:
        expected = math.fsum(flat)
    except OverflowError:
        return
    action = actions.Sum()
    merged = functools.reduce(action.merge, (fold(action, piece) for piece in pieces), action.init())
    assert action.finish(merged) == expected


@given(st.lists(st.one_of(st.integers(-(2**80), 2**80), st.floats(-1e20, 1e20)), max_size=30))
def test_ints_and_floats_together_are_rounded_once(values: list[Any]) -> None:
    result = actions.Sum().finish(fold(actions.Sum(), values))
    exact = sum(map(Fraction, values), Fraction())
    if any(isinstance(x, float) for x in values):
        assert abs(Fraction(result) - exact) <= abs(exact) / 2**52 + Fraction(1, 10**300)
    else:
        assert result == exact


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([math.inf, 1.0], math.inf),
        ([1e308, 1e308], math.inf),
        ([Fraction(1, 3), Fraction(2, 3)], Fraction(1)),
        ([1, 0.5, Fraction(1, 2)], 2.0),
        ([True, True], 2),
        ([1 + 2j, 0.5], 1.5 + 2j),
        ([], 0),
    ],
)
def test_sums_of_other_kinds(values: list[Any], expected: Any) -> None:
    for cut in range(len(values) + 1):
        action = actions.Sum()
        merged = action.merge(fold(action, values[:cut]), fold(action, values[cut:]))
        assert action.finish(merged) == expected


def test_sum_of_what_is_not_a_number() -> None:
    with pytest.raises(TypeError):
        hd.Values(["a", "b"]).sum().run()
    assert math.isnan(actions.Sum().finish(fold(actions.Sum(), [math.inf, -math.inf])))


class TestReduce:
    def test_init_goes_in_once_at_the_left(self) -> None:
        assert hd.Range(4).map(str).reduce(lambda a, b: a + b, ">").run() == ">0123"

    def test_no_elements(self) -> None:
        assert hd.Range(0).reduce(lambda a, b: a + b, 7).run() == 7
        for associative in (True, False):
            with pytest.raises(ValueError, match="init="):
                hd.Range(0).reduce(lambda a, b: a + b, associative=associative).run()

    @pytest.mark.parametrize(
        "fn",
        [lambda n, x: n + 1, lambda a, b: a - b, lambda a, b: 2 * a + b],
        ids=["count", "minus", "horner"],
    )
    def test_function_that_is_not_associative_is_refused_with_the_remedy(self, fn: Any) -> None:
        with pytest.raises(ValueError, match="associative=False"):
            hd.Range(10).reduce(fn, 0).run()
        assert hd.Range(10).reduce(fn, 0, associative=False).run() == functools.reduce(fn, range(10), 0)

    def test_floating_point_addition_passes(self) -> None:
        total = hd.Range(100).map(lambda x: x * 0.1).reduce(lambda a, b: a + b).run()
        assert total == pytest.approx(495.0)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda p: p.max(size=0), "size=0"),
        (lambda p: p.max(size="2"), "size='2'"),
        (lambda p: p.max(5), "key=5"),
        (lambda p: p.groups(None), "key=None"),
        (lambda p: p.groups(abs, limit=0), "limit=0"),
        (lambda p: p.groups_counts(abs, limit=-1), "limit=-1"),
        (lambda p: p.take(-1), "n=-1"),
        (lambda p: p.take(True), "n=True"),
        (lambda p: p.map(3), "fn=3"),
        (lambda p: p.filter("x"), "fn='x'"),
        (lambda p: p.reduce(1), "fn=1"),
        (lambda p: p.frequencies(1), "key=1"),
        (lambda p: p.action(3), "action=3"),
        (lambda p: p.run(timeout=-1), "timeout=-1"),
        (lambda p: p.run(timeout="1"), "timeout='1'"),
        (lambda p: p.run(timeout=math.nan), "timeout=nan"),
        (lambda p: hd.Range(3).generate(-1), "count=-1"),
        (lambda p: hd.Range(3).generate(3, seed=cast(Any, 1.5)), "seed=1.5"),
        (lambda p: hd.session.set_parallel_context(cast(Any, 3)), "ctx=3"),
        (lambda p: hd.SerialContext().run(cast(Any, 3)), "pipeline=3"),
    ],
)
def test_bad_arguments_are_named_at_the_call(call: Any, text: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        call(hd.Range(3).iterate())
    assert text in str(caught.value)
    assert isinstance(caught.value, hd.UsageError)


@pytest.mark.parametrize("associative", [True, False])
def test_reduce_with_a_function_that_changes_its_first_argument(associative: bool) -> None:
    lists = hd.Range(200).map(lambda x: [x])
    assert lists.reduce(operator.iadd, associative=associative).run() == list(range(200))
    counters = hd.Range(20).map(lambda x: Counter([x % 3]))
    merged = counters.reduce(lambda a, b: a.update(b) or a, associative=associative).run()
    assert merged == Counter(x % 3 for x in range(20))


@pytest.mark.parametrize("associative", [True, False])
def test_reduce_changes_neither_its_init_nor_the_domain(associative: bool) -> None:
    values = [[0], [1], [2], [3]]
    inits: list[Any] = [actions.MISSING, []]
    for init in inits:
        pipeline = hd.Values(values).reduce(operator.iadd, init, associative=associative)
        assert [pipeline.run(), pipeline.run()] == [[0, 1, 2, 3]] * 2
    assert values == [[0], [1], [2], [3]]


NAN = math.nan


@pytest.mark.parametrize("values", [[1.0, NAN, 3.0, NAN, 2.0], [NAN, 1.0, 3.0], [NAN], [NAN, NAN, -1.0]])
def test_keys_that_are_nan_are_left_out_however_the_steps_are_cut(values: list[float]) -> None:
    numbers = [x for x in values if x == x]
    for action, best in ((actions.Max[float](), max), (actions.Min[float](), min)):
        for cut in range(len(values) + 1):
            left = action.fold_all(action.init(), iter(values[:cut]))
            right = action.fold_all(action.init(), iter(values[cut:]))
            assert action.finish(action.merge(left, right)) == ([best(numbers)] if numbers else [])


@pytest.mark.parametrize(
    ("values", "total"),
    [
        ([math.inf, 1.0, 1e308, 1e308], math.inf),
        ([1e308, 1e308, -math.inf], -math.inf),
        ([0.5, 10**400, -(10**400), 7], 7.5),
        ([10**400, 0.5, -(10**400)], 0.5),
        ([10**400, math.inf], math.inf),
    ],
)
def test_sums_beyond_the_range_of_floats(values: list[float], total: float) -> None:
    assert hd.Values(values).sum().run() == total
