"""Requests with more inputs than a provider takes at once, sent in several calls of one attempt.

Owns: which inputs each call has, how many calls there are at a time, and joining their answers in order.
Must never: repeat a failed call: the attempt has failed then, and the usage of its other calls is part of the failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from meshd.core.needs import BYTES_PER_TOKEN
from meshd.formats.lookup import provider_format
from meshd.formats.stream.event_reader import MAX_BODY
from meshd.host import clock
from meshd.sdk.provider import (
    FailureKind,
    Provider,
    ProviderAnswer,
    ProviderCall,
    ProviderFailure,
    StreamEvent,
    Usage,
)
from meshd.sdk.reading.lenient import UNREADABLE, whole

MOST_CALLS = 4
"""At a time."""
_entries = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_LEAST = 3  # bytes of an entry and its comma
_BYTES = 2  # of a token, at least, except for rare texts


class Asked(Protocol):
    """A provider, or the object that translates for it."""

    name: str

    async def execute(self, call: ProviderCall) -> ProviderAnswer: ...

    def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]: ...


class _Rows(msgspec.Struct):
    """An answer in OpenAI's form. The rows' members stay raw, as they are thousands of numbers."""

    data: list[dict[str, msgspec.Raw]]
    usage: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Rows).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def most_at_once(provider: Provider, call: ProviderCall) -> int:
    """How many inputs it takes in one call, by the quirk `at_once` or its format; 0 if no limit is known."""
    given = provider.settings.quirks.get("at_once") or provider_format(provider.speaks).at_once
    most = given.get(call.operation.name, 0)
    if isinstance(most, int):
        return most
    return next((count for model, count in most.items() if fnmatchcase(call.model, model)), 0)


def parts_of(call: ProviderCall, most: int, tokens: int) -> list[list[msgspec.Raw]]:
    """The inputs of each call: at most `most` of them, and `tokens` in all (0: any number); none if one call takes them
    all. An input that alone exceeds `tokens` is a call of its own. A list of numbers is the tokens of one input."""
    raw = bytes(call.fields.get(call.operation.apart, b""))
    few, short = not most or len(raw) < _LEAST * most, not tokens or len(raw) <= tokens * _BYTES
    if call.stream or (few and short):
        return []
    try:
        entries = _entries(whole(raw))
    except UNREADABLE:
        return []
    if not entries or bytes(entries[0])[:1] not in (b'"', b"[", b"{"):
        return []
    parts: list[list[msgspec.Raw]] = [[]]
    size = 0
    for entry in entries:
        size += len(bytes(entry))
        if parts[-1] and (len(parts[-1]) == most or (tokens and size > tokens * _BYTES)):
            parts.append([])
            size = len(bytes(entry))
        parts[-1].append(entry)
    return parts if len(parts) > 1 else []


def in_calls(asked: Asked, provider: Provider, call: ProviderCall) -> Asked:
    """The object that makes this call: it makes several, if there are more inputs than the provider takes at once."""
    if not call.operation.apart:
        return asked
    tokens = provider.settings.quirks.get("tokens_at_once") or {}
    parts = parts_of(call, most_at_once(provider, call), tokens.get(call.operation.name, 0))
    return Split(asked, parts) if parts else asked


class Split:
    """Makes one call as several. parts: the inputs of each."""

    def __init__(self, asked: Asked, parts: Sequence[Sequence[msgspec.Raw]]) -> None:
        self.name = asked.name
        self._asked = asked
        self._parts = parts
        self._answers: list[ProviderAnswer | None] = [None] * len(self._parts)
        self._begun = 0  # calls
        self._size = 0  # bytes that were answered

    def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]:
        return self._asked.stream(call)

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        """Raises ProviderFailure, with the usage of the calls that did not fail."""
        deadline = clock.now() + call.timeout
        workers = [asyncio.ensure_future(self._work(call, deadline)) for _ in range(min(MOST_CALLS, len(self._parts)))]
        try:
            await asyncio.gather(*workers)
        except ProviderFailure as failure:
            raise self._cost(failure) from None
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return self._joined([answer for answer in self._answers if answer is not None])

    async def _work(self, call: ProviderCall, deadline: float) -> None:
        """One call after the other, until all have begun."""
        while self._begun < len(self._parts):
            number, self._begun = self._begun, self._begun + 1
            fields = {**call.fields, call.operation.apart: msgspec.Raw(_encode(self._parts[number]))}
            part = replace(call, fields=fields, timeout=max(deadline - clock.now(), 0.001))
            self._answers[number] = answer = await self._asked.execute(part)
            self._size += len(answer.body)
            if self._size > MAX_BODY:
                raise self._bad(f"answered more than {MAX_BODY >> 20} MiB in several calls")

    def _cost(self, failure: ProviderFailure) -> ProviderFailure:
        """The failure, with what the other calls have used. A call that was cut off may have cost something, too."""
        done = [(part, answer) for part, answer in zip(self._parts, self._answers, strict=True) if answer is not None]
        cut = self._begun - len(done) - 1
        if not done and cut <= 0:
            return failure
        usages = [answer.usage or Usage(_tokens(part)) for part, answer in done]
        if failure.usage is not None:
            usages.append(failure.usage)
        open_ = [part for part, answer in zip(self._parts, self._answers, strict=True) if answer is None]
        usages += [Usage(_tokens(part)) for part in open_[: max(cut, 0)]]
        failure.usage, failure.part, failure.unsent = _sum(usages), True, False
        return failure

    def _joined(self, answers: Sequence[ProviderAnswer]) -> ProviderAnswer:
        rows: list[dict[str, msgspec.Raw]] = []
        used: dict[str, Any] = {}
        for part, answer in zip(self._parts, answers, strict=True):
            read = self._read(answer.body, len(part))
            rows += [{**row, "index": msgspec.Raw(b"%d" % (len(rows) + n))} for n, row in enumerate(read.data)]
            for name, count in (read.usage or {}).items():
                if isinstance(count, int | float) and not isinstance(count, bool):
                    used[name] = used.get(name, 0) + count
        more = {"usage": msgspec.Raw(_encode(used))} if used else {}
        body = {**_members(answers[0].body), "data": msgspec.Raw(_encode(rows)), **more}
        usages = [answer.usage for answer in answers if answer.usage is not None]
        usage = _sum(usages) if len(usages) == len(answers) else None
        last = answers[-1]
        return ProviderAnswer(_encode(body), usage, last.limits, last.headers, None, last.content_type)

    def _read(self, body: bytes, count: int) -> _Rows:
        """The rows of an answer, in the order of the inputs."""
        try:
            read = _decode(body)
            places = {int(bytes(row.get("index", b"%d" % n))): row for n, row in enumerate(read.data)}
        except (*UNREADABLE, ValueError) as error:
            raise self._bad(f"answered what cannot be joined: {error}") from None
        if len(read.data) != count or sorted(places) != list(range(count)):
            raise self._bad(f"answered {len(read.data)} rows for {count} inputs")
        return _Rows([places[n] for n in range(count)], read.usage)

    def _bad(self, what: str) -> ProviderFailure:
        return ProviderFailure(FailureKind.BAD_ANSWER, f"{self.name} {what}", status=200)


def _tokens(part: Sequence[msgspec.Raw]) -> int:
    """The most tokens that the inputs can have."""
    return sum(-(-len(bytes(each)) // BYTES_PER_TOKEN) for each in part)


def _sum(usages: Sequence[Usage]) -> Usage:
    units: dict[str, int] = {}
    for each in usages:
        for name, count in each.units:
            units[name] = units.get(name, 0) + count
    return Usage(
        sum(each.input_tokens for each in usages),
        sum(each.output_tokens for each in usages),
        sum(each.cached_tokens for each in usages),
        units=tuple(units.items()),
    )
