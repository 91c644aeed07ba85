"""The OpenAI wire format: only as much of an answer as the mesh must understand.

Owns: reading usage, finish reasons, content and errors from answers and stream events.
Must never: change a byte that is passed on, or refuse an answer for a field it does not need.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.catalogue.known import broken_off_reasons
from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import Broken, ErrorInside, NotAnEvent
from meshd.formats.openai import shape
from meshd.formats.openai.bare import is_bare
from meshd.formats.openai.records import NULL, Choice, Chunk, Delta, StreamOptions
from meshd.formats.openai.usage import in_tier, usage_in, usage_of
from meshd.sdk.provider import StreamEvent
from meshd.sdk.reading import lenient
from meshd.sdk.reading.message_content import Said
from meshd.sdk.reading.message_content import read as read_said

_FINISH_REASON = ("finish_reason", "finishReason")
"""The second is Gemini's; some of its last chunks have only that."""

_EMPTY = re.compile(rb'\s*+(\[\s*+\]|\{\s*+\}|"")?\s*+|\s*+[^\s\["{].*', re.S)
_USUAL_ENDS = frozenset({"stop", "length", "tool_calls", "function_call"})
_BROKEN_OFF = re.compile(r"error|abort|fail|time[d_ -]*out|overload|malformed|cancel|interrupt|unavailable", re.I)
_WORDS = re.compile(r"[:.\s]+")
_decode_chunk = msgspec.json.Decoder(Chunk).decode
_decode_options = msgspec.json.Decoder(StreamOptions | None).decode
_decode_map = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode
_INCLUDE_USAGE = msgspec.Raw(b'{"include_usage":true}')
_TRUE = msgspec.Raw(b"true")


def error_inside(error: bytes, document: Mapping[str, Any]) -> ErrorInside:
    """An error, with the usage and the text that the document has beside it."""
    said = "".join(text for said in _said_in(choices_of(document)) for text in said)
    return ErrorInside(error, usage_in(document), said)


def is_set(raw: msgspec.Raw) -> bool:
    """Whether it is a non-empty list, map or text."""
    return raw is not NULL and _EMPTY.fullmatch(raw) is None


def is_broken_off(finish_reason: str) -> bool:
    """Whether a finish reason means that the answer is incomplete."""
    if finish_reason in _USUAL_ENDS:
        return False
    if _BROKEN_OFF.search(finish_reason) or finish_reason in broken_off_reasons():
        return True
    words = _WORDS.split(finish_reason.lower())
    return words[-1] in broken_off_reasons() and words[0] != "content_filter"


def read_event(
    data: bytes, *, hide_usage: bool, completion: bool = False, usual: bool = False
) -> tuple[StreamEvent, Chunk]:
    """One event of a stream. hide_usage: the app did not ask for the usage event. completion: it expects `text`, not
    `delta`. usual: text has come in the right place. Raises NotAnAnswer, NotAnEvent."""
    return _read_usual(data, hide_usage, completion) or read_oddly(data, hide_usage, completion, usual)


def _read_usual(data: bytes, hide_usage: bool, completion: bool) -> tuple[StreamEvent, Chunk] | None:
    """None if it takes a closer look."""
    try:
        chunk = _decode_chunk(data)
    except lenient.UNREADABLE:
        return None
    if not (chunk.error is chunk.base_resp is chunk.error_code is chunk.status is chunk.type is NULL):
        return None
    wire = chunk.usage
    if (groq := chunk.x_groq) is not None:
        wire = wire or groq.usage
        if groq.error is not NULL:
            return None
    usage = in_tier(usage_of(wire), chunk.service_tier) if wire is not None else None
    text, reasoning, extra, finish = "", "", "", None
    for choice in chunk.choices or ():
        if choice.finish_reason:
            finish = choice.finish_reason
            if finish not in _USUAL_ENDS:
                return None
        delta = choice.delta
        if not (choice.error is choice.finish_reason_else is NULL):
            return None
        if completion is (delta is not None):  # `text` instead of `delta`, or the other way round
            return None
        if delta is None:
            if choice.text:
                choice.says = True
                text += choice.text
            continue
        if delta.content:
            choice.says = True
            text += delta.content
        if thought := delta.reasoning_content or delta.reasoning:
            choice.says = True
            reasoning += thought
        if not (delta.tool_calls is delta.function_call is delta.audio is delta.images is NULL) or delta.refusal:
            more = _more_than_text(delta)
            choice.says = choice.says or bool(more)
            extra += more
        if delta.error is not NULL or not (
            thought or delta.reasoning_details is delta.thinking is delta.thinking_blocks is NULL
        ):
            return None
    if text or reasoning or extra:
        return StreamEvent(data, True, text, finish, usage, reasoning=reasoning, extra=extra), chunk
    # Few have no content: the first and the last, and what is not a chunk. These are examined closely.
    if (usage is None and not chunk.choices) or chunk.choices is None or not is_bare(data):
        return None
    hidden = not chunk.choices and hide_usage
    return StreamEvent(data, False, "", finish, usage, hidden), chunk


def _more_than_text(delta: Delta) -> str:
    found = delta.refusal or ""
    for raw in (delta.tool_calls, delta.function_call, delta.audio, delta.images):
        if is_set(raw):
            found += bytes(raw).decode(errors="replace")
    return found


def read_oddly(data: bytes, hide_usage: bool, completion: bool, usual: bool) -> tuple[StreamEvent, Chunk]:
    """The same for an unusual or empty chunk: a field of another type is dropped."""
    document, data = document_of(data)
    made = None
    if not error_answers.is_error(document):
        made = shape.shaped(document, "delta", completion=completion, usual=usual)
    if made is not None:
        document, data = made, lenient.encode(made)
    choices, usage = choices_of(document), usage_in(document)
    if any(map(is_failed, choices)):
        raise error_inside(error_of(document), document)
    found: list[Choice] = []
    said = []
    for position, choice in enumerate(choices):
        delta = choice.get("delta")
        reading = read_said(delta if isinstance(delta, dict) else {"text": choice.get("text")})
        said.append(reading)
        finish = finish_reason(choice)
        found.append(Choice(index_of(choice, position), None, None, finish, says=any(reading)))
    chunk = Chunk(found)
    has_content = any(map(any, said))
    if error_answers.is_flagged_beside_text(document) if has_content else error_answers.is_flagged(document):
        raise error_inside(error_of(document), document)
    if not has_content:
        if error_answers.is_error(document):
            raise error_inside(lenient.plain(document), document)
        if not choices and usage is None:
            sign = error_answers.of_object(document)
            if sign is error_answers.Sign.ERROR:
                raise error_inside(lenient.plain(document), document)
            if "choices" not in document or not document.keys() & {"id", "prompt_filter_results"}:
                unread = document.get("choices") or b'"content"' in data or b'"delta"' in data
                doubtful = sign is error_answers.Sign.DOUBTFUL or bool(unread)
                raise NotAnEvent(doubtful=doubtful, end=error_answers.ends(document))
    if not choices:
        # Without choices it is the usage report, or Azure's preface.
        hidden = (usage is None and document.get("choices") is None) or (hide_usage and usage is not None)
        return StreamEvent(data, usage=usage, hidden=hidden), chunk
    text, reasoning, extra = ("".join(kind) for kind in zip(*said, strict=True))
    finish = next((choice.finish_reason for choice in reversed(found) if choice.finish_reason), None)
    content = bool(text or reasoning or extra)
    return StreamEvent(data, content, text, finish, usage, reasoning=reasoning, extra=extra), chunk


def document_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The document, and its bytes in a form that an app can read. Raises Broken."""
    try:
        document = msgspec.json.decode(data)
    except lenient.UNREADABLE:
        try:
            document = lenient.decode_odd(data)
        except lenient.NotJSON as exc:
            raise Broken(str(exc)) from None
        data = lenient.readable(data, document)
    if not isinstance(document, dict):
        raise Broken("no object")
    return document, data


def choices_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    choices = document.get("choices")
    if isinstance(choices, dict):
        choices = [choices]
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def index_of(choice: Mapping[str, Any], position: int) -> int:
    """The index, whatever its type; the position if it has none."""
    index = choice.get("index")
    try:
        return int(index) if isinstance(index, int | float | str) else position
    except (ValueError, OverflowError):
        return position


def finish_reason(choice: Mapping[str, Any]) -> str | None:
    """The finish reason as text, however it is wrapped or named; None if it is anything else."""
    for name in _FINISH_REASON:
        reason = choice.get(name)
        if isinstance(reason, dict):
            reason = next((value for value in reason.values() if isinstance(value, str) and value), None)
        if isinstance(reason, str) and reason.lower() not in ("", "null", "none"):
            return reason
    return None


def is_failed(choice: Mapping[str, Any]) -> bool:
    reason = finish_reason(choice)
    return error_in(choice) is not None or (reason is not None and is_broken_off(reason))


def error_in(choice: Mapping[str, Any]) -> Any:
    """The error in a choice, or in its content; else None."""
    for inside in (choice, choice.get("delta"), choice.get("message")):
        if isinstance(inside, dict) and error_answers.says_something(inside.get("error")):
            return inside["error"]
    return None


def error_of(document: Mapping[str, Any]) -> bytes:
    """The error in a choice or in Groq's extra, else the whole document."""
    choices = choices_of(document)
    if (why := error_answers.stopped_early(document)) is not None:
        return lenient.plain({"error": why})
    if (
        error_answers.calls_itself_error(document)
        and not error_answers.has_words(document)
        and (text := "".join(said.text for said in _said_in(choices)))
    ):
        return lenient.plain({"error": {"message": text, "type": "error"}})
    if not error_answers.is_flagged(document):
        for choice in choices:
            if (error := error_in(choice)) is not None:
                return lenient.plain({"error": error})
            if is_failed(choice):
                message = f"the provider cut its answer off: {finish_reason(choice)}"
                return lenient.plain({"error": {"message": message}})
    return lenient.plain(document)


def _said_in(choices: list[dict[str, Any]]) -> list[Said]:
    said = (choice.get("delta") or choice.get("message") or choice for choice in choices)
    return [read_said(each) for each in said if isinstance(each, dict)]


def asks_for_usage(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the app wants the usage report of its stream."""
    raw = fields.get("stream_options")
    if raw is None:
        return False
    try:
        options = _decode_options(raw)
    except lenient.UNREADABLE:
        return False
    return options is not None and options.include_usage


def with_usage(raw: msgspec.Raw | None) -> msgspec.Raw:
    """A request's `stream_options`, asking for the usage report, which is needed for settlement."""
    try:
        options = _decode_map(raw) if raw is not None else None
    except lenient.UNREADABLE:
        options = None
    return msgspec.Raw(msgspec.json.encode({**options, "include_usage": _TRUE})) if options else _INCLUDE_USAGE
