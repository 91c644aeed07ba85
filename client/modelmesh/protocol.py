"""The frames of the socket protocol, version 1, for both ends of the socket.

Owns: the kinds, the heads' shapes, and their conversion to frames and back. `docs/protocol.md` is the definition; a
test checks its example frames against this module.
Must never: open a socket, know providers or routing, or import anything but msgspec.

A message is a list of frames: ``kind`` (1 byte), ``request id`` (16 bytes; empty for connection-level
kinds), ``head`` (a msgpack map; an empty frame means an empty map), ``body`` (bytes, may be empty), and for
uploads more body frames. A ROUTER socket sees the sender's routing id in front of these.
"""

from __future__ import annotations

import os
from typing import Any, Final

import msgspec

VERSION: Final = 1

# Kinds: from the client (c), from the daemon (d).
HELLO: Final = b"\x01"  # c  connection opened (first message on every connection)
WELCOME: Final = b"\x02"  # d  answer to HELLO
REQUEST: Final = b"\x03"  # c
RESPONSE: Final = b"\x04"  # d  a unary answer, of any HTTP status below 400
CHUNK: Final = b"\x05"  # d  one streamed event
END: Final = b"\x06"  # d  a stream's regular end
ERROR: Final = b"\x07"  # d  a request's (or, with an empty id, the connection's) failure
CANCEL: Final = b"\x08"  # c  stop a request; idempotent
CREDIT: Final = b"\x09"  # c  how many more chunks the client will take
PING: Final = b"\x0a"  # both
PONG: Final = b"\x0b"  # both
GOAWAY: Final = b"\x0c"  # d  draining

KIND_NAMES: Final = {
    HELLO: "HELLO",
    WELCOME: "WELCOME",
    REQUEST: "REQUEST",
    RESPONSE: "RESPONSE",
    CHUNK: "CHUNK",
    END: "END",
    ERROR: "ERROR",
    CANCEL: "CANCEL",
    CREDIT: "CREDIT",
    PING: "PING",
    PONG: "PONG",
    GOAWAY: "GOAWAY",
}

REQUEST_ID_BYTES: Final = 16
DEFAULT_CREDIT: Final = 64
"""Chunks of one stream that a client accepts before it has to send CREDIT, unless it names a number itself."""
HEARTBEAT_SECONDS: Final = 5.0
"""Seconds: an idle client sends PING this often; silent for 3 intervals, it counts as gone."""
MISSED_HEARTBEATS: Final = 3


class HelloHead(msgspec.Struct, omit_defaults=True):
    """A client's self-description. None of it is an identity: that comes from the kernel."""

    version: int = VERSION
    client: str = ""  # library and version: "modelmesh-python/0.1.0"
    process: str = ""  # the process's name, for people
    app: str = ""  # a label for the log


class WelcomeHead(msgspec.Struct, omit_defaults=True):
    """The daemon's self-description."""

    version: int = VERSION
    daemon: str = ""  # "meshd/0.1.0"
    instance: str = ""  # new at every start, so that a client notices a restart
    credit: int = DEFAULT_CREDIT
    heartbeat_ms: int = int(HEARTBEAT_SECONDS * 1000)
    max_message_size: int = 0  # bytes
    draining: bool = False


class RequestHead(msgspec.Struct, omit_defaults=True):
    """One call of the OpenAI REST interface (`/v1/…`) or of the mesh's own (`/mesh/v1/…`)."""

    method: str = "POST"
    path: str = ""
    headers: dict[str, str] = {}
    deadline_ms: int = 0  # from now; 0: the daemon's request_timeout
    first_chunk_ms: int = 0  # from now, for a stream; 0: by the deadline
    stream: bool = False
    credit: int = 0  # 0: WELCOME's
    resend: bool = False  # the same id was sent before, over a connection that broke
    app: str = ""  # a label for the log


class ResponseHead(msgspec.Struct, omit_defaults=True):
    status: int = 200
    headers: dict[str, str] = {}
    mesh: dict[str, Any] = {}


class ChunkHead(msgspec.Struct, omit_defaults=True):
    headers: dict[str, str] = {}  # on the first piece of an answer that is a file: its content-type


class EndHead(msgspec.Struct, omit_defaults=True):
    usage: dict[str, Any] | None = None
    mesh: dict[str, Any] = {}


class ErrorHead(msgspec.Struct, omit_defaults=True):
    """`error` is the OpenAI error body's inner object, `mesh` what the mesh adds to it."""

    status: int = 500
    error: dict[str, Any] = {}
    mesh: dict[str, Any] = {}


class CreditHead(msgspec.Struct):
    chunks: int


class GoawayHead(msgspec.Struct, omit_defaults=True):
    reason: str = ""
    drain_ms: int = 0  # how long requests in flight may still take


_encoder = msgspec.msgpack.Encoder()
HEAD_TYPES: Final = {
    HELLO: HelloHead,
    WELCOME: WelcomeHead,
    REQUEST: RequestHead,
    RESPONSE: ResponseHead,
    CHUNK: ChunkHead,
    END: EndHead,
    ERROR: ErrorHead,
    CREDIT: CreditHead,
    GOAWAY: GoawayHead,
}
_decoders: Final = {kind: msgspec.msgpack.Decoder(head) for kind, head in HEAD_TYPES.items()}


class MalformedMessage(ValueError):
    """Frames that are not a message of this protocol; `.request_id` is the id as far as it could be read, or b""."""

    def __init__(self, reason: str, request_id: bytes = b"") -> None:
        super().__init__(reason)
        self.request_id = request_id


class Message(msgspec.Struct, frozen=True, gc=False):
    """A decoded message. `head` is the kind's struct; None if the head is empty, as for most chunks."""

    kind: bytes
    request_id: bytes
    head: Any
    body: bytes
    attachments: tuple[bytes, ...] = ()


def new_request_id() -> bytes:
    """16 random bytes."""
    return os.urandom(REQUEST_ID_BYTES)


def encode(kind: bytes, request_id: bytes = b"", head: msgspec.Struct | None = None, body: bytes = b"") -> list[bytes]:
    """The frames of one message, without a routing id."""
    return [kind, request_id, b"" if head is None else _encoder.encode(head), body]


def decode(frames: list[bytes]) -> Message:
    """Read one message (without a routing id).

    Raises MalformedMessage: fewer than three frames, an unknown kind, a request id of the wrong length, a
    head that is not msgpack or not of the kind's shape. Unknown head keys are ignored.
    """
    if len(frames) < 3:
        raise MalformedMessage(f"a message has at least 3 frames, this one has {len(frames)}")
    kind, request_id, head = frames[0], frames[1], frames[2]
    if kind not in KIND_NAMES:
        raise MalformedMessage(f"unknown kind {kind[:8].hex() or 'of no bytes'}", _readable(request_id))
    if len(request_id) not in (0, REQUEST_ID_BYTES):
        raise MalformedMessage(f"a request id has {REQUEST_ID_BYTES} bytes, this one has {len(request_id)}")
    decoder = _decoders.get(kind)
    try:
        decoded = decoder.decode(head or b"\x80") if decoder is not None and (head or kind != CHUNK) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(f"{KIND_NAMES[kind]} head: {error}", request_id) from None
    body = frames[3] if len(frames) > 3 else b""
    return Message(kind, request_id, decoded, body, tuple(frames[4:]))


def _readable(request_id: bytes) -> bytes:
    return request_id if len(request_id) == REQUEST_ID_BYTES else b""
