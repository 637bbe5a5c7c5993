"""Whether this process runs user code for a worker daemon.

A module of its own, because those who ask (contexts, which then refuse to start a run inside a run) must not
load the worker to do so.
"""

from __future__ import annotations

__all__ = ["INSIDE"]

#: Set by :mod:`haydi.worker.compute`; children of such a process inherit it.
INSIDE: bool = False
