"""What a running batch leaves of a rate limit."""

from __future__ import annotations

from typing import Any

from tests.support.apps.sdks.batches import line, submit
from tests.support.client.responses import over_socket
from tests.support.waiting import until

RPM = 5


def limited(rpm: int) -> dict[str, Any]:
    """A configuration."""
    off = {"enabled": False}
    provider = {"connector": "modelmesh.scripted.v1", "rate_limit": {"rpm": rpm}, "script": [{"echo": True}]}
    return {
        "providers": {"p": provider},
        "models": {"p.m": {"provider": "p", "capabilities": ["chat-completion"]}},
        "pools": {"chat": {"models": ["p.m"]}},
        "daemon": {"queue_timeout": "0s"},
        "discovery": {"health": off, "sync": off, "local": off},
    }


def test_a_batch_never_takes_the_whole_of_a_limit(meshd: Any) -> None:
    daemon = meshd(limited(RPM))
    with over_socket(daemon) as client:
        made = submit(client, [line(f"n{n}") for n in range(9)])
        until(lambda: answered(client, made.id) == RPM - 1, what="it has its share")
        messages: Any = [{"role": "user", "content": "now"}]
        said = client.chat.completions.create(model="chat", messages=messages).choices[0].message.content
        assert said == "[scripted] now"
        assert answered(client, made.id) == RPM - 1


def answered(client: Any, id: str) -> int:
    """How many of the batch's requests."""
    return int(client.batches.retrieve(id).request_counts.completed)
