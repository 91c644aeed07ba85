"""What a model says, written as each of the APIs writes it (documents: see `three_apis.py`, and the other
`spoken_…` modules)."""

from __future__ import annotations

import json
from typing import Any

from tests.support.answers import cited, cohere_chat, spoken_converse
from tests.support.answers.spoken_gemini import chunks, response

Json = dict[str, Any]
PIECE = 4  # characters of a streamed text


def written(path: str, asked: Json, said: Any) -> list[bytes]:
    """The body in pieces: one for a unary answer, else an event each."""
    unary, streamed = _BY_PATH[path]
    if not asked.get("stream"):
        return [json.dumps(unary(asked, said)).encode()]
    return list(streamed(asked, said))


def _event(document: Json | str, name: str = "") -> bytes:
    data = document if isinstance(document, str) else json.dumps(document)
    return (f"event: {name}\n" if name else "").encode() + f"data: {data}\n\n".encode()


def _pieces(text: str) -> list[str]:
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


# -- Messages ---------------------------------------------------------------------------------------------


def _blocks(said: Any) -> list[Json]:
    thought = [{"type": "redacted_thinking", "data": said.sealed}] if said.sealed else []
    if said.thought:
        thought = [{"type": "thinking", "thinking": said.thought, "signature": said.sealed or "c2ln"}]
    text = [{"type": "text", "text": each, **_cites(page)} for each, page in cited.pieces(said)]
    calls = [
        {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": arguments}
        for number, (name, arguments) in enumerate(said.calls)
    ]
    return [*thought, *text, *calls]


def _cites(page: cited.Page | None) -> Json:
    if page is None:
        return {}
    kind = {"type": "web_search_result_location", "cited_text": "So it is.", "encrypted_index": "Eo8BCioI"}
    return {"citations": [{**kind, "url": page[0], "title": page[1]}]}


def _message(asked: Json, said: Any) -> Json:
    message = {"id": "msg_01", "type": "message", "role": "assistant", "model": asked["model"]}
    reason = {"calls": "tool_use", "length": "max_tokens", "filter": "refusal", "stop": "end_turn"}[said.ended]
    usage = {"output_tokens": said.tokens_out, **_told_first(said)} if said.usage else {}
    if said.reasoned:
        usage["output_tokens_details"] = {"thinking_tokens": said.reasoned}
    return {**message, "content": _blocks(said), "stop_reason": reason, "stop_sequence": None, "usage": usage}


def _told_first(said: Any) -> Json:
    """Of the prompt; what was read from the cache, and written to it, is apart."""
    told: Json = {"input_tokens": said.tokens_in - said.cached - said.written}
    if said.cached or said.written:
        told |= {"cache_read_input_tokens": said.cached, "cache_creation_input_tokens": said.written}
    if said.written:
        kept = {"ephemeral_5m_input_tokens": said.written - said.lasting, "ephemeral_1h_input_tokens": said.lasting}
        told["cache_creation"] = kept
    return told


def _message_events(asked: Json, said: Any) -> list[bytes]:
    whole = _message(asked, said)
    usage = {**_told_first(said), "output_tokens": 1} if said.usage else {}
    head = {**whole, "content": [], "stop_reason": None, "usage": usage}
    events: list[Json] = [{"type": "message_start", "message": head}, {"type": "ping"}]
    for index, block in enumerate(whole["content"]):
        cites = block.pop("citations", ())
        empty: Json = {"text": ""} if block["type"] == "text" else {"input": {}}
        empty |= {"citations": []} if cites else {}
        deltas: list[Json] = [{"type": "citations_delta", "citation": each} for each in cites]
        deltas += [{"type": "text_delta", "text": piece} for piece in _pieces(block.get("text", ""))]
        if block["type"] == "thinking":
            empty = {"thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        elif block["type"] == "redacted_thinking":
            empty = {}
        elif block["type"] == "tool_use":
            deltas = [
                {"type": "input_json_delta", "partial_json": piece} for piece in _pieces(json.dumps(block["input"]))
            ]
        events.append({"type": "content_block_start", "index": index, "content_block": {**block, **empty}})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    told = {name: count for name, count in whole["usage"].items() if name.startswith("output")}
    events += [{"type": "message_delta", "delta": delta, "usage": told}, {"type": "message_stop"}]
    return [_event(event, event["type"]) for event in events]


# -- Responses --------------------------------------------------------------------------------------------


def _items(said: Any) -> list[Json]:
    summary = [{"type": "summary_text", "text": said.thought}] if said.thought else []
    thought = [{"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": said.sealed or "Z2c="}]
    annotations = [{"type": "url_citation", **_page(*each)} for each in said.cites]
    part = {"type": "output_text", "text": said.text, "annotations": annotations, "logprobs": []}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    calls: list[Json] = [
        {
            "id": f"fc_{number}", "type": "function_call", "status": "completed", "call_id": f"call_{number}",
            "name": name, "arguments": json.dumps(arguments),
        }
        for number, (name, arguments) in enumerate(said.calls)
    ]  # fmt: skip
    return [*(thought if said.thought or said.sealed else ()), *([message] if said.text else ()), *calls]


def _page(url: str, title: str, start: int, end: int) -> Json:
    return {"url": url, "title": title, "start_index": start, "end_index": end}


def _response(asked: Json, said: Any) -> Json:
    usage = {
        "input_tokens": said.tokens_in,
        "input_tokens_details": {"cached_tokens": said.cached, "cache_write_tokens": said.written},
        "output_tokens": said.tokens_out, "output_tokens_details": {"reasoning_tokens": said.reasoned},
        "total_tokens": said.tokens_in + said.tokens_out,
    }  # fmt: skip
    about = {"id": "resp_1", "object": "response", "created_at": 1, "model": asked["model"], "error": None}
    more: Json = {"instructions": None, "metadata": {}, "parallel_tool_calls": True}
    rest = {"tools": asked.get("tools", []), "tool_choice": "auto", "temperature": 1.0, "top_p": 1.0}
    reason = {"length": "max_output_tokens", "filter": "content_filter"}.get(said.ended)
    more["incomplete_details"] = {"reason": reason} if reason else None
    status = "incomplete" if reason else "completed"
    last = {"status": status, "output": _items(said), "usage": usage if said.usage else None}
    return {**about, **more, **rest, **last}


def _response_events(asked: Json, said: Any) -> list[bytes]:
    whole = _response(asked, said)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    events: list[Json] = [{"type": "response.created", "response": begun}]
    for index, item in enumerate(() if said.whole else whole["output"]):
        at = {"output_index": index, "item_id": item["id"]}
        empty: Json = {"content": []} if item["type"] == "message" else {"arguments": ""}
        if item["type"] == "reasoning":
            empty = {"summary": []}
        events.append({"type": "response.output_item.added", "output_index": index, "item": {**item, **empty}})
        if item["type"] == "message":
            part = item["content"][0]
            at = {**at, "content_index": 0}
            events.append(
                {"type": "response.content_part.added", **at, "part": {**part, "text": "", "annotations": []}}
            )
            for piece in _pieces(part["text"]):
                events.append({"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []})
            for number, each in enumerate(part["annotations"]):
                added = {"annotation_index": number, "annotation": each}
                events.append({"type": "response.output_text.annotation.added", **at, **added})
            events.append({"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []})
            events.append({"type": "response.content_part.done", **at, "part": part})
        elif item["type"] == "reasoning":
            at = {**at, "summary_index": 0}
            for part in item["summary"]:
                events.append({"type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""}})
                for piece in _pieces(part["text"]):
                    events.append({"type": "response.reasoning_summary_text.delta", **at, "delta": piece})
                events.append({"type": "response.reasoning_summary_text.done", **at, "text": part["text"]})
                events.append({"type": "response.reasoning_summary_part.done", **at, "part": part})
        else:
            for piece in _pieces(item["arguments"]):
                events.append({"type": "response.function_call_arguments.delta", **at, "delta": piece})
            done = {"arguments": item["arguments"], "name": item["name"]}
            events.append({"type": "response.function_call_arguments.done", **at, **done})
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": f"response.{whole['status']}", "response": whole})
    return [_event({**event, "sequence_number": number}, event["type"]) for number, event in enumerate(events)]


# -- chat -------------------------------------------------------------------------------------------------


def _calls(said: Any) -> list[Json]:
    return [
        {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for number, (name, arguments) in enumerate(said.calls)
    ]


def _usage(said: Any) -> Json:
    total = said.tokens_in + said.tokens_out
    used: Json = {"prompt_tokens": said.tokens_in, "completion_tokens": said.tokens_out, "total_tokens": total}
    if said.cached:
        used["prompt_tokens_details"] = {"cached_tokens": said.cached}
    if said.reasoned:
        used["completion_tokens_details"] = {"reasoning_tokens": said.reasoned}
    return used


_CHAT_ENDS = {"calls": "tool_calls", "filter": "content_filter"}


def _chat(asked: Json, said: Any) -> Json:
    message: Json = {"role": "assistant", "content": said.text or None}
    if said.thought:
        message["reasoning_content"] = said.thought
    if said.calls:
        message["tool_calls"] = _calls(said)
    if said.cites:
        message["annotations"] = _annotations(said)
    choice = {"index": 0, "message": message, "finish_reason": _CHAT_ENDS.get(said.ended, said.ended)}
    chat = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": asked["model"], "choices": [choice]}
    return {**chat, "usage": _usage(said)} if said.usage else chat


def _annotations(said: Any) -> list[Json]:
    return [{"type": "url_citation", "url_citation": _page(*each)} for each in said.cites]


def _chat_events(asked: Json, said: Any) -> list[bytes]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": asked["model"]}
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in _pieces(said.thought)]
    deltas += [{"content": piece} for piece in _pieces(said.text)]
    deltas += [{"annotations": _annotations(said)}] if said.cites else []
    if said.whole and said.calls:
        deltas.append({"tool_calls": [{**call, "index": index} for index, call in enumerate(_calls(said))]})
    for index, call in enumerate(() if said.whole else _calls(said)):
        arguments = call["function"]["arguments"]
        deltas.append({"tool_calls": [{**call, "index": index, "function": {**call["function"], "arguments": ""}}]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in _pieces(arguments)]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": _CHAT_ENDS.get(said.ended, said.ended)})
    events = [_event({**head, "choices": [choice]}) for choice in choices]
    if said.usage and (asked.get("stream_options") or {}).get("include_usage"):
        events.append(_event({**head, "choices": [], "usage": _usage(said)}))
    return [*events, _event("[DONE]")]


def _converse_events(asked: Json, said: Any) -> list[bytes]:
    return spoken_converse.streamed(asked, said, PIECE)


_BY_PATH: dict[str, Any] = {
    "converse": (spoken_converse.unary, _converse_events),
    "/v1beta/models/{model}:generateContent": (response, chunks),
    "/v1/messages": (_message, _message_events),
    "/v1/responses": (_response, _response_events),
    "/v1/chat/completions": (_chat, _chat_events),
    "/v2/chat": (cohere_chat.chat, cohere_chat.events),
}
