"""The clock of the simulation, and its connections.

A connection keeps the order of messages in each direction, delays each at random, and has an identity that the
scheduler knows it by. When it is cut, what is under way is lost in both directions and the identity never comes back:
that is what a DEALER behind a ROUTER does when it connects anew.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from haydi.wire import codec
from haydi.wire import messages as m

__all__ = ["Clock", "Connection", "Network"]


class Clock:
    """Virtual time: events happen in the order of their times, those of the same time in the order they were made."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events = 0
        self._heap: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._number = 0

    def at(self, time: float, action: Callable[..., object], *arguments: Any) -> None:
        """Have something happen at a time, or now if that is over."""
        self._number += 1
        heapq.heappush(self._heap, (max(time, self.now), self._number, action, arguments))

    def after(self, seconds: float, action: Callable[..., object], *arguments: Any) -> None:
        """Have something happen after some seconds."""
        self.at(self.now + seconds, action, *arguments)

    def step(self) -> None:
        """Let the next event happen."""
        time, _, action, arguments = heapq.heappop(self._heap)
        self.now = time
        self.events += 1
        action(*arguments)


@dataclass(frozen=True)
class Network:
    """How slow and how rough connections are; seconds."""

    latency: float = 0.0001
    jitter: float = 0.0
    spike_share: float = 0.0
    spike: float = 0.0
    #: Messages go through their packed form.
    codec: bool = False


class Connection:
    """A connection of a daemon or client to the scheduler.

    Args:
        clock: The clock.
        network: How it behaves.
        rng: Where its delays come from.
        identity: The name by which the scheduler knows it.
        to_scheduler: Called with each message that arrives there.
        to_peer: Called with each message that arrives here.
    """

    def __init__(
        self,
        clock: Clock,
        network: Network,
        rng: Random,
        identity: bytes,
        to_scheduler: Callable[[Connection, m.Message], None],
        to_peer: Callable[[Connection, m.Message], None],
    ) -> None:
        self.identity = identity
        #: False when what is sent to it is known not to arrive.
        self.reachable = True
        #: False when nothing arrives any more, on either side.
        self.alive = True
        #: Messages under way, both ways.
        self.flying = 0
        #: What waits for a scheduler to be there at all; None when one is.
        self.waiting: list[list[m.Message]] | None = None
        self._clock = clock
        self._network = network
        self._rng = rng
        self._arrive = (to_peer, to_scheduler)
        self._last = [0.0, 0.0]

    def send(self, messages: list[m.Message], *, up: bool) -> None:
        """Send an envelope, up to the scheduler or down from it."""
        if not self.alive or not messages:
            return
        if self._network.codec:
            decoded = codec.decode(codec.encode(messages))
            assert decoded == messages
            assert list(map(type, decoded)) == list(map(type, messages))
            messages = decoded
        if self.waiting is not None:
            self.waiting.append(messages)
            return
        network, rng = self._network, self._rng
        delay = network.latency + (rng.expovariate(1 / network.jitter) if network.jitter else 0.0)
        if network.spike_share and rng.random() < network.spike_share:
            delay += rng.uniform(0, network.spike)
        arrival = self._last[up] = max(self._last[up], self._clock.now + delay)
        self.flying += 1
        self._clock.at(arrival, self._deliver, messages, up)

    def establish(self) -> None:
        """There is a scheduler: send it what has waited."""
        waiting, self.waiting = self.waiting or [], None
        for messages in waiting:
            self.send(messages, up=True)

    def cut(self) -> None:
        """Lose what is under way, and the identity."""
        self.alive = self.reachable = False

    def _deliver(self, messages: list[m.Message], up: bool) -> None:
        self.flying -= 1
        if self.alive:
            for message in messages:
                self._arrive[up](self, message)
