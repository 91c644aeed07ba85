"""A chat's messages as turns, and turns as messages.

One message is one turn. Reasoning and cache breakpoints are read for other formats; in a request they are written back
only if they came in this format, as servers refuse unknown fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meshd.formats.conversation.parts import (
    Audio,
    File,
    Image,
    Other,
    Part,
    Refusal,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from meshd.formats.conversation.reading import Fields, as_it_came
from meshd.formats.conversation.request import Role, Turn
from meshd.formats.openai.conversation.content import FORMAT, cache_mark, read_content, written_content
from meshd.formats.openai.conversation.reasoning import reasoning_in

_ROLES = {**{str(role): role for role in Role}, "function": Role.TOOL}
_CALLS = ("function", "custom")


def read_turn(fields: Fields) -> Turn:
    """Raises InvalidRequestError if the fields are strict."""
    role = fields.take("role")
    known = _ROLES.get(role) if isinstance(role, str) else None
    if known is None:
        fields.refuse("role", f"one of {', '.join(_ROLES)}")
        known = Role.ASSISTANT
    if known is Role.TOOL:
        result = _read_result(fields, deprecated=role == "function")
        return Turn(known, (result,), original=fields.original())
    name = fields.text("name")
    parts = [*reasoning_in(fields.left), *read_content(fields, assistant=known is Role.ASSISTANT)]
    if known is Role.ASSISTANT:
        parts += read_said(fields)
    return Turn(known, tuple(parts), name, original=fields.original())


def read_said(fields: Fields) -> list[Part]:
    """What an assistant's message has besides content."""
    parts: list[Part] = []
    if refusal := fields.text("refusal"):
        parts.append(Refusal(refusal))
    audio = fields.take("audio")
    if audio is not None:
        parts.append(_read_audio(Fields.of(audio, fields.place("audio"), FORMAT, strict=fields.strict), fields))
    calls = [
        _read_call(Fields.of(call, fields.place(f"tool_calls[{n}]"), FORMAT, strict=fields.strict))
        for n, call in enumerate(fields.entries("tool_calls"))
    ]
    if not all(isinstance(call, ToolCall) and call.id for call in calls):
        fields.odd()
    parts += calls
    call = fields.take("function_call")
    if call is not None:
        fields.odd()
        of_call = Fields.of(call, fields.place("function_call"), FORMAT, strict=fields.strict)
        parts.append(ToolCall("", of_call.text("name", always=True), _arguments(of_call)))
    return parts


def _read_result(fields: Fields, *, deprecated: bool) -> ToolResult:
    call, name = fields.text("tool_call_id", always=True), fields.text("name")
    if deprecated or name:
        fields.odd()
    return ToolResult(call, tuple(read_content(fields, assistant=False)), name, cache=cache_mark(fields.left))


def _read_audio(audio: Fields, fields: Fields) -> Audio:
    source = Source(id=audio.text("id", always=True), data=audio.text("data"))
    made = Audio(source, audio.text("transcript"), audio.whole("expires_at"))
    fields.keep(audio)
    return made


def _read_call(fields: Fields) -> ToolCall | Other:
    kind = fields.take("type")
    if kind not in _CALLS:
        if "function" not in fields.left:
            fields.odd()
            return Other(original=fields.original())
        fields.odd()
        kind = "function"
    id = fields.text("id", always=True)
    inner = fields.inner(kind)
    name = inner.text("name", always=True)
    arguments = _arguments(inner) if kind == "function" else inner.text("input", always=True)
    fields.keep(inner)
    return ToolCall(id, name, arguments, kind == "custom", signature_in(fields.left), original=fields.original())


def _arguments(fields: Fields) -> str:
    """Some servers and apps send a map instead of a string of JSON."""
    value = fields.left.get("arguments")
    if isinstance(value, dict | list):
        fields.odd()
        return (fields.json("arguments") or b"").decode()
    return fields.text("arguments", always=True)


def signature_in(call: dict[str, Any]) -> str:
    """Gemini's, as its own servers for this format write it."""
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else ""


def written_turn(turn: Turn) -> list[Any]:
    """Its messages: one, or one for each result of a tool. Raises InvalidRequestError for what cannot be said."""
    made = _messages(turn)
    return [as_it_came(turn, made[0], FORMAT, read_turn)] if len(made) == 1 else made


def _messages(turn: Turn) -> list[Any]:
    results = [part for part in turn.parts if isinstance(part, ToolResult)]
    rest = [part for part in turn.parts if not isinstance(part, ToolResult)]
    messages: list[Any] = [_written_result(result) for result in results]
    if rest or not results:
        messages.append(_message(turn, rest))
    return messages


def _written_result(result: ToolResult) -> dict[str, Any]:
    content = written_content(result.parts, "")
    if not result.call and result.name:
        return {"role": "function", "name": result.name, "content": content}
    return {"role": "tool", "tool_call_id": result.call, "content": content}


def _message(turn: Turn, parts: Sequence[Part]) -> dict[str, Any]:
    role = Role.USER if turn.role is Role.TOOL else turn.role
    message: dict[str, Any] = {"role": str(role)}
    if turn.name:
        message["name"] = turn.name
    if role is not Role.ASSISTANT:
        return message | {"content": written_content(parts, "")}
    content = [part for part in parts if isinstance(part, Text | Image | File | Other)]
    return message | {"content": written_content(content, None)} | written_said(parts, answer=False)


def written_said(parts: Sequence[Part], *, answer: bool) -> dict[str, Any]:
    """What an assistant's message has besides content. answer: to an app, not back to a provider."""
    said: dict[str, Any] = {}
    if refusal := "".join(part.text for part in parts if isinstance(part, Refusal)):
        said["refusal"] = refusal
    for audio in parts:
        if isinstance(audio, Audio):
            said["audio"] = _written_audio(audio)
    calls = [part for part in parts if isinstance(part, ToolCall)]
    if len(calls) == 1 and not calls[0].id and not answer:
        said["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments}
    elif calls:
        said["tool_calls"] = [
            as_it_came(call, written_call(call, n, answer=answer), FORMAT, _read_call) for n, call in enumerate(calls)
        ]
    return said


def _written_audio(audio: Audio) -> dict[str, Any]:
    said: dict[str, Any] = {"id": audio.source.id}
    if audio.source.data:
        said["data"] = audio.source.data
    if audio.transcript:
        said["transcript"] = audio.transcript
    if audio.expires is not None:
        said["expires_at"] = audio.expires
    return said


def written_call(call: ToolCall, position: int, *, answer: bool) -> dict[str, Any]:
    """position: among the calls of its message, to make an id if its format has none."""
    id = call.id or (f"call_{position}" if answer else "")
    if call.custom:
        return {"id": id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    made: dict[str, Any] = {
        "id": id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if call.signature and answer:  # the app is to send it back
        made["extra_content"] = {"google": {"thought_signature": call.signature}}
    return made
