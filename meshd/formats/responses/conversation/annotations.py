"""What an answer cites: the `annotations` of its texts, whose places count from the beginning of the text that has
them.

Shapes: https://platform.openai.com/docs/guides/tools-web-search, …/tools-file-search, read on 28 November 2026.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from meshd.formats.conversation.citations import Citation
from meshd.formats.conversation.reading import Fields
from meshd.formats.openai.conversation.annotations import page, page_of
from meshd.formats.responses.conversation.content import FORMAT


def citations_of(output: Any) -> tuple[Citation, ...]:
    """What its texts cite."""
    found: list[Citation] = []
    at = 0
    for item in output if isinstance(output, list) else ():
        content = item.get("content") if isinstance(item, dict) and item.get("type") == "message" else None
        for part in content if isinstance(content, list) else ():
            if not isinstance(part, dict):
                continue
            given, text = part.get("annotations"), part.get("text")
            read = [read_citation(each, at) for each in given] if isinstance(given, list) else []
            found += [each for each in read if each is not None]
            at += len(text) if isinstance(text, str) else 0
    return tuple(found)


def read_citation(annotation: Any, at: int) -> Citation | None:
    """at: where its text begins. None for another kind, such as files that the model wrote."""
    if not isinstance(annotation, dict):
        return None
    if annotation.get("type") == "url_citation":
        found = page_of(annotation, FORMAT)
        return found if found is None else replace(found, start=found.start + at, end=found.end + at)
    if annotation.get("type") != "file_citation":
        return None
    fields = Fields(annotation, "", FORMAT, strict=False)
    id, title, place = fields.text("file_id"), fields.text("filename"), (fields.whole("index") or 0) + at
    return Citation("", title, place, place, id=id) if id else None


def written_annotations(citations: Iterable[Citation]) -> list[dict[str, Any]]:
    """Annotations for pages, and for files that their provider names."""
    return [_written(each) for each in citations if each.url or each.id]


def _written(each: Citation) -> dict[str, Any]:
    if each.url:
        return {"type": "url_citation", **page(each)}
    return {"type": "file_citation", "file_id": each.id, "filename": each.title, "index": each.end}
