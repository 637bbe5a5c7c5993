"""Kinds of command line options that several commands share; loaded by commands only."""

from __future__ import annotations

import click

from haydi.durations import parse_duration
from haydi.errors import ArgumentValueError

__all__ = ["Duration"]


class Duration(click.ParamType[float]):
    """Seconds, or text like ``90s``, ``45m``, ``23h`` or ``1d2h``.

    Args:
        least: The shortest that makes sense, in seconds.
    """

    name = "duration"

    def __init__(self, least: float = 0.0) -> None:
        self.least = least

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(value) if isinstance(value, (int, float)) else parse_duration(str(value))
        except ArgumentValueError as error:
            self.fail(str(error), param, ctx)
        if seconds < self.least:
            self.fail(f"{value!r} is less than {self.least:g} s", param, ctx)
        return seconds
