"""Finds the proxy for a server: a configured one, else HTTP(S)_PROXY, ALL_PROXY and NO_PROXY, as curl and others read
them.

Owns: which of them counts, how a proxy's address is read, and which kinds of proxy are supported. NO_PROXY's rules are
in `no_proxy.py`.
Must never: put a proxy's user or password into a message.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from yarl import URL

from meshd.net.connections.no_proxy import AROUND, address_of, read_no_proxy

_SCHEMES = {
    "http": "http",
    "https": "https",
    "socks": "socks5",
    "socks4": "socks4",
    "socks4a": "socks4a",
    "socks5": "socks5",
    "socks5h": "socks5h",
}
_PORTS = {"http": 80, "https": 443}
_SOCKS_PORT = 1080
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,19}")
_PLACE = re.compile(
    r"(\[[0-9A-Fa-f:.]+(?:%[^\]/?#]*)?\]|[^\s:/?#\[\]\\]+)(?::(\d{1,5}))?(?:[/?#].*)?", re.ASCII | re.DOTALL
)


class ProxyRefused(OSError):
    """A configured proxy cannot be used. Nothing is sent, and nothing bypasses it."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy's address, and our credentials. remote_names: the proxy looks names up itself."""

    scheme: str
    host: str
    port: int
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def socks(self) -> bool:
        return self.scheme.startswith("socks")

    @property
    def remote_names(self) -> bool:
        return self.scheme in ("socks4a", "socks5h")

    @property
    def url(self) -> URL:
        """Without user and password."""
        return URL.build(scheme=self.scheme, host=self.host, port=self.port)

    @property
    def with_login(self) -> str:
        """Its address for libraries, never for a message."""
        return str(self.url.with_user(self.user).with_password(self.password))


def find_proxy(secure: bool, host: str, port: int | None, environ: Mapping[str, str] | None = None) -> Proxy | None:
    """The proxy for a server; None for a direct connection, and always for this machine itself.

    Raises ProxyRefused. Looked up once per provider, as a daemon's environment does not change.
    """
    if is_loopback(host):
        return None
    proxies = _proxies(os.environ if environ is None else environ)
    if bypassed(host, port or (443 if secure else 80), proxies.get("no", ("", ""))[1]):
        return None
    variable, address = proxies.get("https" if secure else "http") or proxies.get("all") or ("", "")
    return read_proxy(variable, address) if address else None


def configured_proxy(address: str) -> Proxy | None:
    """The proxy that a configuration gives: `none` is a direct connection. It applies to every server, even on this
    machine, and always looks names up itself. Raises ProxyRefused."""
    if address.strip(AROUND).lower() == "none":
        return None
    proxy = read_proxy("proxy", address)
    return replace(proxy, scheme={"socks4": "socks4a", "socks5": "socks5h"}.get(proxy.scheme, proxy.scheme))


def read_proxy(variable: str, address: str) -> Proxy:
    """From `http://user:password@host:port` or `host:port`. variable: where it was given, for the message."""
    given, separator, rest = address.strip(AROUND).partition("://")
    if not separator:
        given, rest = "http", given.removeprefix("//")
    scheme = _SCHEMES.get(given.lower())
    if scheme is None:
        kind = given if _SCHEME.fullmatch(given) else "another kind"
        spoken = ", ".join(_SCHEMES)
        raise ProxyRefused(f"{variable} names a proxy of the kind {kind}://, but only {spoken} are supported")
    who, at, place = rest.rpartition("@")  # the last `@`: a password may contain one, or a slash
    found = _PLACE.fullmatch(place)
    port = int(found[2]) if found and found[2] else _PORTS.get(scheme, _SOCKS_PORT)
    host = found[1].strip("[]") if found else ""
    try:
        # The original message may contain the password.
        host = URL.build(scheme="http", host=host, port=port).host or "" if 0 < port < 65536 else ""
    except ValueError:
        host = ""
    if not host:
        raise ProxyRefused(f"{variable} is not the address of a proxy (http://host:port)")
    user, colon, password = who.partition(":")
    return Proxy(scheme, host, port, unquote(user) if at else None, unquote(password) if colon else None)


def bypassed(host: str, port: int, no_proxy: str) -> bool:
    """Whether NO_PROXY covers a server."""
    return read_no_proxy(no_proxy).covers(host, port)


def no_proxy_faults(environ: Mapping[str, str] | None = None) -> list[str]:
    """Entries of NO_PROXY without effect, a sentence each."""
    variable, text = _proxies(os.environ if environ is None else environ).get("no", ("", ""))
    return [f"{variable}: {fault}" for fault in read_no_proxy(text).faults]


def _proxies(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Scheme → (variable, value)."""
    found: dict[str, tuple[str, str]] = {}
    for name, value in sorted(environ.items()):  # lower case sorts last and wins, as in curl
        if name.lower().endswith("_proxy") and (text := value.strip(AROUND)):
            found[name.lower().removesuffix("_proxy")] = (name, text)
    return found


def is_loopback(host: str) -> bool:
    host = host.rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = address_of(host.strip("[]"))
    return address is not None and address.is_loopback
