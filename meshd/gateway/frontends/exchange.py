"""A request and its reply, for any front end.

Owns: `Request`, `Reply` and `Frontend`, the interface between transports (the socket, the embedding program) and the
operations.
Must never: know a transport, a provider or a pool.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol

from meshd.catalogue.placeholder_keys import is_placeholder
from meshd.config.mesh_config import MeshConfig
from meshd.core.caller import Caller
from meshd.core.events.content import Content
from meshd.core.tracing import Trace
from meshd.formats.protocol import Framing
from meshd.gateway.frontends.workplaces import NOWHERE, Workplace
from meshd.host import clock
from meshd.host.build import mypyc_attr
from meshd.host.plain_text import printable
from meshd.sdk.calls.credential import taken_from
from meshd.sdk.calls.form import Form
from meshd.sdk.calls.passing import RawBody
from modelmesh.errors import MeshError, RequestTimeoutError

_TEXT: Final = 80  # bytes of a text besides its characters
GONE: Final = "the app disconnected"
OWN_PREFIX: Final = "/mesh/"
"""Of the mesh's own operations."""


@mypyc_attr(allow_interpreted_subclasses=True)
class ClientGone(Exception):
    """The app has disconnected; nothing more can be sent to it. status, why: for its request's outcome."""

    def __init__(self, message: str = "", status: int = 499, why: str = GONE) -> None:
        super().__init__(message)
        self.status = status
        self.why = why


def not_read() -> RequestTimeoutError:
    """The exception for a request whose app stopped reading its stream."""
    return RequestTimeoutError("The app did not read the stream before the deadline; read faster, or allow more time.")


class Deadline:
    """When an answer is due, by `meshd.host.clock`. at: for the whole answer, or a stream's first chunk; after that
    chunk, only `latest` counts."""

    __slots__ = ("at", "latest")

    def __init__(self, at: float, latest: float) -> None:
        self.at = at
        self.latest = latest

    @classmethod
    def after(cls, arrived: float, timeout: float, first_chunk: float | None = None) -> Deadline:
        """timeout, first_chunk: seconds."""
        latest = arrived + timeout
        return cls(latest if first_chunk is None else min(arrived + first_chunk, latest), latest)

    def begun(self) -> None:
        """The first chunk has come."""
        self.at = self.latest

    def left(self) -> float:
        """Seconds, never negative."""
        return max(self.at - clock.now(), 0.0)

    def copy(self) -> Deadline:
        return Deadline(self.at, self.latest)


@mypyc_attr(allow_interpreted_subclasses=True)
class Reply(ABC):
    """What answers an app's request: exactly one of respond, error, or (chunk…, end).

    sent: chunks. done: it has been answered. carries_bytes: an answer may be opened with a status and headers. file:
    None; where the answer is a file: its content type, "" before it is known. Its chunks are pieces of the file then.
    """

    __slots__ = ("done", "file", "sent")
    carries_bytes: ClassVar[bool] = False

    def __init__(self) -> None:
        self.file: str | None = None
        self.sent = 0
        self.done = False

    def begins(self, mesh: dict[str, Any]) -> None:
        """What is known about an answer before it comes, for the head of a stream or of an error. Replaces what an
        earlier call gave."""
        return

    def frame(self, framing: Framing) -> None:
        """Put the answer on the wire in another format than its path implies, if the transport frames answers at
        all."""
        return

    def opens(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of an answer whose chunks are bytes; it is sent with the first of them, or with the end."""
        raise NotImplementedError

    @abstractmethod
    def respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        """Send a unary answer. Does nothing if the app has disconnected."""

    @abstractmethod
    def error(self, error: MeshError) -> None:
        """Send an error, also after chunks. Does nothing if the app has disconnected."""

    @abstractmethod
    def end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None:
        """A stream's regular end."""

    @abstractmethod
    async def chunk(self, data: bytes) -> None:
        """One event of a stream, sent when the app has room for it. Raises ClientGone, TimeoutError."""

    def chunk_now(self, data: bytes) -> bool:
        """The same without a coroutine, as there is one for each token of an answer. False: nothing was sent, and only
        `chunk` can send it. Raises ClientGone."""
        return False


@mypyc_attr(allow_interpreted_subclasses=True)
class ReplyInFront(Reply):
    """Stands in front of an app's reply, `app`, and passes on all but the content of an answer."""

    __slots__ = ("_app",)

    def __init__(self, app: Reply) -> None:
        self._app = app
        super().__init__()

    def begins(self, mesh: dict[str, Any]) -> None:
        self._app.begins(mesh)

    def error(self, error: MeshError) -> None:
        self.done = True
        self._app.error(error)

    def end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None:
        self.done = True
        self._app.end(usage, mesh)


@mypyc_attr(allow_interpreted_subclasses=True)
class Request:
    """What an app asks for, and its progress. headers: by name in lower case.

    arrived_at: by the wall clock. arrived: by `meshd.host.clock`. begun: it was sent to a provider, and may have cost
    something. way_back: where its answer goes: its reply, or an object in front of that. cut_off: why it was cancelled,
    if not by the app. handed_on: the router's next run gets it, because its client sends it again. held: bytes of its
    user's room that it takes. own: it is for one of the mesh's own operations. read_ahead: a long body, and what
    another thread has read from it (`gateway/requests/arrival.py`). form: the body as it came, if it was a form: then
    `body` is its fields in JSON. credential: the app's own, which has been removed from the headers. gives_way: others
    go first if it has to wait. upload: None, or the source of a body that is read while it arrives, instead of `body`.
    work: where its caller works. content: the part of it that the log gets; None if it gets none.
    """

    __slots__ = (
        "arrived",
        "arrived_at",
        "begun",
        "body",
        "caller",
        "content",
        "credential",
        "cut_off",
        "deadline",
        "form",
        "gives_way",
        "handed_on",
        "headers",
        "held",
        "label",
        "method",
        "own",
        "path",
        "query",
        "read_ahead",
        "reply",
        "request_id",
        "resend",
        "stream",
        "task",
        "trace",
        "upload",
        "way_back",
        "work",
    )

    def __init__(
        self,
        request_id: bytes,
        method: str,
        path: str,
        body: bytes,
        reply: Reply,
        *,
        headers: Mapping[str, str],
        caller: Caller,
        deadline: Deadline,
        arrived: float | None = None,
        stream: bool = False,
        label: str = "",
        resend: bool = False,
    ) -> None:
        self.request_id = request_id
        self.method = method
        self.path, _, self.query = path.partition("?")  # OpenAI clients may add a query to any path
        self.own = path.startswith(OWN_PREFIX)
        self.body = body
        self.reply = self.way_back = reply
        self.headers = lower_names(headers)
        self.credential = taken_from(self.headers, is_placeholder)
        self.caller = caller
        self.deadline = deadline
        self.stream = stream
        self.label = printable(label)
        self.resend = resend
        self.arrived = clock.now() if arrived is None else arrived
        self.arrived_at = time.time()
        self.begun = False
        self.content: Content | None = None
        self.form: Form | None = None
        self.gives_way = False
        self.upload: RawBody | None = None
        self.trace: Trace | None = None
        self.cut_off: MeshError | None = None
        self.handed_on = False
        self.held = 0
        self.work: Workplace = NOWHERE
        self.read_ahead: tuple[bytes, Any] | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def size(self) -> int:
        """Bytes of memory. As objects, texts take up to four times the bytes that were sent."""
        texts = "".join((self.path, self.query, *self.headers, *self.headers.values()))
        characters = len(texts) if texts.isascii() else 4 * len(texts)
        return len(self.body) + characters + 2 * (1 + len(self.headers)) * _TEXT

    def cancel(self, reason: MeshError | None = None) -> None:
        """Stop the request, because the app cancelled it or for `reason`. Idempotent."""
        self.cut_off = self.cut_off or reason
        if self.task is not None and not self.reply.done:
            self.task.cancel()


def lower_names(headers: Mapping[str, str]) -> dict[str, str]:
    """If a name has several spellings, the first one counts."""
    lower: dict[str, str] = {}
    for name, value in headers.items():
        lower.setdefault(name.lower(), value)
    return lower


class Frontend(Protocol):
    """One way for requests to come in. It turns its messages into requests, and passes them to `Admission`."""

    def objections(self, config: MeshConfig) -> tuple[str, ...]:
        """Why the configuration cannot be used; empty if it can."""

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called once, before anything is listened to."""

    def use(self, config: MeshConfig) -> None:
        """Use another configuration from now on. `Admission` has its limits already."""

    def drain(self, reason: str, seconds: float) -> None:
        """Tell clients to finish, and to send new requests elsewhere."""

    def stop_receiving(self) -> None:
        """Read nothing more."""

    def close(self) -> None:
        """Stop listening, and forget the clients. Messages that were sent are still delivered."""
