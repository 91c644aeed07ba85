"""What an app is told when the daemon ends, and when its own time is over: a sentence that says what to do."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from modelmesh import MeshError

# The daemon's, or the client's own where it knows first.
DRAINING = (
    "The daemon is shutting down; ask again in a moment.",
    "The daemon is draining and takes no new requests; ask again when it is restarted.",
)
NO_ANSWER = (
    "No answer came before the request's deadline; ask again, or set a longer timeout.",
    "No answer came within the request's timeout; ask again, or give it a longer one.",
)
SLOW = {"connector": "modelmesh.scripted.v1", "script": [{"fault": "timeout"}]}


def refusal(client: Any, timeout: float, stream: bool = False) -> MeshError:
    """What asking comes to."""
    question: dict[str, Any] = {"model": "slow.m", "messages": [{"role": "user", "content": "x"}]}
    try:
        list(client.chat.completions.create(**question, stream=stream, timeout=timeout))
    except MeshError as error:
        return error
    raise AssertionError("it was answered")


def test_a_daemon_that_drains(meshd):
    daemon = meshd({"providers": {"slow": SLOW}, "models": {"slow.m": {"provider": "slow"}}})
    client = daemon.client()
    first = threading.Thread(target=refusal, args=(daemon.client(), 5))
    first.start()
    daemon.ask("POST", "/mesh/v1/drain", {"timeout": 0.1})
    for stream in (False, True):
        told = refusal(client, 3, stream)
        assert told.message.split("\n")[0] in DRAINING
        assert (told.code, told.retryable) == ("draining", True)
    first.join(20)


@pytest.mark.parametrize("stream", [False, True])
def test_a_deadline_that_passes(meshd, stream):
    daemon = meshd({"providers": {"slow": SLOW}, "models": {"slow.m": {"provider": "slow"}}})
    told = refusal(daemon.client(), 0.5, stream)
    lines = told.message.split("\n")
    assert lines[0] in NO_ANSWER
    assert all(line.startswith("  ") for line in lines[1:])
