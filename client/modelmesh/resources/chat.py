"""`client.chat`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from modelmesh._options import NOT_GIVEN
from modelmesh._streaming import AsyncStream, Stream
from modelmesh._types import ChatCompletion, ChatCompletionChunk

if TYPE_CHECKING:
    from modelmesh._async_client import AsyncOpenAIClient
    from modelmesh._client import OpenAIClient

PATH: Final = "/v1/chat/completions"
CAPABILITY: Final = "chat-completion"


class ChatCompletions:
    def __init__(self, client: OpenAIClient) -> None:
        self._client = client

    @overload
    def create(
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
    def create(
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
    ) -> Stream[ChatCompletionChunk]: ...

    @overload
    def create(
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
    ) -> ChatCompletion | Stream[ChatCompletionChunk]: ...

    def create(
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
    ) -> ChatCompletion | Stream[ChatCompletionChunk]:
        """Complete a chat. Unknown parameters are passed through.

        model: a pool, a capability or a model; the client's default if left out. timeout: seconds, for the
        whole call. Returns a ChatCompletion, or a stream of ChatCompletionChunk. With `stream=True` errors that
        come before the first chunk are raised here. cache: False: not an answer that was given before, and keep none;
        True: also where sampling makes it one of many; left out: where the parameters say that it is the same.
        """
        client = self._client
        return client._send(  # type: ignore[no-any-return]
            client._operation(
                "POST",
                PATH,
                ChatCompletionChunk if stream else ChatCompletion,
                {
                    "model": model or client._default_model(CAPABILITY),
                    "messages": messages,
                    "stream": stream,
                    **params,
                },
                stream=bool(stream),
                timeout=timeout,
                extra_headers=extra_headers,
                extra_query=extra_query,
                extra_body=extra_body,
            )
        )


class AsyncChatCompletions:
    def __init__(self, client: AsyncOpenAIClient) -> None:
        self._client = client

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

        model: a pool, a capability or a model; the client's default if left out. timeout: seconds, for the
        whole call. Returns a ChatCompletion, or a stream of ChatCompletionChunk. With `stream=True` errors that
        come before the first chunk are raised here. cache: False: not an answer that was given before, and keep none;
        True: also where sampling makes it one of many; left out: where the parameters say that it is the same.
        """
        client = self._client
        return await client._send(  # type: ignore[no-any-return]
            client._operation(
                "POST",
                PATH,
                ChatCompletionChunk if stream else ChatCompletion,
                {
                    "model": model or client._default_model(CAPABILITY),
                    "messages": messages,
                    "stream": stream,
                    **params,
                },
                stream=bool(stream),
                timeout=timeout,
                extra_headers=extra_headers,
                extra_query=extra_query,
                extra_body=extra_body,
            )
        )


class Chat:
    def __init__(self, client: OpenAIClient) -> None:
        self.completions = ChatCompletions(client)


class AsyncChat:
    def __init__(self, client: AsyncOpenAIClient) -> None:
        self.completions = AsyncChatCompletions(client)
