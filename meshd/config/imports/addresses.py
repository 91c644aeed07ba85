"""Addresses of servers in other gateways' files, as the mesh writes them. References may stand for any part."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from meshd.sdk.connector import ConnectorSpec

_LEADING = re.compile(r"^\$\{[^}]*\}")
_REFERENCE = re.compile(r"\$\{[^}]*\}")


def is_server(address: str) -> bool:
    """Whether it can be the address of an API."""
    return is_address(address) and _parts(address).scheme in ("http", "https")


def is_address(address: str) -> bool:
    """Whether it names a host."""
    try:
        parts = _parts(address)
        return bool(parts.scheme and parts.hostname) and parts.port != 0
    except ValueError:
        return False


def host_of(address: str) -> str | None:
    """The host, unless a reference stands for it."""
    return _parts(address).hostname if is_address(address) and not _LEADING.match(address) else None


def address(spec: ConnectorSpec | None, given: str, version: str = "") -> str:
    """A base address as the mesh writes it: with the API's version at its end. version: to add if the connector's own
    address does not name one."""
    own = str(spec.row.get("base_url") or "") if spec is not None else ""
    ending = "/v1" if urlsplit(own).path.rstrip("/") == "/v1" else version
    if not is_address(given) or _parts(given).path.strip("/"):
        ending = ""
    return extended(given, ending)


def extended(given: str, ending: str) -> str:
    """The address with this at the end of its path."""
    place, mark, query = given.partition("?")
    return f"{place.rstrip('/')}{ending}{mark}{query}"


def _parts(address: str) -> SplitResult:
    """Raises ValueError."""
    return urlsplit(_REFERENCE.sub("1", _LEADING.sub("http://host", address)))
