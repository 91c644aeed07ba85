"""Unstructured's partition endpoint: https://docs.unstructured.io/api-reference/partition/api-parameters and
https://docs.unstructured.io/api-reference/partition/document-elements (read 2026-11-28).

The model is the strategy: `partition` lets it choose, `partition-fast`, `partition-hi_res`, … ask for one.
"""

from __future__ import annotations

from typing import Any

from meshd.services.documents.query import Page, form, read, result
from meshd.services.seam import Ask, Asked, Malformed, Service, Steps, count, objects, text


def parse(asked: Asked) -> Steps:
    query, file = read(asked, lacks=("instructions",))
    texts = [("strategy", asked.model.partition("-")[2] or "auto"), ("output_format", "application/json")]
    texts += [("languages", each) for each in query.listed_languages]
    kind, body = form("files", file, texts)
    elements = (yield Ask("POST", "general/v0/general", body=body, content_type=kind)).json()
    if not isinstance(elements, list):
        raise Malformed("without elements")
    markdown = query.output != "text"
    pages: dict[int, list[str]] = {}
    told = []
    for element in objects(elements):
        metadata = element.get("metadata")
        number = count(metadata.get("page_number")) if isinstance(metadata, dict) else None
        words = text(element.get("text"))
        pages.setdefault(number or 1, []).append(_marked(element, metadata) if markdown else words)
        told.append({"type": text(element.get("type")), "text": words, "page": number or 1})
    listed = [Page(number, "\n\n".join(filter(None, parts))) for number, parts in sorted(pages.items())]
    return result("markdown" if markdown else "text", listed, None, told if query.elements else None)


def _marked(element: dict[str, Any], metadata: Any) -> str:
    """In Markdown, which may have tables of HTML."""
    words = text(element.get("text"))
    match element.get("type"):
        case "Title":
            return f"# {words}"
        case "ListItem":
            return f"- {words}"
        case "Table":
            return (text(metadata.get("text_as_html")) if isinstance(metadata, dict) else "") or words
        case "PageBreak":
            return ""
    return words


UNSTRUCTURED = Service({"documents.parse": parse})
