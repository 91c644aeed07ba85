"""What a client hears of a request that takes long: nothing at first, then that it is alive. A real daemon whose ten
seconds of silence are a fraction of one."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.daemons.clocks.hasty import breaking_silence
from tests.support.daemons.pool_rule_cases import Cases
from tests.support.waiting import WAIT

SILENCE = 0.8
LONG = "2500ms"
PATHS = ("/v1/chat/completions", "/v1/responses", "/v1/messages")
PINGS = {path: b"event: ping\n" if path == "/v1/messages" else b": keepalive\n" for path in PATHS}
ONCE: dict[str, Any] = {"retry": {"max_attempts": 1}}


@pytest.fixture(scope="module")
def url(module_meshd: Any, module_upstream: Any, module_short: Path) -> str:
    server = module_upstream()
    cases = Cases(server, proxy={"enabled": True, "port": "auto", "socket": str(module_short / "http.sock")})
    cases.model("quick", {"reply": "one two"})
    cases.model("slow", {"reply": "one two", "delay": LONG})
    cases.model("thinks", {"tokens": ["one ", "two"], "preface": True, "fault": "pause", "pause": LONG})
    cases.model("pauses", {"tokens": ["one ", "two"], "fault": "pause", "after": 1, "pause": LONG})
    cases.model("refuses", {"error": 400, "message": "no good", "delay": "50ms"})
    cases.model("fails", {"error": 500, "delay": LONG})
    cases.model("full", {"reply": "one two", "delay": LONG}, provider={"rate_limit": {"concurrency": 1}})
    for name in ("quick", "slow", "thinks", "pauses", "refuses", "fails", "full"):
        cases.pool(name, name, **ONCE)
    first = {"strategy": "priority-selection", **ONCE, "stream": {"first_token_timeout": "1200ms"}}
    cases.model("mute", {"tokens": ["never"], "preface": True, "fault": "silence", "after": 0})
    cases.pool("mute", "mute", "quick", model_priority=["mute", "quick"], **first)
    cases.play()
    daemon = module_meshd(cases.config, env=breaking_silence(module_short, SILENCE))
    address: str = daemon.status()["http"]["addresses"][0]
    return address


def body_for(path: str, model: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "hi"}]
    asked = {"input": messages} if path == "/v1/responses" else {"messages": messages, "max_tokens": 100}
    return {"model": model, "stream": True, **asked, **fields}


def heard(url: str, path: str, model: str, **fields: Any) -> tuple[list[tuple[float, bytes]], bytes]:
    """What came, with the seconds after the request; and all of it."""
    body = json.dumps(body_for(path, model, **fields)).encode()
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=WAIT) as line:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        began, pieces = time.monotonic(), []
        line.sendall(head.encode() + body)
        while data := line.recv(65536):
            pieces.append((time.monotonic() - began, data))
    return pieces, b"".join(data for _, data in pieces)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("model", ["slow", "thinks"])
def test_nothing_at_first_then_that_it_is_alive_then_the_answer(url: str, path: str, model: str) -> None:
    pieces, said = heard(url, path, model)
    assert pieces[0][0] > 0.8 * SILENCE, "its status stays open"
    assert said.startswith(b"HTTP/1.1 200 ")
    body = said.partition(b"\r\n\r\n")[2]
    ping = body.find(PINGS[path])
    assert 0 <= ping < body.find(b"one"), "nothing of the answer comes before it has content"
    assert said.count(PINGS[path]) >= 2
    assert b"two" in said


@pytest.mark.parametrize("path", PATHS)
def test_one_that_is_answered_soon_hears_only_the_answer(url: str, path: str) -> None:
    assert PINGS[path] not in heard(url, path, "quick")[1]


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_that_pauses_in_the_middle_is_kept_open(url: str, path: str) -> None:
    _, said = heard(url, path, "pauses")
    assert said.find(b"one") < said.find(PINGS[path]) < said.find(b"two")


@pytest.mark.parametrize("path", PATHS)
def test_an_error_has_its_own_status_until_then(url: str, path: str) -> None:
    _, said = heard(url, path, "refuses")
    assert said.startswith(b"HTTP/1.1 400 ")
    assert b"no good" in said
    _, said = heard(url, path, "fails")
    assert said.startswith(b"HTTP/1.1 200 ")
    assert PINGS[path] in said
    assert b"error" in said.rpartition(PINGS[path])[2], "it is told inside the stream"


@pytest.mark.parametrize("path", PATHS)
def test_a_unary_answer_is_waited_for_in_silence(url: str, path: str) -> None:
    pieces, said = heard(url, path, "slow", stream=False)
    assert pieces[0][0] > 2
    assert PINGS[path] not in said


def test_one_that_waits_in_the_queue_is_kept_open(url: str) -> None:
    async def both() -> tuple[httpx.Response, httpx.Response]:
        async with httpx.AsyncClient(timeout=WAIT) as client:
            asks = [client.post(f"{url}{PATHS[0]}", json=body_for(PATHS[0], "full")) for _ in range(2)]
            first, second = await asyncio.gather(*asks)
            return first, second

    for answer in asyncio.run(both()):
        assert answer.status_code == 200
        assert PINGS[PATHS[0]].decode() in answer.text
        assert "two" in answer.text


@pytest.mark.parametrize("path", PATHS)
def test_a_model_that_only_begins_is_left_by_our_own_clock(url: str, path: str) -> None:
    """It names the role, then says nothing more: the app sees neither that nor the failure."""
    _, said = heard(url, path, "mute")
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"x-mesh-attempts: 2" in said
    assert b"two" in said
    starts = {"/v1/messages": b'"message_start"', "/v1/responses": b'"response.created"', PATHS[0]: b'"role"'}
    assert said.count(starts[path]) == 1
