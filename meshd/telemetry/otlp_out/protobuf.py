"""OTLP as protobuf: the messages of opentelemetry-proto that we send, written by hand.

Owns: field numbers and wire types. Must never: keep anything but encoded attributes, whose number has a bound.

Building messages with the library takes four times as long.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from meshd.sdk.metrics import Distribution, Family, Reading
from meshd.sdk.tracing import Shared, Span
from meshd.telemetry.otlp_out.records import CUMULATIVE, SCOPE, Log

CONTENT_TYPE = "application/x-protobuf"
BETWEEN = b""
_fixed64 = struct.Struct("<Q").pack
_double = struct.Struct("<d").pack
_fixed32 = struct.Struct("<I").pack


_SHORT = tuple(bytes([value]) for value in range(128))


def varint(value: int) -> bytes:
    """Raises OverflowError for less than zero."""
    if 0 <= value < 128:
        return _SHORT[value]
    if 0 <= value < 16384:
        return bytes((value & 127 | 128, value >> 7))
    if value < 0:
        raise OverflowError(f"{value} is less than zero")
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, data: bytes) -> bytes:
    """A text, bytes or a message."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value & 0xFFFFFFFFFFFFFFFF)


def _any_value(value: Any) -> bytes:
    if isinstance(value, bool):
        return _number(2, value)
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return _number(3, value)
    if isinstance(value, float):
        return b"\x21" + _double(value)
    if isinstance(value, Mapping):
        return field(6, attributes_of(1, value))
    if isinstance(value, list | tuple):
        return field(5, b"".join(field(1, _any_value(each)) for each in value))
    return field(1, str(value).encode(errors="replace"))


def _pair(key: str, value: Any) -> bytes:
    return field(1, key.encode(errors="replace")) + field(2, _any_value(value))


def attributes_of(number: int, attributes: Mapping[str, Any]) -> bytes:
    """What repeats is kept: requests differ in times, costs and ids, and in little else."""
    parts = []
    for key, value in attributes.items():
        kind, key = type(value), str(key)
        if kind is float:
            parts.append(_head_of_double(number, key) + _double(value))
        elif kind is int or kind is bool or (kind is str and len(value) < _LONG):
            parts.append(_kept_attribute(number, key, value))
        elif kind is str:
            text = value.encode(errors="replace")
            parts.append(_head_of_text(number, key, len(text)) + text)
        else:
            parts.append(field(number, _pair(key, value)))
    return b"".join(parts)


_LONG = 32
"""Characters of a text that is not kept, as it is probably an id or a message."""


@lru_cache(maxsize=4096, typed=True)
def _kept_attribute(number: int, key: str, value: str | int) -> bytes:
    return field(number, _pair(key, value))


@lru_cache(maxsize=1024)
def _head_of_text(number: int, key: str, length: int) -> bytes:
    """All of an attribute but its text of so many bytes."""
    whole = field(number, _pair(key, " " * length))
    return whole[: len(whole) - length]


@lru_cache(maxsize=1024)
def _head_of_double(number: int, key: str) -> bytes:
    """All of an attribute but the eight bytes of its value."""
    return field(number, _pair(key, 0.0))[:-8]


# -- traces ---------------------------------------------------------------------------------------------


_FROM_HERE, _FROM_ELSEWHERE = (b"\x85\x01" + _fixed32(flags) for flags in (0x101, 0x301))
"""Flags: it is sampled, and whether its parent is another program's."""


def span(each: Span) -> bytes:
    """As a field of its scope, like each record here."""
    data = [
        b"\x0a\x10",
        bytes.fromhex(each.trace_id),
        b"\x12\x08",
        bytes.fromhex(each.span_id),
        b"\x22\x08" + bytes.fromhex(each.parent_id) if each.parent_id else b"",
        field(3, each.state.encode()) if each.state else b"",
        named(each.name, each.kind),
        b"\x39",
        _fixed64(each.start_ns),
        b"\x41",
        _fixed64(each.end_ns),
        shared_of(each.shared),
        attributes_of(9, each.attributes),
        status_of(each) if each.failed or each.message else b"",
        flags_of(each),
    ]
    return record(b"".join(data))


def flags_of(each: Span) -> bytes:
    return _FROM_ELSEWHERE if each.remote else _FROM_HERE


def shared_of(attributes: Shared) -> bytes:
    if attributes.encoded is None:
        attributes.encoded = attributes_of(9, attributes)
    return attributes.encoded


@lru_cache(maxsize=1024)
def named(name: str, kind: int) -> bytes:
    return field(5, name.encode(errors="replace")) + _number(6, kind)


def status_of(each: Span) -> bytes:
    message = field(2, each.message.encode(errors="replace")) if each.message else b""
    code = _number(3, 2) if each.failed else b""
    return field(15, message + code) if message or code else b""


# -- logs -----------------------------------------------------------------------------------------------


def log(each: Log) -> bytes:
    times = b"\x09" + _fixed64(each.at_ns) + b"\x59" + _fixed64(each.at_ns)
    data = [times, severity_of(each), attributes_of(6, each.attributes)]
    if each.trace_id:
        data.append(field(9, bytes.fromhex(each.trace_id)))
    if each.span_id:
        data.append(field(10, bytes.fromhex(each.span_id)))
    return record(b"".join([*data, event_of(each), body_of(each.body.encode(errors="replace"))]))


def severity_of(each: Log) -> bytes:
    return _number(2, each.severity) + field(3, each.severity_text.encode())


def event_of(each: Log) -> bytes:
    return field(12, each.event.encode()) if each.event else b""


def body_of(text: bytes) -> bytes:
    return field(5, field(1, text))


# -- metrics --------------------------------------------------------------------------------------------


def metric(family: Family, reading: Reading) -> bytes:
    head = field(1, family.name.encode()) + field(2, family.help.encode()) + field(3, family.unit.encode())
    times = b"\x11" + _fixed64(reading.since_ns) + b"\x19" + _fixed64(reading.at_ns)
    points = b"".join(field(1, _point(family, labels, value, times)) for labels, value in family.rows)
    match family.kind:
        case "gauge":
            return record(head + field(5, points))
        case "counter":
            return record(head + field(7, points + _number(2, CUMULATIVE) + _number(3, 1)))
        case _:
            return record(head + field(9, points + _number(2, CUMULATIVE)))


def _point(family: Family, labels: tuple[str, ...], value: Any, times: bytes) -> bytes:
    attributes = {name: text for name, text in zip(family.labels, labels, strict=True) if text}
    if isinstance(value, Distribution):
        counts = b"".join(map(_fixed64, value.counts))
        bounds = b"".join(map(_double, family.bounds))
        sums = b"\x21" + _fixed64(sum(value.counts)) + b"\x29" + _double(value.total)
        return attributes_of(9, attributes) + times + sums + field(6, counts) + field(7, bounds)
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return attributes_of(7, attributes) + times + b"\x31" + value.to_bytes(8, "little", signed=True)
    return attributes_of(7, attributes) + times + b"\x21" + _double(value)


# -- requests -------------------------------------------------------------------------------------------


def record(message: bytes) -> bytes:
    """A span, a log record or a metric as a field of its scope: all three have the same numbers."""
    return field(2, message)


def request(kind: str, resource: Mapping[str, Any], records: Sequence[bytes]) -> bytes:
    """kind: not needed here. records: each of one or more. They are large, so they are copied once."""
    held = field(1, attributes_of(1, resource))
    scope = field(1, b"".join(field(number, text.encode()) for number, text in enumerate(SCOPE, 1)))
    size = len(scope) + sum(map(len, records))
    inner = varint(2 << 3 | 2) + varint(size) + scope
    return b"".join([b"\x0a", varint(len(held) + len(inner) - len(scope) + size), held, inner, *records])


def rejected(answer: bytes) -> int:
    """How many records a receiver says it has not taken: field 1 of field 1."""
    inner = _first_field(answer, 0x0A)
    if inner is None:
        return 0
    length, at = inner
    found = _first_field(answer[at : at + length], 0x08)
    return min(found[0], 1_000_000) if found is not None else 0


def _first_field(data: bytes, tag: int) -> tuple[int, int] | None:
    """(the number after the tag, where it ends), if the data begins with that field."""
    if not data or data[0] != tag:
        return None
    value = 0
    for at, byte in enumerate(data[1:11]):
        value |= (byte & 127) << (7 * at)
        if byte < 128:
            return value, at + 2
    return None
