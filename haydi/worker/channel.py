"""The line between a supervisor and one compute process, and what is said on it.

A message is a short header and one opaque payload, sent through a local socket as::

    4 bytes header length | 8 bytes payload length (little endian) | header (msgpack list) | payload

Nothing here is a pickle: what a payload holds is the business of :mod:`haydi.worker.compute` alone. Steps are
unbounded ints, so ints beyond 64 bits travel in a header as an extension type.

The two ends live differently. The supervisor must answer the scheduler whatever a compute process does, so
its end never blocks: :meth:`Channel.send` keeps what does not fit, :meth:`Channel.receive` takes what is
there. A compute process has nothing to do but its work, so its end blocks. Payloads of any size are copied a
constant number of times: a large one is received in place.

The messages, as headers; each begins with its code, and those marked with * have a payload::

    supervisor -> compute
        [LOAD, run] *
        [STRIDE, number, run, start, stop, budget_seconds, flush, cautious]
        [FORGET, run]
        [EXIT]
    compute -> supervisor
        [READY]
        [DONE, number, stop, seconds, final, interrupted, flushed_start, flushed_stop, flush_seconds] *
        [FAILED, number, kind, stop, step, step_stop] *

Each STRIDE is answered by exactly one DONE or FAILED, in the order of the strides; what they mean is told in
:mod:`haydi.worker.compute`.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from itertools import islice
from typing import Any, Final

import msgpack

from haydi.errors import ProtocolError

__all__ = ["DONE", "EXIT", "FAILED", "FORGET", "LOAD", "READY", "STRIDE", "Channel", "Message"]

LOAD: Final = 1
STRIDE: Final = 2
FORGET: Final = 3
EXIT: Final = 4
READY: Final = 16
DONE: Final = 17
FAILED: Final = 18

#: A header and a payload.
Message = tuple[list[Any], bytes]

_PREFIX: Final = struct.Struct("<IQ")
_READ_BYTES: Final = 1 << 16
#: Payloads up to this size are copied behind their header, to be sent by one system call.
_JOIN_BYTES: Final = 1 << 15
#: One :meth:`Channel.receive` stops about here, so that one busy peer cannot keep the supervisor for itself.
_TURN_BYTES: Final = 1 << 24
_HEADER_BYTES_MAX: Final = 1 << 24
_PAYLOAD_BYTES_MAX: Final = 1 << 40
_BIG_INT: Final = 1


def _encode_other(value: object) -> msgpack.ExtType:
    if isinstance(value, int):  # msgpack asks only about those it cannot hold itself
        return msgpack.ExtType(_BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    raise TypeError(f"a header holds plain values, not {value!r} of type {type(value).__name__}")


def _decode_other(code: int, data: bytes) -> int:
    if code != _BIG_INT:
        raise ProtocolError(f"a header of a compute process has a value of unknown kind {code}")
    return int.from_bytes(data, "big", signed=True)


_pack = msgpack.Packer(default=_encode_other).pack


def _decode(data: bytes | bytearray) -> list[Any]:
    try:
        header = msgpack.unpackb(data, ext_hook=_decode_other)
    except Exception as error:  # msgpack raises many kinds on garbage; each means the same here
        raise ProtocolError(f"a message of a compute process has no readable header: {error!r}") from error
    if not isinstance(header, list):
        raise ProtocolError(f"the header of a message of a compute process is not a list but {header!r}")
    return header


class Channel:
    """One end of the line.

    Args:
        sock: A connected stream socket; the channel owns it from now on.
        blocking: False for the supervisor (:meth:`send`, :meth:`flush`, :meth:`receive`), True for a compute
            process (:meth:`send_blocking`, :meth:`receive_blocking`).

    Example:
        >>> left, right = socket.socketpair()
        >>> supervisor, compute = Channel(left), Channel(right, blocking=True)
        >>> supervisor.send([STRIDE, 1, 7, 0, 10**30, 0.05, True, False])
        >>> compute.receive_blocking()
        ([2, 1, 7, 0, 1000000000000000000000000000000, 0.05, True, False], b'')
        >>> compute.close()
        >>> supervisor.receive()
        Traceback (most recent call last):
            ...
        EOFError: the other end of the channel is closed
        >>> supervisor.close()
    """

    def __init__(self, sock: socket.socket, *, blocking: bool = False) -> None:
        sock.setblocking(blocking)
        self._sock = sock
        self._outbox: deque[memoryview] = deque()
        self._ready: deque[Message] = deque()
        self._inbox = bytearray()
        self._ended = False
        #: Header and buffer of a message whose payload is being received in place.
        self._header: list[Any] = []
        self._body: bytearray | None = None
        self._filled = 0

    def fileno(self) -> int:
        """The file descriptor, to poll."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close the socket; unsent messages are dropped."""
        self._sock.close()
        self._outbox.clear()

    # --- the end that never blocks --------------------------------------------------------------------

    @property
    def wants_write(self) -> bool:
        """True while something waits for :meth:`flush`."""
        return bool(self._outbox)

    @property
    def unsent_bytes(self) -> int:
        """How much waits for :meth:`flush`."""
        return sum(map(len, self._outbox))

    def send(self, header: list[Any], payload: bytes = b"") -> None:
        """Send a message, or as much of it as fits now; :meth:`flush` sends the rest.

        To send to a process that is gone is no error: :meth:`receive` tells of its end.

        Args:
            header: Code and fields: ints of any size, floats, bools, texts.
            payload: Opaque bytes; they must not change before they are sent.
        """
        self.post(header, payload)
        self.flush()

    def post(self, header: list[Any], payload: bytes = b"") -> None:
        """As :meth:`send`, but only keep the message; :meth:`flush` sends it, with all others, by one system call."""
        self._outbox.extend(map(memoryview, _frames(header, payload)))

    def flush(self) -> None:
        """Send what waits, as far as it fits."""
        outbox = self._outbox
        try:
            while outbox:
                sent = self._sock.sendmsg(islice(outbox, 16))
                while outbox and sent >= len(outbox[0]):
                    sent -= len(outbox.popleft())
                if sent:
                    outbox[0] = outbox[0][sent:]
        except BlockingIOError:
            pass
        except OSError:  # the peer is gone
            outbox.clear()

    def receive(self) -> list[Message]:
        """The messages that have arrived, possibly none.

        Raises:
            EOFError: when the other end is closed and all it sent has been returned.
            ProtocolError: when the bytes are no messages; the peer cannot be understood any more.
        """
        turn = _TURN_BYTES
        while turn > 0 and not self._ended:
            try:
                got = self._read()
            except BlockingIOError:
                break
            turn -= max(got, 1)
        if self._ended and not self._ready:
            raise EOFError("the other end of the channel is closed")
        messages = list(self._ready)
        self._ready.clear()
        return messages

    # --- the end that blocks --------------------------------------------------------------------------

    def send_blocking(self, header: list[Any], payload: bytes = b"") -> None:
        """Send a message and wait until all of it is taken over.

        Raises:
            OSError: when the other end is closed.
        """
        for frame in _frames(header, payload):
            self._sock.sendall(frame)

    def receive_blocking(self) -> Message:
        """The next message; waits for it.

        Raises:
            EOFError: when the other end is closed.
        """
        while not self._ready:
            if self._ended:
                raise EOFError("the other end of the channel is closed")
            self._read()
        return self._ready.popleft()

    # --- reading --------------------------------------------------------------------------------------

    def _read(self) -> int:
        """Receive once; complete messages go to ``_ready``. Returns the number of bytes, 0 at the end."""
        body = self._body
        try:
            if body is None:
                data = self._sock.recv(_READ_BYTES)
                got = len(data)
                self._inbox += data
            else:
                with memoryview(body) as view, view[self._filled :] as rest:
                    got = self._sock.recv_into(rest)
                self._filled += got
        except ConnectionError:  # the peer was killed with something unread
            got = 0
        if not got:
            self._ended = True
        elif body is None:
            self._parse()
        elif self._filled == len(body):
            self._ready.append((self._header, bytes(body)))
            self._body = None
        return got

    def _parse(self) -> None:
        inbox = self._inbox
        position, end = 0, len(inbox)
        while end - position >= _PREFIX.size:
            header_bytes, payload_bytes = _PREFIX.unpack_from(inbox, position)
            if header_bytes > _HEADER_BYTES_MAX or payload_bytes > _PAYLOAD_BYTES_MAX:
                raise ProtocolError(
                    f"a compute process sent no message: it says {header_bytes} + {payload_bytes} bytes"
                )
            begin = position + _PREFIX.size
            middle = begin + header_bytes
            if middle > end:
                break
            header = _decode(inbox[begin:middle])
            position = middle + payload_bytes
            if position > end:
                self._header, self._body, self._filled = header, bytearray(payload_bytes), end - middle
                self._body[: self._filled] = inbox[middle:end]
                position = end
                break
            self._ready.append((header, bytes(inbox[middle:position])))
        del inbox[:position]


def _frames(header: list[Any], payload: bytes) -> list[bytes]:
    """What to send, in as few pieces as make sense."""
    packed: bytes = _pack(header)
    head = _PREFIX.pack(len(packed), len(payload)) + packed
    if len(payload) <= _JOIN_BYTES:
        return [head + payload]
    return [head, payload]
