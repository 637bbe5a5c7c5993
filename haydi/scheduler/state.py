"""What the scheduler keeps in mind: its constants, its peers, its runs and each daemon's part in them."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from haydi.errors import ArgumentValueError
from haydi.rates import seconds_for
from haydi.scheduler.ledger import Ledger
from haydi.scheduler.sizing import SizingSettings
from haydi.wire import messages as m

__all__ = [
    "Client",
    "Effect",
    "Note",
    "Peer",
    "Run",
    "SchedulerSettings",
    "Send",
    "Share",
    "Worker",
]

Peer = bytes

#: More than clients leave unacknowledged (see :mod:`haydi.client.core`).
WINDOW_BYTES_LEAST = 1 << 20


@dataclass(frozen=True)
class SchedulerSettings:
    """Constants of the scheduler; times in seconds."""

    heartbeat_seconds: float = 1.0
    silence_seconds: float = 10.0
    #: A daemon that is late by this against its estimate may be asked again for work.
    overdue_seconds: float = 0.1
    #: Nobody is asked to give up work that takes less.
    steal_seconds_least: float = 0.01
    #: When a victim had nothing to give, it is asked again after this, doubling.
    steal_retry_seconds: float = 0.25
    steal_retry_seconds_most: float = 4.0
    #: Results on their way from one daemon, in bytes, before it holds back.
    window_bytes: int = 16 << 20
    #: How long peers are asked to wait for a scheduler that is gone to come back at its address.
    restart_seconds: float = 30.0
    sizing: SizingSettings = field(default_factory=SizingSettings)

    def __post_init__(self) -> None:
        if self.window_bytes < WINDOW_BYTES_LEAST:
            raise ArgumentValueError(
                f"window_bytes={self.window_bytes}: at least {WINDOW_BYTES_LEAST} are needed, because clients "
                f"acknowledge results together, and a daemon that waits for that must not wait for ever"
            )


@dataclass(frozen=True)
class Send:
    """Send a message to a peer."""

    peer: Peer
    message: m.Message


@dataclass(frozen=True)
class Note:
    """Something an operator may want to read in the log; ``level`` is one of :mod:`logging`."""

    level: int
    text: str


Effect = Send | Note


@dataclass(eq=False)
class Client:
    """A connected client and its runs, or a monitor, which has none."""

    peer: Peer
    hello: m.Hello
    number: int
    last_seen: float
    runs: set[int] = field(default_factory=set)


@dataclass(eq=False)
class Worker:
    """A connected daemon."""

    peer: Peer
    hello: m.Hello
    last_seen: float
    #: Runs whose plan it has.
    runs: set[int] = field(default_factory=set)
    #: Leases it was sent.
    leases: int = 0
    #: Slots without work, and runs with little left to begin, as it last said.
    idle: int = 0
    low: frozenset[int] = frozenset()
    #: The run of the Steal it has not answered yet.
    stealing: int | None = None
    #: It finishes what it has begun, and gets nothing new.
    leaving: bool = False
    #: An operator told it to leave.
    retired: bool = False

    @property
    def slots(self) -> int:
        return self.hello.slots

    @property
    def label(self) -> str:
        return f"{self.hello.name} ({self.hello.host} pid {self.hello.pid})"


@dataclass(eq=False)
class Share:
    """What is known of one daemon's part in one run."""

    #: Of one slot (see :mod:`haydi.rates`).
    rate: int | None = None
    last_lease: int = 0
    end: float = -math.inf
    retry_at: float = 0.0
    retry_seconds: float = 0.0
    #: Times it gave something up since it last reported.
    robbed: int = 0


@dataclass(eq=False)
class Run:
    """A run: its ledger, and the results that its client has not taken yet."""

    number: int
    owner: Peer
    plan: m.RunPlan
    ledger: Ledger[Peer]
    started: float
    tail: bool = False
    #: Nothing more of it is given out: its client wants what is folded, and then no more.
    draining: bool = False
    sequence: int = 0
    steals: int = 0
    #: (sequence, worker, bytes) of results on their way to the client.
    flying: deque[tuple[int, Peer, int]] = field(default_factory=deque)
    shares: dict[Peer, Share] = field(default_factory=dict)
    #: Lazy heap of (-estimated end, tie, worker): entries that differ from the share are stale.
    ends: list[tuple[float, int, Peer]] = field(default_factory=list)
    ties: int = 0

    def estimate(self, worker: Worker, now: float) -> None:
        """Estimate anew when a daemon will be through with what it holds; at infinity when its rate is unknown."""
        share = self.shares[worker.peer]
        held = self.ledger.held.get(worker.peer)
        if held is None:
            share.end = -math.inf
            return
        if share.rate is None:
            share.end = math.inf
        else:
            share.end = now + seconds_for(held.size, share.rate * worker.slots)
        self.ties += 1
        heapq.heappush(self.ends, (-share.end, self.ties, worker.peer))
        if len(self.ends) > 4 * len(self.shares) + 64:
            live = (peer for peer in self.shares if peer in self.ledger.held)
            self.ends = [(-self.shares[peer].end, i, peer) for i, peer in enumerate(live)]
            heapq.heapify(self.ends)

    def latest(self, accept: Callable[[Peer, Share], bool], tries: int = 64) -> Peer | None:
        """The daemon with the latest estimated end that is accepted; looks at the ``tries`` latest ones."""
        kept: list[tuple[float, int, Peer]] = []
        found = None
        while self.ends and found is None and len(kept) < tries:
            entry = heapq.heappop(self.ends)
            share = self.shares.get(entry[2])
            if share is None or share.end != -entry[0] or entry[2] not in self.ledger.held:
                continue  # stale
            kept.append(entry)
            if accept(entry[2], share):
                found = entry[2]
        for entry in kept:
            heapq.heappush(self.ends, entry)
        return found
