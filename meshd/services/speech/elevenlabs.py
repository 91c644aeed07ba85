"""ElevenLabs: https://elevenlabs.io/docs/api-reference/text-to-speech/convert, …/stream (read 2026-11-28).

`voice` is the id of one of the account's voices.
"""

from __future__ import annotations

from typing import Any

from meshd.services.seam import Ask, Asked, Result, Service, Steps, segment, wrong
from meshd.services.speech.cloning import voice
from meshd.services.speech.query import CONTENT_TYPES, read
from meshd.services.transcription.elevenlabs import transcription

_FORMATS = {"mp3": "mp3_44100_128", "opus": "opus_48000_96", "wav": "wav_24000", "pcm": "pcm_24000"}
_USUAL = "JBFqnCBsd6RMkjVDRZzb"  # George, which every account has
_SLOWEST, _FASTEST = 0.7, 1.2


def speech(asked: Asked) -> Steps:
    wanted = read(asked, _FORMATS, _USUAL)
    body: dict[str, Any] = {"text": wanted.input, "model_id": asked.model}
    if wanted.language is not None:
        body["language_code"] = wanted.language.partition("-")[0].lower()
    if wanted.speed != 1.0:
        if not _SLOWEST <= wanted.speed <= _FASTEST:
            raise wrong("speed", f"it has to be {_SLOWEST} to {_FASTEST} for this service")
        body["voice_settings"] = {"speed": wanted.speed}
    path = f"v1/text-to-speech/{segment(wanted.voice)}{'/stream' if asked.stream else ''}"
    query = {"output_format": _FORMATS[wanted.response_format]}
    yield Ask("POST", path, query=query, json=body, headers={"Accept": "*/*"}, piped=True)
    return Result(content_type=CONTENT_TYPES[wanted.response_format])


ELEVENLABS = Service({"audio.speech": speech, "audio.transcriptions": transcription, "audio.voices": voice})
