"""What an answer cites: the `citations` of its message, whose positions count from the beginning of the content that
they belong to.

Shapes: https://docs.cohere.com/reference/chat, https://docs.cohere.com/docs/rag-citations and the types of
cohere-python 7.3.1, read on 28 November 2026. A source is a document of the request, or what a tool answered.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from meshd.formats.cohere.conversation.content import FORMAT
from meshd.formats.conversation.citations import Citation
from meshd.formats.conversation.reading import Fields

PLAN = -1
"""The number of the plan, beside those of the content."""
_NUMBERED = re.compile(r"doc:(\d{1,6})(?::\d+)?")
_TEXTS = ("text", "snippet", "content")


class Places:
    """Where the texts of an answer begin, in all of its text. `add` its texts in order, or pieces of them."""

    def __init__(self) -> None:
        self._begun: dict[int, int] = {}  # by the number of a content
        self._length = 0

    def add(self, number: int, text: str) -> None:
        self._begun.setdefault(number, self._length)
        self._length += len(text)

    def of(self, citation: dict[str, Any]) -> int | None:
        """None for a citation that is not about the text but, for example, a thought."""
        kind, number = citation.get("type"), citation.get("content_index")
        if kind == "THINKING_CONTENT":
            return None
        if kind == "PLAN":
            number = PLAN
        found = self._begun.get(number) if isinstance(number, int) else None
        return next(iter(self._begun.values()), 0) if found is None else found


def citations_of(message: dict[str, Any]) -> tuple[Citation, ...]:
    places = Places()
    content = message.get("content")
    for number, block in enumerate(content if isinstance(content, list) else [{"text": content}]):
        if isinstance(block, dict) and isinstance(text := block.get("text"), str):
            places.add(number, text)
    if message.get("tool_plan"):
        places.add(PLAN, "")
    given = message.get("citations")
    return tuple(read for each in (given if isinstance(given, list) else ()) for read in read_citation(each, places))


def read_citation(citation: Any, places: Places) -> Iterator[Citation]:
    """A citation for each of its sources."""
    fields = Fields.of(citation, "", FORMAT, strict=False)
    at = places.of(fields.left)
    start, end, sources = fields.whole("start") or 0, fields.whole("end") or 0, fields.left.get("sources")
    for source in sources if isinstance(sources, list) and at is not None else ():
        if isinstance(source, dict) and (read := _read_source(source)) is not None:
            yield replace(read, start=start + (at or 0), end=end + (at or 0))


def _read_source(source: dict[str, Any]) -> Citation | None:
    fields = Fields(source, "", FORMAT, strict=False)
    kind, id = fields.take("type"), fields.text("id")
    said = Fields.of(fields.left.get("document" if kind == "document" else "tool_output"), "", FORMAT, strict=False)
    url, title = said.text("url"), said.text("title")
    quote = next((text for name in _TEXTS if (text := said.text(name))), "")
    numbered = _NUMBERED.fullmatch(id) if kind == "document" else None
    if not url and not id:
        return None
    return Citation(url, title, 0, 0, quote, id, int(numbered[1]) if numbered else None)


def written_citations(text: str, citations: Iterable[Citation]) -> list[dict[str, Any]]:
    """text: all of an answer's text. Citations without a certain place are left out."""
    placed = [each for each in citations if 0 <= each.start < each.end <= len(text)]
    return [
        {"start": start, "end": end, "text": text[start:end], "sources": [_written(each) for each in cited]}
        for (start, end), cited in itertools.groupby(placed, key=lambda each: (each.start, each.end))
    ]


def _written(each: Citation) -> dict[str, Any]:
    said = {"url": each.url, "title": each.title, "snippet": each.quote}
    number = "" if each.document is None else f"doc:{each.document}"
    document = {name: value for name, value in said.items() if value}
    return {"type": "document", "id": each.id or number or each.url, "document": document}
