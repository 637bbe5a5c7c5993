"""How many steps a lease has: factoring, with a floor in time.

A first lease is a worker's share of half of what is left (of all of it, when there is one daemon: inside a
machine the slots balance themselves). Later ones halve again and again, down to a floor of some tenths of a
second, and what is uneven at the end is settled by stealing. A run that may end early is given out from the
beginning in short leases instead, so that no worker is far ahead of the first missing step.
"""

from __future__ import annotations

from dataclasses import dataclass

from haydi.rates import steps_within

__all__ = ["SizingSettings", "flush_seconds", "lease_steps"]


@dataclass(frozen=True)
class SizingSettings:
    """Constants of sizing, in seconds unless the name says otherwise."""

    lease_seconds_least: float = 0.2
    #: Less than a grain is not worth its messages, even if others then get nothing.
    grain_seconds_least: float = 0.02
    #: So many grains a second are given out at most, whatever the number of slots.
    grains_per_second: float = 20_000.0
    early_lease_seconds: float = 0.1
    early_growth_factor: int = 8
    flush_seconds_least: float = 0.1
    flush_seconds_most: float = 30.0
    #: The client is asked to merge at most so many partials a second, whatever the number of slots.
    partials_per_second: float = 500.0


def lease_steps(
    settings: SizingSettings,
    *,
    unassigned: int,
    slots: int,
    slots_total: int,
    only_daemon: bool,
    tail: bool,
    rate: int | None,
    early: bool,
    last: int,
    grain_seconds: float,
) -> int:
    """Number of steps to lease to a daemon, at least 1 and at most ``unassigned``.

    Args:
        settings: The constants.
        unassigned: Steps that nobody works on.
        slots: Slots of the daemon.
        slots_total: Slots to share with: all of the cluster, or all hungry ones in the tail.
        only_daemon: No other daemon is there to share with.
        tail: All steps were given out once; what is unassigned now was given back.
        rate: Measured rate of one slot on this run; None when nothing is known yet.
        early: The run may end early.
        last: Steps of the last lease to this daemon on this run; 0 for none.
        grain_seconds: What is the least a slot should get.
    """
    if early:
        if rate is None:
            steps = slots
        else:
            seconds = max(settings.early_lease_seconds, flush_seconds(settings, slots_total, early))
            steps = steps_within(rate * slots, seconds)
            steps = max(slots, min(steps, settings.early_growth_factor * max(last, slots)))
    else:
        halves = 1 if only_daemon or tail else 2
        steps = -(-unassigned * slots // (max(slots, slots_total) * halves))
        least = slots if rate is None else steps_within(rate * slots, settings.lease_seconds_least)
        steps = max(steps, min(least, -(-unassigned * slots // max(slots, slots_total))))
        if rate is not None:
            steps = max(steps, steps_within(rate * slots, grain_seconds))
    return max(1, min(steps, unassigned))


def flush_seconds(settings: SizingSettings, slots_total: int, early: bool) -> float:
    """How long a slot folds before it sends its partial.

    A run that may end early is told of every stride, so here it is how long its strides are at least.
    """
    least = 0.0 if early else settings.flush_seconds_least
    return min(settings.flush_seconds_most, max(least, slots_total / settings.partials_per_second))
