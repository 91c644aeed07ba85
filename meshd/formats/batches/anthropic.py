"""Anthropic's Message Batches API: all requests in one body, and results as lines.

Read on 2026-11-28: platform.claude.com/docs/en/api/messages/batches.

Its batches cannot have a name. A batch whose submission was cut off is recognised by its time and its number of
requests; the ids of its results show whether it is the right one.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from meshd.formats.batches.protocol import LinesFile, Remote, Result, Send
from meshd.formats.batches.replies import ask
from meshd.sdk.reading.lenient import UNREADABLE

_PATH = "messages/batches"
_SLACK = 60.0  # s by which two clocks may differ
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "overloaded_error": 529,
}
_encode = msgspec.json.Encoder().encode


class _Batch(msgspec.Struct):
    id: str
    processing_status: str = ""
    created_at: datetime | None = None
    request_counts: dict[str, int] = {}

    def remote(self) -> Remote:
        ended = self.processing_status == "ended"
        results = (f"{_PATH}/{self.id}/results",) if ended else ()
        return Remote(self.id, ended, results, self.request_counts.get("succeeded", 0))


class _Page(msgspec.Struct):
    data: list[_Batch] = []


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""


class _Told(msgspec.Struct):
    error: _Error = msgspec.field(default_factory=_Error)


class _Outcome(msgspec.Struct):
    type: str
    message: msgspec.Raw = msgspec.Raw(b"")
    error: _Told | None = None


class _Line(msgspec.Struct):
    custom_id: str
    result: _Outcome


class AnthropicBatches:
    begin, between, end = b'{"requests":[', b",\n", b"]}"
    most: tuple[int | None, int | None] = (100_000, 256 * 1000**2)
    named = False

    def line(self, id: str, path: str, body: bytes) -> bytes:
        return _encode({"custom_id": id, "params": msgspec.Raw(body)})

    async def submit(self, send: Send, file: LinesFile, path: str, run: str) -> Remote:
        return (await ask(send, _Batch, "POST", _PATH, body=file)).remote()

    async def find(self, send: Send, run: str, since: float, count: int) -> list[Remote]:
        page = await ask(send, _Page, "GET", _PATH, query="limit=100")
        return [
            each.remote()
            for each in page.data
            if each.created_at is not None
            and each.created_at.timestamp() >= since - _SLACK
            and sum(each.request_counts.values()) == count
        ]

    async def look(self, send: Send, id: str) -> Remote:
        return (await ask(send, _Batch, "GET", f"{_PATH}/{id}")).remote()

    async def cancel(self, send: Send, id: str) -> None:
        await ask(send, _Batch, "POST", f"{_PATH}/{id}/cancel")

    def result(self, line: bytes) -> Result | None:
        try:
            read = msgspec.json.decode(line, type=_Line)
        except UNREADABLE:
            return None
        if read.result.type == "succeeded":
            return Result(read.custom_id, 200, bytes(read.result.message))
        if read.result.type != "errored" or read.result.error is None:
            return Result(read.custom_id, 0, message=read.result.type)
        told = read.result.error.error
        return Result(read.custom_id, _STATUS.get(told.type, 400), message=told.message)
