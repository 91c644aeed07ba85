"""Recognises the symptoms of a wrong `base_url`, and says what to write instead.

Owns: the messages for a missing path, for a web page or other non-answer, and for the wrong scheme. Must never: see a
key; its addresses are redacted.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from urllib.parse import urlsplit

from meshd.sdk.provider import FailureKind, ProviderFailure

_EVERYWHERE = "/chat/completions"
"""The endpoint that every server of OpenAI's API has."""
_VERSION = re.compile(r"/(?:v\d+[a-z\d]*|openai|api)(?=/|$)", re.I)
_TWICE = re.compile(r"(/v\d+)(?:/[^/]+)?\1(?=/|$)", re.I)
_WEB_PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|body|\?xml|title|script)", re.I)
_NO_ROUTE = re.compile(
    r"(?:\W*404\W*)?(?:(?:the )?(?:requested )?(?:page|resource|route|path|endpoint|url|file)(?: was)? )?not found\.?"
    r"|(?:404 )?page not found|method not allowed|(?:\W*405\W*)?not allowed|not found: not found",
    re.I,
)
_OF_A_ROUTE = re.compile(
    r"invalid url|cannot (?:get|post)\b|no (?:such )?route\b|unknown (?:request )?(?:url|path|route|endpoint)"
    r"|unsupported (?:url|path|route)|no handler|unexpected endpoint",
    re.I,
)
# nginx; Go's net/http; Apache; Envoy and others
_WANTS_TLS = re.compile(
    r"plain http request was sent to https port|http request to an https server|speaking plain http to an ssl",
    re.I,
)
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"})


def without_endpoint(path: str, endpoints: Iterable[str]) -> str:
    """A base URL's path without an endpoint that was pasted along with it."""
    bare = path.rstrip("/")
    pasted = [endpoint for endpoint in endpoints if bare.endswith(f"/{endpoint}")]
    return bare.removesuffix(f"/{max(pasted, key=len)}") if pasted else path


def not_there(url: str, status: int, words: str) -> str | None:
    """The message for a 404 or 405 that is only about the path; None for any other. words: the provider's."""
    if status not in (404, 405) or (words and not _NO_ROUTE.fullmatch(words) and not _OF_A_ROUTE.search(words)):
        return None
    repeats = not words or _NO_ROUTE.fullmatch(words) or urlsplit(url).path in words
    said = "" if repeats else f": {words}"
    what = "does not exist" if status == 404 else "does not take this method"
    return f"{url} {what} ({status}){said}: {advice(url)}"


def is_no_api(body: bytes) -> bool:
    """Whether the body of a 2xx is not from an API."""
    return not body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))


def is_web_page(body: bytes) -> bool:
    return _WEB_PAGE.match(body[:256]) is not None


def no_answer(url: str, body: bytes) -> ProviderFailure:
    """The message for a 2xx whose body is neither an answer nor an error."""
    if not body.strip():
        what = "nothing"
    elif _WEB_PAGE.match(body[:256]):
        what = "a web page instead of an API's answer"
    else:
        what = "something that is not a JSON object"
    message, missing = f"{url} answered with {what}: {advice(url)}", _WEB_PAGE.match(body[:256]) is not None
    return ProviderFailure(FailureKind.BAD_ANSWER, message, status=200, body=body[:4096], elsewhere=missing)


def advice(url: str) -> str:
    path = urlsplit(url).path
    twice = _TWICE.search(path)
    if twice is not None:
        return f"is base_url right? It has {twice[1]} twice"
    if not _VERSION.search(path):
        return "is base_url right? Most APIs are under /v1"
    return "is base_url right?" if path.endswith(_EVERYWHERE) else "is base_url right, and does the server have this?"


def no_words(where: str, secure: bool) -> str:
    """The message for a server that has never answered, and closes the connection."""
    hint = "" if secure else ": does base_url have to begin with https://?"
    return f"{where} closed the connection without an answer{hint}"


def is_alert(message: str) -> bool:
    """Whether a TLS alert came instead of HTTP."""
    return "\\x15\\x03" in message or "\x15\x03" in message


def wants_tls(words: str) -> bool:
    """Whether a server complains about a request without TLS."""
    return _WANTS_TLS.search(words) is not None


def speaks_no_tls(error: ssl.SSLError) -> bool:
    return getattr(error, "reason", None) in _NO_TLS
