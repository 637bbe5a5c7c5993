"""The connection of a context to its scheduler, shared by all threads that wait for runs.

A socket belongs to one thread at a time, and the shortest way from a result to the one who waits for it is
that he takes it from the socket himself. So whoever waits *leads*: polls, receives, merges, for all runs; the
others follow, asleep on a condition. When the leader has what he wants he leaves, and another one takes over.
A background thread leads while runs go on and nobody waits, and keeps the connection alive in between.

A scheduler that is lost is looked for (:mod:`haydi.wire.contact`). When one answers, the one of before or a new one at
its address, each run submits what is not merged yet; messages that were queued in between count for nothing.

Ctrl-C is taken between two messages, never in the middle of one, so that no result is lost half-merged; a
second one does not wait, and neither does what a signal handler of the program raises. Then the run whose result
was just being merged is lost, and says so to whoever asks for it again; other runs lose nothing.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from types import FrameType
from typing import Protocol

from haydi.errors import ConnectionFailedError, HaydiError, ProtocolError, RunLostError, UsageError
from haydi.wire import contact as ct
from haydi.wire import messages as m
from haydi.wire.identity import hello, new_session
from haydi.wire.transport import SOCKET, Connection, Poll, Wakeup

__all__ = ["Link", "LinkedRun"]

#: A turn of the loop lasts no longer than this, so that limits in time are kept, in seconds.
TURN_SECONDS_MOST = 0.5

log = logging.getLogger("haydi.client")


class LinkedRun(Protocol):
    """What the link knows of a run."""

    @property
    def number(self) -> int:
        """By which the scheduler knows it now."""

    def on_message(self, message: m.Message) -> None:
        """A message about this run has come."""

    def on_tick(self, now: float) -> None:
        """Some time has passed."""

    def resubmit(self, number: int) -> None:
        """A scheduler that knows nothing of the run is there: :meth:`Link.add_again` what is missing."""

    def on_lost(self, error: HaydiError) -> None:
        """The scheduler is lost for good."""

    def next_deadline(self) -> float:
        """When the run wants :meth:`on_tick` at the latest."""


class Link:
    """A connection to the scheduler at ``host:port``.

    Args:
        host, port: Where the scheduler listens.
        patience_seconds: How long to wait for its first answer.
        watch: Called about twice a second; may raise when the scheduler is known to be gone.
        return_seconds: How long to wait for a scheduler that was lost to come back; None for as long as it asked for.
        restarted: Somebody starts the scheduler again, whatever ended it.

    Raises:
        ConnectionFailedError: when nothing answers in time, or the scheduler refuses.
    """

    def __init__(
        self,
        host: str,
        port: int,
        patience_seconds: float,
        watch: Callable[[], None] = lambda: None,
        *,
        return_seconds: float | None = None,
        restarted: bool = False,
    ) -> None:
        self._host, self._port = host, port
        self.address = f"{host}:{port}"
        self.daemons = 0
        self.slots = 0
        self.error: HaydiError | None = None
        self._pid = os.getpid()
        self._watch = watch
        self._runs: dict[int, LinkedRun] = {}
        self._outbox: deque[m.Message] = deque()
        #: Received and not yet dealt with.
        self._inbox: deque[m.Message] = deque()
        self._contact = ct.Contact(math.inf, time.monotonic(), stop_is_final=not restarted)
        self._return_seconds = return_seconds
        self._session = new_session()
        self._numbers = count(int.from_bytes(os.urandom(5)) << 23)
        self._closed = False
        self._condition = threading.Condition(threading.Lock())
        self._leading = False
        self._background_leads = False
        self._foreground = 0
        self._awaited = False
        self._pressed = False
        self._wakeup = Wakeup()
        self._connection = Connection(host, port)
        self._poll = Poll([self._connection, self._wakeup.fileno()])
        self._watch_at = 0.0
        self._connection.send([hello("client", session=self._session)])
        try:
            answered = self.wait_until(lambda: self.connected or self.error is not None, patience_seconds)
            if self.error is not None:
                raise self.error
            if not answered:
                raise ConnectionFailedError(
                    f"no haydi-scheduler answers at {self.address} within {patience_seconds:g} s: start one there "
                    f"(haydi-scheduler --host {host} --port {port}), check ip and port, or pass spawn_workers=n"
                )
        except BaseException:
            self.close()
            raise
        self._thread = threading.Thread(target=self._background, name="haydi-link", daemon=True)
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether there is a scheduler that knows us now."""
        return self._contact.welcome is not None

    # --- for the threads of the user ------------------------------------------------------------------

    def require_own_process(self) -> None:
        """Refuse to touch the connection in a process that was forked from its owner: it would hang or break it.

        Raises:
            UsageError: naming the remedy.
        """
        if os.getpid() != self._pid:
            raise UsageError(
                "this context, or run, belongs to the process that made it: make a new DistributedContext in this one"
            )

    def new_number(self) -> int:
        """A number for a run: told apart from those of other clients by where they begin."""
        return next(self._numbers)

    def add(self, run: LinkedRun, messages: Sequence[m.Message]) -> None:
        """Begin a run with these messages."""
        with self._condition:
            self._runs[run.number] = run
            self._outbox.extend(messages)

    def add_again(self, run: LinkedRun, before: int, messages: Sequence[m.Message]) -> None:
        """Go on with a run that had another number before; without messages it is over."""
        with self._condition:
            self._runs.pop(before, None)
            if messages:
                self._runs[run.number] = run
                self._outbox.extend(messages)

    def remove(self, run: LinkedRun) -> None:
        """A run is over."""
        with self._condition:
            self._runs.pop(run.number, None)

    def send(self, messages: Sequence[m.Message]) -> None:
        """Queue messages; whoever leads sends them."""
        self._outbox.extend(messages)

    def nudge(self) -> None:
        """Have queued messages sent although nobody waits."""
        with self._condition:
            if self._leading:
                self._wakeup.set()
            else:
                self._condition.notify_all()

    def wait_until(self, predicate: Callable[[], bool], seconds: float | None = None) -> bool:
        """Work for all runs until the predicate holds, which is returned; False after ``seconds``."""
        self.require_own_process()
        ours = self._take_ctrl_c()
        try:
            return self._wait(predicate, seconds, background=False, interruptible=ours)
        finally:
            if ours:
                self._awaited = False

    def close(self) -> None:
        """Say goodbye and close. Runs that go on are lost."""
        with self._condition:
            if self._closed:
                return
            self._closed = True
            self._wakeup.set()
            self._condition.notify_all()
            self._condition.wait_for(lambda: not self._leading, timeout=5.0)
            self.error = self.error or ConnectionFailedError("the context is closed")
        thread = getattr(self, "_thread", None)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5.0)
        with contextlib.suppress(HaydiError, OSError):
            self._flush([m.Goodbye()])
        for run in list(self._runs.values()):
            run.on_lost(RunLostError("the context was closed while the run was going on"))
        self._give_ctrl_c_back()
        self._connection.close(linger_seconds=0.2)
        self._wakeup.close()

    # --- leading --------------------------------------------------------------------------------------

    def _wait(
        self,
        predicate: Callable[[], bool],
        seconds: float | None,
        *,
        background: bool,
        interruptible: bool = False,
    ) -> bool:
        end = None if seconds is None else time.monotonic() + seconds
        with self._condition:
            self._foreground += not background
            try:
                while not predicate():
                    left = None if end is None else end - time.monotonic()
                    if left is not None and left <= 0:
                        return False
                    if self._closed and not background:
                        raise ConnectionFailedError("the context is closed")
                    if self._may_lead(background):
                        self._lead(left, background)
                    else:
                        self._follow(left, background)
                    if interruptible and self._pressed:
                        raise KeyboardInterrupt
            finally:
                self._foreground -= not background
                self._condition.notify_all()
        return True

    def _may_lead(self, background: bool) -> bool:
        """One leads at a time; the background does when somebody must and nobody else does."""
        if self._leading:
            return False
        needed = bool(self._runs) or time.monotonic() >= self._contact.next_deadline()
        return not background or (needed and not self._foreground)

    def _follow(self, left: float | None, background: bool) -> None:
        if self._background_leads and not background:
            self._wakeup.set()
        self._condition.wait(TURN_SECONDS_MOST if left is None else min(left, TURN_SECONDS_MOST))

    def _lead(self, left: float | None, background: bool) -> None:
        self._leading, self._background_leads = True, background
        self._condition.release()
        try:
            if background and not self._runs:
                left = 0.0
            self._turn(TURN_SECONDS_MOST if left is None else min(left, TURN_SECONDS_MOST))
        finally:
            self._condition.acquire()
            self._leading = self._background_leads = False
            self._condition.notify_all()

    def _background(self) -> None:
        self._wait(lambda: self._closed, None, background=True)

    def _turn(self, seconds: float) -> None:
        """Send what is queued, wait for something to come, and deal with it."""
        self._flush()
        now = time.monotonic()
        deadlines = [
            self._contact.next_deadline(),
            *(run.next_deadline() for run in list(self._runs.values())),
        ]
        patience = 0.0 if self._inbox else min([seconds, *(at - now for at in deadlines)])
        ready = self._poll.wait(max(0.0, patience))
        if self._wakeup.fileno() in ready:
            self._wakeup.clear()
        now = time.monotonic()
        if SOCKET in ready:
            self._receive(now)
        self._deal_with_inbox(now)
        self._look_after(now)
        self._flush()

    def _flush(self, more: Sequence[m.Message] = ()) -> None:
        if not self.connected:
            return  # when the scheduler is back, runs say all that it has to know
        queued = list(self._outbox)
        if queued or more:
            self._connection.send([*queued, *more])
        for _ in queued:  # not before they are sent: a signal handler may raise at any point
            self._outbox.popleft()

    def _receive(self, now: float) -> None:
        try:
            self._inbox.extend(self._connection.receive())
        except ProtocolError as error:
            self._lose(
                ConnectionFailedError(
                    f"what answers at {self.address} is no haydi-scheduler of this version: {error}"
                )
            )

    def _deal_with_inbox(self, now: float) -> None:
        while self._inbox:
            message = self._inbox.popleft()
            run = self._runs.get(getattr(message, "run", -1))
            if run is None:
                self._on_message(message, now)
                continue
            try:
                run.on_message(message)
            except BaseException:
                run.on_lost(RunLostError("the run was interrupted while a result was being merged"))
                raise

    def _on_message(self, message: m.Message, now: float) -> None:
        if isinstance(message, m.Cluster):
            self.daemons, self.slots = message.daemons, message.slots
        else:
            self._on_contact(self._contact.handle(message, now), now)

    def _on_contact(self, event: ct.Event | None, now: float) -> None:
        if isinstance(event, ct.Beat):
            self._outbox.append(m.Heartbeat())
        elif isinstance(event, ct.Call):
            self._connect_again(event)
        elif isinstance(event, ct.Joined):
            asked = event.welcome.restart_seconds
            self._contact.patience_seconds = asked if self._return_seconds is None else self._return_seconds
            if event.again:
                log.warning("the scheduler at %s is back after %.1f s", self.address, event.away_seconds)
            self._resubmit([m.Back(event.away_seconds)] if event.again else [])
        elif isinstance(event, ct.Away):
            log.warning("lost the scheduler at %s: %s; looking for it", self.address, event.reason)
            self.daemons = self.slots = 0
            self._watch_at = 0.0
        elif isinstance(event, ct.Over):
            self._lose(self._explain(event))

    def _connect_again(self, call: ct.Call) -> None:
        self._poll.remove(self._connection)
        self._connection.close()
        self._connection = Connection(self._host, self._port)
        self._poll.add(self._connection)
        self._connection.send([hello("client", session=self._session, epoch=call.epoch)])

    def _resubmit(self, greeting: Sequence[m.Message]) -> None:
        """Tell the scheduler of all runs. What those that begin meanwhile have to say stays behind that."""
        with self._condition:
            self._outbox.clear()
            self._outbox.extend(greeting)
            runs = list(self._runs.values())
        for run in runs:  # which take their own lock first, and then ours
            run.resubmit(self.new_number())

    def _explain(self, over: ct.Over) -> HaydiError:
        if over.kind == "refused":
            return ConnectionFailedError(f"the scheduler at {self.address} refuses: {over.reason}")
        if over.kind == "stopped":
            return RunLostError(f"the scheduler at {self.address} ended: {over.reason}; make a new context")
        since = time.strftime("%H:%M:%S", time.localtime(time.time() - over.away_seconds))
        return RunLostError(
            f"the scheduler at {self.address} is lost since {since} ({over.reason}) and did not come back within "
            f"{over.away_seconds:.1f} s: start one there, make a new context and run again; scheduler_timeout= says "
            f"how long to wait for it"
        )

    def _look_after(self, now: float) -> None:
        if self._connection.broke():  # what had come before that is dealt with
            self._on_contact(self._contact.lose("the connection broke", now), now)
        if now >= self._watch_at:
            self._watch_at = now + TURN_SECONDS_MOST
            try:
                self._watch()
            except HaydiError as error:
                self._lose(error)
        if now >= self._contact.next_deadline():
            for event in self._contact.tick(now):
                self._on_contact(event, now)
        for run in list(self._runs.values()):
            run.on_tick(now)

    def _lose(self, error: HaydiError) -> None:
        self.error = error
        for run in list(self._runs.values()):
            run.on_lost(error)

    # --- Ctrl-C ---------------------------------------------------------------------------------------

    def _take_ctrl_c(self) -> bool:
        """Have SIGINT come to :meth:`_on_ctrl_c` while this is the main thread's wait. False when that is not ours.

        The handler stays until :meth:`close` or until another link's wait; outside of a wait it does what Python's
        own does.
        """
        if threading.current_thread() is not threading.main_thread():
            return False
        handler = signal.getsignal(signal.SIGINT)
        if handler != self._on_ctrl_c:
            if handler is not signal.default_int_handler and not isinstance(
                getattr(handler, "__self__", None), Link
            ):
                return False  # the program has one of its own
            signal.signal(signal.SIGINT, self._on_ctrl_c)
        self._pressed = False
        self._awaited = True
        return True

    def _on_ctrl_c(self, number: int, frame: FrameType | None) -> None:
        if not self._awaited or self._pressed:
            self._pressed = False
            signal.default_int_handler(number, frame)
        self._pressed = True
        self._wakeup.set()

    def _give_ctrl_c_back(self) -> None:
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) == self._on_ctrl_c
        ):
            signal.signal(signal.SIGINT, signal.default_int_handler)
