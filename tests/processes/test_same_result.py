"""The promise: a pipeline has the same result on workers as in this process."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import haydi as hd
from tests.strategies import domains

R = hd.Range(1000)
PAIRS = hd.Range(30) * hd.Range(30)


def bump(e: Any) -> Any:
    return e._replace(a=e.a + 1)


PIPELINES: dict[str, hd.Pipeline[Any, Any]] = {
    "collect": R.map(lambda x: x + 1).collect(),
    "domain": hd.Range(17).iterate(),
    "empty": hd.Range(0).iterate(),
    "filter": R.filter(lambda x: x % 7 == 3).collect(),
    "take": R.filter(lambda x: x % 7 == 3).take(10),
    "take of all": R.take(5).map(lambda x: -x),
    "take, filter, take": R.filter(lambda x: x % 2).take(50).filter(lambda x: x % 3 == 0).take(4).sum(),
    "take 0": R.filter(lambda x: x > 5).take(0).count(),
    "first": R.filter(lambda x: x > 500).first(),
    "first of none": R.filter(lambda x: x > 5000).first("none"),
    "count": R.count(),
    "count filtered": PAIRS.filter(lambda p: p[0] < p[1]).count(),
    "sum": R.map(lambda x: x * x).sum(),
    "sum of floats": R.map(lambda x: 0.1 * x).sum(),
    "sum of both": R.map(lambda x: x if x % 3 else x / 7).sum(),
    "reduce": R.reduce(lambda a, b: a + b, 5),
    "reduce in order": R.reduce(lambda a, b: (a * 31 + b) % 1000003, 7, associative=False),
    "concatenation": R.map(str).reduce(lambda a, b: a + b),
    "max": PAIRS.max(lambda p: p[0] * p[1] % 11),
    "max with size": PAIRS.max(lambda p: p[0] * p[1] % 11, size=3),
    "min": PAIRS.min(lambda p: (p[0] * p[1] + 5) % 13, size=4),
    "max of itself": hd.Permutations(hd.Range(5)).max(),
    "groups": R.groups(lambda x: x % 17, limit=3),
    "groups_counts": R.groups_counts(lambda x: x % 5, limit=2),
    "frequencies": PAIRS.frequencies(lambda p: (p[0] + p[1]) % 9),
    "generate": hd.Subsets(hd.Range(20)).generate(200, seed=11),
    "generate filtered": R.filter(lambda x: x % 5 == 0).generate(50, seed="five"),
    "endless": R.generate(seed=3).filter(lambda x: x % 97 == 5).take(6),
    "huge": hd.Range(10**40).filter(lambda x: x % 1009 == 1000).take(5),
    "huge count": hd.Subsets(hd.Range(300)).count(),
    "Set and Map": hd.Mappings(hd.Range(3), hd.Subsets(hd.Range(3))).map(lambda m: m[1]).frequencies(),
    "named": hd.NamedProduct([("a", hd.Range(9)), ("b", hd.Boolean())]).map(bump).collect(),
    "representatives": hd.Subsets(hd.Subsets(hd.USet(6, "n"), 2)).cnfs(),
    "sizes of classes": hd.Subsets(hd.USet(3, "n") * hd.USet(3, "n")).cnfs(with_orbit_size=True),
    "number of classes": hd.Mappings(hd.USet(4, "n") * hd.USet(2, "l"), hd.USet(4, "n")).cnfs().count(),
    "filtered classes": hd.Sequences(hd.USet(5, "n"), 0, 5).filter(len, strict=True).cnfs().take(40),
    "part of the classes": hd.Subsets(hd.USet(3, "n") * hd.USet(3, "n")).cnfs(part=(1, 3)).map(len),
    "atoms": hd.Subsets(hd.USet(6, "node"), 3).collect(),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_result_is_that_of_the_serial_run(ctx: hd.DistributedContext, name: str) -> None:
    pipeline = PIPELINES[name]
    expected = pipeline.run()
    result = pipeline.run(ctx)
    assert result == expected
    assert type(result) is type(expected)
    assert repr(result) == repr(expected)  # order too, also of dicts
    report = ctx.last_report
    assert report is not None
    assert report.state == "done"


def test_coverage_of_a_whole_run_is_all_steps(ctx: hd.DistributedContext) -> None:
    R.sum().run(ctx)
    assert ctx.last_report is not None
    assert ctx.last_report.coverage == [(0, 1000)]
    assert ctx.last_report.steps_done == ctx.last_report.steps == 1000


def test_uneven_costs_do_not_change_the_order(ctx: hd.DistributedContext) -> None:
    def slow(x: int) -> int:
        return sum(range(x % 97 * 50)) * 0 + x

    assert hd.Range(5000).map(slow).run(ctx) == list(range(5000))


def test_a_fresh_seed_is_told_and_gives_the_draws_again(ctx: hd.DistributedContext) -> None:
    draws = R.generate(100).run(ctx)
    assert ctx.last_report is not None
    seed = ctx.last_report.seed
    assert R.generate(100, seed=seed).run() == draws
    assert draws != R.generate(100).run(ctx)


@settings(max_examples=40)
@given(domains(max_size=300), st.integers(0, 2**32))
def test_random_domains(ctx: hd.DistributedContext, domain: hd.Domain[object], seed: int) -> None:
    assert domain.run(ctx) == list(domain)
    limit = random.Random(seed).randrange(1, 20)
    pipeline = domain.iterate().map(repr).filter(lambda text: len(text) % 3 != seed % 3).take(limit)
    assert pipeline.run(ctx) == pipeline.run()
