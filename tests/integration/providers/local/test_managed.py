"""Servers that the daemon starts and stops: real programs, at real ports."""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from modelmesh import MeshError
from tests.support.network.ports import free_port
from tests.support.providers.servers import small_server
from tests.support.waiting import WAIT, until


def own(place: Path, *arguments: str, **managed: Any) -> dict[str, Any]:
    """A provider whose server is small and quick to start."""
    port = free_port()
    server = {
        "command": sys.executable,
        "args": ["-I", "-S", small_server.__file__, str(port), *arguments],
        "cwd": str(place),
        "env": {"OF_ITS_OWN": "here"},
    }
    return {
        "connector": "openai-compatible.v1",
        "base_url": f"http://127.0.0.1:{port}/v1",
        "auth": {"method": "none"},
        "managed": server | managed,
    }


def config(**providers: Any) -> dict[str, Any]:
    return {
        "providers": providers,
        "models": {f"{name}.small": {"capabilities": ["chat-completion"]} for name in providers},
        "pools": {name: {"models": [f"{name}.small"], "retry": {"max_attempts": 1}} for name in providers},
        "discovery": {"health": {"enabled": False}},
        "daemon": {"watch": False},
    }


def said(daemon: Any, text: str = "hello", provider: str = "own") -> str:
    return str(daemon.say(text, provider).choices[0].message.content)


def server_of(daemon: Any, provider: str = "own") -> dict[str, Any]:
    rows = {row["name"]: row for row in daemon.ask("GET", "/mesh/v1/providers")["data"]}
    found: dict[str, Any] = (rows[provider].get("details") or {}).get("managed") or {"state": "unused", "starts": 0}
    return found


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_server_is_started_when_needed_and_ends_with_the_daemon(short: Path, meshd: Any) -> None:
    given = config(own=own(short, "--with-another"))
    daemon = meshd(given, env={"OPENAI_API_KEY": "sk-not-for-children"})
    assert server_of(daemon)["state"] in ("unused", "stopped")
    first = int(said(daemon))
    assert (said(daemon, "OF_ITS_OWN"), said(daemon, "OPENAI_API_KEY")) == (f"{first} here", f"{first}")
    shown = server_of(daemon)
    assert (shown["state"], shown["starts"], shown["command"]) == ("running", 1, sys.executable)

    daemon.write({**given, "aliases": {"other": "own"}})
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    assert int(said(daemon)) == first, "a reload that does not concern it leaves it running"

    os.kill(first, signal.SIGKILL)
    until(lambda: gone(first), what="the server ends")
    second = int(said(daemon))
    assert second != first

    other = int((short / "other.pid").read_text())
    assert not gone(other)
    daemon.stop()
    until(lambda: gone(second) and gone(other), what="the server and its own programs end")


def test_a_server_ends_with_a_daemon_that_is_killed(short: Path, meshd: Any) -> None:
    daemon = meshd(config(own=own(short)))
    pid = int(said(daemon))
    daemon.kill()
    until(lambda: gone(pid), what="the server ends")


def test_when_it_is_stopped_and_what_is_said_of_one_that_cannot_run(short: Path, meshd: Any) -> None:
    (short / "loading").touch()
    slow, once = own(short, ready="/health"), own(short, restart=False, cwd="/")
    idle = own(short, idle_timeout="100ms", cwd="/")
    dies, missing = own(short, "--dies"), own(short, command="/nowhere/llama-server")
    daemon = meshd(config(slow=slow, once=once, idle=idle, dies=dies, missing=missing))

    with ThreadPoolExecutor() as pool:
        answer = pool.submit(said, daemon, "hello", "slow")
        until(lambda: server_of(daemon, "slow")["starts"] == 1, what="the server is started")
        assert server_of(daemon, "slow")["state"] == "starting", "it waits until the model is loaded"
        (short / "loading").unlink()
        assert int(answer.result(WAIT))

    first = int(said(daemon, provider="idle"))
    until(lambda: gone(first), what="the unused server is stopped")
    until(lambda: server_of(daemon, "idle")["state"] == "stopped", what="that is shown")
    assert int(said(daemon, provider="idle")) != first

    with pytest.raises(MeshError):
        said(daemon, "end", "once")
    until(lambda: server_of(daemon, "once")["state"] == "stopped", what="the server ends")
    with pytest.raises(MeshError, match="restart"):
        said(daemon, provider="once")

    with pytest.raises(MeshError, match="no such model"):
        said(daemon, provider="dies")
    with pytest.raises(MeshError, match="No such file"):
        said(daemon, provider="missing")
