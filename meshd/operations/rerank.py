"""Reranking: documents by how well they answer a query."""

from meshd.sdk.calls.operation import OperationSpec

RERANK = OperationSpec(
    name="rerank",
    word="rerank",
    paths={"openai": "/v1/rerank"},
    capabilities=("retrieval.reranking",),
    text=("query", "documents"),
    # https://docs.cohere.com/reference/rerank, https://jina.ai/reranker
    free=("top_n", "return_documents", "max_tokens_per_doc", "max_chunks_per_doc", "rank_fields"),
    default="reranking",
    example=lambda text: {"query": text, "documents": [text]},
    rows=("results", "relevance_score"),
    tokens=False,
    units=lambda fields: {"searches": 1},
    reports={"meta.billed_units.search_units": "searches"},
    output=False,
    repeats=True,
    streamed=False,
    continued=False,
)
