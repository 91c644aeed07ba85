"""Azure OpenAI, for one process of tests: it answers what a test says, and keeps what it was asked.

Paths, headers, content filter results and the words of errors as documented, read on 28 November 2026:
https://learn.microsoft.com/azure/ai-foundry/openai/reference,
https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter,
https://learn.microsoft.com/azure/ai-services/openai/concepts/content-filter-annotations.
"""

from __future__ import annotations

import json
import re
from typing import Any

from tests.support.providers.vendors.three_apis import Asked, Json, Refused, ThreeApis

KEY = "0123456789abcdef0123456789abcdef"
VERSION = "2024-10-21"
_DEPLOYED = re.compile(r"/openai/deployments/([^/]+)(/.+)")
_SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}
_PROMPT = [
    {"prompt_index": 0, "content_filter_results": {**_SAFE, "jailbreak": {"filtered": False, "detected": False}}}
]
_DOES_NOT_EXIST = "The API deployment for this resource does not exist. If you created the deployment within the last"
FILTERED = Refused(
    400,
    {
        "error": {
            "message": "The response was filtered due to the prompt triggering "
            "Azure OpenAI's content management policy.",
            "type": None,
            "param": "prompt",
            "code": "content_filter",
            "status": 400,
            "innererror": {
                "code": "ResponsibleAIPolicyViolation",
                "content_filter_result": {**_SAFE, "hate": {"filtered": True, "severity": "high"}},
            },
        }
    },
)


class AzureApi(ThreeApis):
    """deployed: the names of its deployments."""

    deployed = ("prod-chat", "prod vectors")

    def connector(self, **settings: Any) -> Json:
        """Its section in a configuration."""
        base = {"base_url": f"{self.url}/openai/v1", "api_key": KEY}
        return {"connector": "microsoft.azure-openai.v1", **base, **settings}

    def respond(self, asked: Asked) -> tuple[int, Json, list[bytes], bool]:
        path, _, query = asked.path.partition("?")
        found = _DEPLOYED.fullmatch(path)
        if asked.headers.get("api-key") != KEY:
            return _refused(401, "401", "Access denied due to invalid subscription key or wrong API endpoint.")
        if found is not None and f"api-version={VERSION}" not in query.split("&"):
            return _refused(404, "404", "Resource not found")
        if found is None and not path.startswith("/openai/v1/"):
            return _refused(404, "404", "Resource not found")
        name = found[1].replace("%20", " ") if found is not None else asked.body["model"]
        if name not in self.deployed:
            return _refused(404, "DeploymentNotFound", _DOES_NOT_EXIST)
        rest = f"/v1{found[2]}" if found is not None else path.removeprefix("/openai")
        if rest in _OTHERS:
            return 200, self.headers, [json.dumps(_OTHERS[rest]).encode()], False
        status, headers, pieces, breaks = super().respond(Asked(rest, asked.headers, asked.raw))
        if status == 200 and rest == "/v1/chat/completions":
            pieces = _filtered(pieces, stream=bool(asked.body.get("stream")))
        return status, headers, pieces, breaks


_OTHERS: Json = {
    "/v1/embeddings": {
        "object": "list", "model": "text-embedding-3-small",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}],
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    },
    "/v1/images/generations": {"created": 1, "data": [{"b64_json": "aGk=", "content_filter_results": _SAFE}]},
    "/v1/audio/transcriptions": {"text": "Hello there"},
}  # fmt: skip


def _filtered(pieces: list[bytes], *, stream: bool) -> list[bytes]:
    """With what the filter found: in a stream, of the prompt in a chunk of its own, without choices."""
    if not stream:
        answer = json.loads(pieces[0])
        for choice in answer["choices"]:
            choice["content_filter_results"] = _SAFE
        return [json.dumps({**answer, "prompt_filter_results": _PROMPT}).encode()]
    preface = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": _PROMPT}
    return [f"data: {json.dumps(preface)}\n\n".encode(), *pieces]


def _refused(status: int, code: str, message: str) -> tuple[int, Json, list[bytes], bool]:
    return status, {}, [json.dumps({"error": {"code": code, "message": message}}).encode()], False
