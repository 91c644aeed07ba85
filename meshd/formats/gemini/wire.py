"""Gemini's wire format: only as much of a response as the mesh must understand. A chunk of a stream is a response, too.

Owns: reading usage, finish reasons, content and errors from them.
Must never: change a byte that is passed on, or refuse an answer for a field that it does not need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import ErrorInside, no_event
from meshd.formats.gemini.usage import units_in, usage_in
from meshd.formats.openai.records import NULL
from meshd.formats.openai.wire import document_of, is_broken_off
from meshd.sdk.provider import StreamEvent, Usage
from meshd.sdk.reading import lenient

FINISHES = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
    "CONTINUATION": "length",
}
"""Finish reasons in the words of `StreamEvent.finish_reason`, which are the same for all formats."""
_NOT_ENDED = frozenset({"", "FINISH_REASON_UNSPECIFIED"})
_BESIDE = frozenset({"thoughtSignature", "videoMetadata", "partMetadata", "mediaResolution", "thought", "text"})


class _Part(msgspec.Struct, gc=False):
    text: str
    thought: bool = False
    functionCall: None = None
    inlineData: None = None
    executableCode: None = None
    codeExecutionResult: None = None
    toolCall: None = None
    toolResponse: None = None


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part]


class _Candidate(msgspec.Struct, gc=False):
    content: _Content
    finishReason: str = ""
    groundingMetadata: None = None


class _Response(msgspec.Struct, gc=False):
    """What most responses consist of: texts of one candidate."""

    candidates: list[_Candidate]
    usageMetadata: dict[str, Any] | None = None
    error: msgspec.Raw = NULL


_decode = msgspec.json.Decoder(_Response).decode


class Read(NamedTuple):
    """A response, or a chunk of one. finish: the finish reason, in the words common to all formats; None: it has not
    ended. calls: functions that are called."""

    data: bytes
    text: str = ""
    thought: str = ""
    extra: str = ""
    finish: str | None = None
    usage: Usage | None = None
    blocked: bool = False


def read(data: bytes) -> Read:
    """Raises NotAnAnswer."""
    try:
        response = _decode(data)
    except lenient.UNREADABLE:
        return _read_object(*document_of(data))
    if len(response.candidates) != 1 or response.error is not NULL:
        return _read_object(*document_of(data))
    [candidate] = response.candidates
    if candidate.finishReason not in _USUAL:
        return _read_object(*document_of(data))
    text = "".join(part.text for part in candidate.content.parts if not part.thought)
    thought = "".join(part.text for part in candidate.content.parts if part.thought)
    return Read(data, text, thought, "", _USUAL[candidate.finishReason], usage_in(response.usageMetadata))


_USUAL: dict[str, str | None] = {"": None, "STOP": "stop", "MAX_TOKENS": "length"}


def _read_object(document: dict[str, Any], data: bytes) -> Read:
    """The same for a response with more than texts, or one that is written oddly."""
    if error_answers.says_something(document.get("error")) or error_answers.is_flagged(document):
        raise error_inside(lenient.plain(document), document)
    candidates = candidates_of(document)
    said = [said_in(candidate) for candidate in candidates]
    text, thought, extra = ("".join(each[n] for each in said) for n in range(3))
    finish = None
    for candidate in candidates:
        reason = candidate.get("finishReason")
        if not isinstance(reason, str) or reason in _NOT_ENDED:
            continue
        if reason not in FINISHES and is_broken_off(reason):
            raise error_inside(_broken_off(reason, candidate), document)
        finish = finish or FINISHES.get(reason, "stop")
    if finish == "stop" and any('"functionCall"' in each[2] for each in said):
        finish = "tool_calls"
    usage = usage_in(document.get("usageMetadata"), units_in(candidates))
    blocked = is_blocked(document) and not candidates
    return Read(data, text, thought, extra, "content_filter" if blocked else finish, usage, blocked)


def read_event(data: bytes) -> StreamEvent:
    """Raises NotAnAnswer, NotAnEvent."""
    found = read(data)
    if not (found.text or found.thought or found.extra or found.finish or found.usage):
        document, _ = document_of(data)
        if not document.keys() & {"candidates", "usageMetadata", "promptFeedback", "responseId"}:
            raise no_event(document, error_inside)
    content = bool(found.text or found.thought or found.extra)
    return StreamEvent(
        found.data, content, found.text, found.finish, found.usage, reasoning=found.thought, extra=found.extra
    )


def candidates_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    given = document.get("candidates")
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []


def parts_of(candidate: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = candidate.get("content")
    given = content.get("parts") if isinstance(content, dict) else None
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []


def said_in(candidate: Mapping[str, Any]) -> tuple[str, str, str]:
    """A candidate's text, its thoughts, and what is more than text, as JSON."""
    text: list[str] = []
    thought: list[str] = []
    extra: list[str] = []
    for part in parts_of(candidate):
        said = part.get("text")
        if isinstance(said, str):
            (thought if part.get("thought") else text).append(said)
        elif more := {name: value for name, value in part.items() if name not in _BESIDE and value is not None}:
            extra.append(lenient.encode(more).decode(errors="replace"))
    return "".join(text), "".join(thought), "".join(extra)


def is_blocked(document: Mapping[str, Any]) -> bool:
    """Whether the prompt was blocked."""
    feedback = document.get("promptFeedback")
    return isinstance(feedback, dict) and bool(feedback.get("blockReason"))


def error_inside(error: bytes, document: Mapping[str, Any]) -> ErrorInside:
    """An error, with the usage and the text that the response has beside it."""
    candidates = candidates_of(document)
    said = "".join(text for candidate in candidates for text in said_in(candidate))
    return ErrorInside(error, usage_in(document.get("usageMetadata"), units_in(candidates)), said)


def _broken_off(reason: str, candidate: Mapping[str, Any]) -> bytes:
    why = candidate.get("finishMessage")
    more = f": {why[:300]}" if isinstance(why, str) and why else ""
    return lenient.plain({"error": {"message": f"the provider cut its answer off: {reason}{more}"}})
