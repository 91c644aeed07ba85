"""Nothing that comes from outside steers the operator's terminal, or adds a line at its left edge, in any command."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import DataTable, Static

from meshd.cli.top.dashboard import Top
from meshd.cli.top.model import Snapshot
from modelmesh import MeshError

PAGE = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text(encoding="utf-8")
SHAPES = {
    operation.replace("/mesh/v1/", ""): json.loads(block)
    for intro, block in re.findall(r"\n\n(`(?:GET|POST) [^\n]*)\n\n```json\n(.*?)```", PAGE, flags=re.DOTALL)
    for operation in re.findall(r"`((?:GET|POST) /mesh/v1/[^`]*)`", intro)[:1]
}
SHAPES["POST models/deactivate"] = SHAPES["POST models/activate"]
LINE = "FORGED"
HOSTILE = (
    "\x1b]52;c;cm0gLXJmIH4=\x07\x1b]0;title\x1b\\\x1b[2J\x1b[31m\x9b2J\x9d0;x\x9c\x07\x08\x7f\x00"
    f"\u202egnp.exe\u2066\u200b\u061c\ufeff\r{LINE}\n{LINE}\x85{LINE}\u2028{LINE}\x0b{LINE}"
)
STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\u2028\u2029]")
COMMANDS = [
    "status", "status --all", "pools", "pools chat", "models", "models openai.gpt", "providers", "providers openai",
    "apps", "apps mail", "clients", "budget", "explain chat", "stats", "events", "events --follow", "reload",
    "rotate chat", "model activate x", "model deactivate x", "probe", "discover", "drain", "config show", "chat m hi",
    "chat m hi --no-stream", "embed hi", "transcribe /etc/passwd", "image hi -o /dev/null", "doctor",
]  # fmt: skip


def poisoned(value: Any, key: str = "") -> Any:
    """Every text with what would steer a terminal; programs' own words (a status, a type) stay as they are."""
    if isinstance(value, str):
        return value if key in ("status", "measure", "window", "scope", "type", "severity") else value + HOSTILE
    if isinstance(value, dict):
        return {name: poisoned(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [poisoned(each, key) for each in value]
    return value


def check(text: str) -> None:
    assert STEERS.findall(text) == []
    assert [line for line in text.split("\n") if line.startswith(LINE)] == []


@pytest.fixture
def hostile(fake: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("COLUMNS", "20000")  # no line is wrapped
    for operation, shape in SHAPES.items():
        fake.answers[operation.replace("NAME", "chat")] = poisoned(shape)
    pools = fake.answers["GET pools/chat"]
    fake.answers["GET pools"] = {"data": [pools]}
    for name in ("chat", "openai", "openai.gpt", "mail"):  # asked for by name
        for path, key in (("models", "id"), ("providers", "name"), ("apps", "name"), ("stats", "by"), ("events", "x")):
            fake.answers[f"GET {path}?{key}={name}"] = fake.answers[f"GET {path}"]
    plain = dict(fake.answers)

    class Answers(dict[str, Any]):
        def __missing__(self, key: str) -> Any:
            return plain[key.partition("?")[0]]

    fake.answers = Answers(plain)
    fake.pieces = ["a\n\tb" + HOSTILE[:7], HOSTILE[7:]]
    fake.live = fake.answers["GET events"]["data"]
    return fake


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command(words: str, hostile: Any, meshctl: Any) -> None:
    found = meshctl(*words.split())
    check(found.stderr)
    check(
        found.stdout.replace("\n", " ") if words.startswith(("chat", "transcribe")) else found.stdout
    )  # an answer has lines of its own
    assert found.stdout or found.stderr


@pytest.mark.parametrize("words", [each for each in COMMANDS if each != "doctor"])
def test_as_json(words: str, hostile: Any, meshctl: Any) -> None:
    found = meshctl(*words.split(), "--json")
    check(found.stdout)
    check(found.stderr)
    assert json.loads(found.stdout.split("\n")[0] if "--follow" in words else found.stdout)


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_an_error(words: str, form: list[str], hostile: Any, meshctl: Any) -> None:
    error = MeshError("It failed" + HOSTILE, code="x" + HOSTILE, status_code=400, attempts=[{"message": HOSTILE}])
    hostile.answers = defaultdict(lambda: error)
    hostile.pieces, hostile.live = [error], [error]
    found = meshctl(*words.split(), *form)
    check(found.stderr)
    check(found.stdout)


def test_an_answer_in_a_pipe_is_as_it_came(hostile: Any, meshctl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshd.cli.screen.output.on_terminal", lambda: False)
    assert meshctl("chat", "m", "hi").stdout.rstrip("\n") == "a\n\tb" + HOSTILE


class Source:
    """What `meshctl top` asks."""

    def __init__(self, answers: Any) -> None:
        self._answers = answers

    def _rows(self, path: str) -> Any:
        return self._answers[f"GET {path}"]["data"]

    async def snapshot(self) -> Snapshot:
        rows = {path: self._rows(path) for path in ("pools", "models", "apps", "budget")}
        rows["budgets"] = rows.pop("budget")
        return Snapshot(0.0, 0.0, self._answers["GET status"], **rows, totals={("app", "x" + HOSTILE): 1})

    async def events(self) -> AsyncIterator[Any]:
        for event in self._rows("events"):
            yield event
        raise MeshError("gone")

    async def order(self, path: str, body: Any) -> Any:
        raise MeshError("no" + HOSTILE)

    async def close(self) -> None:
        pass


async def test_top(hostile: Any) -> None:
    async with Top(Source(hostile.answers), interval=0.05).run_test(size=(200, 50)) as pilot:  # type: ignore[arg-type]
        for key in ("1", "enter", "2", "3", "4", "5", "R", "y"):
            await pilot.press(key)
            await pilot.pause()
            for line in pilot.app.query(Static):
                assert STEERS.findall(str(line.content)) == []
                assert "\n" not in str(line.content)
            table = pilot.app.query_one(DataTable)
            for at in range(table.row_count):
                assert STEERS.findall("".join(map(str, table.get_row_at(at)))) == []
