"""A compute process in life, driven over its channel and control pipe."""

from __future__ import annotations

import os
import pickle
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

import haydi as hd
from haydi.errors import StepFailure
from haydi.plan import Plan, compile_plan
from haydi.worker import compute as compute_module
from haydi.worker.channel import DONE, EXIT, FAILED, FORGET, LOAD, READY, STRIDE, Channel, Message
from haydi.worker.marks import FLUSHING, LOADING, PLACE_BYTES, WORKING, MarkWriter

if TYPE_CHECKING:
    from tests.stock import Stock

ROOT = Path(__file__).resolve().parents[2]
MAIN = """
import socket, sys
from haydi.worker.compute import main
sys.exit(main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])))
"""

INFINITE = float("inf")


class Driver:
    """The supervisor of one compute process."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        control_read, self.control = os.pipe()
        keep = (theirs.fileno(), control_read)
        self.process = subprocess.Popen(
            [sys.executable, "-c", MAIN, *map(str, keep)],
            pass_fds=keep,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        theirs.close()
        os.close(control_read)
        self.channel = Channel(ours, blocking=True)
        self._numbers = count()
        self._runs = count(1 << 60)
        assert self.receive() == ([READY], b"")

    def receive(self) -> Message:
        return self.channel.receive_blocking()

    def load(self, pipeline: Any, path: list[str] | None = None) -> int:
        run = next(self._runs)
        plan = pipeline if isinstance(pipeline, bytes) else cloudpickle.dumps(compile_plan(pipeline))
        self.channel.send_blocking([LOAD, run], pickle.dumps((path or [], plan)))
        return run

    def send(self, run: int, start: int, stop: int, budget: float = INFINITE, flush: bool = False) -> int:
        number = next(self._numbers)
        self.channel.send_blocking([STRIDE, number, run, start, stop, budget, flush, False])
        return number

    def stride(
        self, run: int, start: int, stop: int, budget: float = INFINITE, flush: bool = False
    ) -> Answer:
        number = self.send(run, start, stop, budget, flush)
        return self.answer(number)

    def answer(self, number: int) -> Answer:
        header, payload = self.receive()
        assert header[1] == number
        return Answer(header, payload)

    def interrupt(self, number: int) -> None:
        os.write(self.control, number.to_bytes(8, "little"))
        self.process.send_signal(signal.SIGUSR1)

    def close(self) -> str:
        """End it in order; returns what it wrote on stderr."""
        self.channel.send_blocking([EXIT])
        try:
            _, stderr = self.process.communicate(timeout=20)
        finally:
            self.process.kill()
            self.channel.close()
            os.close(self.control)
        assert self.process.returncode == 0, stderr
        return stderr


class Answer:
    """A DONE or FAILED, by the names of its fields."""

    def __init__(self, header: list[Any], payload: bytes) -> None:
        self.code = header[0]
        if self.code == DONE:
            _, _, self.stop, self.seconds, self.final, self.interrupted, *rest = header
            self.flushed = (rest[0], rest[1])
            self.flush_seconds = rest[2]
            assert bool(payload) == (rest[0] < rest[1])
            self.partial: Any = pickle.loads(payload) if payload else None
        else:
            assert self.code == FAILED
            _, _, self.kind, self.stop, *steps = header
            told = pickle.loads(payload)
            self.type_name: str = told["type_name"]
            self.failure: StepFailure = told["failure"]
            self.error: Any = None if told["exception"] is None else pickle.loads(told["exception"])
            assert tuple(steps) == (self.failure.step, self.failure.stop)
            self.steps = tuple(steps)

    def __repr__(self) -> str:
        return f"Answer({self.__dict__})"

    @property
    def nothing_flushed(self) -> bool:
        return self.flushed[0] == self.flushed[1]


@pytest.fixture(scope="module")
def shared() -> Iterator[Driver]:
    """One process for the tests that leave it in good health."""
    driver = Driver()
    yield driver
    assert driver.close() == ""


@pytest.fixture
def driver(shared: Driver) -> Iterator[Driver]:
    yield shared
    # Whatever a test did, the process still works, and holds nothing that was not flushed or forgotten.
    run = shared.load(hd.Range(10).iterate())
    assert shared.stride(run, 3, 5, flush=True).partial == [3, 4]
    shared.channel.send_blocking([FORGET, run])


# --- strides and the held partial -------------------------------------------------------------------------


@given(cuts=st.sets(st.integers(1, 999)), flushed_cuts=st.sets(st.integers(1, 999)))
def test_any_strides_merge_to_the_serial_result(shared: Driver, cuts: set[int], flushed_cuts: set[int]):
    pipeline = hd.Range(1000).iterate().map(lambda x: (x * 7919) % 1000).filter(lambda x: x % 3 > 0)
    action = compile_plan(pipeline).action
    run = shared.load(pipeline)
    result = action.init()
    merged = 0
    for start, stop in pairwise([0, *sorted(cuts | flushed_cuts), 1000]):
        answer = shared.stride(run, start, stop, flush=stop == 1000 or stop in flushed_cuts)
        assert answer.stop == stop
        if not answer.nothing_flushed:
            assert answer.flushed == (merged, stop)
            merged = stop
            result = action.merge(result, answer.partial)
    assert merged == 1000
    assert action.finish(result) == pipeline.run()


def test_what_is_held_is_flushed_by_an_empty_stride(driver: Driver):
    run = driver.load(hd.Range(100).iterate())
    assert driver.stride(run, 10, 12).nothing_flushed
    assert driver.stride(run, 12, 13).nothing_flushed
    answer = driver.stride(run, 13, 13, flush=True)
    assert (answer.stop, answer.flushed, answer.partial) == (13, (10, 13), [10, 11, 12])
    assert answer.flush_seconds > 0
    assert driver.stride(run, 13, 13, flush=True).nothing_flushed


def test_a_stride_that_does_not_follow_is_not_begun(driver: Driver):
    run = driver.load(hd.Range(100).iterate())
    other = driver.load(hd.Range(100).iterate())
    driver.stride(run, 0, 5)
    apart = driver.stride(run, 6, 9)
    assert (apart.stop, apart.nothing_flushed, apart.interrupted) == (6, True, False)
    stranger = driver.stride(other, 5, 9, flush=True)
    assert (stranger.stop, stranger.nothing_flushed) == (5, True)
    late = driver.stride(run, 7, 9, flush=True)
    assert (late.stop, late.flushed, late.partial) == (7, (0, 5), [0, 1, 2, 3, 4])
    assert driver.stride(other, 5, 9, flush=True).partial == [5, 6, 7, 8]


def test_forgetting_a_run_drops_what_is_held_of_it(driver: Driver):
    run = driver.load(hd.Range(100).iterate())
    driver.stride(run, 0, 5)
    driver.channel.send_blocking([FORGET, run])
    other = driver.load(hd.Range(100).iterate())
    assert driver.stride(other, 50, 52, flush=True).partial == [50, 51]


def test_forgetting_a_large_run_frees_its_memory(driver: Driver):
    class Heavy:
        """In a cycle, as functions that are sent by value are with their globals."""

        def __init__(self) -> None:
            self.me = self
            self.data = bytes(2_000_000)

    heavy = Heavy()
    run = driver.load(hd.Range(1).iterate().map(lambda x: len(heavy.data)))
    assert driver.stride(run, 0, 1, flush=True).partial == [2_000_000]

    def living(_: int) -> int:
        import gc

        return sum(type(thing).__name__ == "Heavy" for thing in gc.get_objects())

    look = driver.load(hd.Range(2).iterate().map(living))
    assert driver.stride(look, 0, 1, flush=True).partial == [1]
    driver.channel.send_blocking([FORGET, run])
    assert driver.stride(look, 1, 2, flush=True).partial == [0]


def test_steps_beyond_64_bits(driver: Driver):
    start = 10**40
    run = driver.load(hd.Range(10**50).iterate())
    answer = driver.stride(run, start, start + 5000, flush=True)
    assert answer.flushed == (start, start + 5000)
    assert answer.partial == list(range(start, start + 5000))
    counted = driver.load(hd.Range(10**50).count())
    answer = driver.stride(counted, 0, 10**50, flush=True)
    assert answer.partial == 10**50


def test_the_budget_ends_a_stride_early_and_never_before_a_step(driver: Driver):
    def nap(x: int) -> int:
        time.sleep(0.001)
        return x

    run = driver.load(hd.Range(10_000).iterate().map(nap))
    answer = driver.stride(run, 0, 10_000, budget=0.05, flush=True)
    assert 1 <= answer.stop <= 100
    assert answer.seconds >= 0.05
    assert answer.partial == list(range(answer.stop))
    assert not answer.final
    assert not answer.interrupted
    for _ in range(3):
        before = answer.stop
        answer = driver.stride(run, before, 10_000, budget=0.0, flush=True)
        assert before < answer.stop < before + 20


def test_a_final_partial_ends_the_stride_and_is_flushed(driver: Driver):
    run = driver.load(hd.Range(10**9).filter(lambda x: x > 100).first())
    answer = driver.stride(run, 0, 10**9)
    assert answer.final
    assert answer.partial == (101,)
    assert answer.flushed == (0, answer.stop)
    assert answer.stop < 10_000


def test_answers_keep_the_order_of_strides_sent_ahead(driver: Driver):
    run = driver.load(hd.Range(1000).iterate())
    numbers = [driver.send(run, start, start + 10, flush=start % 20 == 10) for start in range(0, 1000, 10)]
    partials = [driver.answer(number).partial for number in numbers]
    assert [x for part in partials if part for x in part] == list(range(1000))


@given(size=st.integers(1, 1 << 300), part=st.floats(0.01, 1), seconds=st.floats(0, 1e4))
def test_chunks_adapt_at_any_size(size: int, part: float, seconds: float):
    done = max(1, size * int(part * 1024) // 1024)
    new = compute_module._next_size(size, done, seconds)
    assert 1 <= new <= max(size, 3 * done)
    if seconds >= 0.002 and done > 10**6:
        assert new / done == pytest.approx(max(0.005 / seconds, 0.25), rel=0.01)


# --- results ----------------------------------------------------------------------------------------------


def test_a_class_of_the_users_script_comes_back_as_itself(driver: Driver, monkeypatch: pytest.MonkeyPatch):
    class Thing:
        def __init__(self, x: int) -> None:
            self.x = x

    Thing.__module__, Thing.__qualname__ = "__main__", "Thing"
    monkeypatch.setattr(sys.modules["__main__"], "Thing", Thing, raising=False)
    run = driver.load(hd.Range(10).iterate().map(Thing))
    partial = driver.stride(run, 0, 3, flush=True).partial
    assert [type(thing) for thing in partial] == [Thing] * 3
    assert [thing.x for thing in partial] == [0, 1, 2]


def test_functions_as_results(driver: Driver):
    run = driver.load(hd.Range(10).iterate().map(lambda x: lambda y: x + y))
    assert [f(1) for f in driver.stride(run, 0, 3, flush=True).partial] == [1, 2, 3]


@pytest.mark.parametrize(
    ("function", "named"),
    [(lambda x: (i for i in range(x)), "generator"), (lambda x: threading.Lock(), "_thread.lock")],
)
def test_a_result_that_cannot_be_pickled(driver: Driver, function: Callable[[int], object], named: str):
    run = driver.load(hd.Range(10).iterate().map(function))
    assert driver.stride(run, 2, 4).nothing_flushed
    answer = driver.stride(run, 4, 6, flush=True)
    assert (answer.code, answer.kind, answer.stop, answer.steps) == (FAILED, "result", 6, (2, 6))
    assert named in answer.failure.error
    assert "list cannot be pickled" in answer.failure.error
    assert answer.error is None
    # It is held no more: a stride anywhere else can follow.
    assert driver.stride(run, 8, 9).stop == 9
    driver.channel.send_blocking([FORGET, run])


def test_an_action_that_cannot_merge(driver: Driver):
    class Picky(hd.Action):
        def init(self):
            return 0

        def fold(self, partial, x):
            return x

        def merge(self, left, right):
            raise LookupError("no merging today")

    run = driver.load(hd.Range(10).iterate().action(Picky()))
    answer = driver.stride(run, 0, 10)
    assert (answer.kind, answer.steps[0]) == ("result", 0)
    assert 2 <= answer.steps[1] <= 10
    assert repr(answer.error) == "LookupError('no merging today')"
    assert answer.type_name == "LookupError"
    assert "in merge" in answer.failure.traceback


# --- user code that raises --------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, 5, 40, 5000])
def test_an_exception_tells_step_and_element_and_keeps_what_was_done(driver: Driver, step: int):
    def function(x: int) -> int:
        if x == step * 10:
            raise ValueError(f"not {x}")
        return x

    run = driver.load(hd.Range(0, 100_000, 10).iterate().map(function))
    answer = driver.stride(run, 0, 10_000)
    assert (answer.code, answer.kind, answer.steps) == (FAILED, "user", (step, step + 1))
    assert answer.stop <= step
    assert repr(answer.error) == f"ValueError('not {step * 10}')"
    assert not hasattr(answer.error, "haydi_failure")
    assert (answer.type_name, answer.failure.element) == ("ValueError", str(step * 10))
    assert answer.failure.pid == driver.process.pid
    assert "in function" in answer.failure.traceback
    kept = driver.stride(run, answer.stop, answer.stop, flush=True)
    assert kept.flushed == (0, answer.stop)
    assert (kept.partial or []) == list(range(0, answer.stop * 10, 10))


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, MemoryError, RecursionError])
def test_exceptions_of_any_kind_are_the_users(driver: Driver, kind: type[BaseException]):
    def function(x: int) -> int:
        if x == 3000:
            raise kind("end")
        return x

    run = driver.load(hd.Range(10_000).iterate().map(function))
    answer = driver.stride(run, 0, 10_000, flush=False)
    assert (answer.kind, answer.type_name) == ("user", kind.__name__)
    assert answer.steps == (3000, 3001)
    assert (type(answer.error), answer.error.args) == (kind, ("end",))
    driver.channel.send_blocking([FORGET, run])


def test_exceptions_that_do_not_survive_pickling(driver: Driver):
    class NeedsTwo(Exception):  # noqa: N818
        def __init__(self, one: object, two: object) -> None:
            super().__init__(f"{one} and {two}")

    class Unspeakable(Exception):  # noqa: N818
        def __repr__(self) -> str:
            raise RuntimeError("no words")

        __str__ = __repr__

    def function(x: int) -> None:
        if x == 0:
            raise NeedsTwo(1, 2)
        if x == 1:
            raise ValueError(threading.Lock())
        raise Unspeakable

    run = driver.load(hd.Range(3).iterate().map(function))
    two = driver.stride(run, 0, 1)
    assert (two.kind, two.error) == ("user", None)
    assert two.type_name.endswith("NeedsTwo")
    assert "1 and 2" in two.failure.error
    assert driver.stride(run, 1, 2).error is None
    mute = driver.stride(run, 2, 3)
    assert (mute.kind, mute.steps) == ("user", (2, 3))
    assert mute.type_name.endswith("Unspeakable") or "no words" in mute.failure.error


# --- plans ------------------------------------------------------------------------------------------------


def test_a_module_beside_the_script_is_found_through_the_clients_path(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "beside_the_script.py").write_text("def triple(x):\n    return 3 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import beside_the_script  # type: ignore[import-not-found]

    pipeline = hd.Range(10).iterate().map(beside_the_script.triple)
    plan = pickle.dumps(compile_plan(pipeline))
    monkeypatch.delitem(sys.modules, "beside_the_script")
    lost = driver.load(plan, path=[str(tmp_path / "nowhere")])
    answer = driver.stride(lost, 0, 3, flush=True)
    assert (answer.kind, answer.stop, answer.steps) == ("load", 0, (0, 3))
    assert (type(answer.error), answer.type_name) == (ModuleNotFoundError, "ModuleNotFoundError")
    assert "beside_the_script" in answer.failure.error
    assert "Traceback" in answer.failure.traceback
    assert driver.stride(lost, 0, 3).kind == "load"
    driver.channel.send_blocking([FORGET, lost])
    run = driver.load(plan, path=[str(tmp_path / "nowhere"), str(tmp_path)])
    assert driver.stride(run, 0, 3, flush=True).partial == [0, 3, 6]


@pytest.mark.parametrize("payload", [b"", b"garbage", pickle.dumps(([], pickle.dumps(5))), pickle.dumps(7)])
def test_a_plan_that_is_none(driver: Driver, payload: bytes):
    driver.channel.send_blocking([LOAD, 5], payload)
    assert driver.stride(5, 0, 3).kind == "load"
    driver.channel.send_blocking([FORGET, 5])


def test_user_code_knows_where_it_is(driver: Driver):
    def function(x: int) -> bool:
        from haydi import _worker_process

        return _worker_process.INSIDE

    run = driver.load(hd.Range(1).iterate().map(function))
    assert driver.stride(run, 0, 1, flush=True).partial == [True]


# --- interrupts -------------------------------------------------------------------------------------------


def napping() -> Any:
    def nap(x: int) -> int:
        time.sleep(0.002)
        return x

    return hd.Range(100_000).iterate().map(nap)


def wait_for(path: Path) -> None:
    """Until user code has made this file."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"user code did not get as far as {path.name}"
        time.sleep(0.001)


def test_an_interrupted_stride_keeps_its_finished_chunks(driver: Driver, tmp_path: Path):
    here = tmp_path / "here"

    def nap(x: int) -> int:
        if x == 25:
            here.touch()
        time.sleep(0.002)
        return x

    run = driver.load(hd.Range(100_000).iterate().map(nap))
    first, ahead = driver.send(run, 0, 50_000), driver.send(run, 50_000, 100_000, flush=True)
    wait_for(here)
    driver.interrupt(ahead)
    answer, waiting = driver.answer(first), driver.answer(ahead)
    assert answer.interrupted
    # No chunk of such steps has more than three of them; the whole stride would take 100 seconds.
    assert 20 < answer.stop < 50_000
    assert answer.seconds > 0.002 * answer.stop
    assert (waiting.stop, waiting.interrupted, waiting.nothing_flushed) == (50_000, True, True)
    rest = driver.stride(run, answer.stop, answer.stop + 10, flush=True)
    assert not rest.interrupted
    assert rest.partial == list(range(answer.stop + 10))


def test_an_interrupt_for_the_past_or_the_idle_is_remembered_and_harmless(driver: Driver):
    run = driver.load(napping())
    driver.interrupt(driver.send(run, 0, 3))
    driver.receive()
    driver.channel.send_blocking([FORGET, run])
    run = driver.load(napping())
    number = driver.send(run, 3, 50)
    assert number > 0
    driver.interrupt(number - 1)
    assert driver.answer(number).stop == 50
    driver.channel.send_blocking([FORGET, run])


@pytest.mark.parametrize("cover", ["swallow", "replace"])
def test_user_code_that_catches_everything(driver: Driver, tmp_path: Path, cover: str):
    here = tmp_path / "here"

    def function(x: int) -> int:
        try:
            here.touch()
            time.sleep(20)
        except BaseException:
            if cover == "replace":
                raise ValueError("something is wrong") from None
        return x

    run = driver.load(hd.Range(1000).iterate().map(function))
    number = driver.send(run, 0, 1)
    wait_for(here)
    driver.interrupt(number)
    answer = driver.answer(number)
    # Swallowed, it went on; replaced, it is no failure of user code.
    assert (answer.code, answer.stop) == (DONE, 1 if cover == "swallow" else 0)
    assert answer.interrupted == (cover == "replace")
    driver.channel.send_blocking([FORGET, run])


def test_interrupts_at_any_moment_lose_and_double_nothing(driver: Driver):
    """Many interrupts at random moments: under user code, in merges, in pickling, while idle."""
    rng = random.Random(5)
    run = driver.load(hd.Range(10**12).iterate().map(lambda x: x + 1).sum())
    # How far a stride comes, and when the interrupt does, are drawn by the pace of this very machine.
    at = driver.stride(run, 0, 100_000).stop
    pace = at / driver.stride(run, at, 2 * at).seconds
    at *= 2
    total, interrupted, finished = 0, 0, 0
    deadline = time.monotonic() + 60
    while min(interrupted, finished) < 40:
        assert time.monotonic() < deadline, f"only {interrupted} interrupts hit, {finished} missed"
        seconds = rng.random() * 0.01
        number = driver.send(run, at, at + 1 + int(pace * seconds), flush=rng.random() < 0.5)
        if rng.random() < 0.7:
            pause = time.perf_counter() + rng.random() * 1.5 * seconds
            while time.perf_counter() < pause:
                pass
            driver.interrupt(number)
        answer = driver.answer(number)
        assert answer.code == DONE
        interrupted += answer.interrupted
        finished += not answer.interrupted
        at = answer.stop
        if not answer.nothing_flushed:
            total += answer.partial[0]
            assert answer.flushed[1] == at
            assert total == at * (at + 1) // 2
    last = driver.stride(run, at, at, flush=True)
    total += last.partial[0] if last.partial else 0
    assert total == at * (at + 1) // 2


class NudgedSum(hd.Action):
    """Counts, and has something happen in its first merge."""

    def __init__(self, nudge: Callable[[], None]) -> None:
        self.nudge = nudge

    def init(self):
        return 0

    def fold(self, partial, element):
        return partial + 1

    def merge(self, left, right):
        if left == 1:
            self.nudge()
        return left + right


def test_an_interrupt_outside_of_user_code_waits_for_the_end_of_the_chunk():
    read, write = os.pipe()
    os.set_blocking(read, False)
    left, right = socket.socketpair()
    compute = compute_module.Compute(Channel(left, blocking=True), read)

    def nudge() -> None:
        os.write(write, (7).to_bytes(8, "little"))
        compute.on_interrupt(signal.SIGUSR1, None)

    compute._plans[1] = compile_plan(hd.Range(10**9).iterate().action(NudgedSum(nudge)))
    supervisor = Channel(right, blocking=True)
    supervisor.send_blocking([STRIDE, 7, 1, 0, 10**6, INFINITE, True, False])
    supervisor.send_blocking([STRIDE, 8, 1, 3, 3, INFINITE, True, False])
    supervisor.send_blocking([EXIT])
    compute.serve()
    supervisor.receive_blocking()
    answer = Answer(*supervisor.receive_blocking())
    assert (answer.stop, answer.interrupted, answer.nothing_flushed) == (3, True, True)
    assert Answer(*supervisor.receive_blocking()).partial == 3
    left.close()
    right.close()
    os.close(read)
    os.close(write)


def test_marks_tell_what_is_going_on():
    """Before each chunk, and before the partial is pickled; a cautious stride has up to 64 chunks of one size."""
    told: list[tuple[int, ...]] = []

    class Notes(MarkWriter):
        def write(self, kind: int, number: int, start: int, stop: int) -> None:
            told.append((kind, number, start, stop))

    read, write = os.pipe()
    os.set_blocking(read, False)
    left, right = socket.socketpair()
    compute = compute_module.Compute(Channel(left, blocking=True), read, Notes(bytearray(PLACE_BYTES), 0))
    compute._plans[1] = compile_plan(hd.Range(10**6).iterate().sum())
    supervisor = Channel(right, blocking=True)
    supervisor.send_blocking([STRIDE, 7, 1, 1000, 1100, INFINITE, False, False])
    supervisor.send_blocking([STRIDE, 8, 1, 1100, 1100 + 6400, INFINITE, True, True])
    supervisor.send_blocking([EXIT])
    compute.serve()
    for end in (left, right):
        end.close()
    for descriptor in (read, write):
        os.close(descriptor)
    of_first = [entry for entry in told if entry[1] == 7]
    assert of_first[0] == (LOADING, 7, 0, 0)
    chunks = [entry[2:] for entry in of_first if entry[0] == WORKING]
    assert (chunks[0][0], chunks[-1][1]) == (0, 100)
    assert all(a[1] == b[0] for a, b in pairwise(chunks))
    of_second = [entry for entry in told if entry[1] == 8]
    assert [entry[2:] for entry in of_second if entry[0] == WORKING] == [
        (100 * i, 100 * i + 100) for i in range(64)
    ]
    assert of_second[-1] == (FLUSHING, 8, -100, 6400)


def test_a_step_that_exits_is_found_among_many():
    """Where the plan does not name the step, halves are run, not steps: there may be more than can be counted."""
    driver = Driver()
    run = driver.load(hd.Range(1 << 40).iterate().map(lambda x: exit(3) if x == 77_000 else x).sum())
    answer = driver.stride(run, 0, 1 << 40)
    assert answer.code == FAILED
    assert answer.steps == (77_000, 77_001)
    driver.close()


# --- life and death ---------------------------------------------------------------------------------------


def test_an_interrupt_before_the_handler_is_there(take_stock: Callable[[], Stock]):
    before = take_stock()
    read, write = os.pipe()
    os.set_blocking(read, False)
    left, right = socket.socketpair()
    compute = compute_module.Compute(Channel(left, blocking=True), read)
    os.write(write, (0).to_bytes(8, "little") + (3).to_bytes(8, "little") + (2).to_bytes(8, "little"))
    compute.read_control()
    compute.read_control()
    supervisor = Channel(right, blocking=True)
    plan = pickle.dumps(compile_plan(hd.Range(9).iterate()))
    supervisor.send_blocking([LOAD, 1], pickle.dumps(([], plan)))
    for number in (3, 4):
        supervisor.send_blocking([STRIDE, number, 1, 0, 5, INFINITE, True, False])
    supervisor.send_blocking([EXIT])
    compute.serve()
    assert supervisor.receive_blocking() == ([READY], b"")
    assert Answer(*supervisor.receive_blocking()).interrupted
    assert Answer(*supervisor.receive_blocking()).partial == [0, 1, 2, 3, 4]
    left.close()
    right.close()
    os.close(read)
    os.close(write)
    assert before.leftovers() == []


@pytest.mark.usefixtures("no_leftovers")
def test_it_ends_with_its_supervisor():
    driver = Driver()
    run = driver.load(napping())
    driver.send(run, 0, 20)
    driver.channel.close()
    _, stderr = driver.process.communicate(timeout=10)
    os.close(driver.control)
    assert (driver.process.returncode, stderr) == (0, "")


def test_a_plan_is_not_mutated_by_loading_twice(driver: Driver):
    plan = compile_plan(hd.Range(1000).iterate().reduce(lambda a, b: a + b))
    assert isinstance(plan, Plan)
    data = cloudpickle.dumps(plan)
    for _ in range(2):
        run = driver.load(data)
        assert driver.stride(run, 0, 1000, flush=True).partial == 499_500
        driver.channel.send_blocking([FORGET, run])


def test_an_idle_answer_is_quick(driver: Driver):
    run = driver.load(hd.Range(10).iterate())
    times = []
    for _ in range(300):
        began = time.perf_counter()
        driver.stride(run, 0, 0, flush=True)
        times.append(time.perf_counter() - began)
    assert sorted(times)[len(times) // 10] < 0.001  # some 30 us on an idle machine; this is for a busy one
