"""Spans and log records in protobuf, with places for what differs between requests of a kind.

Owns: which attributes are filled in, and with what. Must never: encode anything otherwise than `protobuf.py` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from meshd.core.events.records import Outcome
from meshd.sdk.tracing import Span
from meshd.telemetry.otlp_out import kinds, protobuf
from meshd.telemetry.otlp_out.kinds import Read
from meshd.telemetry.otlp_out.protobuf import field, varint
from meshd.telemetry.otlp_out.records import Log


class Place(NamedTuple):
    """value: which of a request's texts and then numbers. format: for `struct`. tag: before it, as the value of an
    attribute."""

    value: int
    size: int
    format: str
    tag: bytes


Piece = bytes | Place
Places = Mapping[str, Place]


class _SpanPlaces(NamedTuple):
    id: Place
    parent: Place
    began: Place
    ended: Place
    attributes: Places


def size_of(pieces: Sequence[Piece]) -> int:
    return sum(len(each) if isinstance(each, bytes) else each.size for each in pieces)


class Layout:
    """Of a kind of requests, of which this is one."""

    def __init__(self, outcome: Outcome, found: Read) -> None:
        self._texts = found.texts
        request = {
            "meshd.request": self._text(kinds.REQUEST),
            "meshd.routing.time": self._double(kinds.ROUTING),
            "meshd.cost": self._double(kinds.COST),
            "gen_ai.usage.input_tokens": self._amount(kinds.TOKENS_IN),
            "gen_ai.usage.output_tokens": self._amount(kinds.TOKENS_OUT),
            "meshd.queue.time": self._double(kinds.QUEUE),
            "meshd.first_token.time": self._double(kinds.FIRST_TOKEN),
        }
        times = self._time(kinds.BEGAN), self._time(kinds.ENDED)
        self._spans = [_SpanPlaces(self._text(kinds.SPAN), self._text(kinds.PARENT), *times, request)]
        self._attempts: list[Places] = []
        text, number = kinds.TEXTS, kinds.NUMBERS
        for attempt in outcome.attempts:
            self._attempts.append({"duration": self._double(number + 2), "cost": self._double(number + 3)})
            if attempt.began:
                self._add_spans(len(attempt.calls), text, number)
            text += 3 + len(attempt.calls) if attempt.began else 2
            number += 4 + 2 * len(attempt.calls)

    def _add_spans(self, calls: int, text: int, number: int) -> None:
        """Of an attempt and its calls. text, number: the first of each."""
        attributes = {
            "gen_ai.usage.input_tokens": self._amount(text),
            "gen_ai.usage.output_tokens": self._amount(text + 1),
            "meshd.cost": self._double(number + 3),
        }
        span_id, times = self._text(text + 2), (self._time(number), self._time(number + 1))
        self._spans.append(_SpanPlaces(span_id, self._text(kinds.SPAN), *times, attributes))
        for each in range(calls):
            began = number + 4 + 2 * each
            times = self._time(began), self._time(began + 1)
            self._spans.append(_SpanPlaces(self._text(text + 3 + each), span_id, *times, {}))

    # -- messages -------------------------------------------------------------------------------------

    def spans(self, spans: Sequence[Span]) -> list[Piece]:
        return [piece for span, places in zip(spans, self._spans, strict=False) for piece in self._span(span, places)]

    def _span(self, span: Span, places: _SpanPlaces) -> list[Piece]:
        pieces: list[Piece] = [b"\x0a\x10", self._text(kinds.TRACE), b"\x12\x08", places.id]
        if span.parent_id:
            pieces += [b"\x22\x08", places.parent]
        if span.state:
            pieces.append(field(3, span.state.encode()))
        pieces += [protobuf.named(span.name, span.kind), b"\x39", places.began, b"\x41", places.ended]
        pieces += [protobuf.shared_of(span.shared), *_attributes(9, span.attributes, places.attributes)]
        return _message(2, [*pieces, protobuf.status_of(span), protobuf.flags_of(span)])

    def log(self, log: Log) -> list[Piece]:
        """Without its tag, its length and its text, which ends it."""
        at = self._time(kinds.AT)
        pieces: list[Piece] = [b"\x09", at, b"\x59", at, protobuf.severity_of(log)]
        places = {
            "meshd.request": self._text(kinds.REQUEST),
            "meshd.pid": self._amount(kinds.PID),
            "meshd.tokens_in": self._amount(kinds.TOKENS_IN),
            "meshd.tokens_out": self._amount(kinds.TOKENS_OUT),
            "meshd.tokens_cached": self._amount(kinds.TOKENS_CACHED),
            "meshd.cost": self._double(kinds.COST),
            "meshd.queue_time": self._double(kinds.QUEUE),
            "meshd.routing_time": self._double(kinds.ROUTING),
            "meshd.first_token_time": self._double(kinds.FIRST_TOKEN),
            "meshd.total_time": self._double(kinds.TOTAL),
        }
        for name, value in log.attributes.items():
            if name == "meshd.attempts":
                pieces += self._list(6, name, value)
            else:
                pieces += _attributes(6, {name: value}, places)
        if log.trace_id:
            pieces += [b"\x4a\x10", self._text(kinds.TRACE)]
        if log.span_id:
            pieces += [b"\x52\x08", self._text(kinds.SPAN)]
        return [*pieces, protobuf.event_of(log)]

    def _list(self, number: int, key: str, attempts: Sequence[Mapping[str, Any]]) -> list[Piece]:
        """An attribute that is a list of maps."""
        values: list[Piece] = []
        for each, places in zip(attempts, self._attempts, strict=True):
            values += _message(1, _message(6, _attributes(1, each, places)))
        return _message(number, [field(1, key.encode()), *_message(2, _message(5, values))])

    # -- places ---------------------------------------------------------------------------------------

    def _text(self, at: int) -> Place:
        size = len(self._texts[at])
        return Place(at, size, f"{size}s", b"\x0a" + varint(size))

    def _amount(self, at: int) -> Place:
        return self._text(at)._replace(tag=b"\x18")

    def _time(self, at: int) -> Place:
        return Place(len(self._texts) + at, 8, "Q", b"")

    def _double(self, at: int) -> Place:
        return Place(len(self._texts) + at, 8, "d", b"\x21")


def _attributes(number: int, attributes: Mapping[str, Any], places: Places) -> list[Piece]:
    pieces: list[Piece] = []
    for name, value in attributes.items():
        place = places.get(name)
        if place is None:
            pieces.append(protobuf.attributes_of(number, {name: value}))
        else:
            pieces += _message(number, [field(1, name.encode()), *_message(2, [place.tag, place])])
    return pieces


def _message(number: int, pieces: Sequence[Piece]) -> list[Piece]:
    return [varint(number << 3 | 2) + varint(size_of(pieces)), *pieces]
