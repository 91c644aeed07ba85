"""`client.completions`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, overload

from modelmesh._async.resources.resource import AsyncResource
from modelmesh._async.stream import AsyncStream
from modelmesh._openai_sdk.arguments import NOT_GIVEN
from modelmesh.types import Completion

PATH: Final = "/v1/completions"
CAPABILITY: Final = "text-completion"


class AsyncCompletions(AsyncResource):
    _called = "client.completions"

    @overload
    async def create(
        self,
        *,
        prompt: str | list[Any] | None,
        model: str | Any = ...,
        stream: Literal[False] | None = ...,
        timeout: Any = ...,
        extra_headers: Mapping[str, str] | None = ...,
        extra_query: Mapping[str, Any] | None = ...,
        extra_body: Mapping[str, Any] | None = ...,
        **params: Any,
    ) -> Completion: ...

    @overload
    async def create(
        self,
        *,
        prompt: str | list[Any] | None,
        model: str | Any = ...,
        stream: Literal[True],
        timeout: Any = ...,
        extra_headers: Mapping[str, str] | None = ...,
        extra_query: Mapping[str, Any] | None = ...,
        extra_body: Mapping[str, Any] | None = ...,
        **params: Any,
    ) -> AsyncStream[Completion]: ...

    @overload
    async def create(
        self,
        *,
        prompt: str | list[Any] | None,
        model: str | Any = ...,
        stream: bool | None,
        timeout: Any = ...,
        extra_headers: Mapping[str, str] | None = ...,
        extra_query: Mapping[str, Any] | None = ...,
        extra_body: Mapping[str, Any] | None = ...,
        **params: Any,
    ) -> Completion | AsyncStream[Completion]: ...

    async def create(
        self,
        *,
        prompt: str | list[Any] | None,
        model: str | Any = NOT_GIVEN,
        stream: bool | Any | None = NOT_GIVEN,
        timeout: Any = NOT_GIVEN,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> Completion | AsyncStream[Completion]:
        """Complete a text. Unknown parameters are passed through.

        model: a pool, a capability or a model; the client's default if left out. timeout: seconds, for the whole call,
        or for each chunk of a stream. Returns a Completion, or a stream of them. With `stream=True` errors before the
        first chunk are raised here. cache: False: neither use nor keep a cached answer; True: use one even if sampling
        makes answers differ; left out: use one if the parameters make the answer repeatable.
        """
        return await self._sender.send(  # type: ignore[no-any-return]
            "POST",
            PATH,
            Completion,
            {
                "model": model or self._sender.default_model(CAPABILITY),
                "prompt": prompt,
                "stream": stream,
                **params,
            },
            stream=bool(stream),
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
        )
