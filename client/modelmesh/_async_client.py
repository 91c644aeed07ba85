"""`AsyncOpenAIClient`: the asyncio client.

Must never: differ from `_client.py` in anything but how it waits.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from modelmesh import _async_connection
from modelmesh._base_client import BaseClient, Operation, checked, parsed
from modelmesh._errors import MeshError
from modelmesh._options import NOT_GIVEN
from modelmesh._streaming import AsyncStream, decode_as
from modelmesh.resources.chat import AsyncChat
from modelmesh.resources.completions import AsyncCompletions
from modelmesh.resources.embeddings import AsyncEmbeddings
from modelmesh.resources.mesh import AsyncMesh
from modelmesh.resources.models import AsyncModels

if TYPE_CHECKING:
    from types import TracebackType


class Line:
    """A client's hold on a loop's connection; copies of a client share it."""

    def __init__(self) -> None:
        self._connection: _async_connection.AsyncConnection | None = None
        self._hung_up = False

    def connection(self, client: BaseClient) -> _async_connection.AsyncConnection:
        """The running loop's connection, made where needed. Raises DaemonUnavailableError."""
        connection = self._connection
        if connection is not None and not connection.closed and connection.loop is asyncio.get_running_loop():
            return connection
        if self._hung_up:
            raise MeshError("the client was closed", code="client_closed")
        if connection is not None and not connection.closed:
            connection.release_soon()
        self._connection = _async_connection.acquire(client._address())
        return self._connection

    def hang_up(self) -> None:
        connection, self._connection = self._connection, None
        self._hung_up = True
        if connection is not None and not connection.closed:
            connection.release()

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None and not connection.closed:
            connection.release_soon()


class AsyncOpenAIClient(BaseClient):
    """The OpenAI API over the mesh's socket, for asyncio and uvloop. May be used by several loops in turn.

    socket: path or `ipc://` address of the daemon; found by itself if None. timeout: seconds a call may take,
    retries and a restart of the daemon included. app: a label for the daemon's log.

    Every method raises MeshError or a class below it: DaemonUnavailableError (nobody there, `.paths` says
    where), RequestTimeoutError, and what the daemon answers.
    """

    chat: AsyncChat
    completions: AsyncCompletions
    embeddings: AsyncEmbeddings
    models: AsyncModels
    mesh: AsyncMesh

    def __init__(
        self,
        socket: str | os.PathLike[str] | None = None,
        *,
        timeout: float | None = 600.0,
        max_retries: int = 2,
        default_headers: Mapping[str, str] | None = None,
        app: str | None = None,
        _models: Sequence[str] = (),
    ) -> None:
        super().__init__(
            socket,
            timeout=timeout,
            max_retries=max_retries,
            default_headers=default_headers,
            app=app,
            models=_models,
        )
        self._line = Line()
        self._make_resources()

    def with_options(
        self,
        *,
        timeout: float | Any | None = NOT_GIVEN,
        max_retries: int | Any = NOT_GIVEN,
        default_headers: Mapping[str, str] | None = None,
    ) -> Self:
        """The same client with other settings, over the same connection."""
        return self._copied(timeout, max_retries, default_headers)

    copy = with_options

    async def close(self) -> None:
        """Let go of the connection; it is closed with the last client of the loop. Idempotent."""
        self._line.hang_up()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _make_resources(self) -> None:
        self.chat = AsyncChat(self)
        self.completions = AsyncCompletions(self)
        self.embeddings = AsyncEmbeddings(self)
        self.models = AsyncModels(self)
        self.mesh = AsyncMesh(self)

    async def _send(self, operation: Operation) -> Any:
        """The answer's object, or an AsyncStream for a streamed call."""
        while True:
            connection = self._line.connection(self)
            call = self._call(operation)
            try:
                message = checked(await connection.request(call), call)
            except MeshError as error:
                delay = self._back_off(operation, error)
                await asyncio.sleep(delay)
                continue
            if operation.stream:
                return AsyncStream(connection, call, decode_as(operation.kind), message)
            return parsed(message, call, operation.kind)

    async def _listen(self, operation: Operation) -> Any:
        """An AsyncStream that does not wait for its first event."""
        connection = self._line.connection(self)
        call = self._call(operation)
        connection.submit(call)
        return AsyncStream(connection, call, decode_as(operation.kind))
