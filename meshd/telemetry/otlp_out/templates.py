"""Spans and log records of ended requests in protobuf, made of templates: what requests of a kind have in common is
encoded once.

Owns: a template for each kind that came more than once. It is made of what `spans.py` and `records.py` say of a
request, and is used only if it gives what `protobuf.py` makes of that. Must never: grow without bound.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from meshd.core.events.records import Outcome
from meshd.telemetry import records
from meshd.telemetry.metrics.names import Names
from meshd.telemetry.otlp_out import kinds, protobuf
from meshd.telemetry.otlp_out.batch import Ended
from meshd.telemetry.otlp_out.kinds import Read
from meshd.telemetry.otlp_out.layout import Layout, Piece, size_of
from meshd.telemetry.otlp_out.records import EachAlone, Encoded, described, encoded

_MOST = 512
"""Templates: 5 kB each."""
_MOST_ONCE = 8192


class Template:
    """spans, log: pieces; count: of spans. line: how the log record's text begins, b"": there is no record."""

    def __init__(self, spans: Sequence[Piece], count: int, log: Sequence[Piece], line: bytes) -> None:
        pieces = _joined([*spans, *log])
        self._constants = [each for each in pieces if isinstance(each, bytes)]
        constants = iter(range(len(pieces)))
        after = len(self._constants)
        order = [next(constants) if isinstance(each, bytes) else after + each.value for each in pieces]
        formats = [f"{len(each)}s" if isinstance(each, bytes) else each.format for each in pieces]
        self._in_order: Callable[[list[Any]], tuple[Any, ...]] = itemgetter(*order)
        self._pack: Callable[..., bytes] = struct.Struct("<" + "".join(formats)).pack
        self._size = size_of(spans)
        self._count = count
        self._line = line

    def fill(self, outcome: Outcome, found: Read) -> Encoded:
        """Raises what `struct` does for a time that OTLP cannot have."""
        packed = self._pack(*self._in_order(self._constants + found.texts + found.numbers))
        if not self._line:
            return Encoded(packed, self._count, b"")
        size = self._size
        text = protobuf.body_of(self._line + records.amounts(outcome).encode())
        return Encoded(packed[:size], self._count, protobuf.record(packed[size:] + text))


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """With neighbouring constants as one."""
    found: list[Piece] = []
    for each in pieces:
        if found and isinstance(each, bytes) and isinstance(last := found[-1], bytes):
            found[-1] = last + each
        else:
            found.append(each)
    return found


class Templates(EachAlone):
    def __init__(self) -> None:
        super().__init__(protobuf)
        self._known: dict[tuple[Any, ...], Template | None] = {}
        self._once: set[int] = set()

    def name_by(self, names: Names) -> None:
        if names != self._names:
            self._names = names
            self._known.clear()

    def encoded(self, ended: Ended, ahead: float) -> Encoded:
        try:
            found = kinds.read(ended, ahead)
        except OverflowError:
            found = None
        if found is not None:
            template = self._known.get(found.kind)
            if template is not None:
                return template.fill(ended.outcome, found)
            if found.kind not in self._known and self._came_before(found):
                self._keep(ended, ahead, found)
        return super().encoded(ended, ahead)

    def _came_before(self, found: Read) -> bool:
        """Most kinds that came once, such as those with an app's label, never come again."""
        key = hash(found.kind)
        if key in self._once:
            return True
        if len(self._once) >= _MOST_ONCE:
            self._once.clear()
        self._once.add(key)
        return False

    def _keep(self, ended: Ended, ahead: float, found: Read) -> None:
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[found.kind] = template_of(ended, self._names, ahead, found)


def template_of(ended: Ended, names: Names, ahead: float, found: Read) -> Template | None:
    """None if it would give something else."""
    spans, log = described(ended, names, ahead)
    if not spans and log is None:
        return None
    layout, amounts = Layout(ended.outcome, found), records.amounts(ended.outcome)
    line = log.body.removesuffix(amounts).encode(errors="replace") if log is not None else b""
    template = Template(layout.spans(spans), len(spans), layout.log(log) if log is not None else [], line)
    return template if template.fill(ended.outcome, found) == encoded(protobuf, spans, log) else None
