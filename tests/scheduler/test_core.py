"""The scheduler's core, message by message: what each peer is sent, and that nothing else happens."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from haydi.client.core import CONSUMED_BYTES
from haydi.errors import ArgumentValueError
from haydi.scheduler.core import Note, SchedulerCore, SchedulerSettings, Send
from haydi.wire import messages as m

HUGE = 1 << 300


class Desk:
    """A scheduler, and what it has to say after each message."""

    def __init__(self, **settings: Any) -> None:
        self.core = SchedulerCore(SchedulerSettings(**settings), "cluster", "1.2")
        self.now = 100.0
        self.notes: list[Note] = []
        self.core.tick(self.now)

    def _sent(self, effects: list[Any]) -> dict[str, list[m.Message]]:
        self.core.check()
        sent: dict[str, list[m.Message]] = {}
        for effect in effects:
            if isinstance(effect, Send):
                sent.setdefault(effect.peer.decode(), []).append(effect.message)
            else:
                self.notes.append(effect)
        return sent

    def tell(self, peer: str, message: m.Message, after: float = 0.001) -> dict[str, list[m.Message]]:
        """A message comes; returns what is sent, by peer."""
        self.now += after
        return self._sent(self.core.handle(peer.encode(), message, self.now))

    def tick(self, after: float = 0.0) -> dict[str, list[m.Message]]:
        self.now += after
        return self._sent(self.core.tick(self.now))

    def lose(self, peer: str) -> dict[str, list[m.Message]]:
        return self._sent(self.core.lost(peer.encode(), "its process ended", self.now))

    def client(self, name: str = "client") -> None:
        assert [type(x) for x in self.tell(name, hello("client", name))[name]] == [m.Welcome, m.Cluster]

    def worker(self, name: str, slots: int = 1) -> None:
        """A daemon joins and says that it has nothing to do."""
        assert [type(x) for x in self.tell(name, hello("worker", name, slots))[name]] == [m.Welcome]
        assert name not in self.tell(name, m.Want(slots, 0, ()))

    def busy(self, name: str, leases: int, low: tuple[int, ...] = ()) -> dict[str, list[m.Message]]:
        return self.tell(name, m.Want(0, leases, low))


def hello(
    role: str,
    name: str,
    slots: int = 0,
    protocol: int = m.PROTOCOL_VERSION,
    session: str = "",
    epoch: int = 1,
) -> m.Hello:
    who = ("host", 7, "machine", name, slots, session or name, epoch)
    return m.Hello(role, protocol, "1.2", "3.11", *who)


def submit(
    run: int = 1, steps: int = 100, early: bool = False, skip: bool = False, priority: float = 1.0
) -> m.Submit:
    return m.Submit(run, steps, early, skip, priority, ((0, steps),), b"plan")


@pytest.fixture
def desk() -> Desk:
    """A scheduler with a client."""
    desk = Desk()
    desk.client()
    return desk


# --- peers ------------------------------------------------------------------------------------------------


def test_a_client_hears_of_each_daemon_that_comes_and_goes(desk: Desk):
    assert desk.tell("w1", hello("worker", "w1", 4))["client"] == [m.Cluster(1, 4)]
    assert desk.tell("w2", hello("worker", "w2", 2))["client"] == [m.Cluster(2, 6)]
    assert desk.tell("w1", m.Goodbye()) == {"client": [m.Cluster(1, 2)], "w1": [m.Goodbye()]}
    assert desk.lose("w2") == {"client": [m.Cluster(0, 0)]}
    assert desk.lose("w2") == {}


def test_who_does_not_fit_is_refused_with_the_reason():
    desk = Desk()
    old = desk.tell("w", hello("worker", "w", 1, protocol=m.PROTOCOL_VERSION + 1))
    assert isinstance(old["w"][0], m.Refused)
    assert "install the same version" in old["w"][0].reason
    assert desk.tell("w", hello("worker", "w", 0)) == {"w": [m.Refused("a worker needs at least one slot")]}
    assert desk.tell("w", hello("spy", "w")) == {"w": [m.Refused("unknown role 'spy'")]}
    assert not desk.core.workers
    assert [note.level for note in desk.notes] == [logging.WARNING] * 3


def test_a_stranger_is_told_so_and_nothing_more():
    desk = Desk()
    assert desk.tell("nobody", m.Heartbeat()) == {"nobody": [m.Unknown()]}
    assert desk.tell("nobody", submit()) == {"nobody": [m.Unknown()]}
    assert desk.tell("nobody", m.Goodbye()) == {}


def test_messages_of_the_wrong_role_are_dropped(desk: Desk):
    desk.worker("w")
    assert desk.tell("w", submit()) == {}
    assert desk.tell("client", m.Want(1, 0, ())) == {}
    assert desk.tell("w", m.Welcome(1, "", "", 1.0, 1.0, 1, 1.0)) == {}
    assert desk.core.stale_messages == 3


def test_a_second_hello_is_a_new_beginning(desk: Desk):
    desk.worker("w")
    desk.tell("client", submit())
    assert desk.core.runs[1].ledger.held
    assert desk.tell("w", hello("worker", "w", 3)) == {}, "the same one again is no news"
    assert desk.core.runs[1].ledger.held
    desk.tell("w", hello("worker", "w", 3, epoch=2))
    assert not desk.core.runs[1].ledger.held
    assert desk.core.dealer.slots == 3


def test_the_silent_are_given_up_and_told_when_they_speak(desk: Desk):
    desk.worker("w")
    desk.tell("client", submit())
    for _ in range(8):
        desk.tell("client", m.Heartbeat(), after=1.0)
        assert desk.tick()["w"] == [m.Heartbeat()]
    desk.tell("client", m.Heartbeat(), after=1.0)
    assert desk.tick() == {"client": [m.Cluster(0, 0), m.Heartbeat()]}
    assert desk.core.runs[1].ledger.unassigned.size == 100
    assert "silent for 9.0 s; 100 steps run again" in desk.notes[-1].text
    assert desk.tell("w", m.Report(1, 0, 100, 1.0, b"late")) == {"w": [m.Unknown()]}


def test_heartbeats_keep_their_pace_while_somebody_is_idle(desk: Desk):
    desk.worker("w")
    desk.tick()
    for _ in range(5):
        assert desk.core.next_deadline() == pytest.approx(desk.now + 1.0, abs=0.01)
        assert desk.tick(0.5) == {}
        desk.tell("w", m.Heartbeat())
        assert desk.tick(0.5) == {"client": [m.Heartbeat()], "w": [m.Heartbeat()]}


# --- a run ------------------------------------------------------------------------------------------------


def test_a_run_from_its_beginning_to_its_end(desk: Desk):
    desk.worker("w")
    plan = m.RunPlan(1, 1, False, False, 1.0, 0.1, b"plan")
    assert desk.tell("client", submit()) == {"w": [plan, m.Lease(1, 0, 100)]}
    assert desk.busy("w", 1, low=(1,)) == {}
    assert desk.tell("w", m.Report(1, 0, 60, 0.5, b"one")) == {
        "client": [m.Partial(1, 1, 0, 60, 0.5, "w (host pid 7)", b"one")]
    }
    assert desk.tell("client", m.Consumed(1, 1)) == {"w": [m.Credit(3)]}
    assert desk.tell("w", m.Report(1, 60, 100, 0.5, b"other")) == {
        "client": [m.Partial(1, 2, 60, 100, 0.5, "w (host pid 7)", b"other")]
    }
    assert not desk.core.runs
    # What nobody waits for goes with the next message.
    assert desk.tick(1.0)["w"] == [m.Credit(5), m.End(1), m.Heartbeat()]


def test_work_waits_for_a_daemon_and_is_given_as_soon_as_it_asks(desk: Desk):
    assert desk.tell("client", submit(steps=HUGE)) == {}
    desk.tell("w", hello("worker", "w", 8))
    assert desk.tell("w", m.Want(0, 0, ()))["w"][1] == m.Lease(1, 0, HUGE)


def test_several_daemons_begin_with_shares_of_half(desk: Desk):
    desk.worker("a")
    desk.worker("b")
    sent = desk.tell("client", submit(steps=1000))
    assert sent["a"][1:] == [m.Lease(1, 0, 250)]
    assert sent["b"][1:] == [m.Lease(1, 250, 438)]
    assert desk.busy("a", 1, low=(1,)) == {"a": [m.Lease(1, 438, 579)]}


def test_a_want_that_crosses_with_a_lease_is_answered_by_it(desk: Desk):
    desk.worker("a", slots=4)
    desk.worker("b", slots=4)
    desk.tell("client", submit(steps=1000))
    assert desk.tell("a", m.Want(4, 0, ())) == {}
    assert list(desk.tell("a", m.Want(4, 1, ()))) == ["a"]


def test_an_idle_daemon_gets_open_work_however_much_it_is_believed_to_have(desk: Desk):
    desk.worker("a", slots=2)
    desk.worker("b", slots=2)
    desk.tell("client", submit(steps=1000))
    desk.tell("a", m.Report(1, 0, 1, 1000.0, b""))  # a very slow step: the estimate is days
    assert [type(x) for x in desk.tell("a", m.Want(1, 1, ()))["a"]] == [m.Lease]


def test_a_report_is_taken_once(desk: Desk):
    desk.worker("w")
    desk.tell("client", submit())
    desk.tell("w", m.Report(1, 0, 10, 0.1, b"result"))
    assert desk.tell("w", m.Report(1, 0, 10, 0.1, b"result")) == {"w": [m.Credit(6)]}
    assert desk.tell("w", m.Report(2, 0, 10, 0.1, b"result")) == {"w": [m.Credit(6)]}
    assert desk.core.stale_messages == 2
    assert desk.core.runs[1].ledger.merged.size == 10


def test_what_is_reported_in_vain_is_run_again(desk: Desk):
    """A report of before a rejoin overlaps what the daemon holds now: it will not compute that again."""
    desk.worker("w")
    desk.tell("client", submit())
    desk.tell("w", m.Report(1, 40, 60, 0.1, b"old"))
    sent = desk.tell("w", m.Report(1, 0, 100, 0.1, b"new"))
    assert sent == {"w": [m.Credit(3)]}
    ledger = desk.core.runs[1].ledger
    assert list(ledger.unassigned) == [(0, 40), (60, 100)]
    assert desk.tell("w", m.Want(1, 1, ()))["w"] == [m.Lease(1, 0, 40)]


def test_failures_go_to_the_client(desk: Desk):
    desk.worker("w")
    desk.tell("client", submit())
    assert desk.tell("w", m.Failed(1, 3, 4, "user", b"why")) == {
        "client": [m.RunFailed(1, 3, 4, "user", "w (host pid 7)", b"why")]
    }
    assert desk.tell("client", m.Cancel(1)) == {"w": [m.End(1)]}
    assert desk.tell("w", m.Failed(1, 3, 4, "user", b"why")) == {}


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("kind", ["user", "died", "result"])
def test_failures_of_steps_that_are_not_held_change_nothing(desk: Desk, skip: bool, kind: str):
    """A daemon that was given up, or took long, may tell of what others hold by now, or what is merged."""
    desk.worker("w")
    desk.worker("other")
    desk.tell("client", submit(steps=1000, skip=skip))
    theirs = desk.core.runs[1].ledger.held[b"other"].first
    desk.tell("w", m.Report(1, 0, 10, 0.1, b""))
    for start, stop in ((5, 6), (5, 15), (theirs, theirs + 1), (990, 991)):
        assert desk.tell("w", m.Failed(1, start, stop, kind, b"why")) == {}
    assert desk.tell("w", m.Failed(2, 20, 21, kind, b"why")) == {}
    assert desk.core.stale_messages == 5
    assert desk.core.runs[1].ledger.merged.size == 10


def test_a_step_that_is_skipped_is_merged(desk: Desk):
    desk.worker("w")
    desk.tell("client", submit(steps=10, skip=True))
    assert desk.core.runs[1].plan.skip
    told = {"client": [m.RunFailed(1, 3, 4, "died", "w (host pid 7)", b"why")]}
    assert desk.tell("w", m.Failed(1, 3, 4, "died", b"why")) == told
    assert desk.tell("w", m.Failed(1, 3, 4, "died", b"why")) == {}, "once"
    assert list(desk.core.runs[1].ledger.merged) == [(3, 4)]
    desk.tell("w", m.Failed(1, 5, 6, "load", b"why"))
    assert desk.core.runs[1].ledger.merged.size == 1, "only what died is skipped"
    desk.tell("w", m.Report(1, 0, 3, 0.1, b""))
    assert desk.tell("w", m.Report(1, 4, 9, 0.1, b""))["client"]
    desk.tell("w", m.Failed(1, 9, 10, "died", b"why"))
    assert not desk.core.runs, "it is complete"


def test_steps_behind_a_trim_are_taken_from_those_who_hold_them(desk: Desk):
    desk.worker("a")
    desk.worker("b")
    desk.tell("client", submit(steps=1000))  # a holds [0, 250), b [250, 438)
    assert desk.tell("client", m.Trim(1, 300)) == {"b": [m.Trim(1, 300)]}
    assert desk.tell("client", m.Trim(1, 500)) == {}
    assert desk.tell("a", m.Report(1, 0, 250, 0.1, b""))["client"][0].stop == 250  # type: ignore[union-attr]
    assert desk.tell("b", m.Report(1, 250, 320, 0.1, b""))["client"][0].stop == 320  # type: ignore[union-attr]
    assert not desk.core.runs


def test_a_draining_run_is_given_to_nobody_and_its_client_is_told_when_all_has_come(desk: Desk):
    desk.worker("a")
    desk.tell("client", submit(steps=1000))
    desk.worker("b")  # it gets something by a steal
    assert desk.tell("client", m.Drain(1))["a"][0] == m.Drain(1)
    assert desk.tell("a", m.Report(1, 0, 10, 0.1, b"")) == {
        "client": [m.Partial(1, 1, 0, 10, 0.1, desk.core.workers[b"a"].label, b"")]
    }
    held = desk.core.runs[1].ledger.held
    for peer, ranges in list(held.items()):
        sent = desk.tell(peer.decode(), m.Released(1, tuple(ranges)))
        assert set(sent) <= {"client"}, "what is given up is given to nobody"
    assert sent == {"client": [m.Drained(1)]}
    assert desk.tell("client", m.Drain(1)) == {}, "it is told once"
    assert "a" not in desk.tell("b", m.Want(1, 1, ()))


def test_a_drain_of_a_run_that_nobody_works_on_is_answered_at_once(desk: Desk):
    desk.tell("client", submit())
    assert desk.tell("client", m.Drain(1)) == {"client": [m.Drained(1)]}
    assert desk.tell("client", m.Drain(2)) == {}
    desk.worker("w")
    assert desk.core.runs[1].ledger.unassigned.size == 100


def test_a_daemon_that_dies_owes_a_draining_run_nothing(desk: Desk):
    desk.worker("w")
    desk.tell("client", submit())
    assert desk.tell("client", m.Drain(1)) == {"w": [m.Drain(1)]}
    assert desk.lose("w")["client"] == [m.Cluster(0, 0), m.Drained(1)]


def test_a_trim_can_complete_a_run(desk: Desk):
    desk.worker("w")
    desk.tell("client", submit())
    desk.tell("w", m.Report(1, 0, 10, 0.1, b""))
    assert desk.tell("client", m.Trim(1, 10)) == {"w": [m.Trim(1, 10)]}
    assert not desk.core.runs


def test_a_run_belongs_to_its_client(desk: Desk):
    desk.client("other")
    desk.tell("client", submit())
    for message in (m.Cancel(1), m.Trim(1, 0), m.Consumed(1, 5)):
        assert desk.tell("other", message) == {}
    assert desk.core.runs
    refused = desk.tell("other", submit(steps=5))["other"][0]
    assert isinstance(refused, m.RunLost)
    assert desk.core.runs[1].ledger.stop == 100


def test_ranges_beyond_the_end_are_refused(desk: Desk):
    assert isinstance(
        desk.tell("client", m.Submit(1, 10, False, False, 1.0, ((5, 11),), b""))["client"][0], m.RunLost
    )


def test_only_the_missing_ranges_are_run(desk: Desk):
    desk.worker("w")
    sent = desk.tell("client", m.Submit(1, 100, False, False, 1.0, ((10, 20), (90, 95)), b""))
    assert sent["w"][1:] == [m.Lease(1, 10, 20)]
    desk.tell("w", m.Report(1, 10, 20, 0.1, b""))
    assert desk.tell("w", m.Want(1, 1, ()))["w"] == [m.Lease(1, 90, 95)]


def test_a_client_that_is_gone_takes_its_runs_along(desk: Desk):
    desk.worker("w")
    desk.tell("client", submit())
    assert desk.lose("client") == {"w": [m.End(1)]}
    assert not desk.core.runs


def test_a_lost_daemons_steps_go_to_the_hungry(desk: Desk):
    desk.worker("a")
    desk.worker("b")
    desk.tell("client", submit(steps=4))
    while desk.core.dealer.open:
        desk.busy("a", desk.core.workers[b"a"].leases, low=(1,))
    held = desk.core.runs[1].ledger.held[b"a"].size
    desk.tell("b", m.Report(1, *desk.core.runs[1].ledger.held[b"b"].last, 0.1, b""))
    desk.tell("b", m.Want(1, desk.core.workers[b"b"].leases, ()))
    sent = desk.lose("a")
    assert sum(x.stop - x.start for x in sent["b"] if isinstance(x, m.Lease)) >= 1
    assert held >= 1


# --- stealing ---------------------------------------------------------------------------------------------


@pytest.fixture
def tail(desk: Desk) -> Desk:
    """Daemon a holds 1000 steps at 100 a second, b is idle, and nothing is unassigned."""
    desk.tell("a", hello("worker", "a", 1))
    desk.tell("a", m.Want(1, 0, ()))
    desk.tell("client", submit(steps=1100))
    desk.tell("a", m.Report(1, 0, 100, 1.0, b""))
    desk.tell("b", hello("worker", "b", 1))
    return desk


def test_an_idle_daemon_is_given_what_another_gives_up(tail: Desk):
    assert tail.tell("b", m.Want(1, 0, ())) == {"a": [m.Steal(1, 0.5)]}
    assert tail.tell("b", m.Want(1, 0, ())) == {}, "the question is asked once"
    sent = tail.tell("a", m.Released(1, ((600, 1100),)))
    assert [type(x) for x in sent["b"]] == [m.RunPlan, m.Lease]
    assert sent["b"][1] == m.Lease(1, 600, 1100)
    assert tail.core.runs[1].steals == 1


def test_who_had_nothing_to_give_is_asked_again_later_and_later(tail: Desk):
    tail.tell("b", m.Want(1, 0, ()))
    pauses = []
    for _ in range(6):
        assert tail.tell("a", m.Released(1, ())) == {}
        before = tail.now
        sent: dict[str, list[m.Message]] = {}
        while not any(isinstance(x, m.Steal) for x in sent.get("a", [])):
            for peer in ("a", "b", "client"):
                tail.tell(peer, m.Heartbeat(), after=0.0)
            tail.now = tail.core.next_deadline()
            sent = tail.tick()
        pauses.append(tail.now - before)
    assert pauses == pytest.approx([0.25, 0.5, 1.0, 2.0, 4.0, 4.0], abs=0.01)


def test_the_one_who_will_end_last_is_asked(desk: Desk):
    for name, slots in [("a", 1), ("b", 4), ("c", 1)]:
        desk.worker(name, slots)
    desk.tell("client", submit(steps=6000))
    while desk.core.dealer.open:
        for name in "abc":
            desk.busy(name, desk.core.workers[name.encode()].leases, low=(1,))
    held = desk.core.runs[1].ledger.held
    assert held[b"b"].size > held[b"c"].size  # b holds most, but works through it at four times the speed
    for name, seconds in [("a", 0.01), ("b", 0.01), ("c", 0.1)]:
        start = held[name.encode()].first
        desk.tell(name, m.Report(1, start, start + 1, seconds, b""))
    for start, stop in list(held[b"a"]):
        desk.tell("a", m.Report(1, start, stop, (stop - start) * 0.01, b""))
    sent = desk.tell("a", m.Want(1, desk.core.workers[b"a"].leases, ()))
    assert sent == {"c": [m.Steal(1, 0.5)]}


def test_a_victim_that_is_late_against_its_estimate_is_asked(tail: Desk):
    assert tail.tell("b", m.Want(0, 0, ())) == {}
    for _ in range(12):  # the estimate of 10 s is over
        for peer in ("a", "b", "client"):
            tail.tell(peer, m.Heartbeat(), after=0.4)
        tail.tick()
    assert tail.tell("b", m.Want(1, 0, ())) == {"a": [m.Steal(1, 0.5)]}


def test_a_stuck_victim_of_huge_work_is_robbed_faster_and_faster():
    desk = Desk()
    desk.client()
    desk.worker("a")
    desk.tell("client", submit(steps=HUGE))
    desk.tell("b", hello("worker", "b", 1))
    steals = 0
    start, stop = 0, HUGE
    while stop - start > 1:
        steals += 1
        leases = desk.core.workers[b"b"].leases
        (steal,) = desk.tell("b", m.Want(1, leases, ()))["a"]
        assert isinstance(steal, m.Steal)
        keep = max(1, int((stop - start) * (1 - steal.share)))
        sent = desk.tell("a", m.Released(1, ((start + keep, stop),)))
        (lease,) = [x for x in sent["b"] if isinstance(x, m.Lease)]
        desk.tell("b", m.Report(1, lease.start, lease.stop, 0.1, b""))
        stop = start + keep
    assert steals < 40


def test_a_victim_that_reports_is_not_stuck(tail: Desk):
    at = 1100
    for leases in range(8):
        (steal,) = tail.tell("b", m.Want(1, leases, ()))["a"]
        assert steal == m.Steal(1, 0.5)
        tail.tell("a", m.Released(1, ((at - 10, at),)))
        at -= 10
        tail.tell("a", m.Report(1, 100 + leases, 101 + leases, 0.01, b""))


def test_released_steps_that_are_not_its_own_are_refused(tail: Desk):
    tail.tell("b", m.Want(1, 0, ()))
    assert tail.tell("a", m.Released(1, ((50, 200),))) == {}
    assert tail.core.stale_messages == 1
    assert tail.core.runs[1].ledger.held[b"a"].size == 1000


def test_a_steal_is_forgotten_with_its_run(tail: Desk):
    tail.tell("b", m.Want(1, 0, ()))
    assert tail.core.dealer.victims
    tail.tell("client", m.Cancel(1))
    assert not tail.core.dealer.victims
    assert tail.tell("a", m.Released(1, ((600, 1100),))) == {}


# --- several runs -----------------------------------------------------------------------------------------


def test_busy_daemons_get_some_of_a_new_run(desk: Desk):
    desk.worker("a", 2)
    desk.worker("b", 2)
    desk.worker("idle")
    desk.tell("client", submit(steps=10_000))
    sent = desk.tell("client", submit(run=2, steps=1000))
    for name in ("a", "b"):
        assert [type(x) for x in sent[name]] == [m.RunPlan, m.Lease]


def test_a_daemon_low_on_one_run_gets_more_of_that_one(desk: Desk):
    desk.worker("a")
    desk.worker("b")
    desk.tell("client", submit(steps=10_000))
    desk.tell("client", submit(run=2, steps=10_000))
    leases = desk.core.workers[b"a"].leases
    sent = desk.busy("a", leases, low=(2,))
    assert [x.run for x in sent["a"] if isinstance(x, m.Lease)] == [2]


# --- early runs -------------------------------------------------------------------------------------------


def test_a_run_that_may_end_early_is_given_out_in_growing_pieces_from_the_beginning(desk: Desk):
    desk.worker("w", 2)
    sizes = []
    lease = desk.tell("client", submit(steps=HUGE, early=True))["w"][1]
    at = 0
    for leases in range(1, 7):
        assert isinstance(lease, m.Lease)
        assert lease.start == at
        at = lease.stop
        sizes.append(lease.stop - lease.start)
        desk.tell("w", m.Report(1, lease.start, lease.stop, (lease.stop - lease.start) / 10_000, b""))
        (lease,) = desk.busy("w", leases, low=(1,))["w"]
    assert sizes == [2, 16, 128, 1024, 2000, 2000]


# --- numbers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.0, 5e-324, 1e-9, 1.0, 1e300])
def test_rates_of_any_size(desk: Desk, seconds: float):
    desk.worker("a")
    desk.tell("client", submit(steps=HUGE * HUGE))
    desk.tell("a", m.Report(1, 0, HUGE, seconds, b""))
    desk.tell("b", hello("worker", "b", 1))
    desk.tell("b", m.Want(1, 0, ()))
    desk.tell("a", m.Released(1, ((HUGE * 2, HUGE * HUGE),)))
    assert not desk.core.dealer.open or desk.core.runs[1].ledger.held[b"b"].size > 0


def test_a_window_that_would_stop_the_results_is_refused():
    with pytest.raises(ArgumentValueError, match="window_bytes=1000"):
        SchedulerSettings(window_bytes=1000)
    assert SchedulerSettings(window_bytes=1 << 20).window_bytes > CONSUMED_BYTES


def test_a_snapshot_is_plain_data(desk: Desk):

    desk.worker("w", 3)
    desk.tell("client", submit())
    snapshot = json.loads(json.dumps(desk.core.snapshot(desk.now + 2.0)))
    assert snapshot["slots"] == 3
    (run,) = snapshot["runs"]
    assert run.pop("seconds") == pytest.approx(2.0)
    assert run == {
        "run": 1,
        "host": "host",
        "pid": 7,
        "priority": 1.0,
        "steps": 100,
        "merged": 0,
        "unassigned": 0,
        "workers": 1,
        "steals": 0,
    }
    (worker,) = snapshot["workers"]
    assert (worker["name"], worker["state"], worker["held"]) == ("w", "working", 100)
    assert snapshot["clients"][0]["runs"] == 1
