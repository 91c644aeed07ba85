"""One event stream from its first byte to its end, and whether that end is regular.

Owns: a stream's timeouts (first token, silence, whole call), ignoring signs of life, and that an unreadable event
breaks the stream, as it may have held text.
Must never: hold events back, or read ahead of the consumer (that is the flow control); know what an event means (each
format's reader does).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from meshd.formats.body import Body
from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import ErrorInside, NotAnAnswer, NotAnEvent
from meshd.formats.sse import BLANK, BrokenFraming, EventParser, EventTooLarge, ServerEvent, Splitter, begins_as_events
from meshd.formats.stream.ending import Ending
from meshd.formats.stream.stream_clock import Clock, Silence
from meshd.host import clock
from meshd.host.build import mypyc_attr
from meshd.net.encodings import EncodingError
from meshd.net.failures import TransportError
from meshd.sdk.provider import FailureKind, ProviderCall, ProviderFailure, RateLimits, StreamEvent
from meshd.sdk.reading import lenient

if TYPE_CHECKING:
    from meshd.formats.protocol import Address, Opened

MAX_BODY = 64 * 1024 * 1024
# After the last finish reason only usage and the end may come; a server that keeps the connection open must not delay
# the end of the answer.
LAST_WORDS = 5.0


def watched(call: ProviderCall, address: Address, opened: Opened) -> dict[str, Any]:
    """What a reader has to know about a call. A call without `stream` is answered within its timeout, however it is
    sent."""
    return {
        "started": opened.started,
        "first_token": call.first_token_timeout if call.stream else call.timeout,
        "idle": call.idle_timeout if call.stream else call.timeout,
        "total": call.timeout,
        "where": address.host,
        "url": address.url,
        "event_stream": "event-stream" in opened.content_type,
        "limits": opened.limits,
        "failed": opened.failed,
    }


@mypyc_attr(allow_interpreted_subclasses=True)
class EventReader:
    """`more` gives the next events until `done`; a failure comes only after the events before it.

    A format's reader has `read_object`, and handles the oddities of that format's streams.
    """

    member: ClassVar[bytes]
    """A name that every event contains, to recognise several events in one."""
    names: ClassVar[frozenset[bytes]] = frozenset()
    """The event names that are not errors."""

    def __init__(
        self,
        body: Body,
        ending: Ending,
        *,
        started: float,
        first_token: float,
        idle: float,
        total: float,
        where: str,
        url: str = "",
        event_stream: bool,
        limits: RateLimits | None,
        failed: Callable[[BaseException], ProviderFailure],
        parser: Splitter | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._body = body
        self._ending = ending
        self._clock = Clock(self._loop, body)
        self._parser: Splitter = parser or EventParser()
        self._first_deadline = started + first_token
        self._total_deadline = started + total
        self._first_token, self._idle, self._total = first_token, idle, total
        self._where = where
        self._url = url or where
        self._event_stream = event_stream
        self._limits = limits
        self._failed = failed
        self._events = 0
        self._since = started  # of the last content, not counting the app's time
        self._left = started  # when the app got the last events
        self._usage = False
        self._more: list[StreamEvent] = []  # to be given next
        self.plain: bytes | None = None  # the body, if it was a unary answer
        self._failure: ProviderFailure | None = None
        self.done = False

    def read_object(self, data: bytes, name: bytes, bare: bool) -> StreamEvent | None:
        """An event for the app; None if there is nothing for it. An error is set as the stream's failure."""
        raise NotImplementedError

    def read_unary(self, body: bytes) -> list[StreamEvent]:
        """The events for a unary answer, from a server that ignored `stream`. Raises NotAnAnswer."""
        raise NotImplementedError

    def instead(self, why: NotAnAnswer | NotAnEvent, data: bytes, name: bytes, bare: bool) -> StreamEvent | None:
        """The same for an object that is not an event."""
        if isinstance(why, ErrorInside):
            self._failure = why.failure()
        elif isinstance(why, NotAnEvent):
            self._ending.doubt = self._ending.doubt or why.doubtful
            if why.end or (name and error_answers.is_done(name)):
                self._end(done=True)
        else:
            self._lose(data)
            return None if bare or self._failure is None else unread(data)
        return None

    def rest(self) -> None:
        """The stream ends: what is still held is added to `_more`."""

    async def more(self) -> list[StreamEvent]:
        self._raise()
        self._since += clock.now() - self._left
        if not self._event_stream:
            events = await self._settle_what_it_is()
            if events or self.done:
                return self._given(events)
            self._raise()
        while True:
            try:
                # Only content is progress: not bytes, comments, half an event or signs of life.
                chunk = await self._read(self._deadline())
            except Silence:
                if self._ends_in_silence():
                    self.rest()
                    self.done = True
                    return self._given(self._more)
                raise self._silence() from None
            events = self._received(chunk)
            if not chunk and not self.done and self._failure is None:
                self._end(done=False)
                events += self._more
            if events or self.done:
                return self._given(events)
            self._raise()

    def _raise(self) -> None:
        """A method of its own, because mypyc trusts what mypy concludes about the attribute before a call that sets
        it."""
        if self._failure is not None:
            raise self._failure

    def _received(self, chunk: bytes) -> list[StreamEvent]:
        """The events in a chunk. If something after them cannot be read, that is the stream's failure. chunk: b"" at
        the end of the stream."""
        try:
            return self._take(self._parser.feed(chunk) if chunk else self._parser.finish())
        except BrokenFraming as broken:
            events = self._take(broken.before)
            whole = self.done or (self._ending.certain and not isinstance(broken, EventTooLarge))
            if not whole and self._failure is None:
                self._failure = self._cut(f"{broken.told}: {broken}")
            return events

    def _given(self, events: list[StreamEvent]) -> list[StreamEvent]:
        self._left = clock.now()
        return events

    def close(self) -> None:
        """Release the connection if the stream ended regularly, close it at once otherwise."""
        self._clock.stop()
        if self.done:
            self._body.linger(self._loop)
        else:
            self._body.abort()

    @property
    def _content(self) -> bool:
        return self._ending.content

    def _deadline(self) -> float:
        if not self._content:
            deadline = self._first_deadline
        else:
            patience = min(self._idle, LAST_WORDS) if self._ending.certain else self._idle
            deadline = self._since + patience
        return min(deadline, self._total_deadline)

    def _ends_in_silence(self) -> bool:
        if self._ending.certain:
            return True
        # A finish reason that came too soon proves nothing while text still comes; without any text it needs its usage.
        in_time = clock.now() < self._total_deadline
        return in_time and self._ending.is_regular(done=False) and (self._content or self._usage)

    async def _read(self, deadline: float) -> bytes:
        self._clock.start(deadline)
        try:
            return await self._body.read_some()
        except (TransportError, OSError, EncodingError) as exc:
            if self._ending.certain:
                return b""  # everything has come; how the connection ended does not matter
            failure = self._failed(exc)
            before = FailureKind.BAD_ANSWER if isinstance(exc, EncodingError) else FailureKind.CONNECTION
            before = FailureKind.LOCAL if failure.kind is FailureKind.LOCAL else before
            kind = FailureKind.STREAM_CUT if self._events else before
            raise ProviderFailure(kind, failure.message) from None
        finally:
            self._clock.pause()

    def _take(self, received: list[ServerEvent]) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        for data, name, bare in received:
            if data[:1] != b"{":
                data = data.strip().removeprefix(b"\xef\xbb\xbf")
                if error_answers.is_done(data):
                    self._end(done=True)
                    events += self._more
                    self._more = []
                    break
            if (pieces := _run_together(data, self.member)) is not None:
                events += self._take([ServerEvent(piece, name, bare) for piece in pieces])
            elif (
                bare
                and b"\n" in data
                and error_answers.of_words(data) is error_answers.Sign.BROKEN
                and not _is_json(data)
            ):
                lines = [ServerEvent(line, name, bare=True) for line in data.split(b"\n")]
                events += self._take(lines)
            else:
                event = self._read_one(data, name, bare)
                if event is not None:
                    events.append(event)
                elif self._more:
                    events += self._more
                    self._more = []
            if self._failure is not None or self.done:
                break
        return events

    def _read_one(self, data: bytes, name: bytes, bare: bool) -> StreamEvent | None:
        """The same as `read_object`, for any value."""
        told = bool(name) and name not in self.names and error_answers.names_error(name)
        if data[:1] == b"{" and not told:
            return self.read_object(data, name, bare)
        if told or self._of_words(data, name, bare):
            self._failure = ErrorInside(_plain(data)).failure()
        elif name and error_answers.is_done(name):
            self._end(done=True)
        return None

    def _passed(self, event: StreamEvent, progress: bool) -> StreamEvent:
        """An event that was read, as it is passed on. progress: part of the answer came."""
        self._events += 1
        self._usage = self._usage or event.usage is not None
        if progress:
            self._since = clock.now()
        if self._limits is not None:
            event = msgspec.structs.replace(event, limits=self._limits)
            self._limits = None
        return event

    def _of_words(self, data: bytes, name: bytes, bare: bool) -> bool:
        """Whether data that is not an object is an error."""
        sign = error_answers.of_lines(data) if bare else error_answers.of_words(data)
        if sign is error_answers.Sign.BROKEN:
            self._lose(data)
        elif sign is error_answers.Sign.DOUBTFUL and not (
            name and error_answers.of_words(name) is error_answers.Sign.ALIVE
        ):
            self._ending.doubt = True
        return sign is error_answers.Sign.ERROR

    def _lose(self, data: bytes) -> None:
        """An event cannot be read. It may have contained text, unless all text had come before, or it is certainly only
        a sign of life."""
        if self._ending.certain:
            self._ending.lost = True
        elif not error_answers.is_beat(data):
            self._failure = self._cut("sent a chunk that cannot be read")

    def _end(self, *, done: bool) -> None:
        """The upstream ended the stream, by a mark of its end or by closing."""
        self.rest()
        if self._failure is not None:
            return
        if self._ending.is_regular(done=done):
            self.done = True
        elif not self._content:
            self._failure = ProviderFailure(FailureKind.BAD_ANSWER, f"{self._where} sent an empty stream", status=200)
        elif self._ending.missed:
            self._failure = self._cut("sent a chunk that cannot be read")
        else:
            self._failure = self._cut("ended its stream without a finish reason")

    def _cut(self, what: str) -> ProviderFailure:
        kind = FailureKind.STREAM_CUT if self._content else FailureKind.BAD_ANSWER
        return ProviderFailure(kind, f"{self._where} {what}", status=200)

    def _silence(self) -> ProviderFailure:
        if clock.now() >= self._total_deadline:
            kind = FailureKind.STREAM_CUT if self._content else FailureKind.TIMEOUT
            return ProviderFailure(kind, f"{self._where} did not finish within {self._total:g} s")
        if self._content:
            message = f"{self._where} fell silent for {self._idle:g} s in its stream"
            return ProviderFailure(FailureKind.STREAM_CUT, message)
        return ProviderFailure(FailureKind.TIMEOUT, f"no first token from {self._where} within {self._first_token:g} s")

    async def _settle_what_it_is(self) -> list[StreamEvent]:
        """A 200 without the content type of an event stream: one by its first bytes, a unary answer, or neither."""
        body = bytearray()
        while True:
            try:
                chunk = await self._read(self._deadline())
            except Silence:
                raise self._silence() from None
            body += chunk
            beginning = bytes(body[:16]).lstrip(BLANK)
            if begins_as_events(body):
                self._event_stream = True
                return self._received(bytes(body))
            if not chunk:
                break
            if len(body) > MAX_BODY:
                raise self._cut(f"sent more than {MAX_BODY} bytes where a stream was due")
            if len(beginning) > 6 and not beginning.startswith((b"{", b"[")):
                break
        self.plain = bytes(body)
        try:
            first, *more = self.read_unary(self.plain)
        except NotAnAnswer as why:
            raise why.failure(self.plain, self._where, self._url) from None
        self.done = True
        return [msgspec.structs.replace(first, limits=self._limits), *more]


def unread(data: bytes) -> StreamEvent:
    """An unreadable event: nothing for the app, but its tokens cost something."""
    return StreamEvent(data, content=True, extra=data.decode(errors="replace"), hidden=True)


def _plain(data: bytes) -> bytes:
    """An error as readable JSON, or as its text."""
    try:
        return lenient.plain(lenient.decode(data))
    except lenient.NotJSON:
        return data


def _run_together(data: bytes, member: bytes) -> list[bytes] | None:
    """The chunks of an event that has several (no blank line between them, or a list), or one split into two `data:`
    lines; else None. member: a name that each chunk has."""
    if data[:1] == b"{" and b"\n" not in data and b"}{" not in data:
        return None
    if data[:5] == b"data:":
        return [data[5:].strip()]
    if data[:2] == b'"{' and member in data and _is_json(data):  # inside a string
        return [lenient.decode(data).encode(errors="replace")]
    if data[:1] == b"[" and b'"%s"' % member in data and _is_json(data):
        chunks = lenient.decode(data)
        return [lenient.encode(chunk) for chunk in chunks] if all(isinstance(each, dict) for each in chunks) else None
    if data[:1] != b"{" or _is_json(data):
        return None
    pieces = [line.strip() for line in data.replace(b"}{", b"}\n{").split(b"\n") if line.strip()]
    whole = len(pieces) > 1 and all(_is_json(piece) or error_answers.is_done(piece) for piece in pieces)
    return pieces if whole else None


def _is_json(data: bytes) -> bool:
    try:
        lenient.decode(data)
    except lenient.NotJSON:
        return False
    return True
