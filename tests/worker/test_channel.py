"""Both ends of a channel, over a real socket pair."""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haydi.errors import ProtocolError
from haydi.worker.channel import DONE, LOAD, STRIDE, Channel, Message

Ends = tuple[Channel, Channel]


def make_ends() -> Ends:
    left, right = socket.socketpair()
    return Channel(left), Channel(right, blocking=True)


@pytest.fixture
def ends() -> Iterator[Ends]:
    supervisor, compute = make_ends()
    yield supervisor, compute
    supervisor.close()
    compute.close()


@pytest.fixture
def raw() -> Iterator[tuple[Channel, socket.socket]]:
    left, right = socket.socketpair()
    channel = Channel(left)
    yield channel, right
    channel.close()
    right.close()


def receive_all(channel: Channel, number: int) -> list[Message]:
    messages: list[Message] = []
    deadline = time.monotonic() + 20
    while len(messages) < number:
        assert time.monotonic() < deadline
        messages += channel.receive()
    return messages


values = st.one_of(
    st.integers(),
    st.integers(-(1 << 5000), 1 << 5000),
    st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 127, 128, -128, -129]),
    st.booleans(),
    st.floats(allow_nan=False),
    st.text(),
)


@given(st.lists(st.tuples(st.lists(values), st.binary()), max_size=5))
def test_messages_survive_both_ways(messages: list[tuple[list[object], bytes]]):
    supervisor, compute = make_ends()
    try:
        for header, payload in messages:
            supervisor.send(header, payload)
            compute.send_blocking(header, payload)
        assert [compute.receive_blocking() for _ in messages] == messages
        assert receive_all(supervisor, len(messages)) == messages
        assert supervisor.receive() == []
    finally:
        supervisor.close()
        compute.close()


def test_ints_keep_their_type(ends: Ends):
    supervisor, compute = ends
    supervisor.send([True, 1, 1.0, 2**64])
    header, _ = compute.receive_blocking()
    assert [type(value) for value in header] == [bool, int, float, int]


def test_a_header_holds_plain_values_only(ends: Ends):
    with pytest.raises(TypeError, match="plain values"):
        ends[0].send([DONE, object()])
    assert not ends[0].wants_write


@pytest.mark.parametrize("piece", [1, 3, 7, 1000])
def test_pieces_make_messages(raw: tuple[Channel, socket.socket], piece: int):
    channel, peer = raw
    left, right = socket.socketpair()
    sender = Channel(left, blocking=True)
    for n in (0, 1, 5000):
        sender.send_blocking([LOAD, n], bytes(n))
    sender.close()
    stream = b""
    while data := right.recv(1 << 16):
        stream += data
    right.close()
    got: list[Message] = []
    for i in range(0, len(stream), piece):
        peer.sendall(stream[i : i + piece])
        got += channel.receive()
    assert got == [([LOAD, n], bytes(n)) for n in (0, 1, 5000)]


def test_sending_never_blocks_and_keeps_the_order(ends: Ends):
    supervisor, compute = ends
    payloads = [os.urandom(100), os.urandom(3_000_000), b"", os.urandom(40_000)] * 3
    for n, payload in enumerate(payloads):
        supervisor.send([LOAD, n], payload)  # nobody reads: a send that waits would do so for ever
    assert supervisor.wants_write
    assert 0 < supervisor.unsent_bytes < sum(map(len, payloads)) + 1000
    got: list[Message] = []
    reader = threading.Thread(target=lambda: got.extend(compute.receive_blocking() for _ in payloads))
    reader.start()
    deadline = time.monotonic() + 20
    while supervisor.wants_write and time.monotonic() < deadline:
        supervisor.flush()
    reader.join(20)
    assert got == [([LOAD, n], payload) for n, payload in enumerate(payloads)]
    assert supervisor.unsent_bytes == 0


def test_a_large_payload_costs_no_more_than_a_second_copy(ends: Ends):
    supervisor, compute = ends
    payload = bytes(1 << 25)
    writer = threading.Thread(target=lambda: compute.send_blocking([DONE, 1], payload))
    tracemalloc.start()
    try:
        writer.start()
        [(header, got)] = receive_all(supervisor, 1)
        writer.join(20)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert header == [DONE, 1]
    assert got == payload
    assert peak_bytes < 2.2 * len(payload)


def test_many_bytes_are_taken_in_turns(ends: Ends):
    supervisor, compute = ends
    payload = bytes(1 << 16)
    total = 1000

    def write() -> None:
        for n in range(total):
            compute.send_blocking([DONE, n], payload)

    writer = threading.Thread(target=write)
    writer.start()
    got: list[int] = []
    most = 0
    while len(got) < total:
        messages = supervisor.receive()
        most = max(most, len(messages))
        got += [header[1] for header, _ in messages]
    writer.join(20)
    assert got == list(range(total))
    assert most <= 260


def test_the_end_comes_after_the_last_message(ends: Ends):
    supervisor, compute = ends
    compute.send_blocking([DONE, 1])
    compute.close()
    assert supervisor.receive() == [([DONE, 1], b"")]
    for _ in range(2):
        with pytest.raises(EOFError, match="closed"):
            supervisor.receive()


def test_the_end_in_the_middle_of_a_message(raw: tuple[Channel, socket.socket]):
    channel, peer = raw
    peer.sendall(struct.pack("<IQ", 1, 100) + b"\x90" + b"x" * 50)
    peer.close()
    with pytest.raises(EOFError):
        channel.receive()


def test_sending_to_nobody_is_told_by_receive(ends: Ends):
    supervisor, compute = ends
    supervisor.send([STRIDE, 1])  # left unread, which makes it a reset on some systems
    compute.close()
    supervisor.send([STRIDE, 2], bytes(1_000_000))
    assert not supervisor.wants_write
    with pytest.raises(EOFError):
        supervisor.receive()


def test_the_blocking_end_learns_that_the_supervisor_is_gone(ends: Ends):
    supervisor, compute = ends
    supervisor.close()
    with pytest.raises(EOFError):
        compute.receive_blocking()
    with pytest.raises(OSError, match=r"(?i)pipe|reset"):
        compute.send_blocking([DONE, 1], bytes(1_000_000))


def test_a_signal_does_not_disturb_the_blocking_end(ends: Ends):
    supervisor, compute = ends
    seen: list[int] = []
    old = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    disturb = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    speak = threading.Timer(0.15, supervisor.send, ([STRIDE, 5],))
    try:
        disturb.start()
        speak.start()
        assert compute.receive_blocking() == ([STRIDE, 5], b"")
    finally:
        disturb.join()
        speak.join()
        signal.signal(signal.SIGUSR1, old)
    assert seen == [signal.SIGUSR1]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 12,
        struct.pack("<IQ", 1, 1 << 50),
        struct.pack("<IQ", 1, 0) + b"\x05",
        struct.pack("<IQ", 1, 0) + b"\xc1",
        struct.pack("<IQ", 3, 0) + b"\x93\x01\x02",
        struct.pack("<IQ", 4, 0) + b"\x91\xd4\x09x",
    ],
)
def test_garbage_is_refused(raw: tuple[Channel, socket.socket], garbage: bytes):
    channel, peer = raw
    peer.sendall(garbage + bytes(20))
    with pytest.raises(ProtocolError, match="compute process"):
        channel.receive()
