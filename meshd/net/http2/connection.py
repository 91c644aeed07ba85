"""HTTP/2 over one connection: its requests, and their answers as they arrive.

Owns: the exchanges of one connection, within bounds; `h2` keeps the protocol's state.
Must never: know a pool, a proxy or a provider, or let one answer that is not being read hold up the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from typing import Any, Final, cast

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from meshd.net.answers import HIGH
from meshd.net.failures import (
    Cancelled,
    ConnectionLost,
    Cut,
    Http1Required,
    NotHttp,
    Refused,
    TransportError,
)
from meshd.net.http2.answer import StreamAnswer
from meshd.net.http2.frames import GOAWAY, MOST_FRAME, MOST_HEADERS, Frame, Frames, Spare, going_away
from meshd.net.http2.heads import fields_of

UNTOLD: Final = 100
"""Exchanges at once, until the server has said how many it accepts (RFC 9113, 6.5.2)."""
MOST_EXCHANGES: Final = 256
"""Exchanges at once, whatever the server says."""
MOST_REQUESTS: Final = 10_000
"""Exchanges over one connection, since h2 remembers how each stream ended."""
QUIET: Final = 1.0
"""Seconds without a sign of life from the server after which a cancelled request puts the connection in doubt."""
PATIENCE: Final = 5.0
"""Seconds that the server has to answer a ping."""
_TO_READ: Final = 0.5  # s more, in case this process was suspended
_WINDOW: Final = 1024 * 1024  # bytes of all bodies together; each is limited by its own window
_MOST_UNSENT: Final = 1024 * 1024  # bytes that the server has not taken yet
_AT_ONCE: Final = 64  # frames, before other tasks get their turn
_EARNED: Final = 10  # useless frames that are allowed for each useful one
_MOST_TABLE: Final = 4096  # bytes of the table for compressing our headers, whatever the server offers
_SETTINGS: Final = {
    SettingCodes.ENABLE_PUSH: 0,
    SettingCodes.INITIAL_WINDOW_SIZE: HIGH,
    SettingCodes.MAX_FRAME_SIZE: MOST_FRAME,
    SettingCodes.MAX_HEADER_LIST_SIZE: MOST_HEADERS,
}

Told = Callable[["Http2Connection"], None]


class Http2Connection(asyncio.Protocol):
    """freed: called when an exchange has ended. changed: when it may take more of them than before. closed: once, when
    it can take no more. most: exchanges at once, until the server has said how many it accepts."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, freed: Told, changed: Told, closed: Told, most: int = UNTOLD
    ) -> None:
        self.loop = loop
        self.idle_since = 0.0
        self.most = most
        self._freed = freed
        self._changed = changed
        self._closed = closed
        self._h2 = _protocol()
        self._frames = Frames()
        self._spare = Spare(loop.time())
        self._answers: dict[int, StreamAnswer] = {}
        self._sending: dict[int, StreamAnswer] = {}  # those whose request has not been sent completely
        self._spoken = False  # whether the server has answered anything
        self._asked = 0
        self._leaving = False  # takes no further request
        self._owed = 0  # bytes of the connection's window to give back
        self._owed_to: dict[int, int] = {}  # and of the streams' windows
        self._heard = loop.time()
        self._doubted: asyncio.TimerHandle | None = None
        self._has_room = True
        self._reading = False  # more has arrived than was read in one turn
        self._transport: asyncio.Transport | None = None

    @property
    def usable(self) -> bool:
        open = self._transport is not None and not self._transport.is_closing()
        return open and not self._leaving and self._doubted is None and self.most > 0

    def ask(self, head: bytes, body: bytes | None) -> StreamAnswer:
        """Send a request; wait for its answer's `head`."""
        return self._ask(StreamAnswer(self, body), head)

    def ask_in_parts(self, head: bytes, length: int | None) -> StreamAnswer:
        answer = StreamAnswer(self)
        answer.open_ended = True
        return self._ask(answer, head if length is None else head + b"Content-Length: %d" % length)

    def _ask(self, answer: StreamAnswer, head: bytes) -> StreamAnswer:
        bodiless = not answer.left and not answer.open_ended
        try:
            if not self.usable:
                raise Refused("the connection was closed before the request was sent")
            stream = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream, fields_of(head), end_stream=bodiless)
        except (H2Error, Refused) as error:  # such as a new limit
            answer.over = True
            answer.fail(error if isinstance(error, Refused) else Refused(cause=error))
            self.loop.call_soon(self._freed, self)
            return answer
        answer.stream, answer.asked = stream, self.loop.time()
        self._answers[stream] = answer
        self._asked += 1
        self._leaving = self._leaving or self._asked >= MOST_REQUESTS
        if not bodiless:
            self._sending[stream] = answer
        self._send()
        return answer

    # -- called by its answers -------------------------------------------------------------------------

    def more_to_send(self, answer: StreamAnswer) -> None:
        self._sending[answer.stream] = answer
        self._send()

    def taken(self, answer: StreamAnswer, size: int) -> None:
        owed = self._owed_to.get(answer.stream, 0) + size
        if owed < HIGH // 2:
            self._owed_to[answer.stream] = owed
            return
        self._owed_to[answer.stream] = 0
        with contextlib.suppress(H2Error):  # the stream may have ended with these bytes
            self._h2.increment_flow_control_window(owed, answer.stream)
        self._flush()

    def cancel(self, answer: StreamAnswer) -> None:
        if answer.over:
            return
        self._reset(answer.stream, ErrorCodes.CANCEL)
        self._over(answer, Cut("it was cancelled here"))
        self._flush()
        if self.loop.time() - max(self._heard, answer.asked) > QUIET and self.usable:
            self._doubt()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            with contextlib.suppress(H2Error):
                self._h2.close_connection()
            self._flush()
            self._transport.close()
            for answer in list(self._answers.values()):
                self._over(answer, None)

    # -- asyncio's -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_WINDOW)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._heard = self.loop.time()
        if self._doubted is not None:
            self._doubted.cancel()
            self._doubted = None
            self._changed(self)
        self._frames.add(data)
        if not self._reading:
            self._read()

    def pause_writing(self) -> None:
        self._has_room = False

    def resume_writing(self) -> None:
        self._has_room = True
        self._send()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._transport = None
        if self._reading:
            self._receive_some(sys.maxsize)
        if self._doubted is not None:
            self._doubted.cancel()
        for answer in list(self._answers.values()):
            self._over(answer, exc)
        self._closed(self)

    # -- what arrives ----------------------------------------------------------------------------------

    def _read(self) -> None:
        """Read what has arrived, in turns with other tasks."""
        more = self._receive_some(_AT_ONCE)
        if more != self._reading and self._transport is not None and not self._transport.is_closing():
            if more:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
        self._reading = more
        if more:
            self.loop.call_soon(self._read)
        self._send()
        if self._leaving and not self._answers:
            self.close()

    def _receive_some(self, most: int) -> bool:
        """Read some frames. Returns whether there may be more."""
        at = 0
        try:
            for _ in range(most):
                frame = self._frames.next()
                if frame is None:
                    return False
                at = frame.stream
                self._receive(frame)
        except (H2Error, NotHttp) as error:
            self._break(at, str(error))
            return False
        return True

    def _receive(self, frame: Frame) -> None:
        """Raises H2Error, NotHttp."""
        self._spare.spend(self._heard)
        if frame.kind == GOAWAY:  # hidden from h2, which would end the connection although answers are still arriving
            self._leave(*going_away(frame))
            return
        for event in self._h2.receive_data(frame.data):
            match event:
                case events.DataReceived():
                    self._data(event)
                case events.ResponseReceived() if answer := self._answers.get(event.stream_id):
                    self._spoken = True
                    answer.begin([(bytes(name), bytes(value)) for name, value in event.headers])
                    self._spare.earn(_EARNED)
                case events.StreamEnded() if answer := self._answers.get(event.stream_id):
                    self._ended(answer)
                case events.StreamReset() if answer := self._answers.get(event.stream_id):
                    self._spoken = True
                    self._over(answer, _reset_by(event.error_code))
                case events.RemoteSettingsChanged():
                    self.most = min(MOST_EXCHANGES, self._h2.remote_settings.max_concurrent_streams)
                    table = self._h2.encoder.header_table_size
                    self._h2.encoder.header_table_size = min(table, _MOST_TABLE)
                    self._changed(self)

    def _data(self, event: events.DataReceived) -> None:
        size, data = event.flow_controlled_length, event.data
        self._owed += size
        if self._owed >= _WINDOW // 2:
            self._h2.increment_flow_control_window(self._owed)
            self._owed = 0
        answer = self._answers.get(event.stream_id)
        if answer is None:
            return
        if data:
            self._spare.earn(_EARNED)
            answer.add(bytes(data))
        if size > len(data) and event.stream_ended is None:  # padding
            self.taken(answer, size - len(data))

    def _ended(self, answer: StreamAnswer) -> None:
        if answer.stream in self._sending or answer.open_ended:  # the server does not need the rest of the request
            self._reset(answer.stream, ErrorCodes.NO_ERROR)
        answer.end()
        self._over(answer, None)

    def _leave(self, last: int, reason: int) -> None:
        """The server will not answer requests after the stream `last`."""
        self._leaving = True
        for stream, answer in list(self._answers.items()):
            if stream > last:
                self._over(answer, Refused(f"the server is closing the connection ({_name(reason)})"))

    def _over(self, answer: StreamAnswer, error: BaseException | None) -> None:
        """A stream has ended, by itself or with an error."""
        if self._answers.pop(answer.stream, None) is None:
            return
        self._sending.pop(answer.stream, None)
        self._owed_to.pop(answer.stream, None)
        answer.over = True
        answer.lost(error)
        answer.release()
        self._freed(self)

    def _break(self, at: int, why: str) -> None:
        """What arrived on the stream `at` is not HTTP/2."""
        self.abort()
        blamed = self._answers.get(at)
        for answer in list(self._answers.values()):
            if answer.begun:
                self._over(answer, Cut(f"its answer is malformed: {why}"))
            else:
                self._over(answer, NotHttp(why) if blamed is answer or not self._spoken else ConnectionLost(why))

    # -- what is sent ----------------------------------------------------------------------------------

    def _send(self) -> None:
        """Send all that may be sent now: a frame of each request in turn."""
        self._flush()
        moved = True
        try:
            while moved and self._has_room:
                moved = False
                for answer in list(self._sending.values()):
                    moved = (self._has_room and self._send_some(answer)) or moved
        except H2Error as error:
            self._break(0, str(error))

    def _send_some(self, answer: StreamAnswer) -> bool:
        """Send a frame. Returns whether anything could be sent."""
        window = self._h2.local_flow_control_window(answer.stream)
        if answer.left and window <= 0:
            return False
        piece, last = answer.next_piece(min(max(window, 0), self._h2.max_outbound_frame_size, MOST_FRAME))
        if not piece and not last:
            del self._sending[answer.stream]  # until more comes
            return False
        self._h2.send_data(answer.stream, piece, end_stream=last)
        if len(piece) >= 1024 or last:
            self._spare.earn(_EARNED)
        if last or not answer.left:
            self._sending.pop(answer.stream, None)
        self._flush()
        return True

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > _MOST_UNSENT:
                self._transport.abort()

    def _reset(self, stream: int, code: ErrorCodes) -> None:
        with contextlib.suppress(H2Error):
            self._h2.reset_stream(stream, code)

    # -- doubt -----------------------------------------------------------------------------------------

    def _doubt(self) -> None:
        """The connection may be dead: it takes no requests until there is a sign of life."""
        self._h2.ping(bytes(8))
        self._flush()
        self._doubted = self.loop.call_later(PATIENCE, self._doubt_more)

    def _doubt_more(self) -> None:
        self._doubted = self.loop.call_later(_TO_READ, self._dead)

    def _dead(self) -> None:
        self.abort()
        for answer in list(self._answers.values()):
            self._over(answer, (Cut if answer.begun else ConnectionLost)("no answer to a ping"))


def _protocol() -> H2Connection:
    protocol = H2Connection(
        H2Configuration(
            client_side=True, header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
    )
    protocol.local_settings = Settings(client=True, initial_values=cast(Any, _SETTINGS))
    protocol.decoder.max_header_list_size = MOST_HEADERS
    return protocol


def _reset_by(code: ErrorCodes | int) -> TransportError:
    if code == ErrorCodes.REFUSED_STREAM:
        return Refused("the server refused it")
    if code == ErrorCodes.HTTP_1_1_REQUIRED:
        return Http1Required("the server needs HTTP/1.1")
    return Cancelled(_name(code))


def _name(code: int) -> str:
    try:
        return ErrorCodes(code).name
    except ValueError:
        return f"error {code}"
