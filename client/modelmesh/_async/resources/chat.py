"""`client.chat`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from modelmesh._async.resources.resource import AsyncResource
from modelmesh._async.stream import AsyncStream
from modelmesh._openai_sdk.arguments import NOT_GIVEN
from modelmesh._shared.chat_parsing import prepared, read_answer, sent
from modelmesh.types import ChatCompletion, ChatCompletionChunk

if TYPE_CHECKING:
    from modelmesh._async.completion_stream import AsyncChatCompletionStreamManager
    from modelmesh._async.sender import AsyncSender

PATH: Final = "/v1/chat/completions"
CAPABILITY: Final = "chat-completion"


class AsyncChatCompletions(AsyncResource):
    _called = "client.chat.completions"

    @overload
    async def create(
        self,
        *,
        messages: Iterable[Any],
        model: str | Any = ...,
        stream: Literal[False] | None = ...,
        timeout: Any = ...,
        extra_headers: Mapping[str, str] | None = ...,
        extra_query: Mapping[str, Any] | None = ...,
        extra_body: Mapping[str, Any] | None = ...,
        **params: Any,
    ) -> ChatCompletion: ...

    @overload
    async def create(
        self,
        *,
        messages: Iterable[Any],
        model: str | Any = ...,
        stream: Literal[True],
        timeout: Any = ...,
        extra_headers: Mapping[str, str] | None = ...,
        extra_query: Mapping[str, Any] | None = ...,
        extra_body: Mapping[str, Any] | None = ...,
        **params: Any,
    ) -> AsyncStream[ChatCompletionChunk]: ...

    @overload
    async def create(
        self,
        *,
        messages: Iterable[Any],
        model: str | Any = ...,
        stream: bool | None,
        timeout: Any = ...,
        extra_headers: Mapping[str, str] | None = ...,
        extra_query: Mapping[str, Any] | None = ...,
        extra_body: Mapping[str, Any] | None = ...,
        **params: Any,
    ) -> ChatCompletion | AsyncStream[ChatCompletionChunk]: ...

    async def create(
        self,
        *,
        messages: Iterable[Any],
        model: str | Any = NOT_GIVEN,
        stream: bool | Any | None = NOT_GIVEN,
        timeout: Any = NOT_GIVEN,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> ChatCompletion | AsyncStream[ChatCompletionChunk]:
        """Complete a chat. Unknown parameters are passed through.

        model: a pool, a capability or a model; the client's default if left out. timeout: seconds, for the whole call,
        or for each chunk of a stream. Returns a ChatCompletion, or a stream of ChatCompletionChunk. With `stream=True`
        errors before the first chunk are raised here. cache: False: neither use nor keep a cached answer; True: use one
        even if sampling makes answers differ; left out: use one if the parameters make the answer repeatable.
        """
        return await self._sender.send(  # type: ignore[no-any-return]
            "POST",
            PATH,
            ChatCompletionChunk if stream else ChatCompletion,
            {
                "model": model or self._sender.default_model(CAPABILITY),
                "messages": messages,
                "stream": stream,
                **sent(params),
            },
            stream=bool(stream),
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
        )

    async def parse(self, *, response_format: Any = NOT_GIVEN, tools: Any = NOT_GIVEN, **params: Any) -> ChatCompletion:
        """As `create`, with the answer parsed into the class given as `response_format` (`message.parsed`), and calls
        of strict tools into their arguments (`function.parsed_arguments`).

        Raises LengthFinishReasonError or ContentFilterFinishReasonError for an incomplete answer, and pydantic's
        ValidationError.
        """
        listed, asked = prepared("parse", response_format, tools, params)
        return read_answer(await self.create(**asked), response_format, listed)  # type: ignore[no-any-return]

    def stream(
        self, *, response_format: Any = NOT_GIVEN, tools: Any = NOT_GIVEN, **params: Any
    ) -> AsyncChatCompletionStreamManager:
        """A context manager over the events of a streamed answer, as in the OpenAI SDK; `get_final_completion()`
        returns the completion, parsed as by `parse`."""
        from modelmesh._async.completion_stream import AsyncChatCompletionStreamManager

        listed, asked = prepared("stream", response_format, tools, params)
        return AsyncChatCompletionStreamManager(lambda: self.create(stream=True, **asked), response_format, listed)


class AsyncChat(AsyncResource):
    _called = "client.chat"

    def __init__(self, sender: AsyncSender) -> None:
        super().__init__(sender)
        self.completions = AsyncChatCompletions(sender)

    def _parts(self) -> list[str]:
        return ["completions"]


class AsyncBeta(AsyncResource):
    """The OpenAI SDK's older place for `parse` and `stream`."""

    _called = "client.beta"

    def __init__(self, sender: AsyncSender) -> None:
        super().__init__(sender)
        self.chat = AsyncChat(sender)

    def _parts(self) -> list[str]:
        return ["chat"]
