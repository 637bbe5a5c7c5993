"""Checks of arguments that many domains take.

A wrong argument is told at the call, by an error that names the argument, the value and what would be right;
deep inside an iteration on a worker it would be a riddle.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from haydi.domains.describe import shorten, show_int
from haydi.errors import ArgumentTypeError, ArgumentValueError

if TYPE_CHECKING:
    from haydi.domains.domain import Domain

__all__ = ["as_bool", "as_domain", "as_domains", "as_function", "as_int"]


def as_int(argument: str, value: object, least: int | None = None) -> int:
    """The value as an int.

    Args:
        argument: How the caller calls it.
        value: What was given.
        least: The smallest value allowed; None is no limit.

    Raises:
        ArgumentTypeError: It is no int, nor anything that stands for one.
        ArgumentValueError: It is less than ``least``.

    >>> as_int("size", 3, least=0)
    3
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ArgumentTypeError(f"{argument} must be an int, not {shorten(value)}") from None
    if least is not None and number < least:
        raise ArgumentValueError(f"{argument} must be at least {show_int(least)}, not {show_int(number)}")
    return number


def as_domain(argument: str, value: object) -> Domain[Any]:
    """The value, which must be a domain.

    Raises:
        ArgumentTypeError: It is none; the message says how to make one.
    """
    from haydi.domains.domain import Domain

    if isinstance(value, Domain):
        return value
    remedy = "use Range(n)" if isinstance(value, int) else "wrap a collection as Values(collection)"
    raise ArgumentTypeError(f"{argument} must be a domain, not {shorten(value)}; {remedy}")


def as_domains(argument: str, values: object) -> tuple[Domain[Any], ...]:
    """The values as a tuple of domains.

    Raises:
        ArgumentTypeError: It is a single domain, not iterable, or has something else among its items.
    """
    from haydi.domains.domain import Domain

    if isinstance(values, Domain):
        raise ArgumentTypeError(f"{argument} must be a sequence of domains, not the domain {values!r} itself")
    if not isinstance(values, Iterable):
        raise ArgumentTypeError(f"{argument} must be a sequence of domains, not {shorten(values)}")
    return tuple(as_domain(f"{argument}[{i}]", value) for i, value in enumerate(values))


def as_bool(argument: str, value: object) -> bool:
    """The value, which must be True or False: an argument that slipped into this place would only look true.

    Raises:
        ArgumentTypeError: It is neither.
    """
    if value is not True and value is not False:
        raise ArgumentTypeError(f"{argument} must be True or False, not {shorten(value)}")
    return value


def as_function(argument: str, value: object) -> Callable[..., Any]:
    """The value, which must be callable.

    Raises:
        ArgumentTypeError: It is not.
    """
    if not callable(value):
        raise ArgumentTypeError(f"{argument} must be a function, not {shorten(value)}")
    return value
