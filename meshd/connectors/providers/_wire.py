"""The OpenAI wire format: as much of an answer as the mesh must understand, and no more.

Owns: reading usage, finish reasons, content and errors out of answers and stream events.
Must never: change a byte that is passed on, or refuse an answer for a field it does not need.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.cdk.provider import StreamEvent, Usage

MOST_COUNTED = 10**12
"""A count beyond this is no count: it is cut to it, and `routing/settlement.py` takes something else."""
_MOST_DIGITS = 20
_MOST_HIDDEN = 10**7  # tokens of a total that neither half names


class WireUsage(msgspec.Struct):
    """Of any type: a count that is none costs that count, not the chunk it came in."""

    prompt_tokens: Any = None
    completion_tokens: Any = None
    total_tokens: Any = None
    prompt_tokens_details: Any = None
    prompt_cache_hit_tokens: Any = None  # deepseek's
    input_tokens: Any = None  # what servers say that speak OpenAI's newer API, too
    output_tokens: Any = None


_NULL = msgspec.Raw(b"null")


class _Delta(msgspec.Struct):
    content: str | list[Any] | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: str | None = None
    tool_calls: msgspec.Raw = _NULL
    function_call: msgspec.Raw = _NULL
    audio: msgspec.Raw = _NULL
    images: msgspec.Raw = _NULL  # openrouter's


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class _GroqExtra(msgspec.Struct):
    usage: WireUsage | None = None


class Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: WireUsage | None = None
    error: msgspec.Raw = _NULL
    x_groq: _GroqExtra | None = None


class Answer(msgspec.Struct):
    """Choices and data stay raw: an embedding's thousands of numbers are nobody's business here."""

    choices: msgspec.Raw = _NULL
    data: msgspec.Raw = _NULL
    usage: WireUsage | None = None
    error: msgspec.Raw = _NULL


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


_NOTHING = (b"null", b"[]", b"", b"{}", b'""')
_decode_chunk = msgspec.json.Decoder(Chunk).decode
_decode_answer = msgspec.json.Decoder(Answer).decode
_decode_options = msgspec.json.Decoder(_StreamOptions | None).decode
_decode_map = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode
_INCLUDE_USAGE = msgspec.Raw(b'{"include_usage":true}')
_TRUE = msgspec.Raw(b"true")


class Broken(ValueError):
    """Not JSON, or no object."""


def is_set(raw: msgspec.Raw) -> bool:
    if raw is _NULL:
        return False
    view = memoryview(raw)
    return len(view) > 4 or bytes(view) not in _NOTHING


def decode_chunk(data: bytes) -> Chunk:
    try:
        return _decode_chunk(data)
    except msgspec.ValidationError:
        chunk: Chunk = _decode_leniently(data, Chunk, ("choices", "usage", "error"))
        return chunk
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Broken(str(exc)) from None


def decode_answer(data: bytes) -> Answer:
    try:
        return _decode_answer(data)
    except msgspec.ValidationError:
        answer: Answer = _decode_leniently(data, Answer, ("choices", "data", "usage", "error"))
        return answer
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Broken(str(exc)) from None


def _decode_leniently(data: bytes, model: type[Any], names: tuple[str, ...]) -> Any:
    """A field of an unexpected type costs that field, not the answer."""
    try:
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Broken(str(exc)) from None
    result = model()
    for name in names:
        if name in fields:
            try:
                value = msgspec.json.decode(b'{"%s":%s}' % (name.encode(), bytes(fields[name])), type=model)
                setattr(result, name, getattr(value, name))
            except msgspec.ValidationError:
                continue
    return result


def usage_of(wire: WireUsage | None) -> Usage | None:
    """As it was reported, whether it can be true or not; None unless the provider counted something. Of a total that is
    more than its halves the rest is output: thinking, which some leave out of `completion_tokens` (xAI, Gemini)."""
    if wire is None:
        return None
    prompt, output = wire.prompt_tokens, wire.completion_tokens
    if type(prompt) is not int or type(output) is not int:
        prompt, output = _count(prompt, wire.input_tokens), _count(output, wire.output_tokens)
    if prompt is None and output is None:
        return None
    total = wire.total_tokens if type(wire.total_tokens) is int else _count(wire.total_tokens)
    prompt, output = _within(prompt or 0), _within(output or 0)
    if total is not None and 0 < total - prompt - output <= _MOST_HIDDEN and prompt >= 0 and output >= 0:
        output = total - prompt
    details = wire.prompt_tokens_details
    cached = details.get("cached_tokens") if type(details) is dict else None
    if cached is None:
        cached = wire.prompt_cache_hit_tokens
    return Usage(prompt, output, _within(cached if type(cached) is int else _count(cached) or 0))


def _count(*values: Any) -> int | None:
    """The first that is a number: JSON's, or as text."""
    for value in values:
        if isinstance(value, str) and len(value) <= _MOST_DIGITS:
            try:
                value = float(value)
            except ValueError:
                continue
        if isinstance(value, float):
            if math.isfinite(value):
                return math.ceil(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _within(count: int) -> int:
    return max(-1, min(count, MOST_COUNTED))


def read_event(data: bytes, *, hide_usage: bool) -> tuple[StreamEvent, Chunk]:
    """One event of a stream. Raises Broken. hide_usage: the app did not ask for the usage event."""
    chunk = decode_chunk(data)
    wire = chunk.usage or (chunk.x_groq.usage if chunk.x_groq else None)
    usage = usage_of(wire) if wire is not None else None
    if not chunk.choices:
        # Without choices it is the usage report, Azure's preface, or nothing that an app knows to read.
        hidden = chunk.choices is None or (hide_usage and usage is not None)
        return StreamEvent(data, usage=usage, hidden=hidden), chunk
    text, reasoning, extra, finish = "", "", "", None
    for choice in chunk.choices:
        if choice.finish_reason:
            finish = choice.finish_reason
        delta = choice.delta
        if delta is not None:
            said = delta.content
            if isinstance(said, str):
                text += said
            elif said:
                text += _joined(said, "text")
                reasoning += _joined(said, "thinking")
            thought = delta.reasoning_content or delta.reasoning
            if thought:
                reasoning += thought if isinstance(thought, str) else msgspec.json.encode(thought).decode()
            if not (delta.tool_calls is delta.function_call is delta.audio is delta.images is _NULL) or delta.refusal:
                extra += _more_than_text(delta)
        elif choice.text:
            text += choice.text
    content = bool(text or reasoning or extra)
    return StreamEvent(data, content, text, finish, usage, reasoning=reasoning, extra=extra), chunk


def _joined(parts: list[Any], kind: str) -> str:
    """Mistral's content as a list of parts, those of one kind: `text`, or `thinking`, which holds parts of its own."""
    found = ""
    for part in parts:
        if isinstance(part, dict) and part.get("type") == kind:
            inside = part.get(kind, "")
            found += _joined(inside, "text") if isinstance(inside, list) else str(inside)
    return found


def _more_than_text(delta: _Delta) -> str:
    found = delta.refusal or ""
    for raw in (delta.tool_calls, delta.function_call, delta.audio, delta.images):
        if is_set(raw):
            found += bytes(raw).decode(errors="replace")
    return found


def asks_for_usage(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the app wants the usage report of its stream."""
    raw = fields.get("stream_options")
    if raw is None:
        return False
    try:
        options = _decode_options(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return options is not None and options.include_usage


def with_usage(raw: msgspec.Raw | None) -> msgspec.Raw:
    """A request's `stream_options` with the usage report asked for: what is settled by."""
    try:
        options = _decode_map(raw) if raw is not None else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        options = None
    return msgspec.Raw(msgspec.json.encode({**options, "include_usage": _TRUE})) if options else _INCLUDE_USAGE


def as_stream(body: bytes) -> tuple[bytes, str]:
    """A unary answer as one stream event, for servers that ignore `stream`; and its text."""
    document = msgspec.json.decode(body)
    text = ""
    for choice in document.get("choices") or ():
        message = choice.pop("message", None)
        if isinstance(message, dict):
            for index, call in enumerate(message.get("tool_calls") or ()):
                call.setdefault("index", index)
            choice["delta"] = message
            text += message.get("content") or ""
        else:
            text += choice.get("text") or ""
        if not choice.get("finish_reason"):
            choice["finish_reason"] = "stop"
    if document.get("object") == "chat.completion":
        document["object"] = "chat.completion.chunk"
    return msgspec.json.encode(document), text
