"""`AsyncOpenAIClient`: the asyncio client.

Must never: differ from `_client.py` except in how it waits.
"""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from modelmesh import _async_connection
from modelmesh._base_client import BaseClient, Operation, checked, parsed
from modelmesh._call import Call
from modelmesh._sdk_errors import as_sdk_error
from modelmesh._streaming import AsyncStream, decode_as
from modelmesh.errors import MeshError
from modelmesh.protocol import Message
from modelmesh.resources.chat import AsyncBeta, AsyncChat
from modelmesh.resources.completions import AsyncCompletions
from modelmesh.resources.embeddings import AsyncEmbeddings
from modelmesh.resources.mesh import AsyncMesh
from modelmesh.resources.models import AsyncModels

if TYPE_CHECKING:
    from types import TracebackType


class Line:
    """A client's connections, one per event loop that uses it; copies of the client share them."""

    def __init__(self) -> None:
        self._connections: dict[int, _async_connection.AsyncConnection] = {}
        self._lock = threading.RLock()
        self.hung_up = False

    def connection(self, client: BaseClient) -> _async_connection.AsyncConnection:
        """The running loop's connection, opened if needed. Raises DaemonUnavailableError."""
        loop = asyncio.get_running_loop()
        connection = self._connections.get(id(loop))
        if connection is not None and not connection.closed and connection.loop is loop:
            return connection
        address = client._address()
        with self._lock:
            if self.hung_up:
                raise MeshError("the client was closed", code="client_closed")
            for key, other in list(self._connections.items()):
                if other.closed or other.loop.is_closed():
                    del self._connections[key]
            connection = self._connections[id(loop)] = _async_connection.acquire(address)
        return connection

    def hang_up(self) -> None:
        with self._lock:
            self.hung_up = True
            connections, self._connections = list(self._connections.values()), {}
        here = asyncio.get_running_loop()
        for connection in connections:
            if not connection.closed:
                connection.release() if connection.loop is here else connection.release_soon()

    def __del__(self) -> None:
        for connection in getattr(self, "_connections", {}).values():
            if not connection.closed:
                connection.release_soon()


class AsyncOpenAIClient(BaseClient):
    """The OpenAI API over the mesh's socket, for asyncio and uvloop. May be used from several loops, in different
    threads or one after the other.

    socket: path or `ipc://` address of the daemon; found automatically if None. timeout: seconds a call may take,
    including retries and a restart of the daemon, and then each chunk of a stream. app: a label for the daemon's log.
    Other arguments of the OpenAI SDK's client (`api_key`, `base_url`, …) are accepted, with a warning that they have no
    effect.

    Every method raises MeshError or a class below it: DaemonUnavailableError (no daemon there, `.paths` says
    where), RequestTimeoutError, and what the daemon answers.
    """

    _asynchronous = True
    chat: AsyncChat
    completions: AsyncCompletions
    embeddings: AsyncEmbeddings
    models: AsyncModels
    mesh: AsyncMesh
    _line: Line

    async def close(self) -> None:
        """Release the connection; it is closed with the loop's last client. Idempotent."""
        self._line.hang_up()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def beta(self) -> AsyncBeta:
        """The OpenAI SDK's older place for `chat.completions.parse` and `stream`."""
        return AsyncBeta(self)

    def _make_line(self) -> Line:
        return Line()

    def _make_resources(self) -> None:
        self.chat = AsyncChat(self)
        self.completions = AsyncCompletions(self)
        self.embeddings = AsyncEmbeddings(self)
        self.models = AsyncModels(self)
        self.mesh = AsyncMesh(self)

    async def _send(self, operation: Operation) -> Any:
        """The answer's object, or an AsyncStream for a streamed call."""
        try:
            return await self._sent(operation)
        except MeshError as error:
            as_sdk_error(error)
            raise

    async def _sent(self, operation: Operation) -> Any:
        while True:
            connection = self._line.connection(self)
            call = self._call(operation)
            try:
                message = checked(await connection.request(call), call)
            except MeshError as error:
                delay = self._back_off(operation, error)
                await asyncio.sleep(delay)
                continue
            if self._answers is not None:
                parse = partial(self._read, connection, call, operation, message)
                return self._answers(message, call, operation, parse)
            return self._read(connection, call, operation, message)

    @staticmethod
    def _read(connection: Any, call: Call, operation: Operation, message: Message) -> Any:
        if operation.stream:
            return AsyncStream(connection, call, decode_as(operation.kind), message)
        return parsed(message, call, operation.kind)

    async def _listen(self, operation: Operation) -> Any:
        """An AsyncStream that does not wait for its first event."""
        connection = self._line.connection(self)
        call = self._call(operation)
        connection.submit(call)
        return AsyncStream(connection, call, decode_as(operation.kind))
