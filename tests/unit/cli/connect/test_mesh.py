"""This mesh as other programs are told it: addresses, and lists that are not what they should be."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from meshd.cli import daemon
from meshd.cli.connect.mesh import Model, NeedsToken, address_of, reachable, read


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8741", "http://127.0.0.1:8741"),
        ("http://127.0.0.1:8741/v1/", "http://127.0.0.1:8741"),
        ("http://0.0.0.0:8741", "http://127.0.0.1:8741"),
        ("https://[::]:8741", "https://[::1]:8741"),
        ("http://[::1]:8741", "http://[::1]:8741"),
        ("https://mesh.example", "https://mesh.example"),
        ("http://mesh.example:/v1", "http://mesh.example"),
    ],
)
def test_the_address_of_a_url(url: str, address: str) -> None:
    assert reachable(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mesh:1",
        "ftp://x",
        "http://",
        "http://user:pw@x",
        "/run/http.sock",
        "http://x:99999",
        "http://[x",
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(daemon.Misused):
        reachable(url)


def test_the_daemons_first_tcp_address_or_what_to_do() -> None:
    assert address_of({"addresses": ["/run/http.sock", "http://127.0.0.1:1"]}) == "http://127.0.0.1:1"
    for http in (None, {}, {"addresses": ["/run/http.sock"], "problems": ["port 8741 is taken"]}):
        with pytest.raises(daemon.Refused, match="meshctl reload") as refused:
            address_of(http)
        assert ("taken" in str(refused.value)) == (http is not None and "problems" in http)


class Server:
    """Answers every GET with one status and body; sent: the headers that came."""

    def __init__(self) -> None:
        self.status, self.body, self.sent = 200, b"", list[dict[str, str]]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.sent.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(outer.status)
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, format: str, *args: Any) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.http.shutdown()
    thread.join(10)
    made.http.server_close()


def pool(id: Any, **more: Any) -> dict[str, Any]:
    return {"id": id, "mesh": {"kind": "pool"}, **more}


def test_odd_lists_are_read_as_far_as_they_make_sense(server: Server) -> None:
    listed = [
        None, 1, pool(5), pool("x\x1b[31m"), pool(""), {"id": "model", "mesh": {"kind": "model"}},
        {"id": "y", "mesh": 3},
        pool("plain", context_window="many", max_output_tokens=-1, supported_parameters=3, architecture=[]),
        pool("able", context_window=9, max_output_tokens=2.0, supported_parameters=["tools", 4]),
    ]  # fmt: skip
    server.body = json.dumps({"data": listed}).encode()
    mesh = read(server.url, "", None)
    assert mesh.models == (
        Model("plain", None, None, False, False, False),
        Model("able", 9, 2, True, False, False),
    )
    assert mesh.default.id == "able"
    assert read(server.url, "", "model").default.id == "model"
    assert {each["authorization"] for each in server.sent} == {"Bearer none"}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"data": 3}'),
        (200, b'{"data": []}'),
        (404, b"{}"),
        (500, b""),
        (200, b"[" * 9999),
    ],
)
def test_what_is_not_a_mesh_is_told(status: int, body: bytes, server: Server) -> None:
    server.status, server.body = status, body
    with pytest.raises(daemon.Refused):
        read(server.url, "", None)


def test_an_answer_without_end_is_not_read(server: Server) -> None:
    server.body = b" " * (17 * 1024 * 1024)
    with pytest.raises(daemon.Refused, match="more than a list"):
        read(server.url, "", None)


@pytest.mark.parametrize("body", [b'{"error": {"message": "A token is needed"}}', b'{"error": "x"}', b"no", b"[]"])
def test_a_listener_that_does_not_let_it_in(body: bytes, server: Server) -> None:
    server.status, server.body = 401, body
    with pytest.raises(NeedsToken):
        read(server.url, "mesh-x", None)
    assert server.sent[0]["authorization"] == "Bearer mesh-x"
