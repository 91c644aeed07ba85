"""Hypothesis strategies for what Anthropic defines: requests, answers and streams of its Messages API.

In the shapes of anthropic-sdk-python's types (commit 009b035, 2026-08-07), with words and values of our own.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.support.formats.openai_chats import Json, base64s, objects, schemas, texts, values, words

marks = st.sampled_from(
    [{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}, {"type": "ephemeral", "ttl": "5m"}, None]
) | st.just({"type": "ephemeral", "scope": "global"})
inputs = st.dictionaries(words, values, max_size=2)
_marked = {"cache_control": marks}


def _block(kind: str, required: dict[str, Any], optional: dict[str, Any] | None = None) -> st.SearchStrategy[Json]:
    return objects({"type": st.just(kind), **required}, optional)


def citations() -> st.SearchStrategy[Any]:
    location = {"cited_text": texts, "document_index": st.integers(0, 3), "start_char_index": st.integers(0, 9)}
    return st.none() | st.lists(objects({"type": st.just("char_location"), **location}), max_size=2)


def text_blocks() -> st.SearchStrategy[Json]:
    return _block("text", {"text": texts}, {**_marked, "citations": citations()})


def sources(kind: str) -> st.SearchStrategy[Json]:
    media = ["image/png", "image/webp"] if kind == "image" else ["application/pdf"]
    return st.one_of(
        objects({"type": st.just("base64"), "media_type": st.sampled_from(media), "data": base64s}),
        objects({"type": st.just("url"), "url": st.builds("https://example.com/{}".format, words)}),
        objects({"type": st.just("file"), "file_id": words}),
    )


def images() -> st.SearchStrategy[Json]:
    return _block("image", {"source": sources("image")}, _marked)


def documents() -> st.SearchStrategy[Json]:
    plain = objects({"type": st.just("text"), "media_type": st.just("text/plain"), "data": texts})
    blocks = objects({"type": st.just("content"), "content": texts | st.lists(text_blocks(), max_size=2)})
    more = {**_marked, "title": st.none() | words, "context": texts, "citations": st.just({"enabled": True})}
    return _block("document", {"source": sources("document") | plain | blocks}, more)


def search_results() -> st.SearchStrategy[Json]:
    return _block("search_result", {"source": words, "title": words, "content": st.lists(text_blocks(), max_size=2)})


def thoughts() -> st.SearchStrategy[Json]:
    return _block("thinking", {"thinking": texts, "signature": texts}) | _block("redacted_thinking", {"data": texts})


def calls() -> st.SearchStrategy[Json]:
    return _block("tool_use", {"id": words, "name": words, "input": inputs}, _marked)


def results() -> st.SearchStrategy[Json]:
    content = texts | st.lists(text_blocks() | images() | documents() | search_results(), max_size=3)
    more = {"content": content, "is_error": st.booleans(), **_marked}
    return _block("tool_result", {"tool_use_id": words}, more)


def server_blocks() -> st.SearchStrategy[Json]:
    use = _block("server_tool_use", {"id": words, "name": st.just("web_search"), "input": inputs})
    found = _block("web_search_tool_result", {"tool_use_id": words, "content": st.lists(st.just({"url": "u"}))})
    return use | found | _block("x_newer", {"data": values})


def messages() -> st.SearchStrategy[Json]:
    user = st.lists(text_blocks() | images() | documents() | search_results() | results(), max_size=4)
    said = st.lists(text_blocks() | thoughts() | calls() | server_blocks(), max_size=4)
    return st.one_of(
        objects({"role": st.just("user"), "content": texts | user}),
        objects({"role": st.just("assistant"), "content": texts | said}),
        objects({"role": st.just("system"), "content": texts | st.lists(text_blocks(), max_size=2)}),
    )


def tools() -> st.SearchStrategy[Json]:
    more = {"description": texts, "strict": st.booleans(), "type": st.just("custom"), **_marked,
            "input_examples": st.lists(inputs, max_size=1), "defer_loading": st.booleans()}  # fmt: skip
    own = objects({"name": words, "input_schema": schemas}, more)
    return own | objects({"type": st.just("web_search_20250305"), "name": st.just("web_search")})


def tool_choices() -> st.SearchStrategy[Json]:
    single = {"disable_parallel_tool_use": st.booleans()}
    any_of = objects({"type": st.sampled_from(["auto", "any"])}, single)
    return any_of | objects({"type": st.just("tool"), "name": words}, single) | objects({"type": st.just("none")})


def thinking() -> st.SearchStrategy[Json]:
    display = {"display": st.sampled_from(["summarized", "omitted"])}
    return st.one_of(
        objects({"type": st.just("enabled"), "budget_tokens": st.integers(1024, 32000)}, display),
        objects({"type": st.just("adaptive")}, display),
        objects({"type": st.just("disabled")}),
    )


def requests() -> st.SearchStrategy[Json]:
    schema = objects({"type": st.just("json_schema"), "schema": schemas})
    efforts = st.sampled_from(["low", "medium", "high", "xhigh", "max"])
    optional = {
        "system": texts | st.lists(text_blocks(), max_size=3),
        "tools": st.lists(tools(), max_size=2),
        "tool_choice": tool_choices(),
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "top_k": st.integers(0, 500),
        "stop_sequences": st.lists(words, max_size=3),
        "thinking": thinking(),
        "output_config": objects({}, {"effort": st.none() | efforts, "format": st.none() | schema}),
        "output_format": schema,
        "metadata": objects({}, {"user_id": st.none() | words}),
        "stream": st.booleans(),
        "service_tier": st.just("standard_only"),
        "cache_control": marks,
        "context_management": st.just({"edits": [{"type": "clear_tool_uses_20250919"}]}),
        "mcp_servers": st.just([{"type": "url", "url": "https://example.com", "name": "x"}]),
    }
    required = {"model": words, "max_tokens": st.integers(32_001, 64_000), "messages": st.lists(messages(), max_size=4)}
    return objects(required, optional).map(_as_it_is_accepted)


def _as_it_is_accepted(request: Json) -> Json:
    """With thinking, the API takes no other sampling than its own."""
    if request.get("thinking", {}).get("type") in ("enabled", "adaptive"):
        request = {name: value for name, value in request.items() if name not in ("temperature", "top_p", "top_k")}
    return request


def usages() -> st.SearchStrategy[Json]:
    count = st.integers(0, 10**6)
    written = {"ephemeral_5m_input_tokens": st.just(0), "ephemeral_1h_input_tokens": st.just(0)}
    more = {
        "cache_creation_input_tokens": st.none() | count,
        "cache_read_input_tokens": st.none() | count,
        "cache_creation": st.fixed_dictionaries(written),
        "output_tokens_details": st.just({"thinking_tokens": 0}),
        "service_tier": st.just("standard"),
    }
    return objects({"input_tokens": count, "output_tokens": count}, more)


finishes = st.sampled_from(
    ["end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded"]
)


def answers() -> st.SearchStrategy[Json]:
    said = objects({"type": st.just("text"), "text": texts}, {"citations": citations()})
    content = st.lists(said | thoughts() | calls() | server_blocks(), max_size=5)
    head = {"id": words, "type": st.just("message"), "role": st.just("assistant"), "model": words}
    end = {"stop_reason": finishes, "stop_sequence": st.none() | words, "usage": usages()}
    return objects({**head, "content": content, **end}, {"container": st.none()})


def split(draw: st.DrawFn, text: str) -> list[str]:
    """In pieces, as models write it."""
    cuts = sorted({draw(st.integers(0, len(text))) for _ in range(draw(st.integers(0, 2)))})
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Json], Json]:
    """The events of one answer, and the answer."""
    answer: Json = draw(answers())
    start = {**answer, "content": [], "stop_reason": None, "stop_sequence": None}
    start["usage"] = {**answer["usage"], "output_tokens": 1}
    events: list[Json] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(answer["content"]):
        begun, deltas = _begun(draw, block)
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": answer["stop_reason"], "stop_sequence": answer["stop_sequence"]}
    usage = draw(st.sampled_from([answer["usage"], {"output_tokens": answer["usage"]["output_tokens"]}]))
    events.append({"type": "message_delta", "delta": delta, "usage": usage})
    events.append({"type": "message_stop"})
    return events, answer


def _begun(draw: st.DrawFn, block: Json) -> tuple[Json, list[Json]]:
    match block["type"]:
        case "text":
            cited = [{"type": "citations_delta", "citation": each} for each in block.get("citations") or ()]
            pieces = [{"type": "text_delta", "text": piece} for piece in split(draw, block["text"])]
            begun = {**block, "text": ""}
            if block.get("citations"):
                begun["citations"] = []
            return begun, cited + pieces
        case "thinking":
            pieces = [{"type": "thinking_delta", "thinking": piece} for piece in split(draw, block["thinking"])]
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [*pieces, signed]
        case "tool_use" | "server_tool_use":
            pieces = [
                {"type": "input_json_delta", "partial_json": piece} for piece in split(draw, json.dumps(block["input"]))
            ]
            return {**block, "input": {}}, pieces
    return block, []
