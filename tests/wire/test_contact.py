"""Keeping in touch: who is lost when, who calls how often, and what a jump of the clock changes."""

from __future__ import annotations

import math

import pytest

from haydi.wire import contact as ct
from haydi.wire import messages as m

WELCOME = m.Welcome(m.PROTOCOL_VERSION, "1", "cluster", 1.0, 10.0, 1 << 20, 30.0)


class Line:
    """A contact, ticked whenever it asks for it."""

    def __init__(self, patience_seconds: float = 60.0) -> None:
        self.now = 100.0
        self.contact = ct.Contact(patience_seconds, self.now)

    def hear(self, message: m.Message, after: float = 0.0) -> ct.Event | None:
        self.now += after
        return self.contact.handle(message, self.now)

    def wait(self, seconds: float) -> list[ct.Event]:
        """Time passes, and it is called whenever it wants to be."""
        end = self.now + seconds
        events: list[ct.Event] = []
        while self.contact.next_deadline() <= end:
            self.now = max(self.now, self.contact.next_deadline())
            events += self.contact.tick(self.now)
        self.now = end
        return events

    def jump(self, seconds: float) -> list[ct.Event]:
        """Nothing happens for so long, then it is called."""
        self.now += seconds
        return self.contact.tick(self.now)


def joined(patience_seconds: float = 60.0) -> Line:
    line = Line(patience_seconds)
    assert line.hear(WELCOME, after=0.5) == ct.Joined(WELCOME, 0.5, False)
    return line


def kinds(events: list[ct.Event]) -> list[type]:
    return [type(event) for event in events]


def test_a_beat_a_second_while_the_scheduler_speaks():
    line = joined()
    for _ in range(30):
        assert kinds(line.wait(1.0)) == [ct.Beat]
        assert line.hear(m.Heartbeat()) is None


def test_a_silent_scheduler_is_lost_and_called():
    line = joined()
    events = line.wait(11.5)
    assert kinds(events) == [ct.Beat] * 10 + [ct.Away, ct.Call]
    assert events[-1] == ct.Call(2)
    assert isinstance(line.hear(m.Heartbeat(), 1.0), type(None)), "a late word is no welcome"
    back = line.hear(WELCOME, after=0.5)
    assert isinstance(back, ct.Joined)
    assert back.again
    assert 1.5 < back.away_seconds < 3.5


@pytest.mark.parametrize("how", ["broken", "unknown"])
def test_a_lost_connection_is_news_once(how: str):
    line = joined()

    def lose() -> ct.Event | None:
        return line.contact.lose("it broke", line.now) if how == "broken" else line.hear(m.Unknown())

    assert isinstance(lose(), ct.Away)
    assert lose() is None
    assert kinds(line.wait(0.0)) == [ct.Call]
    assert line.hear(WELCOME, after=0.01) is not None
    assert line.hear(WELCOME) is None, "a second welcome is no news"
    assert isinstance(lose(), ct.Away)


def test_calls_are_rare_and_each_has_an_epoch_of_its_own():
    line = joined(patience_seconds=1000.0)
    line.contact.lose("it broke", line.now)
    calls = line.wait(100.0)
    assert kinds(calls) == [ct.Call] * len(calls)
    assert 20 < len(calls) < 40
    assert [call.epoch for call in calls if isinstance(call, ct.Call)] == list(range(2, 2 + len(calls)))


def test_who_is_out_of_patience_gives_up_and_says_why():
    line = joined(patience_seconds=20.0)
    line.contact.lose("it broke", line.now)
    *_, end = line.wait(30.0)
    assert isinstance(end, ct.Over)
    assert (end.kind, end.reason) == ("gone", "it broke")
    assert 20.0 < end.away_seconds < 22.0
    assert line.contact.next_deadline() == math.inf
    assert line.wait(100.0) == []
    assert line.hear(WELCOME) is None


@pytest.mark.parametrize("message", [m.Refused("too old"), m.Stop("it is evening")])
def test_the_end_that_the_scheduler_tells(message: m.Message):
    end = joined().hear(message)
    assert isinstance(end, ct.Over)
    assert end.reason in ("too old", "it is evening")


def test_a_scheduler_that_somebody_starts_again_may_end():
    contact = ct.Contact(60.0, 0.0, stop_is_final=False)
    contact.handle(WELCOME, 0.1)
    assert isinstance(contact.handle(m.Stop("SIGTERM"), 0.2), ct.Away)


def test_a_jump_of_the_clock_is_no_silence():
    line = joined()
    assert kinds(line.jump(4000.0)) == [ct.Beat], "it was away itself: the scheduler has not been silent"
    assert kinds(line.wait(8.0)) == [ct.Beat] * 8
    assert ct.Away in kinds(line.wait(3.0)), "but it is, if it says nothing from then on"


def test_a_jump_of_the_clock_does_not_use_up_patience():
    line = joined(patience_seconds=20.0)
    line.contact.lose("it broke", line.now)
    line.wait(5.0)
    assert ct.Over not in kinds(line.jump(4000.0))
    assert ct.Over not in kinds(line.wait(14.0))
    assert ct.Over in kinds(line.wait(10.0))
