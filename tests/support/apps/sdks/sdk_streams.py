"""Streams as their users see them: the vendors' SDKs, one for each format, over each of the daemon's front ends.

`heard(place, format, model)` asks and reads to the end. Whatever the format, it tells the same: what was said, which
tools were called, why it ended, and the error that the SDK raised or was told.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx2
import openai
from google import genai
from google.genai import errors
from google.genai.types import FunctionDeclaration, GenerateContentConfig, HttpOptions, Tool

from modelmesh import http_client
from tests.support.waiting import WAIT

PLACES = ("tcp", "unix", "socket")
TOOL = "weather"
_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_NO_ROOTS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Reading the system's certificates takes 40 ms, and nothing here uses TLS."""
_HI: Any = [{"role": "user", "content": "hi"}]


@dataclass
class Heard:
    """text, calls: (name, arguments) of the answer, in order. ended: why, in OpenAI's words; "" if nothing said so.
    error: what the SDK raised, or what an event told; "" if the answer looks complete to the app."""

    text: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    ended: str = ""
    error: str = ""

    def is_honest(self, text: str, calls: list[tuple[str, str]], ended: str) -> None:
        """Exactly that answer, or an error."""
        if not self.error:
            assert (self.text, self.calls, self.ended) == (text, calls, ended)


@contextmanager
def _client(daemon: Any, place: str) -> Iterator[tuple[str, Any]]:
    """A base URL and an HTTP client for it."""
    tcp, unix = daemon.status()["http"]["addresses"]
    if place == "socket":
        made, base = http_client(socket=str(daemon.socket), library=httpx2, timeout=WAIT), "http://mesh"
    else:
        over = httpx2.HTTPTransport(uds=unix, verify=_NO_ROOTS) if place == "unix" else None
        made, base = (
            httpx2.Client(transport=over, timeout=WAIT, trust_env=False, verify=_NO_ROOTS),
            tcp if over is None else "http://mesh",
        )
    with made:
        yield base, made


def heard(daemon: Any, place: str, format: str, model: str, *, tools: bool = False) -> Heard:
    with _client(daemon, place) as (base, http):
        found = Heard()
        try:
            _READERS[format](base, http, model, tools, found)
        except (openai.APIError, anthropic.APIError, errors.APIError, httpx2.TransportError) as error:
            found.error = f"{type(error).__name__}: {error}"
        return found


def _chat(base: str, http: Any, model: str, tools: bool, found: Heard) -> None:
    offered: Any = {}
    if tools:
        offered["tools"] = [{"type": "function", "function": {"name": TOOL, "parameters": _SCHEMA}}]
    client = openai.OpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0, http_client=http)
    calls: dict[int, list[str]] = {}
    for chunk in client.chat.completions.create(model=model, messages=_HI, stream=True, **offered):
        for choice in chunk.choices:
            found.text += choice.delta.content or ""
            for call in choice.delta.tool_calls or ():
                name, arguments = calls.setdefault(call.index, ["", ""])
                assert call.function is not None
                calls[call.index] = [name + (call.function.name or ""), arguments + (call.function.arguments or "")]
            found.ended = choice.finish_reason or found.ended
    found.calls = [(name, arguments) for name, arguments in calls.values()]


def _messages(base: str, http: Any, model: str, tools: bool, found: Heard) -> None:
    offered: Any = {"tools": [{"name": TOOL, "input_schema": _SCHEMA}]} if tools else {}
    client = anthropic.Anthropic(base_url=base, api_key="none", max_retries=0, http_client=http)
    blocks: dict[int, list[str]] = {}
    whole, open_, count = False, -1, 0
    for event in client.messages.create(model=model, messages=_HI, max_tokens=1000, stream=True, **offered):
        assert not whole, "it had ended"
        if event.type == "content_block_start":
            assert (open_, event.index) == (-1, count), "one block at a time"
            open_, count = count, count + 1
        elif event.type in ("content_block_delta", "content_block_stop"):
            assert event.index == open_
            open_ = -1 if event.type == "content_block_stop" else open_
        if event.type == "content_block_start" and event.content_block.type == "tool_use":
            blocks[event.index] = [event.content_block.name, ""]
        elif event.type == "content_block_delta" and event.delta.type == "text_delta":
            found.text += event.delta.text
        elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
            blocks[event.index][1] += event.delta.partial_json
        elif event.type == "message_delta":
            found.ended = _STOPS.get(event.delta.stop_reason or "", "")
        whole = whole or event.type == "message_stop"
    found.calls = [(name, arguments) for name, arguments in blocks.values()]
    assert whole or not found.ended, "a reason to stop, and no end"


def _responses(base: str, http: Any, model: str, tools: bool, found: Heard) -> None:
    offered: Any = {"tools": [{"type": "function", "name": TOOL, "parameters": _SCHEMA}]} if tools else {}
    client = openai.OpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0, http_client=http)
    whole: Any = None
    for event in client.responses.create(model=model, input="hi", stream=True, **offered):
        if event.type == "response.output_text.delta":
            found.text += event.delta
        elif event.type in ("response.completed", "response.incomplete"):
            whole = event.response
        elif event.type == "response.failed":
            assert event.response.error is not None
            found.error = event.response.error.message
        elif event.type == "error":
            found.error = event.message
    assert whole is None or not found.error, "completed, and an error"
    if whole is not None:
        found.calls = [(item.name, item.arguments) for item in whole.output if item.type == "function_call"]
        found.ended = "tool_calls" if found.calls else "stop" if whole.status == "completed" else "length"
        assert whole.output_text == found.text, "what it says at the end is what it said on the way"


def _gemini(base: str, http: Any, model: str, tools: bool, found: Heard) -> None:
    declared = FunctionDeclaration(name=TOOL, parameters_json_schema=_SCHEMA)
    config = GenerateContentConfig(tools=[Tool(function_declarations=[declared])]) if tools else None
    options = HttpOptions(base_url=base, httpx_client=http, async_client_args={"ssl": _NO_ROOTS})
    client = genai.Client(api_key="none", http_options=options)
    for chunk in client.models.generate_content_stream(model=model, contents="hi", config=config):
        for candidate in chunk.candidates or ():
            assert not found.ended, "it had ended"
            for part in (candidate.content and candidate.content.parts) or ():
                found.text += part.text or ""
                if part.function_call:
                    arguments = json.dumps(part.function_call.args, separators=(",", ":"))
                    found.calls.append((part.function_call.name or "", arguments))
            reason = candidate.finish_reason.value if candidate.finish_reason else ""
            found.ended = _FINISHES.get(reason, "")
    if found.ended == "stop" and found.calls:
        found.ended = "tool_calls"


_FINISHES = {"STOP": "stop", "MAX_TOKENS": "length"}
_STOPS = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length"}
_READERS: dict[str, Callable[[str, Any, str, bool, Heard], None]] = {
    "chat": _chat,
    "messages": _messages,
    "responses": _responses,
    "gemini": _gemini,
}
FORMATS = tuple(_READERS)
