"""A stream for apps: an iterator that grants credit while it is read, and cancels the request when left."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Self

from modelmesh._shared.stream_reading import Reading, T
from modelmesh.errors import MeshError

if TYPE_CHECKING:
    from types import TracebackType

    from modelmesh._connection.async_connection import AsyncConnection
    from modelmesh._connection.pending_call import PendingCall
    from modelmesh.protocol import Message


class AsyncStream(Reading[T], AsyncIterator[T]):
    """The items of a streamed answer. Leaving it early (`close`, the end of `with`, garbage collection) cancels the
    request.

    Reading raises the MeshError that ended it: StreamInterrupted, with `.text`, if it broke midway.
    """

    def __init__(
        self, connection: AsyncConnection, call: PendingCall, decode: Callable[[bytes], T], first: Message | None = None
    ) -> None:
        super().__init__(call, decode, first)
        self._connection = connection

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._ended:
            raise StopAsyncIteration
        message, self._first = self._first, None
        try:
            if message is None:
                if credit := self._due_credit():
                    self._connection.credit(self._call, credit)
                self._wait_again()
                message = await self._connection.receive(self._call)
            item = self._item(message)
        except BaseException as error:
            await self.close()
            if isinstance(error, MeshError):
                self._told(error)
            raise
        if item is None:
            raise StopAsyncIteration
        return item

    async def close(self) -> None:
        """Stop the request, if it has not ended. Idempotent."""
        self.stop()

    aclose = close  # asyncio only

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        call = getattr(self, "_call", None)
        if call is not None and not call.finished and not self._connection.closed:
            self._connection.cancel_soon(call)
