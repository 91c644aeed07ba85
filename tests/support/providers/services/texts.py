"""Translations and moderation as their providers document them, read on 2026-11-28; the words are ours.

DeepL: https://developers.deepl.com/api-reference/translate
Perspective: https://developers.perspectiveapi.com/s/about-the-api-methods

A translation is the text in upper case, with its language before it: `DE: A LAMP`.
"""

from __future__ import annotations

import json

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

TEXTS = (DEEPL, PERSPECTIVE)
