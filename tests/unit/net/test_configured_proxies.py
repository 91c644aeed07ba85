"""A proxy that a configuration gives: it wins over the environment, for every server, and looks names up itself."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from meshd.net.connections.proxies import Proxy, ProxyRefused, configured_proxy
from meshd.net.failures import ProxyAnswered, TransportError
from meshd.net.http import Transport, UpstreamBody
from tests.support.config.problems import found, house
from tests.support.network.certificates import certificate
from tests.support.providers.servers.in_thread import ProviderInThread
from tests.support.providers.servers.small_proxy import SmallProxy

ELSEWHERE = {"HTTP_PROXY": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1", "ALL_PROXY": "quic://x"}


class Far(ProviderInThread):
    """A server that says which way it was asked."""

    def application(self) -> web.Application:
        async def answer(request: web.Request) -> web.Response:
            told = [name for name in request.headers if name.lower().startswith("proxy")]
            return web.json_response([str(request.rel_url), request.headers["Host"], told])

        app = web.Application()
        app.router.add_get("/v1/models", answer)
        return app


@pytest.fixture(scope="module")
def far() -> Iterator[Far]:
    made = Far()
    yield made
    made.close()


@pytest.fixture
def proxy() -> Iterator[SmallProxy]:
    made = SmallProxy()
    yield made
    made.close()


async def said(transport: Transport, url: URL) -> bytes:
    try:
        answer = await transport.send(transport.head("GET", url, {}))
        return await UpstreamBody(answer).read(1000)
    finally:
        await transport.aclose()


@pytest.mark.parametrize("environ", [{}, ELSEWHERE])
@pytest.mark.parametrize("host", ["api.invalid", "127.0.0.1"])
@pytest.mark.parametrize(("scheme", "asked"), [("http", "GET http://{}/v1/models"), ("socks5", "SOCKS {}")])
async def test_each_kind_reaches_the_server_by_name(
    scheme: str, asked: str, host: str, environ: dict[str, str], far: Far, proxy: SmallProxy
) -> None:
    address = proxy.address(scheme)
    transport = Transport(secure=False, host=host, port=far.port, proxy=address, environ=environ)
    told = await said(transport, URL(f"http://{host}:{far.port}/v1/models"))
    assert told == f'["/v1/models", "{host}:{far.port}", []]'.encode(), "the server learns nothing of the proxy"
    assert proxy.asked == [asked.format(f"{host}:{far.port}")]


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
async def test_tls_goes_through_to_the_server(scheme: str, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "both")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    proxy = SmallProxy(tls=context if scheme == "https" else None)
    far = SmallProxy(tls=context)  # as a server, it refuses whoever has no password
    try:
        address = proxy.address(scheme)
        transport = Transport(secure=True, host="localhost", port=far.port, proxy=address, ca_file=str(cert))
        answer = await transport.send(transport.head("GET", URL(f"https://localhost:{far.port}/v1"), {}))
        assert answer.status == 407, "the far end's own answer, not the proxy's"
        await transport.aclose()
        kind = "SOCKS" if scheme == "socks5" else "CONNECT"
        assert (proxy.asked, far.asked) == ([f"{kind} localhost:{far.port}"], ["GET /v1"])
    finally:
        proxy.close()
        far.close()


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_wrong_password_is_told_without_it(scheme: str, proxy: SmallProxy) -> None:
    address = proxy.address(scheme, "you")
    transport = Transport(secure=True, host="api.invalid", proxy=address, connect_timeout=10)
    with pytest.raises((ProxyAnswered, TransportError)) as raised:
        await said(transport, URL("https://api.invalid/v1"))
    assert proxy.refused == 1
    assert "pr0xy" not in f"{raised.value!r} {raised.value} {raised.value.__cause__!r}"


async def test_none_is_direct(far: Far) -> None:
    transport = Transport(secure=False, host="127.0.0.1", port=far.port, proxy="none", environ=ELSEWHERE)
    assert await said(transport, URL(f"http://127.0.0.1:{far.port}/v1/models"))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("none", None),
        (" None ", None),
        ("socks5://p", Proxy("socks5h", "p", 1080)),
        ("socks4://p:1", Proxy("socks4a", "p", 1)),
        ("p:3128", Proxy("http", "p", 3128)),
    ],
)
def test_what_is_written(written: str, read: Proxy | None) -> None:
    assert configured_proxy(written) == read


async def test_nothing_passes_by_a_proxy_that_cannot_be_used(far: Far) -> None:
    transport = Transport(secure=False, host="127.0.0.1", port=far.port, proxy="quic://p")
    with pytest.raises(ProxyRefused):
        await said(transport, URL(f"http://127.0.0.1:{far.port}/v1/models"))


def test_validation_names_the_fault() -> None:
    assert found({"providers": house(proxy="socks5://me:secret-pw@proxy.test:1080")}) == []
    assert found({"providers": house(proxy="none")}) == []
    (problem,) = found({"providers": house(proxy="quic://me:secret-pw@proxy.test")})
    assert problem.startswith("providers.house.proxy: names a proxy of the kind quic://, but only http, ")
    (problem,) = found({"providers": house(proxy="http://me:secret-pw@")})
    assert problem == "providers.house.proxy: is not the address of a proxy (http://host:port)"
    (problem,) = found({"providers": house(proxy="http://p:1", base_url="unix:/run/x.sock")})
    assert problem == "providers.house.proxy: has no effect: `base_url` is a socket of this machine"
    (problem,) = found({"providers": {"local-llm": {"proxy": "http://p:1"}}})[-1:]
    assert problem.startswith("providers.local-llm.proxy: unknown key")
