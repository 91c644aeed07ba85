"""Whole messages instead of a stream's deltas: finds what is new in each.

Owns: distinguishing servers whose chunks each repeat the answer so far from those whose chunks are pieces, and
recognising the whole answer repeated after the deltas (MiniMax).
Must never: deliver text twice, or drop new text. While the kind of server is unknown, chunks are held back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from meshd.formats.openai.shape import has_content
from meshd.formats.openai.wire import choices_of, finish_reason, index_of
from meshd.sdk.reading.message_content import REASONING, Said
from meshd.sdk.reading.message_content import read as read_said

Document = dict[str, Any]

_LONG = 8  # characters: a piece does not begin by repeating this much of the earlier text
_MOST_ALIKE = 4  # short, equal messages that prove them to be pieces


class Contradiction(ValueError):
    """A message with the whole answer differs from what was delivered."""


class Messages:
    """came: what the stream's deltas contained before the first message."""

    def __init__(self, came: Said) -> None:
        self._came = came
        self._whole: bool | None = None  # whether each message has the answer so far; None: not known yet
        self._last: dict[tuple[int, str], str] = {}  # each choice's field in the previous message
        self._told: dict[tuple[int, str], str] = {}  # as delivered to the app
        self._others: dict[tuple[int, str], Any] = {}
        self._calls: dict[tuple[int, Any], int] = {}
        self._held: list[Document] = []
        self._messages = self._grown = self._alike = 0

    def deltas(self, document: Document) -> list[Document]:
        """The chunks as deltas; none while they are held back. Raises Contradiction."""
        self._held.append(document)
        self._messages += 1
        if self._whole is None and self._messages > 1:
            self._weigh(document)
        elif self._whole is None:
            self._remember(document)
            return self._release()
        return self._release() if self._whole is not None or not self._grown + self._alike else []

    def rest(self) -> list[Document]:
        """What is still held at the end of the stream."""
        if self._whole is None and self._held:
            self._whole = self._grown > 0
        return self._release()

    def _weigh(self, document: Document) -> None:
        ended = any(map(finish_reason, choices_of(document)))
        longest = 0
        for key, text in _texts(document):
            before = self._last.get(key, "")
            if not before or not text:
                continue
            longest = max(longest, len(before))
            if text == before:
                self._alike += 1
            elif text.startswith(before):
                self._grown += 1
            else:
                self._whole = False
        self._remember(document)
        if self._whole is None and longest >= _LONG:
            self._whole = True
        elif self._whole is None and (self._grown > 1 or (ended and (self._grown or self._messages == 2))):
            self._whole = True if self._grown or self._alike else None
        elif self._whole is None and (self._alike >= _MOST_ALIKE or (ended and self._alike)):
            self._whole = False

    def _remember(self, document: Document) -> None:
        self._last.update((key, text) for key, text in _texts(document) if text)

    def _release(self) -> list[Document]:
        held, self._held = self._held, []
        return [self._as_chunk(document) for document in held]

    def _as_chunk(self, document: Document) -> Document:
        made = []
        for position, choice in enumerate(choices_of(document)):
            message = _message(choice)
            if message is None:
                made.append(choice)
                continue
            index = index_of(choice, position)
            ended = finish_reason(choice) is not None
            rest = {name: value for name, value in choice.items() if name != "message"}
            made.append({**rest, "index": index, "delta": self._delta(index, message, ended)})
        return {**document, "object": "chat.completion.chunk", "choices": made}

    def _delta(self, index: int, message: Mapping[str, Any], ended: bool) -> Document:
        delta: Document = {}
        for name, value in message.items():
            if name in ("content", "refusal", *REASONING):
                if not self._had(name) and (new := self._new((index, name), _text(name, value), ended)):
                    delta[name] = new
            elif name == "tool_calls":
                calls = value if isinstance(value, list) else []
                told = [] if self._came.extra else self._new_calls(index, calls)
                if told:
                    delta[name] = told
            elif value is not None and self._others.get((index, name)) != value and not self._came.text:
                self._others[index, name] = value
                delta[name] = value
        return delta

    def _had(self, name: str) -> bool:
        """Whether the deltas have already contained it."""
        if name == "content":
            return bool(self._came.text)
        return bool(self._came.extra if name == "refusal" else self._came.reasoning)

    def _new(self, key: tuple[int, str], text: str, ended: bool) -> str:
        told = self._told.get(key, "")
        if not text:
            return ""
        if self._whole and text.startswith(told):
            new = text[len(told) :]
        elif self._whole:
            if not told.startswith(text) and told.strip() != text.strip():
                raise Contradiction("each message has all so far, and one has another text")
            new = ""
        elif told and text.strip() == told.strip() and self._messages > 1 and (ended or len(text) >= _LONG):
            new = ""  # the whole text repeated, after the pieces
        elif ended and len(told) >= _LONG and text.startswith(told):
            new = text[len(told) :]
        else:
            new = text
        self._told[key] = told + new
        return new

    def _new_calls(self, index: int, calls: list[Any]) -> list[Document]:
        made: list[Document] = []
        for position, call in enumerate(calls):
            if not isinstance(call, Mapping):
                continue
            known = self._calls.get((index, call.get("id") or call.get("index", position)))
            function = call.get("function")
            function = dict(function) if isinstance(function, Mapping) else {}
            arguments = function.get("arguments")
            text = arguments if isinstance(arguments, str) else json.dumps(arguments) if arguments is not None else ""
            if known is None:
                known = sum(1 for of, _ in self._calls if of == index)
                self._calls[index, call.get("id") or call.get("index", position)] = known
                self._told[index, f"call {known}"] = text
                made.append({**call, "index": known, "function": {**function, "arguments": text}})
                continue
            told = self._told[index, f"call {known}"]
            new = text[len(told) :] if text.startswith(told) else text
            self._told[index, f"call {known}"] = told + new
            if new:
                made.append({"index": known, "function": {"arguments": new}})
        return made


def has_message(document: Mapping[str, Any]) -> bool:
    """Whether a choice has content in a whole message."""
    messages = map(_message, choices_of(document))
    return any(message is not None and any(read_said(message)) for message in messages)


def _message(choice: Mapping[str, Any]) -> Mapping[str, Any] | None:
    message = choice.get("message")
    if isinstance(message, str):
        return None if has_content(choice.get("delta")) else {"content": message}
    return message if isinstance(message, Mapping) else None


def _texts(document: Mapping[str, Any]) -> list[tuple[tuple[int, str], str]]:
    found = []
    for position, choice in enumerate(choices_of(document)):
        message = _message(choice) or {}
        index = index_of(choice, position)
        found += [((index, name), _text(name, message[name])) for name in ("content", *REASONING) if name in message]
    return found


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    said = read_said({name: value})
    return said.text if name == "content" else said.reasoning or said.extra
