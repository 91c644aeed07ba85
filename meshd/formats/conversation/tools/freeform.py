"""Custom tools, which take any text, for models that only call functions.

A custom tool becomes a function with one text parameter, `input`; calls of it are turned back into calls of the custom
tool.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from meshd.formats.conversation.answer import Answer
from meshd.formats.conversation.events import CallBegan, CallDelta, Event
from meshd.formats.conversation.parts import Json, Other, Part, ToolCall
from meshd.formats.conversation.reading import json_of
from meshd.formats.conversation.request import Conversation, Tool
from meshd.formats.conversation.tools.tool_names import by_name
from meshd.sdk.reading import lenient

_INPUT = "input"
_SCHEMA = json_of(
    {
        "type": "object",
        "properties": {_INPUT: {"type": "string", "description": "The text for the tool, as it is."}},
        "required": [_INPUT],
        "additionalProperties": False,
    }
)
_BEFORE_TEXT = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_PIECES = re.compile(r'(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u])+')
_LAST_HIGH = re.compile(r"(?:[^\\]|^)(?:\\\\)*(\\u[dD][89abAB][0-9a-fA-F]{2})$")


def with_functions(conversation: Conversation) -> Conversation:
    """The same with functions instead of custom tools."""
    if not _has_custom(conversation):
        return conversation
    turns = tuple(replace(turn, parts=tuple(map(_as_function_call, turn.parts))) for turn in conversation.turns)
    return replace(conversation, tools=tuple(map(_as_function, conversation.tools)), turns=turns)


def _has_custom(conversation: Conversation) -> bool:
    for tool in conversation.tools:
        if isinstance(tool, Tool) and tool.custom:
            return True
    for turn in conversation.turns:
        for part in turn.parts:
            if isinstance(part, ToolCall) and part.custom:
                return True
    return False


def _as_function(tool: Tool | Other) -> Tool | Other:
    if isinstance(tool, Other) or not tool.custom:
        return tool
    described = "\n\n".join(filter(None, (tool.description, _grammar_in_words(tool.grammar))))
    return Tool(tool.name, described, _SCHEMA, namespace=tool.namespace, local=tool.local, cache=tool.cache)


def _grammar_in_words(grammar: Json | None) -> str:
    """The grammar that the provider would have enforced, in words."""
    value = None if grammar is None else msgspec.json.decode(grammar)
    inner = value.get("grammar") if isinstance(value, dict) else None
    if not isinstance(inner, dict) or not isinstance(inner.get("definition"), str):
        return ""
    return f"`{_INPUT}` has to match this grammar ({inner.get('syntax') or 'lark'}):\n{inner['definition']}"


def _as_function_call(part: Part) -> Part:
    if not isinstance(part, ToolCall) or not part.custom:
        return part
    return ToolCall(part.id, part.name, json_of({_INPUT: part.arguments}).decode(), signature=part.signature)


def custom_again(answer: Answer, asked: Conversation | None) -> Answer:
    """The answer, in which calls of the request's custom tools are calls of custom tools again."""
    if asked is None or not any(isinstance(tool, Tool) and tool.custom for tool in asked.tools):
        return answer
    tools = by_name(asked.tools)
    choices = tuple(
        replace(choice, parts=tuple(_as_custom_call(part, tools) for part in choice.parts)) for choice in answer.choices
    )
    return replace(answer, choices=choices)


def _as_custom_call(part: Part, tools: Mapping[str, Tool]) -> Part:
    if not isinstance(part, ToolCall) or part.custom or not _is_custom(tools.get(part.name)):
        return part
    return replace(part, arguments=_text(part.arguments), custom=True, original=None)


def _is_custom(tool: Tool | None) -> bool:
    return tool is not None and tool.custom


def _text(arguments: str) -> str:
    """The text in a function's arguments; as they are, if they are anything else."""
    try:
        value: Any = json.loads(arguments, strict=False)
    except (ValueError, RecursionError):
        return arguments
    if isinstance(value, str):
        return lenient.well_formed(value)
    text = value.get(_INPUT) if isinstance(value, dict) else None
    return lenient.well_formed(text) if isinstance(text, str) else arguments


class CustomCalls:
    """The same for the events of a stream. asked: the request."""

    def __init__(self, asked: Conversation | None) -> None:
        self._tools = {} if asked is None else by_name(asked.tools)
        self._open: dict[tuple[int, int], _Unwrapping] = {}

    def read(self, event: Event) -> list[Event]:
        if isinstance(event, CallBegan) and not event.custom and _is_custom(self._tools.get(event.name)):
            self._open[event.choice, event.call] = _Unwrapping()
            return [msgspec.structs.replace(event, custom=True)]
        if isinstance(event, CallDelta) and (open := self._open.get((event.choice, event.call))) is not None:
            text = open.add(event.arguments)
            return [msgspec.structs.replace(event, arguments=text)] if text else []
        return [event]

    def end(self) -> list[Event]:
        """What is still held at the end of the stream."""
        held = [(key, open.rest()) for key, open in self._open.items()]
        self._open.clear()
        return [CallDelta(call, text, choice) for (choice, call), text in held if text]


class _Unwrapping:
    """The text in arguments that come in pieces: as soon as it has come, if they are as expected, else at the end."""

    def __init__(self) -> None:
        self._held: list[str] = []  # not passed on yet
        self._begun = False
        self._over = False
        self._usual = True

    def add(self, piece: str) -> str:
        if self._over:
            return ""
        self._held.append(piece)
        if not self._usual:
            return ""
        held = "".join(self._held)
        if not self._begun:
            beginning = _BEFORE_TEXT.match(held)
            if beginning is None:
                self._held = [held]
                self._usual = len(held) < 64
                return ""
            self._begun = True
            held = held[beginning.end() :]
        return self._release(held)

    def _release(self, held: str) -> str:
        whole = _PIECES.match(held)
        end = 0 if whole is None else whole.end()
        self._over = held[end : end + 1] == '"'
        if not self._over and (half := _LAST_HIGH.search(held, 0, end)) is not None:
            end = half.start(1)  # the other half is still to come
        self._held = [held[end:]]
        return _unescaped(held[:end])

    def rest(self) -> str:
        if self._over:
            return ""
        held = "".join(self._held)
        return _unescaped(held) if self._begun else _text(held)


def _unescaped(text: str) -> str:
    try:
        value: str = json.loads(f'"{text}"', strict=False)
    except ValueError:
        return text
    return lenient.well_formed(value)
