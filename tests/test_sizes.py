"""Sizes of memory as people write them."""

from __future__ import annotations

import pytest

from haydi.errors import ArgumentTypeError, ArgumentValueError
from haydi.sizes import parse_bytes, show_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0), ("7", 7), ("7B", 7), ("500MB", 500 * 10**6), ("2GiB", 2 << 30), ("2 gib", 2 << 30),
        ("1.5GB", 15 * 10**8),
        ("3K", 3 << 10), ("3M", 3 << 20), ("3g", 3 << 30), ("1TiB", 1 << 40), ("1tb", 10**12), (" 12kB ", 12000),
    ],
)  # fmt: skip
def test_parse(text: str, size: int) -> None:
    assert parse_bytes("x", text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1..5GB", "2 GB x", "1e9", "2PB", "iB", "2Gi B"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ArgumentValueError, match="x='"):
        parse_bytes("x", text)


def test_wrong_types_are_refused() -> None:
    for value in (None, 1.5, True):
        with pytest.raises(ArgumentTypeError, match="x="):
            parse_bytes("x", value)  # type: ignore[arg-type]
    with pytest.raises(ArgumentValueError, match="x=-1"):
        parse_bytes("x", -1)


def test_show() -> None:
    assert [show_bytes(x) for x in (0, 1023, 1024, 1 << 40)] == ["0 B", "1023 B", "1.0 KiB", "1.0 TiB"]
