"""The addresses of `daemon.listen`: `tcp://HOST:PORT` and `ipc://PATH`.

Must never: open one, or look a name up.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple

_TCP = re.compile(r"tcp://(?P<host>\[[^\]\s]+\]|[^:/\s]+):(?P<port>[0-9]{1,5}|\*)")


class ListenAddress(NamedTuple):
    """path: of a UNIX socket; "" for TCP. host: an IP address. port: 0 for any that is free."""

    path: str = ""
    host: str = ""
    port: int = 0

    @property
    def is_loopback(self) -> bool:
        """Whether programs of this machine alone can reach it."""
        return not self.host or ip_address(self.host).is_loopback


def parse(text: str) -> ListenAddress:
    """Raises ValueError."""
    if text.startswith("ipc://"):
        path = text.removeprefix("ipc://")
        if not path.startswith(("/", "~/")) or "\0" in path:
            raise ValueError(f"expected the full path of a socket, such as ipc:///run/mesh/team.sock, got {text!r}")
        return ListenAddress(path)
    found = _TCP.fullmatch(text)
    if found is None:
        raise ValueError(f"expected tcp://ADDRESS:PORT or ipc:///PATH, got {text!r}")
    host = {"*": "0.0.0.0", "localhost": "127.0.0.1"}.get(found["host"], found["host"].strip("[]"))
    port = 0 if found["port"] == "*" else int(found["port"])
    try:
        ip_address(host)
    except ValueError:
        raise ValueError(f"expected an IP address of this machine, localhost or *, got {found['host']!r}") from None
    if port > 65535:
        raise ValueError(f"expected a port of at most 65535, or * for any that is free, got {port}")
    return ListenAddress(host=host, port=port)


def shown(host: str, port: int) -> str:
    """An address of TCP, as text."""
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
