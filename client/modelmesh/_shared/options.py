"""One call's parameters, headers and timeout, before it becomes a request.

Must never: touch a socket. Both clients build their requests only here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from modelmesh._objects import lenient_json
from modelmesh._objects.object import encode_unknown
from modelmesh._openai_sdk.arguments import given
from modelmesh.errors import MeshError, NoActiveModelError, QueueFullError

Headers = Mapping[str, str]


_encoder = msgspec.json.Encoder(enc_hook=encode_unknown)

CACHE_HEADER: Final = "x-mesh-cache"

FIRST_BACK_OFF_SECONDS: Final = 0.5
LONGEST_BACK_OFF_SECONDS: Final = 8.0
LONGEST_WAIT_SECONDS: Final = 60.0  # for a refusal's Retry-After, as in the OpenAI SDK


def encode_body(params: Mapping[str, Any], extra_body: Mapping[str, Any] | None) -> bytes:
    """A call's parameters as JSON, without those not given, and with `extra_body` on top."""
    body = {name: value for name, value in params.items() if given(value)}
    if extra_body:
        body.update((name, value) for name, value in extra_body.items() if given(value))
    try:
        return _encoder.encode(body)
    except UnicodeEncodeError:  # half a surrogate pair, as JavaScript leaves it, is written as an escape
        return lenient_json.encode(body, encode_unknown)


def merged_headers(headers: Headers, more: Mapping[str, Any]) -> dict[str, str]:
    """Headers merged with more, ignoring case; one that is not given, or None, is removed."""
    merged = {name.lower(): value for name, value in headers.items()}
    for name, value in more.items():
        if value is None or not given(value):
            merged.pop(name.lower(), None)
        else:
            merged[name.lower()] = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return merged


def with_cache_wish(params: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[Mapping[str, Any], dict[str, str]]:
    """(the body's parameters, the headers) of a call with `cache=True` or `cache=False`. Any other value is a
    provider's own parameter, and stays."""
    wish = params.get("cache")
    if not isinstance(wish, bool):
        return params, dict(headers)
    body = {name: value for name, value in params.items() if name != "cache"}
    return body, {**headers, CACHE_HEADER: "true" if wish else "false"}


def quoted(segment: str, safe: str = "") -> str:
    """A name as part of a path."""
    if segment.isalnum() and segment.isascii():
        return segment
    from urllib.parse import quote

    return quote(segment, safe=safe)


def with_query(path: str, query: Mapping[str, Any] | None) -> str:
    query = {name: value for name, value in query.items() if given(value)} if query else None
    if not query:
        return path
    from urllib.parse import urlencode

    return f"{path}?{urlencode(query, doseq=True)}"


def seconds(timeout: Any) -> float | None:
    """A timeout as seconds, None for none: a number, None, an `httpx.Timeout` or its tuple (the read timeout), a
    `timedelta`. Raises TypeError."""
    if timeout is None or isinstance(timeout, int | float):
        return timeout
    if isinstance(timeout, tuple) and len(timeout) > 1:
        return seconds(timeout[1])
    if callable(total := getattr(timeout, "total_seconds", None)):
        return float(total())
    if hasattr(timeout, "read"):
        return seconds(timeout.read)
    raise TypeError(f"timeout must be a number of seconds, None or an httpx.Timeout, not {timeout!r}")


def retry_delay(error: MeshError, retries_done: int) -> float | None:
    """Seconds until the same call may be tried again, None if it may not.

    Only if nothing had begun, so that nothing is billed twice: refusals with a retry time, a full queue, and a pool
    without an active model.
    """
    if not error.retryable:
        return None
    asked = error.retry_after if error.status_code in (429, 503) else None
    if asked is None:
        if not isinstance(error, QueueFullError | NoActiveModelError):
            return None
        asked = error.extra.get("recovers_in")
    if isinstance(asked, int | float):
        # A call should not wait silently for longer: the error says when to ask again.
        return max(0.0, float(asked)) if asked <= LONGEST_WAIT_SECONDS else None
    import random

    back_off = min(LONGEST_BACK_OFF_SECONDS, FIRST_BACK_OFF_SECONDS * 2.0**retries_done)
    return back_off * (1 - 0.25 * random.random())
