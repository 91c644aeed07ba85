"""Servers on this machine: told apart by what they answer, over real HTTP on loopback."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from meshd.catalogue.known import load_provider_rows
from meshd.config.schema import LOCAL_SERVERS
from meshd.discovery import local_servers
from meshd.discovery.local_servers import address_of, find_local, http_get, parse_host, same_address
from meshd.discovery.local_watch import LocalWatch
from meshd.sdk.discovery import FoundServer
from meshd.sdk.provider import ModelListing
from tests.support.providers.servers.local_server import Handler, LocalServer

Answers = dict[str, Any]


def row(name: str, port: int, host_env: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(id=f"{name}.local.v1", name=name, port=port, host_env=host_env)


@pytest.fixture
def serve() -> Iterator[Callable[[Answers, str], int]]:
    servers: list[LocalServer] = []

    def start(answers: Answers, signature: str = "") -> int:
        class Answering(Handler):
            def version_string(self) -> str:
                return signature

            def do_GET(self) -> None:
                found = answers.get(self.path)
                self.send(404 if found is None else 200, found)

        servers.append(LocalServer(Answering))
        return servers[-1].port

    yield start
    for server in servers:
        server.close()


def models(*ids: str, **fields: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": id, "object": "model", **fields} for id in ids]}


KINDS: dict[str, tuple[Answers, str]] = {
    "ollama": (
        {"/v1/models": models("llama3.2:1b", owned_by="library"), "/api/version": {"version": "0.12.0"}},
        "",
    ),
    "lmstudio": (
        {
            "/v1/models": models("qwen2.5", "nomic", owned_by="organization_owner"),
            "/api/v0/models": {
                "object": "list",
                "data": [{"id": "qwen2.5", "type": "llm"}, {"id": "nomic", "type": "embeddings"}],
            },
        },
        "",
    ),
    "vllm": ({"/v1/models": models("m", owned_by="vllm"), "/version": {"version": "0.11"}}, "uvicorn"),
    "sglang": ({"/v1/models": models("m", owned_by="sglang"), "/get_model_info": {"model_path": "m"}}, "uvicorn"),
    "lemonade": ({"/v1/models": models("m", owned_by="lemonade"), "/api/version": {"version": "0.12.0"}}, ""),
    "localai": ({"/v1/models": models("gpt4all-j"), "/readyz": b"OK"}, ""),
    "llama-server": ({"/v1/models": models("m.gguf", owned_by="llamacpp"), "/props": {}}, "llama.cpp"),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_server_is_known_by_its_answers_on_any_port(kind: str, serve: Callable[..., int]) -> None:
    port = serve(*KINDS[kind])
    found = find_local([row(name, port) for name in KINDS], {})
    assert [(each.name, each.connector, each.base_url) for each in found] == [
        (kind, f"{kind}.local.v1", f"http://127.0.0.1:{port}/v1")
    ]
    assert found[0].models
    if kind == "lmstudio":
        assert found[0].models[1].capabilities == ("text-embeddings",)


def test_every_local_server_of_the_catalogue_is_looked_for_and_known() -> None:
    rows = [row for row in load_provider_rows() if row.local]
    assert {row.name for row in rows} == set(LOCAL_SERVERS) == set(KINDS)
    assert {row.name: row.port for row in rows}["lemonade"] == 13305
    assert all(address_of(row, {}) == ("127.0.0.1", row.port) for row in rows)


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"/v1/models": b"<html>hello</html>"},
        {"/v1/models": models("x", owned_by="somebody"), "/readyz": b"OK"},
        {"/v1/models": {"error": "unauthorized"}, "/api/version": {"version": "1"}},
    ],
)
def test_what_is_none_of_them_is_left_alone(answers: Answers, serve: Callable[..., int]) -> None:
    assert find_local([row(name, serve(answers)) for name in KINDS], {}) == []


def test_a_closed_port_and_a_configured_one_cost_nothing() -> None:
    asked: list[int] = []

    def get(host: str, port: int, path: str) -> None:
        asked.append(port)

    rows = [row("ollama", 1), row("vllm", 2), row("localai", 3), row("llama-server", 3)]
    assert find_local(rows, {}, skip=lambda row, host, port: port == 2, get=get) == []
    assert asked == [1, 3]
    assert http_get("127.0.0.1", 1, "/") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("127.0.0.1", 11434)),
        ("0.0.0.0", ("127.0.0.1", 11434)),
        ("0.0.0.0:8000", ("127.0.0.1", 8000)),
        (":8000", ("127.0.0.1", 8000)),
        ("box", ("box", 11434)),
        ("http://box:1234/", ("box", 1234)),
        ("https://box", ("box", 443)),
        ("[::1]:9", ("127.0.0.1", 9)),
        ("[fe80::1]:9", ("fe80::1", 9)),
    ],
)
def test_hosts_as_people_write_them(text: str, expected: tuple[str, int]) -> None:
    assert parse_host(text, 11434) == expected


def test_addresses_are_compared_and_not_their_spelling() -> None:
    assert same_address("http://localhost:11434/v1/", "127.0.0.1", 11434)
    assert not same_address("http://localhost:11435/v1", "127.0.0.1", 11434)


# -- the watch -----------------------------------------------------------------------------------------


def generation(**providers: tuple[str, str | None]) -> Any:
    return SimpleNamespace(
        config=SimpleNamespace(
            discovery=SimpleNamespace(
                local=SimpleNamespace(enabled=True, servers=("ollama",)), sync=SimpleNamespace(interval=3600.0)
            )
        ),
        providers={
            name: SimpleNamespace(connector=connector, base_url=url) for name, (connector, url) in providers.items()
        },
        stored=SimpleNamespace(providers=providers),
    )


def server(*ids: str, port: int = 11434) -> FoundServer:
    return FoundServer(
        "ollama", "ollama.local.v1", f"http://127.0.0.1:{port}/v1", tuple(ModelListing(id=id) for id in ids)
    )


def test_a_server_comes_changes_and_goes() -> None:
    watch = LocalWatch({})
    assert watch.configure(generation())
    assert not watch.configure(generation())
    assert watch.pause() == 30
    assert watch.scanned([server()]) == []
    assert watch.rows()[0]["error"]
    (came,) = watch.scanned([server("a")])
    assert came.catalogue.settings == {"connector": "ollama.local.v1", "base_url": "http://127.0.0.1:11434/v1"}
    assert came.new == ("a",)
    assert watch.pause() == 60
    assert watch.scanned([server("a")]) == []
    (changed,) = watch.scanned([server("b")])
    assert (changed.new, changed.gone) == (("b",), ("a",))
    assert changed.catalogue.settings is not None
    assert watch.scanned(None) == []
    assert watch.scanned([]) == []
    assert watch.pause() == 5
    (gone,) = watch.scanned([])
    assert gone.catalogue.models is None
    assert watch.pause() == 30


def test_a_server_the_configuration_names_is_not_touched() -> None:
    skipped: list[bool] = []

    def find(rows: Any, environ: Any, skip: Any, known: Any) -> list[FoundServer]:
        skipped.append(skip(row("ollama", 11434), "127.0.0.1", 11434))
        return []

    watch = LocalWatch({}, rows=lambda: [row("ollama", 11434)], find=find)
    by_url = {"x": ("openai-compatible.v1", "http://localhost:11434/v1")}
    for configured in ({}, by_url, {"y": ("ollama.local.v1", None)}):
        watch.configure(generation(**configured))
        watch.look()
    assert skipped == [False, True, True]


def test_a_name_in_use_is_not_taken() -> None:
    watch = LocalWatch({})
    watch.configure(generation(ollama=("openai-compatible.v1", "http://elsewhere/v1")))
    assert watch.scanned([server("a")])[0].name == "ollama-11434"


# -- an odd list takes nothing away ----------------------------------------------------------------------


ODD: dict[str, bytes] = {
    "empty": b'{"object": "list", "data": []}',
    "null": b'{"object": "list", "data": null}',
    "no list": b'{"object": "list"}',
    "of things that are no models": b'{"object": "list", "data": [1, null, {"name": 3}]}',
    "a list that is none": b'{"object": "list", "data": 7}',
    "owners that are no names": b'{"object": "list", "data": [{"id": [], "owned_by": {}}]}',
    "html": b"<html>starting</html>",
    "nothing": b"",
    "half": b'{"object": "list", "data": [{"id": "a"',
    "an error": b'{"error": "busy"}',
    "nested": b"[" * 100_000,
}
HOW = {"as it is": 200, "as an error": 503, "not found": 404, "cut off": 0, "never": -1}


@pytest.fixture
def odd() -> Iterator[tuple[int, dict[str, Any]]]:
    """A port, and what it answers: `body` and `status` (0: less than promised, -1: the connection is closed)."""
    answers: dict[str, Any] = {"/v1/models": (200, b""), "/api/version": (200, b'{"version": "0.12.0"}')}

    class Answering(Handler):
        protocol_version = "HTTP/1.0"  # closes after each

        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, b""))
            if status != -1:
                self.send(status or 200, body, {"content-length": str(len(body) + (status == 0))})

    server = LocalServer(Answering)
    yield server.port, answers
    server.close()


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
@pytest.mark.parametrize("status", HOW.values(), ids=HOW)
def test_an_odd_list_takes_nothing_away(odd: tuple[int, dict[str, Any]], body: bytes, status: int) -> None:
    port, answers = odd
    good = json.dumps(models("a", "b", owned_by="library")).encode()
    answers["/v1/models"] = (200, good)
    watch = LocalWatch({}, rows=lambda: [row("ollama", port)])
    watch.configure(generation())
    (came,) = watch.scanned(watch.look())
    assert came.new == ("a", "b")
    answers["/v1/models"] = (status, body)
    for _ in range(5):
        assert watch.scanned(watch.look()) == []
    answers["/v1/models"] = (200, json.dumps(models("b", owned_by="library")).encode())
    (changed,) = watch.scanned(watch.look())
    assert (changed.new, changed.gone) == ((), ("a",))


def test_one_that_is_gone_for_several_looks_goes() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    watch = LocalWatch({}, rows=lambda: [row("ollama", port)])
    watch.configure(generation())
    watch.scanned([server("a", port=port)])
    assert watch.scanned(watch.look()) == []
    (gone,) = watch.scanned(watch.look())
    assert gone.catalogue.models is None


def test_one_that_was_not_asked_for_want_of_time_stays() -> None:
    clock = iter([0.0, *[1e9] * 50])
    known = server("a", port=1)
    found = find_local([row("ollama", 1)], {}, known=[known], now=lambda: next(clock), get=lambda *_: None)
    assert [each.base_url for each in found] == [known.base_url]


@pytest.mark.parametrize("written", ["10.0.0.5:1", '"10.0.0.5:1"', " '10.0.0.5:1'\r\n", '"http://10.0.0.5:1/"'])
def test_quotes_around_a_servers_variable_are_not_part_of_it(written: str) -> None:
    assert address_of(row("ollama", 11434, "OLLAMA_HOST"), {"OLLAMA_HOST": written}) == ("10.0.0.5", 1)


def test_one_that_sends_a_byte_now_and_then_ends_with_the_whole_answers_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_servers, "WHOLE_ANSWER_TIMEOUT", 0.3)

    class Dripping(Handler):
        def do_GET(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            for _ in range(100):
                self.wfile.write(b" ")
                threading.Event().wait(0.05)

    server = LocalServer(Dripping)
    began = time.monotonic()
    try:
        answer = http_get("127.0.0.1", server.port, "/v1/models")
    finally:
        server.close()
    assert answer is not None
    assert time.monotonic() - began < 3
    assert answer.json() is None


# -- other users -----------------------------------------------------------------------------------------


def test_a_server_whose_user_is_not_trusted_is_told_until_nothing_looks_for_it() -> None:
    watch = LocalWatch({})
    watch.configure(generation())
    watch.scanned([server("a")])
    strange = local_servers.Refused("ollama", server().base_url, "it is served by the user eve")
    gone, told = watch.scanned([strange])
    assert (gone.catalogue.models, told.catalogue, told.reason in watch.remarks()) == (None, None, True)
    assert watch.scanned([strange]) == []
    assert "not used: it is served by the user eve" in watch.rows()[0]["error"]
    assert watch.scanned([server("a")])[0].new == ("a",)
    assert watch.remarks() == []
    named = {"house": ("openai-compatible.v1", "http://127.0.0.1:9/v1")}
    watch.configure(generation(**named))
    (told,) = watch.scanned([local_servers.Refused("house", "http://127.0.0.1:9/v1", "eve", configured=True)])
    assert watch.remarks() == [told.reason]
    assert watch.rows() == []
    watch.configure(generation())
    assert watch.remarks() == []


def test_one_that_another_user_took_while_it_was_asked_is_not_used() -> None:
    listed = local_servers.Answer(200, "llama.cpp", json.dumps(models("m")).encode())
    reasons = iter(["", "it is served by the user eve"])
    found = find_local([row("llama-server", 1)], {}, get=lambda *_: listed, distrust=lambda *_: next(reasons))
    assert [type(each) for each in found] == [local_servers.Refused]
