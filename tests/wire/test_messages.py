"""The codec: what is encoded comes back the same, and what is no message raises ProtocolError and nothing else."""

from __future__ import annotations

import copy
import math
from typing import Any, get_args, get_type_hints

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from haydi.errors import ProtocolError
from haydi.ranges import RangeSet
from haydi.wire import codec
from haydi.wire import messages as m

KINDS: tuple[type[Any], ...] = get_args(m.Message)

steps = st.one_of(st.integers(0, 300), st.integers(0, 1 << 70), st.integers(0, 1 << 2000))
ids = st.integers(0, (1 << 63) - 1)
seconds = st.floats(0, 1e12, allow_nan=False)
ranges = st.lists(st.tuples(steps, steps)).map(lambda pairs: tuple(RangeSet(pairs)))

#: Ints by the names of their fields; all others are ids.
INTS = dict.fromkeys(["protocol", "pid", "slots", "daemons", "idle"], st.integers(0, (1 << 31) - 1)) | {
    "steps": steps,
    "start": steps,
    "stop": steps,
}


def field_values(name: str, hint: Any) -> st.SearchStrategy[Any]:
    if name == "share":
        return st.floats(0, 1)
    if name == "priority":
        return st.floats(0, 1e12, exclude_min=True)
    if name in ("ranges", "low"):
        return ranges if name == "ranges" else st.lists(ids, max_size=4).map(tuple)
    if hint is int:
        return INTS.get(name, ids)
    return {str: st.text(max_size=50), bytes: st.binary(max_size=200), bool: st.booleans(), float: seconds}[
        hint
    ]


def messages_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    fields = {name: field_values(name, hint) for name, hint in get_type_hints(kind).items()}

    def build(values: dict[str, Any]) -> Any:
        if "start" in values:
            values["start"], values["stop"] = sorted((values["start"], values["stop"]))
        return kind(**values)

    return st.fixed_dictionaries(fields).map(build)


any_message = st.one_of([messages_of(kind) for kind in KINDS])


def test_every_kind_of_message_is_known():
    assert len(KINDS) == len(codec._CODES) == 31
    assert len(set(KINDS)) == 31


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=40)
def test_round_trip(kind: type[Any], data: st.DataObject):
    message = data.draw(messages_of(kind))
    (back,) = codec.decode(codec.encode([message]))
    assert type(back) is kind
    assert back == message
    assert list(map(type, back)) == list(map(type, message))


@given(st.lists(any_message, max_size=8))
def test_an_envelope_of_several(messages: list[m.Message]):
    frames = codec.encode(messages)
    payloads = [message.payload for message in messages if "payload" in message._fields]  # type: ignore[union-attr]
    assert frames[1:] == payloads, "a payload travels as it is, in a frame of its own"
    back = codec.decode(frames)
    assert back == messages
    assert list(map(type, back)) == list(map(type, messages))


JUNK: list[Any] = [
    None,
    True,
    -1,
    1 << 63,
    1.5,
    -0.5,
    2.0,
    math.inf,
    math.nan,
    "x",
    b"12345678",
    [],
    [[3, 2]],
    {},
]


def mutations(data: st.DataObject, header: list[Any]) -> Any:
    """A header that differs from this one in some place."""
    header = copy.deepcopy(header)
    kind = data.draw(st.sampled_from(["replace", "drop", "add", "swap", "nest", "code"]))
    i = data.draw(st.integers(0, len(header) - 1))
    if kind == "replace":
        header[i] = data.draw(st.sampled_from(JUNK))
    elif kind == "drop":
        del header[i]
    elif kind == "add":
        header.insert(i, data.draw(st.sampled_from(JUNK)))
    elif kind == "swap":
        j = data.draw(st.integers(0, len(header) - 1))
        header[i], header[j] = header[j], header[i]
    elif kind == "nest":
        return data.draw(st.sampled_from([[header], {"header": header}, None, 5, []]))
    else:
        header[0] = data.draw(st.integers(-2, 40))
    return header


@given(st.data(), st.lists(any_message, min_size=1, max_size=3))
@settings(max_examples=400)
def test_a_mutated_envelope_decodes_to_messages_or_raises(data: st.DataObject, messages: list[m.Message]):
    frames = codec.encode(messages)
    headers = msgpack.unpackb(frames[0])
    i = data.draw(st.integers(0, len(headers) - 1))
    headers[i] = mutations(data, headers[i])
    try:
        decoded = codec.decode([msgpack.packb(headers), *frames[1:]])
    except ProtocolError:
        return
    # What passes is as good as any: all of it within bounds, so that it can be sent on.
    assert codec.decode(codec.encode(decoded)) == decoded


@given(st.binary(max_size=60), st.lists(st.binary(max_size=5), max_size=2))
@example(b"", [])
@example(b"\x90", [b"more"])
@example(msgpack.packb([[4]] * 3), [b""])
def test_garbage_is_refused(header: bytes, payloads: list[bytes]):
    try:
        decoded = codec.decode([header, *payloads])
    except ProtocolError:
        return
    assert codec.decode(codec.encode(decoded)) == decoded


@given(st.lists(any_message, min_size=1, max_size=3), st.data())
def test_missing_and_extra_frames_are_refused(messages: list[m.Message], data: st.DataObject):
    frames = codec.encode(messages)
    with pytest.raises(ProtocolError):
        codec.decode([*frames, b"one more"])
    with pytest.raises(ProtocolError):
        codec.decode(frames[:-1])


def header_of(message: m.Message) -> list[Any]:
    header: list[Any] = msgpack.unpackb(codec.encode([message])[0])[0]
    return header


REFUSED: list[tuple[m.Message, int, Any, str]] = [
    (m.Lease(1, 5, 9), 2, 10, "start is beyond stop"),
    (m.Lease(1, 5, 9), 1, -1, "Lease.run"),
    (m.Lease(1, 5, 9), 1, True, "Lease.run"),
    (m.Lease(1, 5, 9), 1, 1 << 63, "Lease.run"),
    (m.Lease(1, 5, 9), 2, 5.0, "Lease.start"),
    (m.Lease(1, 5, 9), 2, b"short", "Lease.start"),
    (m.Steal(1, 0.5), 2, 1.5, "Steal.share"),
    (m.Steal(1, 0.5), 2, math.nan, "Steal.share"),
    (m.Report(1, 0, 1, 0.5, b""), 4, -0.5, "Report.seconds"),
    (m.Report(1, 0, 1, 0.5, b""), 4, math.inf, "Report.seconds"),
    (m.Released(1, ()), 2, [[4, 4]], "in order, apart and not empty"),
    (m.Released(1, ()), 2, [[4, 6], [6, 7]], "in order, apart and not empty"),
    (m.Released(1, ()), 2, [[4, 6], [1, 2]], "in order, apart and not empty"),
    (m.Released(1, ()), 2, [[4, 6, 8]], "a pair of steps"),
    (m.Released(1, ()), 2, [[i, i + 1] for i in range(0, 1 << 18, 2)], "at most 65536 ranges"),
    (m.Submit(1, 5, False, False, 1.0, (), b""), 3, 1, "Submit.early"),
    (m.Submit(1, 5, False, False, 1.0, (), b""), 4, None, "Submit.skip"),
    (m.Submit(1, 5, False, False, 1.0, (), b""), 5, 0.0, "Submit.priority"),
    (m.Submit(1, 5, False, False, 1.0, (), b""), 5, math.inf, "Submit.priority"),
    (m.Stop("why"), 1, "x" * 5000, "Stop.reason"),
    (m.Stop("why"), 1, b"bytes", "Stop.reason"),
    (m.Want(1, 1, ()), 1, 1 << 31, "Want.idle"),
    (m.Want(1, 1, ()), 3, [1, "2"], "Want.low"),
    (m.Want(1, 1, ()), 3, 5, "Want.low"),
]


@pytest.mark.parametrize(("message", "place", "value", "text"), REFUSED)
def test_what_is_wrong_is_named(message: m.Message, place: int, value: Any, text: str):
    header = header_of(message)
    header[place] = value
    frames = codec.encode([message])
    with pytest.raises(ProtocolError, match=text):
        codec.decode([msgpack.packb([header]), *frames[1:]])


def test_no_frame_at_all_is_refused():
    with pytest.raises(ProtocolError):
        codec.decode([])


def test_a_bomb_of_nested_lists_is_refused():
    with pytest.raises(ProtocolError):
        codec.decode([b"\x91" * 100_000])
