"""Which ended requests are of a kind: they differ in ids, times and amounts alone.

Owns: what may differ, and in which order it is read. Must never: take two requests for one kind of which spans or log
records show another difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from operator import attrgetter
from typing import Any

from meshd.core.events.records import Attempt, Outcome
from meshd.core.money import dollars
from meshd.core.seconds import to_nanos
from meshd.core.tracing import with_ids
from meshd.sdk.calls.tracing import HttpCall
from meshd.telemetry.otlp_out.batch import Ended
from meshd.telemetry.otlp_out.protobuf import varint
from meshd.telemetry.spans import times

_DIFFERS = {
    "request_id",
    "at",
    "pid",
    "tokens_in",
    "tokens_out",
    "tokens_cached",
    "cost",
    "attempts",
    "arrived",
    "trace",
}
_DIFFERS |= {"queue_time", "routing_time", "first_token_time", "total_time"}
_DIFFERS_IN_ATTEMPTS = {"duration", "tokens_in", "tokens_out", "cost", "began", "calls"}
_DIFFERS_IN_CALLS = {"span_id", "began", "ended"}
_NOT_SHOWN = {"project", "agent", "session", "rotations", "retries"}
_RARE = ("error", "units", "bytes_in", "bytes_out", "content")
_RARE_IN_ATTEMPTS = ("message", "units")


def _all_but(of: Any, *without: Iterable[str]) -> Callable[[Any], tuple[Any, ...]]:
    left_out = set(chain.from_iterable(without))
    found: Callable[[Any], tuple[Any, ...]] = attrgetter(
        *[name for name in of.__struct_fields__ if name not in left_out]
    )
    return found


_same = _all_but(Outcome, _DIFFERS, _NOT_SHOWN, _RARE)
_same_of_attempt = _all_but(Attempt, _DIFFERS_IN_ATTEMPTS, _RARE_IN_ATTEMPTS)
_same_of_call = _all_but(HttpCall, _DIFFERS_IN_CALLS)
_rare = attrgetter(*_RARE)
_bytes_of = bytes.fromhex
_IDS = 2**64

# Places in `texts`; then follow each attempt's tokens in and out, and the ids of its span and of its calls, if any.
REQUEST, TOKENS_IN, TOKENS_OUT, TOKENS_CACHED, PID, TRACE, SPAN, PARENT, TEXTS = range(9)
# Places in `numbers`; then follow when each attempt began and ended, its duration and cost, and when its calls did.
BEGAN, ENDED, AT, ROUTING, COST, QUEUE, FIRST_TOKEN, TOTAL, NUMBERS = range(9)


class Read:
    """kind: equal for requests of a kind. texts: texts, ids, and amounts as varints; those of a kind are as long.
    numbers: times in ns and s, money in USD."""

    __slots__ = ("kind", "numbers", "texts")

    def __init__(self, kind: tuple[Any, ...], texts: list[bytes], numbers: list[Any]) -> None:
        self.kind = kind
        self.texts = texts
        self.numbers = numbers


def read(ended: Ended, ahead: float) -> Read | None:
    """ahead: see `spans_of`. None if hardly two requests have that in common: contents, an error's text, units. Raises
    OverflowError for an amount that is less than 0."""
    outcome = ended.outcome
    if ended.said or ended.content or any(_rare(outcome)):
        return None
    first, trace = outcome.first_token_time, outcome.trace
    tokens_in, tokens_out = outcome.tokens_in, outcome.tokens_out
    kind: list[Any] = [
        ended.traced,
        ended.logged,
        _same(outcome),
        not (tokens_in or tokens_out),
        not outcome.queue_time,
        first is None,
    ]
    texts = [
        outcome.request_id.encode(),
        varint(tokens_in),
        varint(tokens_out),
        varint(outcome.tokens_cached),
        varint(outcome.pid),
    ]
    start, end = times(outcome.arrived, outcome.total_time, ahead)
    numbers: list[Any] = [  # not of floats: compiled, that would make the times in ns floats
        start,
        end,
        to_nanos(outcome.at),
        outcome.routing_time,
        dollars(outcome.cost),
        outcome.queue_time,
        first or 0.0,
        outcome.total_time,
    ]
    if trace is None:
        span_id = 0
        texts += (b"", b"", b"")
    else:
        trace = with_ids(trace, outcome.request_id, outcome.at)
        span_id = int(trace.span_id, 16)
        texts += (_bytes_of(trace.trace_id), span_id.to_bytes(8, "big"), _bytes_of(trace.parent_id))
        kind += (trace.state, trace.sampled)
    for attempt in outcome.attempts:
        if attempt.message or attempt.units:
            return None
        _read_attempt(attempt, ahead, kind, texts, numbers)
        if attempt.began:
            span_id = _read_ids(attempt, span_id, texts)
    kind += map(len, texts)
    return Read(tuple(kind), texts, numbers)


def _read_attempt(attempt: Attempt, ahead: float, kind: list[Any], texts: list[bytes], numbers: list[Any]) -> None:
    kind += (_same_of_attempt(attempt), not attempt.cost, not attempt.began)
    texts += (varint(attempt.tokens_in), varint(attempt.tokens_out))
    start, end = times(attempt.began, attempt.duration, ahead)
    numbers += (start, end, attempt.duration, dollars(attempt.cost))
    for call in attempt.calls:
        kind.append(_same_of_call(call))
        began = call.began
        numbers += (times(began, 0.0, ahead)[0], times(max(call.ended, began), 0.0, ahead)[0])


def _read_ids(attempt: Attempt, span_id: int, texts: list[bytes]) -> int:
    """Of its span and those below, as `spans_of` numbers them. Returns the last one."""
    span_id = (span_id + 1) % _IDS
    texts.append((span_id or 1).to_bytes(8, "big"))
    for call in attempt.calls:
        if call.span_id:
            texts.append(_bytes_of(call.span_id))
        else:
            span_id = (span_id + 1) % _IDS
            texts.append((span_id or 1).to_bytes(8, "big"))
    return span_id
