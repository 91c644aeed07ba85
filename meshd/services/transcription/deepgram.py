"""Deepgram: https://developers.deepgram.com/reference/speech-to-text/listen-pre-recorded (read 2026-11-28)."""

from __future__ import annotations

from meshd.services.seam import Ask, Asked, Malformed, Steps, objects, text
from meshd.services.transcription.query import Heard, Word, answer, media_type, moment, read


def transcription(asked: Asked) -> Steps:
    wanted, file = read(asked)
    query = {"model": asked.model, "smart_format": "true"}
    if wanted.language is not None:
        query["language"] = wanted.language
    else:
        query["detect_language"] = "true"
    if wanted.diarized:
        query["diarize"] = "true"
    ask = Ask("POST", "v1/listen", query=query, body=bytes(file.content), content_type=media_type(file))
    told = (yield ask).object()
    results, metadata = told.get("results"), told.get("metadata")
    channels = objects(results.get("channels")) if isinstance(results, dict) else []
    best = objects(channels[0].get("alternatives")) if channels else []
    if not best or not isinstance(best[0].get("transcript"), str):
        raise Malformed("without a transcript")
    words = [
        Word(
            text(each.get("punctuated_word")) or text(each.get("word")),
            moment(each.get("start")),
            moment(each.get("end")),
            str(each["speaker"]) if isinstance(each.get("speaker"), int) else "",
        )
        for each in objects(best[0].get("words"))
    ]
    language = text(channels[0].get("detected_language")) or wanted.language or ""
    seconds = moment(metadata.get("duration")) if isinstance(metadata, dict) else None
    return answer(wanted, Heard(best[0]["transcript"], words, language, seconds))
