"""A real daemon over HTTP: OpenAI's SDK, other users, pages of a browser, raw sockets."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.integration.gateway.conftest import CONFIG
from tests.support.network.ports import free_port
from tests.support.waiting import WAIT, until

TOKEN = "mesh-test-token"
HASH = hashlib.sha256(TOKEN.encode()).hexdigest()
HI: Any = [{"role": "user", "content": "hi there"}]
OTHER = 12345


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Path) -> Any:
    proxy = {
        "enabled": True,
        "port": "auto",
        "socket": str(module_short / "http.sock"),
        "auth": {"tokens": [{"app": "editor", "hash": HASH}]},
        "cors": {"enabled": True, "origins": ["http://good.example"]},
    }
    return module_meshd({**CONFIG, "proxy": proxy})


@pytest.fixture(scope="module")
def addresses(daemon: Any) -> list[str]:
    found: list[str] = daemon.status()["http"]["addresses"]
    return found


@pytest.fixture(scope="module")
def url(addresses: list[str]) -> str:
    return addresses[0]


def sdk(addresses: list[str], place: str, **options: Any) -> openai.OpenAI:
    over = httpx.HTTPTransport(uds=addresses[1]) if place == "unix" else None
    base = "http://mesh/v1" if place == "unix" else f"{addresses[0]}/v1"
    client = httpx.Client(transport=over, timeout=WAIT)
    return openai.OpenAI(base_url=base, api_key="none", max_retries=0, http_client=client, **options)


@pytest.fixture(params=["tcp", "unix"])
def client(request: Any, addresses: list[str]) -> Iterator[openai.OpenAI]:
    with sdk(addresses, request.param) as made:
        yield made


# -- OpenAI's SDK -----------------------------------------------------------------------------------------


def test_an_answer(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="chat", messages=HI)
    answer = raw.parse()
    assert answer.choices[0].message.content == "[scripted] hi there"
    assert len(answer._request_id or "") == 32
    assert (raw.headers["x-mesh-pool"], raw.headers["x-mesh-provider"]) == ("chat", "echo")
    assert raw.headers["x-mesh-attempts"] == "1"


def test_a_stream(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="counting", messages=HI, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.split() == [str(number) for number in range(200)]


def test_vectors_and_models(client: openai.OpenAI) -> None:
    assert client.embeddings.create(model="echo.vectors", input="a").data[0].embedding
    assert "chat" in {model.id for model in client.models.list()}
    assert client.models.retrieve("chat").owned_by == "mesh"


@pytest.mark.parametrize(
    ("model", "kind", "code"),
    [("nope", openai.NotFoundError, "model_not_found"), ("refusing", openai.BadRequestError, "bad_thing")],
)
def test_errors_by_class(client: openai.OpenAI, model: str, kind: type[Exception], code: str) -> None:
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model=model, messages=HI, stream=True)
    assert caught.value.code == code  # type: ignore[attr-defined]


async def test_the_asynchronous_sdk(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=WAIT) as client:
        answers = await asyncio.gather(
            *(client.chat.completions.create(model="chat", messages=HI) for _ in range(50)),
        )
        assert {answer.choices[0].message.content for answer in answers} == {"[scripted] hi there"}
        stream = await client.chat.completions.create(model="counting", messages=HI, stream=True)
        assert len([chunk async for chunk in stream]) >= 200


# -- who may ------------------------------------------------------------------------------------------------

AS_OTHER = """
import json, sys, urllib.request, urllib.error
request = urllib.request.Request(sys.argv[1] + "/v1/models", headers=json.loads(sys.argv[2]))
try:
    answer = urllib.request.urlopen(request, timeout=20)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode())
"""


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Authorization": "Bearer none"}, 401),
        ({"Authorization": f"Bearer {TOKEN}"}, 200),
        ({"x-api-key": TOKEN}, 200),
        ({"x-api-key": TOKEN, "Authorization": "Bearer other"}, 200),
        ({"x-api-key": HASH}, 401),
    ],
)
def test_another_user_needs_a_token(url: str, headers: dict[str, str], status: int) -> None:
    command = ["setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups", "/usr/bin/python3", "-c", AS_OTHER]
    if not Path("/usr/bin/python3").exists():
        pytest.skip("needs a Python that other users may run")
    done = subprocess.run(
        [*command, url, json.dumps(headers)], capture_output=True, text=True, timeout=WAIT, check=True
    )
    found, _, body = done.stdout.partition(" ")
    assert int(found) == status
    if status != 200:
        assert "meshctl token create" in json.loads(body)["error"]["message"]


def test_a_token_is_its_app_and_is_shown_nowhere(daemon: Any, url: str) -> None:
    headers = {"x-api-key": TOKEN}
    body = {"model": "chat", "messages": HI}
    assert httpx.post(f"{url}/v1/chat/completions", headers=headers, json=body).status_code == 200
    until(lambda: "editor" in json.dumps(daemon.ask("GET", "/mesh/v1/stats?by=app")), what="its app is counted")
    assert TOKEN not in daemon.log()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://good.example.evil"}, 403),
        ({"Origin": "http://good.example"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost:1"}, 200),
    ],
)
def test_pages_of_a_browser(url: str, headers: dict[str, str], status: int) -> None:
    """A form of a page is sent as text/plain, without asking before."""
    content = json.dumps({"model": "chat", "messages": HI})
    answer = httpx.post(
        f"{url}/v1/chat/completions", headers={"content-type": "text/plain", **headers}, content=content
    )
    assert answer.status_code == status
    allowed = answer.headers.get("access-control-allow-origin")
    assert allowed == ("http://good.example" if headers.get("Origin") == "http://good.example" else None)


def test_a_preflight(url: str) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,x-b"}
    answer = httpx.options(f"{url}/v1/chat/completions", headers={"Origin": "http://good.example", **asked})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-headers"] == "authorization,x-b"
    assert httpx.options(f"{url}/v1/models", headers={"Origin": "http://evil.example", **asked}).status_code == 403


# -- what is not a request ---------------------------------------------------------------------------------------


def test_pages_for_anyone(url: str) -> None:
    assert httpx.head(url).status_code == 200
    assert "meshd" in httpx.get(url).text
    assert httpx.get(f"{url}/health").json() == httpx.get(f"{url}/ready").json() == {"status": "ok"}


def raw(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=WAIT)


def post(model: str, **options: Any) -> bytes:
    body = json.dumps({"model": model, "messages": HI, **options}).encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize(("model", "stream"), [("silent", False), ("endless", True)])
def test_a_client_that_leaves_is_noticed_at_once(daemon: Any, url: str, model: str, stream: bool) -> None:
    with raw(url) as line:
        line.sendall(post(model, stream=stream))
        until(lambda: daemon.status()["in_flight"] == 1, what="it is in flight")
    until(lambda: daemon.status()["in_flight"] == 0, what="it is cancelled")


def test_a_client_that_does_not_read_holds_little(daemon: Any, url: str) -> None:
    with raw(url) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.sendall(post("endless", stream=True))
        until(lambda: daemon.status()["in_flight"] == 1, what="it is in flight")
        with sdk([url, ""], "tcp") as client:
            assert client.chat.completions.create(model="chat", messages=HI).choices
    until(lambda: daemon.status()["in_flight"] == 0, what="it is cancelled")


def test_odd_bytes_get_an_answer(url: str) -> None:
    with raw(url) as line:
        line.sendall(b"\x16\x03\x01 hello\r\n\r\n" + b"x" * 100_000)
        answer = b""
        while piece := line.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 4")
    assert b'"error"' in answer


# -- where it listens -------------------------------------------------------------------------------------------


def test_another_port_and_one_that_is_taken(meshd: Any) -> None:
    first, taken = free_port(), socket.create_server(("127.0.0.1", 0))
    with taken:
        proxy: dict[str, Any] = {"enabled": True, "port": taken.getsockname()[1]}
        config = {**CONFIG, "daemon": {"drain_timeout": "0.2s"}}
        daemon = meshd({**config, "proxy": proxy})
        found = daemon.status()["http"]
        assert found["addresses"] == []
        assert "set proxy.port" in found["problems"][0]
        until(lambda: "set proxy.port" in daemon.log(), what="it is logged")
        daemon.write({**config, "proxy": {**proxy, "port": first}})
        assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
        url = f"http://127.0.0.1:{first}"
        assert daemon.status()["http"] == {"addresses": [url], "problems": []}
        with raw(url) as line:
            line.sendall(post("silent"))
            until(lambda: daemon.status()["in_flight"] == 1, what="it is in flight")
            assert daemon.stop() == 0  # it cuts off what does not end in time
            assert line.recv(100).startswith(b"HTTP/1.1 5")
        with pytest.raises(OSError):
            raw(url)


def test_by_default_only_the_users_own_daemon_listens(meshd: Any, short: Path) -> None:
    assert meshd(CONFIG).status()["http"] == {"addresses": [], "problems": []}
    own = meshd({**CONFIG, "proxy": {"port": "auto"}}, start=False, env={"XDG_RUNTIME_DIR": str(short)})
    own.socket = short / "meshd" / "mesh.sock"
    own.start()
    address, path = own.status()["http"]["addresses"]
    assert httpx.get(address).status_code == 200
    assert path == str(short / "meshd" / "http.sock")
    assert own.stop() == 0
    assert not Path(path).exists()


def test_an_empty_body_is_told_as_that(url: str) -> None:
    refused = httpx.post(f"{url}/v1/chat/completions")
    assert refused.status_code == 400
    assert "the body is empty" in refused.json()["error"]["message"]
