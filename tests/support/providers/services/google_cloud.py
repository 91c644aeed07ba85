"""Google Cloud's services as Google documents them, read on 2026-11-28; words and sounds are ours.

Translation: https://cloud.google.com/translate/docs/reference/rest/v2/translate
Speech: https://cloud.google.com/text-to-speech/docs/reference/rest/v1/text/synthesize
Transcriptions: https://docs.cloud.google.com/speech-to-text/docs/reference/rest/v2/projects.locations.recognizers/recognize,
https://cloud.google.com/speech-to-text/docs/reference/rest/v1/speech/recognize
Vision: https://docs.cloud.google.com/vision/docs/reference/rest/v1/images/annotate, …/files/annotate

A recording that begins with LONG, or has 0x01 for samples, is longer than a minute. A file of Vision's has as many
pages as its last byte says; one that ends in BAD cannot be read.
"""

from __future__ import annotations

import base64
from typing import Any

from aiohttp import web

from tests.support.providers.services.media import WORDS, sound, speaker
from tests.support.providers.services.searches import google_failure
from tests.support.providers.services.server import LocalService


async def _google(request: web.Request) -> web.Response:
    asked = await request.json()
    if len(asked["q"]) > 128:
        return google_failure(400)
    source = {} if "source" in asked else {"detectedSourceLanguage": "en"}
    rows = [{"translatedText": f"{asked['target'].upper()}: {text.upper()}", **source} for text in asked["q"]]
    return web.json_response({"data": {"translations": rows}})


async def _google_speech(request: web.Request) -> web.Response:
    asked = await request.json()
    told = sound(asked["input"]["text"], asked["voice"]["name"], asked["audioConfig"]["audioEncoding"])
    return web.json_response({"audioContent": base64.b64encode(told).decode()})


async def _google_chirp(request: web.Request) -> web.Response:
    """Version 2. One minute at most."""
    asked = await request.json()
    config, features = asked["config"], asked["config"]["features"]
    if base64.b64decode(asked["content"]).startswith(b"LONG"):
        return _too_long("Audio can be of a maximum of 60 seconds.")
    assert config["autoDecodingConfig"] == {}
    assert config["model"].startswith("chirp")
    spoken = "diarizationConfig" in features
    timed = features.get("enableWordTimeOffsets")
    results = [
        {"alternatives": [{"transcript": " ".join(WORDS[start:end]), "confidence": 0.9}
                          | ({"words": _google_words(start, end, spoken)} if timed else {})],
         "resultEndOffset": f"{end - 0.1:.3f}s", "languageCode": "en-us"}
        for start, end in ((0, 3), (3, 6))
    ]  # fmt: skip
    metadata = {"totalBilledDuration": "7s", "requestId": "r"}
    return web.json_response({"results": results, "metadata": metadata})


def _google_words(start: int, end: int, spoken: bool) -> list[dict[str, Any]]:
    """What is zero is left out, as in all of Google's JSON."""
    return [
        ({"startOffset": f"{number}s"} if number else {})
        | {"endOffset": f"{number}.900s", "word": WORDS[number], "confidence": 0.9}
        | ({"speakerLabel": str(speaker(number) + 1)} if spoken else {})
        for number in range(start, end)
    ]


async def _google_older(request: web.Request) -> web.Response:
    """Version 1: with speakers, the last result has all words again."""
    asked = await request.json()
    config = asked["config"]
    if base64.b64decode(asked["audio"]["content"])[40:48] == b"\x01" * 8:
        return _too_long("Inline audio exceeds duration limit. Please use a GCS URI.")
    words = [
        {"startTime": f"{number}s", "endTime": f"{number}.900s", "word": word} for number, word in enumerate(WORDS)
    ]
    timed = config.get("enableWordTimeOffsets")
    results = [
        {"alternatives": [{"transcript": (" " if start else "") + " ".join(WORDS[start : start + 3])}
                          | ({"words": words[start : start + 3]} if timed else {})], "languageCode": "en-us"}
        for start in (0, 3)
    ]  # fmt: skip
    if "diarizationConfig" in config:
        named = [{**word, "speakerTag": speaker(number) + 1} for number, word in enumerate(words)]
        results.append({"alternatives": [{"words": named}]})  # type: ignore[dict-item]
    return web.json_response({"results": results, "totalBilledTime": "7s", "requestId": "1"})


def _too_long(message: str) -> web.Response:
    error = {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}
    return web.json_response({"error": error}, status=400)


async def _vision_image(request: web.Request) -> web.Response:
    [asked] = (await request.json())["requests"]
    if base64.b64decode(asked["image"]["content"]).endswith(b"BAD"):
        return web.json_response({"responses": [{"error": {"code": 3, "message": "Bad image data."}}]})
    return web.json_response({"responses": [_seen(1, asked)]})


async def _vision_file(request: web.Request) -> web.Response:
    """The first five pages, or up to five that are named."""
    [asked] = (await request.json())["requests"]
    config = asked["inputConfig"]
    assert config["mimeType"] in ("application/pdf", "image/tiff", "image/gif")
    total = base64.b64decode(config["content"])[-1]
    pages = asked.get("pages") or range(1, min(total, 5) + 1)
    assert len(pages) <= 5
    assert max(pages) <= total
    told = [{**_seen(page, asked), "context": {"pageNumber": page}} for page in pages]
    return web.json_response(
        {"responses": [{"inputConfig": {"mimeType": "x"}, "responses": told, "totalPages": total}]}
    )


def _seen(page: int, asked: Any) -> dict[str, Any]:
    """Page 2 is blank."""
    assert asked["features"] == [{"type": "DOCUMENT_TEXT_DETECTION"}]
    if page == 2:
        return {}
    words = [_vision_word("Lamp", "SPACE"), _vision_word(str(page), "LINE_BREAK")]
    block = {"blockType": "TEXT", "paragraphs": [{"words": words, "confidence": 0.9}], "confidence": 0.9}
    annotation = {"pages": [{"blocks": [block], "width": 8, "height": 9}], "text": f"Lamp {page}\n"}
    return {"textAnnotations": [{"locale": "en", "description": f"Lamp {page}"}], "fullTextAnnotation": annotation}


def _vision_word(word: str, then: str) -> dict[str, Any]:
    symbols: list[dict[str, Any]] = [{"text": letter, "confidence": 0.9} for letter in word]
    symbols[-1]["property"] = {"detectedBreak": {"type": then}}
    return {"symbols": symbols}


GOOGLE_CLOUD = LocalService(
    "google-cloud",
    {
        "POST /language/translate/v2": _google,
        "POST /v1/text:synthesize": _google_speech,
        "POST /v2/projects/ours-1/locations/us/recognizers/_:recognize": _google_chirp,
        "POST /v1/speech:recognize": _google_older,
        "POST /v1/images:annotate": _vision_image,
        "POST /v1/files:annotate": _vision_file,
    },
    google_failure,
    header="X-Goog-Api-Key",
    scheme="",
    unauthorized=403,
)
