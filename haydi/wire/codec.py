"""How messages become frames, and which frames are messages.

On the wire a message is a list ``[code, field, ...]`` packed with msgpack; its payload travels as a frame of its own,
so that it is never copied into the header. Several messages to one peer share an envelope: frame 0 holds all headers,
the payload frames follow in order.

Decoding is strict: unknown codes, missing or extra fields, wrong types, numbers out of range and frames that
belong to no message raise :class:`~haydi.errors.ProtocolError`; nothing half-decoded is ever handed on.
Steps are unbounded ints (they exceed 64 bits in everyday use) and are sent as bytes where msgpack ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgpack

from haydi.errors import ProtocolError
from haydi.wire.messages import (
    PROTOCOL_VERSION,
    Answer,
    Ask,
    Back,
    Cancel,
    Cluster,
    Consumed,
    Credit,
    Drain,
    Drained,
    End,
    Failed,
    Goodbye,
    Heartbeat,
    Hello,
    Lease,
    Leave,
    Leaving,
    Message,
    Partial,
    Ranges,
    Refused,
    Released,
    Report,
    RunFailed,
    RunLost,
    RunPlan,
    Steal,
    Stop,
    Submit,
    Trim,
    Unknown,
    Want,
    Welcome,
)

__all__ = ["decode", "encode"]

TEXT_LENGTH_MAX: Final = 4096
RANGES_MAX: Final = 65536
STEP_BYTES_MAX: Final = 1 << 16


def _int(limit: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if type(value) is not int or not 0 <= value < limit:
            raise ValueError(f"an int in [0, {limit}) is needed")
        return value

    return check


def _step(value: Any) -> int:
    if type(value) is bytes and 8 <= len(value) <= STEP_BYTES_MAX:
        return int.from_bytes(value)
    if type(value) is not int or value < 0:
        raise ValueError("a step is needed")
    return value


def _float(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
        raise ValueError("a finite number that is not negative is needed")
    return float(value)


def _priority(value: Any) -> float:
    if (priority := _float(value)) <= 0:
        raise ValueError("a number above 0 is needed")
    return priority


def _share(value: Any) -> float:
    if (share := _float(value)) > 1:
        raise ValueError("a number in [0, 1] is needed")
    return share


def _text(value: Any) -> str:
    if type(value) is not str or len(value) > TEXT_LENGTH_MAX:
        raise ValueError(f"a text of at most {TEXT_LENGTH_MAX} characters is needed")
    return value


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("true or false is needed")
    return value


def _ranges(value: Any) -> Ranges:
    if type(value) is not list or len(value) > RANGES_MAX:
        raise ValueError(f"a list of at most {RANGES_MAX} ranges is needed")
    result: list[tuple[int, int]] = []
    last = -1
    for pair in value:
        if type(pair) is not list or len(pair) != 2:
            raise ValueError("a range is a pair of steps")
        start, stop = _step(pair[0]), _step(pair[1])
        if not last < start < stop:
            raise ValueError("ranges must be in order, apart and not empty")
        last = stop
        result.append((start, stop))
    return tuple(result)


def _pack_step(value: int) -> int | bytes:
    return value if value < 1 << 63 else value.to_bytes((value.bit_length() + 7) // 8)


def _pack_ranges(value: Ranges) -> list[Any]:
    return [(_pack_step(start), _pack_step(stop)) for start, stop in value]


_id = _int(1 << 63)
_count = _int(1 << 31)


def _ids(value: Any) -> tuple[int, ...]:
    if type(value) is not list or len(value) > RANGES_MAX:
        raise ValueError(f"a list of at most {RANGES_MAX} ids is needed")
    return tuple(map(_id, value))


_payload: Final = object()

# Name of field -> how it is checked; a name means the same in every message.
_FIELDS: Final[dict[str, Any]] = {
    "role": _text, "protocol": _count, "version": _text, "python": _text, "host": _text, "pid": _count,
    "machine": _text, "name": _text, "slots": _count, "cluster": _text,
    "heartbeat_seconds": _float, "silence_seconds": _float, "window_bytes": _id, "reason": _text,
    "daemons": _count, "run": _id, "steps": _step, "early": _bool, "skip": _bool, "ranges": _ranges,
    "payload": _payload, "stop": _step, "start": _step, "sequence": _id, "owner": _id, "flush_seconds": _float,
    "share": _share, "idle": _count, "leases": _id, "low": _ids, "seconds": _float, "kind": _text, "bytes": _id,
    "worker": _text, "session": _text, "epoch": _id, "away_seconds": _float, "restart_seconds": _float,
    "priority": _priority, "order": _text, "argument": _text,
}  # fmt: skip

_CODES: Final[tuple[Any, ...]] = (
    Hello, Welcome, Refused, Unknown, Heartbeat, Goodbye, Stop, Cluster, Submit, Cancel, Trim, Consumed, RunPlan,
    Lease, Steal, Released, Want, Report, Failed, End, Credit, Partial, RunFailed, RunLost,
    Leave, Leaving, Ask, Answer, Back, Drain, Drained,
)  # fmt: skip

_CODE_OF: Final = {cls: code for code, cls in enumerate(_CODES)}
_CHECKS: Final = tuple(tuple(_FIELDS[name] for name in cls._fields) for cls in _CODES)
#: Positions of fields that need packing of their own.
_STEP_FIELDS: Final = tuple(
    tuple(
        (i, _pack_ranges if c is _ranges else _pack_step)
        for i, c in enumerate(checks)
        if c in (_step, _ranges)
    )
    for checks in _CHECKS
)
_HAS_PAYLOAD: Final = tuple(bool(checks) and checks[-1] is _payload for checks in _CHECKS)
#: Messages whose range is ``[start, stop)``.
_SPANS: Final = frozenset(
    code for code, cls in enumerate(_CODES) if "start" in cls._fields and "stop" in cls._fields
)


def encode(messages: Sequence[Message]) -> list[bytes]:
    """Pack messages for one peer into the frames of one envelope."""
    headers: list[list[Any]] = []
    frames: list[bytes] = [b""]
    for message in messages:
        code = _CODE_OF[type(message)]
        header: list[Any] = [code, *message]
        for i, pack in _STEP_FIELDS[code]:
            header[i + 1] = pack(header[i + 1])
        if _HAS_PAYLOAD[code]:
            frames.append(header.pop())
        headers.append(header)
    frames[0] = msgpack.packb(headers)
    return frames


def decode(frames: Sequence[bytes]) -> list[Message]:
    """Unpack an envelope.

    Raises:
        ProtocolError: when anything in it is not as it should be; then no message of it counts.
    """
    try:
        headers = msgpack.unpackb(frames[0], use_list=True, raw=False, max_str_len=TEXT_LENGTH_MAX * 4)
        if type(headers) is not list:
            raise ValueError("a list of headers is needed")
        payloads = iter(frames[1:])
        messages = [_decode_one(header, payloads) for header in headers]
        if next(payloads, None) is not None:
            raise ValueError("a frame belongs to no message")
    except Exception as error:  # msgpack raises many kinds on garbage; each means the same here
        raise ProtocolError(f"not a message of Haydi's protocol {PROTOCOL_VERSION}: {error}") from error
    return messages


def _decode_one(header: Any, payloads: Any) -> Message:
    if (
        type(header) is not list
        or not header
        or type(header[0]) is not int
        or not 0 <= header[0] < len(_CODES)
    ):
        raise ValueError("unknown message code")
    code, *values = header
    if _HAS_PAYLOAD[code]:
        payload = next(payloads, None)
        if payload is None:
            raise ValueError("the payload frame is missing")
        values.append(payload)
    checks = _CHECKS[code]
    if len(values) != len(checks):
        raise ValueError(f"{_CODES[code].__name__} has {len(checks)} fields, not {len(values)}")
    for i, check in enumerate(checks):
        if check is not _payload:
            try:
                values[i] = check(values[i])
            except ValueError as error:
                raise ValueError(f"{_CODES[code].__name__}.{_CODES[code]._fields[i]}: {error}") from None
    message: Message = _CODES[code](*values)
    if code in _SPANS and message.start > message.stop:  # type: ignore[union-attr]
        raise ValueError(f"{_CODES[code].__name__}: start is beyond stop")
    return message
