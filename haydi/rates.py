"""Rates of steps, exact at any size.

Steps may be more than a float can count, so a rate is an int: steps per 10**9 seconds of one slot, at least 1. What is
made of it is as precise as time is measured, and never overflows.
"""

from __future__ import annotations

from typing import Final

__all__ = ["mean_rate", "part_of", "rate_of", "seconds_for", "steps_within"]

_GIGA: Final = 10**9
#: Longer than anything lasts, in seconds; it leaves room to calculate with.
_SECONDS_MOST: Final = 1e30


def rate_of(steps: int, seconds: float) -> int:
    """The rate at which ``steps`` take ``seconds``.

    Example:
        >>> seconds_for(10**1000, rate_of(10**999, 2.5))
        25.0
    """
    nanoseconds = max(1, int(min(seconds, _SECONDS_MOST) * _GIGA))
    return max(1, steps * _GIGA * _GIGA // nanoseconds)


def steps_within(rate: int, seconds: float) -> int:
    """How many steps are done in ``seconds``.

    Example:
        >>> steps_within(rate_of(1000, 0.5), 0.1)
        200
    """
    return rate * int(min(seconds, _SECONDS_MOST) * _GIGA) // (_GIGA * _GIGA)


def seconds_for(steps: int, rate: int) -> float:
    """How long ``steps`` take."""
    if steps >= rate * int(_SECONDS_MOST):
        return _SECONDS_MOST
    return steps * _GIGA / rate


def mean_rate(old: int | None, new: int, weight: float) -> int:
    """A running mean, in which ``new`` counts for ``weight``."""
    return new if old is None else max(1, old + part_of(new - old, weight))


def part_of(steps: int, share: float) -> int:
    """The part of ``steps`` that a share in [0, 1] stands for, rounded down.

    Example:
        >>> part_of(10, 0.5), part_of(1, 0.9), part_of(10**400, 0.25) * 4 == 10**400
        (5, 0, True)
    """
    return steps * int(share * (1 << 53)) >> 53
