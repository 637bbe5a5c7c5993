"""Chaos itself: a short run, and that it notices what it is there to notice."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

import haydi as hd
from tests.chaos.book import Book
from tests.chaos.choices import FAULTS, NETWORK_FAULTS, choices
from tests.chaos.jobs import JOBS, Job, check

ROOT = Path(__file__).resolve().parents[2]
QUIET = ("--owners", "0", "--daemons", "1", "--clients", "1", "--mean", "1000")


def chaos(logs: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--logs", str(logs), *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip


# --- bookkeeping ------------------------------------------------------------------------------------------


def book() -> tuple[Book, list[str]]:
    lines: list[str] = []
    return Book(bound_seconds=60.0, write=lines.append), lines


def test_a_book_of_right_results_is_in_order() -> None:
    kept, lines = book()
    kept.waits("client-1", "sum", 10.0)
    kept.fault("daemon SIGKILL", "daemon-1", 11.0)
    kept.over(12.0)
    assert kept.hung(70.0) == []
    kept.ran("client-1", "sum", "right", "", 15.0)
    assert (kept.failed, kept.longest_recovery_seconds, kept.longest_run_seconds) == (False, 3.0, 5.0)
    assert kept.hung(1000.0) == []
    assert "all results right" in kept.summary()
    assert "daemon SIGKILL 1" in kept.summary()
    assert len(lines) == 2


@pytest.mark.parametrize("what", ["wrong", "error"])
def test_a_book_with_another_result_is_not(what: str) -> None:
    kept, _ = book()
    kept.ran("client-1", "count", "right", "", 1.0)
    kept.ran("client-1", "sum", what, "7 came instead of 8", 2.0)
    assert kept.failed
    assert "7 came instead of 8" in kept.summary()
    assert kept.runs.total() == 1


def test_a_book_knows_who_waits_too_long() -> None:
    kept, _ = book()
    kept.waits("client-1", "start", 0.0)
    kept.waits("client-2", "sum", 5.0)
    assert [text.split()[0] for text in kept.hung(61.0)] == ["client-1"]
    kept.gone("client-1")
    assert kept.hung(61.0) == []
    assert [text.split()[0] for text in kept.hung(66.0)] == ["client-2"]


def test_a_book_without_runs_proves_nothing() -> None:
    kept, _ = book()
    assert kept.failed
    assert "no run was completed" in kept.summary()


@pytest.mark.parametrize("network", [False, True])
def test_a_seed_gives_the_same_choices(network: bool) -> None:
    first, second, other = (list(islice(choices(seed, 1.0, network), 2000)) for seed in (7, 7, 8))
    assert first == second != other
    assert {choice.kind for choice in first} == set(FAULTS | (NETWORK_FAULTS if network else {}))
    assert all(0 <= choice.where < 1 and 0.1 <= choice.between(0.1, 12.0) <= 12.0 for choice in first)
    assert first[0].of([]) is None


# --- jobs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", sorted(set(JOBS) - {"poison", "skip-poison"})
)  # those would end this process
def test_a_job_is_right_in_this_process(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.chaos.jobs.STEP_SECONDS", 0.0)
    for seed in range(5):
        outcome = check(JOBS[name](random.Random(seed)), hd.SerialContext())
        assert outcome.what == "right", outcome.text


@pytest.mark.parametrize(
    ("job", "what", "text"),
    [
        (Job(hd.Range(5).sum(), 11), "wrong", "10 came instead of 11"),
        (Job(hd.Range(5).collect(), [0, 1, 2, 3, 4, 5]), "wrong", r"missing \[5\]"),
        (Job(hd.Range(5).sum(), KeyError), "wrong", "10 came instead of KeyError"),
        (Job(hd.Range(5).map(lambda x: 1 // x).sum(), 5), "error", "ZeroDivisionError"),
        (Job(hd.Range(5).map(lambda x: 4 // x).count(), 4, True), "wrong", r"the steps \(0,\) are reported"),
    ],
)
def test_a_result_that_is_not_the_known_one_is_noticed(job: Job, what: str, text: str) -> None:
    outcome = check(job, hd.SerialContext())
    assert outcome.what == what
    assert re.search(text, outcome.text)


# --- real runs --------------------------------------------------------------------------------------------


def test_a_wrong_result_is_noticed(tmp_path: Path, no_leftovers: object) -> None:
    done = chaos(tmp_path, *QUIET, "--minutes", "0.05", "--claim", "wrong")
    assert done.returncode == 1, done.stdout
    assert re.search(r"FAILED at .*: wrong: \S+ of client-", done.stdout)
    assert "left behind" not in done.stdout


def test_a_hang_is_noticed_and_tells_where(tmp_path: Path, no_leftovers: object) -> None:
    done = chaos(tmp_path, *QUIET, "--minutes", "5", "--bound", "3", "--claim", "stuck")
    assert done.returncode == 1, done.stdout
    assert re.search(r"hang: client-\d+ has waited \d+ s for", done.stdout)
    assert "most recent call first" in done.stdout, "where the client is"
    assert re.search(r"---- scheduler-1 \(up\)", done.stdout)


@pytest.mark.slow
def test_leftovers_are_noticed(tmp_path: Path, no_leftovers: object) -> None:
    done = chaos(tmp_path, *QUIET, "--minutes", "0.1", "--claim", "orphan")
    assert done.returncode == 1, done.stdout
    for what in ("process", "temporary file", "shared memory"):
        assert re.search(f"left behind: {what}", done.stdout), what


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, no_leftovers: object) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.chaos", "--logs", str(tmp_path), "--daemons", "2", "--clients", "1"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        for line in running.stdout:
            if "is right" in line:
                break
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
        assert running.wait(30) == 130
    assert "interrupted" in rest


@pytest.mark.slow
def test_chaos_for_a_while(tmp_path: Path, no_leftovers: object) -> None:
    done = chaos(
        tmp_path,
        "--minutes",
        "0.35",
        "--seed",
        "1",
        "--daemons",
        "2",
        "--clients",
        "2",
        "--owners",
        "0",
        "--mean",
        "0.8",
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"s, \d+ runs, \d+ faults", done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="network namespaces take root")
def test_chaos_among_hosts(tmp_path: Path, no_leftovers: object) -> None:
    done = chaos(
        tmp_path,
        "--netns",
        "--minutes",
        "0.35",
        "--seed",
        "1",
        "--daemons",
        "2",
        "--clients",
        "1",
        "--owners",
        "0",
    )
    assert done.returncode == 0, done.stdout
    if done.stdout.startswith("skipped"):
        pytest.skip(done.stdout.strip())
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in names.splitlines() if line.startswith("haydi-") and not _lives(line)]


def _lives(line: str) -> bool:
    """Whether the chaos that made a namespace is still there: somebody else may play at the same time."""
    return os.path.exists(f"/proc/{line.split('-')[1]}")
