"""The OpenAI wire format: as much of an answer as the mesh must understand, and no more.

Owns: reading usage, finish reasons, content and errors out of answers and stream events.
Must never: change a byte that is passed on, or refuse an answer for a field it does not need.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.catalogue import broken_off_reasons
from meshd.cdk import lenient
from meshd.cdk.provider import StreamEvent, Usage
from meshd.cdk.said import read as read_said
from meshd.connectors.providers import _told
from meshd.connectors.providers._bare import is_bare

MOST_COUNTED = 10**12
"""A count beyond this is no count: it is cut to it, and `routing/settlement.py` takes something else."""
_MOST_DIGITS = 20
_MOST_HIDDEN = 10**7  # tokens of thinking that `completion_tokens` leaves out


class WireUsage(msgspec.Struct):
    """Of any type: a count that is none costs that count, not the chunk it came in."""

    prompt_tokens: Any = None
    completion_tokens: Any = None
    total_tokens: Any = None
    prompt_tokens_details: Any = None
    prompt_cache_hit_tokens: Any = None  # deepseek's
    cache_creation_input_tokens: Any = None  # anthropic's, as litellm and others pass them on
    cache_read_input_tokens: Any = None
    input_tokens: Any = None  # what servers say that speak OpenAI's newer API, too
    output_tokens: Any = None
    completion_tokens_details: Any = None
    output_tokens_details: Any = None
    reasoning_tokens: Any = None
    citation_tokens: Any = None  # perplexity's, as the next two
    num_search_queries: Any = None
    search_context_size: Any = None


NULL = msgspec.Raw(b"null")


class Delta(msgspec.Struct, gc=False):
    """As most servers write it; what is written otherwise is read by `said.py`."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: msgspec.Raw = NULL
    function_call: msgspec.Raw = NULL
    audio: msgspec.Raw = NULL
    images: msgspec.Raw = NULL  # openrouter's
    reasoning_details: msgspec.Raw = NULL
    thinking: msgspec.Raw = NULL
    thinking_blocks: msgspec.Raw = NULL
    error: msgspec.Raw = NULL


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    delta: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    error: msgspec.Raw = NULL
    says: bool = msgspec.field(default=False, name="//says")  # found out here, of no server's


class _GroqExtra(msgspec.Struct):
    usage: WireUsage | None = None


class Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: WireUsage | None = None
    error: msgspec.Raw = NULL
    base_resp: msgspec.Raw = NULL  # minimax's
    error_code: msgspec.Raw = NULL
    x_groq: _GroqExtra | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


_EMPTY = re.compile(rb'\s*(\[\s*\]|\{\s*\}|"")?\s*|\s*[^\s\["{].*', re.S)
_ERRORS = ("error", "base_resp", "error_code")
_USUAL_ENDS = frozenset({"stop", "length", "tool_calls", "function_call"})
_BROKEN_OFF = re.compile(r"error|abort|fail|time[d_ -]*out|overload|malformed|cancel|interrupt|unavailable", re.I)
STRICT_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode_chunk = msgspec.json.Decoder(Chunk).decode
_decode_options = msgspec.json.Decoder(_StreamOptions | None).decode
_decode_map = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode
_INCLUDE_USAGE = msgspec.Raw(b'{"include_usage":true}')
_TRUE = msgspec.Raw(b"true")


class Broken(ValueError):
    """Not JSON, or no object."""


class Told(Exception):
    """What came is an error. `error`: it, or what it is inside of, as plain JSON."""

    def __init__(self, error: bytes) -> None:
        super().__init__("an error inside a 200")
        self.error = error


class Nothing(Exception):
    """An object that is no chunk. doubtful: it has words that might be an error's. end: it says that it is over."""

    def __init__(self, doubtful: bool, end: bool) -> None:
        super().__init__("no chunk")
        self.doubtful = doubtful
        self.end = end


def is_set(raw: msgspec.Raw) -> bool:
    """Whether it is a list, a map or a text, and not an empty one."""
    return raw is not NULL and _EMPTY.fullmatch(raw) is None


def is_broken_off(finish_reason: str) -> bool:
    """Whether a finish reason says that the answer is not whole."""
    if finish_reason in _USUAL_ENDS:
        return False
    return bool(_BROKEN_OFF.search(finish_reason)) or finish_reason in broken_off_reasons()


def usage_of(wire: WireUsage | None) -> Usage | None:
    """As it was reported, whether it can be true or not; None unless the provider counted something. What is beside the
    two halves is added to them: of readings that fit a report the one with more tokens counts."""
    if wire is None:
        return None
    prompt, output = wire.prompt_tokens, wire.completion_tokens
    if _adds_up(wire) and 0 <= prompt <= MOST_COUNTED and 0 <= output <= MOST_COUNTED:
        return Usage(prompt, output)
    if type(prompt) is not int or type(output) is not int:
        prompt, output = _count(prompt, wire.input_tokens), _count(output, wire.output_tokens)
    if prompt is None and output is None:
        return None
    prompt, output = _halves(prompt, output, wire)
    details = wire.prompt_tokens_details
    cached = details.get("cached_tokens") if type(details) is dict else None
    if cached is None:
        cached = _count(wire.prompt_cache_hit_tokens, wire.cache_read_input_tokens)
    cached = _within(cached if type(cached) is int else _count(cached) or 0)
    written = _written(wire)
    if written and prompt >= 0 and cached >= 0 and written + cached > prompt:
        prompt = _within(prompt + written + cached)  # Anthropic's own counts: neither is a part of the prompt's
    return Usage(prompt, output, cached, written)


def _halves(prompt: int | None, output: int | None, wire: WireUsage) -> tuple[int, int]:
    """A half that is missing is what the total has beside the other, and so is thinking that `completion_tokens` leaves
    out (xAI, Gemini). Perplexity's total leaves out its thinking and what it cites, SGLang's `reasoning_tokens` are a
    part of `completion_tokens`, as OpenAI's are."""
    total = _within(_count(wire.total_tokens) or 0)
    if (prompt is None or prompt < 0) and output is not None and 0 <= output < total:
        prompt = total - output
    prompt, told = _within(prompt or 0), _within(output or 0)
    output = told
    if prompt >= 0 and 0 < total - prompt - max(told, 0) <= _MOST_HIDDEN:
        output = total - prompt
    thought = _thought(wire)
    searches = not (wire.citation_tokens is wire.num_search_queries is wire.search_context_size is None)
    if thought and told >= 0 and (searches or thought > told):
        output = max(output, told + thought)
    cited = _count(wire.citation_tokens) or 0
    return (_within(prompt + cited) if prompt >= 0 and 0 < cited <= _MOST_HIDDEN else prompt), _within(output)


def _thought(wire: WireUsage) -> int:
    """Tokens of thinking, 0 where none are told that can be."""
    details = (wire.completion_tokens_details, wire.output_tokens_details)
    said = [each.get(name) for each in details if type(each) is dict for name in _THINKING]
    counts = [_count(value) or 0 for value in (wire.reasoning_tokens, *said)]
    return max((count for count in counts if count <= _MOST_HIDDEN), default=0)


def _adds_up(wire: WireUsage) -> bool:
    """Whether it is of three counts that fit each other, and says nothing of a cache, nor more thinking than output: as
    most reports are."""
    prompt, output, total, details = (
        wire.prompt_tokens,
        wire.completion_tokens,
        wire.total_tokens,
        wire.prompt_tokens_details,
    )
    if not (type(prompt) is type(output) is type(total) is int and total == prompt + output):
        return False
    if details is not None and details != _NO_CACHE and details != _NO_CACHE_OR_AUDIO:
        return False
    details = wire.completion_tokens_details
    if details is not None:
        if type(details) is not dict or "thinking_tokens" in details or "thoughts_tokens" in details:
            return False
        thought = details.get("reasoning_tokens", 0)
        if type(thought) is not int or thought > output:
            return False
    if not (wire.reasoning_tokens is wire.output_tokens_details is wire.citation_tokens is None):
        return False
    return wire.prompt_cache_hit_tokens is wire.cache_read_input_tokens is wire.cache_creation_input_tokens is None


_THINKING = ("reasoning_tokens", "thinking_tokens", "thoughts_tokens")
_NO_CACHE = {"cached_tokens": 0}
_NO_CACHE_OR_AUDIO = {"cached_tokens": 0, "audio_tokens": 0}  # openai's
_WRITTEN = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")


def _written(wire: WireUsage) -> int | None:
    """Tokens written to a cache, None where nothing is said of it."""
    details = wire.prompt_tokens_details
    said = [details.get(name) for name in _WRITTEN] if type(details) is dict else []
    count = _count(wire.cache_creation_input_tokens, *said)
    return None if count is None or count < 0 else _within(count)


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
    """One event of a stream. hide_usage: the app did not ask for the usage event. Raises Broken, Told, Nothing."""
    try:
        chunk = _decode_chunk(data)
    except STRICT_ERRORS:
        return _read_oddly(data, hide_usage)
    if not (chunk.error is chunk.base_resp is chunk.error_code is NULL):
        return _read_oddly(data, hide_usage)
    wire = chunk.usage or (chunk.x_groq.usage if chunk.x_groq else None)
    usage = usage_of(wire) if wire is not None else None
    text, reasoning, extra, finish = "", "", "", None
    for choice in chunk.choices or ():
        if choice.finish_reason:
            finish = choice.finish_reason
            if finish not in _USUAL_ENDS:
                return _read_oddly(data, hide_usage)
        delta = choice.delta
        if choice.error is not NULL:
            return _read_oddly(data, hide_usage)
        if delta is None:
            if choice.text:
                choice.says = True
                text += choice.text
            continue
        if delta.content:
            choice.says = True
            text += delta.content
        if thought := delta.reasoning_content or delta.reasoning:
            choice.says = True
            reasoning += thought
        if not (delta.tool_calls is delta.function_call is delta.audio is delta.images is NULL) or delta.refusal:
            more = _more_than_text(delta)
            choice.says = choice.says or bool(more)
            extra += more
        if delta.error is not NULL or not (
            thought or delta.reasoning_details is delta.thinking is delta.thinking_blocks is NULL
        ):
            return _read_oddly(data, hide_usage)
    if text or reasoning or extra:
        return StreamEvent(data, True, text, finish, usage, reasoning=reasoning, extra=extra), chunk
    # Few have nothing: the first and the last, and what is no chunk. These are looked at closely.
    if (usage is None and not chunk.choices) or chunk.choices is None or not is_bare(data):
        return _read_oddly(data, hide_usage)
    hidden = not chunk.choices and hide_usage
    return StreamEvent(data, False, "", finish, usage, hidden), chunk


def _more_than_text(delta: Delta) -> str:
    found = delta.refusal or ""
    for raw in (delta.tool_calls, delta.function_call, delta.audio, delta.images):
        if is_set(raw):
            found += bytes(raw).decode(errors="replace")
    return found


def _read_oddly(data: bytes, hide_usage: bool) -> tuple[StreamEvent, Chunk]:
    """The same of a chunk that is not as it should be, or says nothing: a field of another type costs that field."""
    document, data = document_of(data)
    choices, usage = choices_of(document), usage_in(document)
    if any(map(is_failed, choices)):
        raise Told(error_of(document))
    found: list[_Choice] = []
    said = []
    for position, choice in enumerate(choices):
        delta = choice.get("delta")
        reading = read_said(delta if isinstance(delta, dict) else {"text": choice.get("text")})
        said.append(reading)
        finish = finish_reason(choice)
        found.append(_Choice(_index(choice, position), None, None, finish, says=any(reading)))
    chunk = Chunk(found)
    has_content = any(map(any, said))
    if has_content:  # beside it, only what is certainly an error is one
        flagged = any(_told.says_something(document.get(name)) for name in _ERRORS)
    else:
        flagged = _told.is_flagged(document)
    if flagged:
        raise Told(error_of(document))
    if not has_content:
        if _told.is_error(document):
            raise Told(lenient.plain(document))
        if not choices and usage is None:
            sign = _told.of_object(document)
            if sign is _told.Sign.ERROR:
                raise Told(lenient.plain(document))
            if "choices" not in document or not document.keys() & {"id", "prompt_filter_results"}:
                raise Nothing(sign is _told.Sign.DOUBTFUL, _told.ends(document))
    if not choices:
        # Without choices it is the usage report, or Azure's preface.
        hidden = (usage is None and document.get("choices") is None) or (hide_usage and usage is not None)
        return StreamEvent(data, usage=usage, hidden=hidden), chunk
    text, reasoning, extra = ("".join(kind) for kind in zip(*said, strict=True))
    finish = next((choice.finish_reason for choice in reversed(found) if choice.finish_reason), None)
    content = bool(text or reasoning or extra)
    return StreamEvent(data, content, text, finish, usage, reasoning=reasoning, extra=extra), chunk


def document_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    """What it holds, and the bytes of it that an app can read. Raises Broken."""
    try:
        document = msgspec.json.decode(data)
    except STRICT_ERRORS:
        try:
            document = lenient.decode_odd(data)
        except lenient.NotJSON as exc:
            raise Broken(str(exc)) from None
        data = lenient.readable(data, document)
    if not isinstance(document, dict):
        raise Broken("no object")
    return document, data


def choices_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    choices = document.get("choices")
    if isinstance(choices, dict):
        choices = [choices]
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def usage_in(document: Mapping[str, Any]) -> Usage | None:
    """Its report; a figure of another type costs that figure."""
    wire = document.get("usage")
    if not isinstance(wire, dict):
        groq = document.get("x_groq")
        wire = groq.get("usage") if isinstance(groq, dict) else None
    known = WireUsage.__struct_fields__
    return (
        usage_of(WireUsage(**{name: wire[name] for name in known if name in wire})) if isinstance(wire, dict) else None
    )


def _index(choice: Mapping[str, Any], position: int) -> int:
    index = choice.get("index")
    try:
        return int(index) if isinstance(index, int | float | str) else position
    except (ValueError, OverflowError):
        return position


def finish_reason(choice: Mapping[str, Any]) -> str | None:
    """As text, in whatever it is wrapped; None where it is anything else."""
    reason = choice.get("finish_reason")
    if isinstance(reason, dict):
        reason = next((value for value in reason.values() if isinstance(value, str) and value), None)
    return reason if isinstance(reason, str) and reason.lower() not in ("", "null", "none") else None


def is_failed(choice: Mapping[str, Any]) -> bool:
    reason = finish_reason(choice)
    return error_in(choice) is not None or (reason is not None and is_broken_off(reason))


def error_in(choice: Mapping[str, Any]) -> Any:
    """The error that is told in a choice, or in what it says; else None."""
    for inside in (choice, choice.get("delta"), choice.get("message")):
        if isinstance(inside, dict) and _told.says_something(inside.get("error")):
            return inside["error"]
    return None


def error_of(document: Mapping[str, Any]) -> bytes:
    """The error that is told in a choice, else what tells it."""
    if not _told.is_flagged(document):
        for choice in choices_of(document):
            if (error := error_in(choice)) is not None:
                return lenient.plain({"error": error})
            if is_failed(choice):
                message = f"the provider broke its answer off: {finish_reason(choice)}"
                return lenient.plain({"error": {"message": message}})
    return lenient.plain(document)


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
