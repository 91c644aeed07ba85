"""Voyage AI: embeddings and reranking, near enough to OpenAI's and the mesh's form to be a row with quirks.

Shapes: https://docs.voyageai.com/reference/embeddings-api, https://docs.voyageai.com/reference/reranker-api and the
client https://github.com/voyage-ai/voyageai-python, read on 28 November 2026.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from meshd.catalogue.known import load_models, provider_row
from meshd.connectors.providers.http_provider import HttpProvider
from meshd.core.prices import Pricing
from meshd.operations.embeddings import EMBEDDINGS
from meshd.operations.rerank import RERANK
from meshd.sdk.provider import FailureKind, OperationSpec, ProviderCall, ProviderFailure, ProviderSettings, Usage
from tests.support.providers.vendors.three_apis import Asked, Json, ThreeApis, serving


class VoyageApi(ThreeApis):
    def respond(self, asked: Asked) -> tuple[int, Json, list[bytes], bool]:
        if asked.headers.get("authorization") != "Bearer pa-test":
            return 401, {}, [b'{"detail":"Provided API key is invalid."}'], False
        body = asked.body
        unknown = {*body} - {"model", "input", "input_type", "truncation", "output_dimension", "output_dtype", "query",
                             "encoding_format", "documents", "top_k", "return_documents"}  # fmt: skip
        if unknown or body.get("encoding_format", "base64") != "base64":
            detail = f"Argument {', '.join(unknown) or 'encoding_format'} is not supported by our API"
            return 400, {}, [json.dumps({"detail": detail}).encode()], False
        rows: list[Json] = [{"object": "embedding", "embedding": [0.5, 1.0], "index": 0}]
        if asked.path == "/v1/rerank":
            rows = [{"index": 1, "relevance_score": 0.75}, {"index": 0, "relevance_score": 0.25}][: body.get("top_k")]
        answer = {"object": "list", "data": rows, "model": body["model"], "usage": {"total_tokens": 26}}
        return 200, {}, [json.dumps(answer).encode()], False


@pytest.fixture(scope="module")
def api() -> Iterator[VoyageApi]:
    with serving(VoyageApi()) as made:
        yield made


@pytest.fixture
async def voyage(api: VoyageApi) -> AsyncIterator[HttpProvider]:
    api.asked.clear()
    row = provider_row("voyage.api.v1")
    assert row is not None
    made = HttpProvider(ProviderSettings("v", row.id, base_url=f"{api.url}/v1", api_key="pa-test", quirks=row.quirks))
    yield made
    await made.aclose()


def call(operation: OperationSpec, model: str, **given: Any) -> ProviderCall:
    fields = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in given.items()}
    return ProviderCall(operation, model, fields)


async def test_embeddings(voyage: HttpProvider, api: VoyageApi) -> None:
    asked = call(EMBEDDINGS, "voyage-4", input="hi", encoding_format="float", dimensions=2, user="u")
    answer = await voyage.execute(asked)
    assert json.loads(answer.body)["data"][0]["embedding"] == [0.5, 1.0]
    assert answer.usage == Usage(26)
    await voyage.execute(call(EMBEDDINGS, "voyage-4", input="hi", encoding_format="base64", input_type="query"))
    assert [each.body for each in api.asked] == [
        {"model": "voyage-4", "input": "hi", "output_dimension": 2},
        {"model": "voyage-4", "input": "hi", "encoding_format": "base64", "input_type": "query"},
    ]


async def test_reranking(voyage: HttpProvider, api: VoyageApi) -> None:
    answer = await voyage.execute(call(RERANK, "rerank-2.5", query="q", documents=["a", "b"], top_n=1))
    assert json.loads(answer.body)["results"] == [{"index": 1, "relevance_score": 0.75}]
    assert answer.usage == Usage(26)
    assert api.asked[0].body == {"model": "rerank-2.5", "query": "q", "documents": ["a", "b"], "top_k": 1}


async def test_a_refusal_keeps_its_words(voyage: HttpProvider) -> None:
    with pytest.raises(ProviderFailure, match="rank_fields is not supported") as refused:
        await voyage.execute(call(RERANK, "rerank-2.5", query="q", documents=["a"], rank_fields=["x"]))
    assert refused.value.kind in (FailureKind.UNSUPPORTED, FailureKind.INVALID_REQUEST)


def test_what_it_costs() -> None:
    """USD per million tokens, by https://docs.voyageai.com/docs/pricing."""
    prices = {row.id: Pricing.of(row.pricing or {}) for row in load_models("voyage.api.v1")}
    cost = {id: Decimal(price.cost(2000, 0)) / 10**9 for id, price in prices.items()}
    assert cost["voyage-4"] == 2000 * Decimal("0.06") / 10**6
    assert cost["rerank-2.5"] == 2000 * Decimal("0.05") / 10**6
