"""Chunks without content as servers usually write them: the role, the finish reason, the usage report.

Owns: the names that may stand in one and say nothing more. Two or three such chunks are in every stream, and to look at
each for errors and words under unknown names takes ten times as long as to know that there are none.
Must never: take for bare what has a name that is not listed, or an unusual type: the tolerant reading decides then, and
a name that is missing here costs microseconds, never a word. No name is listed that `_told.py` or `cdk/said.py` read.
"""

from __future__ import annotations

from typing import Literal

import msgspec

_Raw = msgspec.Raw
_NOTHING = msgspec.Raw(b"")
_Empty = Literal[""] | None


class _Delta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: str | None = None
    content: _Empty = None
    refusal: _Empty = None
    reasoning_content: _Empty = None
    reasoning: _Empty = None
    tool_calls: list[None] | None = None  # empty: of one with a call there is content
    function_call: None = None
    audio: None = None
    images: list[None] | None = None
    reasoning_details: list[None] | None = None
    thinking: _Empty = None
    thinking_blocks: list[None] | None = None
    annotations: _Raw = _NOTHING
    provider_specific_fields: _Raw = _NOTHING  # litellm's


class _Choice(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    index: int = 0
    delta: _Delta | None = None
    text: _Empty = None
    finish_reason: str | None = None
    error: None = None
    logprobs: _Raw = _NOTHING
    content_filter_results: _Raw = _NOTHING  # azure's
    content_filter_offsets: _Raw = _NOTHING
    native_finish_reason: _Raw = _NOTHING  # openrouter's
    stop_reason: _Raw = _NOTHING  # vllm's
    token_ids: _Raw = _NOTHING
    matched_stop: _Raw = _NOTHING  # sglang's
    seed: _Raw = _NOTHING  # together's


class _Chunk(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    choices: list[_Choice]
    object: Literal["chat.completion.chunk", "chat.completion", "text_completion", ""] | None = None
    id: _Raw = _NOTHING
    created: _Raw = _NOTHING
    model: _Raw = _NOTHING
    system_fingerprint: _Raw = _NOTHING
    service_tier: _Raw = _NOTHING
    obfuscation: _Raw = _NOTHING
    usage: _Raw = _NOTHING
    provider: _Raw = _NOTHING  # openrouter's
    x_groq: _Raw = _NOTHING
    timings: _Raw = _NOTHING  # llama.cpp's
    prompt_filter_results: _Raw = _NOTHING  # azure's
    prompt_token_ids: _Raw = _NOTHING  # vllm's
    metadata: _Raw = _NOTHING  # sglang's
    citations: _Raw = _NOTHING  # perplexity's
    search_results: _Raw = _NOTHING


_decode = msgspec.json.Decoder(_Chunk).decode


def is_bare(data: bytes) -> bool:
    """Whether a chunk, in which no content was found, certainly has none, and no error."""
    try:
        _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
