"""The OpenAI wire format: as much of an answer as the mesh must understand, and no more.

Owns: reading usage, finish reasons, content and errors out of answers and stream events.
Must never: change a byte that is passed on, or refuse an answer for a field it does not need.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.cdk.provider import StreamEvent, Usage

Number = int | float | None


class _Details(msgspec.Struct):
    cached_tokens: Number = None


class WireUsage(msgspec.Struct):
    prompt_tokens: Number = None
    completion_tokens: Number = None
    total_tokens: Number = None
    prompt_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: Number = None  # deepseek's


class _Delta(msgspec.Struct):
    content: str | list[Any] | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: str | None = None
    tool_calls: msgspec.Raw = msgspec.Raw(b"null")
    function_call: msgspec.Raw = msgspec.Raw(b"null")
    audio: msgspec.Raw = msgspec.Raw(b"null")


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
    error: msgspec.Raw = msgspec.Raw(b"null")
    x_groq: _GroqExtra | None = None


class Answer(msgspec.Struct):
    """Choices and data stay raw: an embedding's thousands of numbers are nobody's business here."""

    choices: msgspec.Raw = msgspec.Raw(b"null")
    data: msgspec.Raw = msgspec.Raw(b"null")
    usage: WireUsage | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


_NOTHING = (b"null", b"[]", b"", b"{}", b'""')
_decode_chunk = msgspec.json.Decoder(Chunk).decode
_decode_answer = msgspec.json.Decoder(Answer).decode


class Broken(ValueError):
    """Not JSON, or no object."""


def is_set(raw: msgspec.Raw) -> bool:
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
    """None unless the provider counted something."""
    if wire is None or (wire.prompt_tokens is None and wire.completion_tokens is None):
        return None
    prompt = int(wire.prompt_tokens or 0)
    output = wire.completion_tokens
    if output is None:
        output = max(0, (wire.total_tokens or prompt) - prompt)
    cached = wire.prompt_tokens_details.cached_tokens if wire.prompt_tokens_details else None
    if cached is None:
        cached = wire.prompt_cache_hit_tokens
    return Usage(input_tokens=prompt, output_tokens=int(output), cached_tokens=int(cached or 0))


def read_event(data: bytes, *, hide_usage: bool) -> tuple[StreamEvent, Chunk]:
    """One event of a stream. Raises Broken. hide_usage: the app did not ask for the usage event."""
    chunk = decode_chunk(data)
    wire = chunk.usage or (chunk.x_groq.usage if chunk.x_groq else None)
    usage = usage_of(wire) if wire is not None else None
    if not chunk.choices:
        # Without choices it is the usage report, Azure's preface, or nothing that an app knows to read.
        hidden = chunk.choices is None or (hide_usage and usage is not None)
        return StreamEvent(data, usage=usage, hidden=hidden), chunk
    content, text, finish = False, "", None
    for choice in chunk.choices:
        if choice.finish_reason:
            finish = choice.finish_reason
        delta = choice.delta
        if delta is not None:
            said = delta.content
            if said:
                content = True
                text += said if isinstance(said, str) else _joined(said)
            elif (
                delta.reasoning_content
                or delta.reasoning
                or delta.refusal
                or is_set(delta.tool_calls)
                or is_set(delta.function_call)
                or is_set(delta.audio)
            ):
                content = True
        elif choice.text:
            content = True
            text += choice.text
    return StreamEvent(data, content, text, finish, usage), chunk


def _joined(parts: list[Any]) -> str:
    """Mistral's content as a list of parts: the text ones; thinking is not part of the answer."""
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict) and part.get("type") == "text")


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
