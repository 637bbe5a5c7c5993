"""The thread that writes a checkpoint, so that nobody waits for a disk.

Work comes as *batches*, each of which has to be written in one transaction, in order. A batch that cannot be written
(the disk is full, say) is kept and tried again, every few seconds and once more at the end: a warning is logged the
first time, and the run goes on, because its result is worth more than the file. A batch that replaces everything
makes all before it unnecessary, written or not.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from haydi.checkpoint.store import Piece, Store

__all__ = ["Batch", "Writer"]

log = logging.getLogger("haydi.checkpoint")

RETRY_SECONDS: Final = 5.0
#: At the end it is waited for the disk as long as it gets anything written in so many seconds.
PATIENCE_SECONDS: Final = 60.0


@dataclass
class Batch:
    """What is written in one transaction."""

    pieces: list[Piece]
    facts: Mapping[str, Any] = field(default_factory=dict)
    replace: bool = False


class Writer:
    """Writes batches to a store, which it owns from now on, and closes in the end.

    Args:
        store: An open store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._batches: deque[Batch] = deque()
        self._condition = threading.Condition()
        self._closing = self._done = False
        self._attempts = 0
        #: What went wrong the last time; None when all went well since.
        self.error: str | None = None
        #: How long the latest transaction took, in seconds.
        self.write_seconds = 0.0
        self._warned = False
        self._thread = threading.Thread(target=self._work, name="haydi-checkpoint", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """True when everything is written."""
        return not self._batches

    def put(self, batch: Batch) -> None:
        """Have a batch written."""
        with self._condition:
            if batch.replace:
                # The first may be at work: it is written and then replaced.
                while len(self._batches) > 1:
                    self._batches.pop()
            self._batches.append(batch)
            self._condition.notify_all()

    def close(self, clock: Callable[[], float] = time.monotonic) -> str | None:
        """Write what is left, and close the store. Returns what could not be done, or None."""
        with self._condition:
            self._closing = True
            attempts = self._attempts
            self._condition.notify_all()
            end = clock() + PATIENCE_SECONDS
            while not self._done and clock() < end:
                self._condition.wait(1.0)
                if self._attempts != attempts:
                    attempts, end = self._attempts, clock() + PATIENCE_SECONDS
        if not self._done:
            return f"the disk took more than {PATIENCE_SECONDS:g} s"
        self._thread.join()
        return self.error

    def _work(self) -> None:
        while True:
            with self._condition:
                if self.error is not None and not self._closing:
                    self._condition.wait(RETRY_SECONDS)
                while not self._batches and not self._closing:
                    self._condition.wait()
                if not self._batches:
                    break
                batch = self._batches[0]
                last_try = self._closing
            error = self._write(batch)
            with self._condition:
                self.error = error
                self._attempts += 1
                if error is None:
                    self._batches.popleft()
                elif last_try:
                    break
        if self.error is None and not self._store.is_there():
            self.error = "somebody removed the file while it was written"
        self._store.close()
        with self._condition:
            self._done = True
            self._condition.notify_all()

    def _write(self, batch: Batch) -> str | None:
        began = time.perf_counter()
        try:
            self._store.write(batch.pieces, batch.facts, replace=batch.replace)
        except (sqlite3.Error, OSError) as error:
            if not self._warned:
                self._warned = True
                log.warning(
                    "the checkpoint %s cannot be written: %s; the run goes on, and it is tried again",
                    self._store.path,
                    error,
                )
            return str(error)
        finally:
            self.write_seconds = time.perf_counter() - began
        return None
