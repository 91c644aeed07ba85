"""ElevenLabs' Scribe: https://elevenlabs.io/docs/api-reference/speech-to-text/convert (read 2026-11-28)."""

from __future__ import annotations

from meshd.services.forms import form
from meshd.services.seam import Ask, Asked, Malformed, Steps, objects, text
from meshd.services.transcription.query import Heard, Word, answer, moment, read


def transcription(asked: Asked) -> Steps:
    wanted, file = read(asked)
    fields = {"model_id": asked.model, "timestamps_granularity": "word"}
    if wanted.language is not None:
        fields["language_code"] = wanted.language
    if wanted.diarized:
        fields["diarize"] = "true"
    if wanted.temperature is not None:
        fields["temperature"] = str(wanted.temperature)
    content_type, body = form(fields, file)
    told = (yield Ask("POST", "v1/speech-to-text", body=body, content_type=content_type)).object()
    if not isinstance(told.get("text"), str):
        raise Malformed("without a text")
    words = [
        Word(text(each.get("text")), moment(each.get("start")), moment(each.get("end")), text(each.get("speaker_id")))
        for each in objects(told.get("words"))
        if each.get("type", "word") == "word"
    ]
    return answer(wanted, Heard(told["text"], words, text(told.get("language_code"))))
