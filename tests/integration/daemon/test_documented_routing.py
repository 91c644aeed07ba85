"""Every example of docs/routing.md, run unchanged.

The document's own rules: a YAML block is a configuration, one without `providers` extends the first block, and a
daemon is started with it. A table "asked | answered by" after it is asked, line by line; a console block is typed.

Of a line's first cell, in order: a pool or model, parts of the body (`"stream": true`), how often ("5 times", "5 at
once"); or a `meshctl` command. Of its second: who answers ("2 × `a`, `b`"), "mostly `a`", "the same", `503 code`;
with what text; "kept" where it came from the cache.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import modelmesh

PAGE = (Path(__file__).parents[3] / "docs" / "routing.md").read_text(encoding="utf-8")
STRATEGIES = {
    "stick-until-failure",
    "priority-selection",
    "round-robin",
    "cost-first",
    "latency-first",
    "session-stickiness",
    "rate-limit-aware",
    "load-balanced",
}
_PARTS = re.compile(
    r"^```(\w+)\n((?:(?!```).*\n)*)```|^\| asked \| answered by \|\n\|[- |]+\|\n((?:\|.*\n)+)", re.MULTILINE
)


class Answer(NamedTuple):
    """model: its id, or an error's "503 code". text: what it said. kept: by the cache."""

    model: str
    text: str = ""
    kept: bool = False


class Part(NamedTuple):
    """kind: the language of a fenced block, or "table"."""

    kind: str
    text: str


def parts(section: str) -> list[Part]:
    return [Part(kind or "table", text or rows) for kind, text, rows in _PARTS.findall(section)]


_SECTIONS = {title: parts(body) for title, body in re.findall(r"^##+ (.*)\n((?:(?!^##).*\n)*)", PAGE, re.MULTILINE)}
CAST = next(part.text for found in _SECTIONS.values() for part in found if part.kind == "yaml")
SECTIONS = {title: found for title, found in _SECTIONS.items() if any(part.kind in ("yaml", "table") for part in found)}


# -- what is asked -----------------------------------------------------------------------------------------


class Asked(NamedTuple):
    model: str
    body: dict[str, Any]
    times: int
    at_once: bool


def read_asked(cell: str) -> Asked:
    (model, *fields), times = re.findall(r"`(.*?)`", cell), re.search(r"`[, ]+(\d+) (times|at once)$", cell)
    assert re.sub(r"`.*?`", "", cell).strip(" ,") == (times[0].strip("`, ") if times else ""), f"not understood: {cell}"
    body = json.loads("{" + ", ".join(fields) + "}")
    return Asked(model, body, int(times[1]) if times else 1, bool(times and times[2] == "at once"))


async def ask(client: Any, asked: Asked) -> Answer:
    body = {"messages": [{"role": "user", "content": "Hello"}], **asked.body}
    try:
        if asked.body.get("stream"):
            chunks = [chunk async for chunk in await client.chat.completions.create(model=asked.model, **body)]
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            return Answer(chunks[-1].mesh.model, text)
        answer = await client.chat.completions.create(model=asked.model, **body)
    except modelmesh.MeshError as error:
        return Answer(f"{error.status_code} {error.code}", error.message)
    return Answer(answer.mesh.model, answer.choices[0].message.content or "", bool(answer.mesh.cached))


async def ask_all(daemon: Any, asked: Asked) -> list[Answer]:
    client = daemon.async_client()
    try:
        if asked.at_once:
            return list(await asyncio.gather(*(ask(client, asked) for _ in range(asked.times))))
        return [await ask(client, asked) for _ in range(asked.times)]
    finally:
        await client.close()


def typed(daemon: Any, command: str) -> str:
    """A command's output, as on a terminal without colours."""
    program, *words = shlex.split(command, comments=True)
    assert program == "meshctl", command
    environment = os.environ | {"MESH_SOCKET": str(daemon.socket), "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "meshd.cli", *words], env=environment, capture_output=True, text=True, timeout=40
    )
    return "\n".join(line.rstrip() for line in (done.stdout + done.stderr).strip().splitlines())


# -- what is said of the answers ---------------------------------------------------------------------------


def check(answers: list[Answer], said: str, at_once: bool) -> None:
    """`said`: the second cell."""
    models = [answer.model for answer in answers]
    if text := re.search(r'"(.*)"$', said):
        assert {answer.text for answer in answers} == {text[1]}
        said = said[: text.start()].rstrip(": ")
    if mostly := re.fullmatch(r"mostly `(.*)`", said):
        assert models.count(mostly[1]) > len(models) / 2, Counter(models)
    elif shares := re.fullmatch(r"about (.*)", said):
        expected = Counter(counted(shares[1]))
        assert expected.total() == len(models)
        for model in {*expected, *models}:
            assert models.count(model) == pytest.approx(expected[model], abs=0.15 * len(models)), Counter(models)
    elif said == "the same each time":
        assert len(set(models)) == 1, Counter(models)
    else:
        expected = counted(said.replace(", kept", ""))
        if at_once:
            assert Counter(models) == Counter(expected)
        else:
            assert models == expected
        kept = re.search(r"(?:(\d+) × )?`[^`]*`, kept$", said)
        assert [answer.kept for answer in answers].count(True) == (int(kept[1] or 1) if kept else 0)


def counted(said: str) -> list[str]:
    """ "2 × `a`, `b`" in full."""
    found = re.findall(r"(?:(\d+) × )?`([^`]*)`", said)
    assert re.sub(r"(?:\d+ × )?`[^`]*`", "", said).strip(", ") == "", f"not understood: {said}"
    return [model for times, model in found for _ in range(int(times or 1))]


@pytest.mark.parametrize("title", SECTIONS)
async def test_an_example_does_what_is_said(title: str, meshd: Any) -> None:
    daemon: Any = None
    for part in SECTIONS[title]:
        if part.kind == "yaml":
            daemon = meshd(part.text if "providers:" in part.text else CAST + part.text)
        elif part.kind == "table":
            for row in part.text.splitlines():
                cell, said = (each.strip() for each in row.removeprefix("|").removesuffix("|").split(" | "))
                if cell.startswith("`meshctl "):
                    typed(daemon, cell.strip("`"))
                    continue
                asked = read_asked(cell)
                answers = await ask_all(daemon, asked)
                try:
                    check(answers, said, asked.at_once)
                except AssertionError as error:
                    raise AssertionError(f"{row}\n{error}\n{answers[:5]}") from None
        elif part.kind == "console":
            for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", part.text, re.MULTILINE):
                in_a_pipe = output.rstrip().replace("  ✓ ", "  kept ").replace("  ✗ ", "  dropped ")
                assert typed(daemon, command) == in_a_pipe


def test_every_strategy_has_an_example_that_is_asked() -> None:
    asked = {
        strategy
        for found in SECTIONS.values()
        if any(part.kind == "table" for part in found)
        for part in found
        if part.kind == "yaml"
        for strategy in re.findall(r"strategy: ([\w-]+)", part.text)
    }
    assert asked == STRATEGIES


def test_nothing_that_looks_like_an_example_is_left_out() -> None:
    """A table whose head was changed, or a block in another language, would not be run."""
    run = [part.kind for found in SECTIONS.values() for part in found]
    assert run.count("yaml") == PAGE.count("```yaml")
    assert run.count("console") == PAGE.count("```console")
    assert run.count("table") == PAGE.count("answered by |\n")
    assert run.count("table") > len(STRATEGIES)
