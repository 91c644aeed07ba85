"""`client.chat`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, get_origin, overload

from modelmesh._options import NOT_GIVEN, given
from modelmesh._raw import Answers
from modelmesh._sdk_errors import as_sdk_error
from modelmesh._streaming import AsyncStream, Stream
from modelmesh._types import ChatCompletion, ChatCompletionChunk
from modelmesh.errors import MeshError

if TYPE_CHECKING:
    from modelmesh._async_client import AsyncOpenAIClient
    from modelmesh._client import OpenAIClient

PATH: Final = "/v1/chat/completions"
CAPABILITY: Final = "chat-completion"


class ChatCompletions(Answers):
    _called = "client.chat.completions"

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

        model: a pool, a capability or a model; the client's default if left out. timeout: seconds, for the whole call,
        or for each chunk of a stream. Returns a ChatCompletion, or a stream of ChatCompletionChunk. With `stream=True`
        errors before the first chunk are raised here. cache: False: neither use nor keep a cached answer; True: use one
        even if sampling makes answers differ; left out: use one if the parameters make the answer repeatable.
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
                    **_sent(params),
                },
                stream=bool(stream),
                timeout=timeout,
                extra_headers=extra_headers,
                extra_query=extra_query,
                extra_body=extra_body,
            )
        )

    def parse(self, *, response_format: Any = NOT_GIVEN, tools: Any = NOT_GIVEN, **params: Any) -> ChatCompletion:
        """As `create`, with the answer parsed into the class given as `response_format` (`message.parsed`), and calls
        of strict tools into their arguments (`function.parsed_arguments`).

        Raises LengthFinishReasonError and the like for a cut answer, pydantic's ValidationError.
        """
        listed, asked = _prepared("parse", response_format, tools, params)
        return _read(self.create(**asked), response_format, listed)  # type: ignore[no-any-return]

    def stream(self, *, response_format: Any = NOT_GIVEN, tools: Any = NOT_GIVEN, **params: Any) -> Any:
        """A context manager over the events of a streamed answer, as in the OpenAI SDK; `get_final_completion()`
        returns the completion, parsed as by `parse`."""
        from modelmesh import _chat_stream

        listed, asked = _prepared("stream", response_format, tools, params)
        return _chat_stream.ChatCompletionStreamManager(
            lambda: self.create(stream=True, **asked), response_format, listed
        )


class AsyncChatCompletions(Answers):
    _called = "client.chat.completions"

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

        model: a pool, a capability or a model; the client's default if left out. timeout: seconds, for the whole call,
        or for each chunk of a stream. Returns a ChatCompletion, or a stream of ChatCompletionChunk. With `stream=True`
        errors before the first chunk are raised here. cache: False: neither use nor keep a cached answer; True: use one
        even if sampling makes answers differ; left out: use one if the parameters make the answer repeatable.
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
                    **_sent(params),
                },
                stream=bool(stream),
                timeout=timeout,
                extra_headers=extra_headers,
                extra_query=extra_query,
                extra_body=extra_body,
            )
        )

    async def parse(self, *, response_format: Any = NOT_GIVEN, tools: Any = NOT_GIVEN, **params: Any) -> ChatCompletion:
        """As `create`, with the answer parsed into the class given as `response_format` (`message.parsed`), and calls
        of strict tools into their arguments (`function.parsed_arguments`).

        Raises LengthFinishReasonError and the like for a cut answer, pydantic's ValidationError.
        """
        listed, asked = _prepared("parse", response_format, tools, params)
        return _read(await self.create(**asked), response_format, listed)  # type: ignore[no-any-return]

    def stream(self, *, response_format: Any = NOT_GIVEN, tools: Any = NOT_GIVEN, **params: Any) -> Any:
        """A context manager over the events of a streamed answer, as in the OpenAI SDK; `get_final_completion()`
        returns the completion, parsed as by `parse`."""
        from modelmesh import _chat_stream

        listed, asked = _prepared("stream", response_format, tools, params)
        return _chat_stream.AsyncChatCompletionStreamManager(
            lambda: self.create(stream=True, **asked), response_format, listed
        )


def _sent(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters, with a class given as `response_format` replaced by its schema."""
    wanted = params.get("response_format")
    if wanted is None or (not isinstance(wanted, type) and get_origin(wanted) is None):
        return params
    from modelmesh._parsing import sent_format

    return {**params, "response_format": sent_format(wanted)}


def _prepared(
    helper: str, response_format: Any, tools: Any, params: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """(the tools as a list, all parameters of `create`)."""
    if "stream" in params:
        raise TypeError(f"{helper}() got an unexpected keyword argument 'stream'")
    listed = list(tools) if given(tools) and tools is not None else []
    if helper == "parse":
        from modelmesh._parsing import check_tools

        check_tools(listed)
    return listed, {"response_format": response_format, "tools": listed if given(tools) else tools, **params}


def _read(answer: Any, response_format: Any, tools: list[Any]) -> Any:
    from modelmesh import _parsing

    if not isinstance(answer, ChatCompletion):  # raw: its `parse` reads it
        parse = answer._parse
        answer._parse = lambda: _read(parse(), response_format, tools)
        return answer
    try:
        return _parsing.read_completion(answer, response_format, tools)
    except MeshError as error:
        as_sdk_error(error)
        raise


class Chat(Answers):
    _called = "client.chat"

    def __init__(self, client: OpenAIClient) -> None:
        self._client = client
        self.completions = ChatCompletions(client)

    def _parts(self) -> list[str]:
        return ["completions"]


class AsyncChat(Answers):
    _called = "client.chat"

    def __init__(self, client: AsyncOpenAIClient) -> None:
        self._client = client
        self.completions = AsyncChatCompletions(client)

    def _parts(self) -> list[str]:
        return ["completions"]


class Beta(Answers):
    """The OpenAI SDK's older place for `parse` and `stream`."""

    _called = "client.beta"

    def __init__(self, client: OpenAIClient) -> None:
        self._client = client
        self.chat = Chat(client)

    def _parts(self) -> list[str]:
        return ["chat"]


class AsyncBeta(Answers):
    """The same for asyncio."""

    _called = "client.beta"

    def __init__(self, client: AsyncOpenAIClient) -> None:
        self._client = client
        self.chat = AsyncChat(client)

    def _parts(self) -> list[str]:
        return ["chat"]
