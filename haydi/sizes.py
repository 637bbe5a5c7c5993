"""Sizes of memory, as people write them and read them.

Units of a thousand (kB, MB, GB, TB) and of 1024 (KiB, MiB, GiB, TiB) are what they say; a bare K, M, G or T is of 1024,
as resource managers have it.
"""

from __future__ import annotations

import math
import re
from typing import Final

from haydi.errors import ArgumentTypeError, ArgumentValueError

__all__ = ["parse_bytes", "show_bytes"]

_LETTERS: Final = "KMGT"
_PATTERN: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:([KMGT])(I?B)?|B)?\s*", re.IGNORECASE)


def parse_bytes(argument: str, value: int | str) -> int:
    """A size in bytes.

    Args:
        argument: Name of the argument, for the error.
        value: A number of bytes, or a text like ``"500MB"`` or ``"2GiB"``.

    Raises:
        ArgumentTypeError, ArgumentValueError: naming the argument and the value.

    Example:
        >>> parse_bytes("memory_limit", "2GiB"), parse_bytes("memory_limit", "1.5 kB"), parse_bytes("memory_limit", 7)
        (2147483648, 1500, 7)
    """
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ArgumentTypeError(f"{argument}={value!r}: a size is needed, for example 500MB or 2GiB")
    if isinstance(value, int):
        if value < 0:
            raise ArgumentValueError(f"{argument}={value!r}: must not be negative")
        return value
    match = _PATTERN.fullmatch(value)
    if match is None:
        raise ArgumentValueError(f"{argument}={value!r}: a size is needed, for example 500MB or 2GiB")
    number, letter, rest = match.groups()
    base = 1000 if rest is not None and rest.upper() == "B" else 1024
    scale = base ** (_LETTERS.index(letter.upper()) + 1) if letter else 1
    return math.floor(float(number) * scale) if "." in number else int(number) * scale


def show_bytes(size: int) -> str:
    """A size for people to read.

    Example:
        >>> show_bytes(2254857830), show_bytes(3 << 20), show_bytes(900)
        ('2.1 GiB', '3.0 MiB', '900 B')
    """
    for power in range(len(_LETTERS), 0, -1):
        if size >= 1024**power:
            return f"{size / 1024**power:.1f} {_LETTERS[power - 1]}iB"
    return f"{size} B"
