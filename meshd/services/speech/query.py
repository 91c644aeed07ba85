"""What apps ask of speech: OpenAI's fields, and what services have of them.

Source: https://platform.openai.com/docs/api-reference/audio/createSpeech (read 2026-11-28).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

import msgspec

from meshd.services.seam import Asked, cannot, wrong

OPENAI_VOICES = frozenset(
    {"alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse"}
)
"""Other services have no voices of these names: there they mean the service's usual one, so that a pool can rotate."""
CONTENT_TYPES: Mapping[str, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
_SLOWEST, _FASTEST = 0.25, 4.0  # OpenAI's


class Speech(msgspec.Struct):
    input: str
    voice: Any = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float = 1.0
    language: str | None = None
    instructions: str | None = None
    stream_format: str = "audio"


def read(asked: Asked, formats: Collection[str], usual: str, *, lacks: Collection[str] = ()) -> Speech:
    """formats: that the service has. usual: the voice of an app that names none of the service's. lacks: fields that
    it cannot follow. Raises ProviderFailure."""
    speech = asked.read(Speech)
    for name in lacks:
        if name in asked.fields:
            raise cannot(name)
    if speech.instructions:
        raise cannot("instructions")
    if speech.stream_format != "audio":
        raise cannot("stream_format", "and it has only the audio itself")
    if speech.response_format not in formats:
        raise cannot("response_format", f"and it has {', '.join(formats)}")
    if not _SLOWEST <= speech.speed <= _FASTEST:
        raise wrong("speed", f"it has to be {_SLOWEST} to {_FASTEST:g}")
    voice = speech.voice.get("id") if isinstance(speech.voice, dict) else speech.voice
    if voice is not None and not isinstance(voice, str):
        raise wrong("voice", "it has to be a name")
    speech.voice = usual if not voice or voice.lower() in OPENAI_VOICES else voice
    return speech
