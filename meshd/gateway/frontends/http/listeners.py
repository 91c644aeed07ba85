"""Where the HTTP front end listens, by the running configuration.

Owns: its addresses, and what the section `proxy` says about them. Must never: end the daemon because an address is
taken."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

import msgspec

from meshd.compilation.before_start.server_certificate import load_certificate, tls_of
from meshd.config.schema import ProxyConfig
from meshd.core.caller import Peer
from meshd.core.objection import Objection
from meshd.formats.limit_headers import ANTHROPIC_NAMES, OPENAI_NAMES
from meshd.gateway.frontends.acceptor import Acceptor
from meshd.gateway.frontends.http.access import Access
from meshd.gateway.frontends.http.dashboard_keys import DashboardKeys
from meshd.gateway.frontends.http.heads import MESH_NAMES
from meshd.gateway.frontends.shares.connection_places import ConnectionPlaces
from meshd.host.plain_text import one_line
from meshd.messages import ListenHttp
from modelmesh.errors import MeshError

logger = logging.getLogger("meshd.gateway")

_PREFLIGHT = "authorization, content-type, x-api-key, x-goog-api-key, anthropic-version, anthropic-beta"
_EXPOSED = ", ".join(
    ("x-request-id", "request-id", "retry-after", "x-should-retry", *MESH_NAMES, *OPENAI_NAMES, *ANTHROPIC_NAMES)
)


class Listener(msgspec.Struct, frozen=True):
    """One address. tls: None without TLS. wants_tls: this stands for connections that came without TLS and are
    refused."""

    is_unix: bool
    tls: ssl.SSLContext | None = None
    wants_tls: bool = False


PLAIN = Listener(is_unix=False, wants_tls=True)
"""The listener of connections that came without TLS to an address that has it."""


class Listeners:
    """connected: called with a listener, a socket and the caller at its other end. places: those for the connections.
    addresses: as URLs; a UNIX socket's path as it is. problems: why other addresses are missing here. keepalive:
    seconds.
    max_body: bytes.
    """

    def __init__(self, connected: Callable[[Listener, socket.socket, Peer], None], places: ConnectionPlaces) -> None:
        self.addresses: list[str] = []
        self.problems: list[str] = []
        self.keys = DashboardKeys()
        self.access = Access(keys=self.keys)
        self._connected = connected
        self._places = places
        self._config: ProxyConfig | None = None
        self._place: ListenHttp | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._acceptors: list[Acceptor] = []
        self._files: list[str] = []
        self._tls: ssl.SSLContext | None = None  # of the address that is open
        self._bound: object = None  # the settings that the open addresses come from

    def offers(self, path: str) -> bool:
        """Whether there may be anything at a path, by `proxy.endpoints`."""
        endpoints = self._config.endpoints if self._config is not None else ()
        return not endpoints or any(fnmatchcase(path, pattern) for pattern in endpoints)

    @property
    def dashboard(self) -> bool:
        return self._config is not None and self._config.dashboard

    @property
    def keepalive(self) -> float:
        return self._config.keepalive if self._config is not None else 0.0

    @property
    def max_body(self) -> int:
        return self._config.max_body if self._config is not None else 0

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._bind()

    def at(self, place: ListenHttp) -> None:
        self._place = place
        self._bind()

    def use(self, config: ProxyConfig, tokens: Mapping[str, str]) -> None:
        """tokens: digest → app."""
        self._config = config
        origins = frozenset(map(str.lower, config.cors.origins)) if config.cors.enabled else frozenset[str]()
        self.access = Access(config.host, config.auth.method == "bearer", dict(tokens), origins, self.keys)
        self._bind()

    def stop(self) -> None:
        for acceptor in self._acceptors:
            acceptor.stop()

    def close(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
        for path in self._files:
            with contextlib.suppress(OSError):
                os.unlink(path)
        self._acceptors, self._files, self.addresses, self.problems, self._bound = [], [], [], [], None
        self._tls = None  # or a reload while the front end is off would renew a certificate that is not named any more

    # -- CORS -----------------------------------------------------------------------------------------

    def cors_headers(self, headers: Mapping[str, str]) -> list[tuple[str, str]]:
        origin = headers.get("origin", "")
        if not origin or origin.lower() not in self.access.origins:
            return []
        return [
            ("access-control-allow-origin", origin),
            ("vary", "origin"),
            ("access-control-expose-headers", _EXPOSED),
        ]

    def preflight(self, headers: Mapping[str, str]) -> list[tuple[str, str]]:
        if not self.cors_headers(headers):
            return []
        asked = headers.get("access-control-request-headers", "")
        return [
            ("access-control-allow-methods", "GET, POST, DELETE"),
            ("access-control-allow-headers", one_line(asked)[:2000] if asked.isascii() and asked else _PREFLIGHT),
            ("access-control-max-age", "600"),
        ]

    # -- inside ---------------------------------------------------------------------------------------

    def _bind(self) -> None:
        """Listen at the configured addresses, unless it does already."""
        config, place = self._config, self._place
        if config is None or place is None or self._loop is None:
            return
        enabled = place.by_default if config.enabled is None else config.enabled
        wanted = (enabled, config.host, config.port, config.socket, config.tls, place) if enabled else None
        if wanted == self._bound:
            self._renew(config)
            return
        self.close()
        self._bound = wanted
        if enabled:
            self._listen_tcp(self._loop, config)
            path = os.path.expanduser(config.socket) if config.socket else place.socket
            if path:
                self._listen_at(self._loop, path, place)

    def _renew(self, config: ProxyConfig) -> None:
        """New connections are shown the certificate that is in its file now."""
        if self._tls is None:
            return
        try:
            load_certificate(self._tls, config)
        except Objection as objection:  # none, if `objections` was called first
            logger.warning("%s", objection)

    def _listen_tcp(self, loop: asyncio.AbstractEventLoop, config: ProxyConfig) -> None:
        host = "127.0.0.1" if config.host == "localhost" else config.host
        port = 0 if config.port == "auto" else config.port
        shown = f"[{host}]" if ":" in host else host
        try:
            self._tls = tls_of(config)
            acceptor = self._acceptor(Listener(is_unix=False, tls=self._tls))
            found = acceptor.listen_tcp(loop, host, port)
        except (OSError, Objection) as error:
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                why = "another program listens there; end it, or set proxy.port to another one, or to auto"
            else:
                why = str(error)
            self._fail(f"HTTP at {shown}:{port}: {why}")
            return
        scheme = "http" if config.tls.cert is None else "https"
        self.addresses.append(f"{scheme}://{shown}:{found}")

    def _listen_at(self, loop: asyncio.AbstractEventLoop, path: str, place: ListenHttp) -> None:
        if _answers(path):
            self._fail(f"HTTP at {path}: another program listens there; end it, or set proxy.socket to another path")
            return
        try:
            self._acceptor(Listener(is_unix=True)).listen(loop, path, None, place.mode, place.gid)
        except (OSError, MeshError) as error:
            self._fail(f"HTTP at {path}: {error}")
            return
        self._files.append(path)
        self.addresses.append(path)

    def _acceptor(self, listener: Listener) -> Acceptor:
        made = Acceptor(lambda accepted, caller: self._connected(listener, accepted, caller), self._places)
        self._acceptors.append(made)
        return made

    def _fail(self, problem: str) -> None:
        self.problems.append(problem)
        logger.warning("%s", problem)


async def begins_plainly(loop: asyncio.AbstractEventLoop, accepted: socket.socket, patience: float) -> bool:
    """Whether a client's first byte is a letter, as of an HTTP method; TLS begins with 22. The byte is not taken.
    patience: seconds. Raises OSError, which TimeoutError is too."""
    came = asyncio.Event()
    loop.add_reader(accepted, came.set)
    try:
        await asyncio.wait_for(came.wait(), patience)
    finally:
        loop.remove_reader(accepted)
    return accepted.recv(1, socket.MSG_PEEK).isalpha()


def _answers(path: str) -> bool:
    """Whether a program listens at a UNIX socket's path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
        asked.setblocking(False)
        try:
            asked.connect(path)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True
