"""Elements of poison steps: made by a child that may die of it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator

import cloudpickle
import pytest

import haydi as hd
from haydi.client import elements
from haydi.client.elements import elements_of
from haydi.plan import Plan, compile_plan

pytestmark = pytest.mark.usefixtures("no_leftovers")


def payload_of(plan: Plan) -> bytes:
    return pickle.dumps(([], cloudpickle.dumps(plan)))


def test_elements_are_told_as_far_as_they_are_known():
    plan = compile_plan((hd.Range(10) * hd.Range(10)).iterate().map(lambda pair: os._exit(1)))
    assert elements_of(payload_of(plan), [0, 37, 99]) == {0: "(0, 0)", 37: "(3, 7)", 99: "(9, 9)"}
    assert elements_of(payload_of(plan), []) == {}


def test_what_the_domain_does_to_its_process_is_told():
    """The others are told all the same."""

    def make(x: int) -> int:
        if x == 1:
            print("on stdout, where nobody listens")
            os._exit(7)
        if x == 2:
            raise ValueError(x)
        return x

    plan = compile_plan((hd.Range(4).map(make) * hd.Range(1)).iterate())
    assert elements_of(payload_of(plan), [0, 1, 2, 3]) == {
        0: "(0, 0)",
        1: "<to make the element ends its process, too (exit code 7)>",
        2: "<to make the element raises ValueError>",
        3: "(3, 0)",
    }


def test_there_is_an_end_to_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(elements, "SECONDS_MOST", 1.0)

    def make(x: int) -> int:
        while x == 1:
            pass
        return x

    plan = compile_plan((hd.Range(4).map(make) * hd.Range(1)).iterate())
    assert elements_of(payload_of(plan), [0, 1, 2]) == {
        0: "(0, 0)",
        1: "<to make the element takes more than 1 s>",
    }


def test_a_plan_that_cannot_be_loaded_says_nothing_of_elements():
    assert elements_of(pickle.dumps(([], b"no pickle")), [1, 2]) == {}


def test_steps_of_none_and_of_many_elements():
    class Source:
        steps = 3
        one_each = False

        def elements(self, start: int, stop: int) -> Iterator[object]:
            parts: list[list[object]] = [[], [*range(9)], ["x" * 1000]]
            return iter(parts[start])

    plan = compile_plan(hd.Range(3).iterate())
    object.__setattr__(plan, "source", Source())
    told = elements_of(payload_of(plan), [0, 1, 2])
    assert told[0] == "<no element>"
    assert told[1] == "0 or 1 or 2 or ..."
    assert len(told[2]) == 303
