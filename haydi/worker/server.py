"""The supervisor's process: sockets, pipes, clock and log around :class:`~haydi.worker.core.WorkerCore`.

One thread, one poll loop over the connection to the scheduler, the lines to the compute processes and the
nursery. It never runs user code and never waits for anybody, so it can answer the scheduler at any time.
Results wait in their pipes, and so hold up their compute processes, while too many bytes are on their way to
a client.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterable

from haydi.errors import ProtocolError
from haydi.wire import messages as m
from haydi.wire.death import Death
from haydi.wire.identity import hello, new_session
from haydi.wire.transport import SOCKET, Connection, Poll, Wakeup
from haydi.worker import channel as ch
from haydi.worker import core as c
from haydi.worker.memory import Scales, limit_bytes
from haydi.worker.nursery import Died, Nursery, Spawned

__all__ = ["WorkerServer", "serve_local"]

log = logging.getLogger("haydi.worker")

#: How often compute processes at work are weighed.
WEIGH_SECONDS = 0.15


class WorkerServer:
    """A worker daemon that works for the scheduler at ``host:port``.

    Args:
        nursery: The nursery, started before anything made a thread.
        host, port: Where the scheduler listens.
        slots: Number of compute processes.
        name: Name of the daemon in logs and reports; empty for ``HOST-PID``.
        settings: Constants.
    """

    def __init__(
        self,
        nursery: Nursery,
        host: str,
        port: int,
        slots: int,
        name: str = "",
        settings: c.WorkerSettings | None = None,
    ) -> None:
        self._address = (host, port)
        self._name = name
        self._slots = slots
        self._nursery = nursery
        self.core = c.WorkerCore(settings or c.WorkerSettings(), slots, time.monotonic())
        self._channels: dict[int, ch.Channel] = {}
        self._controls: dict[int, int] = {}
        self._slot_of: dict[int, int] = {}
        self._flags: dict[int, tuple[bool, bool]] = {}
        self._pids: dict[int, int] = {}
        #: Slots with messages to send at the end of the turn: each wakes a process, which is the dear part.
        self._posted: set[int] = set()
        #: Slots with messages that can wait for the next one: what to forget.
        self._lazy: set[int] = set()
        self._scales = Scales()
        self._weigh_at = 0.0
        self._wakeup = Wakeup()
        self._reason = ""
        #: A signal asked for leaving in good order.
        self._leave_reason = ""
        self._session = new_session()
        self.exit_code = 0
        self._outgoing: list[m.Message] = []
        self._lifeline: int | None = None
        #: Who started us is gone, and the scheduler with it: there is nobody to say a last word to.
        self._orphaned = False
        self._connection = Connection(host, port)
        self._poll = Poll([self._connection, self._wakeup.fileno(), nursery.fileno()])
        self._perform: dict[type[object], Callable[..., None]] = {
            c.ToScheduler: lambda e: self._outgoing.append(e.message),
            c.Load: lambda e: self._post(e.slot, [ch.LOAD, e.run], e.payload),
            c.StartStride: lambda e: self._post(
                e.slot, [ch.STRIDE, e.number, e.run, e.start, e.stop, e.budget_seconds, e.flush, e.cautious]
            ),
            c.Forget: lambda e: self._post(e.slot, [ch.FORGET, e.run], lazy=True),
            c.Interrupt: self._interrupt,
            c.Kill: self._kill,
            c.Spawn: lambda e: nursery.spawn(e.slot),
            c.Reconnect: self._connect_again,
            c.Exit: self._exit,
            c.Note: lambda e: log.log(e.level, "%s", e.text),
        }

    def stop(self, reason: str) -> None:
        """End the loop soon. May be called from a signal handler."""
        self._reason = self._reason or reason
        self._wakeup.set()

    def leave(self, reason: str) -> None:
        """Leave in good order; asked for again, end at once. May be called from a signal handler."""
        if self._leave_reason:
            self.stop(f"{reason} while leaving")
        self._leave_reason = self._leave_reason or reason
        self._wakeup.set()

    def watch(self, descriptor: int) -> None:
        """End the loop when this descriptor is at its end: it belongs to the process that started us."""
        self._lifeline = descriptor
        self._poll.add(descriptor)

    def serve(self) -> int:
        """Work until the scheduler, a signal or the starting process ends it; returns the exit code."""
        gc.freeze()  # what was loaded stays: it need not be looked through again and again
        for slot in range(self._slots):
            self._nursery.spawn(slot)
        self._outgoing.append(hello("worker", self._name, self._slots, session=self._session))
        self._flush()
        try:
            while not self._reason:
                self._turn()
            self._apply(self.core.leave(time.monotonic()))
            self._flush()
        finally:
            log.info("worker ends: %s", self._reason or "error")
            self._connection.close(linger_seconds=0.0 if self._orphaned else 0.5)
            self._nursery.close()
            self._wakeup.close()
        return self.exit_code

    # --- the loop -------------------------------------------------------------------------------------

    def _turn(self) -> None:
        core = self.core
        self._watch_channels()
        ready = self._poll.wait(max(0.0, min(core.next_deadline(), self._weigh_at) - time.monotonic()))
        now = time.monotonic()
        for descriptor, (readable, writable) in ready.items():
            slot = self._slot_of.get(descriptor)
            if slot is not None:
                if writable:
                    self._channels[slot].flush()
                if readable:
                    self._hear(slot, now)
        if SOCKET in ready:
            self._receive(now)
        if self._nursery.fileno() in ready:
            self._hear_nursery(now)
        if self._lifeline is not None and self._lifeline in ready and not os.read(self._lifeline, 4096):
            self._orphaned = True
            self.stop("the program that started it ended")
        if self._wakeup.fileno() in ready:
            self._wakeup.clear()
            if self._leave_reason and core.departure is None:
                self._apply(core.retire(self._leave_reason, now))
        if now >= core.next_deadline():
            self._apply(core.tick(now))
            self._posted |= self._lazy
        self._weigh(now)
        self._flush()

    def _weigh(self, now: float) -> None:
        """Look at the memory of the compute processes now and then, while they work."""
        core = self.core
        if not core.settings.memory_bytes or not any(place.strides for place in core.slots):
            self._weigh_at = math.inf
        elif self._weigh_at is math.inf:
            self._weigh_at = now + WEIGH_SECONDS
        elif now >= self._weigh_at:
            self._weigh_at = now + WEIGH_SECONDS
            busy = {place.index: place.pid for place in core.slots if place.strides}
            for slot, size in self._scales.weigh(busy):
                self._apply(core.weighed(slot, size, now))

    def _receive(self, now: float) -> None:
        try:
            messages = self._connection.receive()
        except ProtocolError as error:
            log.error(
                "what answers at %s:%d is no haydi-scheduler of this version: %s", *self._address, error
            )
            return
        for left, message in zip(range(len(messages) - 1, -1, -1), messages, strict=True):
            self._apply(self.core.handle(message, now, more=left > 0))
        if self._connection.broke():
            self._apply(self.core.broken(now))

    def _watch_channels(self) -> None:
        """Poll for what each channel needs now; changes are rare, so the poller is touched rarely."""
        congested = self.core.congested
        for slot, channel in self._channels.items():
            flags = (not congested, channel.wants_write and slot not in self._lazy)
            if self._flags.get(slot) != flags:
                self._flags[slot] = flags
                self._poll.add(channel.fileno(), read=flags[0], write=flags[1])

    def _hear(self, slot: int, now: float) -> None:
        channel = self._channels[slot]
        try:
            messages = channel.receive()
        except EOFError:  # the nursery will say more
            self._poll.remove(channel.fileno())
            self._slot_of.pop(channel.fileno(), None)
            return
        core = self.core
        for header, payload in messages:
            if header[0] == ch.DONE:
                _, number, stop, seconds, final, _, start, end, flush_seconds = header
                self._apply(
                    core.done(slot, number, stop, seconds, final, (start, end), flush_seconds, payload, now)
                )
            elif header[0] == ch.FAILED:
                _, number, kind, stop, step, step_stop = header
                self._apply(core.failed(slot, number, kind, stop, step, step_stop, payload, now))
            elif header[0] == ch.READY:
                self._apply(core.ready(slot, self._pids[slot], now))

    # --- compute processes ----------------------------------------------------------------------------

    def _hear_nursery(self, now: float) -> None:
        try:
            events = self._nursery.receive()
        except EOFError as error:
            self._exit(c.Exit(1, str(error)))
            return
        for event in events:
            if isinstance(event, Spawned):
                self._on_birth(event)
            else:
                self._on_death(event, now)

    def _on_birth(self, event: Spawned) -> None:
        slot = event.slot
        self._channels[slot] = event.channel
        self._controls[slot] = event.control
        self._pids[slot] = event.pid
        self._slot_of[event.channel.fileno()] = slot

    def _on_death(self, event: Died, now: float) -> None:
        slot = event.slot
        channel = self._channels.get(slot)
        if channel is not None:
            # What it sent before it died still counts.
            with contextlib.suppress(EOFError):
                while channel.fileno() in self._slot_of:
                    before = time.monotonic()
                    self._hear(slot, now)
                    if time.monotonic() - before > 1.0:
                        break
            del self._channels[slot]
            if channel.fileno() in self._slot_of:
                del self._slot_of[channel.fileno()]
                self._poll.remove(channel.fileno())
            self._flags.pop(slot, None)
            self._lazy.discard(slot)
            self._posted.discard(slot)
            channel.close()
            os.close(self._controls.pop(slot))
        self._apply(self.core.died(slot, death_of(event), self._nursery.marks.read(slot), now))

    def _post(self, slot: int, header: list[object], payload: bytes = b"", lazy: bool = False) -> None:
        channel = self._channels.get(slot)
        if channel is None:
            return
        if not lazy:
            self._posted.add(slot)
        elif not channel.wants_write:
            self._lazy.add(slot)
        channel.post(header, payload)

    def _interrupt(self, effect: c.Interrupt) -> None:
        control = self._controls.get(effect.slot)
        if control is not None:
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                os.write(control, struct.pack("<Q", effect.number))
            self._nursery.signal(effect.slot, signal.SIGUSR1)

    def _kill(self, effect: c.Kill) -> None:
        log.info("ending compute process pid %s: it %s", self._pids.get(effect.slot), effect.reason)
        self._nursery.signal(effect.slot, signal.SIGKILL)

    # --- the scheduler --------------------------------------------------------------------------------

    def _apply(self, effects: Iterable[c.Effect]) -> None:
        for effect in effects:
            self._perform[type(effect)](effect)

    def _flush(self) -> None:
        if self._posted:
            for slot in self._posted:
                self._channels[slot].flush()
            self._lazy -= self._posted
            self._posted.clear()
        if self._outgoing:
            self._connection.send(self._outgoing)
            self._outgoing = []

    def _connect_again(self, effect: c.Reconnect) -> None:
        self._poll.remove(self._connection)
        self._connection.close()
        self._connection = Connection(*self._address)
        self._poll.add(self._connection)
        self._outgoing = [
            hello(
                "worker",
                self._name,
                self._slots,
                session=self._session,
                epoch=effect.epoch,
            )
        ]

    def _exit(self, effect: c.Exit) -> None:
        self.exit_code = effect.code
        if effect.code:
            log.error("%s", effect.reason)
        self.stop(effect.reason)


def death_of(event: Died) -> Death:
    """What is told of the end of a compute process."""
    name = ""
    if event.signal is not None:
        try:
            name = signal.Signals(event.signal).name
        except ValueError:
            name = f"signal {event.signal}"
    code = -1 if event.exit_code is None else event.exit_code
    return Death(event.pid, socket.gethostname(), code, name, words=event.stderr_tail)


def stop_on_signals(server: WorkerServer) -> None:
    """SIGTERM and SIGINT make a daemon leave in good order, a second one at once."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, frame: server.leave(signal.Signals(got).name))


def serve_local(nursery: Nursery, slots: int, memory_limit: str = "auto") -> int:
    """The daemon of a local cluster: reads the scheduler's address from stdin, and ends when stdin does."""
    settings = c.WorkerSettings(memory_bytes=limit_bytes("memory_limit", memory_limit, slots))
    text = b""
    while not text.endswith(b"\n"):
        piece = os.read(0, 256)
        if not piece:
            nursery.close()
            return 0
        text += piece
    host, port = text.split()
    server = WorkerServer(nursery, host.decode(), int(port), slots, "local", settings)
    server.watch(0)
    stop_on_signals(server)
    return server.serve()
