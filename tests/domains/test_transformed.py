"""Maps, filters and slices."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haydi.domains import Boolean, Domain, Range, USet, Values
from haydi.domains.stepping import accepted, range_size, search, slice_of_block
from haydi.domains.transformed import FilteredDomain, MappedDomain, Slice
from haydi.errors import ArgumentTypeError, ArgumentValueError, SkippedStepError
from haydi.testing import check_domain


def negative(x: int) -> int:
    return -x


def odd(x: int) -> int:
    return x % 2


def test_map_goes_step_by_step():
    domain = Range(10).map(negative)
    assert isinstance(domain, MappedDomain)
    assert (domain.function, domain.domain.size) == (negative, 10)
    assert list(domain.elements(3, 6)) == [-3, -4, -5]
    assert (domain[4], domain.index(-7)) == (-4, 7)
    check_domain(domain, uniform=True)
    assert list(Range(10**30).map(negative).elements(10**29, 10**29 + 1)) == [-(10**29)]


def test_map_calls_nothing_ahead():
    calls: list[int] = []
    iterator = iter(Range(10**30).map(calls.append))
    assert [next(iterator), next(iterator)] == [None, None]
    assert calls == [0, 1]


def test_filter_rejects_steps_and_renumbers_nothing():
    domain = Range(10).filter(odd)
    assert isinstance(domain, FilteredDomain)
    assert (domain.function, domain.size, domain.filtered) == (odd, 10, True)
    assert list(domain.elements(2, 6)) == [3, 5]
    assert domain[7] == domain[-3] == 7
    with pytest.raises(
        SkippedStepError, match=r"step 4 of <FilteredDomain size<=10 .* is rejected by a filter"
    ):
        domain[4]
    assert domain.index(5) == 5
    for absent in (4, 11, "x", None):
        with pytest.raises(ArgumentValueError, match="is not in <FilteredDomain"):
            domain.index(absent)
    check_domain(domain, uniform=True)


def test_a_filter_is_asked_about_elements_only():
    """What is not in the domain below never reaches the function."""
    domain = Range(10).filter(lambda x: x < 5)
    assert "abc" not in domain
    assert [] not in domain


def test_an_error_of_the_function_comes_through():
    def bad(x: int) -> int:
        return 1 // (x - 2)

    for domain in (Range(5).map(bad), Range(5).filter(bad), Range(5).map(bad) * Boolean()):
        with pytest.raises(ZeroDivisionError):
            list(domain)
    with pytest.raises(ZeroDivisionError):
        _ = 2 in Range(5).filter(bad)


def test_strictness():
    atoms = USet(3, "a")
    assert not atoms.filter(bool).strict
    assert atoms.filter(bool, strict=True).strict
    assert not Values("ab").filter(bool, strict=True).strict
    assert not atoms.map(str).strict
    assert not atoms[1:].strict


@given(st.integers(0, 30), st.data())
def test_slices_are_slices(size: int, data: st.DataObject):
    one, two = data.draw(st.slices(size)), data.draw(st.slices(size))
    for domain, model in (
        (Range(size), list(range(size))),
        (Range(size).filter(odd), [x if odd(x) else None for x in range(size)]),
        (Range(size).map(negative), [-x for x in range(size)]),
    ):
        cut: Slice[Any] = domain[one]
        assert cut.size == len(model[one])
        assert list(cut) == [x for x in model[one] if x is not None]
        assert list(cut[two]) == [x for x in model[one][two] if x is not None]
        assert cut[two].domain is domain
    check_domain(Range(size).filter(odd)[one][two], max_elements=30)


def test_slices_of_any_magnitude():
    domain = Range(10**40)[:: -(10**9)][5:]
    assert domain.size == 10**31 - 5
    assert list(domain.elements(0, 2)) == [10**40 - 1 - 5 * 10**9, 10**40 - 1 - 6 * 10**9]
    check_domain(domain)
    check_domain((Range(10**20).filter(odd) * Range(10**20))[3::5])


def test_equal_elements_are_found_inside_of_the_slice():
    domain = Values([1, 2, 1, 3])[1:]
    assert domain.index(1) == 1
    assert Range(10).map(odd)[1::2].index(1) == 0
    assert 0 not in Range(10).map(odd)[1::2]


def test_wrong_slices_are_refused():
    with pytest.raises(ArgumentTypeError, match="steps must be a range, not 3"):
        Slice(Range(5), 3)  # type: ignore[arg-type]
    with pytest.raises(ArgumentValueError, match=r"steps range\(3, 7\) are not all inside of <Range size=5"):
        Slice(Range(5), range(3, 7))
    with pytest.raises(ArgumentTypeError, match="domain must be a domain"):
        Slice([1, 2], range(1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="slice step cannot be zero"):
        Range(5)[::0]


# ---- stepping ----


@given(
    st.integers(-40, 40),
    st.integers(-40, 40),
    st.integers(-7, 7).filter(bool),
    st.integers(-50, 50),
    st.integers(0, 30),
)
def test_blocks_inside_of_strides(start: int, stop: int, step: int, first: int, length: int):
    steps, block = range(start, stop, step), range(first, first + length)
    assert range_size(steps) == len(steps)
    assert list(slice_of_block(steps, block)) == [i for i, x in enumerate(steps) if x in block]


@pytest.mark.parametrize(
    "domain",
    [
        Range(6).filter(odd) * Range(4) * Range(3).filter(odd),
        (Range(3).filter(odd) * Range(4)) ** 2,
        Range(3) + (Range(4).filter(odd) * Range(7)) + Range(2),
        (Range(6).filter(odd) * Range(5))[::-3],
        (Range(6).filter(odd) * Range(4)).filter(lambda two: two[1]).map(sum),
    ],
    ids=repr,
)
def test_rejected_blocks_are_rejected_throughout(domain: Domain[Any]):
    size = domain.size or 0
    alive = [bool(list(domain.elements(step, step + 1))) for step in range(size)]
    widest = 0
    for step in range(size):
        if not alive[step]:
            block = domain._rejected_around(step)
            assert step in block
            assert not any(alive[i] for i in block)
            widest = max(widest, len(block))
    assert widest > 1
    for stride in (1, 2, -1, -5):
        steps = range(size)[::stride]
        assert list(accepted(domain, steps)) == [domain[i] for i in steps if alive[i]]
    assert search(domain, "stranger") is None
