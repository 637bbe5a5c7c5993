"""How long something takes, as people write it on a command line."""

from __future__ import annotations

import math
import re

from haydi.errors import ArgumentValueError

__all__ = ["parse_duration"]

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_PART = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(rf"(?:{_PART}d)?(?:{_PART}h)?(?:{_PART}m)?(?:{_PART}s?)?")


def parse_duration(text: str) -> float:
    """Seconds of a duration: days, hours, minutes and seconds, each of them optional, largest first.

    Args:
        text: As in ``90``, ``90s``, ``1.5h``, ``1d2h``.

    Raises:
        ArgumentValueError: when it is none; tells what one looks like.

    Example:
        >>> parse_duration("90s"), parse_duration("45m"), parse_duration("1d2h"), parse_duration("0.5")
        (90.0, 2700.0, 93600.0, 0.5)
    """
    match = _DURATION.fullmatch(text.strip().lower()) if text.strip() else None
    if match is None:
        raise ArgumentValueError(f"duration {text!r}: seconds, or text like 90s, 45m, 23h or 1d2h, is needed")
    seconds = math.fsum(
        float(part or 0) * _SECONDS[unit] for part, unit in zip(match.groups(), "dhms", strict=True)
    )
    if math.isinf(seconds):
        raise ArgumentValueError(f"duration {text!r}: that is for ever")
    return seconds
