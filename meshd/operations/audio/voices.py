"""Voices: one that sounds like a recording, to read texts aloud with."""

from meshd.sdk.calls.operation import OperationSpec

VOICES = OperationSpec(
    name="audio.voices",
    word="voice",
    paths={"openai": "/v1/audio/voices"},
    capabilities=("transformation.audio-processing.voice-cloning",),
    text=("name", "description"),
    # https://developers.openai.com/api/docs/guides/custom-voices, https://elevenlabs.io/docs/api-reference/voices/ivc/create
    free=("audio_sample", "type", "consent", "remove_background_noise"),
    default="voice-cloning",
    json=False,
    form=True,
    rows=("", "id"),
    tokens=False,
    output=False,
    cached=False,
    streamed=False,
    continued=False,
    hedged=False,
    retried=False,
)
