"""Spans: the form in which sinks get traces.

Owns: `Span`. Names and attributes are OpenTelemetry's.
"""

from __future__ import annotations

import msgspec

INTERNAL, SERVER, CLIENT = 1, 2, 3
Attribute = str | int | float | bool


class Span(msgspec.Struct, frozen=True, gc=False):
    """ids: hexadecimal; parent_id "": there is none. kind: as OpenTelemetry numbers it. start_ns, end_ns: UTC. failed,
    message: of its status. remote: its parent is another program's."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    start_ns: int
    end_ns: int
    attributes: dict[str, Attribute]
    failed: bool = False
    message: str = ""
    state: str = ""
    remote: bool = False
