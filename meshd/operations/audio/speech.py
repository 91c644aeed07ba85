"""Speech: a text read aloud."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from meshd.sdk.calls.operation import OperationSpec
from meshd.sdk.reading.lenient import UNREADABLE


def characters(fields: Mapping[str, msgspec.Raw]) -> dict[str, int]:
    """The characters of the text; for anything but a text, its bytes, as it cannot have more characters than that."""
    raw = fields.get("input", msgspec.Raw(b""))
    try:
        return {"characters": len(msgspec.json.decode(raw, type=str))}
    except UNREADABLE:
        return {"characters": len(raw)}


SPEECH = OperationSpec(
    name="audio.speech",
    word="speech",
    paths={"openai": "/v1/audio/speech"},
    capabilities=("generation.audio-generation.text-to-speech",),
    text=("input", "instructions"),
    # https://platform.openai.com/docs/api-reference/audio/createSpeech
    free=("voice", "response_format", "speed", "stream_format", "language"),
    default="text-to-speech",
    answer="binary",
    answers={("stream_format", "sse"): "events"},
    ends=("speech.audio.done",),
    rows=("", "audio"),
    tokens=False,
    units=characters,
    output=False,
    told=True,
    cached=False,
    continued=False,
)
