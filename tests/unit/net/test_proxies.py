"""NO_PROXY as people write it, proxies of every kind, and certificates that change under a running daemon."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from meshd.config import MeshConfig
from meshd.formats.errors.transport_failures import failure_from_exception
from meshd.net.http import Transport, proxy_arguments
from meshd.net.proxies import Proxy, ProxyRefused, bypassed, find_proxy, no_proxy_faults
from meshd.net.tls import tls_context
from meshd.sdk.provider import FailureKind, ProviderFailure


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "direct"),
    [
        ("*", "api.test", 443, True),
        ("api.test", "api.test", 443, True),
        ("api.test", "API.Test.", 443, True),
        ("api.test", "sub.api.test", 443, True),
        ("api.test", "myapi.test", 443, False),
        (".api.test", "sub.api.test", 443, True),
        (".api.test", "api.test", 443, True),
        ("*.api.test", "sub.api.test", 443, True),
        ("a.test, api.test", "api.test", 443, True),
        ("a.test api.test", "api.test", 443, True),
        ("api.test:8443", "api.test", 8443, True),
        ("api.test:8443", "api.test", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.1.2.3/8", "10.9.9.9", 443, True),
        ("10.0.0.1", "10.0.0.1", 443, True),
        ("10.0.0.1", "10.0.0.10", 443, False),
        ("10.0.0.1:8000", "10.0.0.1", 8000, True),
        ("10.0.0.1:8000", "10.0.0.1", 80, False),
        ("fd00::/8", "fd12::1", 443, True),
        ("[fd00::]/8", "fd12::1", 443, True),
        ("[fd12::1]", "fd12::1", 443, True),
        ("fd12::1", "[fd12:0:0::1]", 443, True),
        ("[fd12::1]:8000", "fd12::1", 8000, True),
        ("[fd12::1]:8000", "fd12::1", 443, False),
        ("10.0.0.0/8", "::ffff:10.0.0.1", 443, True),
        ("10.0.0.0/8", "fd12::1", 443, False),
        ("10.0.0.0/8", "ten.test", 443, False),
        ("10.0.0.0/99,x/y,:,[,]", "10.0.0.1", 443, False),
        ("", "api.test", 443, False),
        (" , ,", "api.test", 443, False),
    ],
)
def test_no_proxy(no_proxy: str, host: str, port: int, direct: bool) -> None:
    assert bypassed(host, port, no_proxy) is direct
    proxied = find_proxy(True, host, port, {"HTTPS_PROXY": "http://proxy:1", "no_proxy": no_proxy})
    assert (proxied is None) is direct


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("192.168.1.*", "192.168.1.7", True),  # as Java and Windows write a network
        ("192.168.1.*", "192.168.10.7", False),
        ("192.168.*", "192.168.10.7", True),
        ("192.168.*.*", "192.168.10.7", True),
        ("10.*", "100.1.1.1", False),
        ("fd12:34:*", "fd12:34::1", True),
        ("192.168.1.*", "192.168.1.7.example", True),
        ("*corp", "mycorp", True),
        ("*.corp", "a.b.corp", True),
        ("*.corp", "corp", True),
        ("*.corp", "mycorp", False),
        ("api-*.corp", "api-1.corp", True),
        ("api-*.corp", "x.api-1.corp", True),
        ("api-*.corp", "web-1.corp", False),
        ("api-?.corp", "api-12.corp", False),
        ("corp.*", "corp.example", True),
        ("**", "api.test", True),
        ("*:443", "10.0.0.1", True),
        ("*:80", "10.0.0.1", False),
        ('"api.test,10.0.0.0/8"', "api.test", True),  # an --env-file keeps the quotes
        ('"api.test,10.0.0.0/8"', "10.1.1.1", True),
        ("'api.test'", "api.test", True),
        ("“api.test”,‘x’", "api.test", True),
        ('"a" "api.test"', "api.test", True),
        ("localhost|*.test", "api.test", True),
        ("http://api.test", "api.test", True),
        ("https://api.test:443/v1?x=y", "api.test", True),
        ("https://api.test:8443/", "api.test", False),
        ("https://me:pw@api.test/", "api.test", True),
        ("http://10.0.0.1/v1", "10.0.0.1", True),
        ("http://[fd12::1]:443/", "fd12::1", True),
        ("//api.test/", "api.test", True),
        ("api.test/v1", "api.test", True),
        ("api.test/", "api.test", True),
        ("api.test:", "api.test", True),
        ("api.test:*", "api.test", True),
        ("10.0.0.0/255.0.0.0", "10.1.1.1", True),
        ("10.0.0.0/8:443", "10.1.1.1", True),
        ("10.0.0.0/8:80", "10.1.1.1", False),
        ("[fd00::]/8:443", "fd12::1", True),
        ("::ffff:10.0.0.0/104", "10.1.1.1", True),
        ("0.0.0.0/0", "10.1.1.1", True),
        ("0.0.0.0/0", "fd12::1", False),
        ("::/0", "fd12::1", True),
        ("fe80::1%eth0", "fe80::1", True),
        ("<local>", "intranet", True),
        ("<local>", "api.test", False),
        ("<local>", "10.0.0.1", False),
        ("müller.example", "xn--mller-kva.example", True),
        ("xn--mller-kva.example", "müller.example", True),
        ("*.müller.example", "a.müller.example", True),
    ],
)
def test_no_proxy_as_people_write_it(no_proxy: str, host: str, direct: bool) -> None:
    assert bypassed(host, 443, no_proxy) is direct
    assert not no_proxy_faults({"NO_PROXY": no_proxy})


MEANINGLESS = {
    "10.0.0.0/99": "is not a network (10.0.0.0/8)",
    "fd00::/129": "is not a network",
    "10.0.0/8": "is not a network",
    "300.1.1.1": "is not an address",
    "10.": "is not an address",
    "192.168": "is not an address",
    "010.0.0.1": "is not an address",
    "10.0.0.1-10.0.0.9": "is not an address",
    "fd00::g1": "is not a name",
    "api.test:99999": "has no port between 1 and 65535",
    "api.test:0": "has no port",
    "api.test:http": "has no port",
    "api.test:٤٤٣": "has no port",
    "=": "is not a name",
    "{api.test}": "is not a name",
    "api..*:x": "has no port",
    ".": "is not an address",
    "*.": "is not a name",
    "[": "is not a name",
    "[]": "is not a name",
    "http://": "is not a name",
    "a" * 300: "is not a name",
    "\x1b[31mred": "is not a name",
    "\udcff\udcfe": "is not a name",
}


@pytest.mark.parametrize("entry", MEANINGLESS)
def test_an_entry_that_means_nothing_costs_itself_and_is_told(entry: str) -> None:
    environ = {"no_proxy": f"a.test,{entry}, b.test", "HTTPS_PROXY": "http://proxy:1"}
    for host in ("a.test", "b.test"):
        assert find_proxy(True, host, None, environ) is None
    for host in ("api.test", "10.0.0.1", "fd00::1"):
        assert find_proxy(True, host, None, environ) is not None
    (fault,) = no_proxy_faults(environ)
    assert fault.startswith(f"no_proxy: {entry[:5]}" if entry.isprintable() else "no_proxy: ")
    assert MEANINGLESS[entry] in fault
    assert fault.isprintable()
    assert len(fault) < 160


def test_a_fault_does_not_show_who_logs_in() -> None:
    (fault,) = no_proxy_faults({"NO_PROXY": "https://me:secret-pw@api.test:0"})
    assert "secret-pw" not in fault
    assert "api.test:0" in fault


def test_many_wildcards_are_matched_at_once() -> None:
    assert not bypassed("a" * 250, 443, "a*" * 120 + "b")
    assert not bypassed("a." * 120 + "a", 443, "*a" * 100 + "b")


@given(st.text(alphabet="ab.:[]/%019*?-_@\"' ,|<>\udcff\x1b٣ü", max_size=60))
def test_of_any_entries_what_is_wrong_is_printable(no_proxy: str) -> None:
    for fault in no_proxy_faults({"no_proxy": no_proxy}):
        assert fault.isprintable()


@given(st.ip_addresses(), st.integers(0, 128), st.integers(0, 2**128 - 1))
def test_a_network_covers_its_addresses_and_no_other(address, prefix, other) -> None:
    prefix = min(prefix, address.max_prefixlen)
    network = ipaddress.ip_network((address, prefix), strict=False)
    candidate = type(address)(other % 2**address.max_prefixlen)
    for written in (str(network), f"[{network.network_address}]/{prefix}"):
        assert bypassed(str(address), 443, written) or getattr(address, "ipv4_mapped", None)
        if not getattr(candidate, "ipv4_mapped", None):
            assert bypassed(f"[{candidate}]", 443, written) is (candidate in network)


@given(st.text(max_size=40), st.text(alphabet="abc.:[]/%019", max_size=20))
def test_any_no_proxy_is_read(no_proxy: str, host: str) -> None:
    bypassed(host, 443, no_proxy)


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
def test_nothing_between_quotes_is_no_proxy(nothing: str) -> None:
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


@pytest.mark.parametrize("scheme", ["socks", "socks4", "socks4a", "socks5", "socks5h"])
def test_a_socks_proxy_is_never_spoken_http_to(scheme: str) -> None:
    proxy = find_proxy(False, "api.test", None, {"ALL_PROXY": f"{scheme}://user:secret-pw@proxy"})
    assert proxy is not None
    assert proxy.socks
    assert proxy.port == 1080
    assert proxy_arguments(proxy, False) == {}
    assert "secret-pw" not in repr(proxy) + str(proxy.url)


# -- a SOCKS server -----------------------------------------------------------------------------------


class Socks:
    """A SOCKS5 server that answers for every destination itself, and notes which were asked for."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.asked: list[tuple[bytes, int]] = []
        self.users: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            version, count = await reader.readexactly(2)
            assert version == 5, "not SOCKS5"
            methods = await reader.readexactly(count)
            writer.write(b"\x05\x02" if 2 in methods else b"\x05\x00")
            if 2 in methods:
                _, length = await reader.readexactly(2)
                user = await reader.readexactly(length)
                (length,) = await reader.readexactly(1)
                self.users.append(user + b":" + await reader.readexactly(length))
                writer.write(b"\x01\x00")
            _, _, _, kind = await reader.readexactly(4)
            size = 4 if kind == 1 else (await reader.readexactly(1))[0]
            host = await reader.readexactly(size)
            self.asked.append((host, int.from_bytes(await reader.readexactly(2), "big")))
            writer.write(bytes([5, self.code, 0, 1, 0, 0, 0, 0, 0, 0]))
            if not self.code:
                await self.answer(reader, writer)
            await writer.drain()
        finally:
            writer.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")


@pytest.mark.parametrize("scheme", ["socks5h", "socks5"])
async def test_a_socks_proxy_is_spoken(scheme: str) -> None:
    socks = Socks()
    async with await asyncio.start_server(socks.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        host = "api.invalid" if scheme == "socks5h" else "192.0.2.1"
        environ = {"ALL_PROXY": f"{scheme}://me:pw@127.0.0.1:{port}"}
        transport = Transport(secure=False, host=host, port=8000, environ=environ)
        try:
            answer = await transport.send("GET", URL(f"http://{host}:8000/v1"), CIMultiDict())
            assert await answer.read() == b"hi"
        finally:
            await transport.aclose()
    expected = b"api.invalid" if scheme == "socks5h" else bytes([192, 0, 2, 1])
    assert socks.asked == [(expected, 8000)]
    assert socks.users == [b"me:pw"]


async def test_a_socks_proxy_that_refuses_is_named_without_its_password() -> None:
    socks = Socks(code=2)
    async with await asyncio.start_server(socks.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        environ = {"ALL_PROXY": f"socks5h://me:secret-pw@127.0.0.1:{port}"}
        transport = Transport(secure=False, host="api.invalid", environ=environ)
        with pytest.raises(OSError, match="SOCKS proxy") as refused:
            await transport.send("GET", URL("http://api.invalid/"), CIMultiDict())
        await transport.aclose()
    assert "secret-pw" not in str(refused.value)


async def _refused_by_socks(port: int, scheme: str = "http", **secure: Any) -> ProviderFailure:
    environ = {"ALL_PROXY": f"socks5h://127.0.0.1:{port}"}
    transport = Transport(secure=scheme == "https", host="api.invalid", environ=environ, connect_timeout=0.3)
    try:
        with pytest.raises((OSError, TimeoutError)) as refused:
            await transport.send("GET", URL(f"{scheme}://api.invalid/"), CIMultiDict())
    finally:
        await transport.aclose()
    return failure_from_exception(refused.value, "api.invalid", 1)


@pytest.mark.parametrize("code", [1, 2, 4, 5])
async def test_a_socks_proxy_that_refuses_was_sent_nothing(code: int) -> None:
    async with await asyncio.start_server(Socks(code=code).serve, "127.0.0.1", 0) as server:
        failure = await _refused_by_socks(server.sockets[0].getsockname()[1])
    assert (failure.kind, failure.unsent) == (FailureKind.CONNECTION, True)
    assert "the SOCKS proxy 127.0.0.1:" in failure.message


async def test_a_socks_proxy_that_is_not_there_was_sent_nothing() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and does not listen
        failure = await _refused_by_socks(silent.getsockname()[1])
    assert (failure.kind, failure.unsent) == (FailureKind.CONNECTION, True)
    assert "the SOCKS proxy 127.0.0.1:" in failure.message
    assert "cannot be reached" in failure.message


@pytest.mark.parametrize("answers", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["silence", "no TLS"])
async def test_tls_that_fails_behind_a_socks_proxy_was_sent_nothing(answers: bytes) -> None:
    class WithoutTLS(Socks):
        async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(answers)
            await reader.read()

    async with await asyncio.start_server(WithoutTLS().serve, "127.0.0.1", 0) as server:
        failure = await asyncio.wait_for(_refused_by_socks(server.sockets[0].getsockname()[1], "https"), 10)
    assert (failure.kind, failure.unsent) == (FailureKind.CONNECTION, True)


async def test_nothing_is_sent_past_a_proxy_that_is_refused() -> None:
    transport = Transport(secure=False, host="api.invalid", environ={"HTTP_PROXY": "quic://p"})
    with pytest.raises(ProxyRefused, match="HTTP_PROXY names a proxy of the kind quic"):
        await transport.send("GET", URL("http://api.invalid/"), CIMultiDict())
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
            request = "GET", URL(f"{scheme}://api.invalid/v1"), CIMultiDict()
            if secure:
                with pytest.raises(aiohttp.ClientHttpProxyError):
                    await transport.send(*request)
            else:
                answer = await transport.send(*request)
                assert await answer.read() == b"hi"
            assert "proxy-authorization" not in request[2]
        await transport.aclose()
    assert len(heads) == 2
    for head in heads:
        assert head.startswith(b"CONNECT api.invalid:443" if secure else b"GET http://api.invalid/v1")
        assert b"proxy-authorization: basic " + base64.b64encode("mé:p:w".encode()) in head.replace(
            b"Proxy-Authorization: Basic", b"proxy-authorization: basic"
        )


# -- certificates -------------------------------------------------------------------------------------


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    cert, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


def renewed_certificate(tmp_path: Path) -> tuple[ssl.SSLContext, Path, Path, Path]:
    """A server's context with its new certificate; the old and the new one; a file that vouches for the old."""
    old, _ = certificate(tmp_path, "old")
    new, key = certificate(tmp_path, "new")
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(old.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(new, key)
    return context, old, new, ca_file


async def say_hi(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
    await writer.drain()
    writer.close()


async def test_a_ca_file_is_read_again_after_a_change(tmp_path: Path) -> None:
    context, old, new, ca_file = renewed_certificate(tmp_path)
    async with await asyncio.start_server(say_hi, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        transport = Transport(secure=True, host="127.0.0.1", port=port, ca_file=str(ca_file), environ={})
        request = "GET", URL(f"https://127.0.0.1:{port}/"), CIMultiDict()
        with pytest.raises(OSError, match="certificate"):
            await transport.send(*request)
        ca_file.write_bytes(old.read_bytes() + new.read_bytes())
        answer = await transport.send(*request)
        assert await answer.read() == b"hi"
        ca_file.unlink()  # replaced in two steps: what was trusted is until there is another
        answer = await transport.send(*request)
        assert await answer.read() == b"hi"
        await transport.aclose()


@pytest.mark.parametrize("first", [b"", b"-----BEGIN CERT", None], ids=["emptied", "in pieces", "gone"])
async def test_no_request_fails_while_a_ca_file_is_replaced(tmp_path: Path, first: bytes | None) -> None:
    """The server has its new certificate a moment before the file has who vouches for it."""
    context, old, new, ca_file = renewed_certificate(tmp_path)
    async with await asyncio.start_server(say_hi, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        transport = Transport(secure=True, host="127.0.0.1", port=port, ca_file=str(ca_file), environ={})
        request = "GET", URL(f"https://127.0.0.1:{port}/"), CIMultiDict()
        tls_context(str(ca_file))
        if first is None:
            ca_file.unlink()
        else:
            ca_file.write_bytes(first)
        asyncio.get_running_loop().call_later(0.3, ca_file.write_bytes, old.read_bytes() + new.read_bytes())
        answers = await asyncio.gather(*[transport.send(*request) for _ in range(16)])
        assert {await answer.read() for answer in answers} == {b"hi"}
        await transport.aclose()


def test_a_wrong_ca_file_is_told_at_validation(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing\n")

    def told(path: Path) -> str:
        provider = {"connector": "openai-compatible.v1", "base_url": "https://h/v1", "ca_file": str(path)}
        (problem,) = MeshConfig({"providers": {"p": provider}}, environ={}).validate()
        return str(problem)

    assert told(tmp_path / "absent.pem").endswith("absent.pem cannot be read: No such file or directory")
    assert told(tmp_path / "empty.pem").endswith("empty.pem holds no certificates in PEM form")
    with pytest.raises(OSError, match="cannot be read"):
        tls_context(str(tmp_path / "absent.pem"))
