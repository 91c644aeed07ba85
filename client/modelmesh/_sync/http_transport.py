# Generated from modelmesh/_async/http_transport.py by client/sync_twins.py; edit that file.
"""The transport of an httpx or httpx2 client that sends over the mesh's socket."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from modelmesh import discovery
from modelmesh._connection.departures import DRAIN_SLACK_SECONDS
from modelmesh._connection.registry import ConnectionHandle
from modelmesh._shared.base_sender import checked
from modelmesh._shared.framings import Framing, framing_at
from modelmesh._shared.http_messages import answered, call_for, file_type, raised, streaming, unchanged
from modelmesh._sync.stream import Stream
from modelmesh.errors import MeshError
from modelmesh.protocol import RESPONSE


def transport(http: Any, socket: str | None, app: str | None) -> Any:
    """A transport for the clients of `http`, the module of an HTTP library. socket, app: as for OpenAIClient."""
    handle = ConnectionHandle(functools.partial(discovery.find, socket), DRAIN_SLACK_SECONDS)
    return _transport_class(http)(handle, app)


@functools.cache
def _transport_class(http: Any) -> Any:
    class MeshBody(http.SyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Stream[bytes], framing: Framing | None) -> None:
            """framing: None for a file."""
            self._stream = stream
            self._framing = framing

        def __iter__(self) -> Iterator[bytes]:
            first = last = b""
            try:
                for data in self._stream:
                    first, last = first or data, data
                    yield data if self._framing is None else self._framing.event(data)
            except MeshError as error:
                if self._framing is None:  # a file has no place for an error
                    raise http.RemoteProtocolError(str(error)) from error
                yield self._framing.error_event(error, first, last)
            else:
                yield self._framing.last if self._framing is not None else b""

        def close(self) -> None:
            self._stream.close()

    class MeshTransport(http.BaseTransport):  # type: ignore[misc]
        def __init__(self, handle: ConnectionHandle, app: str | None) -> None:
            self._handle = handle
            self._app = app

        def handle_request(self, request: Any) -> Any:
            call = call_for(request, request.read(), self._app)
            try:
                connection = self._handle.connection()
                message = checked(connection.request(call), call)
            except MeshError as error:
                return raised(http, error, request)
            if message.kind == RESPONSE:
                return answered(http, message, call, request)
            stream, kind = Stream(connection, call, unchanged, message), file_type(message)
            body = MeshBody(stream, None if kind else framing_at(call.head.path))
            return streaming(http, body, call, request, kind)

        def close(self) -> None:
            self._handle.close()

    return MeshTransport
