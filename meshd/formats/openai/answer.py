"""A unary answer in OpenAI's format: its validity and its usage.

Owns: distinguishing an answer from an error, and from empty choices.
Must never: change a byte that an app can read, or refuse an answer for a field it does not need.

An empty text with a finish reason is an answer, and so are a refusal, a tool call, or reasoning alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import Broken, Unanswered
from meshd.formats.openai import shape, wire
from meshd.formats.openai.records import NULL, Answer, Part
from meshd.formats.openai.usage import in_tier, reported, total_in, usage_in, usage_of
from meshd.formats.protocol import Reading
from meshd.sdk.provider import OperationSpec, Usage
from meshd.sdk.reading import lenient
from meshd.sdk.reading.message_content import read as read_said

_CHOICES: Final = "choices"
_VECTORS: Final = re.compile(rb'\[[^\[]*"embedding"\s*:\s*(\[\s*[\d.-]|"[^"])')
_NO_VECTOR: Final = re.compile(rb'"embedding"\s*:\s*(null|\[\s*\]|"")')

_decode = msgspec.json.Decoder(Answer).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_answer(body: bytes, operation: OperationSpec, *, empty: bool = False) -> Reading:
    """A unary answer. empty: the request asks for no vectors, so an empty list is a valid answer. Raises
    NotAnAnswer."""
    try:
        answer = _decode(body)
    except lenient.UNREADABLE:
        return Reading(*_read_answer_oddly(body, operation, empty))
    flags = answer.error is answer.base_resp is answer.error_code is answer.status is answer.type is NULL
    if flags and (answer.x_groq is None or answer.x_groq.error is NULL):
        if operation.rows[0] != _CHOICES:
            if _VECTORS.match(answer.data) is not None and _NO_VECTOR.search(answer.data) is None:
                usage = usage_of(answer.usage)
                if usage is None and answer.usage is not None:
                    usage = total_in(answer.usage.total_tokens)
                return Reading(body, in_tier(usage, answer.service_tier))
        elif (size := _said_for_certain(answer.choices, operation)) is not None:
            return Reading(body, in_tier(usage_of(answer.usage), answer.service_tier), size)
    return Reading(*_read_answer_oddly(body, operation, empty))


def _said_for_certain(choices: list[Part] | None, operation: OperationSpec) -> int | None:
    """Characters of the choices' content, if each is certainly an answer; else None."""
    if not choices:
        return None
    size = 0
    for choice in choices:
        message, finish = choice.message, choice.finish_reason
        if choice.error is not NULL or (finish and finish != "stop" and wire.is_broken_off(finish)):
            return None
        text = choice.text if not operation.conversation else message.content if message is not None else None
        if not text:
            return None
        size += len(text)
        if message is not None:
            size += len(message.reasoning_content or message.reasoning or "")
            if message.tool_calls is not NULL:
                size += len(memoryview(message.tool_calls))
    return size


def _read_answer_oddly(body: bytes, operation: OperationSpec, empty: bool) -> tuple[bytes, Usage | None]:
    document, body = wire.document_of(body)
    if operation.rows[0] != _CHOICES:
        return _read_rows(document, body, operation, empty)
    if (
        not error_answers.is_error(document)
        and (made := shape.shaped(document, "message", completion=not operation.conversation)) is not None
    ):
        document, body = made, lenient.encode(made)
    choices = wire.choices_of(document)
    if error_answers.is_flagged(document) or any(map(wire.is_failed, choices)):
        raise wire.error_inside(wire.error_of(document), document)
    if any(_is_answered(choice) for choice in choices):
        return body, usage_in(document)
    if error_answers.is_error({**document, "usage": None}):
        raise wire.error_inside(lenient.plain(document), document)
    if not choices and error_answers.of_object(document) is not error_answers.Sign.ALIVE:
        raise wire.error_inside(lenient.plain(document), document)
    raise Unanswered("without choices" if not choices else "with empty choices", usage_in(document))


def _read_rows(
    document: dict[str, Any], body: bytes, operation: OperationSpec, empty: bool
) -> tuple[bytes, Usage | None]:
    if error_answers.is_flagged(document):
        raise wire.error_inside(lenient.plain(document), document)
    name, *members = operation.rows
    if not name:  # a recording of silence has no words
        given = isinstance(document.get(members[0]), str)
    else:
        data = document.get(name)
        rows = data if isinstance(data, list) else []
        given = bool(rows or (empty and data == [])) and all(
            isinstance(row, dict) and any(_is_given(row.get(member)) for member in members) for row in rows
        )
    if given:
        return body, reported(document, operation.reports, operation.priced_by, output=operation.output)
    if (
        error_answers.is_error({**document, "usage": None, name or members[0]: None})
        or error_answers.of_object(document) is not error_answers.Sign.ALIVE
    ):
        raise wire.error_inside(lenient.plain(document), document)
    alternatives = " or ".join(members)
    if not name or not document.get(name):
        raise Unanswered(f"without {name or alternatives}", usage_in(document))
    raise Unanswered(f"with {name} of which one has no {alternatives}", usage_in(document))


def with_rows(body: bytes, theirs: str, ours: str) -> bytes:
    """An answer whose list has the usual name instead of this server's; unchanged if it has no such list."""
    try:
        document = _members(body)
    except lenient.UNREADABLE:
        return body
    if theirs not in document or ours in document:
        return body
    return msgspec.json.encode({ours if name == theirs else name: value for name, value in document.items()})


def _is_given(value: Any) -> bool:
    """Whether it has a value; the number 0 is one."""
    return value is not None and value not in ("", [], {})


def _is_answered(choice: Mapping[str, Any]) -> bool:
    """Whether it has content, or a reason for having none."""
    message = choice.get("message")
    if isinstance(message, dict):
        return any(read_said(message)) or wire.finish_reason(choice) is not None
    text = choice.get("text")
    said = message if isinstance(message, str) else text
    return bool(said) or (isinstance(text, str) and wire.finish_reason(choice) is not None)


def as_stream(body: bytes) -> bytes:
    """A unary answer as one stream event, for servers that ignore `stream`."""
    document, _ = wire.document_of(body)
    choices = wire.choices_of(document)
    for choice in choices:
        message = choice.pop("message", None)
        if isinstance(message, str):
            message = {"role": "assistant", "content": message}
        if isinstance(message, dict):
            calls = message.get("tool_calls")
            for index, call in enumerate(calls if isinstance(calls, list) else ()):
                if isinstance(call, dict):
                    call.setdefault("index", index)
            choice["delta"] = message
        if not wire.finish_reason(choice):
            choice["finish_reason"] = "stop"
    document["choices"] = choices
    if document.get("object") == "chat.completion":
        document["object"] = "chat.completion.chunk"
    return lenient.encode(document)


def is_whole(data: bytes) -> bool:
    """Whether an event is a unary answer instead of a chunk."""
    if b'"message"' not in data:
        return False
    try:
        choices = wire.choices_of(wire.document_of(data)[0])
    except Broken:
        return False
    return any("delta" not in choice and isinstance(choice.get("message"), dict) for choice in choices)


def answer_text(body: bytes) -> str:
    """See `AppSide.answer_text`; for operations other than chats and completions, the whole body."""
    try:
        answer = lenient.decode(body)
    except lenient.NotJSON:
        return body.decode(errors="replace")
    choices = answer.get(_CHOICES) if isinstance(answer, dict) else None
    if not isinstance(choices, list):
        return body.decode(errors="replace")
    said = [text for choice in choices if isinstance(choice, dict) for text in _said(choice)]
    return "\n".join(said)


def _said(choice: dict[str, Any]) -> list[str]:
    message = choice.get("message")
    return [text for part in (choice, message) if isinstance(part, dict) for text in read_said(part) if text]
