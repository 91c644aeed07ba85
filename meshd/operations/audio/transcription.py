"""Transcriptions: the words of a recording."""

from meshd.operations.audio.files import seconds
from meshd.sdk.calls.operation import Kind, OperationSpec

TEXTS: dict[tuple[str, object], Kind] = {
    ("response_format", "text"): "text",
    ("response_format", "srt"): "text",
    ("response_format", "vtt"): "text",
}

TRANSCRIPTION = OperationSpec(
    name="audio.transcriptions",
    word="transcription",
    paths={"openai": "/v1/audio/transcriptions"},
    capabilities=("understanding.audio-understanding.speech-to-text",),
    text=("prompt",),
    # https://platform.openai.com/docs/api-reference/audio/createTranscription, https://console.groq.com/docs/speech-to-text
    free=(
        "file",
        "language",
        "languages",
        "response_format",
        "timestamp_granularities",
        "include",
        "chunking_strategy",
        "known_speaker_names",
        "known_speaker_references",
        "keywords",
    ),
    default="speech-to-text",
    json=False,
    form=True,
    answers={("stream", True): "events", **TEXTS},
    ends=("transcript.text.done",),
    rows=("", "text"),
    tokens=False,
    units=seconds,
    reports={"duration": "seconds"},
    output=False,
    told=True,
    cached=False,
    continued=False,
)
