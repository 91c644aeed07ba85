# Generated from modelmesh/_async/completion_stream.py by client/sync_twins.py; edit that file.
"""`chat.completions.stream()`: a streamed chat as events, and the resulting completion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

from modelmesh._openai_sdk.errors import as_sdk_error
from modelmesh._shared.completion_events import CompletionReading, Event
from modelmesh.errors import MeshError
from modelmesh.types import ChatCompletion, ChatCompletionChunk

if TYPE_CHECKING:
    from modelmesh._sync.stream import Stream


class ChatCompletionStream(CompletionReading):
    """The events of a streamed chat, in order."""

    def __init__(self, stream: Stream[ChatCompletionChunk], response_format: Any, tools: Sequence[Any]) -> None:
        super().__init__(response_format, tools)
        self._stream = stream
        self._events = self._read()

    def _read(self) -> Iterator[Event]:
        try:
            for chunk in self._stream:
                yield from self._state.handle(chunk)
        except MeshError as error:
            as_sdk_error(error)
            raise

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def __next__(self) -> Event:
        return next(self._events)

    def until_done(self) -> Self:
        """Read to the end."""
        for _ in self:
            pass
        return self

    def get_final_completion(self) -> ChatCompletion:
        """Read to the end. Returns the completion, with `.parsed` if a class was given."""
        self.until_done()
        return self._final(self._stream.mesh, self._stream._request_id)

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class ChatCompletionStreamManager:
    """Sends the request when entered, and closes the stream at the end of `with`."""

    def __init__(self, ask: Callable[[], Any], response_format: Any, tools: Sequence[Any]) -> None:
        self._ask = ask
        self._wanted = (response_format, tools)
        self._stream: ChatCompletionStream | None = None

    def __enter__(self) -> ChatCompletionStream:
        self._stream = ChatCompletionStream(self._ask(), *self._wanted)
        return self._stream

    def __exit__(self, *error: object) -> None:
        if self._stream is not None:
            self._stream.close()
