"""Recognises what comes instead of an answer: an error inside a 200, or a sign of life.

Owns: distinguishing these, in any form. It reports only that something is an error.
Must never: interpret an error's text (`response_failures.py`), or take an empty error field in a good answer for an
error.

An error is recognised by a name that only errors have (`error`, `error_code`, `base_resp.status_code`, an object that
calls itself an error) or, without choices, by other parts of an error: `detail`, a code, a message. A message without
such a name is doubtful: after it, only a finish reason proves that the answer is complete, not `[DONE]`.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Mapping
from typing import Any

from meshd.sdk.reading import lenient


class Sign(enum.Enum):
    """The meaning of something that is not a chunk."""

    ALIVE = "alive"  # a sign of life
    DOUBTFUL = "doubtful"  # some text
    ERROR = "error"
    BROKEN = "broken"  # a part of a chunk, or a web page


FLAGS = frozenset({"error", "errors", "err", "baseresp", "errorcode", "errcode", "errno", "errormsg", "errormessage",
                    "errmsg", "errordescription", "errortype", "exception", "traceback", "fault"})  # fmt: skip
_INSIDE = frozenset({"data", "response", "responsemetadata", "header", "result", "output", "body"})
_CERTAIN = ("error", "base_resp", "error_code")
KINDS = ("object", "type", "event", "status", "state", "result")
CODES = ("code", "Code", "status_code", "statusCode", "status", "http_status", "httpStatus", "ret_code", "retcode",
          "ret")  # fmt: skip
WORDS = ("message", "Message", "msg", "text", "reason", "description", "title", "info", "status_msg", "response")
_CALLS_ITSELF_ERROR = re.compile(r"(^|[._\s-])(error|err|failed|failure|fail|exception|cancelled|aborted)$", re.I)
_GOOD = frozenset({"", "0", "200", "201", "202", "ok", "success", "succeeded", "successful", "none", "null", "no error",
                   "no_error", "normal", "false", "n/a", "-"})  # fmt: skip
_FAILS = re.compile(
    r"error|fail|exception|abort|time[d -]*out|unavailable|exceed|overload|denied|refused|forbidden|unauthori|invalid"
    r"|terminated|interrupt|disconnect|went wrong|insufficient|too many|rate.?limit|quota|not found|crash|cancel"
    r"|killed",
    re.I,
)
_ALIVE = re.compile(
    r"ping|pong|heart|alive|keep|process|wait|connected|pending|running|in.progress|queue|loading|idle|noop|start|tick"
    r"|hello|ack|still|thinking|^ok$",
    re.I,
)
_FIELD = re.compile(rb"[\w-]+:")
_LONGEST_BEAT = 200
_WORD = re.compile(r"[^\W\d_]+")
_BEATS = frozenset({"ping", "pong", "heartbeat", "heartbeats", "heart", "beat", "beats", "keepalive", "keep", "alive",
                    "noop"})  # fmt: skip
_AROUND_BEATS = frozenset({"type", "event", "status", "message", "comment", "time", "timestamp", "ts", "t", "z", "id",
                           "ok", "true", "null", "none"})  # fmt: skip
_BRACKETED = re.compile(r"\[\s{0,9}[A-Za-z][^\[\]{}\"<>]*\][^\[\]{}\"<>]*|<[\w -]*/?>")
_DONE = re.compile(r"(?:data:\s{0,3})?[\"'<\[]{0,2}(?:done|end)[\"'>\]]{0,2}|\[done\].*", re.I | re.S)
_NO_BRACKETS = dict.fromkeys(map(ord, "[]<>"), " ")
_NO_TEXT = " \t\r\n\x00\ufeff"
_ONE_WORD = re.compile(r"[\w:.,;+*#~!?/@-]*")


def of_words(data: bytes) -> Sign:
    """For an event's data, or a line of a stream, that is not an object."""
    text = data.decode(errors="replace").strip(_NO_TEXT)
    if _BRACKETED.fullmatch(text) and (text[0] == "[" or _ALIVE.search(text)):
        return _of_text(text.translate(_NO_BRACKETS).strip())  # `[PING]`, `<keep-alive>`
    if text[:1] in ("[", '"') or text in ("null", "true", "false"):
        try:
            value = lenient.decode(text.encode())
        except lenient.NotJSON:
            return Sign.BROKEN
        if isinstance(value, str):
            return _of_text(value)
        if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            return _of_text(" ".join(value))
        if isinstance(value, list) and value:
            return Sign.ERROR if is_error(value) else Sign.BROKEN
        return Sign.ALIVE
    if any(mark in text for mark in '{}"<>'):
        return Sign.BROKEN
    return _of_text(text)


def of_lines(lines: bytes) -> Sign:
    """For lines outside any event: fields unknown to the standard mean nothing."""
    sign = of_words(lines)
    if sign in (Sign.DOUBTFUL, Sign.BROKEN) and all(map(_FIELD.match, lines.split(b"\n"))) and b"choices" not in lines:
        return Sign.ALIVE
    return sign


def is_beat(data: bytes) -> bool:
    """Whether unreadable data is a sign of life, in any brackets: `{ping}`, `<!-- keep-alive -->`."""
    if len(data) > _LONGEST_BEAT:
        return False
    words = set(_WORD.findall(data.decode(errors="replace").lower()))
    return bool(words & _BEATS) and words <= _BEATS | _AROUND_BEATS


def _of_text(text: str) -> Sign:
    if _FAILS.search(text):
        return Sign.ERROR
    if _is_status(text):
        return Sign.DOUBTFUL
    return Sign.ALIVE if _ONE_WORD.fullmatch(text) or _ALIVE.search(text) else Sign.DOUBTFUL


def is_done(text: bytes) -> bool:
    """Whether an event's data is the end: `[DONE]`, with anything after it, as clients accept, or a variant."""
    return _DONE.fullmatch(text.decode(errors="replace").strip(_NO_TEXT + "\xa0")) is not None


def ends(document: Mapping[str, Any]) -> bool:
    """Whether an object without choices marks the end."""
    said = (document.get("type"), document.get("event"))
    if document.get("done") is True or any(isinstance(each, str) and is_done(each.encode()) for each in said):
        return True
    return any(isinstance(each, str) and each.strip().lower() == "[done]" for each in document.values())


def names_error(name: bytes) -> bool:
    """Whether an event's name denotes an error."""
    return _CALLS_ITSELF_ERROR.search(name.decode(errors="replace")) is not None


def of_object(document: Mapping[str, Any]) -> Sign:
    """For an object without choices and without usage."""
    if is_error(document):
        return Sign.ERROR
    said = [value for name in WORDS if isinstance(value := document.get(name), str) and value]
    if said and not any(isinstance(value := document.get(name), str) and _ALIVE.search(value) for name in KINDS):
        signs = {_of_text(text) for text in said}
        return next((sign for sign in (Sign.ERROR, Sign.DOUBTFUL) if sign in signs), Sign.ALIVE)
    return Sign.ALIVE


def is_error(document: Any) -> bool:
    """Whether a document is an error, or has one inside."""
    if isinstance(document, list):
        return bool(document) and isinstance(document[0], Mapping) and is_error(document[0])
    if not isinstance(document, Mapping):
        return False
    if is_flagged(document):
        return True
    if document.get("choices"):
        return False
    if _has_error_inside(document):
        return True
    if document.get("usage") or document.get("data"):
        return any(_is_status(document.get(name)) and has_words(document) for name in CODES)
    if says_something(document.get("detail")) or False in (document.get("success"), document.get("ok")):
        return True
    return any(_is_bad_code(document.get(name), document) for name in CODES)


def _has_error_inside(document: Mapping[str, Any]) -> bool:
    """Whether it wraps one: `{"response": {"error": …}}`, `{"internalServerException": {…}}` (AWS)."""
    if True in (document.get("failed"), document.get("is_error"), document.get("isError")):
        return True
    inside = ((name, value) for name, value in document.items() if isinstance(value, Mapping) and value)
    return any(
        name.endswith("Exception") or (_plain_name(name) in _INSIDE and is_error(value)) for name, value in inside
    )


def is_flagged(document: Mapping[str, Any]) -> bool:
    """Whether it has a field that only errors have, whatever its other fields are."""
    if any(_plain_name(name) in FLAGS and says_something(value) for name, value in document.items()):
        return True
    return calls_itself_error(document) or stopped_early(document) is not None


def is_flagged_beside_text(document: Mapping[str, Any]) -> bool:
    """The same next to text: only what is certainly an error counts."""
    if any(says_something(document.get(name)) for name in _CERTAIN):
        return True
    return calls_itself_error(document, ("status", "type")) or stopped_early(document) is not None


def calls_itself_error(document: Mapping[str, Any], kinds: tuple[str, ...] = KINDS) -> bool:
    return any(isinstance(value := document.get(name), str) and _CALLS_ITSELF_ERROR.search(value) for name in kinds)


def stopped_early(document: Mapping[str, Any]) -> Any:
    """Why Groq stopped a stream early, by its `x_groq`; None if it did not."""
    groq = document.get("x_groq")
    return groq["error"] if isinstance(groq, Mapping) and says_something(groq.get("error")) else None


def says_something(value: Any) -> bool:
    """Whether the value of an error field is an error: not null, {}, "", 0, "success", nor a map of these."""
    if value is None or isinstance(value, bool):
        return value is True
    if isinstance(value, int | float):
        return not (value == 0 or 200 <= value < 300)
    if isinstance(value, str):
        return value.strip().lower() not in _GOOD
    if isinstance(value, Mapping):
        codes = [value[name] for name in CODES if value.get(name) is not None]
        if codes and not any(map(says_something, codes)):  # its own codes report success
            return any(isinstance(entry, str) and _FAILS.search(entry) for entry in value.values())
        return any(says_something(entry) for entry in value.values())
    return any(says_something(entry) for entry in value)


def _is_bad_code(code: Any, document: Mapping[str, Any]) -> bool:
    """Whether a code means failure. It needs a message next to it, unless it is an HTTP status."""
    if isinstance(code, bool) or not isinstance(code, int | float | str) or not says_something(code):
        return False
    if _is_status(code):
        return True
    if isinstance(code, str) and _ALIVE.search(code) and not _FAILS.search(code):
        return False
    return has_words(document)


def _is_status(code: Any) -> bool:
    """Whether it is an HTTP error status."""
    text = str(code).strip()
    return text.isascii() and text.isdigit() and len(text) == 3 and "4" <= text[0] <= "5"


def has_words(document: Mapping[str, Any]) -> bool:
    return any(isinstance(value := document.get(name), str) and value for name in WORDS)


@functools.lru_cache(1024)
def _plain_name(name: str) -> str:
    """A name in one spelling, so that `errorCode`, `error_code` and `ERROR-CODE` are the same."""
    return name.replace("_", "").replace("-", "").lower() if len(name) < 40 else name
