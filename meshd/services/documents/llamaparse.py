"""LlamaParse, version 2: https://developers.llamaindex.ai/llamaparse/parse/guides/api-reference/ and
https://developers.llamaindex.ai/reference/resources/parsing/methods/get (read 2026-11-28).

The model is the tier: `fast` (text alone), `cost_effective`, `agentic`, `agentic_plus`. A job cannot be cancelled.
"""

from __future__ import annotations

from typing import Any

from meshd.sdk.reading import lenient
from meshd.services.documents.query import Page, Parse, form, read, result
from meshd.services.seam import (
    POLLED,
    Ask,
    Asked,
    Begun,
    Malformed,
    Service,
    Steps,
    Wait,
    cannot,
    count,
    failed,
    objects,
    pauses,
    segment,
    text,
)

_FAST = "fast"


def parse(asked: Asked) -> Steps:
    query, file = read(asked)
    output = query.output or ("text" if asked.model == _FAST else "markdown")
    if asked.model == _FAST and (output == "markdown" or query.elements):
        raise cannot("elements" if query.elements else "output", "and its fast tier gives text alone")
    kind, body = form("file", file, [("configuration", lenient.plain(_configuration(asked.model, query)).decode())])
    job = (yield Ask("POST", "api/v2/parse/upload", body=body, content_type=kind)).object()
    yield Begun()
    path = f"api/v2/parse/{segment(job.get('id'))}"
    for pause in pauses():
        yield Wait(pause)
        state = _job((yield Ask("GET", path, again=POLLED)).object())
        if state.get("status") == "COMPLETED":
            break
        if state.get("status") in ("FAILED", "CANCELLED"):
            raise failed(text(state.get("error_message")) or f"the job is {state['status'].lower()}")
    wanted = [output, "job_metadata", *(["items"] if query.elements else [])]
    answer = (yield Ask("GET", path, {"expand": wanted}, again=POLLED)).object()
    content: Any = answer.get(output)
    if not isinstance(content, dict) or not isinstance(content.get("pages"), list):
        raise Malformed(f"without pages of {output}")
    pages = [Page(count(page.get("page_number")) or at, text(page.get(output))) for at, page in _numbered(content)]
    elements = _elements(answer.get("items")) if query.elements else None
    metadata: Any = answer.get("job_metadata")
    billed = count(metadata.get("job_pages")) if isinstance(metadata, dict) else None
    return result(output, pages, len(pages) if billed is None else billed, elements)


def _configuration(tier: str, query: Parse) -> dict[str, Any]:
    made: dict[str, Any] = {"tier": tier, "version": "latest"}
    if query.instructions is not None:
        if tier == _FAST:
            raise cannot("instructions", "and its fast tier has no language model")
        made["agentic_options"] = {"custom_prompt": query.instructions}
    if query.listed_languages:
        made["processing_options"] = {"ocr_parameters": {"languages": query.listed_languages}}
    return made


def _job(answer: dict[str, Any]) -> dict[str, Any]:
    """In an object of its own, where it comes with results."""
    inside = answer.get("job")
    return inside if isinstance(inside, dict) else answer


def _numbered(content: Any) -> list[tuple[int, dict[str, Any]]]:
    pages = objects(content.get("pages")) if isinstance(content, dict) else []
    return list(enumerate(pages, 1))


def _elements(items: Any) -> list[dict[str, Any]]:
    told = []
    for at, page in _numbered(items):
        number = count(page.get("page_number")) or at
        for item in objects(page.get("items")):
            words = text(item.get("value")) or text(item.get("md"))
            told.append({"type": text(item.get("type")), "text": words, "page": number})
    return told


LLAMAPARSE = Service({"documents.parse": parse})
