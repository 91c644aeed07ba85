# Generated from modelmesh/_async/resources/rerank.py by client/sync_twins.py; edit that file.
"""`client.rerank`, which the OpenAI SDK does not have."""

from __future__ import annotations

from typing import Any

from modelmesh._sync.resources.resource import Resource
from modelmesh.types import Object


class Rerank(Resource):
    _called = "client.rerank"

    def create(self, *, query: str, documents: list[Any], **params: Any) -> Any:
        """Sort documents by relevance to a query: an Object whose `results` have `index` and `relevance_score`."""
        asked = {"query": query, "documents": documents, **params}
        return self._sender.ask("/v1/rerank", Object, "reranking", asked)
