"""An export of OTLP, from protobuf or JSON.

Owns: the records that both become. Must never: keep more of an export than names and figures need.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from meshd.telemetry.otlp_in import wire

MOST_BYTES = 4 * 1024 * 1024
"""Of a body, after it was decompressed."""
_GZIP = 16 + zlib.MAX_WBITS


class TooLarge(ValueError):
    """The body is larger than MOST_BYTES after it was decompressed."""


class Value(msgspec.Struct, rename="camel"):
    """JSON writes integers of 64 bits as text."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None

    @property
    def plain(self) -> Any:
        values = (self.string_value, self.int_value, self.double_value, self.bool_value)
        return next((value for value in values if value is not None), None)


class Attribute(msgspec.Struct, rename="camel"):
    key: str = ""
    value: Value | None = None


class Resource(msgspec.Struct, rename="camel"):
    attributes: list[Attribute] = []


class Record(msgspec.Struct, rename="camel"):
    """A log record or a span."""

    name: str = ""
    event_name: str = ""
    body: Value | None = None
    attributes: list[Attribute] = []


class Point(msgspec.Struct, rename="camel"):
    attributes: list[Attribute] = []
    start_time_unix_nano: int | str = 0
    as_int: int | str | None = None
    as_double: float | str | None = None


class Sum(msgspec.Struct, rename="camel"):
    data_points: list[Point] = []
    aggregation_temporality: int | str = 0


class Metric(msgspec.Struct, rename="camel"):
    name: str = ""
    sum: Sum | None = None


class Scope(msgspec.Struct, rename="camel"):
    log_records: list[Record] = []
    spans: list[Record] = []
    metrics: list[Metric] = []


class ByResource(msgspec.Struct, rename="camel"):
    resource: Resource | None = None
    scope_logs: list[Scope] = []
    scope_spans: list[Scope] = []
    scope_metrics: list[Scope] = []

    @property
    def scopes(self) -> list[Scope]:
        return [*self.scope_logs, *self.scope_spans, *self.scope_metrics]


class Export(msgspec.Struct, rename="camel"):
    resource_logs: list[ByResource] = []
    resource_spans: list[ByResource] = []
    resource_metrics: list[ByResource] = []

    @property
    def resources(self) -> list[ByResource]:
        return [*self.resource_logs, *self.resource_spans, *self.resource_metrics]


_decode = msgspec.json.Decoder(Export).decode


def read(body: bytes, signal: str, *, json: bool, gzip: bool) -> Export:
    """signal: logs, metrics or traces. Raises ValueError, of a compressed body that is too large TooLarge."""
    if gzip:
        body = _unpacked(body)
    elif len(body) > MOST_BYTES:
        raise TooLarge
    if json:
        return _decode(body)
    return msgspec.convert(wire.read(body, signal), Export)


def _unpacked(body: bytes) -> bytes:
    unpacking = zlib.decompressobj(_GZIP)
    try:
        found = unpacking.decompress(body, MOST_BYTES + 1)
    except zlib.error as error:
        raise ValueError(f"it is not compressed with gzip: {error}") from None
    if len(found) > MOST_BYTES:
        raise TooLarge
    if not unpacking.eof:
        raise ValueError("its compressed data is cut off")
    return found
