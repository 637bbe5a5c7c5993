"""Products and named products, and the grid they walk through."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
from itertools import islice, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haydi.domains import Boolean, Domain, NamedProduct, Product, Range, Values
from haydi.domains.domain import POOL_SIZE_MAX
from haydi.errors import ArgumentTypeError, ArgumentValueError, SkippedStepError
from haydi.testing import check_domain

BIG = POOL_SIZE_MAX + 3


def even(x: int) -> bool:
    return x % 2 == 0


def never(x: int) -> bool:
    return False


class Unsized(Domain[str]):
    def _iterate(self) -> Any:
        return iter("pq")


@pytest.mark.parametrize(
    "sizes", [(), (0,), (1,), (4,), (2, 3), (3, 0, 2), (2, 3, 4), (1, 1, 1), (BIG, 2), (2, BIG), (2, BIG, 3)]
)
def test_the_order_is_that_of_itertools(sizes: tuple[int, ...]):
    domain = Product([Range(size) for size in sizes])
    assert list(domain) == list(product(*map(range, sizes)))
    check_domain(domain, uniform=True, max_elements=50)


@given(st.lists(st.integers(1, 5), max_size=4), st.data())
def test_any_window_is_a_window_of_the_whole(sizes: list[int], data: st.DataObject):
    domain = Product([Range(size) for size in sizes])
    whole = list(product(*map(range, sizes)))
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    assert list(domain.elements(start, stop)) == whole[start:stop]


@pytest.mark.parametrize("shape", [(BIG, BIG), (2, BIG, 2), (BIG, 2, BIG), (3, BIG, BIG), (BIG, 2, 2)])
def test_windows_over_factors_too_large_to_keep(shape: tuple[int, ...]):
    domain = Product([Range(size) for size in shape])
    size, rng = domain.size or 0, random.Random(7)
    for _ in range(10):
        start = rng.randrange(size)
        # Up to some turns of the fastest large factor, so that all kinds of blocks take part.
        stop = min(size, start + rng.randrange(4 * BIG))
        expected = map(domain._at, range(start, stop))
        assert all(map(tuple.__eq__, domain.elements(start, stop), expected))
        assert sum(1 for _ in domain.elements(start, stop)) == stop - start


def test_it_begins_anywhere_at_once():
    domain = Range(10**30) * Range(10**30)
    assert domain.size == 10**60
    assert list(domain.elements(10**60 - 1)) == [(10**30 - 1, 10**30 - 1)]
    border = 10**45
    assert list(islice(domain.elements(border - 1), 2)) == [(10**15 - 1, 10**30 - 1), (10**15, 0)]
    check_domain(domain)


def test_a_product_on_the_left_is_extended():
    x, y, z = Range(2), Range(3), Boolean()
    assert (x * y * z).domains == (x, y, z)
    assert (Product((x, y)) * z).domains == (x, y, z)
    assert Product((), name="unit").__mul__(z).domains == (z,)
    assert (x * (y * z))[5] == (0, (2, True))
    assert Product((x * y, z))[5] == ((0, 2), True)
    assert (NamedProduct([("a", x)]) * z)[1] == ((0,), True)


@pytest.mark.parametrize("other", [3, "ab", [1], None])
def test_what_is_no_domain_cannot_be_a_factor(other: Any):
    with pytest.raises(TypeError, match=r"unsupported operand|can't multiply"):
        Range(2) * other
    with pytest.raises(TypeError, match=r"unsupported operand|can't multiply"):
        Product((Range(2),)) * other
    with pytest.raises(ArgumentTypeError, match=r"domains\[1\] must be a domain, not "):
        Product((Range(2), other))


def test_the_remedy_is_told():
    with pytest.raises(ArgumentTypeError, match=r"domains\[0\] must be a domain, not 3; use Range\(n\)"):
        Product([3])  # type: ignore[list-item]
    with pytest.raises(ArgumentTypeError, match=r"wrap a collection as Values\(collection\)"):
        Product([[1, 2]])  # type: ignore[list-item]
    with pytest.raises(ArgumentTypeError, match=r"must be a sequence of domains, not the domain <Range"):
        Product(Range(3))  # type: ignore[arg-type]


def test_filtered_factors_keep_the_numbering():
    domain = Range(4).filter(even) * Range(3) * Range(5).filter(even)
    model = [t if even(t[0]) and even(t[2]) else None for t in product(range(4), range(3), range(5))]
    assert domain.size == 60
    assert domain.filtered
    for start in range(61):
        for stop in range(start, 61, 7):
            assert list(domain.elements(start, stop)) == [t for t in model[start:stop] if t]
    with pytest.raises(SkippedStepError, match=r"step 1 of <Product size<=60 .* is rejected by a filter"):
        domain[1]
    check_domain(domain, uniform=True)


def test_a_rejected_part_drops_all_its_combinations_at_once():
    calls = []

    def only_last(x: int) -> bool:
        calls.append(x)
        return x == 4

    domain = Range(5).filter(only_last) * Range(10**30) * Range(10**30)
    assert next(iter(domain)) == (4, 0, 0)
    assert len(calls) == 5
    assert next(domain.elements(10**60 + 10**45 + 3)) == (4, 0, 0)
    # Also where every step has to be looked at for itself.
    assert domain[::7].index(next(iter(domain[::7]))) == (4 * 10**60 + 6) // 7
    assert domain[::-1][0] == (4, 10**30 - 1, 10**30 - 1)
    assert list((Range(10**30).filter(even) * Range(3).filter(never))[10**29 :]) == []
    assert list(Range(10**30) * Range(3).filter(never) * Range(10**30)) == []


def test_functions_run_once_for_a_small_factor():
    calls = []

    def slow(x: int) -> int:
        calls.append(x)
        return -x

    domain = Range(100) * Range(10).map(slow)
    assert len(list(domain)) == 1000
    assert len(calls) == 10
    assert len(list(domain)) == 1000
    assert len(calls) == 10


def test_without_a_size_there_is_iteration_still():
    domain = Unsized() * Range(2)
    assert domain.index(("q", 0)) == 2
    assert ("r", 0) not in domain
    assert domain.size is None
    assert list(domain) == [("p", 0), ("p", 1), ("q", 0), ("q", 1)]
    assert list(Range(2) * Unsized()) == [(0, "p"), (0, "q"), (1, "p"), (1, "q")]
    check_domain(domain)


def test_index_of_strangers():
    domain = Range(3) * Boolean()
    assert domain.index((2, True)) == 5
    strangers: list[object] = [*((2, 1), (2,), (2, True, 0), [2, True], "ab", None, (3, True), ([], True))]
    for stranger in strangers:
        assert stranger not in domain


def test_strictness():
    assert (Range(2) * Boolean()).strict
    assert Product(()).strict
    assert not (Range(2) * Values("ab")).strict
    assert not (Range(2) * Range(2).map(str)).strict


# ---- named products ----


def edges() -> NamedProduct:
    return NamedProduct([("source", Range(3)), ("target", Range(2))], type_name="Edge")


def test_named_elements():
    domain = edges()
    element: Any = domain[3]
    assert repr(element) == "Edge(source=1, target=1)"
    assert (element.source, element.target) == (1, 1)
    assert element == (1, 1)
    assert {type(x) for x in (*domain, domain[0], domain.generate_one(random.Random(1)))} == {type(element)}
    assert list(domain) == list(product(range(3), range(2)))
    assert element._replace(source=0) in domain
    assert type(domain.to_values(max_size=4)[0]) is type(element)
    check_domain(domain, uniform=True)
    check_domain(NamedProduct([]))


def test_named_elements_are_of_one_class_however_they_came_here():
    element = edges()[1]
    copy = pickle.loads(pickle.dumps(element))
    assert type(copy) is type(element)
    assert copy == element
    assert type(pickle.loads(pickle.dumps(edges()))[1]) is type(element)


def test_named_elements_travel_to_a_fresh_process_and_back():
    code = (
        "import pickle, sys\n"
        "x = pickle.load(sys.stdin.buffer)\n"
        "assert x.target == 1 and repr(x) == 'Edge(source=0, target=1)'\n"
        "pickle.dump(x._replace(source=2), sys.stdout.buffer)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps(edges()[1]),
        capture_output=True,
        check=True,
        timeout=60,
    )
    back = pickle.loads(run.stdout)
    assert type(back) is type(edges()[0])
    assert edges().index(back) == 5


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ([("a", 3)], ArgumentTypeError, "the domain of field 'a' must be a domain, not 3"),
        ([("a", Range(2)), ("a", Range(2))], ArgumentValueError, r"fields\[1\] repeats the name 'a'"),
        ([("class", Range(2))], ArgumentValueError, r"fields\[0\]: 'class' cannot be a name here"),
        ([("_a", Range(2))], ArgumentValueError, "does not start with an underscore"),
        ([("a b", Range(2))], ArgumentValueError, "'a b' cannot be a name"),
        ([(1, Range(2))], ArgumentTypeError, r"fields\[0\] must have a string as name, not 1"),
        ([Range(2)], ArgumentTypeError, r"fields\[0\] is <Range size=2"),
        (Range(2), ArgumentTypeError, r"must be a sequence of pairs such as \(\"x\", Range\(3\)\)"),
        (5, ArgumentTypeError, "sequence of pairs"),
    ],
)
def test_wrong_fields_are_refused(fields: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        NamedProduct(fields)


def test_a_wrong_type_name_is_refused():
    with pytest.raises(ArgumentValueError, match="type_name: '9' cannot be a name"):
        NamedProduct([], type_name="9")
