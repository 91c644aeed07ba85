"""Programs that read a stream."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.openai.programs.program import ask, program
from tests.conformance.openai.programs.schemas import TOOL


@program
def a_stream(client):
    text = ""
    for chunk in ask(client, stream=True):
        if chunk.choices and (piece := chunk.choices[0].delta.content) is not None:
            text += piece
    return text


@program
def a_stream_with_usage(client):
    seen = [chunk.usage for chunk in ask(client, stream=True, stream_options={"include_usage": True})]
    return [usage and usage.total_tokens for usage in seen]


@program
def deltas(client):
    stream = ask(client, stream=True)
    return [
        (chunk.choices[0].delta.model_dump(exclude_unset=True), chunk.choices[0].delta.model_dump(),
         (chunk.choices[0].delta.model_extra or {}).get("reasoning_content"),
         getattr(chunk.choices[0].delta, "reasoning_content", None), chunk.model_dump(), json.loads(chunk.to_json()))
        for chunk in stream
    ]  # fmt: skip


@program
def tools_gathered_from_a_stream(client):
    calls: dict[int, Any] = {}
    for chunk in ask(client, stream=True, tools=[TOOL]):
        for part in chunk.choices[0].delta.tool_calls or []:
            call = calls.setdefault(part.index, part)
            if call is not part:
                call.function.arguments += part.function.arguments
    return [call.model_dump() for call in calls.values()]


@program
def a_stream_left_early(client):
    with ask(client, stream=True) as stream:
        first = next(iter(stream))
    stream.close()
    return first.choices[0].delta.role


@program
def a_streams_response(client):
    stream = ask(client, stream=True)
    response = stream.response
    kind = response.headers["content-type"].partition(";")[0]
    told = (hasattr(stream, "response"), response.status_code, kind, response.headers.get("x-nothing"))
    open_before = not response.is_closed
    response.close()
    return told, open_before, response.is_closed, isinstance(dict(response.headers), dict), response.is_success
