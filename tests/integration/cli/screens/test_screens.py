"""Every table of the real `meshctl` beside a daemon with names as people and strangers give them: long ones, wide ones,
and texts that would steer a terminal. On terminals of several widths, and in pipes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import termios
import time
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest

from meshd.cli.screen.cells import width_of
from modelmesh import MeshError, OpenAIClient
from modelmesh.testing import MeshProcess
from tests.support.processes import meshctl
from tests.support.processes.forked import Forked

PATIENCE = 40.0
WIDTHS = (60, 80, 120, 200)
LONG = "workstation-in-the-second-room/qwen2.5-coder-32b-instruct-q4_k_m.imatrix"
WIDE = "聊天模型-日本語-한국어"
HOSTILE = f"{WIDE * 8} overloaded \x1b[2J\x1b]0;owned\x07 \u202eback\u202c \x9b31m and\r\nmore"

CONFIG: dict[str, Any] = {
    "providers": {
        "first": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "Hello"}], "budget": {"daily_limit": 5}},
        "a-provider-with-a-rather-long-name-of-its-own": {
            "connector": "modelmesh.scripted.v1",
            "script": [{"reply": "x"}],
        },
        "broken": {"connector": "modelmesh.scripted.v1", "script": [{"error": 503, "message": HOSTILE}]},
        "says": {"connector": "modelmesh.scripted.v1", "script": [{"reply": HOSTILE}]},
    },
    "models": {
        "first.chat": {
            "provider": "first",
            "capabilities": ["chat-completion"],
            "pricing": {"input_per_1m": 1, "output_per_1m": 1},
            "constraints": {"max_output_tokens": 100},
        },
        LONG: {"provider": "a-provider-with-a-rather-long-name-of-its-own", "capabilities": ["chat-completion"]},
        "first.text": {"provider": "first", "capabilities": ["text-completion"]},
        "broken.chat": {"provider": "broken", "capabilities": ["code-generation"]},
        "says.chat": {"provider": "says", "capabilities": ["chat-completion"]},
    },
    "pools": {
        "talk": {"models": ["first.chat", LONG], "retry": {"max_attempts": 1}},
        "a-pool-with-a-name-that-is-longer-than-most-names-are": {"capability": "text-completion"},
        "broken": {"capability": "code-generation", "retry": {"max_attempts": 1}},
    },
}
TABLES = (
    ("status",),
    ("status", "--all"),
    ("pools",),
    ("pools", "talk"),
    ("pools", "broken"),
    ("models",),
    ("models", LONG),
    ("providers",),
    ("providers", "broken"),
    ("apps",),
    ("clients",),
    ("budget",),
    ("stats",),
    ("stats", "--by", "app,model"),
    ("events",),
    ("explain", "talk"),
    ("explain", "broken"),
    ("probe",),
    ("discover",),
    ("connectors",),
    ("connectors", "openai.llm.v1"),
    ("pull", "--list"),
    ("doctor",),
)
OTHERS = (
    ("chat", "says.chat", "hi"),
    ("chat", "says.chat", "hi", "--no-stream"),
    ("chat", "broken", "hi"),
    ("chat", f"no such {HOSTILE}", "hi"),
    ("embed", f"no such {HOSTILE}", "hi"),
    ("pools", HOSTILE),
    ("models", HOSTILE),
    ("providers", HOSTILE),
    ("apps", HOSTILE),
    ("explain", HOSTILE),
    ("explain", "broken", "--app", HOSTILE),
    ("rotate", HOSTILE),
    ("rotate", "broken"),
    ("model", "deactivate", HOSTILE),
    ("model", "activate", "broken.chat"),
    ("stats", "--by", "app,model"),
    ("reload",),
    ("config", "show"),
)
"""Commands that repeat what a model, a provider or the user said, after `TABLES` was tried."""
FRAMES = set("─│┌┐└┘├┤┬┴┼━┃╭╮╰╯█░")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A daemon after some requests, with a client connected that calls itself what it likes."""
    mesh = MeshProcess(str(tmp_path_factory.mktemp("screens")), CONFIG)
    try:
        mesh.start()
        with OpenAIClient(mesh.socket, app="evil \x1b[2J " + WIDE * 3, max_retries=0, timeout=PATIENCE) as client:
            for model in ("talk", LONG, "broken", "broken", "broken"):
                with contextlib.suppress(MeshError):
                    client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
            yield mesh
    finally:
        mesh.stop()


def in_terminal(socket: str, words: tuple[str, ...], width: int, term: str = "xterm-256color") -> str:
    """What a terminal of that width got, without the colours that it asked for. One that is "dumb" asks for none."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = meshctl.environment(("COLUMNS", "LINES", "NO_COLOR"), {"MESH_SOCKET": socket, "TERM": term})
    process = Forked("meshctl", words, [theirs] * 3, environment)
    os.close(theirs)
    seen, deadline = b"", time.monotonic() + PATIENCE
    try:
        while time.monotonic() < deadline:
            try:
                data = os.read(ours, 65536)
            except OSError:  # EIO: the other side is closed
                break
            if not data:
                break
            seen += data
        process.wait(PATIENCE)
    finally:
        process.kill()
        os.close(ours)
    text = seen.decode().replace("\r\n", "\n")
    return text if term == "dumb" else re.sub(r"\x1b\[[0-9;]*m", "", text)


def in_pipe(socket: str, words: tuple[str, ...]) -> str:
    done = meshctl.run(*words, without=("COLUMNS",), MESH_SOCKET=socket)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def steering(text: str) -> list[str]:
    return [letter for letter in text if letter != "\n" and unicodedata.category(letter) in ("Cc", "Cs", "Zl")] + list(
        set(text) & {"\u202e", "\u202c"}
    )


@pytest.mark.parametrize("words", TABLES, ids=" ".join)
def test_every_screen_fits_any_terminal_and_any_pipe(used: Any, words: tuple[str, ...]) -> None:
    for width in (60, 80):
        shown = in_terminal(used.socket, words, width)
        assert shown.strip(), width
        assert not steering(shown), (width, shown)
        too_wide = [line for line in shown.split("\n") if width_of(line) > width]
        assert not too_wide, width
        assert "Traceback" not in shown
        if words == ("status",):
            assert len(shown.splitlines()) <= 23, shown
    piped = in_pipe(used.socket, words)
    assert "could not be checked" not in piped
    assert not steering(piped), piped
    assert not set(piped) & FRAMES, piped
    assert not re.search(r"[ \t]$", piped, re.MULTILINE), "blanks at the end of a line"


FOREIGN = [*OTHERS, *((*words, "--json") for words in TABLES + OTHERS)]


@pytest.mark.parametrize("words", FOREIGN, ids=lambda words: ascii(" ".join(words))[:40])
def test_no_command_lets_others_steer_the_terminal(used: Any, words: tuple[str, ...]) -> None:
    shown = in_terminal(used.socket, words, 80, term="dumb")
    assert shown.strip()
    assert not steering(shown), shown
    assert "Traceback" not in shown
    if words[:2] != ("chat", "says.chat") or "--json" in words:  # an answer has lines of its own
        assert not [line for line in shown.split("\n") if line.startswith("more")]


@pytest.mark.parametrize("words", [("models",), ("pools",), ("providers",), ("stats",)], ids=" ".join)
def test_names_are_whole_on_every_screen(used: Any, words: tuple[str, ...]) -> None:
    rows = json.loads(in_pipe(used.socket, (*words, "--json")))["data"]
    names = {str(row.get("id") or row.get("name")) for row in rows}
    assert len(names) >= 3
    for width in WIDTHS:
        shown = in_terminal(used.socket, words, width)
        for name in names:
            if width_of(name) <= width - 4:
                assert any(name in line for line in shown.split("\n")), (width, name)
    lines = in_pipe(used.socket, words).splitlines()
    assert len(lines) == len(rows) + 1, "a row is a line"
