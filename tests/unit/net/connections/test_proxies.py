"""Proxies of every kind: which are read, which are refused, and what they are told."""

from __future__ import annotations

import asyncio
import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from meshd.net.connections.proxies import Proxy, ProxyRefused, find_proxy
from meshd.net.failures import ProxyAnswered
from meshd.net.http import Transport, UpstreamBody


@pytest.mark.parametrize("address", ["ftp://proxy:1", "quic://user:secret-pw@proxy", "http://us er:secret-pw@[x", "http://", "http://proxy:port-secret-pw"])  # noqa: E501  # fmt: skip
def test_a_proxy_that_is_not_spoken_is_refused_by_its_variable(address: str) -> None:
    with pytest.raises(ProxyRefused, match="HTTPS_PROXY") as refused:
        find_proxy(True, "api.test", None, {"HTTPS_PROXY": address})
    assert "secret-pw" not in str(refused.value)


@pytest.mark.parametrize(
    ("written", "scheme", "host", "port", "user", "password"),
    [
        ("http://proxy:3128", "http", "proxy", 3128, None, None),
        ('"http://proxy:3128"', "http", "proxy", 3128, None, None),
        ("'http://proxy:3128' ", "http", "proxy", 3128, None, None),
        (' "http://proxy:3128', "http", "proxy", 3128, None, None),
        ("“http://proxy:3128”\r", "http", "proxy", 3128, None, None),
        ("` http://proxy `", "http", "proxy", 80, None, None),
        ("proxy:3128", "http", "proxy", 3128, None, None),
        ("proxy", "http", "proxy", 80, None, None),
        ("//proxy:3128/", "http", "proxy", 3128, None, None),
        ("HTTP://Proxy.Corp:3128/path?x#y", "http", "proxy.corp", 3128, None, None),
        ("https://proxy", "https", "proxy", 443, None, None),
        ("10.0.0.1:3128", "http", "10.0.0.1", 3128, None, None),
        ("[fd12::1]:3128", "http", "fd12::1", 3128, None, None),
        ("http://[fd12::1]", "http", "fd12::1", 80, None, None),
        ("me:pw@proxy:3128", "http", "proxy", 3128, "me", "pw"),
        ("http://me@proxy:3128", "http", "proxy", 3128, "me", None),
        ("http://me:@proxy:3128", "http", "proxy", 3128, "me", ""),
        ("http://m%C3%A9:p%3A%40w@proxy", "http", "proxy", 80, "mé", "p:@w"),
        ("http://me:p@s/s#w?d@proxy:3128", "http", "proxy", 3128, "me", "p@s/s#w?d"),  # as it is typed
        ("http://me:50%@proxy:3128", "http", "proxy", 3128, "me", "50%"),
        ("http://CORP\\me:pw@proxy:3128", "http", "proxy", 3128, "CORP\\me", "pw"),
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "Https_Proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_as_people_write_it(
    variable: str, written: str, scheme: str, host: str, port: int, user: str | None, password: str | None
) -> None:
    found = find_proxy(True, "api.test", None, {variable: written})
    assert found == Proxy(scheme, host, port, user, password)


@pytest.mark.parametrize("nothing", ["", " ", '""', "''", '" "', "\r\n"])
def test_nothing_between_quotes_is_not_a_proxy(nothing: str) -> None:
    assert find_proxy(True, "api.test", None, {"HTTPS_PROXY": nothing, "NO_PROXY": nothing}) is None
    found = find_proxy(True, "api.test", None, {"https_proxy": nothing, "HTTPS_PROXY": "p:1", "no_proxy": nothing})
    assert found == Proxy("http", "p", 1)


@pytest.mark.parametrize(
    "address",
    ["http:/secret-pw:3128", "http:secret-pw:3128", "proxy:0", "proxy:99999", "proxy:", "a:1,b:2", "proxy one:3128",
     "::1:3128", "[::1:3128", "http://proxy:3128:secret-pw", "http://u:secret-pw@", "@", "http://u:secret-pw@\x1b[31m:1",
     "\x1bsecret-pw://proxy:1", "http://\udcffsecret-pw:1", "PROXY proxy:3128", "http://proxy:٣"],
)  # fmt: skip
def test_what_is_not_an_address_is_refused_without_being_shown(address: str) -> None:
    with pytest.raises(ProxyRefused, match="HTTPS_PROXY") as refused:
        find_proxy(True, "api.test", None, {"HTTPS_PROXY": address})
    assert "secret-pw" not in str(refused.value)
    assert str(refused.value).isprintable()


@given(st.text(alphabet="htps:/@[]0129.%\"' \\#?ü\udcff\x1b", max_size=40))
def test_any_address_is_read_or_refused(address: str) -> None:
    try:
        found = find_proxy(True, "api.test", None, {"HTTPS_PROXY": address})
    except ProxyRefused as refused:
        told = str(refused)
    else:
        told = str(found.url) if found is not None else ""
    assert told.isprintable()


async def test_nothing_is_sent_past_a_proxy_that_is_refused() -> None:
    transport = Transport(secure=False, host="api.invalid", environ={"HTTP_PROXY": "quic://p"})
    with pytest.raises(ProxyRefused, match="HTTP_PROXY names a proxy of the kind quic"):
        await transport.send(transport.head("GET", URL("http://api.invalid/"), {}))
    await transport.aclose()


# -- a proxy that speaks HTTP ----------------------------------------------------------------------------


@pytest.mark.filterwarnings("error::DeprecationWarning")
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tunnel"])
async def test_a_proxy_is_told_who_we_are_and_the_server_is_not(secure: bool) -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        said = b"407 Proxy Authentication Required" if secure else b"200 OK"
        writer.write(b"HTTP/1.1 " + said + b"\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        await writer.drain()
        writer.close()

    scheme = "https" if secure else "http"
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        environ = {f"{scheme}_proxy": f"http://m%C3%A9:p%3Aw@127.0.0.1:{port}"}
        transport = Transport(secure=secure, host="api.invalid", environ=environ)
        for _ in range(2):
            request = "GET", URL(f"{scheme}://api.invalid/v1"), {}
            if secure:
                with pytest.raises(ProxyAnswered):
                    await transport.send(transport.head(*request))
            else:
                answer = await transport.send(transport.head(*request))
                assert await UpstreamBody(answer).read(100) == b"hi"
            assert request[2] == {}
        await transport.aclose()
    assert len(heads) == 2
    for head in heads:
        assert head.startswith(b"CONNECT api.invalid:443" if secure else b"GET http://api.invalid/v1")
        assert b"proxy-authorization: basic " + base64.b64encode("mé:p:w".encode()) in head.replace(
            b"Proxy-Authorization: Basic", b"proxy-authorization: basic"
        )
