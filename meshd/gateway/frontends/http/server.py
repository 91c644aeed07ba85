"""The HTTP front end: requests in, answers and events out.

Owns: the mapping between HTTP and requests.
Must never: block, know what an operation does, or hold a rule that another front end would need too (`admission.py`).
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from meshd.compilation.apps import known_tokens
from meshd.compilation.before_start.server_certificate import tls_of
from meshd.config.mesh_config import MeshConfig
from meshd.core.caller import Caller, Peer
from meshd.core.objection import raised
from meshd.formats.protocol import Framing
from meshd.gateway.frontends.admission import Admission, holds_much
from meshd.gateway.frontends.exchange import OWN_PREFIX, Deadline, Request
from meshd.gateway.frontends.http import pages
from meshd.gateway.frontends.http.connection import HttpConnection
from meshd.gateway.frontends.http.incoming import METHODS, Incoming, too_long
from meshd.gateway.frontends.http.listeners import PLAIN, Listener, Listeners, begins_plainly
from meshd.gateway.frontends.http.reply import HttpReply
from meshd.gateway.frontends.http.upload import SLOW, WHOLE, Upload
from meshd.gateway.spoken import framing
from meshd.host import clock
from meshd.messages import ListenHttp
from meshd.sdk.provider import RateLimits
from modelmesh.errors import InvalidRequestError, MeshError, NotFoundError

_CHECK_EVERY = 2.0  # s between two looks for clients that are too slow


class Endpoints(Protocol):
    """What may be requested, by path (`gateway/control/dispatcher.py`)."""

    def methods(self, path: str) -> set[str]:
        """Those that a path takes; empty if there is no such path."""

    def format(self, path: str, headers: Mapping[str, str]) -> str:
        """The name of the format in which errors are written. headers: by lower-case name."""

    def streams(self, path: str) -> bool:
        """Whether the body of a request may be read while it arrives."""

    def compressed(self, path: str) -> bool:
        """Whether a body may be compressed with gzip."""

    def largest(self, path: str) -> tuple[int, str] | None:
        """The limit for such a body in bytes, and the key that would allow more; None: as for any body."""

    def unknown(self, path: str, *, own: bool) -> NotFoundError:
        """The error for a path that does not exist."""


class HttpServer:
    """limits: what is left of the limits of a caller's app; None if it has none."""

    def __init__(
        self, admission: Admission, endpoints: Endpoints, limits: Callable[[Caller], RateLimits | None] = lambda _: None
    ) -> None:
        self.connections: set[HttpConnection] = set()
        self.listeners = Listeners(self._connected, admission.connections)
        self._admission = admission
        self._endpoints = endpoints
        self._limits = limits
        self._loop: asyncio.AbstractEventLoop | None = None
        self._made: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    # -- life -----------------------------------------------------------------------------------------

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.listeners.open(loop)
        self._timer = loop.call_later(_CHECK_EVERY, self._check)

    def listen(self, place: ListenHttp) -> None:
        self.listeners.at(place)

    def use(self, config: MeshConfig) -> None:
        """Use other addresses, settings and tokens."""
        self.listeners.use(config.proxy, known_tokens(config))

    def objections(self, config: MeshConfig) -> tuple[str, ...]:
        """Why the configuration cannot be used; empty if it can."""
        return tuple(map(str, raised(tls_of, config.proxy)))

    def drain(self, reason: str, seconds: float) -> None:
        """Every answer from now on closes its connection."""
        for connection in list(self.connections):
            if connection.reply is not None:
                connection.reply.keeps = False
            elif connection.is_idle:
                connection.close()

    def stop_receiving(self) -> None:
        self.listeners.stop()
        for connection in self.connections:
            connection.stop_receiving()

    def close(self) -> None:
        self.stop_receiving()
        self.listeners.close()
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self.connections):
            connection.close()

    # -- connections ----------------------------------------------------------------------------------

    def _connected(self, listener: Listener, accepted: socket.socket, caller: Peer) -> None:
        assert self._loop is not None
        loop, turns = self._loop, self._admission.turns
        connection = HttpConnection(loop, caller, self, turns, self._admission.room, listener)
        self.connections.add(connection)
        self._admission.connections.take(connection.user)
        made = loop.create_task(self._make(connection, accepted, listener))
        self._made.add(made)
        made.add_done_callback(self._made.discard)

    async def _make(self, connection: HttpConnection, accepted: socket.socket, listener: Listener) -> None:
        assert self._loop is not None
        try:
            if listener.tls is not None and await begins_plainly(self._loop, accepted, SLOW):
                connection.listener = PLAIN
        except (OSError, asyncio.CancelledError):
            accepted.close()
            self.gone(connection)
            return
        try:
            await self._loop.connect_accepted_socket(lambda: connection, accepted, ssl=connection.listener.tls)
        except (OSError, asyncio.CancelledError):  # no TLS, or it has gone
            self.gone(connection)

    def _check(self) -> None:
        assert self._loop is not None
        now = time.monotonic()
        self._timer = self._loop.call_later(_CHECK_EVERY, self._check)
        for connection in list(self.connections):
            connection.check(now, self.listeners.keepalive)

    def fits(self, connection: HttpConnection, size: int) -> bool:
        caller = connection.asks_as
        return self._admission.has_room(caller, self._admission.rights(caller), size)

    def gone(self, connection: HttpConnection) -> None:
        if connection not in self.connections:
            return
        self.connections.discard(connection)
        self._admission.connections.give(connection.user)
        reply, connection.reply = connection.reply, None
        if reply is not None:
            if reply.request is not None:
                self._admission.lost(reply.request.request_id)
            reply.gone()

    # -- requests -------------------------------------------------------------------------------------

    def judge(self, connection: HttpConnection, incoming: Incoming) -> None:
        """Before its body is read."""
        try:
            self._judge(connection, incoming)
        except MeshError as error:
            incoming.refusal = error

    def _judge(self, connection: HttpConnection, incoming: Incoming) -> None:
        if connection.listener.wants_tls:
            incoming.closes = True
            raise InvalidRequestError("This port speaks TLS; use https://.", code="tls_required")
        access, headers, is_unix = self.listeners.access, incoming.headers, connection.listener.is_unix
        if incoming.target.startswith(("http://", "https://")):  # as a proxy is asked
            host, slash, path = incoming.target.partition("://")[2].partition("/")
            headers["host"], incoming.target = host, slash + path or "/"
        path = incoming.path
        access.check_page(connection.caller, headers, path, is_unix=is_unix, navigates=path in pages.OPEN)
        if incoming.method == "OPTIONS" or path in pages.OPEN:
            incoming.limit = incoming.limit or pages.MOST_BODY
            return
        incoming.caller = caller = access.caller(connection.caller, headers, incoming.target, is_unix=is_unix)
        incoming.target = access.without_key(incoming.target)
        if connection.caller.uid < 0:
            self._count_as(connection, caller)
        self._check_path(incoming.method, path)
        coding = headers.get("content-encoding", "identity").lower()
        if coding not in ("", "identity") and not (coding == "gzip" and self._endpoints.compressed(path)):
            raise InvalidRequestError(
                f"A body compressed with {coding[:64]} is not read here; send it as it is.",
                status_code=415,
                code="unsupported_media_type",
            )
        incoming.rights = rights = self._admission.rights(caller)
        incoming.limit, incoming.setting = rights.max_message_size, rights.setting
        if self.listeners.max_body < incoming.limit:
            incoming.limit, incoming.setting = self.listeners.max_body, "proxy.max_body"
        incoming.limit, incoming.setting = self._endpoints.largest(path) or (incoming.limit, incoming.setting)
        if incoming.length is not None and incoming.length > incoming.limit:
            raise too_long(incoming.length, incoming.limit, incoming.setting)
        incoming.streams = (incoming.length is None or incoming.length > WHOLE) and self._endpoints.streams(path)

    def _count_as(self, connection: HttpConnection, caller: Caller) -> None:
        """A connection from another machine counts towards its token's share: all tokens may come through one proxy."""
        places, user = self._admission.connections, caller.shares_as
        if user != connection.user and places.fits(user):
            places.give(connection.user)
            places.take(user)
            connection.count_as(caller)

    def _check_path(self, method: str, path: str) -> None:
        if path.startswith(OWN_PREFIX) and not self.listeners.dashboard:
            raise NotFoundError(
                "The mesh's own operations are not offered over HTTP here (proxy.dashboard); use `meshctl` or "
                "`client.mesh`.",
                code="unknown_path",
            )
        methods = self._endpoints.methods(path) if self.listeners.offers(path) else set()
        if not methods:
            raise self._endpoints.unknown(path, own=False)
        if "GET" in methods:
            methods.add("HEAD")
        if method not in methods:
            allowed = sorted(methods | {"OPTIONS"})
            raise InvalidRequestError(
                f"{path[:100]} takes {', '.join(sorted(methods))}; use that method.",
                status_code=405,
                code="method_not_allowed",
                methods=allowed,
            )

    def receive(self, connection: HttpConnection, incoming: Incoming) -> None:
        assert self._loop is not None
        request_id, limits = os.urandom(16), self._admission.limits
        arrived = clock.now()
        deadline = Deadline.after(arrived, limits.request_timeout)
        app = framing(self._endpoints.format(incoming.path, incoming.headers))
        reply = HttpReply(connection, app, deadline, self._loop)
        reply.extra = [("x-request-id", request_id.hex()), *self.listeners.cors_headers(incoming.headers)]
        reply.told = partial(self._told, app, request_id.hex(), incoming.caller)
        reply.chunked = not incoming.is_http_1_0
        reply.bodiless = incoming.method == "HEAD"
        reply.keeps = not (incoming.closes or self._admission.draining)
        connection.reply = reply
        if incoming.upload is not None:
            self._watch(connection, incoming.upload, reply)
        if incoming.refusal is not None:
            reply.error(incoming.refusal)
        elif incoming.method == "OPTIONS":
            reply.plain(204, b"", [("allow", ", ".join(METHODS)), *self.listeners.preflight(incoming.headers)])
        elif incoming.path in pages.OPEN:
            self._show_page(incoming, reply)
        else:
            self._ask(connection, incoming, reply, request_id, arrived)

    def _watch(self, connection: HttpConnection, upload: Upload, reply: HttpReply) -> None:
        """An answer that comes before the whole upload has arrived closes the connection."""
        connection.watch(upload)
        if upload.done:
            return
        keeps, reply.keeps = reply.keeps, False

        def ended() -> None:
            if keeps and not self._admission.draining:
                reply.may_keep()

        upload.ended = ended

    def _told(self, app: Framing, request_id: str, caller: Caller | None) -> list[tuple[str, str]]:
        """caller: None if it is not known, or of no interest."""
        limits = None if caller is None else self._limits(caller)
        return app.headers(request_id, limits, time.time())

    def _show_page(self, incoming: Incoming, reply: HttpReply) -> None:
        if incoming.method not in ("GET", "HEAD"):
            allowed = ["GET", "HEAD", "OPTIONS"]
            error = InvalidRequestError(
                f"{incoming.path} takes GET.", status_code=405, code="method_not_allowed", methods=allowed
            )
            reply.error(error)
            return
        reply.plain(*pages.page(incoming.path, draining=self._admission.draining, dashboard=self.listeners.dashboard))

    def _ask(
        self, connection: HttpConnection, incoming: Incoming, reply: HttpReply, request_id: bytes, arrived: float
    ) -> None:
        assert incoming.caller is not None
        assert incoming.rights is not None, "it was not refused"
        headers = self.listeners.access.without_tokens(incoming.headers)
        method = "GET" if incoming.method == "HEAD" else incoming.method
        request = reply.request = Request(
            request_id,
            method,
            incoming.target,
            incoming.body,
            reply,
            headers=headers,
            caller=incoming.caller,
            deadline=reply.deadline,
            arrived=arrived,
        )
        request.upload = incoming.upload
        reply.finish = partial(self._admission.ended, request_id, reply, None)
        incoming.drop()
        reply.watch()
        self._admission.admit(request, len(request.body), incoming.rights, peer=connection.caller)

    def crowded(self, connection: HttpConnection) -> MeshError:
        return holds_much(connection.asks_as)
