"""Keeping in touch with a scheduler, as a state machine that daemons and clients share.

A peer is *with* the scheduler from a Welcome until the connection breaks, the scheduler is silent for too long, or says
that it does not know us. Then the peer is *away*: whatever was agreed on is void, because the scheduler may have been
restarted with an empty mind. While away the peer calls: each call is a new connection with a Hello of the next *epoch*.
A connection waits for a scheduler by itself, so calls are rare; a new one is made lest an old one hang for ever. A peer
that is away for longer than its patience gives up.

Clocks jump: a process is stopped and continued, a laptop sleeps. Who is called much later than he asked for was absent
himself, and must not hold the silence of that time against the scheduler.

No clock, no socket: messages and the time go in, events come out; their owner does what they mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from haydi.wire import messages as m

__all__ = ["Away", "Beat", "Call", "Contact", "Event", "Joined", "Over", "absence"]

CALL_SECONDS: Final = 1.0
CALL_SECONDS_MOST: Final = 4.0
HEARTBEAT_SECONDS: Final = 1.0
#: Who is called so much too late was absent himself.
ABSENCE_SECONDS_LEAST: Final = 1.0


def absence(asked_for: float, now: float) -> float:
    """How long one was absent who asked to be called at a time and was called now; 0 for an ordinary delay.

    Example:
        >>> absence(10.0, 10.4), absence(10.0, 3610.0)
        (0.0, 3600.0)
    """
    late = now - asked_for
    return late if late > ABSENCE_SECONDS_LEAST else 0.0


@dataclass(frozen=True)
class Joined:
    """The scheduler has welcomed us, after ``away_seconds`` without one (``again``: there was one before)."""

    welcome: m.Welcome
    away_seconds: float
    again: bool


@dataclass(frozen=True)
class Away:
    """The scheduler is lost, perhaps for a while: what was agreed on is void."""

    reason: str


@dataclass(frozen=True)
class Call:
    """Make a new connection and say Hello with this epoch."""

    epoch: int


@dataclass(frozen=True)
class Beat:
    """Say Heartbeat."""


@dataclass(frozen=True)
class Over:
    """There is nothing to wait for: ``kind`` is "refused", "stopped" (both for ever) or "gone" (out of patience)."""

    kind: str
    reason: str
    away_seconds: float = 0.0


Event = Joined | Away | Call | Beat | Over


class Contact:
    """The state of the contact (see the module).

    Args:
        patience_seconds: How long to be away before giving up; may be changed at any time.
        now: The time. The first connection, of epoch 1, is made by the owner at once.
        stop_is_final: A scheduler that ends in order does not come back.
    """

    def __init__(self, patience_seconds: float, now: float, *, stop_is_final: bool = True) -> None:
        self._stop_is_final = stop_is_final
        self.patience_seconds = patience_seconds
        #: What the scheduler said when it welcomed us; None while away.
        self.welcome: m.Welcome | None = None
        self.epoch = 1
        #: Since when we are away, and why.
        self.away_at = now
        self.reason = "no scheduler has answered"
        self.over = False
        self._known = False
        self._heard_at = now
        self._beat_at = now
        self._call_seconds = CALL_SECONDS
        self._call_at = now + CALL_SECONDS
        #: When :meth:`tick` was asked for at the latest.
        self._asked_at = now + HEARTBEAT_SECONDS

    def handle(self, message: m.Message, now: float) -> Event | None:
        """A message of the scheduler has come by the current connection."""
        self._heard_at = now
        if isinstance(message, m.Welcome):
            return self._on_welcome(message, now)
        if isinstance(message, m.Unknown):
            return self.lose("it does not know us any more", now)
        if isinstance(message, m.Refused):
            return self._end("refused", message.reason)
        if isinstance(message, m.Stop):
            if not self._stop_is_final:
                return self.lose(f"it ended: {message.reason}", now)
            return self._end("stopped", message.reason)
        return None

    def lose(self, reason: str, now: float) -> Away | None:
        """The connection broke, or is of no use. None when that is no news."""
        if self.welcome is None or self.over:
            return None
        self.welcome = None
        self.away_at = now
        self.reason = reason
        self._call_seconds = CALL_SECONDS
        self._call_at = now
        return Away(reason)

    def next_deadline(self) -> float:
        """When :meth:`tick` wants to be called at the latest."""
        if self.over:
            return math.inf
        return self._beat_at if self.welcome is not None else min(self._call_at, self._asked_at)

    def absent(self, now: float) -> float:
        """How long we were absent ourselves until now, in seconds; 0 as a rule."""
        return absence(self._asked_at, now)

    def tick(self, now: float) -> list[Event]:
        """Time has passed."""
        if self.over:
            return []
        if absent := self.absent(now):
            self._heard_at = min(now, self._heard_at + absent)
            self.away_at = min(now, self.away_at + absent)
        self._asked_at = now + (HEARTBEAT_SECONDS if self.welcome is None else self.welcome.heartbeat_seconds)
        events: list[Event] = []
        if self.welcome is not None and now >= self._beat_at:
            self._beat_at = now + self.welcome.heartbeat_seconds
            silent = now - self._heard_at
            if silent > self.welcome.silence_seconds:
                away = self.lose(f"it is silent for {silent:.1f} s", now)
                assert away is not None
                events.append(away)
            else:
                events.append(Beat())
        if self.welcome is None:
            away_seconds = now - self.away_at
            if away_seconds > self.patience_seconds:
                return [*events, self._end("gone", self.reason, away_seconds)]
            if now >= self._call_at:
                self._call_at = now + self._call_seconds
                self._call_seconds = min(2 * self._call_seconds, CALL_SECONDS_MOST)
                self.epoch += 1
                events.append(Call(self.epoch))
        return events

    def _on_welcome(self, message: m.Welcome, now: float) -> Joined | None:
        if self.welcome is not None or self.over:
            return None
        again, self._known = self._known, True
        self.welcome = message
        self._beat_at = self._asked_at = now + message.heartbeat_seconds
        return Joined(message, now - self.away_at, again)

    def _end(self, kind: str, reason: str, away_seconds: float = 0.0) -> Over:
        self.over = True
        return Over(kind, reason, away_seconds)
