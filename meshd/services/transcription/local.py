"""Transcriptions on this machine: what apps ask of the child process of `modelmesh.local-transcription.v1`."""

from __future__ import annotations

from meshd.services.seam import Ask, Asked, Service, Steps, cannot, objects, text, wrong
from meshd.services.transcription.query import Heard, Word, answer, moment, read

_ENGLISH = ("en", "english")
_MOST = 64 * 1024 * 1024


def transcription(asked: Asked) -> Steps:
    wanted, file = read(asked)
    if wanted.diarized:
        raise cannot("response_format", "and it cannot tell speakers apart")
    if wanted.language and wanted.language.lower().partition("-")[0] not in _ENGLISH:
        raise cannot("language", "and it knows English only")
    content = bytes(file.content)
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise cannot("file", "and it reads WAV only")
    if len(content) > _MOST:
        raise wrong("file", f"it has {len(content)} bytes, {_MOST} at most")
    told = (yield Ask("POST", "transcribe", body=content, content_type="audio/wav")).object()
    words = [
        Word(text(each.get("word")), moment(each.get("start")), moment(each.get("end")))
        for each in objects(told.get("words"))
    ]
    return answer(wanted, Heard(text(told.get("text")), words, "english", moment(told.get("duration"))))


LOCAL_TRANSCRIPTION = Service({"audio.transcriptions": transcription})
