"""Providers that repeat what they were asked with, every secret of it, in whatever they say of a failure: nothing that
a person or an app is told, and nothing that is written down, has any of it."""

from __future__ import annotations

import base64
import json
import re
import signal
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest

from modelmesh import MeshError
from tests.support.processes import meshctl
from tests.support.providers.servers.local_server import LocalServer
from tests.support.waiting import until

SECRETS = {
    "KEY": "hK7-first+key/of=the.provider-93",
    "NEXT": "hK8-second+key/of=the.provider-94",
    "PAIR": "hK9-another-of-the-pair-95",
    "HEADER": "Wq3-value-of-a-secret-header-71",
    "TENANT": "tenant-that-is-secret-by-reference",
    "PASSWORD": "pw5-of-the-address-28",
    "QUERY": "qs6-in-the-query-of-it-39",
}

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda said: quote(said, safe=""),
    "json": lambda said: "".join(f"\\u{ord(sign):04x}" for sign in said),
    "base64": lambda said: base64.b64encode(said.encode()).decode(),
}


class Parrot(BaseHTTPRequestHandler):
    """Repeats all that it was ever sent, in the way and the spelling that its path names."""

    protocol_version = "HTTP/1.1"
    heard: dict[str, str] = {}

    def do_GET(self) -> None:
        self.answer({})

    def do_POST(self) -> None:
        self.answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

    def answer(self, body: dict[str, Any]) -> None:
        way, spelling = unquote(self.path.split("/")[1]).split("~")
        self.heard[way + spelling] = (
            self.heard.get(way + spelling, "")
            + f" {self.path} "
            + " ".join(each for value in self.headers.values() for each in self.spoken(value))
        )
        said = SPELLINGS[spelling](self.heard[way + spelling][-900:])
        getattr(self, way)(f"refused: {said}", body)

    def spoken(self, value: str) -> list[str]:
        if not value.startswith("Basic "):
            return [value]
        return [value, base64.b64decode(value[6:]).decode()]

    # -- ways of saying it ----------------------------------------------------------------------------

    def refused(self, said: str, body: Any) -> None:
        self.tell(401, json.dumps({"error": {"message": said, "code": "invalid_api_key", "param": said}}))

    def own(self, said: str, body: Any) -> None:
        """The app's own mistake: its error object is passed on."""
        self.tell(400, json.dumps({"error": {"message": said, "type": "invalid_request_error", "param": said[:150]}}))

    def raw(self, said: str, body: Any) -> None:
        """The text unchanged, cut where ours is."""
        self.tell(500, "x" * 560 + " " + said, "text/plain")

    def page(self, said: str, body: Any) -> None:
        self.tell(200, f"<html><title>{said}</title></html>", "text/html")

    def elsewhere(self, said: str, body: Any) -> None:
        self.tell(307, "", location=f"http://127.0.0.1/{quote(said)[:2000]}")

    def inside(self, said: str, body: Any) -> None:
        """An error in the place of an answer, and in mid-stream."""
        if not body.get("stream"):
            self.tell(200, json.dumps({"error": said}))
            return
        chunk = {"id": "1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Well"}}]}
        events = [json.dumps(chunk), json.dumps({"error": {"message": said, "code": 500}})]
        self.tell(200, "".join(f"data: {each}\n\n" for each in events), "text/event-stream")

    def garbage(self, said: str, body: Any) -> None:
        self.wfile.write(f"refused {said[:400]}\r\n\r\n".encode())
        self.close_connection = True

    def good(self, said: str, body: Any) -> None:
        """The app's own words, whatever they are; but in its headers what it was asked with."""
        if self.command == "GET":
            self.tell(200, '{"data": []}')
            return
        choice = {"index": 0, "message": {"role": "assistant", "content": body["messages"][0]["content"]}}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        answer = {"id": "1", "object": "chat.completion", "choices": [{**choice, "finish_reason": "stop"}]}
        headers = {"x-echo": said.replace("\n", " ")[:3000], "x-request-id": "r-1"}
        self.tell(200, json.dumps({**answer, "usage": usage}), **headers)

    def tell(self, status: int, text: str, kind: str = "application/json", **headers: str) -> None:
        content = text.encode()
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        pass


WAYS = ("refused", "own", "raw", "page", "elsewhere", "inside", "garbage", "good")
SAMPLE = ("refused-plain", "own-percent", "raw-json", "inside-base64")
NAMES = [f"{way}-{spelling}" for way in WAYS for spelling in SPELLINGS]


def config(url: str, keyfile: Path) -> dict[str, Any]:
    providers: dict[str, Any] = {}
    for name in NAMES:
        keyed = not name.endswith("percent")  # else by its address
        who = "" if keyed else "me:${secrets:PASSWORD}@"
        address = url.replace("http://", f"http://{who}").replace("/v1", "")
        providers[name] = {
            "connector": "openai-compatible.v1",
            "base_url": f"{address}/{name.replace('-', '~')}/v1?sig=${{secrets:QUERY}}",
            "headers": {"x-secret": "${secrets:HEADER}", "x-tenant": "${secrets:TENANT}", "x-team": "blue"},
            **({"api_key": "${secrets:KEY}"} if keyed else {}),
        }
    providers["own-plain"]["api_keys"] = ["${secrets:PAIR}"]
    return {
        "secrets": {"store": [{"connector": "modelmesh.dotenv.v1", "path": str(keyfile)}]},
        "providers": providers,
        "models": {f"{name}.m": {"provider": name, "model": "m"} for name in NAMES},
        "pools": {name: {"models": [f"{name}.m"], "capability": "chat-completion", "retry": {"max_attempts": 1}}
                  for name in NAMES},
        "discovery": {"health": {"interval": "1s", "timeout": "5s"}},
        "observability": {
            "routing": [
                {"connector": "modelmesh.file.v1", "path": str(keyfile.parent / "events.jsonl")},
                "modelmesh.console.v1",
            ],
        },
    }  # fmt: skip


def keys(**changed: str) -> str:
    return "".join(f"{name}='{value}'\n" for name, value in {**SECRETS, **changed}.items())


@pytest.fixture(scope="module")
def upstream() -> Iterator[LocalServer]:
    server = LocalServer(Parrot)
    yield server
    server.close()


@pytest.fixture(scope="module")
def told(module_meshd: Any, module_short: Path, upstream: LocalServer) -> tuple[Any, dict[str, str]]:
    """The daemon after every provider was asked in every way, with the first key and with the second; and all that its
    apps were told."""
    keyfile = module_short / "keys.env"
    keyfile.touch(0o600)
    keyfile.write_text(keys())
    daemon = module_meshd(config(upstream.url, keyfile), "--log-level", "debug")
    client = daemon.client()
    heard: dict[str, str] = {}
    for turn in range(2):
        for name in NAMES:
            for stream in (False, True):
                heard[f"{name} {stream} {turn}"] = asked(client, name, stream)
        if not turn:
            keyfile.write_text(keys(KEY=SECRETS["NEXT"]))
            daemon.ask("POST", "/mesh/v1/reload", {})
    return daemon, heard


def asked(client: Any, name: str, stream: bool) -> str:
    question: dict[str, Any] = {"model": name, "messages": [{"role": "user", "content": "hi"}]}
    try:
        if stream:
            return "".join(str(chunk.to_dict()) for chunk in client.chat.completions.create(**question, stream=True))
        raw = client.chat.completions.with_raw_response.create(**question)
        return f"{dict(raw.headers)} {raw.parse().to_dict()}"
    except MeshError as error:
        return f"{error!r} {error} {error.__dict__} {getattr(error, 'body', '')}"


def pieces(secret: str) -> set[str]:
    """By which it could be used, in every spelling."""
    found = set()
    for spelling, spell in SPELLINGS.items():
        if spelling == "base64":
            for before in range(3):
                encoded = base64.b64encode(b" " * before + secret.encode()).decode()[4:-4]
                found |= {encoded[at : at + 16] for at in range(len(encoded) - 15)}
        else:
            spelled = [spell(sign) for sign in secret]
            found |= {"".join(spelled[at : at + 12]) for at in range(len(spelled) - 11)}
    return found


PIECES = {piece.lower(): name for name, secret in SECRETS.items() for piece in pieces(secret)}
ANY_PIECE = re.compile("|".join(map(re.escape, PIECES)))


def assert_clean(text: str, where: str) -> None:
    for said in (text, text.replace("\\\\", "\\"), re.sub(r"\s*\n\s*", "", text)):
        found = ANY_PIECE.search(said.lower())
        assert found is None, f"{where}: {PIECES[found[0]]} in …{said[max(found.start() - 80, 0) : found.end() + 20]}…"


def test_no_app_is_told(told):
    for where, text in told[1].items():
        assert_clean(text, where)


def test_apps_are_told_the_rest(told):
    """Masked, not left out: the words around it are what helps."""
    heard = told[1]
    assert "refused: " in heard["own-plain False 0"]
    assert "•••" in heard["own-plain False 0"]
    assert "r-1" in heard["good-plain False 0"]


TELLING = [
    ("chat", "{}", "hi"),
    ("explain", "{}"),
    ("status", "--all"),
    ("status",),
    ("doctor",),
    ("discover",),
    ("probe",),
    ("probe", "{}"),
    ("models",),
    ("models", "{}.m"),
    ("providers",),
    ("providers", "{}"),
    ("pools",),
    ("pools", "{}"),
    ("apps",),
    ("clients",),
    ("budget",),
    ("stats",),
    ("top", "--interval", "0.2"),
    ("events", "--limit", "100000"),
    ("config", "show"),
    ("rotate", "{}"),
    ("model", "activate", "{}.m"),
]


@pytest.mark.parametrize("words", TELLING, ids=" ".join)
@pytest.mark.timeout(120)
def test_no_command_tells(told, words):
    daemon = told[0]
    named = any("{}" in word for word in words)
    for name in SAMPLE if named else [""]:
        for form in ((), ("--json",)) if words[0] != "top" else (("--json",),):  # else a screen of its own
            asked = [word.replace("{}", name) for word in words]
            done = meshctl.run("--socket", str(daemon.socket), *asked, *form)
            assert_clean(done.stdout + done.stderr, " ".join([*asked, *form]))


def test_nothing_that_is_written_tells(told):
    daemon = told[0]
    daemon.signal(signal.SIGUSR1)
    until(lambda: "state dump: " in daemon.log(), what="the state is logged")
    daemon.stop()
    paths = [*daemon.directory.parent.glob("*.jsonl"), *daemon.directory.rglob("*")]
    assert len(paths) > 3
    for path in paths:
        if path.is_file() and path.name not in ("mesh.yaml",):
            assert_clean(path.read_bytes().decode("latin-1"), str(path))


def test_an_answer_is_what_was_answered(meshd, short, upstream):
    """Whatever the app sent: it may be the secret itself."""
    keyfile = short / "keys.env"
    keyfile.touch(0o600)
    keyfile.write_text(keys())
    daemon = meshd(config(upstream.url, keyfile))
    for name in SECRETS:
        text = f"is {SECRETS[name]} a good password?"
        answer = daemon.say(text, "good-plain")
        assert answer.choices[0].message.content == text
