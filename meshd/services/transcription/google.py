"""Google Cloud's Speech-to-Text: https://docs.cloud.google.com/speech-to-text/docs/reference/rest/v2/projects.locations.recognizers/recognize,
https://docs.cloud.google.com/speech-to-text/docs/models/chirp-3 and
https://cloud.google.com/speech-to-text/docs/reference/rest/v1/speech/recognize (read 2026-11-28).

Chirp is asked by version 2, in a project; all other models by version 1, which takes an API key too. A recording is
a part of the request: of at most one minute.
"""

from __future__ import annotations

import base64
from typing import Any

from meshd.services.seam import Ask, Asked, Malformed, Steps, cannot, objects, text
from meshd.services.transcription.query import Heard, Transcription, Word, answer, moment, read

_MOST = 10_000_000  # bytes of a recording
_SELF_DESCRIBED = (b"RIFF", b"fLaC")  # whose encoding version 1 finds itself
_ONLY_CHIRP_2 = "chirp_2"  # is in regions of its own


def transcription(asked: Asked) -> Steps:
    wanted, file = read(asked)
    if len(file.content) > _MOST:
        raise cannot("file", f"which has {len(file.content)} bytes, and it takes {_MOST}")
    start = bytes(file.content[:4])
    content = base64.b64encode(file.content).decode()
    if asked.model.startswith("chirp"):
        body: dict[str, Any] = {"config": _chirp(asked.model, wanted), "content": content}
        host = _ONLY_CHIRP_2 if asked.model == _ONLY_CHIRP_2 else "chirp"
        ask = Ask("POST", "recognizers/_:recognize", json=body, host=host)
    else:
        if start not in _SELF_DESCRIBED:
            raise cannot("file", "and this model reads WAV and FLAC")
        body = {"config": _older(asked.model, wanted), "audio": {"content": content}}
        ask = Ask("POST", "v1/speech:recognize", json=body, host="transcription")
    return answer(wanted, _heard((yield ask).object(), wanted))


def _chirp(model: str, wanted: Transcription) -> dict[str, Any]:
    features: dict[str, Any] = {"enableAutomaticPunctuation": True}
    if wanted.timed:
        features["enableWordTimeOffsets"] = True
    if wanted.diarized:
        features["diarizationConfig"] = {}
    languages = [wanted.language or "auto"]
    return {"autoDecodingConfig": {}, "model": model, "languageCodes": languages, "features": features}


def _older(model: str, wanted: Transcription) -> dict[str, Any]:
    if wanted.language is None:
        raise cannot("language", "left out, and this model has to be told it")
    config: dict[str, Any] = {"model": model, "languageCode": wanted.language, "enableAutomaticPunctuation": True}
    if wanted.timed:
        config["enableWordTimeOffsets"] = True
    if wanted.diarized:
        config["diarizationConfig"] = {"enableSpeakerDiarization": True}
    return config


def _heard(told: dict[str, Any], wanted: Transcription) -> Heard:
    """Raises Malformed."""
    metadata = told.get("metadata")
    billed = metadata.get("totalBilledDuration") if isinstance(metadata, dict) else told.get("totalBilledTime")
    results = objects(told.get("results"))
    if not results and billed is None:
        raise Malformed("without results")
    best = [first[0] for result in results if (first := objects(result.get("alternatives")))]
    words = [_word(each) for alternative in best for each in objects(alternative.get("words"))]
    if wanted.diarized:  # the last result has all words again, with their speakers
        words = [word for word in words if word.speaker] or words
    spoken = " ".join(filter(None, (text(alternative.get("transcript")).strip() for alternative in best)))
    language = text(results[0].get("languageCode")) if results else ""
    return Heard(spoken, words, language or wanted.language or "", _seconds(billed) or None)


def _word(told: dict[str, Any]) -> Word:
    speaker = told.get("speakerLabel") or told.get("speakerTag") or ""
    start, end = told.get("startOffset", told.get("startTime")), told.get("endOffset", told.get("endTime"))
    return Word(text(told.get("word")), _seconds(start), _seconds(end), str(speaker)[:100])


def _seconds(duration: Any) -> float:
    """Of "1.300s"; 0 of anything else."""
    try:
        return moment(float(text(duration).removesuffix("s")))
    except ValueError:
        return 0.0
