"""The messages of Haydi: what scheduler, daemons and clients say to each other.

Each is a named tuple. A last field ``payload`` is opaque bytes (a pickled plan, a pickled partial, a pickled error);
nobody on the way looks into it. How they travel, and what is refused, is the business of :mod:`haydi.wire.codec`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = [
    "PROTOCOL_VERSION",
    "Answer",
    "Ask",
    "Back",
    "Cancel",
    "Cluster",
    "Consumed",
    "Credit",
    "Drain",
    "Drained",
    "End",
    "Failed",
    "Goodbye",
    "Heartbeat",
    "Hello",
    "Lease",
    "Leave",
    "Leaving",
    "Message",
    "Partial",
    "Refused",
    "Released",
    "Report",
    "RunFailed",
    "RunLost",
    "RunPlan",
    "Steal",
    "Stop",
    "Submit",
    "Trim",
    "Unknown",
    "Want",
    "Welcome",
]

#: Raised whenever a message changes its meaning or its fields.
PROTOCOL_VERSION: Final = 2

Ranges = tuple[tuple[int, int], ...]


class Hello(NamedTuple):
    """A peer introduces itself. ``machine`` and ``pid`` let a scheduler on the same machine see it die.

    ``session`` is the same for all connections of one daemon or client, and ``epoch`` grows with each of them: a newer
    one takes the place of an older one, never the other way round.
    """

    role: str
    protocol: int
    version: str
    python: str
    host: str
    pid: int
    machine: str
    name: str
    slots: int
    session: str
    epoch: int


class Welcome(NamedTuple):
    """The scheduler accepts a peer, and asks it for ``restart_seconds`` of patience should it be gone one day."""

    protocol: int
    version: str
    cluster: str
    heartbeat_seconds: float
    silence_seconds: float
    window_bytes: int
    restart_seconds: float


class Refused(NamedTuple):
    """The scheduler does not accept a peer; it should not try again."""

    reason: str


class Unknown(NamedTuple):
    """The scheduler does not know who speaks (it was restarted, or gave the peer up): say Hello again."""


class Back(NamedTuple):
    """The peer had lost its scheduler, this one or the one before, and was looking for it for so long."""

    away_seconds: float


class Heartbeat(NamedTuple):
    """Still here."""


class Goodbye(NamedTuple):
    """The peer leaves in order; what it holds is free. The scheduler answers the Goodbye of a daemon with its own."""


class Leave(NamedTuple):
    """An operator wants the daemon to leave in order."""

    reason: str


class Leaving(NamedTuple):
    """The daemon takes no more leases: it gives back what is not begun, finishes the rest, and says Goodbye."""


class Ask(NamedTuple):
    """A monitor asks for something: ``status``, or ``retire`` of the worker that ``argument`` names."""

    order: str
    argument: str


class Answer(NamedTuple):
    """What a monitor asked for, as JSON."""

    payload: bytes


class Stop(NamedTuple):
    """The scheduler ends, and the daemon should end too."""

    reason: str


class Cluster(NamedTuple):
    """How many worker daemons and slots there are; sent to clients when it changes."""

    daemons: int
    slots: int


class Submit(NamedTuple):
    """A run of ``steps`` steps, of which ``ranges`` are to be computed.

    With ``skip`` a step that fails is done; ``priority`` scales the run's share of the workers.
    """

    run: int
    steps: int
    early: bool
    skip: bool
    priority: float
    ranges: Ranges
    payload: bytes


class Cancel(NamedTuple):
    """The client wants no more of this run."""

    run: int


class Drain(NamedTuple):
    """Begin nothing more of this run: report what is folded, give up the rest (client to scheduler to worker)."""

    run: int


class Drained(NamedTuple):
    """Nobody holds steps of this run any more (answer to Drain, behind the results)."""

    run: int


class Trim(NamedTuple):
    """Steps from ``stop`` on are not needed any more (client to scheduler, scheduler to worker)."""

    run: int
    stop: int


class Consumed(NamedTuple):
    """The client has merged the results up to number ``sequence``."""

    run: int
    sequence: int


class RunPlan(NamedTuple):
    """What a run executes; comes before its first lease."""

    run: int
    owner: int
    early: bool
    skip: bool
    priority: float
    flush_seconds: float
    payload: bytes


class Lease(NamedTuple):
    """The daemon owns steps ``[start, stop)`` of a run."""

    run: int
    start: int
    stop: int


class Steal(NamedTuple):
    """The daemon should give up ``share`` of what it has not begun of a run."""

    run: int
    share: float


class Released(NamedTuple):
    """The daemon gives up these steps, and no others (answer to Steal; may be empty)."""

    run: int
    ranges: Ranges


class Want(NamedTuple):
    """The daemon could use more work of the runs ``low``, and any for ``idle`` slots that have none at all.

    It had got ``leases`` leases by then: one that crosses with a Want is its answer.
    """

    idle: int
    leases: int
    low: tuple[int, ...]


class Report(NamedTuple):
    """The partial result of steps ``[start, stop)``, which took ``seconds`` of a slot."""

    run: int
    start: int
    stop: int
    seconds: float
    payload: bytes


class Failed(NamedTuple):
    """Something failed in ``[start, stop)``.

    ``kind`` is user (a function raised), load (the plan cannot be loaded), result (a result cannot be sent), died (the
    step ends each process that runs it) or loading (so does the plan). In a run that skips, a step that died is done.
    """

    run: int
    start: int
    stop: int
    kind: str
    payload: bytes


class End(NamedTuple):
    """The run is over: drop all of it."""

    run: int


class Credit(NamedTuple):
    """So many bytes of results have reached their client."""

    bytes: int


class Partial(NamedTuple):
    """A report on its way to the client: the ``sequence``-th of this run."""

    run: int
    sequence: int
    start: int
    stop: int
    seconds: float
    worker: str
    payload: bytes


class RunFailed(NamedTuple):
    """A failure on its way to the client."""

    run: int
    start: int
    stop: int
    kind: str
    worker: str
    payload: bytes


class RunLost(NamedTuple):
    """The scheduler has given a run up."""

    run: int
    reason: str


Message = (
    Hello
    | Welcome
    | Refused
    | Unknown
    | Heartbeat
    | Goodbye
    | Leave
    | Leaving
    | Ask
    | Back
    | Answer
    | Stop
    | Cluster
    | Submit
    | Cancel
    | Drain
    | Drained
    | Trim
    | Consumed
    | RunPlan
    | Lease
    | Steal
    | Released
    | Want
    | Report
    | Failed
    | End
    | Credit
    | Partial
    | RunFailed
    | RunLost
)
