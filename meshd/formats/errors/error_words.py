"""Reads error bodies of any form: JSON of any provider, JSON inside JSON, plain text, a page of HTML.

Owns: finding the provider's message, its codes and its times in a body.
Must never: raise, read without bound, or decide what kind of failure it is (`response_failures.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from meshd.host.plain_text import stripped
from meshd.sdk.reading import lenient

MAX_MESSAGE = 600  # characters
MAX_READ = 256 * 1024  # bytes of a body; a longer one is not an error message
_DEEPEST = 8
_MOST_ITEMS = 16

_INSIDE = ("error", "errors", "Error", "base_resp", "fault", "exception", "response", "body")
_MESSAGES = (
    "message", "Message", "msg", "detail", "error_description", "error_message", "errorMessage", "error_msg", "errmsg",
    "status_msg", "err", "description", "faultstring", "reason", "text", "title", "details", "failure",
)  # fmt: skip
_CODES = ("code", "error_code", "errorCode", "err_code", "errcode", "status_code", "Code", "__type")
_TYPES = ("type", "error_type", "errorType")
_METADATA_CODES = ("error_type", "code", "reason", "limit_source", "provider_code")  # the last is the innermost
_HTML = re.compile(r"\s{0,64}(?:<!doctype|<html|<head|<body|<title|<h1|<\?xml|<error)", re.I)
_TITLE = re.compile(r"<(title|h1|message)[^>]{0,200}>([^<]{1,600})<", re.I)
_NOT_SHOWN = re.compile(r"<(script|style)\b[^>]{0,200}>[^<]{0,20000}</\1>", re.I)
_TAG = re.compile(r"<[^<>]{0,2000}>")
_SENTENCE = re.compile(r'"[^"]{0,200}\w \w')
_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")
_WORDED = re.compile(
    r"(?:(?:try again|retry|available|resets?|wait)[^.\d]{0,40}?\b(?:in|after|for|about)\s{0,3}(?:about\s)?|wait\s)"
    r"((?:\d{1,9}(?:\.\d{1,9})?\s?(?:milliseconds?|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|ms|h|m|s|d)\b"
    r"[\s,]{0,2}){1,4}"
    r"|(?:\d{1,9}(?:\.\d{1,9})?(?:ms|h|m|s|d)){1,4})",
    re.I,
)
_PART = re.compile(
    r"(\d{1,9}(?:\.\d{1,9})?)\s?(milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)", re.I
)
_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class ErrorWords(msgspec.Struct, frozen=True):
    """message: the provider's, bounded. code, type: of the innermost error. codes: all found, the innermost first.
    retry_after: seconds. quotas: ids of exceeded quotas (Google's). flagged: it names what it found in the prompt.
    param: the field that the error concerns."""

    message: str = ""
    code: str = ""
    type: str = ""
    param: str = ""
    codes: tuple[str, ...] = ()
    retry_after: float | None = None
    quotas: tuple[str, ...] = ()
    flagged: bool = False


def read_error(body: bytes) -> ErrorWords:
    """The message and codes of an error body. Never raises; empty if there are none."""
    return words_of(document_of(body))


def document_of(body: bytes) -> Any:
    """The body as JSON, else as text; None if it is empty."""
    body = body[:MAX_READ].strip()
    if body.startswith(b"\xef\xbb\xbf"):
        body = body[3:]
    if not body:
        return None
    document = _decoded(body)
    if document is not None:
        return document
    for line in body.split(b"\n", 32)[:32]:  # an event of a stream
        field, _, value = line.partition(b":")
        if field.strip() == b"data" and value.strip():
            document = _decoded(value.strip())
            return value.strip().decode(errors="replace") if document is None else document
    return body.decode(errors="replace")


def words_of(document: Any) -> ErrorWords:
    """The message and codes of a document that is known to be an error."""
    found = _Found()
    try:
        message = _read(document, found, 0)
    except RecursionError:
        message = ""
    retry_after = found.retry_after
    if retry_after is None and message:
        retry_after = _worded_wait(message)
    codes = tuple(dict.fromkeys(reversed(found.codes)))
    return ErrorWords(
        message=message[:MAX_MESSAGE],
        code=found.code,
        type=found.type,
        param=found.param,
        codes=codes[:_MOST_ITEMS],
        retry_after=retry_after,
        quotas=tuple(found.quotas),
        flagged=found.flagged,
    )


def _decoded(text: bytes | str) -> Any:
    """None if it is not JSON. Characters that no reader accepts are left out, such as half a surrogate pair in a quoted
    prompt."""
    try:
        return msgspec.json.decode(text)
    except lenient.UNREADABLE:
        pass
    try:
        odd = lenient.decode_odd(text.encode(errors="replace") if isinstance(text, str) else text)
        return msgspec.json.decode(lenient.plain(odd))
    except (lenient.NotJSON, RecursionError):
        return None


class _Found:
    """What has been found so far in a nested document."""

    def __init__(self) -> None:
        self.code = ""
        self.type = ""
        self.param = ""
        self.codes: list[str] = []
        self.quotas: list[str] = []
        self.retry_after: float | None = None
        self.flagged = False

    def note(self, code: str, type: str) -> None:
        self.code = code or self.code
        self.type = type or self.type
        self.codes += [each for each in (type, code) if each]

    def wait(self, seconds: float | None) -> None:
        if seconds is not None:
            self.retry_after = max(self.retry_after or 0.0, seconds)


def _read(document: Any, found: _Found, depth: int) -> str:
    """The innermost message."""
    if depth > _DEEPEST or document is None or isinstance(document, bool):
        return ""
    if isinstance(document, str):
        return _read_text(document, found, depth)
    if isinstance(document, list):
        return _read_list(document, found, depth)
    if isinstance(document, dict):
        return _read_object(document, found, depth)
    if isinstance(document, int) and 400 <= document < 600:  # a status instead of a message
        found.note(str(document), "")
        return ""
    return str(document)[:MAX_MESSAGE]


def _read_text(text: str, found: _Found, depth: int) -> str:
    text = text[:MAX_READ].strip()
    if text[:1] in ("{", "["):
        inner = _decoded(text)
        if isinstance(inner, dict | list):
            return _read(inner, found, depth + 1) or _shown(text)
    if _HTML.match(text):
        return _of_page(text)
    at = text.find("{", 0, 400)  # `400: {"error": …}`, as proxies put it
    if at > 0 and text.endswith("}"):
        inner = _decoded(text[at:])
        said = _read(inner, found, depth + 1) if isinstance(inner, dict) else ""
        if said:
            return _shown(f"{text[:at]}{said}" if "\\u" in text else text)
    return _shown(text)


def _read_list(items: list[Any], found: _Found, depth: int) -> str:
    messages = [_read(item, found, depth + 1) for item in items[:_MOST_ITEMS]]
    if _validates(items) or all(isinstance(item, str) for item in items[:_MOST_ITEMS]):
        return "; ".join(message for message in messages if message)
    return next((message for message in messages if message), "")


def _validates(items: Any) -> bool:
    """Whether these are validation errors, each with its location."""
    some = items[:_MOST_ITEMS] if isinstance(items, list) else ()
    return bool(some) and all(isinstance(item, dict) and ("loc" in item or "path" in item) for item in some)


def _read_object(document: dict[str, Any], found: _Found, depth: int) -> str:
    code = _name(document, _CODES)
    status = document.get("status")
    kind = _name(document, _TYPES) or (status[:200] if isinstance(status, str) else "")
    if not code and isinstance(status, int) and not isinstance(status, bool):
        code = str(status)
    found.note(code, kind)
    found.param = _name(document, ("param",)) or found.param
    _read_details(document, found)
    raw = document.get("metadata")
    said = _read(raw.get("raw"), found, depth + 1) if isinstance(raw, dict) and raw.get("raw") else ""
    if said:
        return said
    for key in _INSIDE:
        inner = document.get(key)
        if inner and not (key in ("response", "body") and isinstance(inner, str)):
            said = _read(inner, found, depth + 1)
            bare = not isinstance(inner, dict | list) and _is_name(str(inner))
            if said and not (bare and _name(document, _MESSAGES)):
                return said
    for key in _MESSAGES:
        inner = document.get(key)
        if inner and (said := _read(inner, found, depth + 1)):
            where = _read(document["details"], found, depth + 1) if _validates(document.get("details")) else ""
            return _located(document, f"{said}: {where}" if where else said)
    if depth == 0 and document:  # nothing was found in known fields
        text = msgspec.json.encode(document).decode()
        return _shown(text) if not found.codes or _SENTENCE.search(text) else ""
    return ""


def _located(document: dict[str, Any], said: str) -> str:
    """The message with its location: pydantic's `loc`, zod's `path`."""
    place = document.get("loc") or (document.get("path") if "keys" in document or "code" in document else None)
    if not isinstance(place, list) or not place:
        return said
    kind = _name(document, ("type", "code"))
    return f"{'.'.join(str(step)[:80] for step in place[:8])}: {said}" + (f" ({kind})" if kind else "")


def _is_name(text: str) -> bool:
    return " " not in text and len(text) < 80


def _name(document: dict[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        value = document.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "" and value is not None:
            return _shown(str(value))[:200]
    return ""


def _read_details(document: dict[str, Any], found: _Found) -> None:
    """Google's details (RetryInfo, QuotaFailure, ErrorInfo), times, and what was found in a prompt."""
    details = document.get("details")
    for detail in details[:_MOST_ITEMS] if isinstance(details, list) else ():
        if not isinstance(detail, dict):
            continue
        found.wait(_seconds(detail.get("retryDelay")))
        if isinstance(detail.get("reason"), str):
            found.codes.append(detail["reason"][:200])
        violations = detail.get("violations")
        for violation in violations[:_MOST_ITEMS] if isinstance(violations, list) else ():
            if isinstance(violation, dict):
                found.quotas += [str(violation[key])[:200] for key in ("quotaId", "quotaMetric") if violation.get(key)][
                    :1
                ]
    errors = document.get("errors")  # of Google's older APIs
    for error in errors[:_MOST_ITEMS] if isinstance(errors, list) else ():
        if isinstance(error, dict) and isinstance(error.get("domain"), str) and isinstance(error.get("reason"), str):
            found.codes.append(error["reason"][:200])
    for key in ("retry_after", "retry_after_seconds", "retryAfter", "retryDelay", "retry_delay", "resets_in_seconds"):
        found.wait(_seconds(document.get(key)))
    for beside in (document.get("metadata"), document.get("availability")):
        if isinstance(beside, dict):
            _read_metadata(beside, found)
    inner = document.get("innererror")
    if isinstance(inner, dict):
        found.codes.append(_name(inner, ("code",)))
        found.flagged = found.flagged or "content_filter_result" in inner
    found.flagged = found.flagged or "content_filter_result" in document or "contentFilter" in document


def _read_metadata(metadata: dict[str, Any], found: _Found) -> None:
    """Read OpenRouter's metadata: the kind of error, whose limit it was, why a prompt was refused, when to ask
    again."""
    for key in _METADATA_CODES:
        if isinstance(value := metadata.get(key), str) and value:
            found.codes.append(_shown(value)[:200])
    for key in ("retry_after", "retry_after_seconds"):
        found.wait(_seconds(metadata.get(key)))
    moderation = metadata.get("moderation")
    found.flagged = found.flagged or any(
        (
            metadata.get("flagged_input"),
            metadata.get("flagged") is True,
            isinstance(moderation, dict) and moderation.get("flagged") is True,
            isinstance(metadata.get("reasons"), list) and metadata["reasons"],
            isinstance(metadata.get("patterns"), list) and metadata["patterns"],
        )
    )


def _seconds(value: Any) -> float | None:
    """`34`, `34.5`, "34s", "34", `{"seconds": 34}`."""
    if isinstance(value, dict):
        value = value.get("seconds")
    if isinstance(value, str):
        match = _DELAY.fullmatch(value.strip()[:40]) or re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)", value.strip()[:40])
        value = float(match[1]) if match else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value < 1e9 else None


def _worded_wait(message: str) -> float | None:
    """ "Please try again in 1m7.66s", "Try again in 20 seconds"."""
    match = _WORDED.search(message[:2000])
    if match is None:
        return None
    return sum(float(amount) * _SECONDS[_unit(unit.lower())] for amount, unit in _parts(match[1]))


def _parts(text: str) -> Iterator[tuple[str, str]]:
    yield from _PART.findall(text)


def _unit(unit: str) -> str:
    return "ms" if (unit.startswith("mi") and "sec" in unit) or unit == "ms" else unit[0]


def _of_page(page: str) -> str:
    """A page's title, else its text."""
    from html import unescape  # its table is large, and such an error is rare

    page = page[:65536]
    titles = [unescape(match[2]).strip() for match in _TITLE.finditer(page)]
    titles = list(dict.fromkeys(title for title in titles if title))
    if titles:
        return _shown(": ".join(titles[:2]))
    return _shown(unescape(_TAG.sub(" ", _NOT_SHOWN.sub(" ", page))))


def _shown(text: str) -> str:
    """Text of bounded length, without terminal control characters."""
    text = stripped(text[:65536]).strip()
    return "\n".join(" ".join(line.split()) for line in text.split("\n") if line.strip())[: 4 * MAX_MESSAGE]
