"""Sends a client's calls, retries them after a refusal, and turns the answers into objects or streams.

Must never: know what a call means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from modelmesh._async.stream import AsyncStream
from modelmesh._openai_sdk.errors import as_sdk_error
from modelmesh._shared.base_sender import BaseSender, checked, parsed
from modelmesh._shared.stream_reading import decode_as
from modelmesh.errors import MeshError
from modelmesh.types import Object

if TYPE_CHECKING:
    from modelmesh._connection.async_connection import AsyncConnection
    from modelmesh._connection.pending_call import PendingCall
    from modelmesh.protocol import Message


class AsyncSender(BaseSender):
    async def send(
        self,
        method: str,
        path: str,
        kind: type[Object] = Object,
        params: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """The answer as an object of that kind, or a stream of them for a streamed call. options: as for `call`."""
        return await self.answer(self.call(method, path, params, **options), kind)

    async def ask(self, path: str, kind: type[Object], capability: str, params: dict[str, Any], **options: Any) -> Any:
        """Like `send`, for the parameters that a method was called with, including the options. capability: that of
        the model, if none is named."""
        return await self.answer(self.model_call(path, capability, params, **options), kind)

    async def file(self, call: PendingCall) -> Any:
        """The complete file that answers the call; with a streaming response, it has not been read yet."""
        from modelmesh._shared.raw_response import RawResponse

        raw = await self.answering(self._answers or RawResponse).answer(call, None)
        if self._answers not in (None, RawResponse):
            return raw
        stream = raw.parse()
        try:
            raw.filled(b"".join([piece async for piece in stream]))
        finally:
            await stream.close()
        return raw.parse() if self._answers is None else raw

    async def answer(self, call: PendingCall, kind: type[Object] | None) -> Any:
        """Like `send`, for a call that is already built. kind: None for the pieces of a file."""
        try:
            return await self._answered(call, kind)
        except MeshError as error:
            as_sdk_error(error)
            raise

    async def _answered(self, call: PendingCall, kind: type[Object] | None) -> Any:
        while True:
            connection: AsyncConnection = self.handle.connection()
            try:
                message = checked(await connection.request(call), call)
            except MeshError as error:
                delay = self.back_off(call, error)
                await asyncio.sleep(delay)
                call = call.again()
                continue
            if self._answers is None:
                return _read(connection, call, kind, message)
            return self._answers(message, call, partial(_read, connection, call, kind, message))

    async def listen(self, method: str, path: str, kind: type[Object] = Object) -> AsyncStream[Any]:
        """A stream that does not end by itself. Does not wait for its first item."""
        connection: AsyncConnection = self.handle.connection()
        call = self.call(method, path, stream=True, timeout=None)
        connection.submit(call)
        return AsyncStream(connection, call, decode_as(kind))


def _read(connection: AsyncConnection, call: PendingCall, kind: type[Object] | None, message: Message) -> Any:
    if kind is None:
        return AsyncStream(connection, call, bytes, message)
    if call.head.stream:
        return AsyncStream(connection, call, decode_as(kind), message)
    return parsed(message, call, kind)
