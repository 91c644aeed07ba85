"""Gemini's Batch API: a file of lines is uploaded, and its results are a file.

Read on 2026-11-28: ai.google.dev/api/batch-api, ai.google.dev/gemini-api/docs/batch-api, ai.google.dev/api/files.

Requests could also be in the submission itself, up to 20 MB, but their results would come as one JSON text, and again
each time the batch is looked at.
"""

from __future__ import annotations

import secrets

import msgspec

from meshd.formats.batches.protocol import LinesFile, Remote, Result, Send
from meshd.formats.batches.replies import Once, ask
from meshd.sdk.provider import FailureKind, ProviderFailure
from meshd.sdk.reading.lenient import UNREADABLE

_ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"})
_ALONE, _TOGETHER = "generateContent", "batchGenerateContent"
_STATUS = {
    2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501, 13: 500, 14: 503,
    15: 500, 16: 401,
}  # fmt: skip
"""google.rpc.Code → the status of HTTP for it (googleapis/google/rpc/code.proto)."""
_CANCELLED = 1
_encode = msgspec.json.Encoder().encode


class _File(msgspec.Struct):
    name: str


class _Uploaded(msgspec.Struct):
    file: _File


class _Output(msgspec.Struct):
    responsesFile: str = ""


class _Stats(msgspec.Struct):
    successfulRequestCount: str = "0"


class _About(msgspec.Struct):
    state: str = ""
    batchStats: _Stats = msgspec.field(default_factory=_Stats)
    displayName: str = ""
    output: _Output = msgspec.field(default_factory=_Output)


class _Batch(msgspec.Struct):
    """An operation. response: that of an operation that has succeeded; it repeats the output."""

    name: str
    done: bool = False
    metadata: _About = msgspec.field(default_factory=_About)
    response: _Output = msgspec.field(default_factory=_Output)

    def remote(self) -> Remote:
        state = self.metadata.state.partition("_STATE_")[2]  # BATCH_STATE_…, JOB_STATE_…
        file = self.metadata.output.responsesFile or self.response.responsesFile
        results = (f"{file}:download?alt=media",) if file else ()
        count = self.metadata.batchStats.successfulRequestCount[:9]
        done = int(count) if count.isdecimal() else 0
        return Remote(self.name, self.done or state in _ENDED, results, done)


class _Page(msgspec.Struct):
    operations: list[_Batch] = []


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Line(msgspec.Struct):
    key: str
    response: msgspec.Raw = msgspec.Raw(b"")
    error: _Error | None = None


class GeminiBatches:
    begin, between, end = b"", b"\n", b"\n"
    most: tuple[int | None, int | None] = (None, 2 * 1000**3)
    named = True

    def line(self, id: str, path: str, body: bytes) -> bytes:
        return _encode({"key": id, "request": msgspec.Raw(body)})

    async def submit(self, send: Send, file: LinesFile, path: str, run: str) -> Remote:
        model, _, method = path.rpartition(":")
        if method != _ALONE:
            raise ProviderFailure(FailureKind.UNSUPPORTED, f"its batches have no {method[:40]}", unsent=True)
        boundary = secrets.token_hex(16)
        about = _encode({"file": {"displayName": run}}).decode()
        begin = f"--{boundary}\r\ncontent-type: application/json; charset=utf-8\r\n\r\n{about}\r\n"
        file.between(
            f"{begin}--{boundary}\r\ncontent-type: application/jsonl\r\n\r\n".encode(),
            f"\r\n--{boundary}--\r\n".encode(),
        )
        headers = {
            "content-type": f"multipart/related; boundary={boundary}",
            "x-goog-upload-protocol": "multipart",
        }
        uploaded = await ask(send, _Uploaded, "POST", "files", body=file, headers=headers, branch="upload")
        asked = {"batch": {"displayName": run, "inputConfig": {"fileName": uploaded.file.name}}}
        return (await ask(send, _Batch, "POST", f"{model}:{_TOGETHER}", body=Once(_encode(asked)))).remote()

    async def find(self, send: Send, run: str, since: float, count: int) -> list[Remote]:
        page = await ask(send, _Page, "GET", "batches", query="pageSize=100")
        return [each.remote() for each in page.operations if each.metadata.displayName == run]

    async def look(self, send: Send, id: str) -> Remote:
        return (await ask(send, _Batch, "GET", id)).remote()

    async def cancel(self, send: Send, id: str) -> None:
        await ask(send, dict, "POST", f"{id}:cancel")

    def result(self, line: bytes) -> Result | None:
        try:
            read = msgspec.json.decode(line, type=_Line)
        except UNREADABLE:
            return None
        body = bytes(read.response)
        if read.error is None:
            return Result(read.key, 200, body) if body else Result(read.key, 0)
        code = read.error.code
        if code == _CANCELLED:
            return Result(read.key, 0, message=read.error.message)
        return Result(read.key, _STATUS.get(code, code if code >= 400 else 500), message=read.error.message)
