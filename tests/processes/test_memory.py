"""Large results pass through the daemons in pieces: the memory of a daemon does not grow with a result."""

from __future__ import annotations

import time

import psutil

import haydi as hd
from tests.processes.conftest import worker_tree

MEGABYTE = 1 << 20


def megabyte(x: int) -> bytes:
    time.sleep(0.002)
    return bytes([x % 256]) * MEGABYTE


def test_large_results_pass_through_the_daemons_in_pieces() -> None:
    with hd.DistributedContext(spawn_workers=2) as ctx:
        assert ctx._cluster is not None
        supervisor, computes = worker_tree(ctx)
        processes = [psutil.Process(ctx._cluster._scheduler.pid), supervisor, *computes]
        run = ctx.submit(hd.Range(400).map(megabyte).collect())
        most = 0
        while not run.done():
            most = max(most, *(process.memory_info().rss for process in processes))
            time.sleep(0.01)
        result = run.result()
    assert [(len(piece), piece[0]) for piece in result] == [(MEGABYTE, x % 256) for x in range(400)]
    assert most < 150 * MEGABYTE
