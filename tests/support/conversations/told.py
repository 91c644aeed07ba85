"""What an app was told, read by the vendors' own types: `told` of a unary answer, `streamed` of a stream's payloads.

`history` is what such an app sends back as the answer's turn in its next request: all of it, as it came.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from anthropic.types import Message, RawMessageStreamEvent
from google.genai.types import GenerateContentResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.support.conversations.drawn import exactly
from tests.support.formats.openai_chats import Json
from tests.support.providers.vendors.three_apis import Said


@dataclass(frozen=True)
class Told:
    """calls: name and arguments. used: tokens in, of these cached, tokens out, of these of reasoning. cites: a page's
    URL and title, and the text that cites it."""

    text: str
    thought: str
    calls: tuple[tuple[str, str], ...]
    ended: str
    used: tuple[int, int, int, int]
    cites: tuple[tuple[str, str, str], ...] = ()


def meant(said: Said) -> Told:
    calls = tuple((name, exactly(arguments)) for name, arguments in said.calls)
    counts = said.tokens_in, said.cached, said.tokens_out, said.reasoned
    cites = tuple((url, title, said.text[start:end]) for url, title, start, end in said.cites)
    return Told(said.text, said.thought, calls, said.ended, counts, cites)


def told(format: str, answer: Json) -> Told:
    """Raises pydantic's ValidationError if it is not an answer of that API."""
    found: Told = _READERS[format](answer)
    return found


def cited_at_the_end(found: Sequence[tuple[str, str, str]], meant: Sequence[tuple[str, str, str]]) -> bool:
    """Whether the same is cited by texts that have at least those that cite it."""
    pages = [each[:2] for each in found]
    return pages == [each[:2] for each in meant] and all(b[2] in a[2] for a, b in zip(found, meant, strict=True))


def streamed(format: str, payloads: Sequence[Json]) -> Json:
    """The answer that they make up. Raises ValidationError if one is not an event of that API."""
    made: Json = _STREAMS[format](payloads)
    return made


def history(format: str, answer: Json) -> list[Json]:
    """The messages or items."""
    if format == "openai":
        return [answer["choices"][0]["message"]]
    if format == "gemini":
        return [answer["candidates"][0]["content"]]
    if format == "anthropic":
        return [{"role": "assistant", "content": answer["content"]}]
    return list(answer["output"])


# -- chat -------------------------------------------------------------------------------------------------


def _chat(answer: Json) -> Told:
    read = ChatCompletion.model_validate(answer)
    [choice] = read.choices
    message: Any = choice.message
    calls = tuple((call.function.name, _arguments(call.function.arguments)) for call in message.tool_calls or ())
    ended = {"tool_calls": "calls", "content_filter": "filter"}.get(choice.finish_reason, choice.finish_reason)
    assert read.usage is not None
    cached, thought = read.usage.prompt_tokens_details, read.usage.completion_tokens_details
    counts = (
        read.usage.prompt_tokens, (cached.cached_tokens if cached else None) or 0,
        read.usage.completion_tokens, (thought.reasoning_tokens if thought else None) or 0,
    )  # fmt: skip
    pages = [each.url_citation for each in message.annotations or ()]
    text = message.content or ""
    cites = tuple((page.url, page.title, text[page.start_index : page.end_index]) for page in pages)
    return Told(text, (message.model_extra or {}).get("reasoning_content", ""), calls, ended, counts, cites)


def _arguments(text: str) -> str:
    return exactly(json.loads(text))


def _chat_stream(payloads: Sequence[Json]) -> Json:
    """As clients join chunks: texts and arguments grow, lists grow."""
    message: Json = {"role": "assistant", "content": None}
    made: Json = {"object": "chat.completion", "usage": None}
    finish = None
    for payload in payloads:
        ChatCompletionChunk.model_validate(payload)
        made |= {name: payload[name] for name in ("id", "created", "model")}
        made["usage"] = payload.get("usage") or made["usage"]
        for choice in payload["choices"]:
            assert finish is None, "it had ended"
            finish = choice["finish_reason"]
            _grow(message, choice["delta"])
    return {**made, "choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def _grow(message: Json, delta: Json) -> None:
    for name in ("content", "reasoning_content"):
        if delta.get(name):
            message[name] = (message.get(name) or "") + delta[name]
    if "annotations" in delta:
        assert "annotations" not in message, "clients join no lists without an index"
        message["annotations"] = delta["annotations"]
    if "reasoning_details" in delta:
        message.setdefault("reasoning_details", []).extend(delta["reasoning_details"])
    for call in delta.get("tool_calls", ()):
        calls = message.setdefault("tool_calls", [])
        if call["index"] == len(calls):
            calls.append({"id": call["id"], "type": call["type"], "function": {**call["function"]}})
        else:
            calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]


# -- Messages ---------------------------------------------------------------------------------------------

_STOPS = {"tool_use": "calls", "end_turn": "stop", "max_tokens": "length", "refusal": "filter"}


def _message(answer: Json) -> Told:
    read = Message.model_validate(answer)
    text = "".join(block.text for block in read.content if block.type == "text")
    thought = "".join(block.thinking for block in read.content if block.type == "thinking")
    calls = tuple((block.name, exactly(block.input)) for block in read.content if block.type == "tool_use")
    used = read.usage
    cached = used.cache_read_input_tokens or 0
    written = used.cache_creation_input_tokens or 0
    details = used.output_tokens_details
    counts = used.input_tokens + cached + written, cached, used.output_tokens, details.thinking_tokens if details else 0
    cites = tuple(
        (str(getattr(each, "url", "")), str(each.title), block.text)  # type: ignore[union-attr]
        for block in read.content if block.type == "text" for each in block.citations or ()
    )  # fmt: skip
    return Told(text, thought, calls, _STOPS[str(read.stop_reason)], counts, cites)


_MESSAGE_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def _message_stream(payloads: Sequence[Json]) -> Json:
    message: Json = {}
    inputs: dict[int, str] = {}
    open_: int | None = None
    for payload in payloads:
        _MESSAGE_EVENT.validate_python(payload)
        kind = payload["type"]
        if kind == "message_start":
            message = {**payload["message"], "content": []}
        elif kind == "content_block_start":
            assert open_ is None, "one block at a time"
            open_ = payload["index"]
            assert open_ == len(message["content"])
            message["content"].append({**payload["content_block"]})
        elif kind == "content_block_stop":
            assert payload["index"] == open_
            open_ = None
        elif kind == "content_block_delta":
            assert payload["index"] == open_
            _fill(message["content"][open_], payload["delta"], inputs, payload["index"])
        elif kind == "message_delta":
            message |= payload["delta"]
            message["usage"] = {**message["usage"], **payload["usage"]}
    assert payloads[-1]["type"] == "message_stop"
    for index, text in inputs.items():
        message["content"][index]["input"] = json.loads(text)
    return message


def _fill(block: Json, delta: Json, inputs: dict[int, str], index: int) -> None:
    if delta["type"] == "input_json_delta":
        inputs[index] = inputs.get(index, "") + delta["partial_json"]
        return
    if delta["type"] == "citations_delta":
        block["citations"] = [*block.get("citations", ()), delta["citation"]]
        return
    name = delta["type"].removesuffix("_delta")
    block[name] += delta[name]


# -- Responses --------------------------------------------------------------------------------------------


def _response(answer: Json) -> Told:
    read = Response.model_validate(answer)
    calls = tuple((item.name, _arguments(item.arguments)) for item in read.output if item.type == "function_call")
    thought = "".join(part.text for item in read.output if item.type == "reasoning" for part in item.summary)
    reason = read.incomplete_details.reason if read.incomplete_details else None
    ended = {"max_output_tokens": "length", "content_filter": "filter"}.get(str(reason), "calls" if calls else "stop")
    assert read.status == ("incomplete" if reason else "completed")
    used = read.usage
    assert used is not None
    counts = (
        used.input_tokens, used.input_tokens_details.cached_tokens,
        used.output_tokens, used.output_tokens_details.reasoning_tokens,
    )  # fmt: skip
    parts = [part for item in read.output if item.type == "message" for part in item.content]
    cites = tuple(
        (each.url, each.title, part.text[each.start_index : each.end_index])
        for part in parts if part.type == "output_text" for each in part.annotations if each.type == "url_citation"
    )  # fmt: skip
    return Told(read.output_text, thought, calls, ended, counts, cites)


_RESPONSE_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def _response_stream(payloads: Sequence[Json]) -> Json:
    """The last event's answer, which the deltas must have said before."""
    grown: dict[tuple[str, int], str] = {}
    items: dict[int, Json] = {}
    cited: dict[tuple[int, int], list[Json]] = {}
    for number, payload in enumerate(payloads):
        _RESPONSE_EVENT.validate_python(payload)
        assert payload["sequence_number"] == number
        kind = payload["type"]
        if kind.endswith(".delta"):
            key = kind.removesuffix(".delta"), payload["output_index"]
            grown[key] = grown.get(key, "") + payload["delta"]
        elif kind == "response.output_text.annotation.added":
            before = cited.setdefault((payload["output_index"], payload["content_index"]), [])
            assert payload["annotation_index"] == len(before)
            before.append(payload["annotation"])
        elif kind == "response.output_item.done":
            items[payload["output_index"]] = payload["item"]
    response: Json = payloads[-1]["response"]
    assert payloads[-1]["type"] == f"response.{response['status']}"
    assert [items[index] for index in range(len(items))] == response["output"]
    for index, item in enumerate(response["output"]):
        said = {
            "response.output_text": "".join(part["text"] for part in item.get("content") or ()),
            "response.reasoning_summary_text": "".join(part["text"] for part in item.get("summary") or ()),
            "response.function_call_arguments": item.get("arguments") or "",
        }
        for place, part in enumerate(item.get("content") or ()):
            assert cited.get((index, place), []) == part.get("annotations", [])
        for kind, text in said.items():
            assert grown.get((kind, index), "") == text
    return response


# -- generateContent --------------------------------------------------------------------------------------

_FINISHES = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "filter"}


def _generated(answer: Json) -> Told:
    read: Any = GenerateContentResponse.model_validate(answer)
    [candidate] = read.candidates
    parts = candidate.content.parts or []
    text = "".join(part.text for part in parts if part.text and not part.thought)
    thought = "".join(part.text for part in parts if part.text and part.thought)
    calls = tuple((part.function_call.name, exactly(part.function_call.args)) for part in parts if part.function_call)
    ended = "calls" if calls else _FINISHES[candidate.finish_reason.value]
    used = read.usage_metadata
    assert used.total_token_count == used.prompt_token_count + used.candidates_token_count + (
        used.thoughts_token_count or 0
    )
    thoughts = used.thoughts_token_count or 0
    counts = (
        used.prompt_token_count, used.cached_content_token_count or 0,
        used.candidates_token_count + thoughts, thoughts,
    )  # fmt: skip
    return Told(text, thought, calls, ended, counts, tuple(_grounded(candidate, parts)))


def _grounded(candidate: Any, parts: list[Any]) -> Iterator[tuple[str, str, str]]:
    """In a stream, the texts are one part."""
    found = candidate.grounding_metadata
    texts = [(part.text or "") if not part.thought else "" for part in parts]
    for support in (found.grounding_supports or ()) if found else ():
        segment = support.segment
        text = "".join(texts) if segment.part_index is None else texts[segment.part_index]
        assert text.encode()[segment.start_index or 0 : segment.end_index].decode() == segment.text
        for number in support.grounding_chunk_indices:
            page = found.grounding_chunks[number].web
            yield page.uri, page.title, segment.text


def _generated_stream(payloads: Sequence[Json]) -> Json:
    """The parts one after the other, as Google's SDK keeps them."""
    made: Json = {}
    parts: list[Json] = []
    for payload in payloads:
        GenerateContentResponse.model_validate(payload)
        made |= {name: value for name, value in payload.items() if name != "candidates"}
        for candidate in payload.get("candidates", ()):
            assert "finishReason" not in made.get("candidate", {}), "it had ended"
            parts += candidate["content"].get("parts", ())
            made["candidate"] = candidate
    candidate = {**made.pop("candidate"), "content": {"role": "model", "parts": parts}}
    return {**made, "candidates": [candidate]}


_READERS: dict[str, Any] = {
    "openai": _chat,
    "anthropic": _message,
    "responses": _response,
    "gemini": _generated,
}
_STREAMS: dict[str, Any] = {
    "openai": _chat_stream,
    "anthropic": _message_stream,
    "responses": _response_stream,
    "gemini": _generated_stream,
}
