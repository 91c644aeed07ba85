"""Azure Speech: https://learn.microsoft.com/azure/ai-services/speech-service/rest-text-to-speech (read 2026-11-28).

It is asked by SSML. The model is the kind of voices, which have different prices.
"""

from __future__ import annotations

import re
from html import escape

from meshd.services.seam import Ask, Asked, Result, Service, Steps, wrong
from meshd.services.speech.query import CONTENT_TYPES, read

_FORMATS = {
    "mp3": "audio-24khz-96kbitrate-mono-mp3",
    "opus": "ogg-24khz-16bit-mono-opus",
    "wav": "riff-24khz-16bit-mono-pcm",
    "pcm": "raw-24khz-16bit-mono-pcm",
}
_USUAL = {"neural-hd": "en-US-Ava:DragonHDLatestNeural"}
_USUAL_NEURAL = "en-US-AvaMultilingualNeural"
_SLOWEST, _FASTEST = 0.5, 2.0
_LOCALE = re.compile(r"[A-Za-z]{2,3}-[A-Za-z0-9-]{2,16}")
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def speech(asked: Asked) -> Steps:
    wanted = read(asked, _FORMATS, _USUAL.get(asked.model, _USUAL_NEURAL))
    if not _SLOWEST <= wanted.speed <= _FASTEST:
        raise wrong("speed", f"it has to be {_SLOWEST} to {_FASTEST:g} for this service")
    body = _ssml(wanted.input, wanted.voice, wanted.language, wanted.speed).encode()
    headers = {"X-Microsoft-OutputFormat": _FORMATS[wanted.response_format], "Accept": "*/*"}
    path, kind = "cognitiveservices/v1", "application/ssml+xml"
    yield Ask("POST", path, body=body, content_type=kind, headers=headers, piped=True)
    return Result(content_type=CONTENT_TYPES[wanted.response_format])


def _ssml(text: str, voice: str, language: str | None, speed: float) -> str:
    locale = _LOCALE.match(language or voice)
    said = escape(_NOT_XML.sub(" ", text), quote=False)
    if speed != 1.0:
        said = f'<prosody rate="{round((speed - 1.0) * 100):+d}%">{said}</prosody>'
    if language is not None:
        said = f'<lang xml:lang="{escape(language)}">{said}</lang>'
    of_document = locale[0] if locale else "en-US"
    return (
        f'<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="{of_document}">'
        f'<voice name="{escape(voice)}">{said}</voice></speak>'
    )


AZURE_SPEECH = Service({"audio.speech": speech})
