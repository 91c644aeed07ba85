"""The section `proxy`: what would let others in is an error that says what to add."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.config import MeshConfig

HASH = "0" * 64
TOKENS = [{"app": "a", "hash": HASH}]
TLS = {"cert": "/c.pem", "key": "/k.pem"}


def problems(proxy: dict[str, Any], **rest: Any) -> list[str]:
    return [str(problem) for problem in MeshConfig({"proxy": proxy, **rest}).validate()]


@pytest.mark.parametrize(
    "proxy",
    [
        {},
        {"enabled": True, "port": "auto"},
        {"host": "localhost"},
        {"host": "::1"},
        {"host": "127.9.9.9"},
        {"auth": {"method": "bearer", "tokens": TOKENS}},
        {"auth": {"tokens": [{"app": "not-an-app", "hash": f"sha256:{HASH}"}]}},
        {"host": "0.0.0.0", "auth": {"method": "bearer", "tokens": TOKENS}, "tls": TLS},
        {"cors": {"enabled": True, "origins": ["http://localhost:3000", "app://obsidian.md"]}},
    ],
)
def test_what_is_valid(proxy: dict[str, Any]) -> None:
    assert problems(proxy) == []


@pytest.mark.parametrize(
    ("proxy", "told"),
    [
        ({"host": "0.0.0.0"}, ["auth.method: bearer", "auth.tokens", "tls.cert"]),
        ({"host": "::", "tls": TLS}, ["auth.method: bearer", "auth.tokens"]),
        ({"host": "192.0.2.1", "auth": {"method": "bearer", "tokens": TOKENS}}, ["tls.cert"]),
        ({"host": "mesh.lan"}, ["expected an IP address"]),
        ({"port": 0}, ["proxy.port"]),
        ({"port": "any"}, ["proxy.port"]),
        ({"auth": {"method": "bearer"}}, ["without a token"]),
        ({"auth": {"method": "none"}}, ["proxy.auth.method"]),
        ({"auth": {"tokens": [{"app": "a", "hash": "mesh-secret"}]}}, ["is not the hash of a token"]),
        ({"tls": {"key": "/k.pem"}}, ["has no `cert`"]),
        ({"cors": {"enabled": True, "origins": ["*"]}}, ["expected an origin"]),
        ({"cors": {"origins": ["http://a/b"]}}, ["expected an origin"]),
    ],
)
def test_what_is_not(proxy: dict[str, Any], told: list[str]) -> None:
    (problem,) = problems(proxy)
    assert all(part in problem for part in told), problem
    assert "mesh-secret" not in problem


def test_tokens_of_apps_count() -> None:
    apps = {"a": {"match": {"token": HASH}}, "b": {"budget": {"daily_limit": 1}}}
    auth = {"method": "bearer", "tokens": [{"app": "b", "hash": "1" * 64}]}
    assert problems({"auth": auth}, apps=apps) == []
