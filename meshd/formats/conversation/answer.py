"""An answer: its content, why it ended, and its usage."""

from __future__ import annotations

import enum
import time

import msgspec

from meshd.formats.conversation.citations import Citation
from meshd.formats.conversation.parts import Part, Record
from meshd.sdk.provider import Usage


class Finish(enum.StrEnum):
    """Why an answer ended.

    Anthropic's `stop_reason`: end_turn STOP, stop_sequence SEQUENCE, max_tokens LENGTH, model_context_window_exceeded
    CONTEXT, tool_use TOOL_CALLS, refusal REFUSAL, pause_turn PAUSE. Gemini's `finishReason`: STOP, MAX_TOKENS LENGTH,
    SAFETY, RECITATION, BLOCKLIST, PROHIBITED_CONTENT, SPII and IMAGE_SAFETY FILTER, MALFORMED_FUNCTION_CALL and OTHER
    OTHER; a `promptFeedback.blockReason` is FILTER as well. Responses' `incomplete_details.reason`: max_output_tokens
    LENGTH, content_filter FILTER.
    """

    STOP = "stop"
    SEQUENCE = "sequence"  # one of the request's stop texts
    LENGTH = "length"  # the request's output limit
    CONTEXT = "context"  # the model's context window
    TOOL_CALLS = "tool_calls"
    FILTER = "filter"
    REFUSAL = "refusal"  # by the model or a classifier, instead of an answer
    PAUSE = "pause"  # the provider's own tools take longer: the app should ask again
    OTHER = "other"


class TokenLogprob(msgspec.Struct, frozen=True):
    """A token of the text and its likelihood. spelled: its bytes, None if not said. top: the likeliest at its place."""

    token: str
    logprob: float
    spelled: bytes | None = None
    top: tuple[TokenLogprob, ...] = ()


class Choice(Record, frozen=True):
    """One of the answers to a request (Gemini's candidate). finish: None if it is not known to have ended. sequence:
    the stop text that ended it (Anthropic). citations: what its texts cite, with places in all of its texts joined."""

    parts: tuple[Part, ...] = ()
    finish: Finish | None = None
    index: int = 0
    sequence: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    citations: tuple[Citation, ...] = ()


class Answer(Record, frozen=True):
    """created: seconds since 1970. usage: the input includes what was read from a cache and written to it, as in
    OpenAI's counts; Anthropic counts these separately, and they are added up when read."""

    choices: tuple[Choice, ...]
    id: str = ""
    model: str = ""
    created: int | None = None
    usage: Usage | None = None


def created_at(told: int | None) -> int:
    """Seconds since 1970: as reported by the provider, otherwise now, since few APIs report it."""
    return int(time.time()) if told is None else told
