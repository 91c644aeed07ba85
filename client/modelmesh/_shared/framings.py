"""How each API puts answers on the wire over HTTP: the framing of a stream's events, and errors.

Must never: know anything of an answer but its type.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from modelmesh.error_shapes import anthropic_error, google_error, responses_error
from modelmesh.errors import MeshError

_EVENTS: Final = "text/event-stream"


class Framing(NamedTuple):
    """media_type: of a stream. event: frames a chunk. error: the body of an error. error_inside: the chunk that
    reports one inside a stream, made from the first and the last chunk that came. last: what follows the last
    event."""

    media_type: str
    event: Callable[[bytes], bytes]
    error: Callable[[MeshError], dict[str, Any]]
    error_inside: Callable[[MeshError, bytes, bytes], dict[str, Any]]
    last: bytes = b""

    def error_body(self, error: MeshError) -> bytes:
        return msgspec.json.encode(self.error(error))

    def error_event(self, error: MeshError, first: bytes = b"", last: bytes = b"") -> bytes:
        return self.event(msgspec.json.encode(self.error_inside(error, first, last)))


def framing_at(path: str) -> Framing:
    """The framing of the API that has this path. path: may have a query."""
    asked = path.partition("?")[0]
    if _OF_GOOGLE.match(asked):
        return _GOOGLE
    return next((framing for prefix, framing in _BY_PREFIX.items() if asked.startswith(prefix)), _CHAT)


class _Typed(msgspec.Struct):
    type: str = ""


_read_type = msgspec.json.Decoder(_Typed).decode


def _event(data: bytes) -> bytes:
    return b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


def _named_event(data: bytes) -> bytes:
    """Anthropic's SDKs read an event only by its name, which is the type of its data."""
    try:
        name = _read_type(data).type
    except (msgspec.DecodeError, UnicodeDecodeError):
        name = ""
    line = f"event: {name}\n".encode() if name.isprintable() and name else b""
    return line + _event(data)


def _line(data: bytes) -> bytes:
    return data + b"\n"


def _openai_error(error: MeshError) -> dict[str, Any]:
    _, body, mesh = error.to_wire()
    return {"error": body, "mesh": mesh}


def _inside_a_response(error: MeshError, first: bytes, last: bytes) -> dict[str, Any]:
    return responses_error(error, _map(first), _map(last))


def _map(data: bytes) -> dict[str, Any]:
    try:
        return _read_map(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


_read_map = msgspec.json.Decoder(dict[str, Any]).decode


def _ollama_error(error: MeshError) -> dict[str, Any]:
    return {"error": error.message}


def _the_same(write: Callable[[MeshError], dict[str, Any]]) -> Callable[[MeshError, bytes, bytes], dict[str, Any]]:
    return lambda error, first, last: write(error)


_CHAT: Final = Framing(_EVENTS, _event, _openai_error, _the_same(_openai_error), b"data: [DONE]\n\n")
_GOOGLE: Final = Framing(_EVENTS, _event, google_error, _the_same(google_error))
_OF_GOOGLE: Final = re.compile(r"/v1beta/|/v1/models/.+:[A-Za-z]+(?:Contents?|Tokens)$")
"""Its methods; other paths below `/v1/models/` are OpenAI's."""
_BY_PREFIX: Final = {
    "/v1/messages": Framing(_EVENTS, _named_event, anthropic_error, _the_same(anthropic_error)),
    "/v1/responses": Framing(_EVENTS, _named_event, _openai_error, _inside_a_response),
    "/api/": Framing("application/x-ndjson", _line, _ollama_error, _the_same(_ollama_error)),
}
