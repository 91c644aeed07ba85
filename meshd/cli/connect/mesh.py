"""This mesh, as another program needs to know it: its address, its pools and their limits.

Owns: asking the listener itself, just as the program will.
Must never: assume that an address answers without trying it, or read an endless answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from meshd.cli import daemon
from meshd.core.listed_models import count, is_id

NO_KEY = "none"
"""Programs insist on a key; the mesh accepts any from a caller that the kernel identifies."""
_LONGEST_ANSWER = 16 * 1024 * 1024
_TIMEOUT = 10.0  # s
_MOST_MODELS = 200
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # asked on loopback


class Model(msgspec.Struct, frozen=True):
    """A pool. window, output: tokens, None if unknown; those that apply to long prompts, as agents send them. tools:
    whether every model declares that it can call tools, not counting those that declare that they cannot."""

    id: str
    window: int | None
    output: int | None
    tools: bool
    sees: bool
    reasons: bool


class Mesh(msgspec.Struct, frozen=True):
    """address: of the listener, without a path. token: "" where none is needed."""

    address: str
    token: str
    models: tuple[Model, ...]
    default: Model

    @property
    def v1(self) -> str:
        return f"{self.address}/v1"

    @property
    def key(self) -> str:
        return self.token or NO_KEY


def address_of(http: Mapping[str, Any] | None) -> str:
    """The first address of `status`'s `http`. Raises Refused with what to do."""
    found = http or {}
    urls = [url for url in found.get("addresses") or () if str(url).startswith(("http://", "https://"))]
    if urls:
        return reachable(str(urls[0]))
    why = "; ".join(str(problem) for problem in found.get("problems") or ())
    raise daemon.Refused(
        f"this mesh has no HTTP address{f' ({why})' if why else ''}; set `proxy: {{enabled: true, port: auto}}` in its "
        "configuration and run `meshctl reload`, or name one with --url"
    )


def reachable(url: str) -> str:
    """The address of a URL, without its path. Raises Misused."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise daemon.Misused(f"{url[:100]!r} is not an address like http://127.0.0.1:8741")
    host = parts.netloc.removesuffix(":") if port is None else parts.netloc.rpartition(":")[0]
    host = _ANY_ADDRESS.get(host, host)
    return f"{parts.scheme}://{host}" if port is None else f"{parts.scheme}://{host}:{port}"


def read(address: str, token: str, default: str | None) -> Mesh:
    """Ask the listener for its pools. default: the pool to use; None: the first that calls tools. Raises Refused,
    and NeedsToken if the listener rejects the caller."""
    listed = _get(f"{address}/v1/models", token)
    # Only what can chat, on one page: the list in Anthropic's form, whose API has nothing else.
    chats = _get(f"{address}/v1/models?limit=1000", token, {"anthropic-version": "2023-06-01"})
    able = {entry["id"] for entry in _entries(chats)}
    pools = [_model(each) for each in _entries(listed) if each["id"] in able and _kind(each) == "pool"][:_MOST_MODELS]
    if default is not None and all(pool.id != default for pool in pools):
        others = [_model(each) for each in _entries(listed) if each["id"] == default and default in able]
        if not others:
            raise daemon.Misused(f"no chat pool is called {default[:100]!r}; see `meshctl pools`")
        pools += others
    if not pools:
        raise daemon.Refused("this mesh has no chat pool; `meshctl doctor` says what it lacks")
    chosen = next((each for each in pools if each.id == default), None)
    chosen = chosen or next((each for each in pools if each.tools), pools[0])
    return Mesh(address, token, tuple(pools), chosen)


class NeedsToken(Exception):
    """The listener wants a token, or another one. The message is the listener's."""


def _get(url: str, token: str, headers: Mapping[str, str] | None = None) -> Any:
    import httpx

    sent = {**(headers or {}), "authorization": f"Bearer {token or NO_KEY}"}
    try:
        with (
            httpx.Client(timeout=_TIMEOUT, trust_env=False) as client,
            client.stream("GET", url, headers=sent) as answer,
        ):
            body = b""
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > _LONGEST_ANSWER:
                    raise daemon.Refused(f"{url} answered with more than a list of models")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise daemon.Refused(f"{url} does not answer: {error or type(error).__name__}") from None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if answer.status_code in (401, 403):
        told = found.get("error") if isinstance(found, dict) else None
        raise NeedsToken(str(told.get("message", ""))[:500] if isinstance(told, dict) else "")
    if answer.status_code != 200 or not isinstance(found, dict):
        raise daemon.Refused(f"{url} answers {answer.status_code}, not a list of models; is that a mesh?")
    return found


def _entries(listed: Any) -> list[dict[str, Any]]:
    data = listed.get("data")
    return [each for each in data if isinstance(each, dict) and is_id(each.get("id"))] if isinstance(data, list) else []


def _kind(entry: Mapping[str, Any]) -> Any:
    mesh = entry.get("mesh")
    return mesh.get("kind") if isinstance(mesh, dict) else None


def _model(entry: Mapping[str, Any]) -> Model:
    parameters, architecture = entry.get("supported_parameters"), entry.get("architecture")
    able = parameters if isinstance(parameters, list) else []
    inputs = architecture.get("input_modalities") if isinstance(architecture, dict) else None
    mesh = entry.get("mesh")
    long = mesh.get("long_prompts") if isinstance(mesh, dict) else None
    limits = long if isinstance(long, dict) else entry
    return Model(
        entry["id"],
        count(limits.get("context_window")),
        count(limits.get("max_output_tokens")),
        "tools" in able,
        isinstance(inputs, list) and "image" in inputs,
        "reasoning" in able,
    )
