"""Going through steps one by one, where no iterator of elements can do it.

Strides and backward slices of a filtered domain have to look at each step for itself. A filter deep in a
composition may reject an astronomical number of steps in a row, all combinations of one rejected part; the
walk therefore asks how far the rejection reaches (``Domain._rejected_around``) and leaps over it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from haydi.errors import SkippedStepError

if TYPE_CHECKING:
    from haydi.domains.domain import Domain

__all__ = ["accepted", "range_size", "search", "slice_of_block"]

T = TypeVar("T")


def range_size(steps: range) -> int:
    """Number of ints in a range, which ``len`` refuses to tell past 64 bits.

    >>> range_size(range(0, 10**30, 3))
    333333333333333333333333333334
    """
    away = -1 if steps.step > 0 else 1
    return max(0, (steps.stop - steps.start + steps.step + away) // steps.step)


def slice_of_block(steps: range, block: range) -> range:
    """The places in ``steps`` of those steps that lie in a block of consecutive ones.

    >>> slice_of_block(range(10, 100, 3), range(14, 20)), slice_of_block(range(19, 0, -3), range(10, 17))
    (range(2, 4), range(1, 4))
    """
    origin, stride, size = steps.start, steps.step, range_size(steps)
    if stride > 0:
        first, stop = -((origin - block.start) // stride), -((origin - block.stop) // stride)
    else:
        first, stop = (origin - block.stop) // -stride + 1, (origin - block.start) // -stride + 1
    return range(max(0, min(size, first)), max(0, min(size, stop)))


def accepted(domain: Domain[T], steps: range) -> Iterator[T]:
    """The elements of some steps, the rejected ones left out."""
    place, end = 0, range_size(steps)
    while place < end:
        step = steps[place]
        try:
            element = domain._at(step)
        except SkippedStepError:
            place = max(place + 1, slice_of_block(steps, domain._rejected_around(step)).stop)
            continue
        yield element
        place += 1


def search(domain: Domain[T], element: object) -> int | None:
    """The first step that has this element, or None; looks at everything before it.

    >>> from haydi.domains.elementary import Range
    >>> search(Range(10).filter(lambda x: x > 3), 5), search(Range(10).filter(lambda x: x > 3), 2)
    (5, None)
    """
    if not domain.filtered or domain.size is None:
        for step, other in enumerate(domain._iterate()):
            if other is element or other == element:
                return step
        return None
    step, end = 0, domain._known_size()
    while step < end:
        try:
            other = domain._at(step)
        except SkippedStepError:
            step = max(step + 1, domain._rejected_around(step).stop)
            continue
        if other is element or other == element:
            return step
        step += 1
    return None
