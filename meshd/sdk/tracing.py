"""Spans: the form in which sinks get traces.

Owns: `Span`. Names and attributes are OpenTelemetry's.
"""

from __future__ import annotations

import msgspec

INTERNAL, SERVER, CLIENT = 1, 2, 3
Attribute = str | int | float | bool


class Shared(dict[str, Attribute]):
    """Attributes that many spans share: the same object each time, so that a sink may cache its encoding of them. It
    never changes."""

    __slots__ = ("encoded",)

    def __init__(self, attributes: dict[str, Attribute]) -> None:
        super().__init__({name: value for name, value in attributes.items() if value != ""})
        self.encoded: bytes | None = None


NOTHING = Shared({})


class Span(msgspec.Struct, frozen=True, gc=False):
    """ids: hexadecimal; parent_id "": there is none. kind: as OpenTelemetry numbers it. start_ns, end_ns: UTC. failed,
    message: of its status. remote: its parent belongs to another program. shared: further attributes."""

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
    shared: Shared = NOTHING

    def all_attributes(self) -> dict[str, Attribute]:
        return {**self.shared, **self.attributes}
