"""What operators may ask, and what becomes of a daemon that leaves, seen from the scheduler."""

from __future__ import annotations

import json
from typing import Any

import pytest

from haydi.wire import messages as m
from tests.scheduler.test_core import Desk, hello, submit


@pytest.fixture
def desk() -> Desk:
    """A scheduler with a client, a monitor, and three daemons."""
    desk = Desk()
    desk.client()
    assert [type(x) for x in desk.tell("eye", hello("monitor", "eye"))["eye"]] == [m.Welcome]
    for name in ("node1", "node12", "other"):
        desk.worker(name)
    return desk


def ask(desk: Desk, order: str, argument: str = "") -> tuple[dict[str, Any], set[str]]:
    """The answer, and who was told to leave."""
    sent = desk.tell("eye", m.Ask(order, argument))
    (answer,) = sent.pop("eye")
    assert isinstance(answer, m.Answer)
    assert all([type(x) for x in messages] == [m.Leave] for messages in sent.values())
    return json.loads(answer.payload), set(sent)


def test_status_is_the_snapshot(desk: Desk):
    desk.tell("client", submit(steps=1 << 20000, priority=2.5))
    told, left = ask(desk, "status")
    assert not left
    assert [w["name"] for w in told["workers"]] == ["node1", "node12", "other"]
    assert told["runs"][0]["priority"] == 2.5
    assert int(told["runs"][0]["steps"], 16) == 1 << 20000, "numbers of any size"


@pytest.mark.parametrize(("name", "who"), [("node1", "node1"), ("node12", "node12"), ("oth", "other")])
def test_a_daemon_is_retired_by_its_name_or_its_beginning(desk: Desk, name: str, who: str):
    told, left = ask(desk, "retire", name)
    assert left == {who}
    assert who in told["worker"]
    assert not told["leaving_already"]
    assert ask(desk, "retire", name)[0]["leaving_already"]


@pytest.mark.parametrize(
    ("name", "text"), [("node", "means 2 workers"), ("host:7", "means 3 workers"), ("nobody", "no worker is called"),
                       ("", "no worker is called")]
)  # fmt: skip
def test_nobody_leaves_when_none_or_several_are_meant(desk: Desk, name: str, text: str):
    told, left = ask(desk, "retire", name)
    assert not left
    assert text in told["error"]
    assert "node12 (host pid 7)" in told["error"], "who there is"


def test_an_unknown_order_is_told(desk: Desk):
    assert "'dance' is unknown" in ask(desk, "dance")[0]["error"]


def test_only_monitors_ask(desk: Desk):
    assert desk.tell("client", m.Ask("retire", "node1")) == {}
    assert desk.tell("node1", m.Ask("status", "")) == {}
    assert desk.tell("eye", submit()) == {}
    assert desk.core.stale_messages == 3


def test_a_monitor_comes_and_goes_without_notice(desk: Desk):
    assert desk.tell("eye", m.Goodbye()) == {}
    assert not desk.core.monitors
    assert desk.tell("eye", m.Ask("status", "")) == {"eye": [m.Unknown()]}


# --- leaving ----------------------------------------------------------------------------------------------


def test_a_daemon_that_leaves_gets_nothing_new_and_its_reports_count():
    desk = Desk()
    desk.client()
    desk.worker("a")
    desk.worker("b")
    desk.tell("client", submit(steps=1000))
    held = desk.core.runs[1].ledger.held[b"a"]
    first, last = held.first, held.last[1]
    assert desk.tell("a", m.Leaving()) == {"client": [m.Cluster(1, 1)]}
    assert desk.tell("a", m.Leaving()) == {}
    desk.tell("a", m.Released(1, ((first + 10, last),)))
    sent = desk.tell("a", m.Report(1, first, first + 10, 0.1, b"mine"))
    assert [type(x) for x in sent["client"]] == [m.Partial]
    assert desk.tell("a", m.Want(1, 99, ())) == {}, "it is not taken at its word"
    desk.tell("client", submit(run=2, steps=1000))
    assert b"a" not in desk.core.runs[2].ledger.held
    assert desk.tell("a", m.Goodbye()) == {"a": [m.Goodbye()], "client": [m.Cluster(1, 1)]}
    assert desk.core.dealer.slots == 1


def test_what_a_daemon_had_not_finished_when_it_left_runs_elsewhere():
    desk = Desk()
    desk.client()
    desk.worker("a")
    desk.tell("client", submit(steps=1000))
    desk.tell("a", m.Leaving())
    desk.worker("b")
    assert b"b" not in desk.core.runs[1].ledger.held
    sent = desk.tell("a", m.Goodbye())
    assert m.Lease(1, 0, 1000) in sent["b"]


# --- incarnations -----------------------------------------------------------------------------------------


def test_a_daemon_that_comes_by_a_new_connection_takes_the_place_of_the_old():
    desk = Desk()
    desk.client()
    desk.worker("w")
    desk.tell("client", submit(steps=100))
    desk.tell("w again", hello("worker", "w", 1, epoch=2))
    assert set(desk.core.workers) == {b"w again"}
    assert desk.core.runs[1].ledger.unassigned.size == 100
    sent = desk.tell("w again", m.Want(1, 0, ()))
    assert m.Lease(1, 0, 100) in sent["w again"]
    assert desk.tell("w again", m.Back(1.8)) == {}
    assert desk.notes[-1].text == "worker w is back after 1.8 s"
    before = desk.core.snapshot(0.0)["runs"]
    for late in (m.Report(1, 0, 100, 1.0, b"late"), m.Released(1, ((0, 100),)), m.Failed(1, 0, 1, "user", b""),
                 m.Heartbeat(), m.Leaving()):  # fmt: skip
        assert desk.tell("w", late) == {"w": [m.Unknown()]}
    assert desk.core.snapshot(0.0)["runs"] == before, "late messages of the old incarnation change nothing"


def test_an_old_hello_that_was_overtaken_changes_nothing():
    desk = Desk()
    desk.tell("new", hello("worker", "w", 1, epoch=5))
    assert desk.tell("old", hello("worker", "w", 1, epoch=4)) == {}
    assert set(desk.core.workers) == {b"new"}
    assert desk.core.stale_messages == 1


def test_a_client_that_comes_again_submits_under_the_same_number():
    desk = Desk()
    desk.client()
    desk.worker("w")
    desk.tell("client", submit(steps=100))
    assert m.End(1) in desk.tell("client again", hello("client", "client", epoch=2))["w"]
    assert not desk.core.runs
    assert desk.tell("client again", m.Submit(1, 100, False, False, 1.0, ((40, 60),), b"plan")) == {}
    sent = desk.tell("w", m.Want(1, 1, ()))["w"]
    assert [type(x) for x in sent] == [m.RunPlan, m.Lease]
    assert sent[1] == m.Lease(1, 40, 60)


# --- clocks -----------------------------------------------------------------------------------------------


def test_a_scheduler_that_was_stopped_gives_nobody_up_for_that():
    desk = Desk()
    desk.client()
    desk.worker("w")
    desk.tell("client", submit())
    desk.tick(4000.0)
    assert desk.core.workers
    assert desk.core.clients
    for _ in range(8):
        desk.tick(1.0)
    assert desk.core.workers
    desk.tick(1.0)
    assert desk.core.stale_messages == 0
    assert not desk.core.workers, "those who say nothing after that are silent"
