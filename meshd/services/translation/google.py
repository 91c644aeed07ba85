"""Google Cloud Translation, Basic: https://cloud.google.com/translate/docs/reference/rest/v2/translate (read
2026-11-28). Its requests take 128 texts and 30,000 characters, so that more of them take several.
"""

from __future__ import annotations

from typing import Any

from meshd.services.documents.google import parse
from meshd.services.seam import Ask, Asked, Malformed, Service, Steps, objects, text
from meshd.services.speech.google import speech
from meshd.services.transcription.google import transcription
from meshd.services.translation.query import read, result

_MOST_TEXTS = 128
_LARGEST = 30_000


def translate(asked: Asked) -> Steps:
    translation = read(asked, lacks=("formality", "context"))
    body: dict[str, Any] = {"target": translation.target, "format": translation.format}
    if translation.source is not None:
        body["source"] = translation.source
    if asked.model in ("nmt", "base"):
        body["model"] = asked.model
    found: list[tuple[str, str]] = []
    for part in translation.parts(_MOST_TEXTS, _LARGEST):
        answer = (yield Ask("POST", "language/translate/v2", json={"q": part, **body}, host="translation")).object()
        data: Any = answer.get("data")
        rows = objects(data.get("translations") if isinstance(data, dict) else None)
        if len(rows) != len(part):
            raise Malformed(f"with {len(rows)} translations of {len(part)} texts")
        given = (translation.source or "").lower()
        found += [
            (text(row.get("translatedText")), text(row.get("detectedSourceLanguage")).lower() or given) for row in rows
        ]
    return result(found, sum(map(len, translation.texts)))


GOOGLE_CLOUD = Service(
    {
        "translate": translate,
        "audio.speech": speech,
        "audio.transcriptions": transcription,
        "documents.parse": parse,
    }
)
