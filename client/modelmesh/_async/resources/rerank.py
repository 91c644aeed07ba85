"""`client.rerank`, which the OpenAI SDK does not have."""

from __future__ import annotations

from typing import Any

from modelmesh._async.resources.resource import AsyncResource
from modelmesh.types import Object


class AsyncRerank(AsyncResource):
    _called = "client.rerank"

    async def create(self, *, query: str, documents: list[Any], **params: Any) -> Any:
        """Sort documents by relevance to a query: an Object whose `results` have `index` and `relevance_score`."""
        asked = {"query": query, "documents": documents, **params}
        return await self._sender.ask("/v1/rerank", Object, "reranking", asked)
