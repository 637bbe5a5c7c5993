"""Durations on command lines."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haydi.durations import parse_duration
from haydi.errors import ArgumentValueError
from haydi.options import Duration


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_parts_add_up(days: int, hours: int, minutes: int, seconds: int):
    expected = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    assert parse_duration(f"{days}d{hours}h{minutes}m{seconds}s") == expected
    assert parse_duration(f"{days}D{hours}H") == (days * 24 + hours) * 3600
    assert parse_duration(f"{minutes}m") == minutes * 60
    assert parse_duration(f" {seconds} ") == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "h", "1x", "1h2d", "-1", "1 h", "1,5h", "nan", "inf", "1e3", "9" * 400, "s1"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str):
    with pytest.raises(ArgumentValueError, match=r"1d2h|for ever"):
        parse_duration(text)


def test_as_an_option():
    assert Duration().convert("1m", None, None) == 60.0
    assert Duration().convert(5, None, None) == 5.0
    with pytest.raises(click.BadParameter, match="45m"):
        Duration().convert("soon", None, None)
    with pytest.raises(click.BadParameter, match="less than 1 s"):
        Duration(1.0).convert("0.5", None, None)
