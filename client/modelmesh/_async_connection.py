"""The asyncio side: one connection per event loop and socket address, without threads.

Owns: the loop's readers and timers for one exchange, and the registry of such connections.
Must never: be touched from outside its loop's thread.

The socket's descriptor is edge-triggered, so the exchange is pumped on every wake-up and after every send.
It works on asyncio's loop and on uvloop's.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from modelmesh._call import Call
from modelmesh._connection import (
    GRACE_SECONDS,
    LONGEST_GRACE_SECONDS,
    OVERSLEPT_SECONDS,
    context_for,
    greeting,
)
from modelmesh._exchange import Exchange
from modelmesh.errors import MeshError
from modelmesh.protocol import Message


class AsyncConnection:
    """One daemon address in one event loop. `users` counts its clients."""

    def __init__(self, address: str, loop: asyncio.AbstractEventLoop) -> None:
        self.address = address
        self.loop = loop
        self.closed = False
        self.users = 0
        self._readers: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._exchange = Exchange(address, context_for(address), greeting(), self._links_changed)
        self._heartbeat = loop.call_later(0.1, self._keep_alive)

    async def request(self, call: Call) -> Message:
        """Send a call and wait for the first message of its answer. Raises MeshError."""
        self.submit(call)
        return await self.receive(call)

    async def receive(self, call: Call) -> Message:
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

    def submit(self, call: Call) -> None:
        """Send a call whose answer `receive` will get."""
        self._do(self._exchange.submit, call)

    def cancel(self, call: Call) -> None:
        """Forget a call, and have the daemon stop it."""
        if not call.finished:
            self._do(self._exchange.cancel, call)

    def credit(self, call: Call, chunks: int) -> None:
        self._do(self._exchange.credit, call, chunks)

    def cancel_soon(self, call: Call) -> None:
        """As `cancel`, from a finalizer, which may run in any thread."""
        if not self.closed and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.cancel, call)

    def release(self) -> None:
        """One client fewer."""
        self.users -= 1
        if self.users <= 0 and not self.closed:
            self.close()

    def release_soon(self) -> None:
        """As `release`, from a finalizer, or from another loop."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.release)

    def close(self) -> None:
        """Close the sockets, even if the loop is closed already."""
        self.closed = True
        with _registry_lock:
            if _connections.get((id(self.loop), self.address)) is self:
                del _connections[id(self.loop), self.address]
        self._exchange.close()
        self._heartbeat.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def abandon(self) -> None:
        """After a fork: the sockets belong to the parent and are not touched."""
        self.closed = True
        _parents.append(self)

    def _do(self, job: Callable[..., Any], *arguments: Any) -> None:
        if self.closed:
            return
        job(*arguments)
        self._pump()

    async def _wait(self, call: Call) -> None:
        limit = None if call.deadline is None else call.deadline + GRACE_SECONDS
        slept = False
        while not call.inbox:
            if self.closed:
                raise MeshError("the client was closed", code="client_closed")
            future: asyncio.Future[bool] = self.loop.create_future()
            timer = None
            if limit is not None:
                left = limit - time.monotonic()
                timer = self.loop.call_later(max(0.0, left), _resolve, future, False)
            call.wake = lambda future=future: _resolve(future, True)  # type: ignore[misc]
            try:
                if not await future and not call.inbox:
                    late = time.monotonic() - (limit or 0.0)
                    if late <= OVERSLEPT_SECONDS or slept:
                        raise self._late(call)
                    slept = True  # we were stopped: read what came in time first
                    limit = time.monotonic() + min(late, LONGEST_GRACE_SECONDS)
            finally:
                if timer is not None:
                    timer.cancel()

    def _pump(self) -> None:
        self._exchange.pump()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (due := self._exchange.next_due()) is not None:
            self._timer = self.loop.call_later(max(0.0, due - time.monotonic()), self._pump)

    def _observe(self) -> None:
        self._exchange.observe()
        self._pump()

    def _keep_alive(self) -> None:
        self._do(self._exchange.ping)
        self._heartbeat = self.loop.call_later(self._exchange.heartbeat, self._keep_alive)

    def _links_changed(self) -> None:
        loop = self.loop
        if loop.is_closed():
            return
        for fd in self._readers:
            loop.remove_reader(fd)
        self._readers = []
        for link in self._exchange.links():
            loop.add_reader(link.fd, self._pump)
            self._readers.append(link.fd)
            if link.monitor_fd >= 0:
                loop.add_reader(link.monitor_fd, self._observe)
                self._readers.append(link.monitor_fd)

    def _late(self, call: Call) -> MeshError:
        return self._exchange.late(call)


def _resolve(future: asyncio.Future[bool], answered: bool) -> None:
    if not future.done():
        future.set_result(answered)


_registry_lock = threading.Lock()
_connections: dict[tuple[int, str], AsyncConnection] = {}
_parents: list[AsyncConnection] = []


def acquire(address: str) -> AsyncConnection:
    """The running loop's connection to an address, for one more client."""
    loop = asyncio.get_running_loop()
    key = (id(loop), address)
    with _registry_lock:  # loops of other threads have connections of their own
        stale = [connection for connection in _connections.values() if connection.loop.is_closed()]
        for connection in stale:  # each is closed by one thread
            del _connections[id(connection.loop), connection.address]
    for connection in stale:
        connection.close()
    found = _connections.get(key)
    if found is None:
        found = AsyncConnection(address, loop)
        with _registry_lock:
            _connections[key] = found
    found.users += 1
    return found


def _forget_parent() -> None:
    global _registry_lock
    _registry_lock = threading.Lock()
    for connection in _connections.values():
        connection.abandon()
    _connections.clear()


os.register_at_fork(after_in_child=_forget_parent)
