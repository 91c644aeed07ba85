"""Deepgram's speech: https://developers.deepgram.com/reference/text-to-speech/speak-request (read 2026-11-28).

The model is the voice: an app's `voice` is taken if it is one of these (`aura-2-orion-en`).
"""

from __future__ import annotations

from meshd.services.seam import Ask, Asked, Result, Service, Steps
from meshd.services.speech.query import CONTENT_TYPES, read
from meshd.services.transcription.deepgram import transcription

_FORMATS: dict[str, dict[str, str | int]] = {
    "mp3": {"encoding": "mp3"},
    "opus": {"encoding": "opus", "container": "ogg"},
    "aac": {"encoding": "aac"},
    "flac": {"encoding": "flac"},
    "wav": {"encoding": "linear16", "container": "wav", "sample_rate": 24000},
    "pcm": {"encoding": "linear16", "container": "none", "sample_rate": 24000},
}


def speech(asked: Asked) -> Steps:
    wanted = read(asked, _FORMATS, asked.model, lacks=("speed", "language"))
    voice = wanted.voice if wanted.voice.startswith("aura-") else asked.model
    query = {"model": voice, **_FORMATS[wanted.response_format]}
    yield Ask("POST", "v1/speak", query=query, json={"text": wanted.input}, headers={"Accept": "*/*"}, piped=True)
    return Result(content_type=CONTENT_TYPES[wanted.response_format])


DEEPGRAM = Service({"audio.speech": speech, "audio.transcriptions": transcription})
