"""`client.embeddings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from modelmesh._options import NOT_GIVEN
from modelmesh._raw import Answers
from modelmesh._types import CreateEmbeddingResponse

if TYPE_CHECKING:
    from modelmesh._async_client import AsyncOpenAIClient
    from modelmesh._client import OpenAIClient

PATH: Final = "/v1/embeddings"
CAPABILITY: Final = "text-embeddings"


class Embeddings(Answers):
    _called = "client.embeddings"

    def __init__(self, client: OpenAIClient) -> None:
        self._client = client

    def create(
        self,
        *,
        input: str | list[Any],
        model: str | Any = NOT_GIVEN,
        timeout: Any = NOT_GIVEN,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> CreateEmbeddingResponse:
        """Vectors of one text or several, as lists of floats unless `encoding_format` says otherwise.

        model: a pool, a capability or a model; the client's default if left out. timeout: seconds.
        cache: False: neither use nor keep a cached answer.
        """
        client = self._client
        return client._send(  # type: ignore[no-any-return]
            client._operation(
                "POST",
                PATH,
                CreateEmbeddingResponse,
                {"model": model or client._default_model(CAPABILITY), "input": input, **params},
                timeout=timeout,
                extra_headers=extra_headers,
                extra_query=extra_query,
                extra_body=extra_body,
            )
        )


class AsyncEmbeddings(Answers):
    _called = "client.embeddings"

    def __init__(self, client: AsyncOpenAIClient) -> None:
        self._client = client

    async def create(
        self,
        *,
        input: str | list[Any],
        model: str | Any = NOT_GIVEN,
        timeout: Any = NOT_GIVEN,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> CreateEmbeddingResponse:
        """Vectors of one text or several, as lists of floats unless `encoding_format` says otherwise.

        model: a pool, a capability or a model; the client's default if left out. timeout: seconds.
        cache: False: neither use nor keep a cached answer.
        """
        client = self._client
        return await client._send(  # type: ignore[no-any-return]
            client._operation(
                "POST",
                PATH,
                CreateEmbeddingResponse,
                {"model": model or client._default_model(CAPABILITY), "input": input, **params},
                timeout=timeout,
                extra_headers=extra_headers,
                extra_query=extra_query,
                extra_body=extra_body,
            )
        )
