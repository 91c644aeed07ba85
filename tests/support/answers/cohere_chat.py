"""What a model says, written as Cohere's chat writes it.

Shapes: https://docs.cohere.com/reference/chat, https://docs.cohere.com/reference/chat-stream,
https://docs.cohere.com/docs/tool-use-streaming and the types of cohere-python 7.3.1, read on 28 November 2026.
"""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]
PIECE = 4  # characters of a streamed text
ENDS = {"calls": "TOOL_CALL", "length": "MAX_TOKENS", "stop": "COMPLETE", "sequence": "STOP_SEQUENCE"}


def chat(asked: Json, said: Any) -> Json:
    """A model plans before it calls tools."""
    content = [{"type": "thinking", "thinking": said.thought}] if said.thought else []
    message: Json = {"role": "assistant"}
    if said.calls:
        message |= {"tool_plan": said.text} if said.text else {}
        message["tool_calls"] = _calls(said)
    elif said.text:
        content.append({"type": "text", "text": said.text})
    if content:
        message["content"] = content
    if said.cites:
        message["citations"] = [_cites(said, each, len(content) - 1) for each in said.cites]
    answer = {"id": "c14c80c3-18eb-4519-9460-6c92edd8cfb4", "finish_reason": ENDS[said.ended], "message": message}
    return answer | ({"usage": usage(said)} if said.usage else {})


def _cites(said: Any, cited: tuple[str, str, int, int], place: int) -> Json:
    url, title, start, end = cited
    sources = [{"type": "document", "id": "page-1", "document": {"url": url, "title": title, "snippet": "So it is."}}]
    kind = {"type": "PLAN"} if said.calls else {"type": "TEXT_CONTENT", "content_index": place}
    return {"start": start, "end": end, "text": said.text[start:end], "sources": sources, **kind}


def usage(said: Any) -> Json:
    """A prompt has more tokens than are billed."""
    return {
        "billed_units": {"input_tokens": said.tokens_in, "output_tokens": said.tokens_out},
        "tokens": {"input_tokens": said.tokens_in + 496, "output_tokens": said.tokens_out + 2},
        "cached_tokens": said.cached,
    }


def _calls(said: Any) -> list[Json]:
    return [
        {"id": f"{name}_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for number, (name, arguments) in enumerate(said.calls)
    ]


def events(asked: Json, said: Any) -> list[bytes]:
    whole = chat(asked, said)
    message = whole["message"]
    begun = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    made: list[Json] = [{"type": "message-start", "id": whole["id"], "delta": {"message": begun}}]
    for index, block in enumerate(message.get("content", ())):
        made += _content(index, block["type"], block[block["type"]])
    plan = message.get("tool_plan", "")
    made += [_delta("tool-plan-delta", tool_plan=piece) for piece in _pieces(plan)]
    for number, each in enumerate(message.get("citations", ())):
        made.append({**_delta("citation-start", citations=each), "index": number})
        made.append({"type": "citation-end", "index": number})
    for index, call in enumerate(message.get("tool_calls", ())):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        first = arguments if said.whole else ""
        start = {**call, "function": {"name": name, "arguments": first}}
        made.append({**_delta("tool-call-start", tool_calls=start), "index": index})
        for piece in () if said.whole else _pieces(arguments):
            made.append({**_delta("tool-call-delta", tool_calls={"function": {"arguments": piece}}), "index": index})
        made.append({"type": "tool-call-end", "index": index})
    end = {name: whole[name] for name in ("finish_reason", "usage") if name in whole}
    made.append({"type": "message-end", "id": whole["id"], "delta": end})
    written = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in made]
    return [written[0], b": keepalive\n\n", *written[1:]]


def _content(index: int, kind: str, text: str) -> list[Json]:
    start = {**_delta("content-start", content={"type": kind, kind: ""}), "index": index}
    deltas = [{**_delta("content-delta", content={kind: piece}), "index": index} for piece in _pieces(text)]
    return [start, *deltas, {"type": "content-end", "index": index}]


def _delta(kind: str, **message: Any) -> Json:
    return {"type": kind, "delta": {"message": message}}


def _pieces(text: str) -> list[str]:
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
