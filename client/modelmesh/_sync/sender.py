# Generated from modelmesh/_async/sender.py by client/sync_twins.py; edit that file.
"""Sends a client's calls, retries them after a refusal, and turns the answers into objects or streams.

Must never: know what a call means.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from modelmesh._openai_sdk.errors import as_sdk_error
from modelmesh._shared.base_sender import BaseSender, checked, parsed
from modelmesh._shared.stream_reading import decode_as
from modelmesh._sync.stream import Stream
from modelmesh.errors import MeshError
from modelmesh.types import Object

if TYPE_CHECKING:
    from modelmesh._connection.connection import Connection
    from modelmesh._connection.pending_call import PendingCall
    from modelmesh.protocol import Message


class Sender(BaseSender):
    def send(
        self,
        method: str,
        path: str,
        kind: type[Object] = Object,
        params: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """The answer as an object of that kind, or a stream of them for a streamed call. options: as for `call`."""
        return self.answer(self.call(method, path, params, **options), kind)

    def ask(self, path: str, kind: type[Object], capability: str, params: dict[str, Any], **options: Any) -> Any:
        """Like `send`, for the parameters that a method was called with, including the options. capability: that of
        the model, if none is named."""
        return self.answer(self.model_call(path, capability, params, **options), kind)

    def file(self, call: PendingCall) -> Any:
        """The complete file that answers the call; with a streaming response, it has not been read yet."""
        from modelmesh._shared.raw_response import RawResponse

        raw = self.answering(self._answers or RawResponse).answer(call, None)
        if self._answers not in (None, RawResponse):
            return raw
        stream = raw.parse()
        try:
            raw.filled(b"".join(list(stream)))
        finally:
            stream.close()
        return raw.parse() if self._answers is None else raw

    def answer(self, call: PendingCall, kind: type[Object] | None) -> Any:
        """Like `send`, for a call that is already built. kind: None for the pieces of a file."""
        try:
            return self._answered(call, kind)
        except MeshError as error:
            as_sdk_error(error)
            raise

    def _answered(self, call: PendingCall, kind: type[Object] | None) -> Any:
        while True:
            connection: Connection = self.handle.connection()
            try:
                message = checked(connection.request(call), call)
            except MeshError as error:
                delay = self.back_off(call, error)
                time.sleep(delay)
                call = call.again()
                continue
            if self._answers is None:
                return _read(connection, call, kind, message)
            return self._answers(message, call, partial(_read, connection, call, kind, message))

    def listen(self, method: str, path: str, kind: type[Object] = Object) -> Stream[Any]:
        """A stream that does not end by itself. Does not wait for its first item."""
        connection: Connection = self.handle.connection()
        call = self.call(method, path, stream=True, timeout=None)
        connection.submit(call)
        return Stream(connection, call, decode_as(kind))


def _read(connection: Connection, call: PendingCall, kind: type[Object] | None, message: Message) -> Any:
    if kind is None:
        return Stream(connection, call, bytes, message)
    if call.head.stream:
        return Stream(connection, call, decode_as(kind), message)
    return parsed(message, call, kind)
