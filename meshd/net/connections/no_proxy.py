"""NO_PROXY as people write it: names, addresses and networks, with ports and wildcards, pasted addresses and quotes.

curl, Go, requests and httpx each read it differently. This accepts what any of them accepts, and what people copy from
lists for Java and Windows. An entry without effect is reported.
Owns: the rules for entries, and what is wrong with one.
Must never: fail. A meaningless entry is ignored, without affecting others.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec

from meshd.host.plain_text import one_line

Address = IPv4Address | IPv6Address
_Covers = Callable[[str, Address | None], bool]

AROUND = " \t\r\n\f\v\u00a0\ufeff\"'`“”‘’„"
"""Whitespace and quotes that an `--env-file` or a copied line leaves around a value."""
_BETWEEN = re.compile(r"[\s,;|]+")  # `|`: Java's nonProxyHosts
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:/+|//+")
_WITH_PORT = re.compile(r"(\[[^\]]*\](?:/\d+)?|[^:\[\]]+):([^:]*)")
_NAME = re.compile(r"[\w.-]+")
_PATTERN = re.compile(r"[\w.:*?-]+")
_LIKE_ADDRESS = re.compile(r"[\d.]+(?:-[\d.]+)?|[0-9a-f:.]*:[0-9a-f:.]*(?:%.*)?")
_ZONE = re.compile(r"%[^/]*")
_LONGEST_NAME = 253
_SHOWN = 60
_LOCAL_NAMES = "<local>"  # Windows: names without a dot


class _Meaningless(ValueError):
    """An entry has no effect; the message says why."""


class _Entry(msgspec.Struct, frozen=True):
    port: int | None
    covers: _Covers


class NoProxy(msgspec.Struct, frozen=True):
    """faults: a sentence for each entry without effect."""

    entries: tuple[_Entry, ...]
    faults: tuple[str, ...]

    def covers(self, host: str, port: int) -> bool:
        name = ascii_name(host.strip("[]").rstrip(".").lower())
        address = address_of(name)
        return any(entry.port in (None, port) and entry.covers(name, address) for entry in self.entries)


@lru_cache(maxsize=16)
def read_no_proxy(text: str) -> NoProxy:
    entries, faults = [], []
    for written in _BETWEEN.split(text):
        written = written.strip(AROUND)
        if not written:
            continue
        try:
            entries.append(_read(written.lower()))
        except _Meaningless as why:
            faults.append(f"{_shown(written)} {why}, so it has no effect")
    return NoProxy(tuple(entries), tuple(dict.fromkeys(faults)))


def _read(written: str) -> _Entry:
    place = _place(written)
    port: int | None = None
    if (with_port := _WITH_PORT.fullmatch(place)) is not None:
        place, port = with_port[1], _port(with_port[2])
    place = place.replace("[", "").replace("]", "")
    if "/" in place:
        return _Entry(port, _network(place))
    if place == _LOCAL_NAMES:
        return _Entry(port, lambda host, address: address is None and "." not in host)
    if "*" not in place and "?" not in place and _LIKE_ADDRESS.fullmatch(place):
        return _Entry(port, _network(place))
    return _Entry(port, _names(place))


def _place(written: str) -> str:
    """The host part of a pasted URL."""
    scheme = _SCHEME.match(written)
    place = written[scheme.end() :] if scheme is not None else written
    place = place.rpartition("@")[2]
    head, slash, path = place.partition("/")
    host = head.strip("[]").partition(":")[0]
    if slash and (scheme is not None or not (path[:1].isdigit() or address_of(host))):
        return head
    return place


def _port(text: str) -> int | None:
    if text in ("", "*"):
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise _Meaningless("has no port between 1 and 65535")
    return int(text)


def _network(text: str) -> _Covers:
    what = "a network (10.0.0.0/8)" if "/" in text else "an address"
    try:
        network: IPv4Network | IPv6Network = ip_network(_ZONE.sub("", text), strict=False)
    except ValueError:
        raise _Meaningless(f"is not {what}") from None
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= 96:
        network = IPv4Network(f"{mapped}/{network.prefixlen - 96}", strict=False)
    return lambda host, address: address is not None and address.version == network.version and address in network


def _names(text: str) -> _Covers:
    """Names and their subdomains; with wildcards, also addresses as text."""
    if text and not text.strip("*"):
        return lambda host, address: True
    # `.corp` and `*.corp` include `corp` itself, as in curl and requests.
    name = ascii_name(text.removeprefix("*.").strip("."))
    pattern = "*" in name or "?" in name
    if len(name) > _LONGEST_NAME or not (_PATTERN if pattern else _NAME).fullmatch(name) or not name.strip("*.?:"):
        raise _Meaningless("is not a name")
    if not pattern:
        return lambda host, address: address is None and (host == name or host.endswith(f".{name}"))
    matches = re.compile(fnmatch.translate(re.sub(r"\*+", "*", name))).match

    def covers(host: str, address: Address | None) -> bool:
        if address is not None:
            return matches(str(address)) is not None
        labels = host[:_LONGEST_NAME].split(".")
        return any(matches(".".join(labels[first:])) for first in range(len(labels)))

    return covers


def address_of(host: str) -> Address | None:
    """A host as an address; an IPv4-mapped IPv6 address becomes IPv4."""
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def ascii_name(name: str) -> str:
    """The name as sent to the name server."""
    if name.isascii():
        return name
    try:
        return ".".join(label if "*" in label else label.encode("idna").decode() for label in name.split("."))
    except UnicodeError:
        return name


def _shown(written: str) -> str:
    """For a log: without credentials and terminal control characters."""
    before, at, after = written.rpartition("@")
    text = f"…@{after}" if at and before else written
    return one_line(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
