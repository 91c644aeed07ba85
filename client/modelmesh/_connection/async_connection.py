"""The asyncio side: one connection per event loop and socket address, without threads.

Owns: the loop's readers and timers for one session.
Must never: be touched from outside its loop's thread.

A zmq socket's descriptor is edge-triggered, so the session is pumped on every wake-up and after every send.
It works on asyncio's loop and on uvloop's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from modelmesh._connection.pending_call import (
    GRACE_SECONDS,
    LONGEST_GRACE_SECONDS,
    OVERSLEPT_SECONDS,
    PendingCall,
    client_closed,
)
from modelmesh._connection.session import LinkSession
from modelmesh.errors import MeshError
from modelmesh.protocol import Message

_of_the_parent: list[AsyncConnection] = []
"""Connections of the parent process after a fork; kept, as freeing them would touch its sockets."""


class AsyncConnection:
    """One daemon address in one event loop. users: clients that share it."""

    def __init__(self, address: str, drain_slack: float, loop: asyncio.AbstractEventLoop) -> None:
        self.address = address
        self.drain_slack = drain_slack
        self.loop = loop
        self.closed = False
        self.users = 0
        self._readers: list[int] = []
        self._writers: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._session = LinkSession(address, self._links_changed, drain_slack)
        self._heartbeat = loop.call_later(0.1, self._keep_alive)

    async def request(self, call: PendingCall) -> Message:
        """Send a call and wait for the first message of its answer. Raises MeshError."""
        self.submit(call)
        return await self.receive(call)

    async def receive(self, call: PendingCall) -> Message:
        """The call's next message. Raises the MeshError it ended with, RequestTimeoutError past its deadline."""
        inbox = call.inbox
        if not inbox:
            try:
                await self._wait(call)
            except BaseException:
                self.cancel(call)
                raise
        item = inbox.popleft()
        if isinstance(item, MeshError):
            raise item
        return item

    def submit(self, call: PendingCall) -> None:
        """Send a call whose answer `receive` will get."""
        self._do(self._session.submit, call)

    def cancel(self, call: PendingCall) -> None:
        """Forget a call, and have the daemon stop it."""
        if not call.finished:
            self._do(self._session.cancel, call)

    def credit(self, call: PendingCall, chunks: int) -> None:
        self._do(self._session.credit, call, chunks)

    def cancel_soon(self, call: PendingCall) -> None:
        """As `cancel`, from a finalizer, which may run in any thread."""
        if not self.closed and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.cancel, call)

    def close(self) -> None:
        """Close the sockets, even if the loop is closed already."""
        self.closed = True
        self._session.close()
        self._heartbeat.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def abandon(self) -> None:
        """After a fork: the sockets belong to the parent and are not touched."""
        self.closed = True
        _of_the_parent.append(self)

    def _do(self, job: Callable[..., Any], *arguments: Any) -> None:
        if self.closed:
            return
        job(*arguments)
        self._pump()

    async def _wait(self, call: PendingCall) -> None:
        limit = None if call.deadline is None else call.deadline + GRACE_SECONDS
        slept = False
        while not call.inbox:
            if self.closed:
                raise client_closed()
            future: asyncio.Future[bool] = self.loop.create_future()
            timer = None
            if limit is not None:
                left = limit - time.monotonic()
                timer = self.loop.call_later(max(0.0, left), _resolve, future, False)
            call.wake = lambda _, future=future: _resolve(future, True)  # type: ignore[misc]
            try:
                if not await future and not call.inbox:
                    late = time.monotonic() - (limit or 0.0)
                    if late <= OVERSLEPT_SECONDS or slept:
                        raise self._session.late(call)
                    slept = True  # we were stopped: read what came in time first
                    limit = time.monotonic() + min(late, LONGEST_GRACE_SECONDS)
            finally:
                if timer is not None:
                    timer.cancel()

    def _pump(self) -> None:
        self._session.pump()
        if self._writers or self._session.has_unsent:
            self._watch_writing()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (due := self._session.next_due()) is not None:
            self._timer = self.loop.call_later(max(0.0, due - time.monotonic()), self._pump)

    def _watch_writing(self) -> None:
        if self.loop.is_closed():
            return
        for fd in self._writers:
            self.loop.remove_writer(fd)
        self._writers = [link.fd for link in self._session.links() if link.unsent]
        for fd in self._writers:
            self.loop.add_writer(fd, self._pump)

    def _observe(self) -> None:
        self._session.observe()
        self._pump()

    def _keep_alive(self) -> None:
        self._do(self._session.ping)
        self._heartbeat = self.loop.call_later(self._session.heartbeat, self._keep_alive)

    def _links_changed(self) -> None:
        loop = self.loop
        if loop.is_closed():
            return
        for fd in self._readers:
            loop.remove_reader(fd)
        for fd in self._writers:
            loop.remove_writer(fd)
        self._readers, self._writers = [], []
        for link in self._session.links():
            loop.add_reader(link.fd, self._pump)
            self._readers.append(link.fd)
            if link.monitor_fd >= 0:
                loop.add_reader(link.monitor_fd, self._observe)
                self._readers.append(link.monitor_fd)


def _resolve(future: asyncio.Future[bool], answered: bool) -> None:
    if not future.done():
        future.set_result(answered)
