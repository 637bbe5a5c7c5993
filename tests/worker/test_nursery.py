"""The nursery with real processes: each test runs a small supervisor of its own, and some of them kill it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from haydi.worker.channel import DONE
from haydi.worker.marks import Marks
from haydi.worker.nursery import Nursery

pytestmark = pytest.mark.usefixtures("no_leftovers")

ROOT = Path(__file__).resolve().parents[2]

#: What the supervisors of the tests have in common; they end with ``say(...)``, which prints JSON on stdout.
PRELUDE = """
import json, os, pickle, select, signal, sys, time
from itertools import count
import cloudpickle
from haydi.worker.channel import *
from haydi.worker.nursery import Died, Nursery, Spawned

nursery = Nursery.start()

import haydi as hd
from haydi.plan import compile_plan

numbers = count(1)
born = {}

def say(*values):
    print(json.dumps(values), flush=True)

def wait(end):
    assert select.select([end], [], [], 10)[0], "nothing came"

def events(number=1):
    found = []
    while len(found) < number:
        wait(nursery)
        found += nursery.receive()
    return found

def hear(slot):
    messages = []
    while not messages:
        wait(born[slot].channel)
        messages = born[slot].channel.receive()
    return messages

def spawn(slot):
    nursery.spawn(slot)
    [event] = events()
    assert isinstance(event, Spawned) and event.slot == slot
    born[slot] = event
    assert hear(slot) == [([READY], b"")]
    return event.pid

def start(slot, function):
    number = next(numbers)
    plan = cloudpickle.dumps(compile_plan(hd.Range(1).iterate().map(function)))
    born[slot].channel.send([LOAD, number], pickle.dumps(([], plan)))
    born[slot].channel.send([STRIDE, number, number, 0, 1, 10.0, True, False])
    return number

def call(slot, function):
    start(slot, function)
    [(header, payload)] = hear(slot)
    value = pickle.loads(payload)
    assert header[0] == DONE, value
    return value[0]
"""


@contextmanager
def supervisor(body: str, **how: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that runs PRELUDE and ``body``; it is killed at the end, its lifeline does the rest."""
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | how
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(body)], cwd=ROOT, text=True, **how
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def outcome(body: str, **how: Any) -> tuple[list[Any], str]:
    """What a supervisor said, line by line, and its stderr."""
    with supervisor(body, **how) as process:
        stdout, stderr = process.communicate(timeout=30)
        assert process.returncode == 0, stderr
    return [json.loads(line) for line in stdout.splitlines()], stderr


def said(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def living(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    return found


def left_over(pids: list[int]) -> list[int]:
    """Who still lives after a while in which everybody should end; none of them would end by itself in it."""
    deadline = time.monotonic() + 20
    while living(pids) and time.monotonic() < deadline:
        time.sleep(0.002)
    return living(pids)


# --- birth and death --------------------------------------------------------------------------------------


def test_from_birth_to_an_orderly_end_and_again():
    [said_once, said_twice], stderr = outcome("""
        for _ in range(2):
            pid = spawn(3)
            same = call(3, lambda x: __import__("os").getpid()) == pid
            born[3].channel.send([EXIT])
            [event] = events()
            assert isinstance(event, Died)
            say(same, event.slot, event.pid == pid, event.exit_code, event.signal, event.stderr_tail)
        nursery.close()
    """)
    assert said_once == said_twice == [True, 3, True, 0, None, ""]
    assert stderr == ""


def test_a_birth_takes_milliseconds():
    [times], _ = outcome("""
        spawn(0)
        times = []
        for slot in range(1, 8):
            began = time.perf_counter()
            spawn(slot)
            times.append(time.perf_counter() - began)
        say(*times)
    """)
    assert min(times) < 0.05


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_signals_are_delivered_to_the_right_one(number: int):
    [(slot, code, got, others)], _ = outcome(f"""
        for slot in range(3):
            spawn(slot)
        nursery.signal(5, {number:d})
        nursery.signal(1, {number:d})
        nursery.signal(1, {number:d})
        [event] = events()
        others = [call(slot, lambda x: 7) for slot in (0, 2)]
        say(event.slot, event.exit_code, event.signal, others)
    """)
    assert (slot, code, got, others) == (1, None, number, [7, 7])


def test_the_line_ends_at_death_whoever_else_holds_it():
    [(before, ended)], _ = outcome("""
        def leave_a_child(x):
            import os, time
            pid = os.fork()
            if pid == 0:
                time.sleep(60)
                os._exit(0)
            return pid
        spawn(0)
        child = call(0, leave_a_child)
        born[0].channel.send([EXIT])
        [event] = events()
        try:
            born[0].channel.receive()
        except EOFError:
            say(os.path.exists("/proc") and os.path.exists(f"/proc/{child}"), event.exit_code)
    """)
    assert (before, ended) == (sys.platform == "linux", 0)


def test_what_was_sent_before_death_arrives():
    [answers], _ = outcome("""
        spawn(0)
        start(0, lambda x: 5)
        wait(born[0].channel)  # the answer has been sent
        for _ in range(3):  # the first is at work, the others are left unread
            start(0, lambda x: __import__("time").sleep(60))
        nursery.signal(0, 9)
        [event] = events()
        [(header, payload)] = hear(0)
        try:
            born[0].channel.receive()
        except EOFError:
            say(header[0], pickle.loads(payload))
    """)
    assert answers == [DONE, [5]]


def test_the_last_words_of_a_crash():
    [(code, number, tail)], stderr = outcome("""
        def crash(x):
            import ctypes
            print("about to fall")
            ctypes.string_at(0)
        spawn(0)
        start(0, crash)
        [event] = events()
        say(event.exit_code, event.signal, event.stderr_tail)
        nursery.close()
    """)
    assert (code, number) == (None, signal.SIGSEGV)
    assert tail.startswith("about to fall\n")
    assert "Segmentation fault" in tail
    assert "in crash" in tail
    assert tail == stderr


def test_interrupts_arrive(tmp_path: Path):
    here = str(tmp_path / "here")
    [[interrupted]], _ = outcome(f"""
        def sleep(x):
            import time
            open({here!r}, "w").close()
            time.sleep(60)
        spawn(0)
        number = start(0, sleep)
        while not os.path.exists({here!r}):
            time.sleep(0.001)
        os.write(born[0].control, number.to_bytes(8, "little"))
        nursery.signal(0, signal.SIGUSR1)
        [(header, payload)] = hear(0)
        say(header[5])
    """)
    assert interrupted


def test_a_birth_that_fails_is_told_and_can_be_tried_again():
    [born, refused, again], _ = outcome("""
        import resource
        spawn(0)
        nursery.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
        nursery = Nursery.start()
        event, pids = None, 0
        while not isinstance(event, Died):
            nursery.spawn(pids)
            [event] = events()
            if isinstance(event, Spawned):
                born[pids] = event
                pids += 1
        say(pids)
        say(event.slot == pids, event.pid, event.exit_code, event.signal, event.stderr_tail)
        nursery.signal(0, 9)
        [event] = events()
        born.pop(0).channel.close()
        spawn(0)
        say(event.signal)
    """)
    assert born[0] >= 1
    assert refused[:4] == [True, 0, None, None]
    assert "cannot be started" in refused[4]
    assert "Too many open files" in refused[4]
    assert again == [9]


def test_one_slot_has_one_process():
    _, stderr = outcome("""
        spawn(0)
        try:
            nursery.spawn(0)
        except AssertionError as error:
            print(error, file=sys.stderr)
    """)
    assert "slot 0 has a compute process already" in stderr


def test_a_process_with_threads_does_not_fork():
    _, stderr = outcome("""
        import threading
        timer = threading.Timer(60, print)
        timer.start()
        try:
            Nursery.start()
        except AssertionError as error:
            print(error, file=sys.stderr)
        timer.cancel()
    """)
    assert "before them" in stderr


# --- what a compute process finds -------------------------------------------------------------------------


def test_siblings_draw_different_random_numbers():
    [draws], _ = outcome("""
        for slot in range(4):
            spawn(slot)
        say(*[call(slot, lambda x: __import__("random").random()) for slot in range(4)])
    """)
    assert len(set(draws)) == 4


def test_standard_streams():
    body = """
        def use(x):
            import os, sys
            print("on stdout \\u2603")
            print("on stderr \\udc80", file=sys.stderr)
            os.system("echo from a subprocess")
            return sys.stdin.read()
        spawn(0)
        given = call(0, use)
        nursery.close()
        say(given, sys.stdin.readline())
    """
    with open(__file__) as stdin:
        [(given, left)], stderr = outcome(body, stdin=stdin)
    assert given == ""  # while the daemon's is untouched
    assert "The nursery with real processes" in left
    assert stderr.splitlines() == ["on stdout \N{SNOWMAN}", "on stderr \\udc80", "from a subprocess"]


def test_no_descriptor_of_siblings_or_the_nursery():
    [counts], _ = outcome("""
        def descriptors(x):
            import os
            return len(os.listdir("/dev/fd")) - 1
        for slot in range(4):
            spawn(slot)
        say(*[call(slot, descriptors) for slot in range(4)])
    """)
    assert set(counts) == {6}  # the streams, the channel, the control pipe, the lifeline


def test_signals_are_as_in_a_fresh_process():
    [kinds], _ = outcome("""
        def dispositions(x):
            import signal
            kinds = []
            for name in ("SIGINT", "SIGTERM", "SIGCHLD", "SIGIO", "SIGHUP"):
                kinds.append(str(signal.getsignal(getattr(signal, name))))
            return kinds + [signal.set_wakeup_fd(-1), len(signal.pthread_sigmask(signal.SIG_BLOCK, ()))]
        spawn(0)
        say(*call(0, dispositions))
    """)
    ignore, default = str(signal.SIG_IGN), str(signal.SIG_DFL)
    assert kinds == [ignore, default, default, default, default, -1, 0]


def test_user_code_may_run_subprocesses_of_its_own():
    [answer], _ = outcome("""
        def use(x):
            import subprocess
            return subprocess.run(["echo", "hello"], capture_output=True, text=True, check=True).stdout
        spawn(0)
        say(call(0, use))
    """)
    assert answer == ["hello\n"]


# --- output -----------------------------------------------------------------------------------------------


def test_much_output_is_passed_on_whole_and_the_end_of_it_is_kept():
    [(tail,)], stderr = outcome("""
        def chatter(x):
            for i in range(300_000):
                print("line", i)
        spawn(0)
        call(0, chatter)
        born[0].channel.send([EXIT])
        [event] = events()
        say(event.stderr_tail)
        nursery.close()
    """)
    assert stderr == "".join(f"line {i}\n" for i in range(300_000))
    assert len(tail) == 4096
    assert stderr.endswith(tail)


def test_output_that_nobody_takes_holds_up_its_writer_only():
    read, write = os.pipe()
    try:
        body = """
            def chatter(x):
                while True:
                    print("word " * 100)
            for slot in (0, 1):
                spawn(slot)
            start(0, chatter)
            time.sleep(0.5)
            answers = [call(1, lambda x: x) for _ in range(10)]
            pid = spawn(2)
            nursery.signal(0, 9)
            [event] = events()
            nursery.close()
            say(answers, event.signal, event.stderr_tail[-100:])
        """
        [(answers, number, tail)], _ = outcome(body, stderr=write)
    finally:
        os.close(read)
        os.close(write)
    assert answers == [0] * 10
    assert number == 9
    assert "word word" in tail


def test_output_that_nobody_wants_is_no_error():
    read, write = os.pipe()
    os.close(read)
    try:
        [(value,)], _ = outcome(
            """
            spawn(0)
            say(call(0, lambda x: print("hello" * 100_000)))
            """,
            stderr=write,
        )
    finally:
        os.close(write)
    assert value is None


def test_a_daemon_without_standard_streams():
    body = """
        report = os.fdopen(os.dup(1), "w")
        nursery.close()
        for number in (0, 1, 2):
            os.close(number)
        nursery = Nursery.start()
        spawn(0)
        def talk(x):
            print("to nobody")
            return 5
        print(json.dumps([call(0, talk)]), file=report, flush=True)
        nursery.close()
    """
    assert outcome(body)[0] == [[5]]


def test_a_process_that_closes_its_streams_lives_on():
    [(value, seconds)], _ = outcome("""
        import psutil
        def close(x):
            import os
            os.closerange(1, 3)
            return x
        spawn(0)
        call(0, close)
        process = psutil.Process(nursery.pid)
        before = sum(process.cpu_times()[:2])
        time.sleep(1.0)
        seconds = sum(process.cpu_times()[:2]) - before
        say(call(0, lambda x: 5), seconds)
    """)
    assert value == 5
    assert seconds <= 0.02  # the nursery did not spin on the closed pipe


# --- the lifeline -----------------------------------------------------------------------------------------

#: Functions that run no bytecode for a long time, so that no handler of Python's can.
BUSY = {
    "sum": "lambda x: sum(range(10**18))",
    "regex": "lambda x: __import__('re').match('(a*)*b', 'a' * 60)",
    "sleep": "lambda x: __import__('time').sleep(60)",
    "power": "lambda x: 3 ** (3 ** 20)",
}

FAMILY = """
    pids = [spawn(slot) for slot in range(3)]
    def with_child(x):
        import subprocess, time
        child = subprocess.Popen(["sleep", "60"])
        print(child.pid, flush=True)
        time.sleep(60)
    start(0, {busy})
    start(1, {busy})
    start(2, with_child)
    time.sleep(0.2)
    say(nursery.pid, *pids)
    {then}
"""


@contextmanager
def family(busy: str, then: str = "time.sleep(60)") -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A supervisor; the pids of its nursery, of two busy processes, of one with a child and of the child."""
    with supervisor(FAMILY.format(busy=BUSY[busy], then=then)) as process:
        assert process.stderr is not None
        pids = [*said(process), int(process.stderr.readline())]
        yield process, pids


@pytest.mark.parametrize("busy", BUSY)
def test_all_are_gone_when_the_supervisor_is_killed(busy: str):
    with family(busy) as (process, pids):
        assert living(pids) == pids
        process.kill()
        assert left_over(pids) == []


@pytest.mark.parametrize("busy", BUSY)
def test_all_are_gone_when_the_nursery_was_killed_before(busy: str):
    with family(busy) as (process, [nursery, *others]):
        os.kill(nursery, signal.SIGKILL)
        time.sleep(0.1)
        assert set(others[:2]) <= set(
            living(others)
        )  # so it is the lifeline that ends them, and nothing else
        process.kill()
        assert left_over([nursery, *others]) == []


def test_all_are_gone_when_both_are_killed_at_once():
    with family("sum") as (process, pids):
        process.kill()
        os.kill(pids[0], signal.SIGKILL)
        assert left_over(pids) == []


def test_the_end_of_the_nursery_is_told():
    with supervisor("""
        pid = spawn(0)
        start(0, lambda x: sum(range(10**18)))
        time.sleep(0.1)
        os.kill(nursery.pid, signal.SIGKILL)
        try:
            events()
        except EOFError as error:
            say(str(error), pid)
        nursery.spawn(1)
        nursery.signal(0, 9)
        nursery.close()
    """) as process:
        text, pid = said(process)
        assert process.wait(10) == 0
        assert "nursery" in text
        assert left_over([pid]) == []


def test_close_ends_all_once():
    with family("sum", "nursery.close(); nursery.close(); say('closed'); time.sleep(60)") as (process, pids):
        assert said(process) == ["closed"]
        assert living(pids[:-1]) == []
        assert left_over(pids) == []  # the subprocess is not ours to wait for


def test_sigint_of_a_terminal_is_the_supervisors_business():
    with family("sleep") as (_, pids):
        for pid in pids[:-1]:
            os.kill(pid, signal.SIGINT)
        time.sleep(0.2)
        assert living(pids) == pids


def test_a_supervisor_that_does_not_look_loses_nothing():
    [pids, dead], _ = outcome("""
        for slot in range(20):
            nursery.spawn(slot)
            nursery.signal(slot, 15)
        time.sleep(0.5)
        found = events(40)
        say(*[e.pid for e in found if isinstance(e, Spawned)])
        say(*[e.pid for e in found if isinstance(e, Died) and e.signal == 15])
    """)
    assert len(set(pids)) == 20
    assert sorted(pids) == sorted(dead)


def test_a_handle_whose_nursery_is_gone_says_so_and_closes(take_stock: Callable[[], Any]):
    before = take_stock()
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    os.close(read)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait(10)
    ours.setblocking(False)
    nursery = Nursery(ours, child.pid, write, Marks())
    nursery.spawn(1)
    assert nursery.receive() == []
    theirs.close()
    with pytest.raises(EOFError, match="nursery"):
        nursery.receive()
    nursery.close()
    assert before.leftovers() == []
