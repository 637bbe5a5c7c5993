"""The sockets. This is the one file that imports zmq.

A :class:`Listener` (ROUTER) is what a scheduler binds; a :class:`Connection` (DEALER) is what clients and
daemons have. Both carry envelopes of messages (:mod:`haydi.wire.messages`), never block, and belong to the
thread that uses them. :class:`Poll` waits for sockets and plain file descriptors together.

Queues in libzmq are not limited here: what bounds them is credit (a daemon stops sending results that its
client does not take), so that a slow peer slows its own run and nobody's memory grows. A ROUTER is told to
report peers that are gone instead of dropping messages silently.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket as sockets
from collections.abc import Iterable, Sequence

import zmq

from haydi.errors import ArgumentValueError, ConnectionFailedError, ProtocolError
from haydi.wire.codec import decode, encode
from haydi.wire.messages import Message

__all__ = ["SOCKET", "Connection", "Listener", "Poll", "Wakeup", "parse_address"]

#: Up to so many envelopes are taken from a socket before other things get their turn.
BATCH_MAX = 256
# As plain ints: the flags of pyzmq are enums, and each use of one costs as much as a small message.
_IN, _OUT, _ERR = int(zmq.POLLIN), int(zmq.POLLOUT), int(zmq.POLLERR)
_NOBLOCK, _EVENTS = int(zmq.NOBLOCK), int(zmq.EVENTS)
DEFAULT_PORT = 8787
#: What stands for the socket among the descriptors that :meth:`Poll.wait` tells of.
SOCKET = -1


def parse_address(text: str, default_port: int | None = DEFAULT_PORT) -> tuple[str, int]:
    """Split ``HOST:PORT``, ``tcp://HOST:PORT`` or ``HOST``; IPv6 hosts stand in brackets.

    Raises:
        ArgumentValueError: with an example, when it is none of these.

    Example:
        >>> parse_address("tcp://10.0.0.7:9000"), parse_address("node1")
        (('10.0.0.7', 9000), ('node1', 8787))
    """
    rest = text.removeprefix("tcp://")
    host, colon, port = rest.rpartition(":") if not rest.endswith("]") else (rest, "", "")
    if not colon:
        host, port = rest, "" if default_port is None else str(default_port)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536 or "/" in host or "@" in host:
        raise ArgumentValueError(
            f"address {text!r}: HOST:PORT is needed, for example 192.168.1.1:{DEFAULT_PORT}"
        )
    return host, int(port)


def _endpoint(host: str, port: int | str) -> str:
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def _new_socket(context: zmq.Context[zmq.Socket[bytes]], kind: int) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.IPV6, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    return socket


class Listener:
    """The scheduler's side: many peers, each with an identity of its own for each connection it makes."""

    def __init__(self, host: str, port: int) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = _new_socket(self._context, zmq.ROUTER)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.socket.setsockopt(zmq.BACKLOG, 4096)
        try:
            name = "*" if host in ("*", "") else sockets.getaddrinfo(host, None)[0][4][0]
            self.socket.bind(_endpoint(str(name), port or "*"))
        except (zmq.ZMQError, OSError) as error:
            self.close()
            raise ConnectionFailedError(_bind_problem(host, port, error)) from error
        endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.port = int(endpoint.rpartition(":")[2])

    def receive(self) -> list[tuple[bytes, list[Message] | ProtocolError]]:
        """Envelopes that are there, with their senders; a broken one comes as its error."""
        received: list[tuple[bytes, list[Message] | ProtocolError]] = []
        while len(received) < BATCH_MAX and int(self.socket.getsockopt(_EVENTS)) & _IN:
            peer, *frames = self.socket.recv_multipart(_NOBLOCK)
            try:
                received.append((peer, decode(frames)))
            except ProtocolError as error:
                received.append((peer, error))
        return received

    def send(self, peer: bytes, messages: Sequence[Message]) -> bool:
        """Send messages to a peer. False when it is not connected any more."""
        try:
            self.socket.send_multipart([peer, *encode(messages)], _NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno in (errno.EHOSTUNREACH, errno.EAGAIN):
                return False
            raise
        return True

    def close(self, linger_seconds: float = 0.0) -> None:
        """Close; messages on their way get this long to leave."""
        self.socket.close(linger=int(linger_seconds * 1000))
        self._context.term()


class Connection:
    """A peer's side: one connection to the scheduler.

    When it breaks, :meth:`broke` says so behind the next :meth:`receive`. libzmq makes it again by itself, but the
    scheduler would not know us by it: who was welcomed and wants to go on makes a new one. One that was never there yet
    waits for a scheduler, and what is sent until then with it.
    """

    def __init__(self, host: str, port: int) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = _new_socket(self._context, zmq.DEALER)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 50)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        self._broke = False
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.monitor.setsockopt(zmq.LINGER, 0)
        try:
            self.socket.connect(_endpoint(host, port))
        except zmq.ZMQError as error:
            self.close()
            raise ConnectionFailedError(f"cannot connect to {host}:{port}: {error}") from error

    def send(self, messages: Sequence[Message]) -> None:
        """Queue messages for the scheduler."""
        self.socket.send_multipart(encode(messages), _NOBLOCK, copy=sum(_size(x) for x in messages) < 1 << 16)

    def receive(self) -> list[Message]:
        """Messages that are there.

        Raises:
            ProtocolError: when what answers does not speak Haydi's protocol.
        """
        received: list[Message] = []
        if (
            int(self.monitor.getsockopt(_EVENTS)) & _IN
        ):  # before the messages: what came before the end counts
            self.monitor.recv_multipart(_NOBLOCK)
            self._broke = True
        for _ in range(BATCH_MAX):
            if not int(self.socket.getsockopt(_EVENTS)) & _IN:  # cheaper than the exception of a vain attempt
                break
            received.extend(decode(self.socket.recv_multipart(_NOBLOCK)))
        return received

    def broke(self) -> bool:
        """Whether it broke since this was asked last."""
        broke, self._broke = self._broke, False
        return broke

    def close(self, linger_seconds: float = 0.0) -> None:
        """Close; messages on their way get this long to leave."""
        self.socket.disable_monitor()
        self.monitor.close()
        self.socket.close(linger=int(linger_seconds * 1000))
        self._context.term()


def _size(message: Message) -> int:
    payload = getattr(message, "payload", b"")
    return len(payload)


class Wakeup:
    """A way to end a poll from another thread or a signal handler."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._read

    def set(self) -> None:
        """End the poll; many calls before it count as one."""
        with contextlib.suppress(BlockingIOError):  # it is set already
            os.write(self._write, b"!")

    def clear(self) -> None:
        """Forget all calls of :meth:`set`."""
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self._read, 4096)) == 4096:
                pass

    def close(self) -> None:
        """Close both ends."""
        os.close(self._read)
        os.close(self._write)


class Poll:
    """Waits until one of some sockets or file descriptors can be read (or written)."""

    def __init__(self, sources: Iterable[Listener | Connection | int] = ()) -> None:
        self._poller = zmq.Poller()
        for source in sources:
            self.add(source)

    @staticmethod
    def _keys(source: Listener | Connection | int) -> tuple[zmq.Socket[bytes] | int, ...]:
        if isinstance(source, int):
            return (source,)
        return (source.socket, source.monitor) if isinstance(source, Connection) else (source.socket,)

    def add(self, source: Listener | Connection | int, write: bool = False, read: bool = True) -> None:
        """Watch a source; again, with other flags, to change them."""
        flags = (_IN if read else 0) | (_OUT if write else 0)
        for key in self._keys(source):
            self._poller.register(key, flags)

    def remove(self, source: Listener | Connection | int) -> None:
        """Watch it no more."""
        for key in self._keys(source):
            self._poller.unregister(key)

    def wait(self, seconds: float | None) -> dict[int, tuple[bool, bool]]:
        """Wait at most this long. Returns descriptor -> (readable, writable), the socket as :data:`SOCKET`."""
        milliseconds = None if seconds is None else max(0, int(seconds * 1000 + 0.999))
        ready: dict[int, tuple[bool, bool]] = {}
        for source, events in self._poller.poll(milliseconds):
            key = source if isinstance(source, int) else SOCKET
            ready[key] = (bool(events & (_IN | _ERR)), bool(events & _OUT))
        return ready


def _bind_problem(host: str, port: int, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use, perhaps by another haydi-scheduler: stop that one, or choose another "
            f"port (--port 0 takes any free one)"
        )
    if number in (errno.EADDRNOTAVAIL, errno.ENODEV):
        return f"host {host!r} is not an address of this machine: use one of its own, or 127.0.0.1"
    if number == errno.EACCES:
        return f"port {port} is reserved for the system: choose one above 1023"
    return f"cannot listen on {host}:{port}: {error}"
