"""The supervisor's core and processes that die: what is suspected, run alone, named, and what is not."""

from __future__ import annotations

import pytest

from haydi.wire import messages as m
from haydi.wire.death import Death
from haydi.worker import core as c
from haydi.worker.marks import FLUSHING, LOADING
from haydi.worker.suspects import Suspect
from tests.worker.test_core import Bench, busy_bench, strides


def reborn(bench: Bench, slot: int = 0) -> list[c.Effect]:
    return bench.take(bench.core.ready(slot, 2000, bench.now))


def told(bench: Bench) -> list[m.Failed]:
    return [message for message in bench.said() if isinstance(message, m.Failed)]


def cautious(effects: list[c.Effect]) -> list[tuple[int, int]]:
    return [(e.start, e.stop) for e in effects if isinstance(e, c.StartStride) and e.cautious]


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("skip", [True, False])
def test_a_poison_step_is_named_and_all_others_are_done(marked: bool, skip: bool) -> None:
    bench = Bench()
    bench.lease(0, 1000, skip=skip)
    run = bench.core.runs[1]
    failures: list[m.Failed] = []
    deaths = 0
    while bench.waiting[0]:
        stride = bench.waiting[0][0]
        if stride.start <= 700 < stride.stop:
            deaths += 1
            size = -(-(stride.stop - stride.start) // 64) if stride.cautious else 16
            start = stride.start + (700 - stride.start) // size * size
            bench.die(after=2.0, at=(start, min(start + size, stride.stop)) if marked else None)
            failures += told(bench)
            reborn(bench)
        else:
            bench.work(1000)
    (failed,) = failures
    assert (failed.kind, failed.start, failed.stop) == ("died", 700, 701)
    death = Death.unpack(failed.payload)
    assert (death.signal, death.times) == ("SIGKILL", 3)
    assert deaths <= (5 if marked else 3 + 10 + 3)
    assert list(run.owned) == ([] if skip else [(700, 701)])
    assert not run.suspects


def test_a_suspect_is_run_alone() -> None:
    bench = busy_bench()
    bench.answer()
    stride = bench.waiting[0][0]
    bench.die(after=2.0, at=(stride.start + 16, stride.start + 32))
    done = reborn(bench)
    assert cautious(done) == strides(done) == [(stride.start + 16, stride.start + 32)]
    assert all(e.flush for e in done if isinstance(e, c.StartStride))
    bench.hear(m.Heartbeat())
    assert len(bench.waiting[0]) == 1, "nothing waits behind it"
    bench.answer(flushed=(stride.start + 16, stride.start + 32))
    assert not bench.core.runs[1].suspects
    assert strides(bench.done_of)


def test_random_deaths_blame_nobody() -> None:
    """Each stride that died once is done the next time: no matter how many die, nothing has failed."""
    bench = Bench()
    bench.lease(0, 2000)
    for turn in range(400):
        if not bench.waiting[0]:
            break
        if turn % 2 == 0 and not bench.waiting[0][0].cautious:
            bench.die(after=2.0)
            assert not told(bench)
            reborn(bench)
        bench.work(1000)
    assert not bench.core.runs[1].owned


def test_a_process_of_others_does_not_wait_for_a_suspect() -> None:
    bench = Bench(2)
    bench.lease(0, 1000)
    for slot in (0, 1):
        stride = bench.waiting[slot][0]
        bench.answer(slot, stop=stride.start + 10, seconds=0.01, flushed=(stride.start, stride.start + 10))
    stride = bench.waiting[0][0]
    bench.die(0, after=2.0, at=(stride.start, stride.start + 1))
    for _ in range(30):  # while the new process is being born the other slot does the rest
        if not bench.waiting[1]:
            break
        bench.work(1000, slot=1)
    assert list(bench.core.runs[1].suspects) == [Suspect(stride.start, stride.start + 1, 1)]
    assert cautious(reborn(bench)) == [(stride.start, stride.start + 1)], "it is for the fresh one"


def test_a_process_that_had_begun_nothing_is_not_blamed() -> None:
    bench = busy_bench()
    first = bench.waiting[0][0]
    bench.die(after=2.0, at=(first.start, first.start))  # the mark is of no step
    assert not bench.core.runs[1].suspects
    bench = busy_bench()
    bench.waiting[0][0] = c.StartStride(0, bench.waiting[0][0].number - 1, 1, 0, 10, 1.0, True)
    bench.die(after=2.0, at=(5, 6))  # the mark is of the stride before, which was answered
    assert not bench.core.runs[1].suspects


def test_a_process_that_we_end_is_not_blamed() -> None:
    """It swallowed an interrupt after a Trim, say; the steps may be as good as any."""
    bench = Bench()
    bench.lease(0, 100, early=True)
    bench.hear(m.Lease(1, 200, 300))
    while not any(stride.start >= 200 for stride in bench.waiting[0]):
        bench.work(1000)
    bench.hear(m.Trim(1, 200))
    done = bench.tick(0.6)
    assert any(isinstance(effect, c.Kill) for effect in done)
    stride = bench.waiting[0][0]
    bench.die(at=(stride.start, stride.start + 1))
    assert not told(bench)
    assert not bench.core.runs[1].suspects


def test_what_is_not_needed_any_more_is_not_suspected() -> None:
    bench = Bench()
    bench.lease(0, 100, early=True)
    stride = bench.waiting[0][0]
    bench.die(after=2.0, at=(stride.start, stride.stop))
    assert bench.core.runs[1].suspects
    bench.hear(m.Trim(1, stride.start + 3))
    assert [s.stop for s in bench.core.runs[1].suspects] == [stride.start + 3]
    bench.hear(m.End(1))
    assert not reborn(bench)[1:]


def test_a_result_that_kills_is_the_fault_of_its_steps() -> None:
    bench = busy_bench()
    bench.answer()
    run = bench.core.runs[1]
    folded = bench.core.slots[0].folded_start
    stride = bench.waiting[0][0]
    bench.die(after=2.0, at=(folded, stride.stop), kind=FLUSHING)
    assert list(run.suspects) == [Suspect(folded, stride.stop, 1)]


def test_a_plan_that_kills_is_no_fault_of_a_step() -> None:
    bench = Bench()
    bench.lease(0, 1000)
    failures: list[m.Failed] = []
    for _ in range(3):
        stride = bench.waiting[0][0]
        bench.die(after=2.0, at=(stride.start, stride.start), kind=LOADING)
        assert not bench.core.runs[1].suspects
        failures += told(bench)
        reborn(bench)
    (failed,) = failures
    assert failed.kind == "loading"
    assert Death.unpack(failed.payload).times == 3


def test_random_deaths_do_not_blame_a_plan() -> None:
    bench = Bench()
    bench.lease(0, 1000)
    for _ in range(6):
        stride = bench.waiting[0][0]
        bench.die(after=2.0, at=(stride.start, stride.start), kind=LOADING)
        assert not told(bench)
        reborn(bench)
        bench.answer(stop=bench.waiting[0][0].start + 1)
        bench.die(after=2.0)
        reborn(bench)
    many = Bench(8)
    many.lease(0, 100_000)
    for _ in range(2):
        for slot in range(8):  # somebody kills all there are
            at = [(s.start, s.start) for s in many.waiting[slot]]
            many.die(slot, at=at[0] if at else None, kind=LOADING)
            assert not told(many)
        for slot in range(8):
            many.now += 2.0
            reborn(many, slot)


def test_deaths_allowed_is_a_setting() -> None:
    bench = Bench(deaths_allowed=1)
    bench.lease(0, 1)
    bench.die(after=2.0, at=(0, 1))
    (failed,) = told(bench)
    assert (failed.start, failed.stop) == (0, 1)


# --- memory -----------------------------------------------------------------------------------------------


def test_a_process_above_its_limit_is_ended_and_its_step_told_with_the_figure() -> None:
    bench = Bench(memory_bytes=2 << 30, deaths_allowed=1)
    bench.lease(0, 1)
    assert bench.core.weighed(0, 2 << 30, bench.now) == []
    (kill,) = bench.core.weighed(0, 2254857830, bench.now)
    assert kill == c.Kill(0, "uses 2.1 GiB of 2.0 GiB")
    assert bench.core.weighed(0, 1 << 20, bench.now) == [], "once is enough, and the figure stays"
    bench.die(after=0.1, at=(0, 1))
    (failed,) = told(bench)
    death = Death.unpack(failed.payload)
    assert death.memory == "2.1 GiB of 2.0 GiB"
    assert death.describe() == "was ended for using too much memory (used 2.1 GiB of 2.0 GiB)"


def test_without_a_limit_nobody_is_too_large() -> None:
    bench = Bench()
    bench.lease(0, 1)
    assert bench.core.weighed(0, 1 << 50, bench.now) == []


def test_an_idle_process_that_is_too_large_is_replaced_and_nobody_blamed() -> None:
    bench = Bench(memory_bytes=1 << 30)
    assert [type(e) for e in bench.core.weighed(0, 2 << 30, bench.now)] == [c.Kill]
    assert c.Spawn(0) in bench.die(after=2.0)
    assert not told(bench)


# --- at the end of the time of a run ----------------------------------------------------------------------


def test_a_drain_gives_suspects_up() -> None:
    bench = Bench()
    bench.lease(0, 1000)
    stride = bench.waiting[0][0]
    bench.die(after=2.0, at=(stride.start, stride.start + 16))
    bench.hear(m.Drain(1))
    assert m.Released(1, ((0, 1000),)) in bench.said()
    assert not bench.core.runs[1].suspects


def test_a_drain_interrupts_the_trial_of_a_suspect_and_the_rest_is_given_up() -> None:
    bench = Bench()
    bench.lease(0, 1000)
    bench.die(after=2.0, at=(0, 16))
    (trial,) = [e for e in reborn(bench) if isinstance(e, c.StartStride)]
    assert trial.cautious
    assert bench.hear(m.Drain(1)) == [c.Interrupt(0, trial.number)]
    bench.answer(stop=4, flushed=(0, 4), payload=b"some")
    assert [type(message) for message in bench.said()][:2] == [m.Report, m.Released]
    assert not bench.core.runs[1].owned


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("skip", [True, False])
def test_a_death_while_a_run_drains_keeps_nothing_back(times: int, skip: bool) -> None:
    """The last death that it takes names the step even then; one before that says nothing any more."""
    bench = Bench()
    bench.lease(7, 20, skip=skip)
    for _ in range(times - 1):
        bench.die(after=2.0, at=(7, 8))
        reborn(bench)
    bench.hear(m.Drain(1))
    bench.die(after=0.1, at=(7, 8))
    said = [message for message in bench.said() if not isinstance(message, m.Want)]
    if times == 1:
        assert said == [m.Released(1, ((7, 20),))]
    else:
        failed, released = said
        assert isinstance(failed, m.Failed)
        assert (failed.kind, failed.start, failed.stop) == ("died", 7, 8)
        assert released == m.Released(1, ((8 if skip else 7, 20),))
    assert not bench.core.runs[1].owned


def test_time_of_a_death_is_charged_by_priority_too() -> None:
    bench = Bench()
    bench.lease(0, 1000, priority=4.0)
    bench.die(after=2.0, at=(0, 16))
    assert bench.core.runs[1].service_seconds == pytest.approx(0.5, abs=0.01)
