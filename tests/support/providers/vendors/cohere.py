"""Cohere's API, for one process of tests: it answers what a test says, and keeps what it was asked.

Shapes, limits and the words of errors as documented, read on 28 November 2026:
https://docs.cohere.com/reference/chat, …/embed, …/rerank, …/list-models, …/errors,
https://docs.cohere.com/docs/rate-limits, and the types of cohere-python 7.3.1.
"""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

from tests.support.providers.vendors.three_apis import Asked, Json, ThreeApis

KEY = "co-test-0123456789abcdef"
_META = {"api_version": {"version": "2", "is_experimental": False}}


class CohereApi(ThreeApis):
    """models: its list, in pages of as many as are asked for. tokens: that an input is billed."""

    tokens = 3

    def connector(self, **settings: Any) -> Json:
        """Its section in a configuration."""
        return {"connector": "cohere.nlp.v1", "base_url": self.url, "api_key": KEY, **settings}

    def respond(self, asked: Asked) -> tuple[int, Json, list[bytes], bool]:
        path, _, query = asked.path.partition("?")
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return _refused(401, "invalid api token")
        if path == "/v1/models":
            return 200, {}, [json.dumps(self._page(query)).encode()], False
        if path.startswith("/v1/models/"):
            found = next((each for each in self.models if each["name"] == path.rpartition("/")[2]), None)
            return (200, {}, [json.dumps(found).encode()], False) if found else _refused(404, "model not found")
        if (wrong := _wrong(path, asked.body)) is not None:
            return wrong
        if path not in ("/v2/embed", "/v2/rerank"):
            return super().respond(asked)
        answer = self._embedded(asked.body) if path == "/v2/embed" else _ranked(asked.body)
        return 200, self.headers, [json.dumps(answer).encode()], False

    def _page(self, query: str) -> Json:
        given = dict(part.split("=", 1) for part in query.split("&") if part)
        size, start = int(given.get("page_size", 20)), int(given.get("page_token", 0))
        more = {"next_page_token": str(start + size)} if start + size < len(self.models) else {}
        return {"models": self.models[start : start + size], **more}

    def _embedded(self, asked: Json) -> Json:
        """A vector says how long its text is."""
        size = asked.get("output_dimension", 4)
        vectors = [[len(text) / 8, *[0.5] * (size - 1)] for text in asked["texts"]]
        billed = {"input_tokens": self.tokens * len(vectors)}
        written = {kind: [_WRITERS[kind](vector) for vector in vectors] for kind in asked["embedding_types"]}
        return {
            "id": "da6e531f-54c5-4a73-bf92-f60566d8d753", "embeddings": written, "texts": asked["texts"],
            "response_type": "embeddings_by_type", "meta": {**_META, "billed_units": billed},
        }  # fmt: skip


_WRITERS: dict[str, Any] = {
    "float": list,
    "base64": lambda vector: base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode(),
    "int8": lambda vector: [int(number * 16) for number in vector],
}


def _ranked(asked: Json) -> Json:
    """By how many words of the query a document has."""
    words = set(asked["query"].lower().split())
    scores = [len(words & set(text.lower().split())) / (len(words) or 1) for text in asked["documents"]]
    order = sorted(range(len(scores)), key=lambda index: -scores[index])[: asked.get("top_n")]
    results = [{"index": index, "relevance_score": scores[index]} for index in order]
    searches = -(-len(scores) // 100)
    return {
        "id": "07734bd2-2473-4f07-94e1-0d9f0e6843cf",
        "results": results,
        "meta": {**_META, "billed_units": {"search_units": searches}},
    }


def _wrong(path: str, asked: Json) -> tuple[int, Json, list[bytes], bool] | None:
    """What it refuses, in its words."""
    if path == "/v2/embed" and not asked.get("input_type"):
        return _refused(400, "invalid request: valid input_type must be provided with the provided model")
    if path == "/v2/embed" and len(asked.get("texts", ())) > 96:
        return _refused(400, "invalid request: total number of texts must be at most 96 - received more")
    if path == "/v2/rerank" and not all(isinstance(each, str) for each in asked["documents"]):
        return _refused(400, "invalid type: parameter documents[0] is of type object but should be of type string.")
    if path != "/v2/chat":
        return None
    roles = [message["role"] for message in asked["messages"]]
    if "system" in roles[1:]:
        return _refused(400, "system turn must be the first in the list")
    if "frequency_penalty" in asked and "presence_penalty" in asked:
        return _refused(400, "invalid request: cannot specify both frequency_penalty and presence_penalty.")
    if asked.get("response_format", {}).get("type") == "json_object" and asked.get("documents"):
        return _refused(400, "invalid request: response_format is not supported with RAG.")
    return None


def _refused(status: int, message: str) -> tuple[int, Json, list[bytes], bool]:
    body = {"id": "0f9e6bb2-1d2b-4b5e-8b0c-2a6d3c1a9b77", "message": message}
    return status, {}, [json.dumps(body).encode()], False
