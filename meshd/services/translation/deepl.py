"""DeepL: https://developers.deepl.com/api-reference/translate (read 2026-11-28).

Its requests take 50 texts and 128 KiB, so that more of them take several.
"""

from __future__ import annotations

from typing import Any

from meshd.services.seam import Ask, Asked, Malformed, Service, Steps, count, objects, text
from meshd.services.translation.query import read, result

_MOST_TEXTS = 50
_LARGEST = 30_000
"""Characters, of which each may take four bytes."""
_FORMALITY = {"more": "prefer_more", "less": "prefer_less"}
"""Languages without one are translated as they are, instead of being refused."""


def translate(asked: Asked) -> Steps:
    translation = read(asked)
    body: dict[str, Any] = {"target_lang": _target(translation.target), "show_billed_characters": True}
    if translation.source is not None:
        body["source_lang"] = translation.source.partition("-")[0].upper()  # it knows no variants of sources
    if translation.formality != "default":
        body["formality"] = _FORMALITY[translation.formality]
    if translation.format == "html":
        body["tag_handling"] = "html"
    if translation.context is not None:
        body["context"] = translation.context
    found: list[tuple[str, str]] = []
    billed = 0
    for part in translation.parts(_MOST_TEXTS, _LARGEST):
        answer = (yield Ask("POST", "v2/translate", json={"text": part, **body})).object()
        rows = objects(answer.get("translations"))
        if len(rows) != len(part):
            raise Malformed(f"with {len(rows)} translations of {len(part)} texts")
        found += [(text(row.get("text")), text(row.get("detected_source_language")).lower()) for row in rows]
        told = [count(row.get("billed_characters")) for row in rows]
        billed += sum(len(each) if number is None else number for each, number in zip(part, told, strict=True))
    return result(found, billed)


def _target(language: str) -> str:
    """`en` and `pt` are deprecated as targets: they are those of the United States and of Brazil."""
    return {"EN": "EN-US", "PT": "PT-BR"}.get(language.upper(), language.upper())


DEEPL = Service({"translate": translate})
