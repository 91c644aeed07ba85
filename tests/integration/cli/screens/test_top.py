"""`meshctl top` against a real daemon, driven by keys at 80×24 and read off its screen."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from textual.pilot import Pilot

from meshd.cli.top.dashboard import Top
from meshd.cli.top.source import Source

PATIENCE = 15.0
SIZE = (80, 24)
LONG = "first.a-model-with-a-name-that-is-longer-than-anybody-wants-to-read-on-a-terminal"
CONFIG: dict[str, Any] = {
    "providers": {
        "first": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "Hello"}]},
        "second": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "Hello"}]},
    },
    "models": {
        LONG: {"provider": "first", "capabilities": ["chat-completion"]},
        "second.chat": {"provider": "second", "capabilities": ["chat-completion"]},
    },
    "pools": {"talk": {"capability": "chat-completion", "models": [LONG, "second.chat"]}},
}
EMPTY: dict[str, Any] = {"discovery": {"local": {"enabled": False}}}


class Screen:
    """What is to be seen, and the keys."""

    def __init__(self, pilot: Pilot[None]) -> None:
        self._pilot = pilot

    @property
    def lines(self) -> list[str]:
        strips = self._pilot.app.screen._compositor.render_strips()  # noqa: SLF001 - Textual has no public way to read it
        return ["".join(segment.text for segment in strip) for strip in strips]

    async def press(self, *keys: str) -> None:
        await self._pilot.press(*keys)

    async def wait_for(self, *wanted: str, without: str = "") -> str:
        """The screen, as soon as all of it is to be seen. Nothing on it is ever wider than the terminal."""
        deadline = time.monotonic() + PATIENCE
        while True:
            width, height = self._pilot.app.size
            lines = self.lines
            assert len(lines) == height
            assert {len(line) for line in lines} == {width}
            text = "\n".join(lines)
            if all(each in text for each in wanted) and not (without and without in text):
                return text
            assert time.monotonic() < deadline, f"{wanted} (without {without!r}) is not to be seen:\n{text}"
            await self._pilot.pause(0.02)


@pytest.fixture
def top() -> Callable[..., Any]:
    @asynccontextmanager
    async def run(daemon: Any, size: tuple[int, int] = SIZE) -> AsyncIterator[Screen]:
        async with Top(Source(daemon.socket), interval=0.1).run_test(size=size) as pilot:
            yield Screen(pilot)

    return run


async def test_everything_at_a_glance(meshd: Any, top: Any) -> None:
    daemon = meshd(CONFIG)
    for _ in range(3):
        daemon.say(model="talk")
    async with top(daemon) as screen:
        text = await screen.wait_for("● live", "talk", "2/2", "in flight", "req/s", "first", "total", "today $0", "p50")
        assert "r rotate" in screen.lines[-1]
        assert "first.a-mod" in text
        await screen.press("2")
        await screen.wait_for("second.chat", "active", "requests", "d deactivate")
        await screen.press("3")
        await screen.wait_for("app ", "requests  ", " 3 ")
        await screen.press("4")
        await screen.wait_for("budget")
        await screen.press("5")
        await screen.wait_for("no events yet")
        await screen.press("tab")
        await screen.wait_for("r rotate")
        await screen.press("question_mark")
        await screen.wait_for("rotate the selected pool", "Esc closes")
        await screen.press("escape")
        await screen.wait_for("r rotate", without="Esc closes")


@pytest.mark.parametrize("size", [(60, 12), (80, 24), (200, 60)])
async def test_any_size(meshd: Any, top: Any, size: tuple[int, int]) -> None:
    daemon = meshd(CONFIG)
    daemon.say(model="talk")
    async with top(daemon, size) as screen:
        await screen.wait_for("● live", "talk", "2/2")
        assert (LONG in "\n".join(screen.lines)) == (size[0] == 200)
        for tab in "2345":
            await screen.press(tab)
            await screen.wait_for("● live", "? help")


async def test_rotating_asks_and_the_daemon_does_it(meshd: Any, top: Any) -> None:
    daemon = meshd(CONFIG)
    daemon.say(model="talk")
    current = lambda: next(pool["current"] for pool in daemon.ask("GET", "/mesh/v1/pools")["data"])  # noqa: E731
    assert current() == LONG
    async with top(daemon) as screen:
        await screen.wait_for("talk")
        await screen.press("r")
        await screen.wait_for("rotate talk to its next model?", "y: yes")
        await screen.press("enter")
        await screen.wait_for("not done", without="y: yes")
        assert current() == LONG
        await screen.press("r", "y")
        await screen.wait_for("talk → second.chat", "model_rotated")
        assert current() == "second.chat"
        await screen.press("2", "r")
        await screen.wait_for("select a pool to rotate first: key 1")


async def test_a_model_is_switched_off_and_on(meshd: Any, top: Any) -> None:
    daemon = meshd(CONFIG)
    async with top(daemon) as screen:
        await screen.wait_for("talk")
        await screen.press("d")
        await screen.wait_for("select a model to deactivate first: key 2")
        await screen.press("enter")
        await screen.wait_for("of talk (Esc: all)", "second.chat")
        await screen.press("down", "d")
        await screen.wait_for("second.chat: take it out of service?")
        await screen.press("y")
        await screen.wait_for("second.chat is standby", "deactivated by", "model_deactivated")
        assert daemon.model("second.chat")["deactivated"] == "meshctl top"
        await screen.press("a", "y")
        await screen.wait_for("second.chat is active", "model_activated")
        assert daemon.model("second.chat")["deactivated"] is None
        await screen.press("escape")
        await screen.wait_for("second.chat", without="(Esc: all)")


async def test_sorting_keeps_the_line_selected(meshd: Any, top: Any) -> None:
    daemon = meshd(CONFIG)
    async with top(daemon) as screen:
        await screen.press("2")
        await screen.wait_for("second.chat")
        await screen.press("down", "s")
        await screen.wait_for("model▴")
        await screen.press("S")
        text = await screen.wait_for("model▾")
        assert text.index("second.chat") < text.index("first.a-model")
        await screen.press("d")
        await screen.wait_for("second.chat: take it out of service?")
        await screen.press("n")


async def test_a_reload_and_one_that_is_refused(meshd: Any, top: Any) -> None:
    daemon = meshd(CONFIG)
    async with top(daemon) as screen:
        await screen.wait_for("talk")
        daemon.write(CONFIG | {"pools": CONFIG["pools"] | {"added": {"capability": "chat-completion"}}})
        await screen.press("R", "y")
        await screen.wait_for("added", "config_reloaded")
        daemon.write(CONFIG | {"poools": {}})
        await screen.press("R", "y")
        await screen.wait_for("refused:", "poools")
        # The watcher may have read the first one, too; what was refused is no generation.
        assert daemon.status()["config"]["generation"] in (2, 3)
        assert "added" in {pool["name"] for pool in daemon.status()["pools"]}


async def test_the_daemon_goes_away_and_comes_back(meshd: Any, top: Any) -> None:
    daemon = meshd(CONFIG)
    async with top(daemon) as screen:
        await screen.wait_for("● live", "talk")
        await asyncio.to_thread(daemon.kill)
        await screen.wait_for("● no daemon", "talk")
        await screen.press("R", "y")
        await screen.press("3", "1", "question_mark", "escape")
        daemon.spawn()
        await screen.wait_for("● live", "talk")
        await asyncio.to_thread(daemon.say, "hi", "talk")
        await screen.press("r", "y")
        await screen.wait_for("talk → ", "model_rotated")


async def test_what_comes_after_the_end_draws_nothing(meshd: Any) -> None:
    """Workers and keys outlive the screen by a moment."""
    application = Top(Source(meshd(CONFIG).socket), interval=0.1)
    async with application.run_test(size=SIZE):
        pass
    application.action_reverse()


async def test_nothing_configured(meshd: Any, top: Any) -> None:
    daemon = meshd(EMPTY)
    async with top(daemon) as screen:
        await screen.wait_for("● live", "no pools")
        await screen.press("r")
        await screen.wait_for("select a pool")
        for key in ("2", "d", "enter", "3", "s", "S", "4", "5", "s", "1", "s"):
            await screen.press(key)
            await screen.wait_for("● live")


@pytest.mark.parametrize("colour", [True, False])
def test_at_a_terminal(meshd: Any, launch: Any, colour: bool) -> None:
    daemon = meshd(CONFIG)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    ends = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    environment = {"MESH_SOCKET": str(daemon.socket), "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    process = launch("top", **ends, **environment, **({} if colour else {"NO_COLOR": "1"}))
    os.close(theirs)
    seen = b""
    deadline = time.monotonic() + PATIENCE
    while "● live".encode() not in seen:
        assert time.monotonic() < deadline, seen
        seen += os.read(ours, 65536) if select.select([ours], [], [], 0.2)[0] else b""
    os.write(ours, b"q")
    while process.poll() is None:
        assert time.monotonic() < deadline, seen
        with suppress(OSError):  # EIO: the other side is closed
            seen += os.read(ours, 65536) if select.select([ours], [], [], 0.1)[0] else b""
    os.close(ours)
    assert process.returncode == 0
    assert b"Traceback" not in seen
    assert bool(re.search(rb"\x1b\[(?:\d+;)*3[1-7][;m]", seen)) == colour


def test_one_look_as_json(meshd: Any, launch: Any) -> None:
    daemon = meshd(CONFIG)
    daemon.say(model="talk")
    process = launch("top", "--json", "--interval", "0.2", stdout=-1, stderr=-1, MESH_SOCKET=str(daemon.socket))
    printed, errors = process.communicate(timeout=40)
    assert (process.returncode, errors) == (0, b"")
    found = json.loads(printed)
    assert [pool["name"] for pool in found["pools"]][:1] == ["talk"]
    assert found["status"]["requests"]["total"] == 1


def test_no_terminal_and_no_daemon(launch: Any, short: Any) -> None:
    process = launch("top", stdout=-1, stderr=-1)
    assert b"--json" in process.communicate(timeout=40)[1]
    assert process.returncode == 2
    away = launch("top", "--json", stdout=-1, stderr=-1, MESH_SOCKET=str(short / "nobody.sock"))
    assert b"No daemon answers" in away.communicate(timeout=40)[1]
    assert away.returncode == 69
