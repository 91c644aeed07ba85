"""Translations: what is said in a recording, in English."""

from meshd.operations.audio.files import seconds
from meshd.sdk.calls.operation import OperationSpec

TRANSLATION = OperationSpec(
    name="audio.translations",
    word="translation",
    paths={"openai": "/v1/audio/translations"},
    capabilities=("understanding.audio-understanding.speech-to-text",),
    text=("prompt",),
    # https://platform.openai.com/docs/api-reference/audio/createTranslation
    free=("file", "response_format"),
    default="speech-to-text",
    json=False,
    form=True,
    answers={
        ("response_format", "text"): "text",
        ("response_format", "srt"): "text",
        ("response_format", "vtt"): "text",
    },
    rows=("", "text"),
    tokens=False,
    units=seconds,
    reports={"duration": "seconds"},
    output=False,
    told=True,
    cached=False,
    streamed=False,
    continued=False,
)
