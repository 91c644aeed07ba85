"""Model servers on this machine, found by asking.

Owns: where to look (the catalogue's local rows), and how servers are recognised by their answers.
Must never: trust a port. 8080 may be llama-server, LocalAI or any web server; a server that does not answer like a
known one is left alone. One that another ordinary user runs is not even asked (`meshd/host/trust/local_servers.py`).

How they are recognised, cheapest first: llama-server sends `Server: llama.cpp` and names `llamacpp` as the owner of its
models; vLLM, SGLang and Lemonade name themselves; Ollama answers GET /api/version, LM Studio GET /api/v0/models;
LocalAI answers GET /readyz and names no owner.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from meshd.host.trust.local_servers import distrust
from meshd.sdk.discovery import FoundServer
from meshd.sdk.provider import ModelListing

CONNECT_TIMEOUT = 0.3  # s
ANSWER_TIMEOUT = 1.0  # s without a byte
WHOLE_ANSWER_TIMEOUT = 3.0
SCAN_TIMEOUT = 5.0  # s for everything: a hanging server must not delay the rest
LARGEST_ANSWER = 4 * 1024 * 1024

_HERE = frozenset({"localhost", "127.0.0.1", "0.0.0.0", "::1", "::", ""})


class LocalRow(Protocol):
    """The part of a catalogue row that a scan needs."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def port(self) -> int | None: ...
    @property
    def host_env(self) -> str | None: ...


class Answer(msgspec.Struct, frozen=True):
    status: int
    server: str
    body: bytes

    def json(self) -> Any:
        """None if it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


Get = Callable[[str, int, str], Answer | None]
"""(host, port, path) → the answer, None if there is none."""
Distrust = Callable[[str, int], str | None]
"""(host, port) → why its server may not be used, "" if it may, None if nothing listens there."""


class Refused(msgspec.Struct, frozen=True):
    """A server run by a user who is not trusted. reason: "it is served by …". configured: it is used anyway, since the
    configuration names it."""

    name: str
    base_url: str
    reason: str
    configured: bool = False


NO_ANSWER = Answer(0, "", b"")
_BY_OWNER = {"llamacpp": "llama-server", "vllm": "vllm", "sglang": "sglang", "lemonade": "lemonade"}
"""The owner of its models → the server. Lemonade answers like Ollama as well."""


def address_of(row: LocalRow, environ: Mapping[str, str]) -> tuple[str, int] | None:
    """Where a server of this kind would listen: the place in its own variable, else its usual port on this machine."""
    said = environ.get(row.host_env or "", "").strip(" \t\r\n\"'")  # an `--env-file` keeps quotes
    if not said and row.port is None:
        return None
    return parse_host(said, row.port or 80)


def parse_host(text: str, port: int) -> tuple[str, int]:
    """`host`, `host:port`, `:port`, `[v6]:port`, or a URL of these. A wildcard address means this machine."""
    rest = text.split("://", 1)[-1].split("/", 1)[0]
    host = rest
    if rest.startswith("["):
        host, _, tail = rest[1:].partition("]")
        rest = tail
    elif rest.count(":") == 1:
        host = rest.partition(":")[0]
    elif rest.count(":") > 1:
        rest = ""
    number = rest.rpartition(":")[2] if ":" in rest else ""
    if number.isdigit():
        port = int(number)
    elif text.startswith("https://"):
        port = 443
    return ("127.0.0.1" if host in _HERE else host), port


def same_address(url: str, host: str, port: int) -> bool:
    """Whether a configured base URL names this server."""
    other, other_port = parse_host(url, 443 if url.startswith("https:") else 80)
    return (other, other_port) == (host, port)


def find_local(
    rows: Iterable[LocalRow],
    environ: Mapping[str, str],
    *,
    skip: Callable[[LocalRow, str, int], bool] = lambda row, host, port: False,
    known: Iterable[FoundServer] = (),
    get: Get | None = None,
    now: Callable[[], float] = time.monotonic,
    distrust: Distrust = distrust,
) -> list[FoundServer | Refused]:
    """Every server of these rows that answers as expected, and those that may not be used. skip: addresses that are
    already configured. known: servers from an earlier scan; one that accepts connections but gives no readable answer
    is reported without models."""
    ask = get or http_get
    found: dict[tuple[str, int], FoundServer | Refused] = {}
    asked: dict[tuple[str, int], str] = {}
    gone: set[tuple[str, int]] = set()
    until = now() + SCAN_TIMEOUT
    rows = [row for row in rows if address_of(row, environ) is not None]
    by_name = {row.name: row for row in rows}
    for row in rows:
        address = address_of(row, environ)
        assert address is not None
        if address in asked:
            continue
        if skip(row, *address):
            gone.add(address)
            continue
        if now() > until:
            break
        if reason := distrust(*address):
            found[address] = Refused(row.name, _base_url(*address), reason)
            asked[address] = row.name
            continue
        listed = ask(*address, "/v1/models")
        asked[address] = ""
        if listed is None:
            gone.add(address)
            continue
        kind = identify(listed, partial(ask, *address))
        asked[address] = kind
        if kind in by_name:
            server = _found(by_name[kind], address, listed, ask)
            # Another user may have taken the port while it was asked.
            reason = distrust(*address)
            if reason is None:
                gone.add(address)
            else:
                found[address] = judged(server, reason)
    for server in known:
        address = parse_host(server.base_url, 80)
        if server.name in by_name and not asked.get(address) and address not in gone:
            found.setdefault(address, judged(replace(server, models=()), distrust(*address)))
    return list(found.values())


def identify(listed: Answer, get: Callable[[str], Answer | None]) -> str:
    """The name of the server that answered GET /v1/models like this, "" if unknown."""
    if "llama.cpp" in listed.server:
        return "llama-server"
    document = listed.json() if listed.status == 200 else None
    entries = document.get("data") if isinstance(document, dict) else None
    entries = entries if isinstance(entries, list) else []
    owners = {str(entry.get("owned_by") or "") for entry in entries if isinstance(entry, dict)}
    if found := next((kind for owner, kind in _BY_OWNER.items() if owner in owners), ""):
        return found
    if not isinstance(document, dict) or document.get("object") != "list":
        # vLLM, LocalAI and LM Studio can require a key; they have to be configured then.
        return ""
    if _says(get("/api/version"), "version"):
        return "ollama"
    if _says(get("/api/v0/models"), "data"):
        return "lmstudio"
    ready = get("/readyz")
    if ready is not None and ready.status == 200 and owners <= {"", "localai"}:
        return "localai"
    return ""


def _says(answer: Answer | None, key: str) -> bool:
    """Whether the answer is a map with this key."""
    document = answer.json() if answer is not None and answer.status == 200 else None
    return isinstance(document, dict) and key in document


def _found(row: LocalRow, address: tuple[str, int], listed: Answer, ask: Get) -> FoundServer:
    body = listed.body
    if row.name == "lmstudio":
        # Its own list has each model's kind and context.
        native = ask(*address, "/api/v0/models")
        body = native.body if native is not None and native.status == 200 else body
    return FoundServer(row.name, row.id, _base_url(*address), _models(body))


def judged(server: FoundServer, reason: str | None) -> FoundServer | Refused:
    """The server, if there is no reason not to use it."""
    return Refused(server.name, server.base_url, reason) if reason else server


def _base_url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def _models(body: bytes) -> tuple[ModelListing, ...]:
    from meshd.formats.errors.not_answers import Broken
    from meshd.formats.openai.models import read_listing

    try:
        return tuple(read_listing(body))
    except Broken:
        return ()


def http_get(host: str, port: int, path: str) -> Answer | None:
    """One GET on a new connection; NO_ANSWER if it connects but gets no readable answer in time. A refused connection
    costs microseconds and imports nothing."""
    try:
        connection = socket.create_connection((host, port), CONNECT_TIMEOUT)
    except OSError:
        return None
    from http.client import HTTPConnection, HTTPException

    with contextlib.closing(connection):
        client = HTTPConnection(host, port, timeout=ANSWER_TIMEOUT)
        connection.settimeout(ANSWER_TIMEOUT)
        client.sock = connection
        # The socket's own timeout never passes if a server sends a byte now and then.
        watchdog = threading.Timer(WHOLE_ANSWER_TIMEOUT, _end, (connection,))
        watchdog.daemon = True
        watchdog.start()
        try:
            client.request("GET", path, headers={"Accept": "application/json", "Connection": "close"})
            response = client.getresponse()
            body = _uncoded(response.read(LARGEST_ANSWER), response.getheader("Content-Encoding") or "")
            return Answer(response.status, response.getheader("Server") or "", body)
        except (OSError, HTTPException, ValueError):
            return NO_ANSWER
        finally:
            watchdog.cancel()


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _uncoded(body: bytes, coding: str) -> bytes:
    """The body decompressed, up to the same limit as an uncompressed one. Raises ValueError."""
    if not coding:
        return body
    from meshd.net.encodings import decoder

    made = decoder(coding)
    if made is None:
        return body
    made.feed(body)
    found = bytearray()
    while made.more and len(found) < LARGEST_ANSWER:
        found += made.read()
    return bytes(found)
