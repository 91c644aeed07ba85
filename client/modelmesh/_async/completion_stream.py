"""`chat.completions.stream()`: a streamed chat as events, and the resulting completion."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from modelmesh._openai_sdk.errors import as_sdk_error
from modelmesh._shared.completion_events import CompletionReading, Event
from modelmesh.errors import MeshError
from modelmesh.types import ChatCompletion, ChatCompletionChunk

if TYPE_CHECKING:
    from modelmesh._async.stream import AsyncStream


class AsyncChatCompletionStream(CompletionReading):
    """The events of a streamed chat, in order."""

    def __init__(self, stream: AsyncStream[ChatCompletionChunk], response_format: Any, tools: Sequence[Any]) -> None:
        super().__init__(response_format, tools)
        self._stream = stream
        self._events = self._read()

    async def _read(self) -> AsyncIterator[Event]:
        try:
            async for chunk in self._stream:
                for event in self._state.handle(chunk):
                    yield event
        except MeshError as error:
            as_sdk_error(error)
            raise

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._events

    async def __anext__(self) -> Event:
        return await anext(self._events)

    async def until_done(self) -> Self:
        """Read to the end."""
        async for _ in self:
            pass
        return self

    async def get_final_completion(self) -> ChatCompletion:
        """Read to the end. Returns the completion, with `.parsed` if a class was given."""
        await self.until_done()
        return self._final(self._stream.mesh, self._stream._request_id)

    async def close(self) -> None:
        await self._stream.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


class AsyncChatCompletionStreamManager:
    """Sends the request when entered, and closes the stream at the end of `with`."""

    def __init__(self, ask: Callable[[], Any], response_format: Any, tools: Sequence[Any]) -> None:
        self._ask = ask
        self._wanted = (response_format, tools)
        self._stream: AsyncChatCompletionStream | None = None

    async def __aenter__(self) -> AsyncChatCompletionStream:
        self._stream = AsyncChatCompletionStream(await self._ask(), *self._wanted)
        return self._stream

    async def __aexit__(self, *error: object) -> None:
        if self._stream is not None:
            await self._stream.close()
