"""What an answer cites: the `annotations` of a message.

Shape: https://platform.openai.com/docs/guides/tools-web-search, read on 28 November 2026. OpenRouter adds the page's
text as `content`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from meshd.formats.conversation.citations import Citation
from meshd.formats.conversation.reading import Fields
from meshd.formats.openai.conversation.content import FORMAT

_KIND = "url_citation"


def taken_annotations(message: Fields) -> tuple[Citation, ...]:
    """Take them from a message or a delta; other kinds are left there."""
    if "annotations" not in message.left:
        return ()
    given = message.take("annotations")
    found = [(each, _read(each)) for each in given] if isinstance(given, list) else []
    cited = tuple(read for _, read in found if read is not None)
    if given != written_annotations(cited) or not cited:
        message.odd()
    if left := [each for each, read in found if read is None]:
        message.left["annotations"] = left
    return cited


def _read(annotation: Any) -> Citation | None:
    """None for another kind."""
    inner = annotation.get(_KIND) if isinstance(annotation, dict) and annotation.get("type") == _KIND else None
    return page_of(inner, FORMAT) if isinstance(inner, dict) else None


def page_of(said: dict[str, Any], format: str) -> Citation | None:
    """None if there is no page."""
    fields = Fields(said, "", format, strict=False)
    url, start, end = fields.text("url"), fields.whole("start_index") or 0, fields.whole("end_index") or 0
    return Citation(url, fields.text("title"), start, end, fields.text("content")) if url else None


def page(cited: Citation) -> dict[str, Any]:
    return {"url": cited.url, "title": cited.title, "start_index": cited.start, "end_index": cited.end}


def written_annotations(citations: Iterable[Citation]) -> list[dict[str, Any]]:
    """The annotations for cited pages: a chat cites nothing else."""
    return [
        {"type": _KIND, _KIND: page(each) | ({"content": each.quote} if each.quote else {})}
        for each in citations
        if each.url
    ]
