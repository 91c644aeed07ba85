"""A server of HTTP/2 that refuses, leaves, resets and says nothing, behind a real daemon."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from h2.events import StreamReset

from tests.support.network.certificates import certificate
from tests.support.providers.servers.http2_server import Peer, goaway, http2_server
from tests.support.waiting import WAIT, until

ANSWER = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
).encode()


class FaultyServer:
    """In a thread of its own. What it does is in the request: the first time, it `refuses`, or `leaves` with the
    request unread; it `resets` every time, and is `silent`."""

    def __init__(self, pair: tuple[Path, Path]) -> None:
        self.port = 0
        self.seen: dict[str, int] = {}
        self.reset_at: list[float] = []
        self.ca_file = pair[0]
        self._pair = pair
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), daemon=True)
        self._thread.start()
        assert self._ready.wait(WAIT)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(WAIT)

    async def _run(self) -> None:
        async with http2_server(self._serve, self._pair) as (self.port, _):
            self._ready.set()
            await self._over.wait()

    async def _serve(self, peer: Peer) -> None:
        while True:
            asked = await peer.asked()
            what = json.loads(asked.body)["messages"][0]["content"]
            self.seen[what] = self.seen.get(what, 0) + 1
            if what == "resets":
                peer.h2.reset_stream(asked.stream, 2)
            elif what == "refuses" and self.seen[what] == 1:
                peer.h2.reset_stream(asked.stream, 7)
            elif what == "leaves" and self.seen[what] == 1:
                peer.raw(goaway(asked.stream - 2))
            elif what == "silent":
                await peer.sees(StreamReset)
                self.reset_at.append(time.monotonic())
            else:
                peer.answer(asked.stream, ANSWER, content_type="application/json")
            peer.flush()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyServer]:
    made = FaultyServer(certificate(tmp_path_factory.mktemp("http2"), "server"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def address(server: FaultyServer, module_meshd: Any) -> tuple[str, int]:
    off = {"enabled": False}
    provider = {
        "connector": "openai-compatible.v1",
        "base_url": f"https://127.0.0.1:{server.port}/v1",
        "auth": {"method": "none"},
        "ca_file": str(server.ca_file),
        "connection_pool": {"http2": True},
    }
    names = ["good", "bad"]
    daemon = module_meshd(
        {
            "providers": dict.fromkeys(names, provider),
            "models": {name: {"provider": name, "model": "m", "capabilities": ["chat-completion"]} for name in names},
            "pools": {f"to-{name}": {"models": [name], "retry": {"max_attempts": 1}} for name in names},
            "discovery": {"health": off, "local": off, "sync": off},
            "proxy": {"enabled": True, "port": "auto"},
        }
    )
    place = urlsplit(daemon.status()["http"]["addresses"][0])
    return str(place.hostname), int(place.port or 0)


def asked(address: tuple[str, int], what: str, pool: str = "to-good") -> http.client.HTTPConnection:
    line = http.client.HTTPConnection(*address, timeout=WAIT)
    body = {"model": pool, "messages": [{"role": "user", "content": what}]}
    line.request("POST", "/v1/chat/completions", json.dumps(body))
    return line


@pytest.mark.parametrize("what", ["answers", "refuses", "leaves"])
def test_what_was_not_processed_is_asked_again(address: tuple[str, int], server: FaultyServer, what: str) -> None:
    with asked(address, what).getresponse() as answer:
        assert (answer.status, json.load(answer)["choices"][0]["message"]["content"]) == (200, "ok")
    assert server.seen[what] == (1 if what == "answers" else 2)


def test_a_unary_request_whose_app_leaves_is_reset(address: tuple[str, int], server: FaultyServer) -> None:
    line = asked(address, "silent")
    until(lambda: server.seen.get("silent") == 1)
    left = time.monotonic()
    line.close()
    until(lambda: server.reset_at)
    assert server.reset_at[0] - left < 5.0


def test_a_reset_is_an_error_that_says_so(address: tuple[str, int]) -> None:
    with asked(address, "resets", "to-bad").getresponse() as answer:
        assert answer.status >= 500
        assert "cancelled the request: INTERNAL_ERROR" in answer.read().decode()
