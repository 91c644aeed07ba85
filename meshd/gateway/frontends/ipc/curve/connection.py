"""A connection of CURVE: its long frames are sealed and opened in other threads.

Owns: the order in which frames leave, which is that of their numbers, and what waits behind a frame that is being
sealed.
Must never: seal or open a long frame in the loop, or have one sealed when it has ended.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from meshd.core.caller import Caller
from meshd.gateway.frontends.ipc import zmtp
from meshd.gateway.frontends.ipc.connections import Connection
from meshd.gateway.frontends.ipc.curve.handshakes import HANDSHAKES
from meshd.gateway.frontends.ipc.curve.long_frames import LongFrames
from meshd.gateway.frontends.ipc.curve.session import CurveSession, DaemonKey, LongFrame
from meshd.gateway.frontends.ipc.zmtp_connection import Receiver, ZmtpConnection
from meshd.gateway.frontends.shares.room import Room
from meshd.gateway.frontends.shares.turns import Turns
from meshd.gateway.frontends.socket_connection import UNREAD_BYTES

Opened = tuple[int, bytes]
"""The flags and the content of a frame."""


class CurveConnection(ZmtpConnection):
    """As `ZmtpConnection`. shown: called once with the key that the client has proved to have; raises Refused."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        caller: Caller,
        receiver: Receiver,
        turns: Turns,
        room: Room,
        bounds: Callable[[Connection], zmtp.Bounds],
        fits: Callable[[Connection, int], bool],
        key: DaemonKey,
        shown: Callable[[Connection, bytes], None],
        long_frames: LongFrames,
    ) -> None:
        super().__init__(loop, caller, receiver, turns, room, bounds, fits)
        self.user = HANDSHAKES  # until it has shown a key
        self._session = CurveSession(key, partial(shown, self))
        self._long_frames = long_frames
        self._opening: asyncio.Future[Opened] | None = None
        self._sealing: asyncio.Future[list[bytes]] | None = None
        self._behind: deque[bytes | LongFrame] = deque()  # what is sent after the frame that is being sealed
        self._waiting = 0  # bytes of both
        self._paused = False  # the client has much to read
        self._closes = False  # once everything is sealed

    def _secured(self) -> zmtp.Session:
        return self._session

    # -- sending --------------------------------------------------------------------------------------

    def send(self, frames: list[bytes]) -> str:
        return "it was closed" if self._closes else super().send(frames)

    def _leave(self, frames: list[bytes]) -> bool:
        parts = self._session.message(frames, delimited=self._peer.delimited)
        sealed = [part for part in parts if isinstance(part, bytes)]
        if not self._waiting and len(sealed) == len(parts):
            return self._gather(b"".join(sealed), more=bool(self.requests))
        size = sum(len(frame) for frame in frames)
        if (self.full or size > UNREAD_BYTES) and not self._fits(1):
            self.abort()
            return False
        for part in parts:
            self._wait(part)
        self._seal()
        return True

    def _reply(self, data: bytes) -> None:
        if self._waiting:
            self._wait(data)
            self.held_back = True
        else:
            super()._reply(data)

    def _wait(self, part: bytes | LongFrame) -> None:
        """It is sent when its turn comes; until then, it counts as unread by the client."""
        self._behind.append(part)
        self._waiting += len(part)
        self.full = True
        self._hold_unread(0 if self._transport is None else self._transport.get_write_buffer_size())
        if self._unread > UNREAD_BYTES:
            self.held_back = True
            self._read_or_pause()

    def _seal(self) -> None:
        """Write what is sealed, up to the next long frame, and have that one sealed."""
        while self._behind and self._sealing is None:
            part = self._behind.popleft()
            if isinstance(part, LongFrame):
                self._sealing = self._long_frames.begin(self.user, part.sealed)
                self._sealing.add_done_callback(partial(self._was_sealed, len(part)))
            else:
                self._leaving.append(part)
                self._waiting -= len(part)
        self._write()
        if self._waiting:
            return
        if self._closes:
            super().close()
        elif not self._paused:
            super().resume_writing()

    def _was_sealed(self, size: int, sealing: asyncio.Future[list[bytes]]) -> None:
        if sealing is not self._sealing:  # the connection has ended
            return
        self._sealing = None
        try:
            self._leaving += sealing.result()
        except MemoryError:
            self._fail("no memory is left to seal an answer")
        else:
            self._waiting -= size
            self._seal()

    def _hold_unread(self, size: int) -> None:
        super()._hold_unread(size + self._waiting)

    def pause_writing(self) -> None:
        self._paused = True
        super().pause_writing()

    def resume_writing(self) -> None:
        self._paused = False
        if self._waiting:
            self._hold_unread(0)
        else:
            super().resume_writing()

    # -- reading --------------------------------------------------------------------------------------

    def _take_turn(self) -> bool:
        user = self.user
        more = super()._take_turn()
        if self._peer.opening and self._opening is None:
            self._opening = self._long_frames.begin(user, partial(self._session.open, self._peer.opening))
            self._opening.add_done_callback(self._was_opened)
        if more and self.user != user:  # it has shown its key; from now on, it takes the turns of its user
            self._queued = False
            self._loop.call_soon(self._proceed)
            return False
        return more

    def _was_opened(self, opening: asyncio.Future[Opened]) -> None:
        if opening is not self._opening:  # the connection has ended
            if not opening.cancelled():
                opening.exception()  # retrieved, so that asyncio does not warn
            return
        self._opening = None
        try:
            self._peer.opened(*opening.result())
        except zmtp.Violation as violation:
            self._fail(f"it broke the protocol: {violation}")
        except MemoryError:
            self._fail("no memory is left to open its message")
        else:
            self._proceed()

    # -- the end --------------------------------------------------------------------------------------

    def close(self) -> None:
        if self._waiting:
            self._closes = True
            self._end()
        else:
            super().close()

    def abort(self) -> None:
        self._drop()
        super().abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop()
        super().connection_lost(exc)

    def _fail(self, why: str) -> None:
        self.abort()
        self._receiver.gone(self, why)

    def _drop(self) -> None:
        """Nothing more is sealed."""
        self._behind.clear()
        self._waiting = 0
        if self._sealing is not None:
            self._sealing.cancel()
            self._sealing = None

    def _ended(self) -> None:
        super()._ended()
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
