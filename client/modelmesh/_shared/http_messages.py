"""Translates HTTP messages, of httpx or httpx2, to the protocol's and back.

Must never: wait, open a port, or send the key and the telemetry headers that SDKs add.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from modelmesh._connection.pending_call import PendingCall
from modelmesh._http_view import mesh_headers
from modelmesh._shared.framings import framing_at
from modelmesh._shared.options import retry_delay
from modelmesh.errors import DaemonUnavailableError, MeshError, RequestTimeoutError
from modelmesh.protocol import CHUNK, Message, RequestHead

_WITHHELD: Final = frozenset(
    {"authorization", "x-api-key", "host", "connection", "content-length", "accept-encoding", "transfer-encoding"}
    | {"user-agent"}
)


_STREAMED_FORM: Final = re.compile(rb'name="stream"\r\n(?:[^\r\n]{1,200}\r\n){0,4}\r\ntrue\r\n', re.IGNORECASE)
_FILES: Final = re.compile(r"/v1/(audio/speech|files/[^/]+/content)")
"""Paths whose answers are files, which come in pieces."""


class _Wanted(msgspec.Struct):
    stream: bool | None = None


_read_wanted = msgspec.json.Decoder(_Wanted).decode


def call_for(request: Any, content: bytes, app: str | None) -> PendingCall:
    """The call for an HTTP request."""
    headers = {
        name: value
        for name, value in request.headers.items()
        if name not in _WITHHELD and not name.startswith("x-stainless")
    }
    path = request.url.raw_path.decode("ascii")
    head = RequestHead(
        method=request.method,
        path=path,
        headers=headers,
        stream=_is_streamed(path, headers.get("content-type", ""), content),
        app=app or "",
    )
    return PendingCall(head, content, request.extensions.get("timeout", {}).get("read"))


def is_file(path: str) -> bool:
    """Whether its answer is a file."""
    return _FILES.fullmatch(path.partition("?")[0]) is not None


def _is_streamed(path: str, content_type: str, content: bytes) -> bool:
    if is_file(path) or (not content and "stream=true" in path.partition("?")[2].split("&")):
        return True
    if content_type.startswith("multipart/"):
        return _STREAMED_FORM.search(content) is not None
    try:
        return bool(_read_wanted(content).stream) if content else False
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def raised(http: Any, error: MeshError, request: Any) -> Any:
    """The HTTP response for an error; raises the HTTP library's own error if there was no response."""
    if isinstance(error, RequestTimeoutError):
        raise http.ReadTimeout(str(error), request=request) from error
    if isinstance(error, DaemonUnavailableError):
        raise http.ConnectError(str(error), request=request) from error
    headers = {
        "x-request-id": error.request_id or "",
        "x-should-retry": "false" if retry_delay(error, 0) is None else "true",
    }
    if error.retry_after is not None:
        headers["retry-after"] = f"{error.retry_after:g}"
    headers |= mesh_headers({"attempts": error.attempts}, error.request_id or "")
    headers["content-type"] = "application/json"
    body = framing_at(request.url.path).error_body(error)
    return _whole(http, error.status_code, headers, body, request)


def answered(http: Any, message: Message, call: PendingCall, request: Any) -> Any:
    """The HTTP response for an answer."""
    headers = {
        "content-type": "application/json",
        "x-request-id": call.name,  # a provider's own id takes precedence
        **message.head.headers,
        **mesh_headers(message.head.mesh, call.name),
    }
    return _whole(http, message.head.status, headers, message.body, request)


def _whole(http: Any, status: int, headers: Mapping[str, str], body: bytes, request: Any) -> Any:
    """A response with its body. The HTTP client reads it as from any server, since `elapsed` is set only then."""
    length = {"content-length": str(len(body))}
    return http.Response(status, headers={**headers, **length}, stream=http.ByteStream(body), request=request)


def file_type(message: Message) -> str:
    """The content type of a file, whose first piece this is; "" for a stream of events."""
    head = message.head
    return head.headers.get("content-type", "") if message.kind == CHUNK and head is not None else ""


def streaming(http: Any, body: Any, call: PendingCall, request: Any, content_type: str = "") -> Any:
    """The HTTP response for a stream. content_type: of a file."""
    kind = content_type or framing_at(call.head.path).media_type
    headers = {"content-type": kind, "x-request-id": call.name, "x-mesh-request-id": call.name}
    return http.Response(200, headers=headers, stream=body, request=request)


def unchanged(body: bytes) -> bytes:
    return body
