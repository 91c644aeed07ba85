"""A daemon that lacks descriptors: nothing is blamed for it, everything is answered or told, and it recovers."""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelmesh import AsyncOpenAIClient, MeshError

FEW = 64


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, FEW))


def config(*upstreams: Any) -> dict[str, Any]:
    return {
        "providers": {f"p{n}": each.provider(max_retries=0) for n, each in enumerate(upstreams)},
        "models": {
            f"p{n}.m": {"provider": f"p{n}", "capabilities": ["chat-completion"]} for n in range(len(upstreams))
        },
        "discovery": {"health": {"interval": "1s"}},
    }


async def load(socket: Path, requests: int, *, stream: bool = False, timeout: float = 60.0) -> Counter[str]:
    """All at once by one client; what each came to."""
    async with AsyncOpenAIClient(socket, timeout=timeout, max_retries=0) as client:

        async def one() -> str:
            try:
                messages = [{"role": "user", "content": "hi"}]
                if not stream:
                    answer: Any = await client.chat.completions.create(model="chat-completion", messages=messages)
                    return str(answer.choices[0].message.content)
                parts: Any = await client.chat.completions.create(
                    model="chat-completion", messages=messages, stream=True
                )
                return "".join([part.choices[0].delta.content or "" async for part in parts if part.choices])
            except MeshError as error:
                return f"{error.code}: {error.message}"

        return Counter(await asyncio.gather(*(one() for _ in range(requests))))


def blamed(daemon: Any) -> list[Any]:
    """What rests, or had failures."""
    rows = daemon.ask("GET", "/mesh/v1/models")["data"]
    bad = [row for row in rows if row.get("failures") or row.get("state", "active") != "active"]
    return bad + [row for row in daemon.ask("GET", "/mesh/v1/providers")["data"] if not row["available"]]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("providers", [1, 2])
def test_few_descriptors_under_load(
    meshd: Callable[..., Any], upstream: Callable[..., Any], eventually: Any, stream: bool, providers: int
) -> None:
    step = {"reply": "whole answer", "delay": 0.5}
    daemon = meshd(config(*(upstream([step]) for _ in range(providers))), preexec_fn=few_files)
    came = asyncio.run(load(daemon.socket, 200, stream=stream))
    assert came == {"whole answer": 200}, came
    assert not blamed(daemon)
    assert daemon.say().choices[0].message.content == "whole answer"
    assert daemon.process.poll() is None
    assert "Traceback" not in daemon.log(), daemon.log()


def test_what_cannot_be_had_in_time_is_reported(meshd: Callable[..., Any], upstream: Callable[..., Any]) -> None:
    daemon = meshd(config(upstream([{"reply": "late", "delay": 6.0}])), preexec_fn=few_files)
    came = asyncio.run(load(daemon.socket, 100, timeout=3.0))
    lacking = [what for what in came if what.startswith("local_lack")]
    assert lacking, came
    assert all("LimitNOFILE=" in what for what in lacking)
    assert all(what.startswith(("local_lack", "timeout")) for what in came), came
    assert not blamed(daemon)
    status = daemon.status()
    assert len(status["lacks"]) == 1
    assert daemon.log().count("LimitNOFILE=") <= 2  # at the start, and when it was met


def test_many_clients_and_few_descriptors(meshd: Callable[..., Any], upstream: Callable[..., Any], dial: Any) -> None:
    """Who finds no room connects again, and has its turn."""
    daemon = meshd(config(upstream([{"reply": "whole answer"}])), preexec_fn=few_files)
    lines = [dial(daemon.socket, greet=False) for _ in range(FEW * 2)]
    for line in lines:
        line.send(line.wire.HELLO)
    waiting, deadline = list(lines), time.monotonic() + 40
    while waiting:  # each has its turn, as soon as others have gone
        assert time.monotonic() < deadline, f"{len(waiting)} found no room"
        line = waiting.pop(0)
        if not line.socket.poll(20):
            waiting.append(line)
            continue
        line.receive(line.wire.WELCOME)
        line.chat()
        assert b"whole answer" in line.receive(line.wire.RESPONSE).body
        line.close()
    assert daemon.process.poll() is None, daemon.log()
    assert "is refused: " in daemon.log(), daemon.log()
    assert daemon.say().choices[0].message.content == "whole answer"
    assert daemon.process.poll() is None
