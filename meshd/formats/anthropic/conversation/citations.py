"""What an answer cites: the `citations` of its blocks of text, each of which cites all of its block.

Shapes: https://platform.claude.com/docs/en/build-with-claude/citations, …/search-results and
…/agents-and-tools/tool-use/web-search-tool, read on 28 November 2026.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from meshd.formats.anthropic.body.citations import MARK
from meshd.formats.anthropic.conversation.content import FORMAT
from meshd.formats.conversation.citations import Citation, by_part, pieces
from meshd.formats.conversation.parts import Part, Text
from meshd.formats.conversation.reading import Fields

_PAGE, _RESULT, _CHARACTERS = "web_search_result_location", "search_result_location", "char_location"


def citations_of(content: Sequence[Any]) -> tuple[Citation, ...]:
    """content: the blocks."""
    found: list[Citation] = []
    at = 0
    for block in content:
        if not isinstance(block, dict) or block.get("type") != "text":
            continue
        text, given = block.get("text"), block.get("citations")
        end = at + (len(text) if isinstance(text, str) else 0)
        read = [read_citation(each, at, end) for each in given] if isinstance(given, list) else []
        found += [each for each in read if each is not None]
        at = end
    return tuple(found)


def read_citation(citation: Any, start: int, end: int) -> Citation | None:
    """start, end: of its block's text. None for a citation without a source that other formats could name."""
    fields = Fields.of(citation, "", FORMAT, strict=False)
    kind, quote, title = fields.take("type"), fields.text("cited_text"), fields.text("title")
    if kind == _PAGE:
        url = fields.text("url")
        return Citation(url, title, start, end, quote) if url else None
    if kind == _RESULT:
        source = fields.text("source")
        page = source if source.startswith(("https://", "http://")) else ""
        return Citation(page, title, start, end, quote, "" if page else source) if source else None
    number, id = fields.whole("document_index"), fields.text("file_id")
    if number is None and not id:
        return None
    return Citation("", fields.text("document_title"), start, end, quote, id, number)


def written_citations(citations: Iterable[Citation]) -> list[dict[str, Any]]:
    """Citations of pages, and of documents in the request; others have no place here."""
    return [_written(each) for each in citations if each.url or each.document is not None]


def _written(each: Citation) -> dict[str, Any]:
    if each.url:
        return {
            "type": _PAGE,
            "url": each.url,
            "title": each.title or None,
            "cited_text": each.quote,
            "encrypted_index": MARK,
        }
    return {
        "type": _CHARACTERS,
        "document_index": each.document,
        "document_title": each.title or None,
        "cited_text": each.quote,
        "start_char_index": 0,
        "end_char_index": len(each.quote),
        "file_id": None,
    }


def cut(parts: Sequence[Part], citations: Sequence[Citation]) -> list[tuple[Part, list[dict[str, Any]]]]:
    """The parts with what each cites; their texts are cut into pieces accordingly. A block that came in this format
    keeps its own citations."""
    made: list[tuple[Part, list[dict[str, Any]]]] = []
    for part, cited in zip(parts, by_part(parts, citations), strict=True):
        told = [each for each in cited if written_citations([each])]
        if not isinstance(part, Text) or not told or (part.original and part.original.format == FORMAT):
            made.append((part, []))
            continue
        made += [
            (replace(part, text=text, original=None), written_citations(each)) for text, each in pieces(part.text, told)
        ]
    return made
