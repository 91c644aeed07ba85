"""One request and the way back to its app, for any transport.

Owns: the interface between transports (the socket today, an HTTP listener beside it) and the operations.
Must never: know a provider or a pool.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from typing import Any

from meshd.gateway.frontends.ipc.identity import Caller
from meshd.host import clock
from meshd.host.awake import Limit
from modelmesh.errors import MeshError, RequestTimeoutError

MOST_CREDIT = 1024
"""Chunks that an app may have outstanding, even if it grants more."""


class ClientGone(Exception):
    """The app went away; nothing more can be sent to it."""


def not_read() -> RequestTimeoutError:
    """What became of a request whose app took no more of its stream."""
    return RequestTimeoutError("The app did not read the stream before the deadline; read faster, or allow more time.")


class Exchange(ABC):
    """A request in flight. Exactly one of respond, error, or (chunk…, end) answers it.

    credit: chunks that the app still accepts. arrived_at: by the wall clock. arrived, deadline, latest: of
    `meshd.host.clock`. With a stream's first chunk its deadline becomes the latest.
    """

    __slots__ = (
        "_credit_given",
        "arrived",
        "arrived_at",
        "begun",
        "body",
        "caller",
        "credit",
        "cut_off",
        "deadline",
        "done",
        "handed_on",
        "headers",
        "label",
        "latest",
        "method",
        "path",
        "query",
        "request_id",
        "resend",
        "sent",
        "stream",
        "task",
    )

    def __init__(
        self,
        request_id: bytes,
        method: str,
        path: str,
        body: bytes,
        *,
        headers: dict[str, str],
        caller: Caller,
        timeout: float,
        first_chunk: float | None = None,
        stream: bool = False,
        credit: int = 0,
        label: str = "",
        resend: bool = False,
    ) -> None:
        self.request_id = request_id
        self.method = method
        self.path, _, self.query = path.partition("?")  # OpenAI clients may add a query to any path
        self.body = body
        self.headers = headers
        self.caller = caller
        self.stream = stream
        self.credit = credit
        self.label = label
        self.resend = resend
        self.arrived = clock.now()
        self.arrived_at = time.time()
        self.latest = self.arrived + timeout
        self.deadline = self.latest if first_chunk is None else min(self.arrived + first_chunk, self.latest)
        self.begun = False  # sent to a provider: from here on it may have cost something
        self.sent = 0  # chunks
        self.done = False
        self.cut_off: MeshError | None = None  # why it was cancelled, if not by the app
        self.handed_on = False  # the router's next life gets it: its client sends it again
        self.task: asyncio.Task[None] | None = None
        self._credit_given: asyncio.Event | None = None

    # -- towards the app ------------------------------------------------------------------------------

    @abstractmethod
    def respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        """A whole answer. Does nothing if the app has gone."""

    @abstractmethod
    def error(self, error: MeshError) -> None:
        """A failure, also after chunks. Does nothing if the app has gone."""

    @abstractmethod
    def end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None:
        """A stream's regular end."""

    @abstractmethod
    def _send_chunk(self, data: bytes) -> None:
        """Raises ClientGone."""

    async def chunk(self, data: bytes) -> None:
        """One event of a stream, sent when the app has room for it. Raises ClientGone, TimeoutError."""
        while self.credit <= 0:
            self._credit_given = self._credit_given or asyncio.Event()
            self._credit_given.clear()
            with Limit(max(self.deadline - clock.now(), 0.0)):
                await self._credit_given.wait()
        self.credit -= 1
        self._send_chunk(data)
        self.sent += 1
        self.deadline = self.latest

    # -- from the app ---------------------------------------------------------------------------------

    def add_credit(self, chunks: int) -> None:
        self.credit = min(self.credit + chunks, MOST_CREDIT)
        if self._credit_given is not None:
            self._credit_given.set()

    def cancel(self, reason: MeshError | None = None) -> None:
        """Stop what is in flight: the app no longer wants it, or for `reason`. Idempotent."""
        self.cut_off = self.cut_off or reason
        if self.task is not None and not self.done:
            self.task.cancel()
