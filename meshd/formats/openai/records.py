"""The decoded parts of requests, answers and events in OpenAI's format: only what is looked at.

Must never: hold a field that is only passed on, or any rule: the modules that read these records are compiled, and
msgspec's classes cannot be.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

NULL: msgspec.Raw = msgspec.Raw(b"null")


class ResponseFormat(msgspec.Struct):
    type: str = ""


# No model gives more; and estimates made with them stay finite.
Tokens = Annotated[int, msgspec.Meta(le=10**8)]
Choices = Annotated[int, msgspec.Meta(le=10**4)]


class Message(msgspec.Struct):
    """Any map; if its content is a list, it has parts."""

    content: msgspec.Raw = msgspec.Raw(b"")


class Parameters(msgspec.Struct):
    """The parameters that routing reads in every operation."""

    stream: bool | None = None
    response_format: ResponseFormat | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    logprobs: bool | int | None = None
    n: Choices | None = None
    best_of: Choices | None = None


class ParametersOfFiles(Parameters):
    """The parameters of operations whose answer is not made of tokens: `response_format` is only a name there, and
    routing ignores it."""

    response_format: Any = None


class WireUsage(msgspec.Struct):
    """Of any type: an invalid count costs only itself, not its chunk."""

    prompt_tokens: Any = None
    completion_tokens: Any = None
    total_tokens: Any = None
    prompt_tokens_details: Any = None
    prompt_cache_hit_tokens: Any = None  # deepseek's
    cache_creation_input_tokens: Any = None  # anthropic's, as litellm and others pass them on
    cache_read_input_tokens: Any = None
    input_tokens: Any = None  # of servers that also have OpenAI's newer API
    output_tokens: Any = None
    input_tokens_details: Any = None
    input_token_details: Any = None  # of its transcriptions
    completion_tokens_details: Any = None
    output_tokens_details: Any = None
    reasoning_tokens: Any = None
    citation_tokens: Any = None  # perplexity's, as the next two
    num_search_queries: Any = None
    search_context_size: Any = None
    seconds: Any = None  # of audio, transcribed
    search_units: Any = None  # cohere's
    pages_processed: Any = None  # mistral's


class Delta(msgspec.Struct, gc=False):
    """As most servers write it; `sdk/reading/message_content.py` reads the others."""

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


class Choice(msgspec.Struct, gc=False):
    index: int = 0
    delta: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    finish_reason_else: msgspec.Raw = msgspec.field(default=NULL, name="finishReason")
    error: msgspec.Raw = NULL
    says: bool = msgspec.field(default=False, name="//says")  # computed here, not sent by servers


class GroqExtra(msgspec.Struct):
    usage: WireUsage | None = None
    error: msgspec.Raw = NULL


class Chunk(msgspec.Struct):
    choices: list[Choice] | None = None
    usage: WireUsage | None = None
    error: msgspec.Raw = NULL
    base_resp: msgspec.Raw = NULL  # minimax's
    error_code: msgspec.Raw = NULL
    status: msgspec.Raw = NULL
    type: msgspec.Raw = NULL
    x_groq: GroqExtra | None = None
    service_tier: Any = None


class StreamOptions(msgspec.Struct):
    include_usage: bool = False


class Part(msgspec.Struct):
    """A choice of a unary answer."""

    message: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    error: msgspec.Raw = NULL


class Answer(msgspec.Struct):
    """Data stays raw: an embedding's thousands of numbers are not needed here."""

    choices: list[Part] | None = None
    data: msgspec.Raw = NULL
    usage: WireUsage | None = None
    error: msgspec.Raw = NULL
    base_resp: msgspec.Raw = NULL
    error_code: msgspec.Raw = NULL
    status: msgspec.Raw = NULL
    type: msgspec.Raw = NULL
    x_groq: GroqExtra | None = None
    service_tier: Any = None
