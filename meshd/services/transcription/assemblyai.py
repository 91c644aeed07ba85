"""AssemblyAI: https://www.assemblyai.com/docs/api-reference/transcripts/submit (read 2026-11-28).

A recording is uploaded, its transcript submitted, and asked for until it is there.
"""

from __future__ import annotations

from typing import Any

from meshd.sdk.calls.failure import FailureKind
from meshd.services.seam import (
    POLLED,
    Ask,
    Asked,
    Begun,
    Malformed,
    Service,
    Steps,
    Wait,
    failed,
    objects,
    pauses,
    segment,
    text,
)
from meshd.services.transcription.query import Heard, Transcription, Word, answer, moment, read

_THOUSANDTHS = 1000.0
_OURS = ("download error", "internal", "server error", "timed out")
"""Words of errors that are not the recording's fault."""


def transcription(asked: Asked) -> Steps:
    wanted, file = read(asked)
    upload = Ask("POST", "v2/upload", body=bytes(file.content), content_type="application/octet-stream")
    url = text((yield upload).object().get("upload_url"))
    if not url:
        raise Malformed("without an upload_url")
    job = (yield Ask("POST", "v2/transcript", json=_submitted(asked.model, wanted, url))).object()
    path = f"v2/transcript/{segment(job.get('id'))}"
    yield Begun(Ask("DELETE", path))
    waits = pauses()
    while job.get("status") in ("queued", "processing"):
        yield Wait(next(waits))
        job = (yield Ask("GET", path, again=POLLED)).object()
    if job.get("status") == "error":
        why = text(job.get("error"))
        ours = any(word in why.lower() for word in _OURS)
        raise failed(why, FailureKind.SERVER if ours else FailureKind.UNSUPPORTED)
    if job.get("status") != "completed" or not isinstance(job.get("text"), str):
        raise Malformed("without a transcript")
    words = [
        Word(
            text(each.get("text")),
            moment(each.get("start"), _THOUSANDTHS),
            moment(each.get("end"), _THOUSANDTHS),
            text(each.get("speaker")),
        )
        for each in objects(job.get("words"))
    ]
    seconds = moment(job.get("audio_duration")) or None
    return answer(wanted, Heard(job["text"], words, text(job.get("language_code")), seconds))


def _submitted(model: str, wanted: Transcription, url: str) -> dict[str, Any]:
    body: dict[str, Any] = {"audio_url": url, "speech_models": [model]}
    if wanted.language is None:
        body["language_detection"] = True
    else:
        body["language_code"] = wanted.language
    if wanted.diarized:
        body["speaker_labels"] = True
    if wanted.prompt and model.startswith("universal-3"):
        body["prompt"] = wanted.prompt
    return body


ASSEMBLYAI = Service({"audio.transcriptions": transcription})
