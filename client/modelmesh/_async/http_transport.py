"""The transport of an httpx or httpx2 client that sends over the mesh's socket."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import Any

from modelmesh import discovery
from modelmesh._async.stream import AsyncStream
from modelmesh._connection.async_registry import AsyncConnectionHandle
from modelmesh._connection.departures import DRAIN_SLACK_SECONDS
from modelmesh._shared.base_sender import checked
from modelmesh._shared.framings import Framing, framing_at
from modelmesh._shared.http_messages import answered, call_for, file_type, raised, streaming, unchanged
from modelmesh.errors import MeshError
from modelmesh.protocol import RESPONSE


def async_transport(http: Any, socket: str | None, app: str | None) -> Any:
    """A transport for the clients of `http`, the module of an HTTP library. socket, app: as for OpenAIClient."""
    handle = AsyncConnectionHandle(functools.partial(discovery.find, socket), DRAIN_SLACK_SECONDS)
    return _transport_class(http)(handle, app)


@functools.cache
def _transport_class(http: Any) -> Any:
    class AsyncMeshBody(http.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: AsyncStream[bytes], framing: Framing | None) -> None:
            """framing: None for a file."""
            self._stream = stream
            self._framing = framing

        async def __aiter__(self) -> AsyncIterator[bytes]:
            first = last = b""
            try:
                async for data in self._stream:
                    first, last = first or data, data
                    yield data if self._framing is None else self._framing.event(data)
            except MeshError as error:
                if self._framing is None:  # a file has no place for an error
                    raise http.RemoteProtocolError(str(error)) from error
                yield self._framing.error_event(error, first, last)
            else:
                yield self._framing.last if self._framing is not None else b""

        async def aclose(self) -> None:
            await self._stream.close()

    class AsyncMeshTransport(http.AsyncBaseTransport):  # type: ignore[misc]
        def __init__(self, handle: AsyncConnectionHandle, app: str | None) -> None:
            self._handle = handle
            self._app = app

        async def handle_async_request(self, request: Any) -> Any:
            call = call_for(request, await request.aread(), self._app)
            try:
                connection = self._handle.connection()
                message = checked(await connection.request(call), call)
            except MeshError as error:
                return raised(http, error, request)
            if message.kind == RESPONSE:
                return answered(http, message, call, request)
            stream, kind = AsyncStream(connection, call, unchanged, message), file_type(message)
            body = AsyncMeshBody(stream, None if kind else framing_at(call.head.path))
            return streaming(http, body, call, request, kind)

        async def aclose(self) -> None:
            self._handle.close()

    return AsyncMeshTransport
