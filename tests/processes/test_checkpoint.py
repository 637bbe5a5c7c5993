"""Checkpoints of real processes: killed at any moment, interrupted, continued elsewhere."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

import haydi as hd
from haydi.cli import main
from haydi.errors import CheckpointError, RunCancelledError
from tests.processes.conftest import environment, eventually

#: A program whose run is written every 20 ms, so that it gets on between two kills.
PROGRAM = """
    import sys
    import haydi as hd
    from haydi.checkpoint import keeper

    keeper.INTERVAL_SECONDS = 0.02

    class Pair:
        def __init__(self, x):
            self.x, self.y = x, sum(range(x % 4000)) % 1000
        def __eq__(self, other):
            return type(self) is type(other) and vars(self) == vars(other)

    def pair(x):
        return Pair(x)

    PIPELINES = {
        "collect": hd.Range(20_000).map(pair).collect(),
        "ordered": hd.Range(20_000).map(lambda x: pair(x).y).reduce(lambda a, b: a * 31 % 10**9 + b, 7, False),
        "groups": hd.Range(20_000).map(pair).groups(lambda p: p.y % 17, limit=3),
        "best": hd.Range(20_000).map(pair).max(lambda p: p.y, size=5),
        "take": hd.Range(10**12).map(pair).filter(lambda p: p.x % 97 == 5).take(200),
    }

    if __name__ == "__main__":
        name, workers, file = sys.argv[1:]
        pipeline = PIPELINES[name]
        print("begun", flush=True)
        if workers == "0":
            result = pipeline.run(checkpoint=file)
        else:
            with hd.DistributedContext(spawn_workers=int(workers)) as ctx:
                result = pipeline.run(ctx, checkpoint=file)
        assert result == pipeline.run()
        print("right", flush=True)
"""


@pytest.mark.parametrize(
    ("name", "workers"),
    [("collect", [0]), ("groups", [2]), ("take", [0, 1]), ("ordered", [1, 0, 2]), ("best", [0, 2])],
)
def test_killed_again_and_again_until_it_is_complete(
    tmp_path: Path, no_leftovers: None, name: str, workers: list[int]
) -> None:
    """Each start goes on where the one before it was killed, also with another number of workers."""
    script, file = tmp_path / "program.py", tmp_path / "run.haydi"
    script.write_text(textwrap.dedent(PROGRAM))
    rng = random.Random(name)
    kills = 0
    while True:
        argument = str(workers[kills % len(workers)])
        child = subprocess.Popen(
            [sys.executable, str(script), name, argument, str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == "begun\n"
            seconds = rng.uniform(0.0, 0.5) + 0.5 * (argument != "0")
            if not kills:  # the first of them is killed in any case, with something done
                assert eventually(lambda: shown(file).get("steps_done", 0) > 0)
                seconds = 0.0
            try:
                output, error = child.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                kills += 1
                if kills < 40:
                    child.kill()
                    continue
                output, error = child.communicate(timeout=60)  # time enough: it has to end now
            assert output == "right\n", error
            break
    assert kills
    told = json.loads(CliRunner().invoke(main, ["checkpoint", "show", str(file), "--json"]).output)
    assert told["state"] == "finished"


INTERRUPTED = """
    import sys, time
    import haydi as hd
    def slow(x):
        time.sleep(0.001)
        return x
    ctx = hd.DistributedContext(spawn_workers=2)
    print("ready", flush=True)
    try:
        hd.Range(10**6).map(slow).collect().run(ctx, checkpoint=sys.argv[1])
    except KeyboardInterrupt:
        report = ctx.last_report
        partial = report.partial()
        assert partial == [x for start, stop in report.coverage for x in range(start, stop)]
        print(report.state, report.steps_done, len(partial), flush=True)
    assert hd.Range(100).sum().run(ctx) == 4950
    print("usable", flush=True)
"""


def test_ctrl_c_writes_everything_and_keeps_the_partial_result(tmp_path: Path, no_leftovers: None) -> None:
    script, file = tmp_path / "script.py", tmp_path / "run.haydi"
    script.write_text(textwrap.dedent(INTERRUPTED))
    client = subprocess.Popen(
        [sys.executable, str(script), str(file)], stdout=subprocess.PIPE, env=environment(), text=True
    )
    assert client.stdout is not None
    with client:
        assert client.stdout.readline() == "ready\n"
        assert eventually(lambda: shown(file).get("steps_done", 0) > 0)
        assert shown(file)["state"] == "running"
        assert shown(file)["in_use_by"]["pid"] == client.pid
        os.kill(client.pid, signal.SIGINT)
        state, steps, length = client.stdout.readline().split()
        assert state == "cancelled"
        assert steps == length
        told = shown(file)
        assert told["steps_done"] == int(steps) > 0
        assert told["state"] == "unfinished"
        assert client.stdout.readline() == "usable\n"
        assert client.wait(20) == 0


def shown(file: Path) -> dict[str, Any]:
    """What the command shows of a file; nothing while there is none."""
    output = CliRunner().invoke(main, ["checkpoint", "show", str(file), "--json"])
    return json.loads(output.output) if output.exit_code == 0 else {}


def test_cancel_from_another_thread(ctx: hd.DistributedContext, tmp_path: Path) -> None:
    file = tmp_path / "run.haydi"
    run = ctx.submit(hd.Range(10**12).map(lambda x: x).collect(), checkpoint=file)
    assert eventually(lambda: run.report.steps_done)
    thread = threading.Thread(target=run.cancel)
    thread.start()
    with pytest.raises(RunCancelledError):
        run.result(60)
    thread.join()
    report = run.report
    assert report.state == "cancelled"
    assert report.partial() == [x for start, stop in report.coverage for x in range(start, stop)]
    assert report.steps_done == shown(file)["steps_done"] > 0
    assert hd.Range(5).run(ctx) == [0, 1, 2, 3, 4]


def test_a_run_goes_from_workers_to_this_process_and_back(ctx: hd.DistributedContext, tmp_path: Path) -> None:
    file = tmp_path / "run.haydi"
    pipeline = hd.Range(10**6).map(lambda x: sum(range(x % 200)) % 101).groups(lambda x: x % 7, limit=50)
    expected = pipeline.run()
    contexts = [ctx, hd.SerialContext()]
    done = 0
    for i in range(100):
        context = contexts[i % 2]
        result = pipeline.run(context, timeout=0.1, checkpoint=file)
        assert context.last_report is not None
        assert context.last_report.steps_done >= done
        done = context.last_report.steps_done
        if context.last_report.state == "done":
            break
    assert repr(result) == repr(expected)
    assert i > 1
    for context in contexts:  # the finished file gives the result at once
        assert repr(pipeline.run(context, checkpoint=file)) == repr(expected)
        assert context.last_report is not None
        assert sum(share.steps for share in context.last_report.shares.values()) == 0


def test_errors_of_the_file_come_at_the_call(ctx: hd.DistributedContext, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("no checkpoint at all")
    with pytest.raises(CheckpointError, match="some other file"):
        ctx.submit(hd.Range(5).iterate(), checkpoint=tmp_path / "other")
    file = tmp_path / "run.haydi"
    run = ctx.submit(hd.Range(10**9).map(lambda x: x).sum(), checkpoint=file)
    with pytest.raises(CheckpointError, match=f"in use by the run of pid {os.getpid()}"):
        ctx.submit(hd.Range(10**9).map(lambda x: x).sum(), checkpoint=file)
    run.cancel()
    with pytest.raises(CheckpointError, match="the domain was <Range size=1000000000"):
        ctx.submit(hd.Range(10**8).map(lambda x: x).sum(), checkpoint=file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "run.haydi"]


def test_show_tells_what_is_there(ctx: hd.DistributedContext, tmp_path: Path) -> None:
    file = tmp_path / "run.haydi"
    hd.Range(10).map(lambda x: x * x).max(size=2).run(ctx, checkpoint=file)
    invoke = CliRunner().invoke
    text = invoke(main, ["checkpoint", "show", str(file)]).output
    for part in (
        "<lambda>)",
        "max(size=2)",
        "10 of 10, 100 %",
        "[0, 10)",
        "finished",
        f"pid {os.getpid()}",
    ):
        assert part in text
    assert "81" not in text
    assert "result so far: [81]" in invoke(main, ["checkpoint", "show", str(file), "--result"]).output
    assert shown(file)["coverage"] == [[0, 10]]
    (tmp_path / "diary").write_text("Dear diary")
    for wrong, words in (("diary", "is no checkpoint of Haydi"), ("nothing", "there is no file")):
        output = invoke(main, ["checkpoint", "show", str(tmp_path / wrong)])
        assert output.exit_code == 1
        assert words in output.output


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_the_result_of_a_foreign_file_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "run.haydi"
    hd.Range(10).sum().run(checkpoint=file)
    os.chown(file, 12345, -1)
    output = CliRunner().invoke(main, ["checkpoint", "show", str(file), "--result"])
    assert output.exit_code == 1
    assert "belongs to user 12345, not to you: to show its result is to run code" in output.output
    assert CliRunner().invoke(main, ["checkpoint", "show", str(file)]).exit_code == 0


STUCK = """
    import sys, time
    import haydi as hd
    from haydi.checkpoint.store import Store

    Store.write = lambda *arguments, **options: time.sleep(3600)  # a disk that does not answer
    ctx = hd.DistributedContext(spawn_workers=1)
    def slow(x):
        time.sleep(0.001)
        return x
    print("ready", flush=True)
    try:
        hd.Range(10**6).map(slow).count().run(ctx, checkpoint=sys.argv[1])
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    ctx.close()
"""


def test_a_second_ctrl_c_does_not_wait_for_the_disk(tmp_path: Path, no_leftovers: None) -> None:
    script, file = tmp_path / "script.py", tmp_path / "run.haydi"
    script.write_text(textwrap.dedent(STUCK))
    client = subprocess.Popen(
        [sys.executable, str(script), str(file)], stdout=subprocess.PIPE, env=environment(), text=True
    )
    assert client.stdout is not None
    with client:
        assert client.stdout.readline() == "ready\n"
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.append(client.stdout.readline()))  # type: ignore[union-attr]
        reader.start()
        assert eventually(lambda: psutil.Process(client.pid).status() == psutil.STATUS_SLEEPING)
        presses = 0
        while not lines and presses < 50:  # the first one waits, the next one ends that
            os.kill(client.pid, signal.SIGINT)
            presses += 1
            reader.join(0.2)
        assert lines == ["interrupted\n"]
        client.wait(20)


NOTEBOOK = """
    import asyncio, signal, sys, time
    import haydi as hd

    def slow(x):
        time.sleep(0.01)
        return x

    async def cell(number):
        # As a notebook's kernel does: its loop is in the main thread, and SIGINT is Python's own only in a cell.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            print("ready", flush=True)
            hd.Range(10**6).map(slow).collect().run(ctx)
        except KeyboardInterrupt:
            print("interrupted", ctx.last_report.state, flush=True)
        finally:
            signal.signal(signal.SIGINT, before)

    async def kernel():
        for number in range(3):
            await cell(number)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctx = hd.DistributedContext(spawn_workers=1)
    asyncio.run(kernel())
    assert hd.Range(10).sum().run(ctx) == 45
    ctx.close()
"""


def test_ctrl_c_in_a_notebook(tmp_path: Path, no_leftovers: None) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(NOTEBOOK))
    client = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, env=environment(), text=True
    )
    assert client.stdout is not None
    with client:
        for _ in range(3):
            assert client.stdout.readline() == "ready\n"
            assert eventually(lambda: psutil.Process(client.pid).status() == psutil.STATUS_SLEEPING)
            os.kill(client.pid, signal.SIGINT)
            assert client.stdout.readline() == "interrupted cancelled\n"
        assert client.wait(20) == 0
