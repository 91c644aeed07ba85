"""The ZeroMQ socket: frames in, frames out, and the peers.

Owns: the ROUTER socket, its peers, and the mapping between frames and exchanges.
Must never: block, know what an operation does, or let one peer's bad messages affect another.

The socket's file descriptor is edge-triggered: it is drained until `Again` on every wake-up, and looked at
again after every send, or messages would get stuck.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import zmq

from meshd.core.fair_eviction import Shares
from meshd.gateway.frontends.exchange import MOST_CREDIT, ClientGone, Exchange
from meshd.gateway.frontends.ipc import multipart
from meshd.gateway.frontends.ipc.doorkeeper import Doorkeeper
from meshd.gateway.frontends.ipc.identity import OURSELVES_ADDRESS, Caller, identify
from meshd.host import descriptors
from meshd.host.awake import ON_TIME
from modelmesh import protocol as wire
from modelmesh.errors import (
    InvalidRequestError,
    MeshError,
    ProtocolError,
    QueueFullError,
    RoutingError,
    StreamInterrupted,
)
from modelmesh.version import VERSION
from modelmesh.wording import told

logger = logging.getLogger("meshd.gateway")

_DRAIN_AT_ONCE = 256  # messages read before the loop may do something else
_REMEMBERED_ANSWERS = 512
_REMEMBERED_BYTES = 65536  # of one answer
_REMEMBERED_SIZE = 8 * 1024**2  # bytes of all of them; each counts for at least its share
_REMEMBERED_INTERRUPTIONS = 65536
_FRAMING = 1024**2  # bytes of a frame beyond max_message_size that are still read, so that the answer can be a 413
_WAITING = 10_000  # unread messages to a peer, after which it counts as lost
_BACKLOG = 4096  # connections waiting to be accepted
_SILENT = "it fell silent"
_GAVE_UP = "the daemon heard nothing from this client for three heartbeats, and gave its requests up"
_MESH_INFLIGHT = 256  # listeners and commands (/mesh/…) at a time, beside max_inflight


@dataclass(slots=True, eq=False)
class Peer:
    """A connection. `identity` is the routing id that libzmq gave it, which no client can forge: ids that begin with a
    zero byte are reserved for libzmq, and peers that choose their own id are refused."""

    identity: bytes
    caller: Caller
    seen: float  # monotonic s
    since: float  # monotonic s
    label: str = ""
    client: str = ""
    exchanges: set[IpcExchange] = field(default_factory=set)
    pidfd: int = -1


class IpcExchange(Exchange):
    __slots__ = ("_server", "peer")

    def __init__(self, server: IpcServer, peer: Peer, message: wire.Message, timeout: float) -> None:
        head: wire.RequestHead = message.head
        if head.deadline_ms > 0:
            timeout = min(timeout, head.deadline_ms / 1000)
        super().__init__(
            message.request_id,
            head.method,
            head.path,
            message.body,
            headers=head.headers,
            caller=peer.caller,
            timeout=timeout,
            first_chunk=head.first_chunk_ms / 1000 if head.stream and head.first_chunk_ms > 0 else None,
            stream=head.stream,
            credit=min(head.credit or wire.DEFAULT_CREDIT, MOST_CREDIT),
            label=head.app or peer.label,
            resend=head.resend,
        )
        self._server = server
        self.peer = peer

    def respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        head = wire.ResponseHead(headers=headers or {}, mesh=mesh)
        self._finish(wire.encode(wire.RESPONSE, self.request_id, head, body))

    def error(self, error: MeshError) -> None:
        status, body, mesh = error.to_wire()
        frames = wire.encode(wire.ERROR, self.request_id, wire.ErrorHead(status, body, mesh))
        # An error that a retry may cure is retried; and a peer that has gone was not refused anything.
        known = self._server.exchanges.get(self.request_id) is self
        self._finish(frames, remember=known and not error.retryable)

    def end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None:
        self._finish(wire.encode(wire.END, self.request_id, wire.EndHead(usage, mesh)))

    def _send_chunk(self, data: bytes) -> None:
        if not self._server.send(self.peer, [wire.CHUNK, self.request_id, b"", data]):
            raise ClientGone

    def _finish(self, frames: list[bytes], remember: bool = True) -> None:
        if self.done:
            return
        self.done = True
        self._server.finished(self, frames, remember)


class IpcServer:
    """Serves `on_request` with exchanges.

    limits: callables, because a reload changes them. on_event(type, reason, ids): called with events of peers.
    """

    def __init__(
        self,
        on_request: Callable[[Exchange], None],
        *,
        on_event: Callable[..., None],
        request_timeout: Callable[[], float],
        max_message_size: Callable[[], int],
        max_inflight: Callable[[], int],
        heartbeat: float = wire.HEARTBEAT_SECONDS,
    ) -> None:
        self.instance = secrets.token_hex(8)
        self.addresses: list[str] = []
        self.malformed = 0
        self.draining = False
        self.exchanges: dict[bytes, IpcExchange] = {}
        self.peers: dict[bytes, Peer] = {}
        self._interrupted: Shares[bytes] = Shares()  # begun, then cut off by a restart or a lost connection
        self._on_request = on_request
        self._on_event = on_event
        self._request_timeout = request_timeout
        self._max_message_size = max_message_size
        self._max_inflight = max_inflight
        self._heartbeat = heartbeat
        self._answers: dict[bytes, tuple[Caller, list[bytes]]] = {}
        self._remembered: Shares[bytes] = Shares()  # their owners
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: Any = None
        self._drain_scheduled = False
        self._receiving = True
        self._doorkeepers: list[Doorkeeper] = []
        self._ceiling = 0  # the largest max_message_size that the listening sockets can take
        self._heartbeat_timer: asyncio.TimerHandle | None = None
        self._next_beat = 0.0  # monotonic s

    # -- life -----------------------------------------------------------------------------------------

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        router: Any = zmq.Context.instance().socket(zmq.ROUTER)
        self._socket = router
        router.set(zmq.LINGER, 500)
        router.set(zmq.ROUTER_MANDATORY, 1)  # a peer that has gone is an error, not silence
        # Streams are bounded by credit and answers by requests in flight; this is for peers that never read.
        router.set(zmq.SNDHWM, _WAITING)
        router.set(zmq.RCVHWM, 0)
        loop.add_reader(router.fileno(), self._drain)
        self._schedule_beat(loop)

    def inherit(self, before: IpcServer) -> None:
        """Take over what a crashed life had answered and begun."""
        self.malformed = before.malformed
        self._answers, self._remembered = before._answers, before._remembered
        self._interrupted = before._interrupted

    def bind(self, address: str, fd: int | None = None, *, mode: int | None = None, gid: int | None = None) -> None:
        """Listen at an address; with `fd`, on a socket that systemd already listens on. mode, gid: of the socket's
        file, which was created for its owner only. Raises OSError; MeshError if mode or group cannot be set.

        libzmq reads MAXMSGSIZE when it binds: a listener keeps the limit that it was created with.
        """
        self._socket.set(zmq.MAXMSGSIZE, self._max_message_size() + _FRAMING)
        if address.startswith("ipc://"):
            self._listen(address, fd)
        else:
            self._socket.bind(address)
        self.addresses.append(address)
        if fd is None and address.startswith("ipc://"):
            self._open_to(address.removeprefix("ipc://"), mode, gid)
        limit = self._max_message_size()
        self._ceiling = min(self._ceiling, limit) if self._ceiling else limit
        self._schedule_drain()  # a client may have sent before the daemon started

    def _listen(self, address: str, fd: int | None) -> None:
        ours = _listening(address.removeprefix("ipc://")) if fd is None else os.dup(fd)
        try:
            theirs = os.dup(ours)  # libzmq closes it with the socket
            self._bind_to(theirs, address)
        except BaseException:
            os.close(ours)
            raise
        if self._loop is None:
            os.close(ours)
        else:
            self._doorkeepers.append(Doorkeeper(self._loop, ours, theirs, self._no_room))

    def _no_room(self) -> None:
        logger.warning(
            "new connections have to wait: meshd has no file descriptors left; raise LimitNOFILE= or `ulimit -n`"
        )

    def _bind_to(self, fd: int, address: str) -> None:
        self._socket.set(zmq.USE_FD, fd)
        try:
            self._socket.bind(address)
        except BaseException:
            os.close(fd)
            raise
        finally:
            self._socket.set(zmq.USE_FD, -1)

    @staticmethod
    def _open_to(path: str, mode: int | None, gid: int | None) -> None:
        try:
            if gid is not None:
                os.chown(path, -1, gid)
            if mode is not None:  # only now may others connect
                os.chmod(path, mode)
        except OSError as error:
            what = "mode" if gid is None else f"mode and group ({gid})"
            raise MeshError(f"cannot set {what} of {path}: {error.strerror}", code="socket_not_given") from None

    @property
    def message_limit(self) -> int:
        """Bytes that a request may have: as configured, but no more than the listening sockets accept."""
        limit = self._max_message_size()
        return min(limit, self._ceiling) if self._ceiling else limit

    def reloaded(self) -> None:
        """The limits may have changed."""
        if self._ceiling and self._max_message_size() > self._ceiling:
            logger.warning(
                "daemon.max_message_size grows to %d bytes when meshd is started again; until then it is %d",
                self._max_message_size(),
                self._ceiling,
            )

    def stop_receiving(self) -> None:
        """Read no more messages: what a client sends from now on is for the next daemon, or life, at this address."""
        self._receiving = False
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())

    def close(self) -> None:
        """Stop listening and forget the peers. Sent messages get half a second to leave."""
        if self._socket is None or self._loop is None:
            return
        if self._heartbeat_timer is not None:
            self._heartbeat_timer.cancel()
        self.stop_receiving()
        for doorkeeper in self._doorkeepers:
            doorkeeper.close()
        for peer in list(self.peers.values()):
            self._forget(peer)
        for address in self.addresses:
            if address.startswith("inproc:"):  # otherwise its name is freed only later
                self._socket.unbind(address)
        self._socket.close()
        self._socket = None

    def drain(self, reason: str, seconds: float) -> None:
        """Tell every peer to finish and to send new requests elsewhere."""
        self.draining = True
        frames = wire.encode(wire.GOAWAY, b"", wire.GoawayHead(reason, int(seconds * 1000)))
        for peer in list(self.peers.values()):
            self.send(peer, frames)

    # -- sending --------------------------------------------------------------------------------------

    def send(self, peer: Peer, frames: list[bytes]) -> bool:
        """False when the peer has gone."""
        if self._socket is None:  # closed during a stream
            return False
        try:
            multipart.send(self._socket, peer.identity, frames)
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                self._lose(peer, "it closed its connection")
            elif error.errno == zmq.EAGAIN:
                self._lose(peer, "it does not read its messages")
            else:
                logger.warning("cannot send to process %d: %s", peer.caller.pid, error)
            return False
        finally:
            # Sending, even if it fails, consumes the signal of messages that came meanwhile: the descriptor gives no
            # other.
            if self._socket is not None and multipart.readable(self._socket):
                self._schedule_drain()
        return True

    def finished(self, exchange: IpcExchange, frames: list[bytes], remember: bool) -> None:
        """Send an exchange's last message, and remember it in case it gets lost with its connection."""
        if self.exchanges.get(exchange.request_id) is exchange:
            del self.exchanges[exchange.request_id]
        exchange.peer.exchanges.discard(exchange)
        self.send(exchange.peer, frames)
        if remember and not exchange.stream and len(frames[3]) <= _REMEMBERED_BYTES:
            self._answers[exchange.request_id] = (exchange.caller, frames)
            size = max(sum(map(len, frames)), _REMEMBERED_SIZE // _REMEMBERED_ANSWERS)
            self._remembered.put(exchange.request_id, exchange.caller.uid, size)
            while self._remembered.size > _REMEMBERED_SIZE:
                del self._answers[self._remembered.pop()]

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
        peer = self.peers.get(identity) or self._meet(identity, first)
        peer.seen = time.monotonic()
        if peer.identity not in self.peers:
            self._malformed(peer, "a client must not set its own routing id", b"")
            return
        try:
            message = wire.decode(frames)
        except wire.MalformedMessage as error:
            self._malformed(peer, str(error), error.request_id)
            return
        kind = message.kind
        if kind == wire.REQUEST:
            self._request(peer, message)
        elif kind == wire.CREDIT:
            exchange = self.exchanges.get(message.request_id)
            if exchange is not None and exchange.peer is peer:
                exchange.add_credit(max(message.head.chunks, 0))
        elif kind == wire.CANCEL:
            exchange = self.exchanges.get(message.request_id)
            if exchange is not None and exchange.peer is peer:
                exchange.cancel()
        elif kind == wire.PING:
            self.send(peer, wire.encode(wire.PONG))
        elif kind == wire.HELLO:
            self._welcome(peer, message.head)
        elif kind != wire.PONG:
            self._malformed(peer, f"a client does not send {wire.KIND_NAMES[kind]}", message.request_id)

    def _malformed(self, peer: Peer, reason: str, request_id: bytes) -> None:
        self.malformed += 1
        logger.debug("malformed message from process %d: %s", peer.caller.pid, reason)
        status, body, mesh = ProtocolError(f"malformed message: {reason}").to_wire()
        self.send(peer, wire.encode(wire.ERROR, request_id, wire.ErrorHead(status, body, mesh)))

    def _welcome(self, peer: Peer, head: wire.HelloHead) -> None:
        peer.label = head.app
        peer.client = head.client
        if head.version != wire.VERSION:
            self._malformed(peer, f"protocol version {head.version}; this daemon speaks {wire.VERSION}", b"")
            return
        welcome = wire.WelcomeHead(
            daemon=f"meshd/{VERSION}",
            instance=self.instance,
            heartbeat_ms=int(self._heartbeat * 1000),
            max_message_size=self.message_limit,
            draining=self.draining,
        )
        self.send(peer, wire.encode(wire.WELCOME, b"", welcome))

    def _request(self, peer: Peer, message: wire.Message) -> None:
        request_id = message.request_id
        if not request_id:
            self._malformed(peer, "a REQUEST needs a request id", b"")
            return
        if self._resumed(peer, message):
            return
        exchange = IpcExchange(self, peer, message, self._request_timeout())
        refusal = self._refusal(message)
        self.exchanges[request_id] = exchange
        peer.exchanges.add(exchange)
        if refusal is not None:
            exchange.error(refusal)
            return
        self._on_request(exchange)

    def _refusal(self, message: wire.Message) -> MeshError | None:
        limit = self.message_limit
        size = len(message.body) + sum(map(len, message.attachments))
        if size > limit:
            return InvalidRequestError(
                f"The message has {size} bytes, and daemon.max_message_size is {limit}; send less, or raise it.",
                status_code=413,
                code="message_too_large",
            )
        if message.head.method != "GET" and self.draining and not message.head.path.startswith("/mesh/"):
            return RoutingError(
                "The daemon is shutting down; ask again in a moment.", code="draining", retryable=True, retry_after=1.0
            )
        full = self._full(message.head.path)
        if full:
            return QueueFullError(full, retry_after=1.0)
        if message.request_id in self._interrupted:
            return RoutingError(
                told(
                    "This request was cut off while it was at its provider; ask again if the answer is still wanted.",
                    "the connection broke, or the daemon was restarted; it is not sent again by itself, "
                    "so that nothing is billed twice",
                ),
                status_code=502,
                code="request_interrupted",
            )
        return None

    def _full(self, path: str) -> str:
        """Why no more of these are accepted now, or "". A listener to events takes no request's place."""
        most = self._max_inflight()
        mesh = path.startswith("/mesh/")
        if len(self.exchanges) < (min(most, _MESH_INFLIGHT) if mesh else most):
            return ""
        listening = sum(exchange.path.startswith("/mesh/") for exchange in self.exchanges.values())
        if mesh:
            return (
                f"{listening} event listeners and commands are in progress already; ask again in a moment."
                if listening >= _MESH_INFLIGHT
                else ""
            )
        requests = len(self.exchanges) - listening
        return (
            f"{requests} requests are in flight, as daemon.max_inflight allows; ask again in a moment."
            if requests >= most
            else ""
        )

    def _resumed(self, peer: Peer, message: wire.Message) -> bool:
        """Whether this id is known already: in flight (then its answer goes to the new connection), or done."""
        exchange = self.exchanges.get(message.request_id)
        if exchange is not None:
            if exchange.peer.caller != peer.caller:
                self._malformed(peer, "this request id belongs to another client", message.request_id)
            elif exchange.peer is not peer:
                exchange.peer.exchanges.discard(exchange)
                exchange.peer = peer
                peer.exchanges.add(exchange)
                if exchange.sent:  # which of them arrived is unknown
                    self.interrupt((exchange.request_id,))
                    broken = StreamInterrupted("The connection broke while the answer was streamed; ask again.")
                    exchange.cancel(broken)
                    exchange.error(broken)
            return True
        caller, answer = self._answers.get(message.request_id, (None, []))
        if message.head.resend and caller == peer.caller:
            self.send(peer, answer)
            return True
        return False

    def interrupt(self, request_ids: Iterable[bytes]) -> None:
        """Never begin these again: they were sent to a provider, and their outcome is unknown."""
        for request_id in request_ids:
            exchange = self.exchanges.get(request_id)
            self._interrupted.put(request_id, -1 if exchange is None else exchange.caller.uid)
        while len(self._interrupted) > _REMEMBERED_INTERRUPTIONS:
            self._interrupted.pop()

    # -- peers ----------------------------------------------------------------------------------------

    def _meet(self, identity: bytes, first: zmq.Frame) -> Peer:
        now = time.monotonic()
        peer = Peer(identity, identify(_peer_address(first)), now, now)
        if identity[:1] == b"\0":
            self.peers[identity] = peer
            self._watch_process(peer)
            self._on_event("client_connected", "", peer.caller)
        return peer

    def _watch_process(self, peer: Peer) -> None:
        """Notice the process's end at once, rather than after three missed heartbeats."""
        if peer.caller.pid in (0, os.getpid()) or self._loop is None or not descriptors.left(descriptors.reserve()):
            return
        try:
            peer.pidfd = os.pidfd_open(peer.caller.pid)
        except OSError:  # it has ended already, or lives in another pid namespace
            return
        self._loop.add_reader(peer.pidfd, self._lose, peer, "its process ended")

    def _beat(self) -> None:
        assert self._loop is not None
        now = time.monotonic()
        slept = now - self._next_beat
        self._schedule_beat(self._loop)
        if slept > ON_TIME:  # messages that came meanwhile have not been read yet
            for peer in self.peers.values():
                peer.seen += slept
        oldest = now - self._heartbeat * wire.MISSED_HEARTBEATS
        for peer in [peer for peer in self.peers.values() if peer.seen < oldest]:
            self._lose(peer, _SILENT)

    def _schedule_beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._next_beat = time.monotonic() + self._heartbeat
        self._heartbeat_timer = loop.call_later(self._heartbeat, self._beat)

    def _lose(self, peer: Peer, why: str) -> None:
        if self.peers.get(peer.identity) is not peer:
            return
        self._forget(peer)
        for exchange in list(peer.exchanges):
            if exchange.begun:
                self.interrupt((exchange.request_id,))
            self.exchanges.pop(exchange.request_id, None)
            exchange.cancel()
            if why == _SILENT:  # it may only have slept, and would wait for its answer until its deadline
                exchange.error(StreamInterrupted(_GAVE_UP) if exchange.sent else _given_up())
        self._on_event("client_lost", why, peer.caller)

    def _forget(self, peer: Peer) -> None:
        self.peers.pop(peer.identity, None)
        if peer.pidfd >= 0 and self._loop is not None:
            self._loop.remove_reader(peer.pidfd)
            os.close(peer.pidfd)
            peer.pidfd = -1


def _given_up() -> MeshError:
    return RoutingError(
        f"{_GAVE_UP}; ask again if the answer is still wanted", status_code=502, code="request_interrupted"
    )


def _listening(path: str) -> int:
    """A socket that listens there, replacing any file. Raises OSError."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        made.bind(path)
        made.listen(_BACKLOG)
        return made.detach()
    finally:
        made.close()


def _peer_address(frame: zmq.Frame) -> str:
    """What the kernel says about the sender. Only inproc:// has no ZMTP handshake and so no address: a peer with a
    handshake but without credentials is unknown, not ourselves."""
    try:
        return str(frame.get("Peer-Address"))
    except zmq.ZMQError:
        pass
    try:
        frame.get("Socket-Type")
    except zmq.ZMQError:
        return OURSELVES_ADDRESS
    return "unknown"
