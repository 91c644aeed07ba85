"""Google Cloud Vision: https://docs.cloud.google.com/vision/docs/reference/rest/v1/images/annotate and
https://docs.cloud.google.com/vision/docs/reference/rest/v1/files/annotate (read 2026-11-28).

It reads text in pictures: an image is one request; a PDF, TIFF or GIF is one for each five pages.
"""

from __future__ import annotations

import base64
from typing import Any

from meshd.sdk.calls.failure import FailureKind
from meshd.services.documents.query import Page, Parse, read, result
from meshd.services.seam import Ask, Asked, File, Malformed, Steps, cannot, count, failed, objects, text

_AT_ONCE = 5  # pages
_MOST_PAGES = 2000
_OF_PAGES = {b"%PDF": "application/pdf", b"II*\0": "image/tiff", b"MM\0*": "image/tiff", b"GIF8": "image/gif"}
_BREAKS = {"SPACE": " ", "SURE_SPACE": " ", "EOL_SURE_SPACE": "\n", "LINE_BREAK": "\n"}
_THEIRS = (3, 9)  # codes of what is wrong with the file: INVALID_ARGUMENT, FAILED_PRECONDITION


def parse(asked: Asked) -> Steps:
    query, file = read(asked, lacks=("instructions",))
    if query.output == "markdown":
        raise cannot("output", "and it gives text alone")
    told: list[dict[str, Any]] = []
    kind = _OF_PAGES.get(bytes(file.content[:4]))
    if kind is None:
        told = _responses((yield _ask("v1/images:annotate", {"image": _content(file)}, query)).object())
    else:
        source = {"inputConfig": {**_content(file), "mimeType": kind}}
        total = _AT_ONCE
        while len(told) < min(total, _MOST_PAGES):
            pages = list(range(len(told) + 1, min(total, len(told) + _AT_ONCE) + 1)) if told else []
            asked_now = {**source, "pages": pages} if pages else source
            [answer] = _responses((yield _ask("v1/files:annotate", asked_now, query)).object())[:1]
            more = _responses(answer)
            told += more
            total = count(answer.get("totalPages")) or len(told)
    listed = [Page(number, _text(each).rstrip("\n")) for number, each in enumerate(told, 1)]
    elements = [made for number, each in enumerate(told, 1) for made in _blocks(each, number)]
    return result("text", listed, len(told), elements if query.elements else None)


def _ask(path: str, source: dict[str, Any], query: Parse) -> Ask:
    request: dict[str, Any] = {**source, "features": [{"type": "DOCUMENT_TEXT_DETECTION"}]}
    if query.listed_languages:
        request["imageContext"] = {"languageHints": query.listed_languages}
    return Ask("POST", path, json={"requests": [request]}, host="vision")


def _content(file: File) -> dict[str, str]:
    return {"content": base64.b64encode(file.content).decode()}


def _responses(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """At least one. Raises Malformed, ProviderFailure."""
    found = objects(answer.get("responses"))
    for each in found:
        error = each.get("error")
        if isinstance(error, dict):
            kind = FailureKind.UNSUPPORTED if error.get("code") in _THEIRS else FailureKind.SERVER
            raise failed(text(error.get("message")), kind)
    if not found:
        raise Malformed("without responses")
    return found


def _annotation(told: dict[str, Any]) -> dict[str, Any]:
    """Missing from a page without text."""
    found = told.get("fullTextAnnotation")
    return found if isinstance(found, dict) else {}


def _text(told: dict[str, Any]) -> str:
    return text(_annotation(told).get("text"))


def _blocks(told: dict[str, Any], number: int) -> list[dict[str, Any]]:
    found = []
    for page in objects(_annotation(told).get("pages")):
        for block in objects(page.get("blocks")):
            words = [word for each in objects(block.get("paragraphs")) for word in objects(each.get("words"))]
            spelt = "".join(_spelt(symbol) for word in words for symbol in objects(word.get("symbols")))
            kind = text(block.get("blockType")).lower() or "text"
            found.append({"type": kind, "text": spelt.rstrip("\n "), "page": number})
    return found


def _spelt(symbol: dict[str, Any]) -> str:
    """A sign, and what separates it from the next one."""
    told = symbol.get("property")
    after = told.get("detectedBreak") if isinstance(told, dict) else None
    return text(symbol.get("text")) + (_BREAKS.get(text(after.get("type")), "") if isinstance(after, dict) else "")
