"""A server that behaves as the Gemini API's documentation says, for tests; Google's own SDK talks to it in one of them.

Shapes, read on 28 November 2026: https://ai.google.dev/api (the key's header, `?key=`), …/api/generate-content,
…/api/embeddings, …/api/models, …/api/tokens, https://ai.google.dev/gemini-api/docs/troubleshooting (errors),
https://ai.google.dev/gemini-api/docs/rate-limits. Without `alt=sse`, a stream is an array. Words and values are ours.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.support.answers.spoken_gemini import chunks, response
from tests.support.providers.servers.in_thread import ProviderInThread
from tests.support.providers.vendors.three_apis import Said

VERTEX = "/v1/projects/proj-1/locations/global/publishers/google"
KEY = "AIza-of-the-daemon-0815"
Json = dict[str, Any]
_RPC = "type.googleapis.com/google.rpc."
_MODELS = [
    {"name": "models/gemini-3.5-flash", "inputTokenLimit": 1048576, "outputTokenLimit": 65536, "thinking": True,
     "supportedGenerationMethods": ["generateContent", "countTokens"]},
    {"name": "models/gemini-embedding-001", "inputTokenLimit": 2048,
     "supportedGenerationMethods": ["embedContent", "countTextTokens"]},
]  # fmt: skip
_TOP = frozenset(
    {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent"}
)


def error(code: int, status: str, message: str, *details: Json) -> web.Response:
    said = {"code": code, "message": message, "status": status}
    return web.json_response({"error": {**said, "details": list(details)} if details else said}, status=code)


def used_up(seconds: int, per: str = "Minute") -> web.Response:
    """As 429 is: which quota, and when to come back."""
    quota = {"quotaMetric": "generativelanguage.googleapis.com/generate_content_paid_tier_requests",
             "quotaId": f"GenerateRequestsPer{per}PerProjectPerModel", "quotaValue": "10"}  # fmt: skip
    return error(
        429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details.",
        {"@type": f"{_RPC}QuotaFailure", "violations": [quota]},
        {"@type": f"{_RPC}RetryInfo", "retryDelay": f"{seconds}s"},
    )  # fmt: skip


class GeminiServer(ProviderInThread):
    """said: the answer. refuses: what is answered instead, if anything. asked: (path with query, headers, body) of each
    request. cut: chunks after which a stream breaks off. image: what is drawn, in base64; "": it is blocked; None:
    a model talks."""

    def __init__(self) -> None:
        self.said = Said()
        self.refuses: Any = None
        self.cut: int | None = None
        self.image: str | None = None
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        super().__init__()

    def provider(self, **settings: Any) -> Json:
        return {"connector": "google.gemini.v1", "base_url": self.url, "api_key": KEY, **settings}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1beta"

    def application(self) -> web.Application:
        app = web.Application(client_max_size=10**8)
        for version in ("v1", "v1beta"):
            app.router.add_get(f"/{version}/models", self._list)
            app.router.add_get(f"/{version}/models/{{model}}", self._one)
            app.router.add_post(f"/{version}/models/{{model}}:{{method}}", self._method)
        app.router.add_post(f"{VERTEX}/models/{{model}}:{{method}}", self._method)
        return app

    def vertex(self, **settings: Any) -> Json:
        """Vertex AI, with a key in place of a token."""
        base = f"http://127.0.0.1:{self.port}{VERTEX}"
        return {"connector": "google.vertex.v1", "base_url": base, "api_key": KEY, **settings}

    def _refused(self, request: web.Request) -> web.Response | None:
        if (request.headers.get("x-goog-api-key") or request.query.get("key")) != KEY:
            reason = {"@type": f"{_RPC}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
            return error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", reason)
        return None

    async def _list(self, request: web.Request) -> web.Response:
        if refused := self._refused(request):
            return refused
        if unknown := request.query.keys() - {"pageSize", "pageToken", "key"}:
            return error(400, "INVALID_ARGUMENT", f'Unknown name "{min(unknown)}": Cannot bind query parameter.')
        at, size = int(request.query.get("pageToken", "0")), int(request.query.get("pageSize", "50"))
        more = {"nextPageToken": str(at + size)} if at + size < len(_MODELS) else {}
        return web.json_response({"models": _MODELS[at : at + size], **more})

    async def _one(self, request: web.Request) -> web.Response:
        name = f"models/{request.match_info['model']}"
        found = next((model for model in _MODELS if model["name"] == name), None)
        return error(404, "NOT_FOUND", f"{name} is not found.") if found is None else web.json_response(found)

    async def _method(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.asked.append((request.path_qs, {name.lower(): each for name, each in request.headers.items()}, body))
        if refused := self._refused(request):
            return refused
        if self.refuses is not None:
            return self.refuses()
        model, method = request.match_info["model"], request.match_info["method"]
        if method == "countTokens":
            return web.json_response({"totalTokens": 42})
        if self.image is not None and method in ("generateContent", "predict") and "instances" not in body:
            return self._drawn(model, body)
        if method in ("predict", "embedContent") and request.path.startswith(VERTEX):
            return self._of_vertex(model, method, body)
        if method == "predict":
            return self._imagined(body)
        if method == "batchEmbedContents" and len(body["requests"]) > 100:
            message = "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n"
            return error(400, "INVALID_ARGUMENT", message)
        if method == "batchEmbedContents":
            vectors = [{"values": [len(each["content"]["parts"][0]["text"]), 0.5]} for each in body["requests"]]
            return web.json_response({"embeddings": vectors})
        if method not in ("generateContent", "streamGenerateContent"):
            return error(404, "NOT_FOUND", f"models/{model} is not found for API version v1beta.")
        if unknown := body.keys() - _TOP:
            message = f'Invalid JSON payload received. Unknown name "{min(unknown)}": Cannot find field.'
            return error(400, "INVALID_ARGUMENT", message)
        if not body.get("contents"):
            return error(400, "INVALID_ARGUMENT", "* GenerateContentRequest.contents: contents is not specified\n")
        about = {"model": model}
        if method == "generateContent":
            return web.json_response(response(about, self.said))
        return await self._stream(request, chunks(about, self.said))

    def _drawn(self, model: str, body: Json) -> web.Response:
        """As https://ai.google.dev/gemini-api/docs/image-generation has it."""
        if unknown := body["generationConfig"].keys() - {"responseModalities", "imageConfig"}:
            return error(400, "INVALID_ARGUMENT", f'Unknown name "{min(unknown)}" at generation_config.')
        content: Json = {"role": "model", "parts": [{"text": "Here it is."}]}
        finish = "IMAGE_SAFETY"
        if self.image:
            content["parts"].append({"inlineData": {"mimeType": "image/png", "data": self.image}})
            finish = "STOP"
        usage = {"promptTokenCount": 9, "candidatesTokenCount": 1290, "totalTokenCount": 1299}
        candidate = {"content": content, "finishReason": finish, "index": 0}
        return web.json_response({"candidates": [candidate], "usageMetadata": usage, "modelVersion": model})

    def _imagined(self, body: Json) -> web.Response:
        """As …/vertex-ai/generative-ai/docs/model-reference/imagen-api has it."""
        count = body.get("parameters", {}).get("sampleCount", 4)
        return web.json_response({"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": self.image}] * count})

    def _of_vertex(self, model: str, method: str, body: Json) -> web.Response:
        """As …/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api has it."""
        if "prompt" in body.get("instances", [{}])[0]:
            return self._imagined(body)
        if ("gemini" in model) is not (method == "embedContent"):
            return error(400, "FAILED_PRECONDITION", f"{model} does not support {method}.")
        if method == "embedContent":
            values = [len(body["content"]["parts"][0]["text"]), 0.5]
            return web.json_response({"embedding": {"values": values}, "usageMetadata": {"promptTokenCount": 3}})
        told = [
            {"values": [len(each["content"]), 0.5], "statistics": {"token_count": 3.0, "truncated": False}}
            for each in body["instances"]
        ]
        return web.json_response({"predictions": [{"embeddings": each} for each in told]})

    async def _stream(self, request: web.Request, events: list[bytes]) -> web.StreamResponse:
        sse = request.query.get("alt") == "sse"
        kind = "text/event-stream" if sse else "application/json; charset=UTF-8"
        answer = web.StreamResponse(headers={"content-type": kind})
        await answer.prepare(request)
        for number, event in enumerate(events[: self.cut]):
            begin = b"" if sse else b",\r\n" if number else b"["
            await answer.write(event if sse else begin + event.removeprefix(b"data: ").strip())
        if self.cut is not None:
            assert request.transport is not None
            request.transport.abort()
        elif not sse:
            await answer.write(b"]")
        return answer
