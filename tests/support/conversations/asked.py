"""Conversations as each API's apps send them (`body`), and what a provider of each API was asked (`meant`).

Both are checked by the vendors' own types, so that what is sent and what is written are requests of that API.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from google.genai import types as genai
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tests.support.conversations import asked_converse, asked_gemini, cohere
from tests.support.conversations.drawn import SCHEMA, Call, Chat, Image, Result, Text, Thought, Turn, exactly
from tests.support.formats import converse_types
from tests.support.formats.openai_chats import Json


class _GenerateContent(BaseModel):
    """The body, without what is in the path; Google's SDK has no type of it."""

    model_config = ConfigDict(extra="forbid")
    model: str
    contents: list[genai.Content]
    systemInstruction: genai.Content | None = None
    generationConfig: genai.GenerationConfig | None = None
    tools: list[genai.Tool] | None = None
    toolConfig: genai.ToolConfig | None = None


_PARAMS: Json = {
    "gemini": _GenerateContent,
    "openai": CompletionCreateParamsNonStreaming,
    "anthropic": MessageCreateParamsNonStreaming,
    "responses": ResponseCreateParamsNonStreaming,
    "cohere": cohere.Params,
}


@cache
def _type_of(format: str) -> TypeAdapter[Any]:
    return TypeAdapter(_PARAMS[format])


def check(format: str, body: Json) -> None:
    """Raises AssertionError if it is not a request of that API."""
    if format == "bedrock":
        converse_types.check(body)
        return
    plain = {name: value for name, value in body.items() if name != "stream"}
    try:
        list(_walk(_type_of(format).validate_python(plain)))
    except ValidationError as error:  # of a union, which names each of its members
        deepest = max(error.errors(), key=lambda each: len(each["loc"]))
        raise AssertionError(f"no request of {format}: {deepest['loc']}: {deepest['msg']} in {plain}") from None


def _walk(value: Any) -> Iterator[Any]:
    """All of it: what a type calls an iterable is checked when it is read."""
    if isinstance(value, dict):
        for each in value.values():
            yield from _walk(each)
    elif not isinstance(value, str | bytes) and isinstance(value, Iterable):
        for each in value:
            yield from _walk(each)
    yield value


def body(format: str, chat: Chat) -> Json:
    """A request without its `model` and `stream`."""
    made: Json = _WRITERS[format](chat)
    check(format, {"model": "m", **made})
    return made


def tools_of(format: str, names: Iterable[str]) -> list[Json]:
    if format == "bedrock":
        return asked_converse.tools_of(names)
    if format == "anthropic":
        return [{"name": name, "input_schema": SCHEMA, "strict": False} for name in names]
    if format == "gemini":
        return [{"functionDeclarations": [{"name": name, "parametersJsonSchema": SCHEMA} for name in names]}]
    if format == "responses":
        return [{"type": "function", "name": name, "parameters": SCHEMA, "strict": False} for name in names]
    return [{"type": "function", "function": {"name": name, "parameters": SCHEMA, "strict": False}} for name in names]


def _written(turn_parts: Iterable[Any], text: str, image: Any) -> list[Json]:
    return [{"type": text, "text": each.text} if isinstance(each, Text) else image(each) for each in turn_parts]


def _url(image: Image) -> str:
    return image.url or f"data:image/png;base64,{image.data}"


# -- chat -------------------------------------------------------------------------------------------------


def _chat(chat: Chat) -> Json:
    messages: list[Json] = [{"role": "system", "content": chat.system}] if chat.system else []
    messages += [message for turn in chat.turns for message in _messages(turn)]
    return {"messages": messages, "max_completion_tokens": chat.limit, "tools": tools_of("openai", chat.tools)}


def _messages(turn: Turn) -> Iterator[Json]:
    def image(each: Image) -> Json:
        return {"type": "image_url", "image_url": {"url": _url(each)}}

    if turn.role == "tool":
        for each in turn.parts:
            yield {"role": "tool", "tool_call_id": each.call, "content": _written(each.parts, "text", image)}
        return
    if turn.role == "user":
        yield {"role": "user", "content": _written(turn.parts, "text", image)}
        return
    texts = [part.text for part in turn.parts if isinstance(part, Text)]
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": json.dumps(call.arguments)}}
        for call in turn.parts
        if isinstance(call, Call)
    ]
    thoughts = [part.text for part in turn.parts if isinstance(part, Thought)]
    said = {"role": "assistant", "content": "".join(texts) if texts else None}
    yield said | ({"tool_calls": calls} if calls else {}) | ({"reasoning_content": thoughts[0]} if thoughts else {})


def _meant_by_chat(asked: Json) -> Iterator[Any]:
    for message in asked["messages"]:
        role = message["role"]
        content = _content(message.get("content"))
        if role == "tool":
            yield "result", message["tool_call_id"], content, False
        elif role == "system":
            yield "system", "".join(content)
        else:
            yield from ((role, fact) for fact in content)
        for call in message.get("tool_calls", ()):
            yield "call", call["id"], call["function"]["name"], exactly(json.loads(call["function"]["arguments"]))


def _content(given: Any) -> list[Any]:
    """Of any of the APIs."""
    parts = [{"type": "text", "text": given}] if isinstance(given, str) else given or []
    return [fact for part in parts if (fact := _fact(part))]


def _fact(part: Json) -> Any:
    match part:
        case {"type": "text" | "input_text" | "output_text", "text": text}:
            return text
        case {"type": "image_url", "image_url": {"url": url}} | {"type": "input_image", "image_url": url}:
            return "image", url
        case {"type": "image", "source": {"type": "url", "url": url}}:
            return "image", url
        case {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}:
            return "image", f"data:{kind};base64,{data}"
    raise AssertionError(f"{part} was not said")


# -- Messages ---------------------------------------------------------------------------------------------


def _anthropic(chat: Chat) -> Json:
    messages: list[Json] = []
    for turn in chat.turns:
        role = "assistant" if turn.role == "assistant" else "user"
        blocks = [_block(part) for part in turn.parts]
        if messages and messages[-1]["role"] == role:  # results, and what the user says to them
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": role, "content": blocks})
    made = {"messages": messages, "max_tokens": chat.limit, "tools": tools_of("anthropic", chat.tools)}
    return made | ({"system": chat.system} if chat.system else {})


def _block(part: Any) -> Json:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Thought(text):
            return {"type": "thinking", "thinking": text, "signature": ""}
        case Call(id, name, arguments):
            return {"type": "tool_use", "id": id, "name": name, "input": arguments}
        case Image(data, url):
            kind = {"type": "url", "url": url} if url else {"type": "base64", "media_type": "image/png", "data": data}
            return {"type": "image", "source": kind}
    content = [_block(each) for each in part.parts]
    made = {"type": "tool_result", "tool_use_id": part.call, "content": content}
    return made | ({"is_error": True} if part.failed else {})


def _meant_by_messages(asked: Json) -> Iterator[Any]:
    if system := _content(asked.get("system")):
        yield "system", "".join(system)
    for message in asked["messages"]:
        content = message["content"]
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            match block["type"]:
                case "tool_use":
                    yield "call", block["id"], block["name"], exactly(block["input"])
                case "tool_result":
                    failed = block.get("is_error", False)
                    yield "result", block["tool_use_id"], _content(block.get("content")), failed
                case "thinking" | "redacted_thinking":
                    yield "thought", block.get("thinking", ""), block.get("signature", block.get("data"))
                case _:
                    yield from ((message["role"], fact) for fact in _content([block]))


# -- Responses --------------------------------------------------------------------------------------------


def _responses(chat: Chat) -> Json:
    items = [item for turn in chat.turns for item in _items(turn)]
    made = {"input": items, "max_output_tokens": chat.limit, "tools": tools_of("responses", chat.tools)}
    return made | ({"instructions": chat.system} if chat.system else {})


def _items(turn: Turn) -> Iterator[Json]:
    def image(each: Image) -> Json:
        return {"type": "input_image", "image_url": _url(each), "detail": "auto"}

    if turn.role == "user":
        yield {"type": "message", "role": "user", "content": _written(turn.parts, "input_text", image)}
        return
    for n, part in enumerate(turn.parts):
        match part:
            case Text(text):
                yield {"type": "message", "role": "assistant", "content": text}
            case Thought(text):
                summary = [{"type": "summary_text", "text": text}]
                yield {"type": "reasoning", "id": f"rs_{n}", "summary": summary}
            case Call(id, name, arguments):
                yield {"type": "function_call", "call_id": id, "name": name, "arguments": json.dumps(arguments)}
            case _:
                output = _written(part.parts, "input_text", image)
                yield {"type": "function_call_output", "call_id": part.call, "output": output}


def _meant_by_responses(asked: Json) -> Iterator[Any]:
    if asked.get("instructions"):
        yield "system", asked["instructions"]
    for item in asked["input"]:
        match item.get("type", "message"):
            case "function_call":
                yield "call", item["call_id"], item["name"], exactly(json.loads(item["arguments"]))
            case "function_call_output":
                yield "result", item["call_id"], _content(item["output"]), False
            case "reasoning":
                text = "".join(part["text"] for part in item["summary"])
                yield "thought", text, item.get("encrypted_content")
            case _:
                yield from ((item["role"], fact) for fact in _content(item["content"]))


_WRITERS = {"openai": _chat, "anthropic": _anthropic, "responses": _responses, "gemini": asked_gemini.body}
_READERS: dict[str, Callable[[Json], Iterator[Any]]] = {
    "openai": _meant_by_chat, "anthropic": _meant_by_messages, "responses": _meant_by_responses,
    "bedrock": asked_converse.meant, "cohere": lambda asked: cohere.meant(asked, _content),
    "gemini": asked_gemini.meant,
}  # fmt: skip
_TURNS = {"openai": "messages", "anthropic": "messages", "responses": "input", "gemini": "contents"}


def limit_in(format: str, asked: Json) -> int:
    """Of the output."""
    names = {"openai": "max_completion_tokens", "responses": "max_output_tokens"}
    if format == "gemini":
        return int(asked["generationConfig"]["maxOutputTokens"])
    limit: int = (
        asked["inferenceConfig"]["maxTokens"] if format == "bedrock" else asked[names.get(format, "max_tokens")]
    )
    return limit


def tools_in(format: str, asked: Json) -> list[Json]:
    """As `tools_of` has them."""
    if format == "bedrock":
        return list(asked["toolConfig"]["tools"])
    if format == "gemini":
        return list(asked["tools"])
    for tool in asked["tools"]:
        tool.get("function", tool).setdefault("strict", False)
    return list(asked["tools"])


def meant(format: str, asked: Json) -> list[Any]:
    """As `facts` (drawn.py), and `("thought", text, what its provider knows it by)`. Raises AssertionError for what is
    no request of that API."""
    check(format, {"model": "m", **asked} if format == "gemini" else asked)
    return list(_READERS[format](asked))


def followed(format: str, first: Json, answer: list[Json]) -> Json:
    """The next request of that conversation: each call has the result "done", or the user says "Go on."."""
    name = _TURNS[format]
    ids = [fact[1] for fact in _READERS[format]({name: answer}) if fact[0] == "call"]
    results = tuple(Result(id, (Text("done"),), failed=False) for id in ids)
    turn = Turn("tool", results) if results else Turn("user", (Text("Go on."),))
    more = _WRITERS[format](Chat("", (turn,), ()))[name]
    return {**first, name: [*first[name], *answer, *more]}
