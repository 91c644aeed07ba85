"""Usage reports: what a cache held is beside `inputTokens`."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.formats.bedrock.usage import usage_in
from meshd.sdk.provider import Usage


@pytest.mark.parametrize(
    ("report", "usage"),
    [
        ({"inputTokens": 10, "outputTokens": 4, "totalTokens": 14}, Usage(10, 4)),
        (
            {
                "inputTokens": 10, "outputTokens": 4, "totalTokens": 119, "cacheReadInputTokens": 100,
                "cacheWriteInputTokens": 5,
            },
            Usage(115, 4, 100, 5),
        ),
        (
            {
                "inputTokens": 1, "outputTokens": 2, "cacheReadInputTokens": 0, "cacheWriteInputTokens": 30,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 20}, {"ttl": "5m", "inputTokens": 10}],
            },
            Usage(31, 2, 0, 30, lasting_tokens=20),
        ),
        ({"inputTokens": "7", "outputTokens": None, "cacheDetails": [1, {"ttl": "1h"}]}, Usage(7, 0, lasting_tokens=0)),
        ({"totalTokens": 4}, None),
        ([], None),
        (None, None),
    ],
)  # fmt: skip
def test_counts_are_added_up(report: Any, usage: Usage | None) -> None:
    assert usage_in(report) == usage
