"""A provider whose key is missing is asked for nothing, and every command says that of it."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.support.providers.servers.local_server import LocalServer

ASKED: list[str] = []


class Open(BaseHTTPRequestHandler):
    """Lists its models to anybody."""

    def do_GET(self) -> None:
        ASKED.append(self.headers.get("Authorization", "nothing"))
        body = b'{"object": "list", "data": [{"id": "m"}, {"id": "n"}]}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def daemon(meshd: Any) -> Any:
    ASKED.clear()
    server = LocalServer(Open)
    entry = {"connector": "openai-compatible.v1", "base_url": server.url}
    keyed = {"with": entry | {"api_key": "k-of-the-one"}, "without": entry | {"api_key": "${secrets:NOT_SET}"}}
    yield meshd({"providers": keyed, "secrets": {"fail_on_missing": False}})
    server.close()


def test_no_command_takes_it_for_one_that_answers(daemon, run_meshctl):
    probed = run_meshctl(daemon, "probe")
    assert "without   left out" in probed.stdout
    assert "secret NOT_SET is missing" in probed.stdout
    assert "with      answers" in probed.stdout
    assert probed.returncode == 1
    rows = json.loads(run_meshctl(daemon, "probe", "without", "--json").stdout)["data"]
    assert [(row["provider"], row["ok"], row["kind"]) for row in rows] == [("without", False, "left_out")]
    found = {row["provider"]: row for row in json.loads(run_meshctl(daemon, "discover", "--json").stdout)["data"]}
    assert found["without"]["models"] is None
    assert "NOT_SET" in found["without"]["error"]
    assert found["with"]["models"] == 2
    for command in ("doctor", "status", "providers"):
        assert "NOT_SET" in run_meshctl(daemon, command).stdout
    assert set(ASKED) == {"Bearer k-of-the-one"}


UNKNOWN = [
    (("providers", "wiht"), 1, "with"),
    (("probe", "wiht"), 1, "with"),
    (("pools", "chat-completoin"), 1, "chat-completion"),
    (("models", "with.mm"), 1, "with.m"),
    (("model", "deactivate", "with.mm"), 1, "with.m"),
    (("rotate", "nothing-like-it"), 1, "chat-completion"),
    (("explain", "nothing-like-it"), 1, "chat-completion"),
    (("explain", "chat-completion", "--app", "defualt"), 1, ""),
    (("chat", "chat-completoin", "hi"), 1, "chat-completion"),
    (("embed", "hi", "--model", "nothing-like-it"), 1, "chat-completion"),
    (("apps", "meshclt"), 1, "meshctl"),
    (("budget", "wiht"), 1, "with"),
    (("stats", "--by", "provider", "--name", "wiht"), 1, ""),
    (("stats", "--where", "app=nosuch"), 1, ""),
    (("events", "--type", "model_rotatd"), 2, "model_rotated"),
    (("connectors", "openai.lml.v1"), 2, "openai.llm.v1"),
    (("connectors", "opena"), 2, "did you mean openai.llm.v1?"),
    (("providers", "wit"), 1, "did you mean with?"),
    (("models", "ith"), 1, "did you mean with"),
    (("pools", "completoin"), 1, "did you mean"),
    (("pull", "smolm"), 1, "did you mean smollm2-135m"),
    (("connectors", "--type", "provdier"), 2, "provider"),
    (("pull", "smollm2-135"), 1, "smollm2-135m"),
]


@pytest.mark.timeout(180)
def test_an_unknown_name_is_reported_with_the_known_ones(daemon, run_meshctl):
    for words, code, meant in UNKNOWN:
        done = run_meshctl(daemon, *words)
        assert (done.returncode, done.stdout) == (code, ""), (words, done)
        assert meant in done.stderr, (words, done.stderr)
        assert done.stderr.startswith("meshctl: "), done.stderr
        assert len(done.stderr.splitlines()[0]) <= 140, done.stderr
