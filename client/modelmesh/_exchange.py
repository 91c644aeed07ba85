"""The client's side of the protocol: calls in flight, links to the daemon, and what happens to calls when a link is
lost.

Owns: which call is on which link, which are held back, when to dial again.
Must never: wait, start a thread or know an event loop. A blocking client and an asyncio client drive the same object:
they poll `fds()`, call `pump()` when one is readable and when `next_due()` has come.

Rules kept here
- HELLO goes first on every link, and requests follow at once: no round trip is spent on the WELCOME.
- A lost link's unanswered calls are sent again, under the same id and marked `resend`, over the next link;
  a stream that has begun ends with StreamInterrupted instead.
- After GOAWAY (or an ERROR `draining`) the link keeps its calls and gets no new ones; these are held until a
  daemon of another `instance` says WELCOME. If the daemon is still there after its drain time, it is not about to
  restart: held calls fail with `draining`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Final

import zmq

from modelmesh._call import Call
from modelmesh._discovery import barred, unavailable
from modelmesh._link import Link
from modelmesh.errors import (
    InvalidRequestError,
    MeshError,
    ProtocolError,
    RequestTimeoutError,
    RoutingError,
    StreamInterrupted,
    from_wire,
)
from modelmesh.protocol import (
    CANCEL,
    CHUNK,
    CREDIT,
    END,
    ERROR,
    GOAWAY,
    MISSED_HEARTBEATS,
    PING,
    PONG,
    RESPONSE,
    WELCOME,
    CreditHead,
    HelloHead,
    MalformedMessage,
    Message,
    decode,
    encode,
)
from modelmesh.wording import told

FIRST_ANSWER_SECONDS: Final = 5.0
"""Seconds that a daemon may refuse first connections before that is an error: it may be starting."""
SILENCE_SLACK_SECONDS: Final = 1.0
"""Seconds beyond three missed heartbeats until a daemon counts as gone."""
DRAIN_SLACK_SECONDS = 5.0
"""Seconds that a draining daemon may overrun before the client stops waiting for the next one."""
_FIRST_HEARTBEAT_SECONDS: Final = 0.2
"""Seconds, until a WELCOME names the interval."""
_SLEPT_SECONDS: Final = 1.0
"""Seconds: if a round of housekeeping comes later than that, the process was asleep."""
_RETRY_SECONDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2)
_SURELY_TAKEN: Final = 65536
"""Bytes: a body of up to this size is accepted by every daemon, and sent before its limit is known."""
_PING: Final = encode(PING)
_PONG: Final = encode(PONG)


def _nothing() -> None:
    return None


_ended: dict[str, str] = {}


def ended(address: str, why: str) -> None:
    """The embedded mesh at this address has ended, and no other will use it."""
    _ended[address] = why


class Exchange:
    """Calls and links of one socket address. Not thread-safe: one driver at a time.

    `links_changed` is called when `fds()` has changed, before a link's descriptors are closed.
    """

    def __init__(
        self,
        address: str,
        context: zmq.Context[zmq.Socket[bytes]],
        greeting: HelloHead,
        links_changed: Callable[[], None] = _nothing,
    ) -> None:
        self.address = address
        self.path = address.removeprefix("ipc://") if address.startswith("ipc://") else None
        self.calls: dict[bytes, Call] = {}
        self._held: dict[bytes, Call] = {}
        self._context = context
        self._greeting = greeting
        self._links_changed = links_changed
        self._link: Link | None = None
        self._retiring: list[Link] = []
        self._left: dict[str, float] = {}
        """Instances that are leaving, and until when they may take: the next WELCOME has to come from another."""
        self._settled = True
        """Whether requests may follow HELLO at once, or have to wait for the WELCOME."""
        self._welcomed = False
        self._shut_down = False
        """An embedded mesh sent GOAWAY: no other will ever use its address."""
        self._refused_since: float | None = None
        self._failures = 0
        self._retry_at: float | None = None
        self.heartbeat = _FIRST_HEARTBEAT_SECONDS
        self._pinged = time.monotonic()
        """Seconds between two calls of `ping`."""

    # For the driver

    def links(self) -> list[Link]:
        return ([self._link] if self._link is not None else []) + self._retiring

    def next_due(self) -> float | None:
        """The latest time to call `pump()` (`time.monotonic()`), None if there is none."""
        return self._retry_at

    def pump(self) -> None:
        """Process all that has arrived, and dial again if due. To be called after every send."""
        link = self._link
        if link is not None:
            self._drain(link)
            if link.failed:
                self._give_up(link)
        for link in tuple(self._retiring):
            self._drain(link)
            if link.failed:
                self._give_up(link)
        if self._retry_at is not None and time.monotonic() >= self._retry_at:
            self._retry_at = None
            self._dial()

    def observe(self) -> None:
        """Process connects and disconnects; to be called when a monitor's descriptor is readable."""
        for link in self.links():
            link.observe()
            if link.failed:
                self._drain(link)
                self._lose(link)

    # Calls

    def submit(self, call: Call) -> None:
        """Send a new call, or hold it until there is a daemon."""
        self.calls[call.request_id] = call
        link = self._link
        if self._shut_down or self.address in _ended:
            self._fail(call, unavailable(self.address, _ended.get(self.address, "it was shut down")))
        elif link is None and self._retry_at is None:
            self._held[call.request_id] = call
            self._dial()
        elif link is None or not self._may_send(link, call):
            self._held[call.request_id] = call
        else:
            self._send(link, call)

    def cancel(self, call: Call) -> None:
        """Forget a call and tell the daemon, which may be working on it. Idempotent."""
        if call.finished:
            return
        link = call.link
        self._finish(call)
        if link is not None:
            link.send(encode(CANCEL, call.request_id))
            self._drain(link)

    def credit(self, call: Call, chunks: int) -> None:
        """Let the daemon send that many more chunks."""
        if call.link is not None and not call.finished:
            call.link.send(encode(CREDIT, call.request_id, CreditHead(chunks)))
            self._drain(call.link)

    def is_held(self, call: Call) -> bool:
        """Whether it still waits for a daemon."""
        return call.link is None or not call.link.connected

    def late(self, call: Call) -> MeshError:
        """The error of a call past its deadline."""
        if not self.is_held(call):
            return RequestTimeoutError(
                "No answer came within the request's timeout; ask again, or give it a longer one.", request_id=call.name
            )
        if self._left and not self._shut_down and (self.path is None or os.path.exists(self.path)):
            return self._draining()
        return unavailable(self.address, "not within the request's timeout")

    def ping(self) -> None:
        """Send PINGs, and give up links whose daemon is silent."""
        now = time.monotonic()
        slept = now - self._pinged - self.heartbeat
        self._pinged = now
        self.observe()
        for link in self.links():
            self._drain(link)
            if slept > _SLEPT_SECONDS:  # we may only have slept: the daemon answers a PING
                link.last_heard = max(link.last_heard, now - link.heartbeat)
            if link.welcome is None or link.closed:
                continue
            if now - link.last_heard > MISSED_HEARTBEATS * link.heartbeat + SILENCE_SLACK_SECONDS:
                link.failed = True
                self._lose(link)
                continue
            link.send(_PING)
            self._drain(link)

    def close(self, error: MeshError | None = None) -> None:
        """Close every link; calls still in flight end with `error`."""
        links = self.links()
        self._link = self._retry_at = None
        self._retiring = []
        for call in list(self.calls.values()):
            self._fail(call, error or MeshError("the client was closed", code="client_closed"))
        self._links_changed()
        for link in links:
            link.close()

    # Links

    def _dial(self) -> None:
        if self.path is not None and not os.path.exists(self.path):
            self._refused(absent=True)
            return
        try:
            self._link = link = Link(self._context, self.address, self._greeting)
        except zmq.ZMQError as error:
            for call in list(self._held.values()):
                self._fail(call, unavailable(self.address, str(error)))
            return
        self._links_changed()
        if self._settled:
            self._release(link)
        self._drain(link)
        link.observe()  # a monitor's descriptor signals nothing before the first read
        if link.failed:
            self._lose(link)

    def _release(self, link: Link) -> None:
        for call in [call for call in self._held.values() if self._may_send(link, call)]:
            del self._held[call.request_id]
            self._send(link, call)

    def _may_send(self, link: Link, call: Call) -> bool:
        """Whether to send before the WELCOME: not after a restart, and not what may be too large, since the daemon
        closes the connection then."""
        return link.welcome is not None or (self._settled and len(call.body) <= _SURELY_TAKEN)

    def _send(self, link: Link, call: Call) -> None:
        limit = link.welcome.max_message_size if link.welcome is not None else 0
        if limit and len(call.body) > limit:
            text = f"the message has {len(call.body)} bytes, and the daemon takes at most {limit}"
            self._fail(call, InvalidRequestError(text, status_code=413, code="message_too_large"))
            return
        call.link = link
        link.send(call.frames())

    def _refused(self, absent: bool) -> None:
        now = time.monotonic()
        if not self._welcomed:
            if self._refused_since is None:
                self._refused_since = now
            if absent or self._barred() or now - self._refused_since > FIRST_ANSWER_SECONDS:
                self._refused_since = None
                for call in list(self._held.values()):
                    self._fail(call, unavailable(self.address, "no such socket" if absent else "nothing listens"))
                return
        self._retry()

    def _barred(self) -> bool:
        """Whether this process may not connect, so that waiting does not help."""
        return self.path is not None and bool(barred(self.path))

    def _give_up(self, link: Link) -> None:
        """A link refused a message: its daemon is gone, and an embedded one has no successor."""
        self._shut_down = self.address.startswith("inproc://")
        self._lose(link)

    def _retry(self) -> None:
        if self._shut_down:
            for call in list(self._held.values()):
                self._fail(call, unavailable(self.address, "it was shut down"))
        if not self._held:
            return
        delay = _RETRY_SECONDS[min(self._failures, len(_RETRY_SECONDS) - 1)]
        self._failures += 1
        self._retry_at = time.monotonic() + delay

    def _lose(self, link: Link) -> None:
        """Close a failed link, and decide what happens to its calls."""
        if link.closed:
            return
        was_current = link is self._link
        self._forget(link)
        for call in [call for call in self.calls.values() if call.link is link]:
            if call.begun:
                self._fail(
                    call,
                    StreamInterrupted(
                        "The daemon went away after the answer had begun; ask again.",
                        code="daemon_lost",
                        request_id=call.name,
                    ),
                )
                continue
            call.link = None
            call.resend = call.resend or link.connected
            self._held[call.request_id] = call
        if not was_current and self._link is not None:
            if self._settled or self._link.welcome is not None:
                self._release(self._link)
        elif self._retry_at is None:
            if link.connected:
                self._retry()
            else:
                self._refused(absent=False)

    def _forget(self, link: Link) -> None:
        if link is self._link:
            self._link = None
        elif link in self._retiring:
            self._retiring.remove(link)
        self._links_changed()
        link.close()

    def _retire(self, link: Link, drain: float = 0.0) -> None:
        """Its daemon ends within `drain` seconds: let it finish, and look for the next one."""
        now = time.monotonic()
        if link.instance:
            until = now + drain + DRAIN_SLACK_SECONDS
            self._left[link.instance] = (
                max(self._left.get(link.instance, 0.0), until) if drain else (self._left.get(link.instance, until))
            )
        self._settled = False
        self._shut_down = self.address.startswith("inproc://")
        link.draining = True
        if link is not self._link:
            return
        self._link = None
        self._retiring.append(link)
        self._close_if_done(link)
        if now >= self._left.get(link.instance, now + 1.0):
            for call in list(self._held.values()):
                self._fail(call, self._draining())
        self._retry()

    def _draining(self) -> MeshError:
        path = self.address.removeprefix("ipc://")
        return RoutingError(
            told(
                "The daemon is draining and takes no new requests; ask again when it is restarted.",
                f"its socket: {path}",
            ),
            code="draining",
            retryable=True,
        )

    def _close_if_done(self, link: Link) -> None:
        if link in self._retiring and not any(call.link is link for call in self.calls.values()):
            self._forget(link)

    def _welcome(self, link: Link, message: Message) -> None:
        link.welcome = message.head
        self._welcomed = True
        self.heartbeat = link.heartbeat
        self._refused_since = None
        if message.head.draining or link.instance in self._left:
            self._retire(link)
            return
        self._left.clear()
        self._settled = True
        self._failures = 0
        self._release(link)

    # Messages

    def _drain(self, link: Link) -> None:
        heard = False
        while not link.closed and (frames := link.receive()) is not None:
            heard = True
            try:
                message = decode(frames)
            except MalformedMessage as error:
                if (call := self.calls.get(error.request_id)) is not None:
                    self._fail(call, ProtocolError(f"the daemon's answer cannot be read: {error}"))
                continue
            if (call := self.calls.get(message.request_id)) is not None:
                self._deliver(call, link, message)
            elif not message.request_id:
                self._attend(link, message)
        if heard:
            link.connected = True
            link.last_heard = time.monotonic()

    def _deliver(self, call: Call, link: Link, message: Message) -> None:
        kind = message.kind
        if kind == CHUNK:
            call.begun = True
        elif kind == ERROR and not call.begun and message.head.error.get("code") == "draining":
            call.link = None
            self._held[call.request_id] = call
            if link is self._link:
                self._retire(link)
            elif self._link is None and self._retry_at is None:
                self._retry()
            elif self._link is not None and self._link.welcome is not None:
                self._release(self._link)
            return
        elif kind in (RESPONSE, END, ERROR):
            self._finish(call)
            if link.draining:
                self._close_if_done(link)
        call.put(message)

    def _attend(self, link: Link, message: Message) -> None:
        kind = message.kind
        if kind == WELCOME:
            self._welcome(link, message)
        elif kind == PING:
            link.send(_PONG)
        elif kind == GOAWAY:
            self._retire(link, message.head.drain_ms / 1000)
        elif kind == ERROR and link.welcome is None:
            head: Any = message.head
            for call in [call for call in self.calls.values() if call.link is link]:
                self._fail(call, from_wire(head.status, head.error, head.mesh, call.name))

    def _finish(self, call: Call) -> None:
        call.finished = True
        self.calls.pop(call.request_id, None)
        self._held.pop(call.request_id, None)

    def _fail(self, call: Call, error: MeshError) -> None:
        self._finish(call)
        call.put(error)
