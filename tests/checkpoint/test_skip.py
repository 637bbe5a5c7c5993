"""Checkpoints of runs that leave out what fails: the failures are kept with everything else."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import haydi as hd
from haydi.checkpoint import keeper as keeping
from haydi.checkpoint.keeper import open_checkpoint
from haydi.client.merging import Merger
from haydi.errors import ArgumentValueError, CheckpointError, StepFailure
from haydi.skipping import FAILURES_MOST, Skipping
from tests.checkpoint.test_resume import ACTIONS

STEPS = 60
BAD = (0, 7, 8, 31, 59)


def picky(x: int) -> int:
    if x in BAD:
        raise ZeroDivisionError(f"not {x}")
    return x * 7 % 11


def fails_often(x: int) -> int:
    return 1 // (x % 2)


def keep(file: Path, pipeline: hd.Pipeline[Any, Any], *ranges: tuple[int, int]) -> None:
    """Do some ranges of the steps, keep them as a run that skips would, and end."""
    keeper = open_checkpoint(file, pipeline, "skip")
    merger = Merger(keeper.plan.action)
    merger.restore(keeper.pieces())
    for start, stop in [pair for pair in ranges if pair[1] <= keeper.plan.steps]:
        partial = keeper.plan.execute(start, stop)
        keeper.add(start, stop, pickle.dumps(partial))
        merger.add(start, stop, partial)
        keeper.hand_over(merger.blocks(), 0.0)
    keeper.close(merger.blocks(), finished=False, steps_done=merger.steps)


def told(ctx: hd.SerialContext) -> list[tuple[int, str]]:
    assert ctx.last_report is not None
    assert ctx.last_report.failures_total == len(ctx.last_report.failures)
    return [(failure.step, failure.error) for failure in ctx.last_report.failures]


@pytest.mark.parametrize("name", ACTIONS)
def test_failures_of_all_starts_are_told(file: Path, name: str) -> None:
    pipeline = ACTIONS[name](hd.Range(STEPS).map(picky).iterate())
    ctx, resumed = hd.SerialContext(), hd.SerialContext()
    expected = pipeline.run(ctx, on_error="skip")
    keep(file, pipeline, (20, 40), (0, 5))
    keep(file, pipeline, (55, 60))
    for _ in range(2):  # the second one finds everything in the file
        assert repr(pipeline.run(resumed, checkpoint=file, on_error="skip")) == repr(expected)
        assert resumed.last_report is not None
        needed = resumed.last_report.coverage[0][1] if resumed.last_report.coverage else 0
        assert [f for f in told(resumed) if f[0] < needed] == [f for f in told(ctx) if f[0] < needed]
    assert resumed.last_report is not None
    assert resumed.last_report.shares["serial"].steps == 0


def test_another_treatment_of_errors_is_another_run(file: Path) -> None:
    pipeline = hd.Range(STEPS).map(picky).sum()
    pipeline.run(checkpoint=file, on_error="skip")
    with pytest.raises(CheckpointError, match=r"the on_error was 'skip', now it is 'raise'"):
        pipeline.run(checkpoint=file)


def test_what_cannot_be_said_of_errors_makes_no_file(file: Path) -> None:
    with pytest.raises(ArgumentValueError, match="on_error='sometimes'"):
        hd.Range(9).sum().run(checkpoint=file, on_error="sometimes")  # type: ignore[arg-type]
    assert not file.exists()


def test_failures_survive_when_the_merged_state_replaces_the_pieces(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "COMPACT_BYTES_LEAST", 1)
    monkeypatch.setattr(keeping, "COMPACT_FACTOR", 1)
    pipeline = hd.Range(10_000).map(fails_often).sum()
    keep(file, pipeline, *((x, x + 20) for x in range(0, 6000, 20)))
    ctx = hd.SerialContext()
    assert pipeline.run(ctx, checkpoint=file, on_error="skip") == 5000
    assert ctx.last_report is not None
    assert ctx.last_report.failures_total == 5000
    assert [f.step for f in ctx.last_report.failures] == [2 * i for i in range(FAILURES_MOST)]


def test_a_poison_step_of_workers_is_told_by_a_run_that_goes_on_in_this_process(file: Path) -> None:
    """Its element is found out as the workers' run would have done, and it is not run here."""
    pipeline = hd.Range(100, 200).map(picky).count()
    keeper = open_checkpoint(file, pipeline, "skip")
    action = keeper.plan.action
    assert isinstance(action, Skipping)
    died = StepFailure(step=17, stop=18, element=None, error="died", traceback="", host="h", pid=1, deaths=3)
    keeper.add(17, 18, keeper.dump(action.failed(died)))
    keeper.close([], finished=False, steps_done=1)
    ctx = hd.SerialContext()
    assert pipeline.run(ctx, checkpoint=file, on_error="skip") == 99
    assert ctx.last_report is not None
    assert [(f.step, f.element, f.deaths) for f in ctx.last_report.failures] == [(17, "117", 3)]


def test_this_process_takes_all_arguments_together(tmp_path: Path) -> None:
    ctx = hd.SerialContext()
    pipeline = hd.Range(4).map(fails_often).collect()
    for call in (
        ctx.run,
        lambda *a, **k: ctx.submit(*a, **k).result(60),
        lambda p, *a, **k: p.run(ctx, *a, **k),
    ):
        file = tmp_path / f"{id(call)}.haydi"
        assert call(pipeline, 60, file, on_error="skip", priority=2) == [1, 1]
    assert hd.Range(4).run(ctx, 60, tmp_path / "domain.haydi", on_error="skip", priority=2) == [0, 1, 2, 3]
