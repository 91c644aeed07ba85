"""Requests as their bytes arrive: parsed by `httptools` (llhttp, strictly), within bounds.

Owns: the framing of one connection's requests. Must never: know who asks, or what a path means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import httptools

from meshd.core.caller import Caller
from meshd.gateway.frontends.admission import Rights
from meshd.gateway.frontends.http.upload import Upload
from modelmesh.errors import InvalidRequestError, MeshError

MOST_HEAD: Final = 64 * 1024
"""Bytes of a request line and headers, and of what follows a chunked body."""
MOST_FIELDS: Final = 100
_PIECE: Final = 4096  # bytes that are parsed at a time, except of a body with a length: all of them may be requests
_UPLOADED: Final = 64 * 1024  # bytes of an upload that are parsed at a time
_SKIPPED: Final = 64 * 1024  # bytes of a refused request's body that are read to keep its connection
_CHUNKED_COST: Final = 8  # bytes on the wire for one of a chunked body, at most


class Incoming:
    """A request. target: as it was sent. headers: by name in lower case; several values are joined. refusal: the error
    that answers it, if it is refused. limit: the most bytes that its body may have; setting: the key that would allow
    more. caller: who asks, with which rights, if it is not refused. continues: the client waits for a 100 before it
    sends the body. closes: the connection can have no request after this one. streams: set by `judge` if its body may
    be read while it arrives; upload: that body."""

    __slots__ = (
        "_body",
        "caller",
        "closes",
        "continues",
        "headers",
        "is_http_1_0",
        "length",
        "limit",
        "method",
        "refusal",
        "rights",
        "setting",
        "streams",
        "target",
        "upload",
    )

    def __init__(self) -> None:
        self.method = ""
        self.target = ""
        self.headers: dict[str, str] = {}
        self.is_http_1_0 = False
        self.length: int | None = None  # None: it is chunked
        self.limit = 0
        self.setting = ""
        self.caller: Caller | None = None
        self.rights: Rights | None = None
        self.continues = False
        self.closes = False
        self.streams = False
        self.upload: Upload | None = None
        self.refusal: MeshError | None = None
        self._body: bytes | bytearray = b""

    @property
    def body(self) -> bytes:
        return bytes(self._body)

    @property
    def size(self) -> int:
        return len(self._body) if self.upload is None else self.upload.size

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def add(self, data: bytes) -> None:
        if self.upload is not None:
            self.upload.feed(data)
        elif not self._body:
            self._body = data
        elif isinstance(self._body, bytes):
            self._body = bytearray(self._body + data)
        else:
            self._body += data

    def drop(self) -> None:
        self._body = b""


class RequestReader:
    """judge: called with each request whose head has come; it sets `limit`, and a `refusal` if it is refused.

    complete: requests to be answered, in order; one with an upload as soon as its head has arrived. in_head, in_body:
    whether the next bytes belong to one. ended: nothing after `complete` is read.
    """

    def __init__(self, judge: Callable[[Incoming], None]) -> None:
        self.complete: list[Incoming] = []
        self.current: Incoming | None = None
        self.begun = self.in_body = self.ended = False
        self._judge: Callable[[Incoming], None] | None = judge  # until `close`
        self._raw = 0  # bytes of the head, or of a chunked body
        self._fields = 0
        self._declined: Incoming | None = None  # a request to switch to another protocol that has a body
        self._parser: Any = httptools.HttpRequestParser(self)

    @property
    def takes(self) -> int:
        """Bytes that `feed` may be given next."""
        current = self.current
        if self.in_body and current is not None and current.length is not None:
            left = max(current.length - current.size, 1)
            return left if current.upload is None else min(left, _UPLOADED)
        return _PIECE

    def feed(self, data: bytes) -> None:
        """At most `takes` bytes."""
        self.begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline(data[upgrade.args[0] :])
        except httptools.HttpParserInvalidMethodError:
            self._refuse(_unknown_method())
        except httptools.HttpParserCallbackError as raised:
            if not isinstance(raised.__context__, _Refused):
                raise
            self._end()
        except httptools.HttpParserError as error:
            if not (self.complete and self.complete[-1].closes):  # what follows such a request does not matter
                self._refuse(_malformed(str(error)))
        else:
            self._check_bounds(len(data))

    def close(self) -> None:
        """Read nothing more. References to this object are dropped, since only the garbage collector could free
        cycles."""
        self._parser = self._judge = None

    def cut(self, error: MeshError) -> None:
        """Refuse the request that has begun to arrive."""
        self._refuse(error)

    # -- httptools' -----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.ended or (self.complete and self.complete[-1].closes):
            raise _Refused
        if self._declined is not None:
            return
        self.current = Incoming()
        self.begun, self.in_body = True, False
        self._fields = 0

    def on_url(self, url: bytes) -> None:
        if self._declined is not None:
            return
        self._now.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_body:  # of a declined request, or after a chunked body
            return
        current = self.current
        assert current is not None, "a message has begun"
        self._fields += 1
        if self._fields > MOST_FIELDS:
            self._fail(_too_large(f"more than {MOST_FIELDS} headers"))
        headers, key, text = current.headers, name.decode("latin-1").lower(), value.decode("latin-1").strip()
        if key in headers:
            if key in _ONCE:
                self._fail(_malformed(f"{key} is given twice"))
            text = f"{headers[key]}, {text}"
        headers[key] = text

    def on_headers_complete(self) -> None:
        if self._declined is not None:
            self._declined = None
            return
        current, parser = self._now, self._parser
        current.method = parser.get_method().decode("latin-1")
        version = parser.get_http_version()
        if version not in ("1.0", "1.1"):
            self._fail(_malformed(f"HTTP/{version}; HTTP/1.1 and HTTP/1.0 are supported", 505))
        current.is_http_1_0 = version == "1.0"
        current.closes = not parser.should_keep_alive()
        headers = current.headers
        coding = headers.get("transfer-encoding")
        if coding is None:
            current.length = int(headers.get("content-length") or 0)
        elif coding.lower() != "chunked" or current.is_http_1_0:
            self._fail(_malformed(f"a body sent as {coding[:64]}; send it as it is, or chunked", 501))
        if "host" not in headers and not current.is_http_1_0:
            self._fail(_malformed("it has no Host"))
        current.continues = headers.get("expect", "").lower() == "100-continue" and not current.is_http_1_0
        self.in_body, self._raw = True, 0
        if self._judge is not None:
            self._judge(current)
        too_long = current.length is None or current.length > _SKIPPED or current.continues
        if current.refusal is not None and current.length != 0 and too_long:
            raise _Refused
        if current.streams and current.refusal is None and current.length != 0 and "upgrade" not in headers:
            current.upload = Upload(current.length)
            self.complete.append(current)

    def on_body(self, data: bytes) -> None:
        current = self._now
        if current.refusal is not None:
            current.length = None if current.length is None else current.length - len(data)
            return
        current.add(data)
        if current.size > current.limit:
            self._fail(too_long(current.size, current.limit, current.setting))

    def on_message_complete(self) -> None:
        current = self._now
        if self._parser.should_upgrade() and current.length != 0 and not _leaves_http(current):
            self._declined = current  # llhttp takes its body for the other protocol
            return
        if current.upload is None:
            self.complete.append(current)
        else:
            current.upload.end()
        self.current, self.begun, self.in_body, self._raw = None, False, False, 0
        if current.closes:
            self.ended = True

    # -- inside ---------------------------------------------------------------------------------------

    @property
    def _now(self) -> Incoming:
        assert self.current is not None, "a message has begun"
        return self.current

    def _check_bounds(self, size: int) -> None:
        if not self.begun or self.ended:
            return
        self._raw += size
        if not self.in_body:
            if self._raw > MOST_HEAD:
                self._refuse(_too_large(f"a head of more than {MOST_HEAD} bytes"))
        elif self._now.length is None and self._raw > MOST_HEAD + _CHUNKED_COST * self._now.limit:
            self._refuse(_malformed("its chunks are too small"))

    def _decline(self, rest: bytes) -> None:
        """Continue in HTTP/1.1, as a server may (RFC 9110, 7.8): a new parser continues where this one ended."""
        self._parser = httptools.HttpRequestParser(self)
        if self._declined is not None:
            length = self._declined.length
            framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
            self._parser.feed_data(f"POST / HTTP/1.1\r\n{framing}\r\n\r\n".encode())
        elif _leaves_http(done := self.complete[-1]):
            if done.refusal is None or done.refusal.status_code == 405:  # a WebSocket is asked for by GET everywhere
                done.refusal = _no_upgrade()
            done.closes = self.ended = True
            return
        if rest:
            self.feed(rest)

    def _fail(self, error: MeshError) -> None:
        self._now.refusal = error
        raise _Refused

    def _refuse(self, error: MeshError) -> None:
        self.current = self.current or Incoming()
        self.current.refusal = error
        self._end()

    def _end(self) -> None:
        """The request that was being read is the last."""
        self.ended = True
        current, self.current = self.current, None
        if current is None:
            return
        current.closes = True
        current.drop()
        if current.upload is None:
            self.complete.append(current)
        elif current.refusal is not None:
            current.upload.fail(current.refusal)


def _leaves_http(incoming: Incoming) -> bool:
    """Whether what follows its head is not HTTP in any case."""
    return incoming.method == "CONNECT" or incoming.headers.get("upgrade", "").lower() == "websocket"


class _Refused(Exception):
    """Raised inside of the parser to stop it."""


_ONCE: Final = frozenset(
    {"host", "content-type", "authorization", "x-api-key", "x-goog-api-key", "api-key", "origin", "content-length"}
)


def _malformed(why: str, status: int = 400) -> MeshError:
    return InvalidRequestError(
        f"This is not a valid HTTP request: {why}.", status_code=status, code="malformed_request"
    )


def _too_large(what: str) -> MeshError:
    return InvalidRequestError(f"The request has {what}; send less.", status_code=431, code="too_many_fields")


def too_long(size: int, limit: int, setting: str) -> MeshError:
    return InvalidRequestError(
        f"The body has at least {size} bytes, and {setting} is {limit}; send less, or raise it.",
        status_code=413,
        code="message_too_large",
    )


def _unknown_method() -> MeshError:
    return InvalidRequestError(
        "This method is unknown here; use GET or POST.", status_code=405, code="method_not_allowed", methods=METHODS
    )


METHODS: Final = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]


def _no_upgrade() -> MeshError:
    return InvalidRequestError(
        "WebSocket is not supported here; send the request by POST, with `stream` for events.",
        status_code=426,
        code="upgrade_refused",
    )
