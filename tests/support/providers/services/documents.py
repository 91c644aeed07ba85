"""Parsers of documents as their providers document them, read on 2026-11-28; the words are ours.

Unstructured: https://docs.unstructured.io/api-reference/partition/document-elements
LlamaParse: https://developers.llamaindex.ai/llamaparse/parse/guides/response-format/

A document has the two pages of `PAGES`. A file that is called `never.pdf` is never done, `broken.pdf` fails.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.base_protocol import BaseProtocol

from tests.support.providers.services.server import LocalService

PAGES = ("The keeper", "Two lamps")


async def form(request: web.Request) -> dict[str, list[Any]]:
    """Texts, and files as (name, content type, content), by field."""
    found: dict[str, list[Any]] = {}
    loop = asyncio.get_running_loop()
    stream = StreamReader(BaseProtocol(loop), 2**30, loop=loop)  # never pauses
    stream.feed_data(await request.read())
    stream.feed_eof()
    async for part in MultipartReader(request.headers, stream):
        assert isinstance(part, BodyPartReader)
        content = bytes(await part.read(decode=False))
        value: Any = (
            content.decode() if part.filename is None else (part.filename, part.headers["Content-Type"], content)
        )
        found.setdefault(str(part.name), []).append(value)
    return found


# -- Unstructured -------------------------------------------------------------------------------------


async def _unstructured(request: web.Request) -> web.Response:
    asked = await form(request)
    (name, kind, _content), (strategy,) = asked["files"][0], asked["strategy"]
    assert strategy in ("auto", "fast", "hi_res")
    elements = []
    for number, words in enumerate(PAGES, 1):
        metadata = {"filename": name, "filetype": kind, "languages": ["eng"], "page_number": number}
        elements += [
            {"type": "Title", "element_id": f"a{number}", "text": words, "metadata": metadata},
            {"type": "NarrativeText", "element_id": f"b{number}", "text": f"{words} at night.", "metadata": metadata},
        ]
    table = "<table><tr><td>1</td></tr></table>"
    last = {**elements[-1]["metadata"], "text_as_html": table}  # type: ignore[dict-item]
    elements.append({"type": "Table", "element_id": "c", "text": "1", "metadata": last})
    return web.json_response(elements)


def _unstructured_failure(status: int) -> web.Response:
    said = {401: "API key is malformed, please type the API key correctly in the header.", 429: "Too many requests"}
    return web.json_response({"detail": said.get(status, "Internal Server Error")}, status=status)


UNSTRUCTURED = LocalService(
    "unstructured",
    {"POST /general/v0/general": _unstructured},
    _unstructured_failure,
    header="unstructured-api-key",
    scheme="",
)

# -- LlamaParse ---------------------------------------------------------------------------------------


class LlamaParse:
    """Jobs by id: how often each was asked for, and the name of its file."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self.jobs: dict[str, list[Any]] = {}

    async def upload(self, request: web.Request) -> web.Response:
        asked = await form(request)
        configuration = json.loads(asked["configuration"][0])
        if configuration["tier"] not in ("fast", "cost_effective", "agentic", "agentic_plus"):
            return _llamaparse_failure(422)
        id = f"pjb-{next(self._ids)}"
        self.jobs[id] = [0, asked["file"][0][0], configuration]
        told = {"id": id, "project_id": "p", "status": "PENDING", "tier": configuration["tier"]}
        return web.json_response(told)

    async def job(self, request: web.Request) -> web.Response:
        id = request.match_info["id"]
        if id not in self.jobs:
            return _llamaparse_failure(404)
        self.jobs[id][0] += 1
        times, name, _ = self.jobs[id]
        job: dict[str, Any] = {"id": id, "project_id": "p", "status": "COMPLETED", "error_message": None}
        if name == "broken.pdf":
            job.update(status="FAILED", error_message="The file is encrypted.")
        elif times == 1 or name == "never.pdf":
            job["status"] = "RUNNING"
        answer: dict[str, Any] = {"job": job}
        wanted = request.query.getall("expand", [])
        if job["status"] == "COMPLETED":
            pages = list(enumerate(PAGES, 1))
            if "markdown" in wanted:
                told = [{"page_number": at, "markdown": f"# {words}", "success": True} for at, words in pages]
                answer["markdown"] = {"pages": told}
            if "text" in wanted:
                answer["text"] = {"pages": [{"page_number": at, "text": words} for at, words in pages]}
            if "items" in wanted:
                items = [
                    {"page_number": at, "success": True, "items": [{"type": "heading", "level": 1, "value": words}]}
                    for at, words in pages
                ]
                answer["items"] = {"pages": items}
        return web.json_response(answer)


def _llamaparse_failure(status: int) -> web.Response:
    said = {
        401: "Invalid API key",
        402: "You've exceeded the maximum number of credits for your plan.",
        404: "Not Found",
    }
    return web.json_response({"detail": said.get(status, "Internal Server Error")}, status=status)


def llamaparse(jobs: LlamaParse) -> LocalService:
    routes = {"POST /api/v2/parse/upload": jobs.upload, "GET /api/v2/parse/{id}": jobs.job}
    return LocalService("llamaparse", routes, _llamaparse_failure)
