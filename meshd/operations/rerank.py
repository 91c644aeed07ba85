"""Reranking: documents by how well they answer a query."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from meshd.sdk.calls.operation import OperationSpec
from meshd.sdk.reading.lenient import UNREADABLE

# https://cohere.com/pricing, https://docs.cohere.com/docs/rerank, read on 28 November 2026: a search ranks up to 100
# documents, and longer ones count in parts. A document is cut to its most tokens.
_DOCUMENTS_PER_SEARCH = 100
_TOKENS_PER_PART = 500
_MOST_TOKENS = 4096
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_number = msgspec.json.Decoder(int).decode


def _searches(fields: Mapping[str, msgspec.Raw]) -> dict[str, int]:
    """An upper bound, as a token is at least a byte."""
    try:
        sizes = [len(document) for document in _list(fields.get("documents", b"[]"))]
        most = _number(fields.get("max_tokens_per_doc", b"%d" % _MOST_TOKENS))
    except UNREADABLE:
        return {"searches": 1}
    parts = sum(-(-max(min(size, most), 1) // _TOKENS_PER_PART) for size in sizes)
    return {"searches": max(-(-parts // _DOCUMENTS_PER_SEARCH), 1)}


RERANK = OperationSpec(
    name="rerank",
    word="rerank",
    paths={"openai": "/v1/rerank", "cohere": "/v2/rerank"},
    capabilities=("retrieval.reranking",),
    text=("query", "documents"),
    apart="documents",
    again="query",
    # https://docs.cohere.com/reference/rerank, https://jina.ai/reranker
    free=("top_n", "return_documents", "max_tokens_per_doc", "max_chunks_per_doc", "rank_fields"),
    default="reranking",
    example=lambda text: {"query": text, "documents": [text]},
    rows=("results", "relevance_score"),
    tokens=False,
    units=_searches,
    reports={"meta.billed_units.search_units": "searches"},
    output=False,
    repeats=True,
    streamed=False,
    continued=False,
)
