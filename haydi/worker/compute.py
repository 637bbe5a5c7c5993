"""A compute process: it runs user code, stride after stride, and folds.

A *stride* is a range of steps of one run. It is executed in chunks of some 5 ms, or, when it is *cautious*, in up to 64
equal ones; before whatever may end the process a mark says what comes (:mod:`haydi.worker.marks`). The partials of the
chunks are merged into the *held* partial, which grows over neighbouring strides of a run until the supervisor asks for
it to be *flushed*: pickled, sent and forgotten. A stride that does not follow the held range (because the
one before it ended early, say) is not begun: the answer is a DONE whose ``stop`` is the start of the stride.

What the fields of an answer mean (layouts: :mod:`haydi.worker.channel`):

* DONE: steps ``[start, stop)`` of the stride are in the held partial; ``stop`` is less than asked for when
  the budget was over, the partial is ``final`` (nothing to the right can change the result; it is then
  flushed at once), or the stride was ``interrupted``. ``[flushed_start, flushed_stop)`` is what the payload
  stands for, the pickled partial; an empty range when nothing was flushed. ``seconds`` do not include
  ``flush_seconds``, the time that pickling took.
* FAILED: as DONE, ``[start, stop)`` is in the held partial, and nothing was flushed. ``[step, step_stop)`` is
  what failed, by kind:

  - ``user``: what a user function raised. What was held stays held, completed chunks included.
  - ``load``: the plan cannot be loaded on this host; the stride was not begun.
  - ``result``: the held partial is lost, because it cannot be merged or pickled; ``[step, step_stop)`` is its
    range.

  The payload is a pickled dict: ``failure``, a :class:`~haydi.errors.StepFailure`; ``type_name``; and
  ``exception``, the pickled exception, or None when there is none that would survive the journey.

The payload of LOAD is a pickle of ``(sys_path, plan)``, where the plan is pickled bytes of its own: so
``sys_path`` is in force when the modules of the plan are imported.

Interrupts. The supervisor writes the number of a stride into the control pipe and has SIGUSR1 sent: strides
up to that number shall end. The handler raises :class:`StrideInterrupted` only while user code runs under its
guard, and the guard is put down inside the ``try`` that catches it, so the exception cannot land anywhere
else. A chunk cut off is as if it had never begun. User code that swallows the exception goes on, and the
supervisor kills the process.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import os
import pickle
import random
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from types import FrameType
from typing import Any, Final, TypeVar

import cloudpickle

from haydi import _worker_process
from haydi.errors import StepFailure
from haydi.plan import Plan
from haydi.worker.channel import DONE, EXIT, FAILED, FORGET, LOAD, READY, STRIDE, Channel
from haydi.worker.marks import FLUSHING, LOADING, PLACE_BYTES, WORKING, MarkWriter

__all__ = ["Compute", "StrideInterrupted", "main"]

T = TypeVar("T")

_CHUNK_SECONDS: Final = 0.005
#: Chunks that take less than this are doubled; above, one measurement is exact enough to compute the next
#: size.
_CHUNK_SECONDS_LEAST: Final = 0.002
_CAUTIOUS_CHUNKS: Final = 64
#: A plan of at least this size is worth a full garbage collection when it is dropped: functions that were
#: sent by value are reference cycles with all that they refer to.
_HEAVY_PLAN_BYTES: Final = 1 << 20
_PICKLE_PROTOCOL: Final = 5
_NUMBER: Final = struct.Struct("<Q")


class StrideInterrupted(BaseException):
    """Raised in user code to end the stride it belongs to. User code has no business with it."""


class _HeldLostError(Exception):
    """The action failed to merge: the held partial, changed half-way, is of no use any more."""

    def __init__(self, error: BaseException, start: int, stop: int) -> None:
        super().__init__(error, start, stop)
        self.error = error
        self.start = start
        self.stop = stop


@dataclass(slots=True)
class _Stride:
    number: int
    run: int
    start: int
    stop: int
    budget_seconds: float
    flush: bool
    cautious: bool
    position: int
    #: The chunk at work is ``[position, chunk_stop)``.
    chunk_stop: int = 0


@dataclass(slots=True)
class _Held:
    run: int
    start: int
    stop: int
    partial: Any


class Compute:
    """The main loop of a compute process.

    Args:
        channel: The blocking end of the line to the supervisor.
        control: File descriptor of the reading end of the control pipe, non-blocking.
        mark: Where to write what is going on; by default nobody wants to know.
    """

    def __init__(self, channel: Channel, control: int, mark: MarkWriter | None = None) -> None:
        self._channel = channel
        self._mark = mark or MarkWriter(bytearray(PLACE_BYTES), 0)
        self._control = control
        self._plans: dict[int, Plan | bytes] = {}
        self._heavy: set[int] = set()
        #: Steps of the first chunk of the next stride, by run.
        self._pace: dict[int, int] = {}
        self._held: _Held | None = None
        #: Strides up to this number shall end.
        self._interrupted = -1
        #: Number of the stride whose user code runs; None outside of the guard.
        self._guarded: int | None = None

    def serve(self) -> None:
        """Answer until EXIT.

        Raises:
            EOFError: when the supervisor is gone; ``OSError`` when that shows in sending.
        """
        receive = self._channel.receive_blocking
        self._channel.send_blocking([READY])
        while True:
            header, payload = receive()
            code = header[0]
            if code == STRIDE:
                _, number, run, start, stop, budget_seconds, flush, cautious = header
                self._run_stride(
                    _Stride(number, run, start, stop, budget_seconds, flush, cautious, position=start)
                )
            elif code == LOAD:
                self._plans[header[1]] = payload
                if len(payload) >= _HEAVY_PLAN_BYTES:
                    self._heavy.add(header[1])
            elif code == FORGET:
                self._forget(header[1])
            else:
                assert code == EXIT, f"unknown message {header!r} of the supervisor"
                return

    def _forget(self, run: int) -> None:
        self._plans.pop(run, None)
        self._pace.pop(run, None)
        if self._held is not None and self._held.run == run:
            self._held = None
        if run in self._heavy:
            self._heavy.discard(run)
            gc.collect()

    # --- strides --------------------------------------------------------------------------------------

    def _run_stride(self, stride: _Stride) -> None:
        if stride.number <= self._interrupted:
            self._send_done(stride, interrupted=True)
            return
        held = self._held
        follows = held is None or (held.run == stride.run and held.stop == stride.position)
        final = False
        began = perf_counter()
        if follows and stride.position < stride.stop:
            try:
                self._mark.write(LOADING, stride.number, 0, 0)
                plan = self._plan(stride.run)
            except BaseException as error:
                self._send_failed(stride, "load", stride.position, stride.stop, error)
                return
            began = perf_counter()
            try:
                final = self._advance(plan, stride)
            except StrideInterrupted:
                self._send_done(stride, seconds=perf_counter() - began, interrupted=True)
                return
            except _HeldLostError as lost:
                self._held = None
                self._send_failed(stride, "result", lost.start, lost.stop, lost.error)
                return
            except BaseException as error:
                self._fail(plan, stride, error, began)
                return
        seconds = perf_counter() - began
        if stride.flush or final:
            self._flush(stride, seconds, final)
        else:
            self._send_done(stride, seconds=seconds)

    def _advance(self, plan: Plan, stride: _Stride) -> bool:
        """Run chunks until the stride or its budget is over. Returns whether the held partial is final."""
        size = self._pace.get(stride.run, 1)
        if stride.cautious:
            size = -((stride.start - stride.stop) // _CAUTIOUS_CHUNKS)
        now = perf_counter()
        deadline = now + stride.budget_seconds
        final = False
        while stride.position < stride.stop and not final:
            start = stride.position
            stop = stride.chunk_stop = min(start + size, stride.stop)
            if stop < stride.stop:
                stop = stride.chunk_stop = self._guard(stride.number, plan.cut, start, stop)
            self._mark.write(WORKING, stride.number, start - stride.start, stop - stride.start)
            chunk = self._guard(stride.number, plan.execute, start, stop)
            final = self._absorb(plan, stride, chunk)
            began, now = now, perf_counter()
            if not stride.cautious:
                size = _next_size(size, stop - start, now - began)
            if now >= deadline:
                break
        # The next stride may be dearer: its first chunk is half as long.
        self._pace[stride.run] = max(1, size // 2)
        return final

    def _absorb(self, plan: Plan, stride: _Stride, chunk: Any) -> bool:
        held = self._held
        stop = stride.chunk_stop
        action = plan.action
        try:
            if held is None:
                held = _Held(stride.run, stride.position, stop, chunk)
            else:
                held.partial = action.merge(held.partial, chunk)
                held.stop = stop
            final = action.early and action.is_final(held.partial)
        except BaseException as error:
            start = stride.position if held is None else held.start
            raise _HeldLostError(error, start, stop) from error
        self._held = held
        stride.position = stop
        return final

    def _guard(self, number: int, function: Callable[[int, int], T], start: int, stop: int) -> T:
        """Call user code, to be ended by an interrupt.

        Raises:
            StrideInterrupted: also in place of what user code made of that.
            BaseException: what user code raised.
        """
        try:
            try:
                self._guarded = number
                if number <= self._interrupted:
                    raise StrideInterrupted
                return function(start, stop)
            finally:
                self._guarded = None
        except StrideInterrupted:
            raise
        except BaseException:
            if number <= self._interrupted:
                raise StrideInterrupted from None
            raise

    def on_interrupt(self, signum: int, frame: FrameType | None) -> None:
        """Signal handler: note the numbers in the control pipe, and end user code that they are meant for."""
        self.read_control()
        if self._guarded is not None and self._guarded <= self._interrupted:
            raise StrideInterrupted

    def read_control(self) -> None:
        """Note the stride numbers that wait in the control pipe."""
        try:
            data = os.read(self._control, 1 << 16)  # all that a pipe holds, and whole numbers only
        except BlockingIOError:
            return
        for (number,) in _NUMBER.iter_unpack(data):
            self._interrupted = max(self._interrupted, number)

    # --- answers --------------------------------------------------------------------------------------

    def _send_done(
        self, stride: _Stride, *, seconds: float = 0.0, final: bool = False, interrupted: bool = False
    ) -> None:
        at = stride.position
        self._channel.send_blocking(
            [DONE, stride.number, at, seconds, final, interrupted, at, at, 0.0],
        )

    def _flush(self, stride: _Stride, seconds: float, final: bool) -> None:
        held = self._held
        if held is None or held.run != stride.run:
            self._send_done(stride, seconds=seconds)
            return
        self._held = None
        self._mark.write(FLUSHING, stride.number, held.start - stride.start, held.stop - stride.start)
        began = perf_counter()
        try:
            payload = _dump(held.partial)
        except BaseException as error:
            text = f"a {_type_name(held.partial)} cannot be pickled: {_safe_repr(error)}"
            failure = _describe(error, held.start, held.stop, text)
            self._send_failure(stride, "result", failure, "ResultNotPicklableError", None)
            return
        header = [DONE, stride.number, stride.position, seconds, final, False]
        self._channel.send_blocking(
            [*header, held.start, held.stop, perf_counter() - began],
            payload,
        )

    def _fail(self, plan: Plan, stride: _Stride, error: BaseException, began: float) -> None:
        """User code raised in ``[position, chunk_stop)``: find the step, if the plan has not, and tell."""
        start, stop = stride.position, stride.chunk_stop
        self._pace[stride.run] = 1
        if not isinstance(getattr(error, "haydi_failure", None), StepFailure):
            # The plan locates exceptions of the ordinary kind. SystemExit and its like are rare: halve the chunk
            # until a step is left. There may be more steps than can be gone through.
            while stop - start > 1:
                middle = (start + stop) // 2
                try:
                    self._guard(stride.number, plan.execute, start, middle)
                except StrideInterrupted:
                    self._send_done(stride, seconds=perf_counter() - began, interrupted=True)
                    return
                except BaseException as again:
                    error, stop = again, middle
                else:
                    start = middle
        self._send_failed(stride, "user", start, stop, error)

    def _send_failed(self, stride: _Stride, kind: str, start: int, stop: int, error: BaseException) -> None:
        failure = getattr(error, "haydi_failure", None)
        if not isinstance(failure, StepFailure):
            failure = _describe(error, start, stop, _safe_repr(error))
        self._send_failure(stride, kind, failure, _type_name(error), _dump_exception(error))

    def _send_failure(
        self, stride: _Stride, kind: str, failure: StepFailure, type_name: str, exception: bytes | None
    ) -> None:
        told = {"exception": exception, "type_name": type_name, "failure": failure}
        self._channel.send_blocking(
            [FAILED, stride.number, kind, stride.position, failure.step, failure.stop],
            pickle.dumps(told, protocol=_PICKLE_PROTOCOL),
        )

    # --- plans ----------------------------------------------------------------------------------------

    def _plan(self, run: int) -> Plan:
        plan = self._plans[run]
        if isinstance(plan, bytes):
            plan = self._plans[run] = _load_plan(plan)
        return plan


def _next_size(size: int, done: int, seconds: float) -> int:
    """Steps of the next chunk, when ``done`` steps of a chunk that may have ``size`` took ``seconds``.

    Exact at any size: steps may be more than a float can count.
    """
    if seconds < _CHUNK_SECONDS_LEAST:
        return max(size, 2 * done)
    # A process that had to wait for its core should not go on in crumbs: one measurement shrinks it this far.
    ratio = max(_CHUNK_SECONDS / seconds, 0.25)
    return max(1, done * int(ratio * (1 << 20)) >> 20)


def _load_plan(payload: bytes) -> Plan:
    sys_path, data = pickle.loads(payload)
    missing = [entry for entry in sys_path if entry not in sys.path and os.path.exists(entry)]
    if missing:
        sys.path += missing
        importlib.invalidate_caches()
    plan = pickle.loads(data)
    assert isinstance(plan, Plan)
    return plan


def _dump(value: object) -> bytes:
    """Pickle a partial: fast, and by value what has no importable name on the other side."""
    try:
        data = pickle.dumps(value, protocol=_PICKLE_PROTOCOL)
        if b"__main__" not in data:
            return data
    except Exception:  # many kinds; cloudpickle decides
        pass
    return bytes(cloudpickle.dumps(value, protocol=_PICKLE_PROTOCOL))


def _dump_exception(error: BaseException) -> bytes | None:
    """Pickle an exception, if it can be pickled and unpickled; many cannot."""
    vars(error).pop("haydi_failure", None)  # travels beside it
    try:
        data = _dump(error)
        return data if type(pickle.loads(data)) is type(error) else None
    except BaseException:
        return None


def _describe(error: BaseException, start: int, stop: int, text: str) -> StepFailure:
    trace = "".join(traceback.format_exception(error))
    return StepFailure(start, stop, None, text, trace, socket.gethostname(), os.getpid())


def _safe_repr(value: object) -> str:
    try:
        return repr(value)
    except BaseException as broken:
        return f"<{_type_name(value)} whose repr raises {type(broken).__name__}>"


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def main(sock: socket.socket, control: int, mark: MarkWriter | None = None) -> int:
    """The life of a compute process, after it was forked; returns its exit code.

    Args:
        sock: Its end of the line to the supervisor.
        control: The reading end of the control pipe.
        mark: Where it writes what it is at.
    """
    compute = Compute(Channel(sock, blocking=True), control, mark)
    os.set_blocking(control, False)
    signal.signal(signal.SIGUSR1, compute.on_interrupt)
    compute.read_control()  # for what came before the handler was there
    _worker_process.INSIDE = True
    random.seed()  # siblings must not draw the same
    faulthandler.enable()
    try:
        compute.serve()
    except (EOFError, OSError):  # the supervisor is gone
        return 0
    return 0
