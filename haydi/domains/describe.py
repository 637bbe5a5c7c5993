"""Short texts for ``repr`` and error messages.

A domain is described where something went wrong, or in a prompt: the text must come at once and stay short,
whatever the elements are. Numbers with thousands of digits (which Python refuses to print) and elements with
thousands of items are part of everyday use here.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from haydi.domains.domain import Domain

__all__ = ["brief", "listing", "shorten", "show_function", "show_int"]

_LISTED_MAX = 3
_TEXT_MAX = 60
_INT_BITS_MAX = 150
_LOG10_OF_2 = 0.30103


def show_int(value: int) -> str:
    """The number, or its order of magnitude where it has more than some 45 digits.

    >>> show_int(10**20), show_int(10**5000)
    ('100000000000000000000', '~10**5000')
    """
    bits = value.bit_length()
    if bits <= _INT_BITS_MAX:
        return str(value)
    return f"{'-' if value < 0 else ''}~10**{int((bits - 1) * _LOG10_OF_2 + 0.5)}"


class _Shortener(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxstring = self.maxother = 40

    def repr_int(self, x: int, level: int) -> str:
        return show_int(x)


_shortener = _Shortener()


def shorten(value: object) -> str:
    """``repr`` of a value, of bounded length and never raising.

    >>> shorten(tuple(range(1000)))
    '(0, 1, 2, 3, 4, 5, ...)'
    """
    try:
        text = _shortener.repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 3] + "..."


def show_function(function: Any) -> str:
    """The name of a function, or of what it is an instance of.

    >>> show_function(len)
    'len'
    """
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__


def listing(texts: Iterator[str]) -> str:
    """The first texts, and dots where there are more; takes no more of them than it shows, and one.

    >>> listing(iter("abcd"))
    'a, b, c, ...'
    """
    shown = list(islice(texts, _LISTED_MAX + 1))
    if len(shown) > _LISTED_MAX:
        shown[-1] = "..."
    return ", ".join(shown)


def brief(domain: Domain[Any], arguments: str = "") -> str:
    """``<Kind 'name' size=N arguments>``."""
    size = domain.size
    sign = "<=" if domain.filtered else "="
    words = [
        type(domain).__name__,
        "" if domain.name is None else repr(domain.name),
        f"size{sign}{show_int(size)}" if size is not None else "size=?",
        arguments,
    ]
    return f"<{' '.join(filter(None, words))}>"
