"""What a caller requests from a provider's own API: the provider, and a path, query and headers that are safe to send.

Owns: what is refused or left out. Must never: let a path leave the provider's base URL, or a caller's secret leave the
mesh.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

from modelmesh.errors import InvalidRequestError

PREFIX = "/providers/"
_LONGEST = 4000  # characters of path and query
_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_QUERY = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?\[\]-]|%[0-9A-Fa-f]{2})*")
_DEEPEST = 4  # escapes inside escapes
_OF_CONNECTION = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "host", "content-length", "expect", "accept-encoding", "forwarded", "via",
        "origin", "referer", "dnt", "http2-settings", "max-forwards",
    }
)  # fmt: skip
_OF_US = ("mesh-", "x-mesh-", "x-forwarded-", "x-real-", "sec-", "proxy-", "cf-")
_SECRET = re.compile(r"key|token|auth|secret|passw|cookie|credential|signature|jwt|session")
_NO_SECRET = frozenset({"idempotency-key"})
_SECRET_FIELD = re.compile(
    r"(?:x-)?(?:api|access|auth|subscription|secret)?[-_]?(?:key|token|secret)|password|sig(?:nature)?"
)


class Asked(NamedTuple):
    """provider: its name, unchecked. path: below its base URL."""

    provider: str
    path: str
    query: str


def asked(path: str, query: str) -> Asked:
    """path: as it came, with its escapes. Raises InvalidRequestError."""
    name, _, rest = path.removeprefix(PREFIX).partition("/")
    if len(rest) + len(query) > _LONGEST:
        raise _refused("is too long")
    if not _PATH.fullmatch(rest):
        raise _refused("has characters that are not allowed in a path")
    if not _QUERY.fullmatch(query):
        raise _refused("has characters in its query that are not allowed there")
    plain = rest
    for _ in range(_DEEPEST):
        _check(plain)
        before, plain = plain, unquote(plain)
        if plain == before:
            break
    else:
        raise _refused("has escapes inside escapes")
    return Asked(unquote(name), rest, _without_secrets(query))


def headers_to_send(headers: Mapping[str, str]) -> dict[str, str]:
    """A caller's headers, by name in lower case, without those of its connection and those that may be secret."""
    named = {name.strip().lower() for name in headers.get("connection", "").split(",")}
    return {
        name: value
        for name, value in headers.items()
        if name not in _OF_CONNECTION
        and name not in named
        and not name.startswith(_OF_US)
        and (name in _NO_SECRET or not _SECRET.search(name))
        and not any(sign in value for sign in "\r\n\0")
    }


def _check(path: str) -> None:
    """path: with its escapes resolved once, or as it came."""
    segments = re.split(r"[/\\]", path)
    if any(segment.partition(";")[0].strip() in (".", "..") for segment in segments):
        raise _refused("leads upwards")
    if path.startswith(("/", "\\")) or "//" in path or "\\" in path:
        raise _refused("has an empty part, or a backslash")
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in path):
        raise _refused("has control characters")


def _without_secrets(query: str) -> str:
    fields = query.split("&")
    return "&".join(each for each in fields if not _SECRET_FIELD.fullmatch(unquote(each.partition("=")[0]).lower()))


def _refused(why: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"This path {why}; name one below the provider's base URL: {PREFIX}NAME/PATH.", code="bad_path"
    )
