"""What is told when something fails, through the real client and the real `meshctl`: one sentence that says what to do,
then the details, each once; in the daemon's log a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from modelmesh import MeshError, OpenAIClient
from modelmesh.testing import MeshProcess
from tests.support.processes import meshctl as forked

PATIENCE = 40.0
ERRORS = {
    "key": {"error": 401, "message": "Incorrect API key provided"},
    "forbidden": {"error": 403, "message": "You have insufficient permissions for this operation."},
    "often": {"error": 429, "message": "Rate limit reached"},
    "server": {"error": 500, "message": "The server had an error"},
    "empty": {"error": 502, "message": "bad gateway"},
}
REFUSALS = {
    "wrong": {"error": 400, "message": "temperature is too high"},
    "model": {"error": 403, "message": "this key may not use this model"},
}
OFF = {"retry": {"max_attempts": 1}}
SAID = {**{name: row["message"] for name, row in (ERRORS | REFUSALS).items()}, "closed": "", "spent": "", "two": ""}


def config() -> dict[str, Any]:
    rows = ERRORS | REFUSALS
    providers: dict[str, Any] = {
        name: {"connector": "modelmesh.scripted.v1", "script": [row]} for name, row in rows.items()
    }
    providers["closed"] = {
        "connector": "openai-compatible.v1",
        "base_url": "http://127.0.0.1:9/v1",
        "auth": {"method": "none"},
    }
    providers["spent"] = {
        "connector": "modelmesh.scripted.v1",
        "script": [{"reply": "x"}],
        "budget": {"daily_limit": 0.000001},
    }
    prices = {"pricing": {"input_per_1m": 1000, "output_per_1m": 1000}}
    return {
        "providers": providers,
        "models": {
            f"{name}.m": {"provider": name, "capabilities": ["chat-completion"], **(prices if name == "spent" else {})}
            for name in providers
        },
        "pools": {
            **{name: {"capability": "chat-completion", "providers": [name], **OFF} for name in providers},
            "two": {"capability": "chat-completion", "providers": ["server", "closed"], "retry": {"max_attempts": 2}},
        },
        "discovery": {"health": {"enabled": False}},
    }


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    daemon = MeshProcess(str(tmp_path_factory.mktemp("errors")), config())
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.stop()


def check(text: str) -> None:
    sentence, *details = text.rstrip("\n").split("\n")
    assert len(sentence) <= 120, sentence
    assert re.fullmatch(r"[A-Z`].*[.?]", sentence), sentence
    advises = re.search(r"\b(ask|check|give|add|see|start|become|change|says|did you mean)\b", sentence)
    assert advises or details[0].startswith("  there are: "), text
    assert len(set(details)) == len(details), text
    assert all(detail.startswith("  ") for detail in details), text
    assert not re.search(r"Traceback|\w+Error\b|asked for", text), text


def meshctl(*words: str, **environment: str) -> tuple[int, str, str]:
    done = forked.run(*words, **environment)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("pool", SAID)
def test_a_failure_is_told_once_by_client_and_command(mesh: Any, pool: str) -> None:
    code, stdout, stderr = meshctl("chat", pool, "hi", MESH_SOCKET=mesh.socket)
    assert (code, stdout) == (1, "")
    assert stderr.startswith("meshctl: ")
    check(stderr.removeprefix("meshctl: "))
    assert not SAID[pool] or stderr.count(SAID[pool]) == 1, stderr
    with OpenAIClient(mesh.socket, max_retries=0, timeout=PATIENCE) as client, pytest.raises(MeshError) as caught:
        client.chat.completions.create(model=pool, messages=[{"role": "user", "content": "hi"}])
    if pool in REFUSALS:  # the provider's own words are the app's
        assert str(caught.value) == SAID[pool]
    else:
        check(str(caught.value))
        assert str(caught.value).count(SAID[pool] or "\n\n") == (1 if SAID[pool] else 0)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("chat", "talkk", "hi"), 1),
        (("pools", "kee"), 1),
        (("models", "no-such"), 1),
        (("providers", "no-such"), 1),
        (("rotate", "no-such"), 1),
        (("model", "activate", "no-such"), 1),
        (("probe", "no-such"), 1),
        (("explain", "no-such"), 1),
        (("stats", "--by", "nothing"), 2),
    ],
)
def test_a_wrong_name(mesh: Any, words: tuple[str, ...], code: int) -> None:
    found, stdout, stderr = meshctl(*words, MESH_SOCKET=mesh.socket)
    assert (found, stdout) == (code, "")
    if code == 1:
        check(stderr.removeprefix("meshctl: "))


def test_no_daemon(tmp_path: Any) -> None:
    socket = str(tmp_path / "none.sock")
    for words in (("status",), ("chat", "x", "hi"), ("events",)):
        code, _, stderr = meshctl(*words, MESH_SOCKET=socket)
        assert code == 69
        check(stderr.removeprefix("meshctl: "))
        assert stderr.count(socket) == 1
    with OpenAIClient(socket, max_retries=0, timeout=1.0) as client, pytest.raises(MeshError) as caught:
        client.models.list()
    check(str(caught.value))


def test_the_log_tells_each_failure_on_a_line(mesh: Any) -> None:
    meshctl("chat", "server", "hi", MESH_SOCKET=mesh.socket)
    lines = mesh.log().splitlines()
    assert lines
    for line in lines:
        assert re.match(r"\d\d:\d\d:\d\d", line), line
        assert not re.search(r"Traceback|\d\.\d{3,} ?s\b", line), line
