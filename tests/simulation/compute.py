"""A simulated compute process: the contract of :mod:`haydi.worker.compute`, in virtual time.

Strides run in chunks that grow to some 5 ms; partials are real, made by the real plan and merged by the real action.
Each pickled partial carries its *provenance*, the ranges that were really executed for it, so that the oracle need
not believe anybody.

What the contract leaves open is drawn: whether a stride that ends early flushes although it was not told to.
"""

from __future__ import annotations

import math
import pickle
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from haydi.worker.effects import Forget, Load, StartStride
from haydi.worker.marks import WORKING, Mark
from tests.simulation.jobs import Dies, Job, Swells
from tests.simulation.links import Clock

__all__ = ["Answer", "Compute", "Payload"]

#: Seconds that a message takes between a supervisor and its compute process.
PIPE_SECONDS = 2e-5
FLUSH_SECONDS = 5e-5
CHUNK_SECONDS = 0.005


class Payload(bytes):
    """A pickled partial that weighs more than it is."""

    ballast: int

    def __new__(cls, data: bytes, ballast: int) -> Payload:
        payload = super().__new__(cls, data)
        payload.ballast = ballast
        return payload

    def __len__(self) -> int:
        return super().__len__() + self.ballast


@dataclass(frozen=True)
class Answer:
    """A DONE or a FAILED."""

    number: int
    stop: int
    seconds: float = 0.0
    final: bool = False
    flushed: tuple[int, int] = (0, 0)
    payload: bytes = b""
    #: Of a FAILED: kind, step and its stop.
    failed: tuple[str, int, int] | None = None


@dataclass
class _Held:
    run: int
    start: int
    stop: int
    partial: Any
    provenance: list[tuple[int, int]]


@dataclass
class _Work:
    stride: StartStride
    job: Job
    began: float
    position: int
    #: (time, stop) of the chunks to come.
    chunks: deque[tuple[float, int]]


class Compute:
    """A compute process.

    Args:
        clock: The clock.
        speed: Gives the speed of its host, as a factor.
        answer: Called with each answer, when it leaves the process.
        die: Called when the process ends on its own account.
        swell: Called when it begins to use too much memory; it does nothing else then.
        generous: It flushes whenever a stride ends early.
        marks: It tells what it is at.
    """

    def __init__(
        self,
        clock: Clock,
        speed: Callable[[], float],
        jobs: dict[bytes, Job],
        answer: Callable[[Compute, Answer], None],
        die: Callable[[Compute], None],
        swell: Callable[[Compute], None],
        *,
        generous: bool,
        marks: bool,
    ) -> None:
        self.alive = True
        self.strides = 0
        self._clock = clock
        self._speed = speed
        self._jobs = jobs
        self._answer = answer
        self._die = die
        self._swell = swell
        self._generous = generous
        self._marks = marks
        #: What it was at when it died.
        self.mark: Mark | None = None
        self.swollen = False
        self._inbox: deque[Load | StartStride | Forget] = deque()
        self._plans: dict[int, Job] = {}
        self._pace: dict[int, int] = {}
        self._held: _Held | None = None
        self._interrupted = -1
        self._work: _Work | None = None

    @property
    def run(self) -> int | None:
        """Number of the run it works on."""
        return None if self._work is None else self._work.stride.run

    def give(self, command: Load | StartStride | Forget) -> None:
        """The supervisor writes into the pipe."""
        self._clock.after(PIPE_SECONDS, self._receive, command)

    def interrupt(self, number: int) -> None:
        """The supervisor sends the signal."""
        self._clock.after(PIPE_SECONDS, self._on_interrupt, number)

    def kill(self) -> None:
        """The end, whatever it is doing."""
        self.alive = False
        work, now = self._work, self._clock.now
        if work is not None and self._marks and self.mark is None:
            at = work.position
            for time, stop in work.chunks:
                if time > now:
                    self._note(work.stride, at, stop)
                    break
                at = stop
        self._work = None

    def _note(self, stride: StartStride, start: int, stop: int) -> None:
        offsets = (start - stride.start, stop - stride.start)
        if self._marks and max(offsets) < 1 << 63:
            self.mark = Mark(WORKING, stride.number, *offsets)

    # --- inside ---------------------------------------------------------------------------------------

    def _receive(self, command: Load | StartStride | Forget) -> None:
        if self.alive:
            self._inbox.append(command)
            self._next()

    def _next(self) -> None:
        while self.alive and self._inbox and self._work is None:
            command = self._inbox.popleft()
            if isinstance(command, Load):
                self._plans[command.run] = self._jobs[command.payload]
            elif isinstance(command, Forget):
                del self._plans[command.run]
                self._pace.pop(command.run, None)
                if self._held is not None and self._held.run == command.run:
                    self._held = None
            else:
                self._begin(command)

    def _begin(self, stride: StartStride) -> None:
        self.strides += 1
        if stride.number <= self._interrupted:
            self._answer(self, Answer(stride.number, stride.start))
            return
        held = self._held
        job = self._plans[stride.run]
        follows = held is None or (held.run == stride.run and held.stop == stride.start)
        if not follows or stride.start == stride.stop:
            self._end(stride, job, stride.start, 0.0, final=False)
            return
        if job.broken:
            failed = ("load", stride.start, stride.stop)
            self._answer(self, Answer(stride.number, stride.start, failed=failed))
            return
        self._work = _Work(stride, job, self._clock.now, stride.start, self._chunks(stride, job))
        self._wait()

    def _chunks(self, stride: StartStride, job: Job) -> deque[tuple[float, int]]:
        size = self._pace.get(stride.run, 1)
        if stride.cautious:
            size = -((stride.start - stride.stop) // 64)
        speed = self._speed()
        time = self._clock.now
        deadline = time + stride.budget_seconds
        position = stride.start
        chunks: deque[tuple[float, int]] = deque()
        while position < stride.stop:
            stop = min(position + size, stride.stop)
            seconds = job.costs.of(position, stop) / speed + 1e-6
            done, position, time = stop - position, stop, time + seconds
            chunks.append((time, stop))
            if stride.cautious:
                pass
            elif seconds < CHUNK_SECONDS * 0.4:
                size = max(size, 2 * done)
            else:
                size = max(1, done * int(CHUNK_SECONDS / seconds * (1 << 20)) >> 20)
            if time >= deadline:
                break
        self._pace[stride.run] = max(1, size // 2)
        return chunks

    def _wait(self) -> None:
        """Wake up where something may have to be decided: behind each chunk, or behind all of them."""
        work = self._work
        assert work is not None
        time = work.chunks[-1][0] if work.job.plain else work.chunks[0][0]
        self._clock.at(time, self._wake, work)

    def _wake(self, work: _Work) -> None:
        if work is not self._work or not self._execute(work):
            return
        stride = work.stride
        held = self._held
        final = work.job.early and held is not None and work.job.plan.action.is_final(held.partial)
        if work.chunks and not final:
            self._wait()
            return
        self._work = None
        self._end(stride, work.job, work.position, self._clock.now - work.began, final=final)
        self._next()

    def _execute(self, work: _Work) -> bool:
        """Fold the chunks that are over by now. False when that ended the stride."""
        stop = work.position
        while work.chunks and work.chunks[0][0] <= self._clock.now:
            stop = work.chunks.popleft()[1]
        start, job, number = work.position, work.job, work.stride.number
        if start == stop:
            return True
        try:
            partial = job.plan.execute(start, stop)
        except Dies:
            self._note(work.stride, start, stop)
            self.kill()
            self._die(self)
            return False
        except Swells:
            work.chunks.appendleft((math.inf, stop))
            self.swollen = True
            self._swell(self)
            return False
        except Exception as error:
            failure = error.haydi_failure  # type: ignore[attr-defined]
            self._work = None
            self._pace[work.stride.run] = 1
            failed = ("user", failure.step, failure.stop)
            self._answer(self, Answer(number, start, self._clock.now - work.began, failed=failed))
            self._next()
            return False
        held = self._held
        if held is None:
            self._held = _Held(work.stride.run, start, stop, partial, [(start, stop)])
        else:
            held.partial = job.plan.action.merge(held.partial, partial)
            held.stop = stop
            held.provenance.append((start, stop))
        work.position = stop
        return True

    def _end(self, stride: StartStride, job: Job, stop: int, seconds: float, *, final: bool) -> None:
        held = self._held
        flush = stride.flush or final or (self._generous and stop < stride.stop)
        if held is None or held.run != stride.run or not flush:
            self._answer(self, Answer(stride.number, stop, seconds))
            return
        self._held = None
        if any(held.start <= step < held.stop for step in job.sticky):
            failed = ("result", held.start, held.stop)
            self._answer(self, Answer(stride.number, stop, seconds, failed=failed))
            return
        payload = Payload(pickle.dumps((held.provenance, held.partial)), job.ballast)
        self._answer(self, Answer(stride.number, stop, seconds, final, (held.start, held.stop), payload))

    def _on_interrupt(self, number: int) -> None:
        self._interrupted = max(self._interrupted, number)
        work = self._work
        if work is not None and work.stride.number <= self._interrupted and self.swollen and self.alive:
            self.swollen = False  # it lets go of what the step had taken
            work.chunks.clear()
        if not self.alive or work is None or work.stride.number > self._interrupted or work.job.stubborn:
            return
        if self._execute(work):
            self._work = None
            self._answer(self, Answer(work.stride.number, work.position, self._clock.now - work.began))
            self._next()
