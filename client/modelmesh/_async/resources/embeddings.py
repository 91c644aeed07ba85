"""`client.embeddings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelmesh._async.resources.resource import AsyncResource
from modelmesh._openai_sdk.arguments import NOT_GIVEN
from modelmesh.types import CreateEmbeddingResponse

PATH: Final = "/v1/embeddings"
CAPABILITY: Final = "text-embeddings"


class AsyncEmbeddings(AsyncResource):
    _called = "client.embeddings"

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
        return await self._sender.send(  # type: ignore[no-any-return]
            "POST",
            PATH,
            CreateEmbeddingResponse,
            {"model": model or self._sender.default_model(CAPABILITY), "input": input, **params},
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
        )
