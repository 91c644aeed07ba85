"""The ZeroMQ front end: messages in, messages out.

Owns: the mapping between messages and requests.
Must never: block, know what an operation does, let one peer's bad messages affect another, or hold a rule that another
front end would need too (`admission.py`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from meshd.compilation.apps import known_keys
from meshd.config.mesh_config import MeshConfig
from meshd.core.caller import Peer, Token
from meshd.core.events.event_type import EventType
from meshd.core.objection import raised
from meshd.gateway.frontends.acceptor import Acceptor
from meshd.gateway.frontends.admission import Admission, NotYours, Rights
from meshd.gateway.frontends.exchange import Deadline, Request
from meshd.gateway.frontends.ipc import zmtp
from meshd.gateway.frontends.ipc.connections import Connection, Connections
from meshd.gateway.frontends.ipc.curve.handshakes import Handshakes
from meshd.gateway.frontends.ipc.curve.long_frames import LongFrames
from meshd.gateway.frontends.ipc.listeners import FurtherListeners, Listener, key_of
from meshd.gateway.frontends.ipc.reply import IpcReply
from meshd.gateway.frontends.ipc.zmtp_connection import ZmtpConnection
from meshd.gateway.frontends.sent_answer import Answer
from meshd.host import clock
from meshd.host.plain_text import printable
from modelmesh import protocol as wire
from modelmesh.errors import MeshError, ProtocolError, RoutingError, StreamInterrupted
from modelmesh.version import VERSION

if TYPE_CHECKING:
    from meshd.gateway.frontends.ipc.inproc_socket import InprocSocket

logger = logging.getLogger("meshd.gateway")

_HEADS = 3 * 65536  # bytes of a message's frames besides its body
_DISCARDED = 64 * 1024**2  # bytes of a message that is too large, which are read so that its sender gets a 413
_GAVE_UP = "the daemon heard nothing from this client for three heartbeats, and cancelled its requests"


class IpcServer:
    """admission: decides which requests are admitted. on_event(type, reason, caller): called with events of peers.
    heartbeat: seconds."""

    def __init__(
        self,
        admission: Admission,
        *,
        on_event: Callable[..., None],
        heartbeat: float = wire.HEARTBEAT_SECONDS,
    ) -> None:
        self.instance = secrets.token_hex(8)
        self.malformed = 0
        self.connections = Connections(self._lost, heartbeat, admission.connections)
        self.further = FurtherListeners(self._came, admission.connections)
        self._acceptor = Acceptor(partial(self._came, None), admission.connections)
        self._admission = admission
        self._on_event = on_event
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inproc: InprocSocket | None = None
        self._made: set[asyncio.Task[Any]] = set()
        self._handshakes = Handshakes(admission.connections, self.connections.lose)
        self._long_frames = LongFrames()

    @property
    def addresses(self) -> list[str]:
        return self._acceptor.addresses + (self._inproc.addresses if self._inproc is not None else [])

    # -- life -----------------------------------------------------------------------------------------

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.connections.open(loop)

    def bind(self, address: str, fd: int | None = None, *, mode: int | None = None, gid: int | None = None) -> None:
        """Listen at an `ipc://` address, like `Acceptor.listen`, or at an `inproc://` one. Raises ValueError for
        others."""
        assert self._loop is not None, "it is open"
        if address.startswith("inproc://"):
            if self._inproc is None:
                from meshd.gateway.frontends.ipc.inproc_socket import InprocSocket  # and with it libzmq

                self._inproc = InprocSocket(self._loop, self, self.connections)
            self._inproc.bind(address)
        elif address.startswith("ipc://"):
            self._acceptor.listen(self._loop, address.removeprefix("ipc://"), fd, mode, gid)
            self.further.open(self._loop)  # an embedded mesh, at inproc://, has none
        else:
            raise ValueError(f"{address} is not an ipc:// or inproc:// address")

    def objections(self, config: MeshConfig) -> tuple[str, ...]:
        """Why the configuration cannot be used; empty if it can."""
        return tuple(map(str, raised(key_of, config.daemon)))

    def use(self, config: MeshConfig) -> None:
        """Use other addresses, and other keys of clients."""
        closed = self.further.use(config.daemon, known_keys(config))
        for connection in list(self.connections.known):
            caller = connection.caller
            if isinstance(caller, Token) and not self.further.admits(caller):
                self.connections.lose(connection, "its key is not admitted any more")
            elif connection.came_by in closed:
                self._part(connection, "its address is not served any more", config.daemon.drain_timeout)

    def stop_receiving(self) -> None:
        """What a client sends from now on is for the next daemon, or the next run of the router, at this address."""
        self._acceptor.stop()
        self.further.stop()
        if self._inproc is not None:
            self._inproc.stop_receiving()
        for connection in self.connections.known:
            connection.stop_receiving()

    def close(self) -> None:
        """Stop listening and forget the peers. Messages that were sent have half a second to be delivered."""
        self.stop_receiving()
        self._acceptor.close()
        self.further.close()
        self.connections.close()
        if self._inproc is not None:
            self._inproc.close()
        self._long_frames.close()

    def drain(self, reason: str, seconds: float) -> None:
        frames = wire.encode(wire.GOAWAY, b"", wire.GoawayHead(reason, int(seconds * 1000)))
        for connection in [each for each in self.connections.known if each.greeted]:
            self.send(connection, frames)

    # -- sending --------------------------------------------------------------------------------------

    def send(self, connection: Connection, frames: list[bytes]) -> bool:
        """False when the connection has gone."""
        why = connection.send(frames)
        if why:
            self.connections.lose(connection, why)
        return not why

    def finished(self, reply: IpcReply, frames: list[bytes], answer: Answer | None) -> None:
        """Called with a reply's last message."""
        self._admission.ended(reply.request_id, reply, answer)
        reply.connection.requests.discard(reply.request_id)
        self.send(reply.connection, frames)
        self.connections.leave_if_idle(reply.connection)

    # -- receiving ------------------------------------------------------------------------------------

    def _came(self, listener: Listener | None, accepted: socket.socket, caller: Peer) -> None:
        """A client. listener: None for the main socket."""
        assert self._loop is not None
        loop = self._loop
        key = self.further.key if listener is not None and listener.curve else None
        common = loop, caller, self, self._admission.turns, self._admission.room, self._bounds, self._fits
        if key is None:
            connection = ZmtpConnection(*common)
        else:
            from meshd.gateway.frontends.ipc.curve.connection import CurveConnection  # and with it libsodium

            connection = CurveConnection(*common, key, self._shown, self._long_frames)
        connection.came_by = listener
        self.connections.add(connection)
        if key is not None:
            self._handshakes.began(connection)
        made = loop.create_task(loop.connect_accepted_socket(lambda: connection, accepted))
        self._made.add(made)
        made.add_done_callback(self._made.discard)

    def _shown(self, connection: Connection, public: bytes) -> None:
        """A client has proved that it has a key. Raises Refused."""
        holder = self.further.holder(public)
        if holder is None:
            raise zmtp.Refused("its key is not admitted")
        if why := self.connections.hand_over(connection, holder):
            raise zmtp.Refused(why)
        self._handshakes.ended(connection)

    def _rights(self, connection: Connection) -> Rights:
        limits = self._admission.limits
        if connection.limits is not limits:  # of an earlier configuration
            connection.rights, connection.limits = self._admission.rights(connection.caller), limits
        return connection.rights

    def _bounds(self, connection: Connection) -> zmtp.Bounds:
        return _bounds_of(self._rights(connection).max_message_size)

    def _fits(self, connection: Connection, size: int) -> bool:
        return self._admission.has_room(connection.caller, self._rights(connection), size)

    def gone(self, connection: Connection, why: str) -> None:
        self.connections.lose(connection, why)

    def refused(self, connection: Connection, why: str) -> None:
        logger.debug("a connection of %s is closed: %s", connection.caller.app, why)
        self.connections.leave(connection, why)

    def has_room(self, connection: Connection) -> None:
        for request_id in connection.requests:
            reply = self._reply_of(connection, request_id)
            if reply is not None:
                reply.wake()

    def receive(self, connection: Connection, message: zmtp.Incoming) -> None:
        """A message of a client."""
        if connection not in self.connections.known:  # lost by a message before this one
            return
        if not connection.greeted:
            connection.greeted = connection.spoke = True
            self._on_event(EventType.CLIENT_CONNECTED, "", connection.caller)
        try:
            self._receive(connection, message)
        except Exception:
            logger.exception("a message could not be handled; it is dropped")

    def _receive(self, connection: Connection, incoming: zmtp.Incoming) -> None:
        try:
            message = wire.decode(incoming.frames)
        except wire.MalformedMessage as error:
            self._malformed(connection, str(error), error.request_id)
            return
        kind = message.kind
        if kind == wire.REQUEST:
            self._request(connection, message, incoming)
        elif kind == wire.CREDIT:
            reply = self._reply_of(connection, message.request_id)
            if reply is not None:
                reply.add_credit(max(message.head.chunks, 0))
        elif kind == wire.CANCEL:
            if self._reply_of(connection, message.request_id) is not None:
                self._admission.in_flight[message.request_id].cancel()
        elif kind == wire.PING:
            self.send(connection, wire.encode(wire.PONG))
        elif kind == wire.HELLO:
            self._welcome(connection, message.head)
        elif kind != wire.PONG:
            self._malformed(connection, f"a client does not send {wire.KIND_NAMES[kind]}", message.request_id)

    def _reply_of(self, connection: Connection, request_id: bytes) -> IpcReply | None:
        """The reply of a peer's own request in flight."""
        request = self._admission.in_flight.get(request_id)
        reply = None if request is None else request.reply
        return reply if isinstance(reply, IpcReply) and reply.connection is connection else None

    def _malformed(self, connection: Connection, reason: str, request_id: bytes) -> None:
        self.malformed += 1
        logger.debug("malformed message from process %d: %s", connection.caller.pid, reason)
        status, body, mesh = ProtocolError(f"malformed message: {reason}").to_wire()
        self.send(connection, wire.encode(wire.ERROR, request_id, wire.ErrorHead(status, body, mesh)))

    def _welcome(self, connection: Connection, head: wire.HelloHead) -> None:
        connection.label = printable(head.app)
        connection.client = printable(head.client)
        if head.version != wire.VERSION:
            self._malformed(connection, f"protocol version {head.version}; this daemon speaks {wire.VERSION}", b"")
            return
        welcome = wire.WelcomeHead(
            daemon=f"meshd/{VERSION}",
            instance=self.instance,
            heartbeat_ms=int(self.connections.heartbeat * 1000),
            max_message_size=self._rights(connection).max_message_size,
            draining=self._admission.draining,
        )
        self.send(connection, wire.encode(wire.WELCOME, b"", welcome))

    def _request(self, connection: Connection, message: wire.Message, incoming: zmtp.Incoming) -> None:
        request_id, head = message.request_id, message.head
        if not request_id:
            self._malformed(connection, "a REQUEST needs a request id", b"")
            return
        try:
            known = self._admission.known(request_id, connection.caller, head.resend)
        except NotYours:
            self._malformed(connection, "this request id belongs to another client", request_id)
            return
        if isinstance(known, Request):
            self._resumed(connection, known)
            return
        timeout = self._admission.limits.request_timeout
        if head.deadline_ms > 0:
            timeout = min(timeout, head.deadline_ms / 1000)
        arrived = clock.now()
        first_chunk = head.first_chunk_ms / 1000 if head.stream and head.first_chunk_ms > 0 else None
        deadline = Deadline.after(arrived, timeout, first_chunk)
        reply = IpcReply(self, connection, request_id, deadline, head.credit or wire.DEFAULT_CREDIT)
        if known is not None:
            known.give(reply)
            return
        request = Request(
            request_id,
            head.method,
            head.path,
            message.body,
            reply,
            headers=head.headers,
            caller=connection.caller,
            deadline=deadline,
            arrived=arrived,
            stream=head.stream,
            label=head.app or connection.label,
            resend=head.resend,
        )
        connection.requests.add(request_id)
        size = incoming.discarded + len(message.body) + sum(map(len, message.attachments))
        self._admission.admit(request, size, self._rights(connection), crowded=incoming.crowded)

    def _resumed(self, connection: Connection, request: Request) -> None:
        """The client has sent a request in flight again over a new connection, which gets its answer from now on."""
        reply = request.reply
        if not isinstance(reply, IpcReply):
            self._malformed(connection, "this request id is in use", request.request_id)
            return
        if reply.connection is connection:
            return
        former, reply.connection = reply.connection, connection
        former.requests.discard(request.request_id)
        self.connections.leave_if_idle(former)
        connection.requests.add(request.request_id)
        if reply.sent:  # it is unknown which chunks arrived
            self._admission.interrupt((request.request_id,))
            broken = StreamInterrupted("The connection broke while the answer was streamed; ask again.")
            request.cancel(broken)
            reply.error(broken)

    # -- peers ----------------------------------------------------------------------------------------

    def _part(self, connection: Connection, why: str, seconds: float) -> None:
        """Close the connection once its requests have ended, or after that many seconds."""
        assert self._loop is not None
        self.send(connection, wire.encode(wire.GOAWAY, b"", wire.GoawayHead(why, int(seconds * 1000))))
        self.connections.leave(connection, why)
        if connection.requests:
            self._loop.call_later(seconds, self.connections.lose, connection, why)

    def _lost(self, connection: Connection, why: str, silent: bool) -> None:
        self._handshakes.ended(connection)
        if connection.requests:
            give_up = partial(self._give_up, connection, list(connection.requests), silent)
            self._admission.turns.ready(connection.caller.shares_as, give_up)
        self._on_event(EventType.CLIENT_LOST, why, connection.caller)

    def _give_up(self, connection: Connection, request_ids: list[bytes], silent: bool) -> bool:
        """Cancel one of a lost connection's requests, unless it has ended or another connection has taken it over.
        Called by `Turns`: a user may have thousands."""
        request_id = request_ids.pop()
        if request_id in connection.requests:
            request = self._admission.lost(request_id)
            connection.requests.discard(request_id)
            if request is not None and silent:  # the client may only have been asleep, and would keep waiting
                reply = request.reply
                reply.error(StreamInterrupted(_GAVE_UP) if reply.sent else _given_up())
        return bool(request_ids)


@lru_cache(maxsize=64)
def _bounds_of(largest: int) -> zmtp.Bounds:
    return zmtp.Bounds(message=largest + _HEADS, discarded=_DISCARDED)


def _given_up() -> MeshError:
    return RoutingError(
        f"{_GAVE_UP}; ask again if the answer is still wanted", status_code=502, code="request_interrupted"
    )
