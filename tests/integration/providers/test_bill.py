"""What the scripted server says it delivered: what tests of budgets hold a daemon's own count against."""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.operations.chat import CHAT
from meshd.sdk import ProviderCall, ProviderFailure, Usage


def call(model: str, user: str = "", stream: bool = False) -> ProviderCall:
    body = {"messages": [{"role": "user", "content": "hello there"}], "user": user}
    fields = msgspec.json.decode(msgspec.json.encode(body), type=dict[str, msgspec.Raw])
    return ProviderCall(CHAT, model, fields, stream, 10.0, 5.0, 5.0)


async def reported(provider: Any, request: ProviderCall) -> Usage | None:
    """The last that a stream says, whole or cut."""
    found = None
    try:
        async for event in provider.stream(request):
            found = event.usage or found
    except ProviderFailure:
        pass
    return found


async def test_the_bill_says_what_was_delivered_and_for_whom(upstream):
    words = {"tokens": ["a", "b", "c", "d"], "usage": {"prompt_tokens": 9}, "running_usage": True}
    steps = {
        "whole": [words],
        "cut": [words | {"fault": "clean_close", "after": 3}],
        "refused": [{"error": 500}],
    }
    server, provider = await upstream(steps)
    assert (await provider.execute(call("whole", "one"))).usage == Usage(9, 4)
    assert await reported(provider, call("whole", "two", stream=True)) == Usage(9, 4)
    assert await reported(provider, call("cut", "three", stream=True)) == Usage(9, 3)
    assert await reported(provider, call("refused", "four", stream=True)) is None
    assert server.bill.by_model() == {
        "whole": {"requests": 2, "prompt_tokens": 18, "completion_tokens": 8},
        "cut": {"requests": 1, "prompt_tokens": 9, "completion_tokens": 3},
    }
    rows = server.bill.rows()
    assert [row["user"] for row in rows] == ["one", "two", "three", "four"]
    assert [row["completion_tokens"] for row in rows] == [4, 4, 3, 0]
    assert rows == sorted(rows, key=lambda row: row["at"])
