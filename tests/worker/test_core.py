"""The supervisor's core, event by event: what it does, says, and remembers of its steps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from haydi.ranges import RangeSet
from haydi.wire import messages as m
from haydi.wire.death import Death
from haydi.worker import core as c
from haydi.worker.marks import WORKING, Mark

DEATH = Death(1000, "host", signal="SIGKILL")
WELCOME = m.Welcome(m.PROTOCOL_VERSION, "1", "cluster", 1.0, 10.0, 1 << 20, 30.0)


class Bench:
    """A supervisor, and all it has done."""

    def __init__(self, slots: int = 1, *, ready: bool = True, **settings: Any) -> None:
        self.now = 100.0
        self.core = c.WorkerCore(c.WorkerSettings(want_seconds=0.0, **settings), slots, self.now)
        self.done_of: list[c.Effect] = []
        #: Strides that wait for an answer, by slot.
        self.waiting: list[list[c.StartStride]] = [[] for _ in range(slots)]
        self.hear(WELCOME)
        if ready:
            for slot in range(slots):
                self.take(self.core.ready(slot, 1000 + slot, self.now))

    def take(self, effects: list[c.Effect]) -> list[c.Effect]:
        self.core.check()
        if self.core.next_deadline() <= self.now:
            effects = effects + self.core.tick(self.now)
        self.done_of = [effect for effect in effects if not isinstance(effect, c.Note)]
        for effect in effects:
            if isinstance(effect, c.StartStride):
                self.waiting[effect.slot].append(effect)
        return self.done_of

    def hear(self, *messages: m.Message, after: float = 0.001) -> list[c.Effect]:
        """Messages of the scheduler; returns what is done after the last of them."""
        self.now += after
        for message in messages:
            self.take(self.core.handle(message, self.now))
        return self.done_of

    def tick(self, after: float = 0.0) -> list[c.Effect]:
        self.now += after
        return self.take(self.core.tick(self.now))

    def answer(
        self,
        slot: int = 0,
        stop: int | None = None,
        seconds: float = 0.05,
        flushed: tuple[int, int] = (0, 0),
        final: bool = False,
        payload: bytes = b"",
    ) -> list[c.Effect]:
        """The stride at work in a slot is done."""
        stride = self.waiting[slot].pop(0)
        self.now += seconds
        stop = stride.stop if stop is None else stop
        core = self.core
        core.handle(m.Heartbeat(), self.now)
        return self.take(
            core.done(slot, stride.number, stop, seconds, final, flushed, 0.0, payload, self.now)
        )

    def work(self, rate: float, slot: int = 0, payload: bytes = b"") -> list[c.Effect]:
        """The stride at work in a slot is done, as a compute process of this rate does it: flushed when asked."""
        stride = self.waiting[slot][0]
        place = self.core.slots[slot]
        follows = place.folded_run is None or place.folded_stop == stride.start
        steps = (
            min(stride.stop - stride.start, max(1, int(rate * min(stride.budget_seconds, 1e6))))
            if follows
            else 0
        )
        start, stop = place.folded_start if place.folded_run else stride.start, stride.start + steps
        flushed = (start, stop if follows else place.folded_stop)
        return self.answer(slot, stop, steps / rate, flushed if stride.flush else (0, 0), payload=payload)

    def fail(self, kind: str, stop: int, step: int, step_stop: int, slot: int = 0) -> list[c.Effect]:
        stride = self.waiting[slot].pop(0)
        return self.take(self.core.failed(slot, stride.number, kind, stop, step, step_stop, b"why", self.now))

    def die(
        self, slot: int = 0, after: float = 0.0, at: tuple[int, int] | None = None, kind: int = WORKING
    ) -> list[c.Effect]:
        """A process is killed; ``at`` are the steps that its mark names."""
        mark = None
        if at is not None:
            stride = self.waiting[slot][0]
            mark = Mark(kind, stride.number, at[0] - stride.start, at[1] - stride.start)
        self.now += after
        self.core.handle(m.Heartbeat(), self.now)
        self.waiting[slot].clear()
        return self.take(self.core.died(slot, DEATH, mark, self.now))

    def said(self) -> list[m.Message]:
        return [effect.message for effect in self.done_of if isinstance(effect, c.ToScheduler)]

    def lease(self, start: int, stop: int, run: int = 1, **plan: Any) -> list[c.Effect]:
        return self.hear(plan_of(run, **plan), m.Lease(run, start, stop))


def plan_of(
    run: int = 1,
    owner: int = 1,
    early: bool = False,
    skip: bool = False,
    flush_seconds: float = 0.1,
    priority: float = 1.0,
) -> m.RunPlan:
    return m.RunPlan(run, owner, early, skip, priority, flush_seconds, b"plan")


def strides(effects: list[c.Effect]) -> list[tuple[int, int]]:
    return [(effect.start, effect.stop) for effect in effects if isinstance(effect, c.StartStride)]


def busy_bench(steps: int = 100_000) -> Bench:
    """One slot that has found out its rate, 1000 steps a second, and has two strides in its pipe."""
    bench = Bench()
    bench.lease(0, steps)
    bench.answer(stop=10, seconds=0.01, flushed=(0, 10))
    return bench


# --- the connection ---------------------------------------------------------------------------------------


def test_a_new_daemon_wants_work_before_its_processes_are_there():
    bench = Bench(2, ready=False)
    assert bench.said() == [m.Want(0, 0, ())]
    assert bench.take(bench.core.ready(0, 1, bench.now)) == [c.ToScheduler(m.Want(1, 0, ()))]
    assert bench.take(bench.core.ready(1, 2, bench.now)) == [c.ToScheduler(m.Want(2, 0, ()))]


def test_a_wish_waits_a_moment_for_company():
    core = c.WorkerCore(c.WorkerSettings(want_seconds=0.002), 1, 0.0)
    core.handle(WELCOME, 0.0)
    assert core.next_deadline() == pytest.approx(0.002)
    assert core.tick(0.001) == []
    assert core.tick(0.002) == [c.ToScheduler(m.Want(0, 0, ()))]
    assert core.next_deadline() == pytest.approx(1.0)


def test_nothing_is_said_before_a_welcome():
    core = c.WorkerCore(c.WorkerSettings(), 1, 0.0)
    assert core.ready(0, 1, 0.1) == []
    assert core.handle(m.Steal(1, 0.5), 0.2) == []
    assert core.next_deadline() <= 1.0


def test_heartbeats_are_sent():
    bench = Bench()
    assert bench.core.next_deadline() <= bench.now + 1.0
    assert bench.tick(1.0) == [c.ToScheduler(m.Heartbeat())]
    assert bench.tick(0.5) == []


def test_a_silent_scheduler_is_given_up_and_looked_for():
    bench = busy_bench()
    for _ in range(9):
        assert bench.tick(1.0) == [c.ToScheduler(m.Heartbeat())]
    done = bench.tick(1.5)
    assert not bench.core.runs
    assert c.Forget(0, 1) in done
    calls = [effect for effect in done if isinstance(effect, c.Reconnect)]
    for _ in range(290):
        calls += [effect for effect in bench.tick(1.0) if isinstance(effect, c.Reconnect)]
    assert [call.epoch for call in calls] == list(range(2, 2 + len(calls))), "each is of an epoch of its own"
    assert 290 / 5 < len(calls) < 290 / 3, "not too often"
    ends = [effect for _ in range(20) for effect in bench.tick(1.0) if isinstance(effect, c.Exit)]
    assert [end.code for end in ends] == [3]
    assert "no scheduler answered for 30" in ends[0].reason


@pytest.mark.parametrize(
    ("message", "code"), [(m.Refused("too old"), 4), (m.Stop("it is evening"), 0)], ids=["refused", "stop"]
)
def test_it_ends_when_told(message: m.Message, code: int):
    bench = Bench()
    (end,) = bench.hear(message)
    assert isinstance(end, c.Exit)
    assert end.code == code


def test_it_leaves_with_a_goodbye_and_then_is_silent():
    bench = busy_bench()
    assert bench.take(bench.core.leave(bench.now)) == [c.ToScheduler(m.Goodbye())]
    assert strides(bench.answer()) == []
    assert bench.hear(m.Unknown()) == []
    assert bench.die() == []
    assert bench.tick(5.0) == []


# --- a lease ----------------------------------------------------------------------------------------------


def test_a_lease_is_worked_through_in_strides():
    bench = Bench()
    load, first = bench.lease(0, 100_000)
    assert load == c.Load(0, 1, b"plan")
    assert isinstance(first, c.StartStride)
    assert first.flush, "the first tells how fast it goes"
    # It ends early by its budget; then the rate is known, and there are two in the pipe.
    done = bench.answer(stop=100, seconds=0.01, flushed=(0, 100), payload=b"result")
    assert bench.said() == [m.Report(1, 0, 100, 0.01, b"result")]
    assert strides(done) == [(100, 600), (600, 1100)]
    done = bench.answer()
    assert bench.said() == [], "what is folded stays there for a while"
    assert strides(done) == [(1100, 1600)]


def test_folded_strides_are_flushed_together():
    bench = busy_bench()
    flushed = None
    while not flushed:
        stride = bench.waiting[0][0]
        flushed = (10, stride.stop) if stride.flush else None
        bench.work(1000, payload=b"all")
    (report,) = [message for message in bench.said() if isinstance(message, m.Report)]
    assert (report.start, report.stop, report.payload) == (10, flushed[1], b"all")
    assert report.seconds >= 0.1


def test_the_last_stride_is_flushed_and_more_is_wanted():
    bench = Bench()
    bench.lease(0, 10)
    bench.answer(stop=5, flushed=(0, 5))
    while bench.waiting[0]:
        bench.work(100)
    assert not bench.core.runs[1].owned
    assert m.Want(1, 1, (1,)) in bench.said()


def test_low_runs_are_named_once():
    bench = Bench(2)
    bench.lease(0, 10_000)
    bench.lease(0, 1000, run=2)
    for slot in (0, 1):
        stride = bench.waiting[slot][0]
        bench.answer(slot, stop=stride.start + 100, seconds=0.01, flushed=(stride.start, stride.start + 100))
    wants = [message for message in bench.said() if isinstance(message, m.Want)]
    assert all(want.low in ((), (2,)) for want in wants)


def test_slots_share_what_there_is():
    bench = Bench(4)
    done = bench.lease(0, 1000)
    starts = [start for start, _ in strides(done)]
    assert len(starts) == 4
    assert len(set(starts)) == 4
    bench.core.check()


def test_a_stride_that_ends_early_is_continued_where_it_ended():
    bench = busy_bench()
    (first, second) = [(s.start, s.stop) for s in bench.waiting[0]]
    bench.answer(stop=first[0] + 3)
    done = bench.answer(stop=second[0])  # it does not follow what is folded, so it was not begun
    begun = strides(done)
    assert begun, "the slot goes on"
    assert bench.core.runs[1].owned.contains(first[0], 100_000)


def test_steps_of_any_size():
    bench = Bench()
    huge = 1 << 3000
    bench.lease(0, huge)
    for _ in range(600):
        stride = bench.waiting[0][0]
        folded = bench.core.slots[0].folded_start if bench.core.slots[0].folded_run else stride.start
        bench.answer(seconds=1e-5, flushed=(folded, stride.stop) if stride.flush else (0, 0))
        if not bench.waiting[0]:
            break
    assert not bench.core.runs[1].owned, "the rate is found out in a number of strides like its logarithm"


# --- giving up --------------------------------------------------------------------------------------------


def test_a_share_of_what_is_not_begun_is_given_up():
    bench = busy_bench()
    begun = bench.waiting[0][-1].stop
    bench.hear(m.Steal(1, 0.5))
    (released,) = [message for message in bench.said() if isinstance(message, m.Released)]
    ((start, stop),) = released.ranges
    assert stop == 100_000
    assert start - begun == pytest.approx((100_000 - begun) / 2, abs=2)
    assert list(bench.core.runs[1].owned) == [(10, start)]


def test_the_last_step_is_given_up_too():
    bench = Bench(stride_seconds=0.05)
    bench.lease(0, 2)
    assert bench.waiting[0][0].stop == 1
    bench.hear(m.Steal(1, 0.1))
    assert m.Released(1, ((1, 2),)) in bench.said()
    bench.hear(m.Steal(1, 0.9))
    assert m.Released(1, ()) in bench.said()


def test_who_does_not_know_the_run_gives_up_nothing():
    bench = Bench()
    bench.hear(m.Steal(5, 0.5))
    assert bench.said() == [m.Released(5, ())]


# --- the end of a run -------------------------------------------------------------------------------------


def test_the_end_of_a_run_interrupts_its_strides():
    bench = busy_bench()
    last = bench.waiting[0][-1].number
    done = bench.hear(m.End(1))
    assert done[:2] == [c.Interrupt(0, last), c.Forget(0, 1)]
    assert bench.core.next_deadline() <= bench.now + 0.5
    bench.answer(stop=bench.waiting[0][0].start)
    bench.answer(stop=bench.waiting[0][0].start)
    assert not any(isinstance(effect, c.Kill) for effect in bench.tick(0.6))


def test_who_does_not_answer_an_interrupt_is_killed():
    bench = busy_bench()
    bench.hear(m.End(1))
    assert not any(isinstance(effect, c.Kill) for effect in bench.tick(0.4))
    assert c.Kill(0, "did not answer an interrupt") in bench.tick(0.11)
    assert bench.die() == [c.Spawn(0)]


def test_nobody_is_killed_whose_answer_is_not_read():
    bench = busy_bench()
    bench.lease(0, 1000, run=2, owner=2)
    while not bench.core.congested:
        bench.work(1000, payload=b"x" * 300_000)
    bench.hear(m.End(bench.waiting[0][0].run))
    for _ in range(5):
        assert not any(isinstance(effect, c.Kill) for effect in bench.tick(1.0))
        bench.hear(m.Heartbeat())
    bench.hear(m.Credit(1 << 30))
    assert any(isinstance(effect, c.Kill) for effect in bench.tick(1.0))


def test_a_stride_that_comes_too_late_for_a_dead_process_is_not_to_blame():
    bench = Bench()
    bench.lease(0, 1000)
    for _ in range(5):
        bench.work(1000)
        assert bench.waiting[0]
        bench.die()  # the same instant: its last answer was read together with the news of its death
        bench.take(bench.core.ready(0, 2000, bench.now))
        bench.tick(1.5)
        bench.take(bench.core.ready(0, 2000, bench.now))
    assert not bench.core.runs[1].suspects


def test_a_slow_stride_that_ignores_interrupts_is_killed_when_its_run_is_over():
    """It was told to stop before, when it was only slow, and was left alone then."""
    bench = Bench(2)
    bench.lease(0, 100_000)
    for slot in (0, 1):
        start = bench.waiting[slot][0].start
        bench.answer(slot, stop=start + 10, seconds=0.01, flushed=(start, start + 10))
    bench.core.foreman.recut(bench.now + 100.0)
    slow = next(place for place in bench.core.slots if place.interrupted >= 0)
    bench.hear(m.End(1))
    assert c.Kill(slow.index, "did not answer an interrupt") in bench.tick(0.6)


def test_at_a_drain_slots_flush_what_they_have_folded_and_the_rest_is_given_up():
    bench = busy_bench(1000)
    first, second = bench.waiting[0]
    bench.answer(stop=first.stop, seconds=0.05)
    assert bench.hear(m.Drain(1)) == [c.Interrupt(0, bench.waiting[0][-1].number)]
    for stride in (second, bench.waiting[0][-1]):  # what was cut off is as if it had never begun
        bench.answer(stop=stride.start, seconds=0.0)
    (flush,) = bench.waiting[0]
    assert (flush.start, flush.stop, flush.flush) == (first.stop, first.stop, True)
    bench.answer(flushed=(10, first.stop), payload=b"sum")
    assert bench.said()[:2] == [
        m.Report(1, 10, first.stop, 0.05, b"sum"),
        m.Released(1, ((first.stop, 1000),)),
    ]
    assert not bench.core.runs[1].owned
    assert not strides(bench.hear(m.Heartbeat()))


def test_a_drain_of_a_run_that_is_not_begun_gives_all_of_it_up():
    bench = Bench(ready=False)
    bench.lease(0, 1000)
    bench.hear(m.Drain(1))
    assert m.Released(1, ((0, 1000),)) in bench.said()
    assert bench.hear(m.Drain(1), m.Drain(7)) == []


def test_what_is_behind_a_trim_is_dropped():
    bench = busy_bench()
    begun = bench.waiting[0][-1].stop
    bench.hear(m.Trim(1, 1000))
    assert list(bench.core.runs[1].owned) == [(10, 1000)]
    bench.hear(m.Trim(1, 50))
    assert list(bench.core.runs[1].owned) == [(10, begun)], "what is in a stride is answered for"


def test_what_comes_back_from_behind_a_trim_is_not_run_again():
    bench = busy_bench()
    first, second = bench.waiting[0]
    bench.hear(m.Trim(1, first.start + 5))
    bench.answer(stop=first.start + 2)
    bench.answer(stop=second.start)
    run = bench.core.runs[1]
    assert not run.pool.overlaps(first.start + 5, 100_000)
    assert run.owned.size == 5


def test_answers_from_before_a_rejoin_count_for_nothing():
    """The same run comes again by the new connection, while the old stride is still at work."""
    bench = busy_bench()
    old = bench.waiting[0][0]
    assert c.Reconnect(2) in bench.hear(m.Unknown())
    bench.hear(WELCOME)
    bench.lease(0, 100_000)
    bench.answer(stop=old.stop, flushed=(10, old.stop), payload=b"old")
    assert bench.said() == []
    assert list(bench.core.runs[1].owned) == [(0, 100_000)]
    assert bench.core.flying_bytes == 0


# --- failures ---------------------------------------------------------------------------------------------


def test_a_failing_step_is_told_and_the_steps_before_it_are_run():
    bench = busy_bench()
    first, second = bench.waiting[0]
    bench.fail("user", stop=first.start + 5, step=first.start + 9, step_stop=first.start + 10)
    assert m.Failed(1, first.start + 9, first.start + 10, "user", b"why") in bench.said()
    run = bench.core.runs[1]
    assert list(run.failed) == [(first.start + 9, first.stop)]
    assert next(iter(run.pool)) == (first.start + 5, first.start + 9)
    bench.answer(stop=second.start)
    assert run.pool.first == first.start + 5


def test_a_plan_that_cannot_be_loaded_is_told():
    bench = Bench()
    bench.lease(0, 10)
    stride = bench.waiting[0][0]
    bench.fail("load", stop=0, step=0, step_stop=stride.stop)
    assert m.Failed(1, 0, stride.stop, "load", b"why") in bench.said()


def test_a_partial_that_cannot_be_sent_is_told_with_all_it_stands_for():
    bench = busy_bench()
    bench.answer()
    folded = bench.core.slots[0].folded_stop
    stride = bench.waiting[0][0]
    bench.fail("result", stop=stride.stop, step=10, step_stop=stride.stop)
    assert m.Failed(1, 10, stride.stop, "result", b"why") in bench.said()
    assert folded > 10
    assert bench.core.runs[1].failed.contains(10, stride.stop)


def test_the_run_with_number_zero_is_a_run():
    bench = Bench()
    bench.lease(0, 1000, run=0)
    bench.answer(stop=10, seconds=0.01, flushed=(0, 10))
    bench.answer()
    stride = bench.waiting[0][0]
    bench.fail("result", stop=stride.start, step=10, step_stop=stride.start)
    assert m.Failed(0, 10, stride.start, "result", b"why") in bench.said()


# --- death of a process -----------------------------------------------------------------------------------


def test_what_a_dead_process_had_runs_again():
    bench = busy_bench()
    bench.answer()
    bench.answer()
    assert bench.die() == [c.Spawn(0)]
    assert list(bench.core.runs[1].pool) == [(10, 100_000)]
    done = bench.take(bench.core.ready(0, 2000, bench.now))
    assert strides(done)[0][0] == 10
    assert c.Load(0, 1, b"plan") in done


def test_a_process_that_dies_again_at_once_is_replaced_with_patience():
    bench = Bench()
    assert bench.die() == [c.Spawn(0)]
    assert bench.die(after=0.1) == []
    assert bench.core.next_deadline() <= bench.now + 1.0
    assert bench.tick(0.5) == []
    assert c.Spawn(0) in bench.tick(0.5)


# --- slow steps -------------------------------------------------------------------------------------------


def slow_bench() -> Bench:
    """Two slots; the second has nothing to do, the first is in a stride of many steps."""
    bench = Bench(2)
    bench.lease(0, 100)
    bench.answer(0, stop=10, seconds=0.001, flushed=(0, 10))
    while bench.waiting[1]:
        bench.work(100_000, slot=1)
    return bench


def test_a_stride_that_became_slow_is_cut_while_somebody_is_idle():
    bench = slow_bench()
    place = bench.core.slots[0]
    assert len(place.strides[0].run.owned) >= 1
    assert bench.waiting[0][0].stop - bench.waiting[0][0].start > 1
    at = bench.core.next_deadline()
    while at - bench.now < 0.4:
        bench.tick(max(0.0, at - bench.now))
        at = bench.core.next_deadline()
    done = bench.tick(at - bench.now)
    assert any(isinstance(effect, c.Interrupt) and effect.slot == 0 for effect in done)
    assert not any(isinstance(effect, c.Kill) for effect in bench.tick(5.0)), "slow is not wrong"


def test_a_single_step_is_never_cut():
    bench = Bench(2)
    bench.lease(0, 1)
    for _ in range(20):
        assert not any(isinstance(effect, c.Interrupt) for effect in bench.tick(1.0))
        bench.hear(m.Heartbeat())
        assert bench.core.next_deadline() > bench.now


# --- shares, credit ---------------------------------------------------------------------------------------


def test_slots_turn_to_the_client_served_least():
    bench = Bench()
    bench.lease(0, 10**6, run=1, owner=1)
    bench.answer(stop=100, seconds=0.01, flushed=(0, 100))
    bench.lease(0, 10**6, run=2, owner=2)
    served = {1: 0.0, 2: 0.0}
    for _ in range(400):
        before, run = bench.now, bench.waiting[0][0].run
        bench.work(10_000)
        served[run] += bench.now - before
    assert served[2] / served[1] == pytest.approx(1.0, abs=0.15)


def test_too_many_bytes_on_their_way_are_congestion():
    bench = busy_bench()
    while not bench.core.congested:
        bench.work(1000, payload=b"x" * 300_000)
    assert bench.core.flying_bytes >= 1 << 20
    bench.hear(m.Credit(300_000))
    assert not bench.core.congested
    bench.hear(m.Credit(1 << 40))
    assert bench.core.flying_bytes == 0


def test_an_early_run_reports_each_stride():
    bench = Bench()
    bench.lease(0, 100, early=True)
    first = bench.waiting[0][0]
    assert first.flush
    bench.answer(stop=first.stop, flushed=(0, first.stop), final=True, payload=b"found")
    assert m.Report(1, 0, first.stop, 0.05, b"found") in bench.said()


def test_what_is_behind_a_final_partial_is_left_to_the_client():
    bench = Bench()
    bench.lease(0, 100, early=True)
    first = bench.waiting[0][0]
    bench.answer(stop=5, flushed=(0, 5), final=True, payload=b"found")
    assert RangeSet([(5, first.stop)]) == bench.core.runs[1].failed
    bench.hear(m.Trim(1, 5))
    assert not bench.core.runs[1].failed


def test_a_snapshot_is_plain_data():
    bench = busy_bench()
    snapshot = json.loads(json.dumps(bench.core.snapshot()))
    assert snapshot["slots"] == snapshot["busy"] == 1
    assert snapshot["runs"]["1"]["rate"] == pytest.approx(1000, rel=0.01)
