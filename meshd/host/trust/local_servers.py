"""Which servers of this machine may be used without asking the user: those of root, of system users and of this
process's own user.

Any user may listen at a free port, answer as Ollama does, and read what is sent there.

Must never: be called in the router's loop, since it may ask a name server; or trust a server about which the kernel
says nothing.
"""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from meshd.host.process.processes import peer_credentials
from meshd.host.trust.socket_owners import owners, peer_of
from meshd.host.users import is_system_user, user_name

UNKNOWN = "the kernel does not say which user listens there"


def distrust(host: str, port: int) -> str | None:
    """Why a server may not be used without asking the user: "" if it may, None if nothing listens there. A server on
    another machine may, since the configuration or the environment names that machine."""
    reasons = [_of_listeners(address, port) for address in _own_addresses(host)]
    found = [reason for reason in reasons if reason is not None]
    return None if reasons and not found else next(filter(None, found), "")


def distrust_url(url: str) -> str | None:
    """The same for a base URL, which may be `unix:/path`."""
    if url.startswith("unix:"):
        return _of_socket_file("/" + url.removeprefix("unix:").lstrip("/"))
    parts = urlsplit(url)
    return distrust(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def distrust_connection(connected: Any) -> str:
    """Why nothing may be sent to the other end of this socket, "" if it may be. Takes some ten
    microseconds, or more if there are many sockets on this machine. Raises OSError."""
    if connected.family == socket.AF_UNIX:
        return _of_users({peer_credentials(connected)[1]})
    local, remote = connected.getsockname(), connected.getpeername()
    if not _is_own(remote[0]):
        return ""
    # The server may not have accepted it yet. Only those who listen now can: one that accepted it and then stopped
    # listening is its owner.
    peer = peer_of(local, remote)
    if peer is not None:
        return _of_users({peer.uid})
    reason = _of_listeners(remote[0], remote[1])
    return "nothing listens there any more" if reason is None else reason


def is_here(url: str) -> bool:
    """Whether a base URL names an address of this machine, as far as that is known without a name server."""
    if url.startswith("unix:"):
        return True
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    return host == "localhost" or host.endswith(".localhost") or (_is_address(host) and bool(_own_addresses(host)))


def _of_listeners(address: str, port: int) -> str | None:
    found = owners(port, address)
    if found is None:
        return UNKNOWN
    return _of_users({owner.uid for owner in found}) if found else None


def _of_socket_file(path: str) -> str | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
        asked.setblocking(False)
        try:
            asked.connect(path)
        except OSError:
            return None
        return _of_users({peer_credentials(asked)[1]})


def _of_users(uids: set[int]) -> str:
    strangers = sorted(uid for uid in uids if uid != os.getuid() and not is_system_user(uid))
    return f"it is served by the user {', '.join(map(user_name, strangers))}" if strangers else ""


def _own_addresses(host: str) -> list[str]:
    """The addresses of this machine that a host name stands for."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    addresses = dict.fromkeys(_reached(str(place[4][0])) for place in found)
    return [address for address in addresses if _is_own(address)]


def _reached(address: str) -> str:
    """The address that a connection to a wildcard address reaches."""
    if not ip_address(address.partition("%")[0]).is_unspecified:
        return address
    return "::1" if ":" in address else "127.0.0.1"


def _is_own(address: str) -> bool:
    """The kernel binds a socket only to an address of this machine."""
    if ip_address(address.partition("%")[0]).is_loopback:
        return True
    family, *_, place = socket.getaddrinfo(address, 0, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(place)
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
    return True


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
