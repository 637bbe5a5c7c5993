"""The file: nothing between two writes harms it, damage is seen, and what cannot be used is refused with a remedy."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import haydi as hd
from haydi.checkpoint import keeper as keeping
from haydi.checkpoint.lock import FileLock, holder, lock_path
from haydi.checkpoint.store import Piece, Store
from haydi.errors import CheckpointError
from tests.processes.conftest import ROOT

PIPELINE = hd.Range(60).map(lambda x: x * 7 % 1009).filter(lambda x: x % 3).collect()
EXPECTED = PIPELINE.run()


def copy_of(file: Path, to: Path) -> Path:
    """The checkpoint as it is on the disk at this moment, with its log."""
    for name in (file.name, file.name + "-wal"):
        source, target = file.with_name(name), to.with_name(to.name + name.removeprefix(file.name))
        target.unlink(missing_ok=True)
        if source.exists():
            shutil.copyfile(source, target)
    return to


@pytest.fixture
def at_each_write(
    monkeypatch: pytest.MonkeyPatch, file: Path, eager: None
) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Call a function around each transaction, and inside of it: after the rows, before the commit."""
    calls: list[Callable[[], None]] = []
    write, facts = Store.write, Store._write_facts

    def around(self: Store, pieces: Any, told: Any, *, replace: bool = False) -> None:
        for call in calls:
            call()
        write(self, pieces, told, replace=replace)
        for call in calls:
            call()

    def inside(self: Store, told: Any) -> None:
        facts(self, told)
        for call in calls:
            call()

    monkeypatch.setattr(Store, "write", around)
    monkeypatch.setattr(Store, "_write_facts", inside)
    yield calls.append
    calls.clear()


@pytest.mark.parametrize("compact", [False, True])
def test_a_crash_at_any_write_loses_only_what_was_not_written(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_each_write: Any, compact: bool
) -> None:
    pipeline: hd.Pipeline[Any, Any] = (
        hd.Range(60).map(lambda x: x * 7 % 1009).groups(lambda x: x % 5, limit=3) if compact else PIPELINE
    )
    expected = pipeline.run()
    if compact:
        monkeypatch.setattr(keeping, "COMPACT_BYTES_LEAST", 1)
        monkeypatch.setattr(keeping, "COMPACT_FACTOR", 2)
    copies: list[Path] = []
    at_each_write(lambda: copies.append(copy_of(file, tmp_path / f"copy{len(copies)}")))
    assert pipeline.run(checkpoint=file) == expected
    monkeypatch.undo()
    assert len(copies) > 15
    done = []
    for copy in copies:
        ctx = hd.SerialContext()
        assert ctx.run(pipeline, checkpoint=copy) == expected
        assert ctx.last_report is not None
        done.append(60 - ctx.last_report.shares["serial"].steps)
        assert not copy.with_name(copy.name + "-wal").exists()
    assert done == sorted(done), "what was written once is never lost"
    assert done[-1] == 60


def test_a_power_loss_inside_any_write_leaves_the_last_whole_one(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_each_write: Any
) -> None:
    """The log is cut, and then filled with noise, at every kind of place."""
    last = tmp_path / "last"
    at_each_write(lambda: copy_of(file, last))
    assert PIPELINE.run(checkpoint=file) == EXPECTED
    monkeypatch.undo()
    log = last.with_name("last-wal").read_bytes()
    rng = random.Random(1)
    frame = 24 + 4096
    frames = range(0, len(log) // frame, max(1, len(log) // frame // 20))
    cuts = {32 + frame * i + rng.choice((-1, 0, 1, 24, 2000)) for i in frames}
    done = set()
    for cut in sorted(cuts):
        for noise in (0, 500):
            copy = copy_of(last, tmp_path / "cut")
            copy.with_name("cut-wal").write_bytes(log[: max(0, cut)] + rng.randbytes(noise))
            ctx = hd.SerialContext()
            assert ctx.run(PIPELINE, checkpoint=copy) == EXPECTED
            assert ctx.last_report is not None
            done.add(60 - ctx.last_report.shares["serial"].steps)
    assert len(done) > 5


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole file, of some pages."""
    file = tmp_path_factory.mktemp("finished") / "run.haydi"
    keeper = keeping.open_checkpoint(file, PIPELINE)
    rows = []
    for start in range(0, 60, 2):
        partial = keeper.plan.execute(start, start + 2)
        keeper.add(start, start + 2, pickle.dumps(partial))
        rows.append((start, start + 2, partial))
    keeper.close(rows, finished=True, steps_done=60)
    assert PIPELINE.run(checkpoint=file) == EXPECTED
    return file.read_bytes()


@pytest.mark.parametrize("seed", range(150))
def test_damage_is_seen_or_does_no_harm(file: Path, finished: bytes, seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(finished)
    kind = seed % 3
    if kind == 0:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del data[rng.randrange(1, len(data)) :]
    else:
        at = rng.randrange(0, len(data), 512)
        data[at : at + 512] = bytes(512)
    file.write_bytes(data)
    told = ""
    try:
        assert PIPELINE.run(checkpoint=file) == EXPECTED
    except CheckpointError as error:
        told = str(error)
    if told:
        assert any(text in told for text in ("remove it", "no checkpoint of Haydi", "another program"))
        assert file.read_bytes() == bytes(data), "a file that is refused is left as it is"


def test_files_that_are_no_checkpoint(file: Path) -> None:
    def refused(text: str, at: Path = file) -> None:
        with pytest.raises(CheckpointError, match=text):
            PIPELINE.run(checkpoint=at)

    file.write_text("Dear diary,\n" * 100)
    refused("is no checkpoint of Haydi but some other file: name another one")
    assert file.read_text().startswith("Dear")
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE guests (name TEXT)")
    database.close()
    refused("is a database of another program")
    refused("is a directory: name a file in it", file.parent)
    refused("there is no directory", file / "there" / "run.haydi")
    refused("cannot be used|cannot be written", Path("/proc/run.haydi"))
    refused("is no ordinary file", Path("/dev/null"))
    assert not lock_path(file).exists()


def test_arguments_are_checked_at_the_call() -> None:
    ctx = hd.SerialContext()
    for wrong in (5, b"run.haydi", True, ["run.haydi"]):
        with pytest.raises(TypeError, match="checkpoint="):
            ctx.submit(PIPELINE, checkpoint=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="checkpoint=''"):
        ctx.submit(PIPELINE, checkpoint="")


def test_an_empty_file_is_a_new_checkpoint(file: Path) -> None:
    file.touch()
    assert PIPELINE.run(checkpoint=file) == EXPECTED
    assert PIPELINE.run(checkpoint=file) == EXPECTED


def test_relative_paths_and_odd_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("run.haydi", "a b?c#d%20e&mode=ro", "ünï"):
        assert PIPELINE.run(checkpoint=name) == EXPECTED
        assert (tmp_path / name).is_file()
        assert PIPELINE.run(checkpoint=name) == EXPECTED
    assert len(list(tmp_path.iterdir())) == 3


def test_another_version_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("haydi.checkpoint.identity.__version__", "1.9")
        PIPELINE.run(checkpoint=file)
    with pytest.raises(CheckpointError, match=r"it was written by Haydi 1\.9, this is Haydi"):
        PIPELINE.run(checkpoint=file)
    file.unlink()
    with monkeypatch.context() as patch:
        patch.setattr("haydi.checkpoint.store.FORMAT_VERSION", 99)
        PIPELINE.run(checkpoint=file)
    with pytest.raises(CheckpointError, match="has format 99"):
        PIPELINE.run(checkpoint=file)


def test_a_file_in_use_is_refused(file: Path) -> None:
    keeper = keeping.open_checkpoint(file, PIPELINE)
    with pytest.raises(
        CheckpointError, match=f"in use by the run of pid {os.getpid()} on host {socket.gethostname()}"
    ):
        PIPELINE.run(checkpoint=file)
    assert holder(file) == {"host": socket.gethostname(), "pid": os.getpid()}
    keeper.abandon()
    assert holder(file) is None
    assert PIPELINE.run(checkpoint=file) == EXPECTED


def test_the_lock_of_a_killed_process_is_free(file: Path, no_leftovers: None) -> None:
    code = (
        "import os, sys; from pathlib import Path; from haydi.checkpoint.lock import FileLock\n"
        "lock = FileLock(Path(sys.argv[1])); print('locked', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(file)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"locked\n"
        with pytest.raises(CheckpointError, match=f"pid {child.pid} on host"):
            FileLock(file)
        child.kill()
    assert lock_path(file).exists()
    assert holder(file) is None
    FileLock(file).release()
    assert not lock_path(file).exists()


def test_a_file_is_for_its_user_alone(file: Path) -> None:
    PIPELINE.run(checkpoint=file)
    assert file.stat().st_mode & 0o077 == 0


def test_large_payloads_are_several_rows(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haydi.checkpoint.store._PART_BYTES", 1000)
    pieces: list[Piece] = [(0, 1, b""), (1, 2, b"x" * 999), (2, 3, b"y" * 1000), (3, 4, os.urandom(54321))]
    store = Store(file, write=True)
    store.begin({})
    store.write(pieces, {})
    assert list(store.pieces()) == pieces
    store._connection.execute("DELETE FROM pieces WHERE number = 20")
    with pytest.raises(CheckpointError, match=r"record \d+ is out of place"):
        list(store.pieces())
    store.close()


class Limited(Store):
    """A disk on which there is room for so many pages."""

    pages: int | None = 40
    failures = 0

    def write(self, pieces: Any, facts: Any, *, replace: bool = False) -> None:
        self._connection.execute(f"PRAGMA max_page_count={self.pages or 10**9}")
        super().write(pieces, facts, replace=replace)


def test_a_full_disk_costs_the_file_but_not_the_result(
    file: Path, monkeypatch: pytest.MonkeyPatch, eager: None, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeping, "Store", Limited)
    monkeypatch.setattr("haydi.checkpoint.writer.RETRY_SECONDS", 0.001)
    pipeline = hd.Range(300).map(lambda x: str(x) * 1000).collect()
    expected = pipeline.run()
    ctx = hd.SerialContext()
    with pytest.warns(
        RuntimeWarning, match="does not have everything that was computed: database or disk is full"
    ):
        assert ctx.run(pipeline, checkpoint=file) == expected
    assert ctx.last_report is not None
    assert ctx.last_report.state == "done"
    assert "full" in str(ctx.last_report.checkpoint_problem)
    assert caplog.text.count("cannot be written") == 1
    monkeypatch.setattr(keeping, "Store", Store)
    assert ctx.run(pipeline, checkpoint=file) == expected
    assert ctx.last_report.checkpoint_problem is None
    assert 0 < ctx.last_report.shares["serial"].steps < 300


def test_a_disk_that_has_room_again_gets_everything(
    file: Path, monkeypatch: pytest.MonkeyPatch, eager: None
) -> None:
    class Recovering(Limited):
        def write(self, pieces: Any, facts: Any, *, replace: bool = False) -> None:
            if type(self).failures:
                type(self).pages = None
            try:
                super().write(pieces, facts, replace=replace)
            except sqlite3.OperationalError:
                type(self).failures += 1
                raise

    monkeypatch.setattr(keeping, "Store", Recovering)
    monkeypatch.setattr("haydi.checkpoint.writer.RETRY_SECONDS", 0.001)
    ctx = hd.SerialContext()
    pipeline = hd.Range(300).map(lambda x: str(x) * 1000).collect()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = ctx.run(pipeline, checkpoint=file)
    assert Recovering.failures == 1
    monkeypatch.setattr(keeping, "Store", Store)
    assert ctx.run(pipeline, checkpoint=file) == result
    assert ctx.last_report is not None
    assert ctx.last_report.shares["serial"].steps == 0


def test_a_file_that_was_removed_is_told(file: Path) -> None:
    def once(x: int) -> int:
        file.unlink(missing_ok=True)
        return x

    with pytest.warns(RuntimeWarning, match="somebody removed the file"):
        assert hd.Range(10).map(once).run(checkpoint=file) == list(range(10))


@pytest.mark.parametrize("grows", [True, False])
def test_bytes_written_are_linear(file: Path, monkeypatch: pytest.MonkeyPatch, grows: bool) -> None:
    """Many pieces of a folded partial stay a small file; those of a growing one are written once."""
    monkeypatch.setattr(keeping, "COMPACT_BYTES_LEAST", 1000)
    domain = hd.Range(10**6)
    pipeline = domain.collect() if grows else domain.frequencies(lambda x: x % 100)
    keeper = keeping.open_checkpoint(file, pipeline)
    keeper.hand_over([], 0.0)
    writer = keeper._writer
    assert writer is not None
    store = writer._store
    partial = list(range(100)) if grows else dict.fromkeys(range(100), 1)
    payload = pickle.dumps(partial)
    pieces = 400
    for i in range(pieces):
        keeper.add(i * 100, (i + 1) * 100, payload)
        blocks = [(0, (i + 1) * 100, dict.fromkeys(range(100), i + 1))]
        keeper.hand_over(blocks, 0.0)
    keeper.close(blocks, finished=False, steps_done=pieces * 100)
    produced = pieces * len(payload)
    assert store.bytes_written <= 1.2 * produced
    size = file.stat().st_size
    assert size < 2 * produced if grows else size < produced / 2
