"""Translations: what is said in a recording, in English."""

from msgspec.structs import replace

from meshd.operations.audio.transcription import TEXTS, TRANSCRIPTION

TRANSLATION = replace(
    TRANSCRIPTION,
    name="audio.translations",
    word="translation",
    paths={"openai": "/v1/audio/translations"},
    free=("file", "response_format"),  # https://platform.openai.com/docs/api-reference/audio/createTranslation
    answers=TEXTS,
    ends=(),
    streamed=False,
)
