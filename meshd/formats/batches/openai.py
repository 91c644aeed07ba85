"""OpenAI's Batch API: a file of lines is uploaded, and its results are files.

Read on 2026-11-28: developers.openai.com/api/reference (batches, files).
"""

from __future__ import annotations

import secrets

import msgspec

from meshd.formats.batches.protocol import LinesFile, Remote, Result, Send
from meshd.formats.batches.replies import Once, ask
from meshd.sdk.reading.lenient import UNREADABLE

_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_NAME = "meshd"  # the key of the metadata by which a batch is found
_encode = msgspec.json.Encoder().encode


class _File(msgspec.Struct):
    id: str


class _Batch(msgspec.Struct):
    id: str
    status: str = ""
    output_file_id: str | None = None
    error_file_id: str | None = None
    metadata: dict[str, str] | None = None
    request_counts: dict[str, int] | None = None

    def remote(self) -> Remote:
        files = tuple(f"files/{id}/content" for id in (self.output_file_id, self.error_file_id) if id)
        return Remote(self.id, self.status in _ENDED, files, (self.request_counts or {}).get("completed", 0))


class _Page(msgspec.Struct):
    data: list[_Batch] = []


class _Response(msgspec.Struct):
    status_code: int
    body: msgspec.Raw = msgspec.Raw(b"")


class _Error(msgspec.Struct):
    message: str | None = None


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: _Error | None = None


class _Told(msgspec.Struct):
    error: _Error | None = None


class OpenAIBatches:
    begin, between, end = b"", b"\n", b"\n"
    most: tuple[int | None, int | None] = (50_000, 200 * 1000**2)
    named = True

    def line(self, id: str, path: str, body: bytes) -> bytes:
        return _encode({"custom_id": id, "method": "POST", "url": f"/v1/{path}", "body": msgspec.Raw(body)})

    async def submit(self, send: Send, file: LinesFile, path: str, run: str) -> Remote:
        boundary = secrets.token_hex(16)
        field = f'--{boundary}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        part = f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="{run}.jsonl"\r\n'
        begin = f"{field}{part}content-type: application/jsonl\r\n\r\n"
        file.between(begin.encode(), f"\r\n--{boundary}--\r\n".encode())
        headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
        uploaded = await ask(send, _File, "POST", "files", body=file, headers=headers)
        asked = {
            "input_file_id": uploaded.id,
            "endpoint": f"/v1/{path}",
            "completion_window": "24h",
            "metadata": {_NAME: run},
        }
        return (await ask(send, _Batch, "POST", "batches", body=Once(_encode(asked)))).remote()

    async def find(self, send: Send, run: str, since: float, count: int) -> list[Remote]:
        page = await ask(send, _Page, "GET", "batches", query="limit=100")
        return [each.remote() for each in page.data if (each.metadata or {}).get(_NAME) == run]

    async def look(self, send: Send, id: str) -> Remote:
        return (await ask(send, _Batch, "GET", f"batches/{id}")).remote()

    async def cancel(self, send: Send, id: str) -> None:
        await ask(send, _Batch, "POST", f"batches/{id}/cancel")

    def result(self, line: bytes) -> Result | None:
        try:
            read = msgspec.json.decode(line, type=_Line)
            if read.response is None:
                return Result(read.custom_id, 0, message=(read.error and read.error.message) or "")
            body = bytes(read.response.body)
            if read.response.status_code < 400:
                return Result(read.custom_id, read.response.status_code, body)
            told = msgspec.json.decode(body, type=_Told).error
            return Result(read.custom_id, read.response.status_code, body, (told and told.message) or "")
        except UNREADABLE:
            return None
