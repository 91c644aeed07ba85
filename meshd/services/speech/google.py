"""Google Cloud's speech: https://cloud.google.com/text-to-speech/docs/reference/rest/v1/text/synthesize (read
2026-11-28).

A voice has its language in its name: `en-US-Chirp3-HD-Kore`.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from meshd.services.seam import Ask, Asked, Malformed, Result, Steps, text
from meshd.services.speech.query import CONTENT_TYPES, read

_FORMATS = {"mp3": "MP3", "opus": "OGG_OPUS", "wav": "LINEAR16", "pcm": "PCM"}
_USUAL = "Kore"
_LOCALE = re.compile(r"[a-z]{2,3}-[A-Z][A-Za-z]{1,3}(?=-)")


def speech(asked: Asked) -> Steps:
    wanted = read(asked, _FORMATS, _USUAL)
    named = _LOCALE.match(wanted.voice)
    locale = wanted.language or (named[0] if named else "en-US")
    voice = wanted.voice if named else f"{locale}-Chirp3-HD-{wanted.voice}"
    audio: dict[str, Any] = {"audioEncoding": _FORMATS[wanted.response_format]}
    if wanted.speed != 1.0:
        audio["speakingRate"] = wanted.speed
    body = {"input": {"text": wanted.input}, "voice": {"languageCode": locale, "name": voice}, "audioConfig": audio}
    answer = (yield Ask("POST", "v1/text:synthesize", json=body, host="speech")).object()
    try:
        content = base64.b64decode(text(answer.get("audioContent")), validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if not content:
        raise Malformed("without audioContent")
    return Result(body=content, content_type=CONTENT_TYPES[wanted.response_format])
