"""Marks: shared with forked processes, and never half of something."""

from __future__ import annotations

import os

from haydi.worker.marks import PLACE_BYTES, SLOTS_MAX, WORKING, Mark, Marks, MarkWriter


def test_a_forked_process_writes_and_its_parent_reads() -> None:
    marks = Marks()
    pid = os.fork()
    if pid == 0:
        marks.writer(SLOTS_MAX - 1).write(WORKING, 7, -5, 1 << 40)
        os._exit(0)
    os.waitpid(pid, 0)
    assert marks.read(SLOTS_MAX - 1) == Mark(WORKING, 7, -5, 1 << 40)
    assert marks.read(SLOTS_MAX - 2) is None
    assert marks.read(SLOTS_MAX) is None


def test_what_does_not_fit_is_not_known() -> None:
    marks = Marks()
    marks.writer(1).write(WORKING, 1, 0, 5)
    marks.writer(1).write(WORKING, 2, 1 << 70, (1 << 70) + 1)
    assert marks.read(1) is None
    marks.writer(1).write(WORKING, 3, 0, 1)
    assert marks.read(1) == Mark(WORKING, 3, 0, 1)
    marks.clear(1)
    assert marks.read(1) is None


def test_a_writer_needs_no_reader() -> None:
    MarkWriter(bytearray(PLACE_BYTES), 0).write(WORKING, 1, 2, 3)
