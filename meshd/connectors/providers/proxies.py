"""Which proxy a server is reached by: HTTP(S)_PROXY, ALL_PROXY and NO_PROXY, as curl and others read them.

Owns: the rules of NO_PROXY, and which kinds of proxy are spoken.
Must never: put a proxy's user or password into a message.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from yarl import URL

_Address = IPv4Address | IPv6Address

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
_WITH_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]+):(\d{1,5})")


class ProxyRefused(OSError):
    """A proxy is named that cannot be used. Nothing is sent, least of all past it."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where it is, and who we are there. `remote_names`: it looks names up itself."""

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


def find_proxy(secure: bool, host: str, port: int | None, environ: Mapping[str, str] | None = None) -> Proxy | None:
    """The proxy for a server; None for a direct way, and always for this machine itself.

    Raises ProxyRefused. Looked up once per provider: the environment of a daemon does not change under it.
    """
    if is_loopback(host):
        return None
    proxies = _proxies(os.environ if environ is None else environ)
    if bypassed(host, port or (443 if secure else 80), proxies.get("no", ("", ""))[1]):
        return None
    variable, address = proxies.get("https" if secure else "http") or proxies.get("all") or ("", "")
    return read_proxy(variable, address) if address else None


def read_proxy(variable: str, address: str) -> Proxy:
    """From `http://user:password@host:port` or `host:port`. variable: where it was given, for the message."""
    try:
        url = URL(address if "://" in address else f"http://{address}")
        scheme, host, port = _SCHEMES.get(url.scheme), url.host, url.explicit_port
        user, password = url.user, url.password
    except ValueError:  # its own message may hold the password
        raise ProxyRefused(f"{variable} is not the address of a proxy (http://host:port)") from None
    if scheme is None:
        spoken = ", ".join(_SCHEMES)
        raise ProxyRefused(f"{variable} names a proxy of the kind {url.scheme}:// and only {spoken} are spoken")
    if not host:
        raise ProxyRefused(f"{variable} is not the address of a proxy (http://host:port)")
    return Proxy(scheme, host, port or _PORTS.get(scheme, _SOCKS_PORT), user, password)


def bypassed(host: str, port: int, no_proxy: str) -> bool:
    """Whether NO_PROXY (names, addresses, networks, each perhaps with a port; `*`) speaks of a server."""
    host = host.strip("[]").rstrip(".").lower()
    address = _address(host)
    return any(_covers(entry.lower(), host, address, port) for entry in re.split(r"[\s,;]+", no_proxy) if entry)


def _covers(entry: str, host: str, address: _Address | None, port: int) -> bool:
    if entry == "*":
        return True
    with_port = _WITH_PORT.fullmatch(entry)
    if with_port is not None:
        if int(with_port[2]) != port:
            return False
        entry = with_port[1]
    entry = entry.replace("[", "").replace("]", "")
    if address is not None:
        return _covers_address(entry, address)
    name = entry.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _covers_address(entry: str, address: _Address) -> bool:
    try:
        network = ip_network(entry.partition("%")[0], strict=False)
    except ValueError:
        return False
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= 96:
        network = ip_network(f"{mapped}/{network.prefixlen - 96}", strict=False)
    return address.version == network.version and address in network


def _address(host: str) -> _Address | None:
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _proxies(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Scheme → (variable, value)."""
    found: dict[str, tuple[str, str]] = {}
    for name, value in sorted(environ.items()):  # lower case sorts last and wins, as curl has it
        if name.lower().endswith("_proxy") and value.strip():
            found[name.lower().removesuffix("_proxy")] = (name, value.strip())
    return found


def is_loopback(host: str) -> bool:
    host = host.rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host.strip("[]"))
    return address is not None and address.is_loopback
