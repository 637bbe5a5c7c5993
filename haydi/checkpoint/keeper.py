"""Keeps what a run has merged in a checkpoint file, and gives it back to the next one.

**What is written.** Every partial that was merged, with its range, as a piece of its own: a result that grows, as
that of ``collect``, is appended and never written again. Where partials are folded (a sum, the best so far, groups
with a limit) pieces soon outweigh what they are merged into; then the merged state replaces them all. That is tried
when the file has doubled often enough, and given up as soon as the state turns out to be more than a small part of
the file, so all bytes ever written stay within a constant factor of those of the partials, whatever the action.

**When.** Pieces are handed to the writing thread about once a second, and less often when making them ready takes
more than a hundredth of the time. At the end, however the run ends, the rest is written before anybody is told.

**What it costs when it fails.** A file that cannot be *opened* is an error at the call. One that cannot be written
later is warned about, once, in the log; the run goes on and keeps trying. If even the last attempt fails, the run
ends as it would have ended, and a ``RuntimeWarning`` says that the file is behind: a result in the hand is worth more
than a file.
"""

from __future__ import annotations

import getpass
import os
import pickle
import socket
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from haydi.checkpoint.identity import Identity, differences, identity_of
from haydi.checkpoint.store import Piece, Store
from haydi.checkpoint.writer import Batch, Writer
from haydi.errors import ArgumentTypeError, CheckpointError, ResultNotPicklableError
from haydi.pipeline import Generate, Pipeline
from haydi.plan import Plan
from haydi.ranges import RangeSet
from haydi.skipping import OnError, check_on_error, plan_for

__all__ = ["Keeper", "dump_partial", "load_piece", "open_checkpoint"]

#: How often pieces are handed to the writer, in seconds.
INTERVAL_SECONDS: Final = 1.0
INTERVAL_SECONDS_MOST: Final = 60.0
#: Making pieces ready may take this part of the time.
SHARE: Final = 0.01
#: Pieces that together have fewer bytes are left as they are.
COMPACT_BYTES_LEAST: Final = 1 << 18
#: What a row costs beside its payload.
ROW_BYTES: Final = 100
#: The merged state replaces the pieces when it is smaller than they are by this factor...
COMPACT_FACTOR: Final = 32
#: ... and when it is not, this is tried again when they have become so many times more.
COMPACT_AGAIN_FACTOR: Final = 8
#: A batch with more is handed over although it is not time yet.
BATCH_BYTES: Final = 32 << 20


class Keeper:
    """The checkpoint of one run, from its first step to its last.

    Args:
        store: An open store, which it owns from now on.
        plan: What the run executes.
        finished: The file says that nothing is missing.
    """

    def __init__(self, store: Store, plan: Plan, *, finished: bool) -> None:
        self.plan = plan
        self.path = store.path
        #: The run of this file was completed before.
        self.finished = finished
        #: Why the file does not have everything, once the run has ended; None when it does.
        self.problem: str | None = None
        self._store = store
        self._writer: Writer | None = None
        self._pending: list[Piece] = []
        self._pending_bytes = 0
        self._logged_bytes = 0
        self._compact_at = COMPACT_BYTES_LEAST
        self._due_at = 0.0
        self._closed = False

    def pieces(self) -> Iterator[tuple[int, int, Any]]:
        """What is kept: ranges, apart from each other, and their partials. To be read before anything is added.

        Raises:
            CheckpointError: when the file is damaged, or a partial cannot be loaded in this program.
        """
        seen = RangeSet()
        for start, stop, payload in self._store.pieces():
            self._logged_bytes += len(payload) + ROW_BYTES
            if not seen.overlaps(start, stop):  # an interrupt may have had a piece written again
                seen.add(start, stop)
                yield start, stop, load_piece(self.path, start, stop, payload)

    def add(self, start: int, stop: int, payload: bytes) -> None:
        """A partial has been merged."""
        self._pending.append((start, stop, payload))
        self._pending_bytes += len(payload) + ROW_BYTES

    def readable(self, payload: bytes, partial: Any) -> bytes:
        """The pickle of a partial from a worker, as another start of this program can read it.

        Classes of the script travel by value. To the next start they would be others than its own, so here they are
        left to be found by name; where that is not possible, the payload stays as it is.
        """
        if b"__main__" in payload:
            try:
                return pickle.dumps(partial, protocol=5)
            except Exception:  # defined inside a function, say
                return payload
        return payload

    def due(self, now: float) -> bool:
        """Whether it is time for :meth:`hand_over`; ``now`` is of :func:`time.monotonic`."""
        return bool(self._pending) and (self.ready(now) or self._pending_bytes >= BATCH_BYTES)

    def ready(self, now: float) -> bool:
        """Whether something would be handed over now if it were there."""
        return now >= self._due_at and not self._closed and (self._writer is None or self._writer.idle)

    def dump(self, partial: Any) -> bytes:
        """Pickle a partial that was made here."""
        return dump_partial(partial)

    def next_deadline(self) -> float:
        """When :meth:`due` may be asked."""
        return self._due_at if self._pending else float("inf")

    def hand_over(self, blocks: list[tuple[int, int, Any]], now: float, took_seconds: float = 0.0) -> None:
        """Have everything added so far written.

        Args:
            blocks: All that is merged by now, as ranges and partials; looked at only.
            now: The time, of :func:`time.monotonic`.
            took_seconds: How long it took to make the pieces ready, beside this.
        """
        began = time.perf_counter()
        self._put(self._batch(blocks))
        self._pending = []
        took = time.perf_counter() - began + took_seconds
        self._due_at = now + min(max(INTERVAL_SECONDS, took / SHARE), INTERVAL_SECONDS_MOST)

    def close(self, blocks: list[tuple[int, int, Any]], *, finished: bool, steps_done: int) -> None:
        """The run has ended: write what is left, and wait for it.

        Args:
            blocks: As for :meth:`hand_over`.
            finished: The result is complete.
            steps_done: Number of merged steps.
        """
        if self._closed:
            return
        self._closed = True
        if self._writer is None and not self._pending and finished == self.finished:
            self._store.close()
            return
        batch = self._batch(blocks)
        batch.facts = {"finished": finished, "steps_done": f"{steps_done:x}"}
        self._put(batch)
        assert self._writer is not None
        self.problem = self._writer.close()
        if self.problem is not None:
            warnings.warn(
                f"the checkpoint {str(self.path)!r} does not have everything that was computed: {self.problem}",
                RuntimeWarning,
                stacklevel=2,
            )

    def abandon(self) -> None:
        """The run never began: let go of the file."""
        if not self._closed:
            self._closed = True
            self._store.close()

    def _put(self, batch: Batch) -> None:
        if self._writer is None:
            self._writer = Writer(self._store)
        self._writer.put(batch)

    def _batch(self, blocks: list[tuple[int, int, Any]]) -> Batch:
        """What is to be written: the new pieces, or, when that is far less, everything in their place."""
        pieces = list(
            self._pending
        )  # taken off when they are handed over: an interrupt may come at any point
        self._logged_bytes += self._pending_bytes
        self._pending_bytes = 0
        if self._logged_bytes >= self._compact_at and not self.plan.action.grows:
            whole = dump_blocks(blocks, self._logged_bytes // COMPACT_FACTOR)
            if whole is None:
                self._compact_at = self._logged_bytes * COMPACT_AGAIN_FACTOR
            else:
                self._logged_bytes = sum(len(payload) + ROW_BYTES for _, _, payload in whole)
                self._compact_at = max(COMPACT_BYTES_LEAST, self._logged_bytes * COMPACT_FACTOR)
                return Batch(whole, replace=True)
        return Batch(pieces)


def open_checkpoint(
    checkpoint: str | os.PathLike[str], pipeline: Pipeline[Any, Any], on_error: OnError = "raise"
) -> Keeper:
    """Open the checkpoint of a pipeline, or begin one.

    Raises:
        ArgumentTypeError, ArgumentValueError: for a ``checkpoint`` or ``on_error`` that cannot be.
        CheckpointError: when the file cannot be used, or belongs to another pipeline.
    """
    if not isinstance(checkpoint, (str, os.PathLike)) or not isinstance(os.fspath(checkpoint), str):
        raise ArgumentTypeError(
            f"checkpoint={checkpoint!r}: the path of a file is needed, as a str or a Path"
        )
    if not os.fspath(checkpoint):
        raise CheckpointError("checkpoint='': the path of a file is needed")
    check_on_error(on_error)
    store = Store(Path(checkpoint), write=True)
    try:
        if store.empty:
            plan = plan_for(pipeline, on_error)
            store.begin(_first_facts(pipeline, plan, on_error))
            return Keeper(store, plan, finished=False)
        facts = store.facts()
        plan = plan_for(_seeded(pipeline, facts.get("seed")), on_error)
        found = differences(
            Identity.from_json(facts["identity"]), identity_of(pipeline, plan.steps, on_error)
        )
        if found:
            raise CheckpointError(
                f"checkpoint={str(store.path)!r} belongs to another run: {'; '.join(found)}. Name another file for "
                f"this run, or remove that one to begin anew"
            )
        return Keeper(store, plan, finished=bool(facts.get("finished")))
    except BaseException:
        store.close()
        raise


def _first_facts(pipeline: Pipeline[Any, Any], plan: Plan, on_error: OnError) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "identity": identity_of(pipeline, plan.steps, on_error).to_json(),
        "pipeline": repr(pipeline),
        "steps": f"{plan.steps:x}",
        "seed": plan.seed,
        "begun": time.time(),
        "finished": False,
        "by": {"host": socket.gethostname(), "pid": os.getpid(), "user": _user()},
    }
    try:
        import cloudpickle

        facts["action"] = bytes(cloudpickle.dumps(plan.action, protocol=5))
    except Exception:  # only those who ask to see the partial result need it
        facts["action"] = b""
    return facts


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user without a name
        return str(os.getuid())


def _seeded(pipeline: Pipeline[Any, Any], seed: int | str | None) -> Pipeline[Any, Any]:
    """The pipeline with the seed that its run drew, where it has none of its own."""
    method = pipeline.method
    if seed is None or not isinstance(method, Generate) or method.seed is not None:
        return pipeline
    return Pipeline(
        pipeline.domain, replace(method, seed=seed), pipeline.transformations, pipeline.chosen_action
    )


# --- pickles of partials ----------------------------------------------------------------------------------


def dump_partial(partial: Any) -> bytes:
    """Pickle a partial so that another start of the same program can load it.

    Raises:
        ResultNotPicklableError: naming its type.
    """
    try:
        return pickle.dumps(partial, protocol=5)
    except Exception as plain:
        import cloudpickle

        try:
            return bytes(cloudpickle.dumps(partial, protocol=5))
        except Exception:
            raise ResultNotPicklableError(
                f"checkpoint: a partial result of type {type(partial).__name__} cannot be written: {plain}. Results "
                f"of a run with a checkpoint must be picklable"
            ) from plain


def load_piece(path: Path, start: int, stop: int, payload: bytes) -> Any:
    """Unpickle a partial.

    Raises:
        CheckpointError: when that needs something that this program has not.
    """
    try:
        return pickle.loads(payload)
    except Exception as error:
        raise CheckpointError(
            f"checkpoint={str(path)!r}: the result of steps [{start}, {stop}) cannot be loaded in this program: "
            f"{error!r}. Classes of results must be importable, or be defined in the script, as when it was written"
        ) from error


class _TooLargeError(Exception):
    pass


class _Limited:
    """A file for a pickler that has seen enough when it is ``limit`` bytes long."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self.chunks: list[bytes] = []

    def write(self, data: Any) -> int:
        self.size += len(data)
        if self.size > self.limit:
            raise _TooLargeError
        self.chunks.append(bytes(data))
        return len(data)


def dump_blocks(blocks: list[tuple[int, int, Any]], limit: int) -> list[Piece] | None:
    """Pickle merged partials; None when they have more than ``limit`` bytes together, or cannot be pickled so."""
    result: list[Piece] = []
    for start, stop, partial in blocks:
        limit -= ROW_BYTES
        file = _Limited(limit)
        try:
            pickle.Pickler(file, protocol=5).dump(partial)
        except Exception:  # too large, or in need of the slower way: then pieces stay as they are
            return None
        result.append((start, stop, b"".join(file.chunks)))
        limit -= file.size
    return result
