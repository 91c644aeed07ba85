"""A server that has Bedrock's runtime API, for one process of tests. It checks signatures by the specification of
Signature Version 4, without any code of AWS.

As documented, read on 28 November 2026: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html,
…/API_runtime_ConverseStream.html, …/API_runtime_InvokeModel.html (paths, errors, headers);
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html (signatures);
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html,
…/model-parameters-embed-v4.html (embeddings).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote

from tests.support.answers import spoken_converse
from tests.support.providers.vendors.three_apis import Said

Json = dict[str, Any]
KEY, SECRET, TOKEN = "AKIDEXAMPLE000000001", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdzEXAMPLE//token=="
BEARER = "bedrock-api-key-0123456789abcdef"
PIECE = 4
_PATH = re.compile(r"/model/([^/]+)/(converse|converse-stream|invoke)")
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?"
    r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)
_SECONDS = 300  # that a request's time may be off


@dataclass
class Refused:
    """An error: its status, name and message."""

    status: int
    name: str
    message: str
    headers: Json = field(default_factory=dict)


@dataclass
class Frames:
    """A stream's frames as they are; then it ends, or breaks off."""

    frames: list[bytes]
    breaks: bool = False


@dataclass
class Asked:
    model: str
    action: str
    path: str
    headers: dict[str, str]
    raw: bytes
    signed_by: str  # the id of the key, or "bearer"

    @property
    def body(self) -> Json:
        found: Json = json.loads(self.raw)
        return found


Answer = Said | Refused | Frames | Json


class Bedrock:
    """answer: what a request gets; a function of it, or the same for all. keys: id → secret and session token."""

    def __init__(self) -> None:
        self.region = "eu-central-1"
        self.keys = {KEY: (SECRET, "")}
        self.answer: Answer | Callable[[Asked], Answer] = Said()
        self.asked: list[Asked] = []
        self.url = ""

    def respond(self, path: str, headers: Mapping[str, str], raw: bytes) -> tuple[int, Json, list[bytes], bool]:
        """Status, headers, the body in pieces, and whether it breaks off after them."""
        try:
            signed_by = self._authorized(path, headers, raw)
        except _Unsigned as error:
            return _error(Refused(403, error.name, error.message))
        found = _PATH.fullmatch(path)
        if found is None:
            return _error(Refused(404, "UnknownOperationException", ""))
        asked = Asked(unquote(found[1]), found[2], path, dict(headers), raw, signed_by)
        self.asked.append(asked)
        answer = self.answer(asked) if callable(self.answer) else self.answer
        if isinstance(answer, Refused):
            return _error(answer)
        if isinstance(answer, Frames):
            return 200, _STREAM, answer.frames, answer.breaks
        if isinstance(answer, Said) and asked.action == "converse-stream":
            frames = spoken_converse.streamed(asked.body, answer, PIECE)
            return 200, _STREAM, frames[: answer.cut], answer.cut is not None
        told = spoken_converse.unary(asked.body, answer) if isinstance(answer, Said) else answer
        return 200, {"content-type": "application/json"}, [json.dumps(told).encode()], False

    def _authorized(self, path: str, headers: Mapping[str, str], raw: bytes) -> str:
        given = headers.get("authorization", "")
        if given == f"Bearer {BEARER}":
            return "bearer"
        found = _AUTHORIZATION.fullmatch(given)
        if found is None:
            raise _Unsigned("MissingAuthenticationTokenException", "Missing Authentication Token")
        key, day, region, service, names, signature = found.groups()
        if key not in self.keys:
            raise _Unsigned("UnrecognizedClientException", "The security token included in the request is invalid.")
        secret, token = self.keys[key]
        if token == "expired" or headers.get("x-amz-security-token", "") != token:
            raise _Unsigned("ExpiredTokenException", "The security token included in the request is expired")
        at = headers.get("x-amz-date", "")
        told = datetime.strptime(at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        fresh = abs((datetime.now(UTC) - told).total_seconds()) < _SECONDS
        must = {"host", "x-amz-date"} | ({"x-amz-security-token"} if token else set())
        expected = signature_of(path, headers, raw, names.split(";"), secret, (day, region, service))
        well = (region, service, at[:8]) == (self.region, "bedrock", day) and must <= set(names.split(";"))
        if not (fresh and well and hmac.compare_digest(expected, signature)):
            message = "The request signature we calculated does not match the signature you provided."
            raise _Unsigned("InvalidSignatureException", message)
        return str(key)


class _Unsigned(Exception):
    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name, self.message = name, message


_STREAM = {"content-type": "application/vnd.amazon.eventstream"}


def _error(refused: Refused) -> tuple[int, Json, list[bytes], bool]:
    where = "http://internal.amazon.com/coral/com.amazon.bedrock/"
    headers = {"x-amzn-errortype": f"{refused.name}:{where}", "content-type": "application/json", **refused.headers}
    return refused.status, headers, [json.dumps({"message": refused.message}).encode()], False


def signature_of(
    path: str, headers: Mapping[str, str], body: bytes, names: list[str], secret: str, scope: tuple[str, str, str]
) -> str:
    """Of a POST without a query. The path is encoded once more, as for every service but S3."""
    canonical = "\n".join(
        [
            "POST",
            quote(path, safe="/-._~"),
            "",
            *(f"{name}:{' '.join(headers[name].split())}" for name in sorted(names)),
            "",
            ";".join(sorted(names)),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    whole = "/".join((*scope, "aws4_request"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], whole, digest])
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@contextmanager
def serving() -> Iterator[Bedrock]:
    bedrock = Bedrock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            told = {name.lower(): value for name, value in self.headers.items()}
            status, headers, pieces, breaks = bedrock.respond(self.path, told, raw)
            self.send_response(status)
            for name, value in {"x-amzn-requestid": "a1b2", **headers, "transfer-encoding": "chunked"}.items():
                self.send_header(name, str(value))
            self.end_headers()
            for piece in pieces:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if breaks:
                self.close_connection = True
            else:
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    bedrock.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield bedrock
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
