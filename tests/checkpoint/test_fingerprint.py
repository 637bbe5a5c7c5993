"""What a pipeline is survives the start of another process, and a change of it has a name."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import haydi as hd
from haydi.checkpoint.fingerprint import digest
from haydi.checkpoint.identity import differences, identity_of
from tests.processes.conftest import ROOT

SCRIPT = '''
import dataclasses, enum, functools, math, re
from fractions import Fraction
import haydi as hd
from haydi.checkpoint.identity import identity_of

class Colour(enum.Enum):
    RED = 1
    BLUE = 2

@dataclasses.dataclass(frozen=True)
class Point:
    x: int = 1
    def __matmul__(self, other):
        return self.x * other.x

class Node:
    """Refers to itself, and to others through a set."""
    def __init__(self):
        self.friends, self.names = [self], {"a", "b", "cc", "ddd"}

nodes = [Node() for _ in range(4)]
for a in nodes:
    a.friends += nodes
WORDS = {"one", "two", "three", "four"}
TABLE = {("p", 1): WORDS, None: {"q"}, "s": frozenset("stu")}
LINES = [(i, str(i)) for i in range(100)]
PATTERN = re.compile("[a-z]+")

def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n != 0 and even(n - 1)

@functools.cache
def remembered(x, nodes=nodes):
    return even(x), Point(2) @ Point(3), Colour.RED, x in WORDS, TABLE, PATTERN, LINES, math.sqrt(4), Fraction(1, 3)

def scaled(factor):
    def inner(x):
        return inner and x in {"u", "v", "w"} and x * factor
    return inner

u = hd.USet(4, "n")
for pipeline in [
    hd.Range(10).map(remembered).max(lambda x: x, size=3),
    hd.Subsets(u, 2).cnfs().groups(len, limit=4),
    hd.Values(["a", "b", object()]).map(scaled(3)).collect(),
    hd.NamedProduct([("a", hd.Range(3)), ("b", hd.Boolean())]).generate(5).frequencies(scaled),
    hd.Mappings(u, hd.Range(2)).iterate().take(5).filter(even).first(functools.partial(odd, 3)),
]:
    repr(pipeline), list(pipeline.domain.iterate().take(3).run())  # fills what is computed once
    for part in identity_of(pipeline, 7).parts:
        print(part.name, part.text, part.hash, part.details)
'''


def test_it_is_the_same_in_each_process(tmp_path: Path) -> None:
    script = tmp_path / "pipelines.py"
    script.write_text(SCRIPT)
    outputs = set()
    for seed in ("0", "1", "77", "random"):
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
        run = subprocess.run(
            [sys.executable, str(script)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        outputs.add(run.stdout)
    assert len(outputs) == 1
    assert len(outputs.pop().splitlines()) == 30


def load(source: str) -> dict[str, Any]:
    """Run source as a module of the user would be."""
    names: dict[str, Any] = {"__name__": "users_module"}
    exec(textwrap.dedent(source), names)
    return names


BASE = """
def helper(x):
    return x + 1
LIMIT = 5
class Rule:
    bound = 3
    def holds(self, x):
        return x < self.bound
def f(x, rule=Rule()):
    'Some words.'
    return helper(x) > LIMIT and rule.holds(x)
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x + 1", "x + 2"),
        ("LIMIT = 5", "LIMIT = 6"),
        ("bound = 3", "bound = 4"),
        ("x < self.bound", "x <= self.bound"),
        ("helper(x) >", "helper(x) >="),
        ("x + 1", "x + 1.0"),
        ("x + 1", "x + True"),
        ("rule=Rule()", "rule=None"),
    ],
)
def test_what_changes_the_meaning_changes_the_hash(old: str, new: str) -> None:
    assert digest(load(BASE)["f"]) != digest(load(BASE.replace(old, new))["f"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("'Some words.'", "'Other words.'"),
        ("    return x + 1", "\n\n    # why\n    return x + 1"),
        ("def helper", "def unused(): pass\ndef helper"),
        ("LIMIT = 5", "LIMIT, UNUSED = 2 + 3, 8"),
    ],
)
def test_what_does_not_change_the_meaning_does_not_change_the_hash(old: str, new: str) -> None:
    assert digest(load(BASE)["f"]) == digest(load(BASE.replace(old, new))["f"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        ("1", b"1"),
        ((1, 2), [1, 2]),
        ([1, [2]], [[1], 2]),
        (["ab", "c"], ["a", "bc"]),
        ({1: 2}, {1: 3}),
        ({1}, {2}),
        (10**5000, 10**5000 + 1),
        (-1, 255),
        (Fraction(1, 3), Fraction(1, 4)),
        (list(range(100)), [*range(99), 100]),
        ([(i, "a") for i in range(100)], [(i, "b") for i in range(100)]),
        (lambda x: x, lambda x: -x),
        (hd.Range(5), hd.Range(6)),
        (hd.Range(5).map(lambda x: x), hd.Range(5).map(lambda x: x + 0)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_different_values_differ(one: object, other: object) -> None:
    assert digest(one) != digest(other)


def test_equal_values_are_the_same_whatever_they_share() -> None:
    text = "".join(["sha", "red"])
    pair = (text, text)
    assert digest([pair, pair]) == digest([("shared", "shared"), ("sha" + "red", "shared")])
    names = [text + str(i) for i in range(50)]
    assert digest(names + names) == digest([f"shared{i}" for i in range(50)] * 2)


def test_objects_that_refer_to_each_other_in_all_ways_take_linear_time() -> None:
    class Node:
        def __init__(self) -> None:
            self.others: list[Node] = []

    nodes = [Node() for _ in range(60)]
    for node in nodes:
        node.others = nodes
    assert digest(nodes[0]) == digest(nodes[0])


def named(value: int) -> int:
    return value


def other(value: int) -> int:
    return -value


R = hd.Range(9)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (R.max(size=1), R.max(size=2), "the action was max(size=1), now it is max(size=2)"),
        (R.sum(), R.count(), "the action was sum(), now it is count()"),
        (R.map(named).sum(), R.map(other).sum(), "the transformations were map(named), now they are map(other)"),
        (R.map(named).sum(), R.sum(), "the transformations were map(named), now they are none"),
        (R.iterate(), hd.Range(8).iterate(), "the domain was <Range size=9 {0, 1, 2, ...}>, now it is <Range size=8"),
        (R.generate(5, seed=1), R.generate(5, seed=2), "the method was generate(5, seed=1), now it is"),
        (R.max(lambda x: x), R.max(lambda x: -x), "the function <lambda> was changed"),
        (R.reduce(max, 1), R.reduce(max, 2), "the action was reduce(fn=max, init=1), now it is reduce(fn=max, init=2)"),
        (
            R.reduce(max, associative=False),
            R.reduce(max),
            "the action was reduce(fn=max, associative=False), now it is reduce(fn=max)",
        ),
        (
            hd.Values([1, 2, 3, 4, 5, 6, 7]).iterate(),
            hd.Values([1, 2, 3, 4, 5, 6, 8]).iterate(),
            "the content of the domain <Values size=7 {1, 2, 3, ...}> was changed",
        ),
    ],
)  # fmt: skip
def test_the_difference_is_named(old: hd.Pipeline[Any, Any], new: hd.Pipeline[Any, Any], text: str) -> None:
    found = differences(identity_of(old, 9), identity_of(new, 9))
    assert found[0].startswith(text)
    assert differences(identity_of(old, 9), identity_of(old, 9)) == []


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("x + 1", "x + 2", "the function helper was changed"),
        ("LIMIT = 5", "LIMIT = 6", "the global value LIMIT was changed"),
        ("x < self", "x <= self", "the class Rule was changed"),
        ("> LIMIT", ">= LIMIT", "the function f was changed"),
    ],
)
def test_the_innermost_difference_is_named(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str, text: str
) -> None:
    identities = []
    for source in (BASE, BASE.replace(old, new)):
        module = type(sys)("users_module")
        monkeypatch.setitem(sys.modules, "users_module", module)
        exec(source, vars(module))
        identities.append(identity_of(R.map(module.f).sum(), 9))
    assert differences(*identities) == [text]
