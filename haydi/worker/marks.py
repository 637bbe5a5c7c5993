"""Marks: where each compute process writes what it is at, so that its death tells which steps to look at.

A mark lives in memory that supervisor and compute processes share; it is written before each chunk, some hundred times
a second, and read when the process is dead. So it costs nothing, and it is there however the process ended: no message
has to be sent by somebody who is about to be killed.

A mark may be unknown: none was written yet, its numbers do not fit (steps are unbounded ints), or the process was
killed while it wrote. Nobody may rely on it.
"""

from __future__ import annotations

import mmap
import struct
from typing import Final, NamedTuple

__all__ = ["FLUSHING", "LOADING", "PLACE_BYTES", "SLOTS_MAX", "WORKING", "Mark", "MarkWriter", "Marks"]

#: What a compute process can be at: loading the plan, running steps, pickling the partial of steps.
LOADING: Final = 1
WORKING: Final = 2
FLUSHING: Final = 3

#: Number of slots that have a place for their mark.
SLOTS_MAX: Final = 4096

#: Number of the stride; the steps, as offsets from its start.
_FIELDS: Final = struct.Struct("<Qqq")
#: One byte before the fields says what they mean; 0 while they do not.
PLACE_BYTES: Final = 32
_FIELDS_AT: Final = 8


class Mark(NamedTuple):
    """A compute process was at this: ``[start, stop)`` counted from the first step of stride ``number``."""

    kind: int
    number: int
    start: int
    stop: int


class MarkWriter:
    """The place of one slot, as its compute process sees it."""

    def __init__(self, memory: mmap.mmap | bytearray, at: int) -> None:
        self._memory = memory
        self._at = at

    def write(self, kind: int, number: int, start: int, stop: int) -> None:
        """Say what comes now."""
        memory, at = self._memory, self._at
        memory[at] = 0
        try:
            _FIELDS.pack_into(memory, at + _FIELDS_AT, number, start, stop)
        except struct.error:  # too large
            return
        memory[at] = kind


class Marks:
    """The places of all slots; made before the processes that write there are forked.

    Example:
        >>> marks = Marks()
        >>> marks.writer(3).write(WORKING, 17, 100, 200)
        >>> marks.read(3), marks.read(4)
        (Mark(kind=2, number=17, start=100, stop=200), None)
        >>> marks.clear(3)
        >>> marks.read(3)
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SLOTS_MAX * PLACE_BYTES)

    def writer(self, slot: int) -> MarkWriter:
        """For the compute process of a slot."""
        return MarkWriter(self._memory, PLACE_BYTES * slot)

    def read(self, slot: int) -> Mark | None:
        """What the process of a slot was at when it died; None when that is not known."""
        if slot >= SLOTS_MAX:
            return None
        at = PLACE_BYTES * slot
        kind = self._memory[at]
        return Mark(kind, *_FIELDS.unpack_from(self._memory, at + _FIELDS_AT)) if kind else None

    def clear(self, slot: int) -> None:
        """The next process of a slot has been at nothing."""
        if slot < SLOTS_MAX:
            self._memory[PLACE_BYTES * slot] = 0
