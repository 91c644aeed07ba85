"""One event stream from its first byte to its end, and whether that end is a regular one.

Owns: the clocks of a stream (first token, silence, whole call), skipping one broken chunk, telling an end
from a cut.
Must never: hold events back, or read ahead of whoever consumes them (that is the flow control).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import msgspec

from meshd.cdk.provider import FailureKind, ProviderFailure, RateLimits, StreamEvent
from meshd.connectors.providers import _wire
from meshd.connectors.providers._errors import failure_from_error_object, is_error_list
from meshd.connectors.providers._http import UpstreamBody
from meshd.connectors.providers._sse import EventParser, EventTooLarge, ServerEvent

MAX_BODY = 64 * 1024 * 1024
# After the last finish reason only usage and [DONE] may come; a server that keeps the connection open
# instead must not hold up the end of the answer.
LAST_WORDS = 5.0
_SSE_BEGINNINGS = (b"data:", b"event:", b"id:", b"retry:", b":")


class Silence(Exception):
    """The clock ran out while waiting for the upstream."""


class Clock:
    """Wakes the body's reader when a deadline passes. One lazy timer: moving the deadline costs nothing."""

    __slots__ = ("_body", "_deadline", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, body: UpstreamBody) -> None:
        self._loop = loop
        self._body = body
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, deadline: float) -> None:
        self._deadline = deadline
        if self._timer is None or self._timer.when() > deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._ring)

    def pause(self) -> None:
        self._deadline = None

    def stop(self) -> None:
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._ring)
        else:
            self._body.fail(Silence())


class EventReader:
    """`more` gives the next events until `done`; a failure comes only after the events before it."""

    def __init__(
        self,
        body: UpstreamBody,
        *,
        started: float,
        first_token: float,
        idle: float,
        total: float,
        where: str,
        event_stream: bool,
        hide_usage: bool,
        choices: int,
        limits: RateLimits | None,
        failed: Callable[[BaseException], ProviderFailure],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._body = body
        self._clock = Clock(self._loop, body)
        self._parser = EventParser()
        self._first_deadline = started + first_token
        self._total_deadline = started + total
        self._first_token, self._idle, self._total = first_token, idle, total
        self._where = where
        self._event_stream = event_stream
        self._hide_usage = hide_usage
        self._choices = choices
        self._limits = limits
        self._failed = failed
        self._events = 0
        self._content = False
        self._begun: set[int] = set()  # choices that content came of
        self._ended: set[int] = set()  # choices with a finish reason
        self._last_words: float | None = None  # when what comes after the last finish reason has to be there
        self._broken = 0  # chunks in a row that did not parse
        self._failure: ProviderFailure | None = None
        self.done = False

    async def more(self) -> list[StreamEvent]:
        if self._failure is not None:
            raise self._failure
        if not self._event_stream:
            events = await self._settle_what_it_is()
            if events or self.done:
                return events
            if self._failure is not None:
                raise self._failure
        since = self._loop.time()  # bytes are no progress, nor are comments or half an event: whole events are
        while True:
            try:
                chunk = await self._read(self._deadline(since))
                received = self._parser.feed(chunk) if chunk else self._parser.finish()
            except EventTooLarge as exc:
                raise self._cut(f"sent no event that ends: {exc}") from None
            except Silence:
                if self._finished:
                    self.done = True
                    return []
                raise self._silence() from None
            events = self._take(received)
            if not chunk and not self.done and self._failure is None:
                self._end()
            if events or self.done:
                return events
            if self._failure is not None:
                raise self._failure
            if received:
                since = self._loop.time()

    def close(self) -> None:
        """Give the connection back where the stream ended regularly, close it at once otherwise."""
        self._clock.stop()
        if self.done:
            self._body.linger(self._loop)
        else:
            self._body.abort()

    @property
    def _finished(self) -> bool:
        """Every choice that began has ended. Some servers give one where several were asked for."""
        return bool(self._ended) and self._begun <= self._ended

    def _deadline(self, since: float) -> float:
        if self._finished and len(self._ended) >= self._choices:
            if self._last_words is None:
                self._last_words = self._loop.time() + min(self._idle, LAST_WORDS)
            deadline = self._last_words
        elif self._content:
            deadline = since + self._idle
        else:
            deadline = self._first_deadline
        return min(deadline, self._total_deadline)

    async def _read(self, deadline: float) -> bytes:
        self._clock.start(deadline)
        try:
            return await self._body.read_some()
        except (aiohttp.ClientError, OSError) as exc:
            if self._finished:
                return b""  # everything was said; how the connection ended does not matter
            failure = self._failed(exc)
            kind = FailureKind.STREAM_CUT if self._events else FailureKind.CONNECTION
            raise ProviderFailure(kind, failure.message) from None
        finally:
            self._clock.pause()

    def _take(self, received: list[ServerEvent]) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        for data, name in received:
            if data == b"[DONE]":
                # Some servers never give a finish reason; their [DONE] is as good, unless a chunk was lost.
                self._end(regular=self._content and not self._broken)
                break
            try:
                event, chunk = _wire.read_event(data, hide_usage=self._hide_usage)
            except _wire.Broken:
                if name == b"error" or is_error_list(data):
                    self._failure = failure_from_error_object(data)
                    break
                self._broken += 1
                if self._broken > 1:
                    self._failure = self._cut("sends chunks that are not JSON")
                    break
                continue
            if _wire.is_set(chunk.error) or event.finish_reason == "error" or name == b"error":
                self._failure = failure_from_error_object(bytes(chunk.error) if _wire.is_set(chunk.error) else data)
                break
            self._broken = 0
            self._events += 1
            self._content = self._content or event.content
            for choice in chunk.choices or ():
                if choice.finish_reason:
                    self._ended.add(choice.index)
                if event.content:
                    self._begun.add(choice.index)
            if self._limits is not None:
                event = msgspec.structs.replace(event, limits=self._limits)
                self._limits = None
            events.append(event)
        return events

    def _end(self, regular: bool = False) -> None:
        """The upstream says that it is at its end, by [DONE] or by closing."""
        if self._finished or regular:
            self.done = True
        elif not self._content:
            self._failure = ProviderFailure(FailureKind.BAD_ANSWER, f"{self._where} sent an empty stream", status=200)
        else:
            self._failure = self._cut("ended its stream without a finish reason")

    def _bad(self, what: str, body: bytes) -> ProviderFailure:
        return ProviderFailure(FailureKind.BAD_ANSWER, f"{self._where} {what}", status=200, body=body[:4096])

    def _cut(self, what: str) -> ProviderFailure:
        kind = FailureKind.STREAM_CUT if self._content else FailureKind.BAD_ANSWER
        return ProviderFailure(kind, f"{self._where} {what}", status=200)

    def _silence(self) -> ProviderFailure:
        if self._loop.time() >= self._total_deadline:
            kind = FailureKind.STREAM_CUT if self._content else FailureKind.TIMEOUT
            return ProviderFailure(kind, f"{self._where} did not finish within {self._total:g} s")
        if self._content:
            message = f"{self._where} fell silent for {self._idle:g} s in its stream"
            return ProviderFailure(FailureKind.STREAM_CUT, message)
        return ProviderFailure(FailureKind.TIMEOUT, f"no first token from {self._where} within {self._first_token:g} s")

    async def _settle_what_it_is(self) -> list[StreamEvent]:
        """A 200 whose content type is no event stream: one by its first bytes, a plain answer, or neither."""
        body = bytearray()
        while True:
            try:
                chunk = await self._read(min(self._first_deadline, self._total_deadline))
            except Silence:
                raise self._silence() from None
            body += chunk
            beginning = bytes(body[:16]).lstrip(b"\xef\xbb\xbf \t\r\n")
            if beginning.startswith(_SSE_BEGINNINGS):
                self._event_stream = True
                return self._take(self._parser.feed(bytes(body)))
            if not chunk:
                break
            if (len(beginning) > 6 and not beginning.startswith((b"{", b"["))) or len(body) > MAX_BODY:
                break
        return self._plain(bytes(body))

    def _plain(self, body: bytes) -> list[StreamEvent]:
        """The server ignored `stream` and answered whole."""
        self.done = True
        try:
            answer = _wire.decode_answer(body)
        except _wire.Broken:
            self.done = False
            if is_error_list(body):
                raise failure_from_error_object(body) from None
            what = "an empty answer" if not body.strip() else "something that is no event stream"
            raise self._bad(f"sent {what} where a stream was due", body) from None
        if _wire.is_set(answer.error):
            raise failure_from_error_object(bytes(answer.error))
        if not _wire.is_set(answer.choices):
            raise self._bad("sent no choices", body)
        data, text = _wire.as_stream(body)
        event, _ = _wire.read_event(data, hide_usage=False)
        usage = _wire.usage_of(answer.usage)
        return [msgspec.structs.replace(event, content=True, text=text, usage=usage, limits=self._limits)]
