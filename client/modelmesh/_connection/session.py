"""The client's side of the protocol: calls in flight, links to the daemon, and what happens to calls when a link is
lost.

Owns: which call is on which link, and which are held back.
Must never: wait, start a thread or know an event loop. A blocking client and an asyncio client drive the same object:
they poll the descriptors of `links()`, call `pump()` when one is readable and when `next_due()` has come.

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

from modelmesh._connection.departures import Departures, draining
from modelmesh._connection.links.dialing import dial
from modelmesh._connection.links.link import Link
from modelmesh._connection.links.redial import Redial
from modelmesh._connection.pending_call import PendingCall, client_closed
from modelmesh.discovery import barred, not_admitted, nothing_at, unavailable
from modelmesh.embedded import is_embedded, why_ended
from modelmesh.errors import (
    InvalidRequestError,
    MeshError,
    ProtocolError,
    RequestTimeoutError,
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
    MalformedMessage,
    Message,
    decode,
    encode,
)

SILENCE_SLACK_SECONDS: Final = 1.0
"""Seconds beyond three missed heartbeats until a daemon counts as gone."""
_FIRST_HEARTBEAT_SECONDS: Final = 0.2
"""Seconds, until a WELCOME names the interval."""
_SLEPT_SECONDS: Final = 1.0
"""Seconds: if a heartbeat comes later than that, the process was asleep."""
_SURELY_TAKEN: Final = 65536
"""Bytes: a body of up to this size is accepted by every daemon, and sent before its limit is known."""
_PING: Final = encode(PING)
_PONG: Final = encode(PONG)


class LinkSession:
    """Calls and links of one socket address. Not thread-safe: one driver at a time.

    `links_changed` is called when `links()` has changed, before a link's descriptors are closed. `drain_slack`: seconds
    that a draining daemon may overrun before held calls fail.
    """

    def __init__(self, address: str, links_changed: Callable[[], None], drain_slack: float) -> None:
        self.address = address
        self.path = address.removeprefix("ipc://") if address.startswith("ipc://") else None
        self.calls: dict[bytes, PendingCall] = {}
        self._held: dict[bytes, PendingCall] = {}
        self._links_changed = links_changed
        self._link: Link | None = None
        self._retiring: list[Link] = []
        self._departures = Departures(drain_slack)
        self._settled = True
        """Whether requests may follow HELLO at once, or have to wait for the WELCOME."""
        self._welcomed = False
        self._shut_down = False
        """Whether an embedded mesh sent GOAWAY, after which no other uses its address."""
        self._redial = Redial()
        self.heartbeat = _FIRST_HEARTBEAT_SECONDS
        """Seconds between two calls of `ping`."""
        self._pinged = time.monotonic()

    # For the driver

    @property
    def current(self) -> Link | None:
        """The link that gets new calls."""
        return self._link

    def links(self) -> list[Link]:
        return ([self._link] if self._link is not None else []) + self._retiring

    @property
    def has_unsent(self) -> bool:
        """Whether a link is to be written to, by `pump`, when it takes more."""
        link = self._link
        return (link is not None and link.unsent) or any(each.unsent for each in self._retiring)

    def next_due(self) -> float | None:
        """The latest time to call `pump()` (`time.monotonic()`), None if there is none."""
        return self._redial.due

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
        if self._redial.due is not None and self._redial.take():
            self._dial()

    def observe(self) -> None:
        """Process connects and disconnects; to be called when a monitor's descriptor is readable."""
        for link in self.links():
            link.observe()
            if link.failed:
                self._drain(link)
                self._lose(link)

    # Calls

    def submit(self, call: PendingCall) -> None:
        """Send a new call, or hold it until there is a daemon."""
        self.calls[call.request_id] = call
        link = self._link
        if self._shut_down or why_ended(self.address) is not None:
            self._fail(call, unavailable(self.address, why_ended(self.address) or "it was shut down"))
        elif link is None and self._redial.due is None:
            self._held[call.request_id] = call
            self._dial()
        elif link is None or not self._may_send(link, call):
            self._held[call.request_id] = call
        else:
            self._send(link, call)

    def cancel(self, call: PendingCall) -> None:
        """Forget a call and tell the daemon, which may be working on it. Idempotent."""
        if call.finished:
            return
        link = call.link
        self._finish(call)
        if link is not None:
            link.send(encode(CANCEL, call.request_id))
            self._drain(link)

    def credit(self, call: PendingCall, chunks: int) -> None:
        """Allow the daemon to send that many more chunks."""
        if call.link is not None and not call.finished:
            call.link.send(encode(CREDIT, call.request_id, CreditHead(chunks)))
            self._drain(call.link)

    def late(self, call: PendingCall) -> MeshError:
        """The error of a call past its deadline."""
        if call.link is not None and call.link.connected:
            return RequestTimeoutError(
                "No answer came within the request's timeout; ask again, or give it a longer one.", request_id=call.name
            )
        if self._departures and not self._shut_down and (self.path is None or os.path.exists(self.path)):
            return draining(self.path or self.address)
        return unavailable(self.address, "not within the request's timeout")

    def ping(self) -> None:
        """Send PINGs, and give up links whose daemon is silent."""
        now = time.monotonic()
        slept = now - self._pinged - self.heartbeat
        self._pinged = now
        self.observe()
        for link in self.links():
            self._drain(link)
            if slept > _SLEPT_SECONDS:  # perhaps only we slept; a living daemon answers a PING
                link.last_heard = max(link.last_heard, now - link.heartbeat)
            if link.welcome is None or link.closed:
                continue
            if now - link.last_heard > MISSED_HEARTBEATS * link.heartbeat + SILENCE_SLACK_SECONDS:
                link.failed = True
                self._lose(link)
                continue
            link.send(_PING)
            self._drain(link)

    def close(self) -> None:
        """Close every link; calls still in flight fail."""
        links = self.links()
        self._link = self._redial.due = None
        self._retiring = []
        for call in list(self.calls.values()):
            self._fail(call, client_closed())
        self._links_changed()
        for link in links:
            link.close()

    # Links

    def _dial(self) -> None:
        if self.path is not None and (why := nothing_at(self.path)):
            self._refused(why)
            return
        try:
            self._link = link = dial(self.address)
        except OSError as error:
            self._fail_held(unavailable, self.address, str(error))
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

    def _may_send(self, link: Link, call: PendingCall) -> bool:
        """Whether to send before the WELCOME: not after a restart, and not what may be too large, since the daemon
        closes the connection then."""
        return link.welcome is not None or (self._settled and len(call.body) <= _SURELY_TAKEN)

    def _send(self, link: Link, call: PendingCall) -> None:
        limit = link.welcome.max_message_size if link.welcome is not None else 0
        if limit and len(call.body) > limit:
            text = f"the message has {len(call.body)} bytes, and the daemon takes at most {limit}"
            self._fail(call, InvalidRequestError(text, status_code=413, code="message_too_large"))
            return
        call.link = link
        link.send(call.frames())

    def _refused(self, why: str = "") -> None:
        """why: no socket is there, so that waiting does not help."""
        if not self._welcomed and (self._redial.refused_too_long() or why or self._barred()):
            self._redial.forget_refusals()
            self._fail_held(unavailable, self.address, why or "nothing listens")
            return
        self._retry()

    def _barred(self) -> bool:
        """Whether this process may not connect, so that waiting does not help."""
        return self.path is not None and bool(barred(self.path))

    def _give_up(self, link: Link) -> None:
        """A link refused a message: its daemon is gone, and an embedded one has no successor."""
        self._shut_down = is_embedded(self.address)
        self._lose(link)

    def _retry(self) -> None:
        if self._shut_down:
            self._fail_held(unavailable, self.address, "it was shut down")
        if self._held:
            self._redial.plan()

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
        if link.refused:
            self._fail_held(not_admitted, self.address)
        elif not was_current and self._link is not None:
            if self._settled or self._link.welcome is not None:
                self._release(self._link)
        elif self._redial.due is None:
            if link.connected:
                self._retry()
            else:
                self._refused()

    def _forget(self, link: Link) -> None:
        if link is self._link:
            self._link = None
        elif link in self._retiring:
            self._retiring.remove(link)
        self._links_changed()
        link.close()

    def _retire(self, link: Link, drain: float = 0.0) -> None:
        """Its daemon ends within `drain` seconds: let it finish, and look for the next one."""
        if link.instance:
            self._departures.note(link.instance, drain)
        self._settled = False
        self._shut_down = is_embedded(self.address)
        link.draining = True
        if link is not self._link:
            return
        self._link = None
        self._retiring.append(link)
        self._close_if_done(link)
        if self._departures.overdue(link.instance):
            self._fail_held(draining, self.path or self.address)
        self._retry()

    def _close_if_done(self, link: Link) -> None:
        if link in self._retiring and not any(call.link is link for call in self.calls.values()):
            self._forget(link)

    def _welcome(self, link: Link, message: Message) -> None:
        link.welcome = message.head
        self._welcomed = True
        self.heartbeat = link.heartbeat
        self._redial.forget_refusals()
        if message.head.draining or link.instance in self._departures:
            self._retire(link)
            return
        self._departures.clear()
        self._redial.answered()
        self._settled = True
        self._release(link)

    # Messages

    def _drain(self, link: Link) -> None:
        try:
            self._take_all(link)
        except BaseException:  # of a signal handler: the message may be lost
            link.failed = link.failed or link.handed
            raise

    def _take_all(self, link: Link) -> None:
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

    def _deliver(self, call: PendingCall, link: Link, message: Message) -> None:
        kind = message.kind
        if kind == CHUNK:
            call.begun = True
        elif kind == ERROR and not call.begun and message.head.error.get("code") == "draining":
            call.link = None
            self._held[call.request_id] = call
            if link is self._link:
                self._retire(link)
            elif self._link is None and self._redial.due is None:
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

    def _finish(self, call: PendingCall) -> None:
        call.finished = True
        self.calls.pop(call.request_id, None)
        self._held.pop(call.request_id, None)

    def _fail(self, call: PendingCall, error: MeshError) -> None:
        self._finish(call)
        call.put(error)

    def _fail_held(self, error: Callable[..., MeshError], *arguments: str) -> None:
        """Each with an error of its own, as each may be raised in another thread."""
        for call in list(self._held.values()):
            self._fail(call, error(*arguments))
