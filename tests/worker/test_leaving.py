"""A daemon that leaves: what it gives back, what it still sends, and when it is gone."""

from __future__ import annotations

import math
from typing import Any

import pytest

from haydi.ranges import RangeSet
from haydi.wire import messages as m
from haydi.worker import core as c
from tests.worker.test_core import WELCOME, Bench, busy_bench


def leave(bench: Bench) -> list[m.Message]:
    bench.take(bench.core.retire("SIGTERM", bench.now))
    return bench.said()


def exits(effects: list[c.Effect]) -> list[c.Exit]:
    return [effect for effect in effects if isinstance(effect, c.Exit)]


def pass_time(bench: Bench, seconds: float) -> list[c.Effect]:
    """All that is done while time passes, and the scheduler is there."""
    end = bench.now + seconds
    done: list[c.Effect] = []
    while (at := max(bench.now, bench.core.next_deadline())) <= end:
        bench.now = at
        done += bench.take(bench.core.handle(m.Heartbeat(), bench.now))
        done += bench.take(bench.core.tick(bench.now))
    bench.now = end
    return done


def test_what_is_not_begun_is_given_back_at_once():
    bench = busy_bench(1000)
    begun = bench.waiting[0][-1].stop
    assert leave(bench) == [m.Leaving(), m.Released(1, ((begun, 1000),))]
    assert list(bench.core.runs[1].owned) == [(10, begun)]


def test_what_is_begun_is_finished_and_sent_before_the_goodbye():
    bench = busy_bench(100_000)
    first, second = bench.waiting[0]
    leave(bench)
    bench.answer(stop=first.stop)
    assert bench.said() == [], "the second stride follows at once: nothing needs to be sent yet"
    done = bench.answer(stop=second.stop)
    (flush,) = [effect for effect in done if isinstance(effect, c.StartStride)]
    assert (flush.start, flush.stop, flush.flush) == (second.stop, second.stop, True)
    bench.answer(stop=second.stop, flushed=(10, second.stop), payload=b"all")
    report, goodbye = bench.said()
    assert isinstance(report, m.Report)
    assert (report.start, report.stop) == (10, second.stop)
    assert goodbye == m.Goodbye()
    assert not exits(bench.done_of), "it waits to know that all has come"
    (end,) = exits(bench.hear(m.Goodbye()))
    assert end.code == 0
    assert "SIGTERM" in end.reason
    assert "elsewhere" not in end.reason


def test_an_idle_daemon_is_gone_at_once():
    bench = Bench(2)
    assert leave(bench) == [m.Leaving(), m.Goodbye()]
    assert exits(bench.hear(m.Goodbye()))


def test_a_goodbye_without_an_answer_is_not_waited_for_long():
    bench = Bench()
    leave(bench)
    assert exits(pass_time(bench, 1.1))


def test_a_lease_that_crosses_is_given_back():
    bench = busy_bench(1000)
    leave(bench)
    bench.hear(m.Lease(1, 5000, 6000))
    assert bench.said() == [m.Released(1, ((5000, 6000),))]
    bench.lease(0, 50, run=2)
    assert bench.said() == [m.Released(2, ((0, 50),))]


def test_a_steal_finds_nothing():
    bench = busy_bench(1000)
    leave(bench)
    bench.hear(m.Steal(1, 0.5))
    assert bench.said() == [m.Released(1, ())]


def test_a_stride_that_takes_too_long_is_interrupted_and_what_it_has_is_sent():
    bench = busy_bench(100_000)
    first, second = bench.waiting[0]
    leave(bench)
    done = pass_time(bench, 4.2)
    assert c.Interrupt(0, second.number) in done
    assert not [effect for effect in done if isinstance(effect, c.Kill)]
    bench.answer(stop=first.start + 3)
    bench.answer(stop=second.start)
    bench.answer(stop=first.start + 3, flushed=(10, first.start + 3), payload=b"some")
    assert [type(message) for message in bench.said()] == [m.Report, m.Goodbye]
    assert list(bench.core.runs[1].owned) == [], "what the strides had not done was given back"


def test_a_stride_that_cannot_be_interrupted_is_given_up_and_nobody_is_blamed():
    bench = busy_bench(100_000)
    leave(bench)
    done = pass_time(bench, 5.1)
    said = [effect.message for effect in done if isinstance(effect, c.ToScheduler)]
    assert said[-1] == m.Goodbye()
    assert not [message for message in said if isinstance(message, m.Failed)]
    assert not [effect for effect in done if isinstance(effect, c.Kill)], "it ends with its daemon"
    (end,) = exits(bench.hear(m.Goodbye()))
    assert "steps run elsewhere" in end.reason


def test_a_process_that_dies_meanwhile_is_not_replaced_and_its_steps_are_given_back():
    bench = busy_bench(1000)
    begun = bench.waiting[0][-1].stop
    leave(bench)
    done = bench.die(after=0.1)
    assert not [effect for effect in done if isinstance(effect, c.Spawn)]
    assert bench.said() == [m.Released(1, ((10, begun),)), m.Goodbye()]


def test_an_operator_may_tell_it_to_leave():
    bench = busy_bench(1000)
    bench.hear(m.Leave("an operator retired it"))
    assert bench.said()[0] == m.Leaving()
    bench.hear(m.Leave("again"))
    assert bench.said() == []


def test_it_leaves_in_time_before_the_end_of_its_lifetime():
    bench = Bench(lifetime_seconds=100.0, leave_grace_seconds=5.0)
    began = bench.now
    while not bench.core.departure:
        pass_time(bench, 0.5)
    assert 90.0 <= bench.now - began <= 94.0
    assert exits(pass_time(bench, 2.0))


@pytest.mark.parametrize(
    ("lifetime", "grace", "at"), [(1.0, 5.0, 0.5), (60.0, 5.0, 53.0), (math.inf, 5.0, math.inf)]
)
def test_when_to_begin_to_leave(lifetime: float, grace: float, at: float):
    settings = c.WorkerSettings(lifetime_seconds=lifetime, leave_grace_seconds=grace)
    assert settings.working_seconds == at


def test_without_a_scheduler_it_leaves_at_once():
    core = c.WorkerCore(c.WorkerSettings(), 1, 0.0)
    assert exits(core.retire("SIGTERM", 1.0))


@pytest.mark.parametrize("news", [m.Unknown(), m.Stop("it is evening")])
def test_a_scheduler_that_is_lost_meanwhile_is_not_looked_for(news: m.Message):
    bench = busy_bench(1000)
    leave(bench)
    done = bench.hear(news)
    assert exits(done)
    assert not [effect for effect in done + pass_time(bench, 5.0) if isinstance(effect, c.Reconnect)]


def test_no_grace_at_all():
    bench = busy_bench(1000)
    bench.core.departure = None
    core: Any = bench.core
    core.settings = c.WorkerSettings(leave_grace_seconds=0.0)
    said = leave(bench)
    assert said[0] == m.Leaving()
    assert said[-1] == m.Goodbye()


# --- the connection ---------------------------------------------------------------------------------------


def test_a_broken_connection_is_made_anew_at_once_and_all_is_forgotten():
    bench = busy_bench(1000)
    done = bench.take(bench.core.broken(bench.now))
    assert c.Reconnect(2) in done
    assert not bench.core.runs
    assert bench.core.flying_bytes == 0
    assert bench.take(bench.core.broken(bench.now)) == []
    bench.hear(WELCOME, after=1.8)
    back, want = bench.said()
    assert isinstance(back, m.Back)
    assert back.away_seconds == pytest.approx(1.8, abs=0.1)
    assert want == m.Want(0, 0, ()), "its process still works on the stride of before"


def test_a_jump_of_the_clock_neither_kills_nor_rejoins():
    bench = busy_bench(1000)
    bench.hear(m.End(1))  # the stride at work is interrupted, and has half a second to answer
    done = bench.tick(4000.0)
    assert not [effect for effect in done if isinstance(effect, (c.Kill, c.Reconnect, c.Exit))]
    assert [effect for effect in pass_time(bench, 1.0) if isinstance(effect, c.Kill)], "but then it has to"


# --- suspects ---------------------------------------------------------------------------------------------


def test_suspects_are_given_back_with_what_is_not_begun():
    """They are work that nobody has done; elsewhere their deaths are counted anew."""
    bench = busy_bench(1000)
    stride = bench.waiting[0][0]
    bench.die(after=2.0, at=(stride.start, stride.start + 16))
    assert bench.core.runs[1].suspects
    said = leave(bench)
    (released,) = [message for message in said if isinstance(message, m.Released)]
    assert RangeSet(released.ranges).contains(stride.start, stride.start + 16)
    assert not bench.core.runs[1].owned
    assert said[-1] == m.Goodbye()


@pytest.mark.parametrize("skip", [True, False])
def test_a_death_while_leaving_is_no_evidence(skip: bool):
    """Whoever ends the daemon may have ended its processes too: not even the third death of a step names it."""
    bench = Bench()
    bench.lease(7, 8, skip=skip)
    for _ in range(2):
        bench.die(after=2.0, at=(7, 8))
        bench.take(bench.core.ready(0, 2000, bench.now))
    assert bench.waiting[0][0].cautious
    assert leave(bench) == [m.Leaving()], "it may end what it is at"
    bench.die(after=1.0, at=(7, 8))
    assert bench.said()[:2] == [m.Released(1, ((7, 8),)), m.Goodbye()]


def test_a_suspect_that_is_survived_while_leaving_is_reported():
    bench = Bench()
    bench.lease(7, 8)
    bench.die(after=2.0, at=(7, 8))
    bench.take(bench.core.ready(0, 2000, bench.now))
    leave(bench)
    bench.answer(flushed=(7, 8), payload=b"fine")
    assert [type(message) for message in bench.said()] == [m.Report, m.Goodbye]


def test_a_suspect_that_is_cut_off_while_leaving_is_given_back():
    bench = Bench()
    bench.lease(0, 100)
    end = bench.waiting[0][0].stop
    bench.die(after=2.0, at=(0, end))
    bench.take(bench.core.ready(0, 2000, bench.now))
    leave(bench)
    pass_time(bench, 4.2)
    bench.answer(stop=30, flushed=(0, 30), payload=b"some")
    said = bench.said()
    assert isinstance(said[0], m.Report)
    assert said[1:] == [m.Released(1, ((30, end),)), m.Goodbye()]


def test_a_drain_while_leaving_is_answered():
    bench = busy_bench(100_000)
    first, second = bench.waiting[0]
    leave(bench)
    assert c.Interrupt(0, second.number) in bench.hear(m.Drain(1))
    bench.answer(stop=first.start + 3)
    bench.answer(stop=second.start)
    bench.answer(stop=first.start + 3, flushed=(10, first.start + 3), payload=b"some")
    report, released, goodbye = bench.said()
    assert isinstance(report, m.Report)
    assert released == m.Released(1, ((first.start + 3, second.stop),))
    assert goodbye == m.Goodbye()
