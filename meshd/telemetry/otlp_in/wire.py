"""Reads the parts of OTLP's protobuf messages that matter here, as the maps that OTLP's JSON would be.

Owns: the numbers of the fields (opentelemetry-proto 1.x). Must never: read what it does not name, nest deeper than
those, or read more than MOST_FIELDS fields: a body of tiny ones would take the interpreter for seconds.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

MOST_FIELDS = 200_000
_DOUBLE, _FIXED, _SIGNED = struct.Struct("<d"), struct.Struct("<Q"), struct.Struct("<q")
_LONGEST_VARINT = 10  # bytes


class _Field(NamedTuple):
    """kind: how its value is written. many: it may be repeated. of: the fields of a message."""

    name: str
    kind: str
    many: bool = False
    of: dict[int, _Field] | None = None


_VALUE = {
    1: _Field("stringValue", "text"),
    2: _Field("boolValue", "bool"),
    3: _Field("intValue", "int"),
    4: _Field("doubleValue", "double"),
}
_ATTRIBUTE = {1: _Field("key", "text"), 2: _Field("value", "message", of=_VALUE)}
_RESOURCE = {1: _Field("attributes", "message", True, _ATTRIBUTE)}
_LOG = {
    5: _Field("body", "message", of=_VALUE),
    6: _Field("attributes", "message", True, _ATTRIBUTE),
    12: _Field("eventName", "text"),
}
_SPAN = {5: _Field("name", "text"), 9: _Field("attributes", "message", True, _ATTRIBUTE)}
_POINT = {
    2: _Field("startTimeUnixNano", "fixed"),
    4: _Field("asDouble", "double"),
    6: _Field("asInt", "signed"),
    7: _Field("attributes", "message", True, _ATTRIBUTE),
}
_SUM = {1: _Field("dataPoints", "message", True, _POINT), 2: _Field("aggregationTemporality", "int")}
_METRIC = {1: _Field("name", "text"), 7: _Field("sum", "message", of=_SUM)}


def _export(resources: str, scopes: str, records: str, of: dict[int, _Field]) -> dict[int, _Field]:
    scope = {2: _Field(records, "message", True, of)}
    resource = {1: _Field("resource", "message", of=_RESOURCE), 2: _Field(scopes, "message", True, scope)}
    return {1: _Field(resources, "message", True, resource)}


EXPORTS = {
    "logs": _export("resourceLogs", "scopeLogs", "logRecords", _LOG),
    "metrics": _export("resourceMetrics", "scopeMetrics", "metrics", _METRIC),
    "traces": _export("resourceSpans", "scopeSpans", "spans", _SPAN),
}
"""Signal → the fields of its request."""


def read(data: bytes, signal: str) -> dict[str, Any]:
    """Raises ValueError."""
    return _Reader(data).message(0, len(data), EXPORTS[signal])


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MOST_FIELDS

    def message(self, at: int, end: int, fields: dict[int, _Field]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"it has more than {MOST_FIELDS} fields")
            tag, at = self._varint(at, end)
            field = fields.get(tag >> 3)
            value, at = self._value(at, end, tag & 7, field)
            if field is None:
                continue
            if field.many:
                found.setdefault(field.name, []).append(value)
            else:
                found[field.name] = value
        return found

    def _value(self, at: int, end: int, wire: int, field: _Field | None) -> tuple[Any, int]:
        """(the value, where it ends)."""
        kind = field.kind if field is not None else ""
        if wire == 0:
            number, at = self._varint(at, end)
            if kind not in ("", "int", "bool"):
                raise ValueError("a field has another type than OTLP's")
            return (bool(number) if kind == "bool" else _signed(number)), at
        if wire == 2:
            length, at = self._varint(at, end)
            after = self._within(at + length, end)
            return self._part(at, after, field), after
        if wire not in (1, 5):
            raise ValueError("it is not a protobuf message")
        after = self._within(at + (8 if wire == 1 else 4), end)
        form = {"double": _DOUBLE, "fixed": _FIXED, "signed": _SIGNED}.get(kind)
        if form is None or wire == 5:
            if field is not None:
                raise ValueError("a field has another type than OTLP's")
            return None, after
        return form.unpack_from(self._data, at)[0], after

    def _part(self, at: int, end: int, field: _Field | None) -> Any:
        if field is None:
            return None
        if field.of is not None:
            return self.message(at, end, field.of)
        if field.kind != "text":
            raise ValueError("a field has another type than OTLP's")
        return self._data[at:end].decode()

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        number = 0
        for place in range(_LONGEST_VARINT):
            if at + place >= end:
                break
            byte = self._data[at + place]
            number |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return number, at + place + 1
        raise ValueError("it is not a protobuf message")

    def _within(self, at: int, end: int) -> int:
        if at > end:
            raise ValueError("it ends within a field")
        return at


def _signed(number: int) -> int:
    """Of two's complement in 64 bits."""
    number &= 2**64 - 1
    return number - 2**64 if number >= 2**63 else number
