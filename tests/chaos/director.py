"""The director of a chaos run: starts the cast, does harm, watches, and ends everything.

One loop and no thread. What lies ahead (a pause ends, a killed process is started again, a link is restored) waits
in a queue of *cues*; what has to become true (the processes of a killed daemon are gone) in a list of *promises*
with deadlines. At the end the harm stops, and everybody has to finish: a cluster that lives only while nobody looks
would not pass.

Two rules keep the harm within what is promised: the scheduler has some peace after each fault of its own, lest one
absence grows out of many, and one daemon is always spared.
"""

from __future__ import annotations

import heapq
import itertools
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from tests.chaos.book import Book
from tests.chaos.choices import Choice, choices
from tests.chaos.netns import Network
from tests.chaos.stage import Host, Member, Stage

__all__ = ["Director", "Options"]

GRACE_SECONDS = 60.0
PEACE_SECONDS = 8.0
LOOK_SECONDS = 0.03
#: How often it is noted which shared memory is ours.
NOTE_SECONDS = 1.0
#: Within which time the processes of one that was killed have to be gone, and a leaving daemon too.
TREE_SECONDS = 10.0
LEAVE_SECONDS = 40.0
#: Within which time a scheduler that is not disturbed has to forget the run of a client that was killed.
FORGET_SECONDS = 30.0


@dataclass(frozen=True)
class Options:
    """What to play.

    Attributes:
        seconds: How long harm is done.
        mean_seconds: From one fault to the next, on average.
        bound_seconds: How long a client may take for a run.
        claims: Further arguments of the clients, to see that the director notices.
    """

    seconds: float
    seed: int
    daemons: int = 3
    slots: int = 2
    clients: int = 3
    owners: int = 1
    mean_seconds: float = 1.5
    bound_seconds: float = 90.0
    claims: tuple[str, ...] = ()


@dataclass
class Promise:
    """What has to be true by a deadline."""

    text: str
    deadline: float
    kept: Callable[[], bool]


@dataclass
class Director:
    """See the module."""

    options: Options
    stage: Stage
    book: Book
    network: Network | None = None
    promises: list[Promise] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._cues: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count(1)
        self._rng = random.Random(f"{self.options.seed}/seeds of clients")
        self._scheduler_free_at = 0.0
        self._killed_clients: dict[int, float] = {}
        self._status_at = 0.0
        self._note_at = 0.0
        self._own_free_at = 0.0

    # --- the play -------------------------------------------------------------------------------------

    def play(self) -> bool:
        """Harm for the time that was asked for, then peace. False when a hang put an end to it."""
        self.book.began_at = self.book.ended_at = now = time.monotonic()
        self._start_cast()
        end = now + self.options.seconds
        script = choices(self.options.seed, self.options.mean_seconds, self.network is not None)
        choice = next(script)
        at = now + 2.0 + choice.after_seconds
        while (now := time.monotonic()) < end and self._look(now):
            if now >= at:
                self._harm(choice, now)
                choice = next(script)
                at = now + choice.after_seconds
            time.sleep(LOOK_SECONDS)
        ended = now >= end and self._finish()
        self.book.ended_at = time.monotonic()
        return ended

    def _start_cast(self) -> None:
        self._start_scheduler()
        for number in range(self.options.daemons):
            self._start_daemon(self._host("daemon", number))
        for number in range(self.options.clients):
            self._start_client("client", self._host("client", number))
        for _ in range(self.options.owners):
            self._start_client("owner", Host("local"))

    def _host(self, kind: str, number: int) -> Host:
        return self.network.host(kind, number) if self.network is not None else self.stage.scheduler_host

    def _start_scheduler(self) -> None:
        self.stage.scheduler(f"scheduler-{next(self._numbers)}", GRACE_SECONDS)

    def _start_daemon(self, host: Host) -> None:
        self.stage.daemon(f"daemon-{next(self._numbers)}", host, self.options.slots)

    def _start_client(self, kind: str, host: Host) -> None:
        name, seed = f"{kind}-{next(self._numbers)}", str(self._rng.randrange(2**32))
        if kind == "owner":
            self.stage.owner(name, host, seed, 2)
        else:
            self.stage.client(name, host, seed, *self.options.claims)
        self.book.waits(name, "start", time.monotonic())

    def cue(self, at: float, what: Callable[[], None]) -> None:
        """Have something done at a time."""
        heapq.heappush(self._cues, (at, next(self._numbers), what))

    # --- what is seen ---------------------------------------------------------------------------------

    def _look(self, now: float) -> bool:
        """Look around; False when it is no use to go on."""
        while self._cues and self._cues[0][0] <= now:
            heapq.heappop(self._cues)[2]()
        for member in self.stage.members:
            if member.state != "ended":
                self._hear(member, now)
                code = member.process.poll()
                if code is not None:
                    self._hear(member, now)
                    self._on_end(member, code, now)
        if now >= self._note_at:
            self._note_at = now + NOTE_SECONDS
            self.stage.note()
        self._look_at_status(now)
        self._look_at_promises(now)
        hung = self.book.hung(now)
        for text in hung:
            self.book.problem(now, f"hang: {text}")
        if hung:
            self.book.log(now, self._stories())
        return not hung

    def _hear(self, member: Member, now: float) -> None:
        if member.kind not in ("client", "owner"):
            return
        for told in member.lines():
            if told["what"] == "begin":
                self.book.waits(member.name, told["job"], now)
            elif told["what"] == "end":
                self.book.gone(member.name)
            else:
                self.book.ran(member.name, told["job"], told["what"], told["text"], now)

    def _on_end(self, member: Member, code: int, now: float) -> None:
        member.state = "ended"
        self.book.gone(member.name)
        if code not in member.codes:
            self.book.problem(now, f"{member.name} ended with code {code}:\n{member.last_words()}")
        for cry in member.cries():
            self.book.problem(now, f"{member.name} wrote {cry!r}:\n{member.last_words(60)}")
        if not member.codes:
            self._replace(member, now + 1.0)

    def _replace(self, member: Member, at: float) -> None:
        """Somebody like it will come."""
        if member.kind == "scheduler":
            self.cue(at, self._start_scheduler)
        elif member.kind == "daemon":
            self.cue(at, lambda: self._start_daemon(member.host))
        else:
            self.cue(at, lambda: self._start_client(member.kind, member.host))
        self.cue(at, lambda: self.book.over(at))

    def _look_at_promises(self, now: float) -> None:
        for promise in list(self.promises):
            if promise.kept():
                self.promises.remove(promise)
            elif now > promise.deadline:
                self.promises.remove(promise)
                self.book.problem(now, promise.text)

    def _look_at_status(self, now: float) -> None:
        """See whether the clients that were killed are forgotten: only a scheduler in peace can be asked."""
        if not self._killed_clients or now < max(
            self._status_at, self._scheduler_free_at - PEACE_SECONDS + 1
        ):
            return
        self._status_at = now + 1.0
        status = self.stage.status()
        if status is None:
            return
        there = {entry["pid"] for entry in [*status["clients"], *status["runs"]]}
        for pid, at in list(self._killed_clients.items()):
            since = max(at, self._scheduler_free_at - PEACE_SECONDS)
            if pid not in there:
                del self._killed_clients[pid]
            elif now - since > FORGET_SECONDS:
                del self._killed_clients[pid]
                self.book.problem(
                    now, f"the run of the killed client with pid {pid} is still there: {status}"
                )

    def _stories(self) -> str:
        """What everybody has to say when something hangs."""
        for member in self.stage.of("client", "owner"):
            member.signal(signal.SIGUSR2)
        time.sleep(0.5)
        told = [f"status: {self.stage.status()}"]
        for member in self.stage.members:
            if member.state != "ended":
                told.append(
                    f"---- {member.name} ({member.state}), pid {member.pid}:\n{member.last_words(60)}"
                )
        return "\n".join(told)

    # --- harm -----------------------------------------------------------------------------------------

    def _harm(self, choice: Choice, now: float) -> None:
        who, what = choice.kind.split(" ", 1)
        if self.network is not None and self.network.harm(choice, self, now):
            return
        if who == "compute":
            self._hit_compute(choice, signal.Signals[what], now)
        elif choice.kind == "nursery SIGKILL":
            self._hit_nursery(choice, now)
        elif who == "own":
            self._hit_own(choice, now)
        elif who in ("daemon", "client", "scheduler"):
            member = choice.of(self.victims(who, now))
            if member is None:
                return
            if who == "scheduler":
                self._scheduler_free_at = now + 3600.0
            if what == "pause":
                self._pause(member, choice, now)
            else:
                self.kill(member, signal.Signals[what], choice.between(0.2, 8.0), choice.kind, now)

    def victims(self, who: str, now: float) -> list[Member]:
        """Those of a kind that may be hit now."""
        if who == "client":
            return self.stage.of("client", "owner")
        if who == "scheduler":
            return self.stage.of("scheduler") if now >= self._scheduler_free_at else []
        up = [m for m in self.stage.of("daemon") if self.network is None or self.network.reachable(m.host)]
        return up if len(up) > 1 else []

    def _hit_compute(self, choice: Choice, how: signal.Signals, now: float) -> None:
        found = [
            process
            for daemon in self.stage.of("daemon")
            for nursery in daemon.nurseries()
            for process in _children(nursery)
        ]
        victim = choice.of(found)
        if victim is not None:
            victim.send_signal(how)
            self.book.fault(choice.kind, f"pid {victim.pid}", now)
            self.book.over(now)

    def _hit_nursery(self, choice: Choice, now: float) -> None:
        daemon = choice.of(self.victims("daemon", now))
        nurseries = daemon.nurseries() if daemon is not None else []
        if daemon is None or not nurseries:
            return
        daemon.codes = (1,)  # the daemon cannot go on without, and says so
        self._expect_gone(daemon, now)
        nurseries[0].kill()
        daemon.state = "leaving"
        self.book.fault(choice.kind, f"of {daemon.name}", now)
        self._replace(daemon, now + choice.between(0.2, 8.0))

    def _hit_own(self, choice: Choice, now: float) -> None:
        """Something of a cluster that belongs to a client; those that live too short are not started for ever."""
        owner = choice.of(self.stage.of("owner"))
        victim = choice.of(owner.tree()) if owner is not None and now >= self._own_free_at else None
        if owner is None or victim is None:
            return
        self._own_free_at = now + PEACE_SECONDS
        victim.kill()
        self.book.fault(choice.kind, f"pid {victim.pid} of {owner.name}", now)
        self.book.over(now)

    def _pause(self, member: Member, choice: Choice, now: float) -> None:
        seconds = choice.between(0.1, 12.0)
        member.signal(signal.SIGSTOP)
        member.state = "paused"
        self.book.fault(choice.kind, f"{member.name} for {seconds:.1f} s", now)

        def go_on() -> None:
            member.signal(signal.SIGCONT)
            member.state = "up"
            self.book.log(time.monotonic(), f"{member.name} goes on")
            self._over(member)

        self.cue(now + seconds, go_on)

    def _over(self, member: Member) -> None:
        now = time.monotonic()
        self.book.over(now)
        if member.kind == "scheduler":
            self._scheduler_free_at = now + PEACE_SECONDS

    def kill(self, member: Member, how: signal.Signals, back_seconds: float, kind: str, now: float) -> None:
        """End a member; another one takes its place after a while."""
        self.book.fault(kind, f"{member.name}, pid {member.pid}, back after {back_seconds:.1f} s", now)
        member.state = "leaving"
        # One that has not said a word yet cannot know what SIGTERM means.
        ready = how == signal.SIGTERM and member.last_words()
        member.codes = (0,) if ready else (0, -how) if how == signal.SIGTERM else (-how,)
        self._expect_gone(member, now, LEAVE_SECONDS if how == signal.SIGTERM else TREE_SECONDS)
        if member.kind == "client":
            self._killed_clients[member.pid] = now
        self.book.gone(member.name)
        member.signal(how)
        self._replace(member, now + back_seconds)
        if member.kind == "scheduler":
            self.cue(now + back_seconds, lambda: self._over(member))

    def _expect_gone(self, member: Member, now: float, seconds: float = TREE_SECONDS) -> None:
        tree = member.tree()

        def gone() -> bool:
            return member.state == "ended" and not any(map(_lives, tree))

        text = f"{member.name}, or something below it, is still there after {seconds:g} s: {[p.pid for p in tree]}"
        self.promises.append(Promise(text, now + seconds, gone))

    # --- peace ----------------------------------------------------------------------------------------

    def _finish(self) -> bool:
        """All harm is over: everybody finishes what he is at, and leaves. False when that does not happen."""
        now = time.monotonic()
        self.book.log(now, "peace")
        while self._cues:
            heapq.heappop(self._cues)[2]()
        settled = self._until(
            lambda: (
                not (self.promises or self._killed_clients)
                and all(member.read for member in self.stage.of("client", "owner"))
            )
        )
        for member in self.stage.of("client", "owner"):
            member.codes = (0,)
            member.signal(signal.SIGTERM)
        if not (settled and self._until(lambda: not self.stage.of("client", "owner"))):
            return False
        status = self.stage.status()
        if status is None or status["runs"] or status["clients"]:
            self.book.problem(time.monotonic(), f"when all clients have left, the scheduler says {status}")
        for member in self.stage.of("scheduler", "daemon"):
            member.codes = (0,)
        for member in self.stage.of("scheduler"):
            member.signal(signal.SIGTERM)
        return self._until(lambda: not self.stage.of("scheduler", "daemon"))

    def _until(self, done: Callable[[], bool]) -> bool:
        end = time.monotonic() + self.options.bound_seconds + TREE_SECONDS
        while not done():
            now = time.monotonic()
            if not self._look(now):
                return False
            if now > end:
                self.book.problem(now, f"the cluster does not come to an end\n{self._stories()}")
                return False
            time.sleep(LOOK_SECONDS)
        return True


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children())
    except psutil.Error:
        return []


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
