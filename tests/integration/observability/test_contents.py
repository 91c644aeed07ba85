"""Prompts and answers in the request log of a real daemon, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelmesh.errors import InvalidRequestError
from tests.support.waiting import until

PERSONAL = "mail ada@example.org"


def config(path: Path, **logging: Any) -> dict[str, Any]:
    sink = {"connector": "modelmesh.file.v1", "path": str(path)}
    script = [{"reply": "the answer for bob@example.org"}]
    failing = [{"error": 400, "message": "not like that"}]
    return {
        "providers": {
            "one": {"connector": "modelmesh.scripted.v1", "script": script},
            "bad": {"connector": "modelmesh.scripted.v1", "script": failing},
        },
        "models": {
            "one.chat": {"provider": "one", "capabilities": ["chat-completion"]},
            "bad.chat": {"provider": "bad", "capabilities": ["chat-completion"]},
        },
        "pools": {"chat": {"capability": "chat-completion", "models": ["one.chat"]}, "cached": {
            "capability": "chat-completion", "models": ["one.chat"], "cache": {"ttl": "1h"},
        }},
        "proxy": {"enabled": True, "port": "auto"},
        "discovery": {each: {"enabled": False} for each in ("health", "sync", "local")},
        "observability": {"logging": {**sink, **logging}},
    }  # fmt: skip


def records(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in lines if line["stream"] == "request"]


@pytest.fixture(scope="module")
def log(module_short: Path) -> Path:
    return module_short / "requests.jsonl"


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, log: Path) -> Any:
    return module_meshd(config(log, level="full", max_payload_size="4KiB"))


def newest(log: Path, count: int, daemon: Any, *arguments: Any, **options: Any) -> list[dict[str, Any]]:
    before = len(records(log))
    for _ in range(count):
        answer = daemon.say(*arguments, **options)
        if options.get("stream"):
            list(answer)
    until(lambda: len(records(log)) >= before + count)
    return records(log)[before:]


def said(record: dict[str, Any]) -> str:
    return str(record["answer"]["choices"][0]["message"]["content"])


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "streamed"])
@pytest.mark.parametrize("pool", ["chat", "cached"])
def test_an_answer_is_logged_as_the_app_got_it(daemon: Any, log: Path, stream: bool, pool: str) -> None:
    found = newest(log, 2, daemon, PERSONAL, pool, stream=stream, temperature=0)
    for record in found:
        assert record["prompt"]["messages"] == [{"role": "user", "content": "mail [email]"}]
        assert said(record) == "the answer for [email]"
        assert record["prompt_size"] > 50
    assert found[1].get("cached", False) == (pool == "cached")


WAYS: dict[str, dict[str, Any]] = {
    "/v1/messages": {"model": "chat", "max_tokens": 9, "messages": [{"role": "user", "content": PERSONAL}]},
    "/v1/responses": {"model": "chat", "input": PERSONAL},
    "/v1/chat/completions": {"model": "chat", "messages": [{"role": "user", "content": PERSONAL}]},
    "/api/chat": {"model": "chat", "messages": [{"role": "user", "content": PERSONAL}]},
}


@pytest.mark.parametrize("path", WAYS)
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "streamed"])
def test_every_api_of_apps(daemon: Any, log: Path, path: str, stream: bool) -> None:
    before = len(records(log))
    address = daemon.status()["http"]["addresses"][0]
    answer = httpx.post(f"{address}{path}", json={**WAYS[path], "stream": stream}, timeout=20)
    assert answer.status_code == 200
    assert "the answer for" in answer.text or stream
    (record,) = until(lambda: records(log)[before:])
    assert "mail [email]" in json.dumps(record["prompt"])
    assert "the answer for [email]" in json.dumps(record["answer"])
    assert isinstance(record["answer"], dict)


def test_a_long_prompt_is_cut(daemon: Any, log: Path) -> None:
    (record,) = newest(log, 1, daemon, "long " * 20_000, "chat")
    assert len(json.dumps(record["prompt"]).encode()) < 5000
    assert record["prompt_size"] > 100_000


def test_a_request_that_fails_has_its_prompt(daemon: Any, log: Path) -> None:
    before = len(records(log))
    with pytest.raises(InvalidRequestError):
        daemon.say("please fail", "bad.chat")
    (record,) = until(lambda: records(log)[before:])
    assert record["status"] == 400
    assert record["prompt"]["messages"][0]["content"] == "please fail"
    assert record["answer"] is None


def test_only_its_owner_reads_the_file(daemon: Any, log: Path) -> None:
    newest(log, 1, daemon)
    assert log.stat().st_mode & 0o777 == 0o600


def test_no_view_shows_contents(daemon: Any, log: Path) -> None:
    newest(log, 1, daemon, "very secret words", "chat")
    daemon.client()
    for path in ("requests", "events", "status", "stats?by=app"):
        shown = json.dumps(daemon.ask("GET", f"/mesh/v1/{path}"))
        assert "secret words" not in shown
        assert "the answer" not in shown
    assert daemon.ask("GET", "/mesh/v1/requests")["data"], "there are some"
    assert "secret words" not in daemon.log()


def test_a_reload_changes_the_level(daemon: Any, log: Path) -> None:
    def level(**logging: Any) -> dict[str, Any]:
        daemon.write(config(log, **logging))
        daemon.ask("POST", "/mesh/v1/reload")
        return newest(log, 1, daemon, PERSONAL, "chat")[0]

    summary = level(level="summary", redact_personal=[])
    assert (summary["prompt"], summary["answer"]) == (PERSONAL, "the answer for bob@example.org")
    assert "prompt" not in level(level="metadata")
    level(level="full", max_payload_size="4KiB")


def test_a_sample_has_every_failure(module_meshd: Any, module_short: Path) -> None:
    log = module_short / "sampled.jsonl"
    daemon = module_meshd(config(log, sample_rate=0))
    for _ in range(5):
        daemon.say("fine", "chat")
    with pytest.raises(InvalidRequestError):
        daemon.say("please fail", "bad.chat")
    found = until(lambda: records(log))
    assert [record["status"] >= 400 for record in found] == [True]
