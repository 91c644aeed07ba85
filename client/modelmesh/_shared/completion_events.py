"""The events of a streamed chat, and the resulting completion, as in the OpenAI SDK.

Owns: how deltas are joined, and which events a chunk causes.
Must never: wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from modelmesh._objects.model_methods import held
from modelmesh._openai_sdk import structured_output
from modelmesh._openai_sdk.errors import as_sdk_error
from modelmesh.errors import MeshError
from modelmesh.types import ChatCompletion, ChatCompletionChunk, Object, TokenLogprob


class Event(Object):
    """`.type` says which event it is: `chunk`, `content.delta`, `content.done`, `refusal.delta`, `refusal.done`,
    `tool_calls.function.arguments.delta`, `….done`, `logprobs.content.delta` and the like."""


def _event(type: str, **fields: Any) -> Event:
    event = Event.of({"type": type})
    held(event).update(fields)
    return event


class _Choice:
    """Which parts of a choice were reported as done."""

    def __init__(self) -> None:
        self.told: set[str] = set()
        self.calls_told: set[int] = set()
        self.call: int | None = None


class State:
    """Chunks in, events out; `completion` is their sum so far."""

    def __init__(self, response_format: Any, tools: Sequence[Any]) -> None:
        self._format = response_format
        self._tools = tools
        self._json: dict[str, Any] | None = None
        self._first = True
        self._choices: dict[int, _Choice] = {}
        self.completion: ChatCompletion = ChatCompletion.of({"choices": []})

    def final(self) -> ChatCompletion:
        """Raises what `read_completion` does."""
        return structured_output.read_completion(
            ChatCompletion.of(self._json or {"choices": []}), self._format, self._tools
        )

    def handle(self, chunk: ChatCompletionChunk) -> Iterator[Event]:
        json = chunk.to_dict()
        # As in the SDK, nothing in the first chunk is parsed early.
        self._first = self._json is None
        if self._json is None:
            self._json = {"system_fingerprint": None, **json, "object": "chat.completion", "choices": []}
        choices = [each for each in json.get("choices") or () if isinstance(each, dict)]
        touched = [(choice, self._added(choice)) for choice in choices]
        for name in ("usage", "system_fingerprint"):
            self._json[name] = json.get(name)
        self.completion = completion = ChatCompletion.of(self._json)
        for choice, _ in touched:
            if choice.get("finish_reason") and structured_output.reads_anything(self._format, self._tools):
                structured_output.refuse_cut(choice["finish_reason"], completion)
        if not self._first and structured_output.reads_anything(self._format, ()):
            for message in (snapshot["message"] for _, snapshot in touched if not snapshot["message"].get("refusal")):
                message["parsed"] = structured_output.read_partially(message.get("content") or "")
        yield _event("chunk", chunk=chunk, snapshot=completion)
        for choice, snapshot in touched:
            yield from self._events(choice, snapshot)

    def _added(self, choice: dict[str, Any]) -> dict[str, Any]:
        """Add a chunk's choice to its choice here, and return that."""
        assert self._json is not None
        index = choice.get("index") or 0
        found: dict[str, Any] | None = next((each for each in self._json["choices"] if each["index"] == index), None)
        if found is None:
            found = {"index": index, "finish_reason": None, "logprobs": None, "message": {"parsed": None}}
            self._json["choices"].append(found)
            self._json["choices"].sort(key=lambda each: each["index"])
        found["message"] = _accumulated(found["message"], choice.get("delta") or {})
        if choice.get("finish_reason"):
            found["finish_reason"] = choice["finish_reason"]
        for name, listed in (choice.get("logprobs") or {}).items():
            found["logprobs"] = found["logprobs"] or {"content": None, "refusal": None}
            if listed:
                found["logprobs"][name] = [*(found["logprobs"].get(name) or ()), *listed]
        return found

    def _events(self, choice: dict[str, Any], snapshot: dict[str, Any]) -> Iterator[Event]:
        state = self._choices.setdefault(snapshot["index"], _Choice())
        delta, message = choice.get("delta") or {}, snapshot["message"]
        if delta.get("content") is not None:
            told = {"snapshot": message["content"], "parsed": message["parsed"]}
            yield _event("content.delta", delta=delta["content"], **told)
        if delta.get("refusal") is not None:
            yield _event("refusal.delta", delta=delta["refusal"], snapshot=message["refusal"])
        for part in delta.get("tool_calls") or ():
            yield from self._call_delta(part, message)
        for name, listed in (choice.get("logprobs") or {}).items():
            if listed:
                tokens = _tokens(snapshot["logprobs"][name])
                yield _event(f"logprobs.{name}.delta", **{name: tokens[-len(listed) :]}, snapshot=tokens)
        if snapshot["finish_reason"]:
            yield from self._content_done(state, snapshot)
            yield from self._call_done(state, message)
        for part in delta.get("tool_calls") or ():
            index = part.get("index") or 0
            if state.call != index:
                yield from self._content_done(state, snapshot)
                yield from self._call_done(state, message)
            state.call = index

    def _call_delta(self, part: dict[str, Any], message: dict[str, Any]) -> Iterator[Event]:
        index = part.get("index") or 0
        function = _call_at(message, index).get("function") or {}
        name, arguments = function.get("name"), function.get("arguments") or ""
        strict = any(
            structured_output.is_strict(tool)
            for tool in self._tools
            if (tool.get("function") or {}).get("name") == name
        )
        yield _event(
            "tool_calls.function.arguments.delta",
            name=name,
            index=index,
            arguments=arguments,
            arguments_delta=(part.get("function") or {}).get("arguments") or "",
            parsed_arguments=structured_output.read_partially(arguments) if strict and not self._first else None,
        )

    def _content_done(self, state: _Choice, snapshot: dict[str, Any]) -> Iterator[Event]:
        message, logprobs = snapshot["message"], snapshot["logprobs"] or {}
        content, refusal = message.get("content"), message.get("refusal")
        if content and "content" not in state.told:
            state.told.add("content")
            parsed = structured_output.read_content(self._format, content, refusal)
            yield _event("content.done", content=content, parsed=parsed)
        if refusal is not None and "refusal" not in state.told:
            state.told.add("refusal")
            yield _event("refusal.done", refusal=refusal)
        for name in ("content", "refusal"):
            if logprobs.get(name) is not None and f"logprobs.{name}" not in state.told:
                state.told.add(f"logprobs.{name}")
                yield _event(f"logprobs.{name}.done", **{name: _tokens(logprobs[name])})

    def _call_done(self, state: _Choice, message: dict[str, Any]) -> Iterator[Event]:
        index = state.call
        if index is None or index in state.calls_told:
            return
        state.calls_told.add(index)
        function = _call_at(message, index).get("function") or {}
        name, arguments = function.get("name"), function.get("arguments") or ""
        yield _event(
            "tool_calls.function.arguments.done",
            name=name,
            index=index,
            arguments=arguments,
            parsed_arguments=structured_output.read_arguments(self._tools, name, arguments),
        )


def _tokens(listed: list[dict[str, Any]]) -> list[TokenLogprob]:
    return [TokenLogprob.of(token) for token in listed]


def _call_at(message: dict[str, Any], index: int) -> dict[str, Any]:
    return next((call for call in message.get("tool_calls") or () if (call.get("index") or 0) == index), {})


def _accumulated(so_far: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    """A message with a delta added: texts joined, lists by the index of their entries."""
    for name, value in delta.items():
        before = so_far.get(name)
        if isinstance(value, list) and any(isinstance(each, dict) and "index" in each for each in value):
            so_far[name] = _entries(before if isinstance(before, list) else [], value)
        elif before is None or name in ("index", "type", "role"):
            so_far[name] = value if value is not None else before
        elif isinstance(before, str) and isinstance(value, str):
            so_far[name] = before + value
        elif isinstance(before, dict) and isinstance(value, dict):
            so_far[name] = _accumulated(before, value)
        elif isinstance(before, list) and isinstance(value, list):
            so_far[name] = [*before, *value]
    return so_far


def _entries(before: list[Any], delta: list[Any]) -> list[Any]:
    for entry in delta:
        index = entry.get("index") or 0
        found = next((each for each in before if (each.get("index") or 0) == index), None)
        if found is None:
            before.append(_accumulated({}, entry))
        else:
            _accumulated(found, entry)
    return before


class CompletionReading:
    """What both kinds of such streams share."""

    def __init__(self, response_format: Any, tools: Sequence[Any]) -> None:
        self._state = State(response_format, tools)

    @property
    def current_completion_snapshot(self) -> ChatCompletion:
        """The completion so far."""
        return self._state.completion

    def _final(self, mesh: Any, request_id: str | None) -> ChatCompletion:
        try:
            completion = self._state.final()
        except MeshError as error:
            as_sdk_error(error)
            raise
        if mesh is not None:
            completion.mesh = mesh
        completion._request_id = request_id
        return completion
