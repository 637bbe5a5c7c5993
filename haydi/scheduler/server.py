"""The scheduler's process: the socket, the clock and the log around :class:`~haydi.scheduler.core.SchedulerCore`.

One thread, one poll loop. Effects of one turn are gathered, so that all messages to one peer leave in one
envelope.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import time
from collections.abc import Iterable

from haydi._version import __version__
from haydi.errors import ProtocolError
from haydi.scheduler.core import Effect, SchedulerCore, SchedulerSettings, Send
from haydi.scheduler.vigil import Vigil
from haydi.wire import messages as m
from haydi.wire.transport import SOCKET, Listener, Poll, Wakeup

__all__ = ["SchedulerServer", "serve_local"]

log = logging.getLogger("haydi.scheduler")

#: Broken envelopes of strangers are logged at most this often, in seconds.
STRANGER_LOG_SECONDS = 1.0


class SchedulerServer:
    """A scheduler that listens at an address.

    Args:
        host: Address of this machine to listen at.
        port: Port, or 0 for any free one; :attr:`port` tells which.
        settings: Constants.

    Raises:
        ConnectionFailedError: when the address cannot be used.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, settings: SchedulerSettings | None = None
    ) -> None:
        self._listener = Listener(host, port)
        self.port = self._listener.port
        self.core = SchedulerCore(settings or SchedulerSettings(), os.urandom(8).hex(), __version__)
        self._vigil = Vigil()
        self._wakeup = Wakeup()
        self._poll = Poll([self._listener, self._wakeup.fileno()])
        self._reason = ""
        self._strangers = 0
        self._stranger_log_at = 0.0

    def stop(self, reason: str) -> None:
        """End the loop soon. May be called from a signal handler or another thread."""
        self._reason = self._reason or reason
        self._wakeup.set()

    def watch(self, descriptor: int) -> None:
        """End the loop when this descriptor is at its end: it belongs to the process that started us."""
        self._poll.add(descriptor)
        self._lifeline = descriptor

    _lifeline: int | None = None
    #: Who started us is gone, and with it everybody who could wait for a last word.
    _orphaned = False

    def serve(self) -> None:
        """Work until :meth:`stop`; then tell the daemons, and close."""
        core = self.core
        gc.freeze()  # what was loaded stays: it need not be looked through again and again
        try:
            while not self._reason:
                now = time.monotonic()
                ready = self._poll.wait(self._patience(now))
                now = time.monotonic()
                effects: list[Effect] = []
                if SOCKET in ready:
                    self._receive(now, effects)
                for descriptor in ready:
                    if descriptor in self._vigil.descriptors:
                        effects += self._lost(self._vigil.descriptors[descriptor], "its process ended", now)
                if (
                    self._lifeline is not None
                    and self._lifeline in ready
                    and not os.read(self._lifeline, 4096)
                ):
                    self._orphaned = True
                    self.stop("the program that started it ended")
                for peer in self._vigil.ended(now):
                    effects += self._lost(peer, "its process ended", now)
                if now >= core.next_deadline():
                    effects += core.tick(now)
                self._apply(effects, now)
            for peer in [*core.workers, *core.clients, *core.monitors]:
                self._listener.send(peer, [m.Stop(self._reason)])
        finally:
            log.info("scheduler ends: %s", self._reason or "error")
            self._listener.close(linger_seconds=0.1 if self._orphaned else 0.5)
            self._wakeup.close()

    def _patience(self, now: float) -> float:
        seconds = max(0.0, self.core.next_deadline() - now)
        return seconds if self._vigil.look_seconds is None else min(seconds, self._vigil.look_seconds)

    def _receive(self, now: float, effects: list[Effect]) -> None:
        for peer, messages in self._listener.receive():
            if isinstance(messages, ProtocolError):
                self._strangers += 1
                if now >= self._stranger_log_at:
                    self._stranger_log_at = now + STRANGER_LOG_SECONDS
                    log.warning("dropped %d broken envelopes: %s", self._strangers, messages)
                    self._strangers = 0
                continue
            for message in messages:
                effects += self.core.handle(peer, message, now)
                if isinstance(message, m.Hello) and self.core.knows(peer):
                    descriptor = self._vigil.watch(peer, message.machine, message.pid)
                    if descriptor is not None:
                        self._poll.add(descriptor)
                elif isinstance(message, m.Goodbye):
                    self._unwatch(peer)

    def _lost(self, peer: bytes, reason: str, now: float) -> list[Effect]:
        self._unwatch(peer)
        return self.core.lost(peer, reason, now)

    def _unwatch(self, peer: bytes) -> None:
        for descriptor, watched in list(self._vigil.descriptors.items()):
            if watched == peer:
                self._poll.remove(descriptor)
        self._vigil.forget(peer)

    def _apply(self, effects: Iterable[Effect], now: float) -> None:
        while effects:
            outgoing: dict[bytes, list[m.Message]] = {}
            for effect in effects:
                if isinstance(effect, Send):
                    outgoing.setdefault(effect.peer, []).append(effect.message)
                else:
                    log.log(effect.level, "%s", effect.text)
            again: list[Effect] = []
            for peer, messages in outgoing.items():
                if not self._listener.send(peer, messages):
                    again += self._lost(peer, "its connection is gone", now)
            effects = again


def stop_on_signals(server: SchedulerServer) -> None:
    """SIGTERM and SIGINT end a server in order."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, frame: server.stop(signal.Signals(got).name))


def raise_descriptor_limit() -> None:
    """A descriptor for each peer and its process: as many as the system lets us have."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard > 0 else soft, hard))


def serve_local(host: str, port: int) -> None:
    """The scheduler of a local cluster: tells its port on stdout, and ends when stdin does."""
    server = SchedulerServer(host, port)
    server.watch(0)
    stop_on_signals(server)
    os.write(1, f"{server.port}\n".encode())
    server.serve()
