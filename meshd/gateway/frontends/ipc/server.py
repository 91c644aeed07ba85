"""The ZeroMQ socket: frames in, frames out.

Owns: the ROUTER socket, and the mapping between frames and requests.
Must never: block, know what an operation does, let one peer's bad messages affect another, or hold a rule that another
front end would need too (`admission.py`).

The socket's file descriptor is edge-triggered: it is read until `Again` on every wake-up, and checked again after every
send; otherwise messages would get stuck.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from typing import Any

import zmq

from meshd.core.events import EventType
from meshd.gateway.frontends.admission import Admission, NotYours
from meshd.gateway.frontends.exchange import Answer, Deadline, Request
from meshd.gateway.frontends.ipc import multipart
from meshd.gateway.frontends.ipc.connections import SILENT, Connection, Connections
from meshd.gateway.frontends.ipc.listeners import Listeners
from meshd.gateway.frontends.ipc.reply import IpcReply
from meshd.host import clock
from modelmesh import protocol as wire
from modelmesh.errors import MeshError, ProtocolError, RoutingError, StreamInterrupted
from modelmesh.version import VERSION

logger = logging.getLogger("meshd.gateway")

_DRAIN_AT_ONCE = 256  # messages read before the loop may do something else
UNREAD_MESSAGES = 10_000  # unread messages to a connection, after which it counts as lost
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
        self.connections = Connections(self._lost, heartbeat)
        self.listeners = Listeners(lambda: admission.limits.max_message_size)
        self._admission = admission
        self._on_event = on_event
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: Any = None
        self._drain_scheduled = False
        self._receiving = True

    # -- life -----------------------------------------------------------------------------------------

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        router: Any = zmq.Context.instance().socket(zmq.ROUTER)
        self._socket = router
        router.set(zmq.LINGER, 500)
        router.set(zmq.ROUTER_MANDATORY, 1)  # sending to a closed connection is an error
        # Credit bounds streams, and requests in flight bound answers; this limit is for peers that never read.
        router.set(zmq.SNDHWM, UNREAD_MESSAGES)
        router.set(zmq.RCVHWM, 0)
        loop.add_reader(router.fileno(), self._drain)
        self.connections.open(loop)

    def bind(self, address: str, fd: int | None = None, *, mode: int | None = None, gid: int | None = None) -> None:
        """Listen at an address, as `Listeners.bind`."""
        assert self._loop is not None, "it is open"
        self.listeners.bind(self._socket, self._loop, address, fd, mode, gid)
        self._schedule_drain()  # a client may have sent before the daemon started

    def reloaded(self) -> None:
        self.listeners.reloaded()

    def stop_receiving(self) -> None:
        """From now on, what clients send is left for the next daemon, or life, at this address."""
        self._receiving = False
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())

    def close(self) -> None:
        """Stop listening and forget the peers. Messages that were sent have half a second to be delivered."""
        if self._socket is None or self._loop is None:
            return
        self.stop_receiving()
        self.connections.close()
        self.listeners.close(self._socket)
        self._socket.close()
        self._socket = None

    def drain(self, reason: str, seconds: float) -> None:
        frames = wire.encode(wire.GOAWAY, b"", wire.GoawayHead(reason, int(seconds * 1000)))
        for connection in list(self.connections.known.values()):
            self.send(connection, frames)

    # -- sending --------------------------------------------------------------------------------------

    def send(self, connection: Connection, frames: list[bytes]) -> bool:
        """False when the connection has gone."""
        if self._socket is None:  # closed during a stream
            return False
        try:
            multipart.send(self._socket, connection.identity, frames)
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                self.connections.lose(connection, "it closed its connection")
            elif error.errno == zmq.EAGAIN:
                self.connections.lose(connection, "it does not read its messages")
            else:
                logger.warning("cannot send to process %d: %s", connection.caller.pid, error)
            return False
        finally:
            # Sending, even if it fails, consumes the descriptor's signal for messages that came in, and there is no
            # second one.
            if self._socket is not None and multipart.readable(self._socket):
                self._schedule_drain()
        return True

    def finished(self, reply: IpcReply, frames: list[bytes], answer: Answer | None) -> None:
        """Called with a reply's last message."""
        self._admission.ended(reply.request_id, reply, answer)
        reply.connection.requests.discard(reply.request_id)
        self.send(reply.connection, frames)

    # -- receiving ------------------------------------------------------------------------------------

    def _schedule_drain(self) -> None:
        if not self._drain_scheduled and self._loop is not None:
            self._drain_scheduled = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._drain_scheduled = False
        router = self._socket
        for _ in range(_DRAIN_AT_ONCE):
            if router is None or not self._receiving:
                return
            try:
                first, frames = multipart.receive(router)
            except zmq.Again:
                return
            try:
                self._receive(first, frames)
            except Exception:
                logger.exception("a message could not be handled; it is dropped")
        self._schedule_drain()

    def _receive(self, first: zmq.Frame, frames: list[bytes]) -> None:
        identity = first.bytes
        connection = self.connections.known.get(identity) or self._meet(identity, first)
        connection.seen = time.monotonic()
        if connection.identity not in self.connections.known:
            self._malformed(connection, "a client must not set its own routing id", b"")
            return
        try:
            message = wire.decode(frames)
        except wire.MalformedMessage as error:
            self._malformed(connection, str(error), error.request_id)
            return
        kind = message.kind
        if kind == wire.REQUEST:
            self._request(connection, message)
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

    def _meet(self, identity: bytes, first: zmq.Frame) -> Connection:
        connection = self.connections.meet(identity, first)
        if connection.identity in self.connections.known:
            self._on_event(EventType.CLIENT_CONNECTED, "", connection.caller)
        return connection

    def _malformed(self, connection: Connection, reason: str, request_id: bytes) -> None:
        self.malformed += 1
        logger.debug("malformed message from process %d: %s", connection.caller.pid, reason)
        status, body, mesh = ProtocolError(f"malformed message: {reason}").to_wire()
        self.send(connection, wire.encode(wire.ERROR, request_id, wire.ErrorHead(status, body, mesh)))

    def _welcome(self, connection: Connection, head: wire.HelloHead) -> None:
        connection.label = head.app
        connection.client = head.client
        if head.version != wire.VERSION:
            self._malformed(connection, f"protocol version {head.version}; this daemon speaks {wire.VERSION}", b"")
            return
        welcome = wire.WelcomeHead(
            daemon=f"meshd/{VERSION}",
            instance=self.instance,
            heartbeat_ms=int(self.connections.heartbeat * 1000),
            max_message_size=self.listeners.message_limit,
            draining=self._admission.draining,
        )
        self.send(connection, wire.encode(wire.WELCOME, b"", welcome))

    def _request(self, connection: Connection, message: wire.Message) -> None:
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
        size = len(message.body)
        if message.attachments:
            size += sum(map(len, message.attachments))
        self._admission.admit(request, size, self.listeners.message_limit)

    def _resumed(self, connection: Connection, request: Request) -> None:
        """The client has sent a request in flight again over a new connection, to which its answer goes now."""
        reply = request.reply
        if not isinstance(reply, IpcReply):
            self._malformed(connection, "this request id is in use", request.request_id)
            return
        if reply.connection is connection:
            return
        reply.connection.requests.discard(request.request_id)
        reply.connection = connection
        connection.requests.add(request.request_id)
        if reply.sent:  # it is unknown which chunks arrived
            self._admission.interrupt((request.request_id,))
            broken = StreamInterrupted("The connection broke while the answer was streamed; ask again.")
            request.cancel(broken)
            reply.error(broken)

    # -- peers ----------------------------------------------------------------------------------------

    def _lost(self, connection: Connection, why: str) -> None:
        for request_id in list(connection.requests):
            request = self._admission.lost(request_id)
            if request is not None and why == SILENT:  # the client may only have slept, and would keep waiting
                reply = request.reply
                reply.error(StreamInterrupted(_GAVE_UP) if reply.sent else _given_up())
        self._on_event(EventType.CLIENT_LOST, why, connection.caller)


def _given_up() -> MeshError:
    return RoutingError(
        f"{_GAVE_UP}; ask again if the answer is still wanted", status_code=502, code="request_interrupted"
    )
