"""Chunks without content as servers usually write them: the role, the finish reason, the usage report.

Owns: the names that may occur in one and mean nothing. Every stream has two or three such chunks, and searching each
for errors and text under unknown names takes ten times as long as recognising them.
Must never: accept an unlisted name, or an unusual type: the tolerant reader decides on these, so a name missing here
costs microseconds, never text. Names that `formats/errors/error_answers.py` or `sdk/reading/message_content.py` read
are not listed.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from meshd.sdk.reading.lenient import UNREADABLE

_Raw = msgspec.Raw
_NOTHING = msgspec.Raw(b"")
_Empty = Literal[""] | None


class Delta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: str | None = None
    content: _Empty = None
    refusal: _Empty = None
    reasoning_content: _Empty = None
    reasoning: _Empty = None
    tool_calls: list[None] | None = None  # empty: a chunk with a call has content
    function_call: None = None
    audio: None = None
    images: list[None] | None = None
    reasoning_details: list[None] | None = None
    thinking: _Empty = None
    thinking_blocks: list[None] | None = None
    annotations: _Raw = _NOTHING
    provider_specific_fields: _Raw = _NOTHING  # litellm's


class Choice(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    index: int = 0
    delta: Delta | None = None
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


class Chunk(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    choices: list[Choice]
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


_decode = msgspec.json.Decoder(Chunk).decode


def is_bare(data: bytes) -> bool:
    """Whether a chunk certainly has neither content nor an error."""
    try:
        _decode(data)
    except UNREADABLE:
        return False
    return True
