"""Translations, moderation and embeddings as their providers document them, read on 2026-11-28; the words are ours.

DeepL: https://developers.deepl.com/api-reference/translate
Perspective: https://developers.perspectiveapi.com/s/about-the-api-methods
Hugging Face: https://huggingface.co/docs/inference-providers/tasks/feature-extraction

A translation is the text in upper case, with its language before it: `DE: A LAMP`.
A vector has the text's length and its number of words; of a model for tokens, there is one for each word.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.support.providers.services.searches import google_failure
from tests.support.providers.services.server import LocalService


async def _deepl(request: web.Request) -> web.Response:
    asked = await request.json()
    if "target_lang" not in asked or len(asked["text"]) > 50 or len(await request.read()) > 128 * 1024:
        return _deepl_failure(400 if len(asked["text"]) <= 50 else 413)
    language = asked["target_lang"].partition("-")[0]
    rows = []
    for text in asked["text"]:
        row = {"detected_source_language": asked.get("source_lang", "EN"), "text": f"{language}: {text.upper()}"}
        rows.append({**row, "billed_characters": len(text)} if asked.get("show_billed_characters") else row)
    return web.json_response({"translations": rows})


async def _deepl_usage(request: web.Request) -> web.Response:
    return web.json_response({"character_count": 180118, "character_limit": 1250000})


def _deepl_failure(status: int) -> web.Response:
    said = {
        400: "Value for 'target_lang' not supported.",
        403: "Authorization failed. Please supply a valid DeepL-Auth-Key",
        413: "Request Entity Too Large",
        429: "Too many requests",
        456: "Quota Exceeded",
        529: "Too many requests",
    }
    return web.json_response({"message": said.get(status, "Internal error")}, status=status)


DEEPL = LocalService(
    "deepl",
    {"POST /v2/translate": _deepl, "GET /v2/usage": _deepl_usage},
    _deepl_failure,
    scheme="DeepL-Auth-Key ",
    unauthorized=403,
)


async def _perspective(request: web.Request) -> web.Response:
    asked = json.loads(await request.read())
    value = 0.92 if "idiot" in asked["comment"]["text"] else 0.04
    scores = {
        name: {
            "spanScores": [{"begin": 0, "end": 5, "score": {"value": value, "type": "PROBABILITY"}}],
            "summaryScore": {"value": value, "type": "PROBABILITY"},
        }
        for name in asked["requestedAttributes"]
    }
    return web.json_response({"attributeScores": scores, "languages": ["en"], "detectedLanguages": ["en"]})


PERSPECTIVE = LocalService(
    "perspective",
    {"POST /v1alpha1/comments:analyze": _perspective},
    google_failure,
    header="X-Goog-Api-Key",
    scheme="",
    unauthorized=403,
)


async def _huggingface(request: web.Request) -> web.Response:
    asked = await request.json()
    one = isinstance(asked["inputs"], str)
    texts = [asked["inputs"]] if one else asked["inputs"]
    if len(texts) > 32:
        said = f"batch size {len(texts)} > maximum allowed batch size 32"
        return web.json_response({"error": said, "error_type": "Validation"}, status=413)
    vectors: list[Any] = [[float(len(text)), float(len(text.split()))] for text in texts]
    if "bert" in request.match_info["model"]:
        vectors = [[[float(len(word))] for word in text.split()] for text in texts]
    tokens = sum(len(text.split()) + 2 for text in texts)
    return web.json_response(vectors[0] if one else vectors, headers={"x-compute-tokens": str(tokens)})


def _huggingface_failure(status: int) -> web.Response:
    said: dict[int, Any] = {
        401: {"error": "Invalid username or password."},
        402: {"error": "You have exceeded your monthly included credits for Inference Providers."},
        404: {"error": "Model no/such does not exist"},
        429: {"error": "Rate limit reached. You reached free usage limit (reset hourly)."},
        503: {"error": "Model is currently loading", "estimated_time": 20.0},
    }
    return web.json_response(said.get(status, {"error": "Internal error"}), status=status)


HUGGINGFACE = LocalService(
    "huggingface",
    {"POST /hf-inference/models/{owner}/{model}/pipeline/feature-extraction": _huggingface},
    _huggingface_failure,
)

TEXTS = (DEEPL, PERSPECTIVE, HUGGINGFACE)
