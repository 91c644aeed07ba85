"""What Gemini's Batch API says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshd.formats.batches.gemini import GeminiBatches
from meshd.formats.batches.protocol import Result
from meshd.sdk.provider import ProviderFailure


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ({"key": "a", "response": {"candidates": []}}, Result("a", 200, b'{"candidates": []}')),
        ({"key": "a", "error": {"code": 3, "message": "no"}}, Result("a", 400, message="no")),
        ({"key": "a", "error": {"code": 8, "message": "later"}}, Result("a", 429, message="later")),
        ({"key": "a", "error": {"code": 404, "message": "none"}}, Result("a", 404, message="none")),
        ({"key": "a", "error": {"code": 99}}, Result("a", 500)),
        ({"key": "a", "error": {"code": 1, "message": "stopped"}}, Result("a", 0, message="stopped")),
        ({"key": "a"}, Result("a", 0)),
        ({"error": {}}, None),
    ],
)
def test_a_line_of_results(line: dict[str, Any], result: Result | None) -> None:
    assert GeminiBatches().result(json.dumps(line).encode()) == result


class _NothingIsSent:
    async def __call__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("it was sent")


class _Lines:
    length = size = 0

    def between(self, begin: bytes, end: bytes) -> None: ...

    async def read(self) -> bytes:
        return b""


async def test_only_generated_content_has_batches() -> None:
    with pytest.raises(ProviderFailure) as failed:
        await GeminiBatches().submit(_NothingIsSent(), _Lines(), "models/m:batchEmbedContents", "r")
    assert failed.value.unsent
