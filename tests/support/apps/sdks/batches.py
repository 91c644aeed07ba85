"""Batches for tests: their lines, and what came of them, by OpenAI's SDK."""

from __future__ import annotations

import io
import json
from typing import Any

from tests.support.waiting import WAIT, until

CHAT = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")


def line(id: str, model: str = "chat", text: str = "hi there", **changed: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": text}], **changed.pop("body", {})}
    return {"custom_id": id, "method": "POST", "url": CHAT, "body": body, **changed}


def jsonl(lines: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def upload(client: Any, content: bytes, purpose: str = "batch", **options: Any) -> Any:
    file = io.BytesIO(content)
    file.name = "lines.jsonl"
    return client.files.create(file=file, purpose=purpose, **options)


def submit(client: Any, lines: list[dict[str, Any]], endpoint: Any = CHAT, window: Any = "24h", **options: Any) -> Any:
    uploaded = upload(client, jsonl(lines))
    return client.batches.create(input_file_id=uploaded.id, endpoint=endpoint, completion_window=window, **options)


def finished(client: Any, batch: Any, seconds: float = WAIT) -> Any:
    """The batch when it has ended."""

    def ended() -> Any:
        now = client.batches.retrieve(batch.id)
        return now if now.status in ENDED else None

    return until(ended, seconds, "the batch ends")


def results(client: Any, file: str | None) -> dict[str, Any]:
    """custom_id → the line, of a file of results."""
    if file is None:
        return {}
    rows = [json.loads(row) for row in client.files.content(file).read().splitlines()]
    found = {row["custom_id"]: row for row in rows}
    assert len(found) == len(rows), "a line has two results"
    return found
