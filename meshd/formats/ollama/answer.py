"""OpenAI's answers and events as Ollama's: one JSON object, or a line for each piece and a last line with the figures.

Must never: send a tool call before all of it has come, as Ollama's clients expect complete calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from meshd.core.seconds import to_nanos
from meshd.formats.ollama.request import Kind, Translated
from meshd.sdk.reading import lenient
from meshd.sdk.reading.message_content import read as read_said

_LENGTH = "length"


class Answering:
    """One answer. now: seconds since 1970, when the request arrived."""

    def __init__(self, asked: Translated, now: float) -> None:
        self._asked = asked
        self._arrived = now
        self._first: float | None = None  # when the first chunk came
        self._finish = "stop"
        self._calls: dict[int, _Call] = {}

    def loaded(self, now: float) -> bytes:
        """The answer to a request without a prompt, which only loads a model."""
        return lenient.plain({**self._head(now), **self._piece("", "", []), "done": True, "done_reason": "load"})

    def whole(self, body: bytes, now: float) -> bytes:
        """A unary answer."""
        answer = _object(body)
        usage = answer.get("usage")
        if self._asked.kind in (Kind.EMBED, Kind.EMBEDDINGS):
            return lenient.plain(self._vectors(answer, usage, now))
        choice = _first(answer.get("choices"))
        message = choice.get("message")
        said = read_said(message if isinstance(message, dict) else choice)
        self._finished(choice)
        calls = _list(message.get("tool_calls")) if isinstance(message, dict) else []
        self._first = now
        piece = self._piece(said.text, said.reasoning, [_written(call) for call in calls if isinstance(call, dict)])
        return lenient.plain({**self._head(now), **piece, **self._figures(usage, now)})

    def chunk(self, data: bytes, now: float) -> bytes | None:
        """An event of a stream; None if there is nothing for the app in it."""
        choice = _first(_object(data).get("choices"))
        self._first = self._first or now
        self._finished(choice)
        delta = choice.get("delta")
        said = read_said(delta if isinstance(delta, dict) else choice)
        for call in _list(delta.get("tool_calls")) if isinstance(delta, dict) else []:
            self._add(call)
        thinking = said.reasoning if self._asked.thinks else ""
        if not said.text and not thinking:
            return None
        return lenient.plain({**self._head(now), **self._piece(said.text, thinking, []), "done": False})

    def end(self, usage: Mapping[str, Any] | None, now: float) -> list[bytes]:
        """The lines after the last event: the calls of tools, and the figures."""
        calls = [_written(self._calls[index].whole()) for index in sorted(self._calls)]
        lines = [{**self._head(now), **self._piece("", "", calls), "done": False}] if calls else []
        return [lenient.plain(each) for each in (*lines, self._head(now) | self._last(usage, now))]

    # -- inside ---------------------------------------------------------------------------------------

    def _head(self, now: float) -> dict[str, Any]:
        return {"model": self._asked.model, "created_at": written_time(now)}

    def _piece(self, text: str, thinking: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
        if self._asked.kind is Kind.GENERATE:
            made: dict[str, Any] = {"response": text}
            return made | ({"thinking": thinking} if thinking and self._asked.thinks else {})
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if thinking and self._asked.thinks:
            message["thinking"] = thinking
        if calls:
            message["tool_calls"] = calls
        return {"message": message}

    def _last(self, usage: Any, now: float) -> dict[str, Any]:
        return {**self._piece("", "", []), **self._figures(usage, now)}

    def _finished(self, choice: Mapping[str, Any]) -> None:
        reason = choice.get("finish_reason")
        if reason == _LENGTH:
            self._finish = _LENGTH

    def _figures(self, usage: Any, now: float) -> dict[str, Any]:
        first = self._first or now
        return {
            "done": True,
            "done_reason": self._finish,
            "total_duration": _ns(now - self._arrived),
            "load_duration": 0,
            "prompt_eval_count": _count(usage, "prompt_tokens"),
            "prompt_eval_duration": _ns(first - self._arrived),
            "eval_count": _count(usage, "completion_tokens"),
            "eval_duration": _ns(now - first),
        }

    def _vectors(self, answer: Mapping[str, Any], usage: Any, now: float) -> dict[str, Any]:
        rows = [row.get("embedding") for row in _list(answer.get("data")) if isinstance(row, dict)]
        if self._asked.kind is Kind.EMBEDDINGS:
            return {"embedding": rows[0] if rows else []}
        return {
            "model": self._asked.model,
            "embeddings": rows,
            "total_duration": _ns(now - self._arrived),
            "load_duration": 0,
            "prompt_eval_count": _count(usage, "prompt_tokens"),
        }

    def _add(self, piece: Any) -> None:
        """Add a piece of a call."""
        if not isinstance(piece, dict):
            return
        index = piece.get("index")
        call = self._calls.setdefault(index if isinstance(index, int) else len(self._calls), _Call())
        call.id = call.id or (piece["id"] if isinstance(piece.get("id"), str) else "")
        function = piece.get("function")
        if isinstance(function, dict):
            call.name += _text(function.get("name"))
            call.arguments.append(_text(function.get("arguments")))


@dataclass(slots=True)
class _Call:
    """A call as far as it has come. Its pieces are joined at the end, so that the work is proportional to its size."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    def whole(self) -> dict[str, Any]:
        return {"id": self.id, "function": {"name": self.name, "arguments": "".join(self.arguments)}}


def written_time(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _written(call: Mapping[str, Any]) -> dict[str, Any]:
    """A whole call; its arguments are a map here."""
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    given = function.get("arguments")
    try:
        arguments = lenient.decode(given.encode(errors="replace")) if isinstance(given, str) and given else given
    except lenient.NotJSON:
        arguments = None
    made = {"name": function.get("name"), "arguments": arguments if isinstance(arguments, dict) else {"input": given}}
    if not given:
        made["arguments"] = {}
    return {"function": made} | ({"id": call["id"]} if call.get("id") else {})


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = lenient.decode(data)
    except lenient.NotJSON:
        value = None
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _first(choices: Any) -> dict[str, Any]:
    return next((choice for choice in _list(choices) if isinstance(choice, dict)), {})


def _count(usage: Any, name: str) -> int:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if isinstance(value, int) else 0


def _ns(seconds: float) -> int:
    return max(to_nanos(seconds), 0)
