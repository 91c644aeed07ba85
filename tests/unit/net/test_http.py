"""Which proxy a provider is reached by, and what its base URL means."""

from __future__ import annotations

import pytest

from meshd.connectors.providers.http_requests import HttpRequests
from meshd.net.connections.connecting import proxy_authorization
from meshd.net.connections.proxies import find_proxy, is_loopback
from meshd.operations.chat import CHAT
from meshd.sdk import ProviderCall, ProviderSettings
from tests.support.formats.http_requests import requests_of

PROXIES = {"HTTPS_PROXY": "http://user:pw@proxy:3128", "http_proxy": "plain:80", "NO_PROXY": "internal.test,10.0.0.1"}


@pytest.mark.parametrize(
    ("secure", "host", "proxy"),
    [
        (True, "api.test", "http://proxy:3128"),
        (False, "api.test", "http://plain"),
        (True, "internal.test", None),
        (True, "api.internal.test", None),
        (True, "10.0.0.1", None),
        (False, "127.0.0.1", None),
        (False, "localhost", None),
        (False, "::1", None),
    ],
)
def test_proxies(secure, host, proxy):
    found = find_proxy(secure, host, None, PROXIES)
    assert (None if found is None else str(found.url)) == proxy
    if found is not None and proxy == "http://proxy:3128":
        assert proxy_authorization(found) == {"Proxy-Authorization": "Basic dXNlcjpwdw=="}
    assert find_proxy(secure, host, None, {}) is None


def test_loopback():
    assert is_loopback("127.8.8.8")
    assert is_loopback("[::1]")
    assert is_loopback("app.localhost")
    assert not is_loopback("localhost.example.com")
    assert not is_loopback("10.0.0.1")


def made(base_url: str, **settings: object) -> HttpRequests:
    return requests_of(ProviderSettings("p", "c", base_url=base_url, **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("base", "quirks", "target"),
    [
        ("https://h/v1", {}, "https://h/v1/chat/completions"),
        ("https://h/v1/", {}, "https://h/v1/chat/completions"),
        ("https://h//v1//", {}, "https://h/v1/chat/completions"),
        ("https://h", {}, "https://h/chat/completions"),
        ("https://h/v1?a=1", {"query": {"api-version": "x"}}, "https://h/v1/chat/completions?a=1&api-version=x"),
        ("unix:/run/x.sock", {}, "http://localhost/v1/chat/completions"),
    ],
)
def test_targets(base, quirks, target):
    assert str(made(base, quirks=quirks).target(ProviderCall(CHAT, "m", {})).url) == target


@pytest.mark.parametrize("base", ["ftp://h", "not a url", "", "https://"])
def test_wrong_base_urls_are_refused_when_made(base):
    with pytest.raises(ValueError, match="base_url"):
        made(base)


def test_the_ways_to_carry_a_key():
    assert made("https://h", api_key="k").headers["Authorization"] == "Bearer k"
    bare = made("https://h", api_key="k", quirks={"api_key_header": "api-key"}).headers
    assert bare["api-key"] == "k"
    assert "Authorization" not in bare
    assert "Authorization" not in made("https://h", api_key="k", auth_method="none").headers
    assert made("https://h", headers={"X-A": "b"}).headers["x-a"] == "b"
