"""A request: turns, tools and parameters."""

from __future__ import annotations

import enum

import msgspec

from meshd.formats.conversation.parts import CacheMark, Json, Other, Part, Record


class Role(enum.StrEnum):
    """The author of a turn. Anthropic, Gemini and Responses (`instructions`) keep the system's text separate from the
    turns; here it is the first turn. Developer: OpenAI's newer name for instructions by the app rather than its
    user."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class Turn(Record, frozen=True):
    """parts: in the order in which they were said. Results of tools have a turn of their own with the role TOOL, even
    if a format (Anthropic, Gemini) puts them into the user's. name: of the participant (OpenAI)."""

    role: Role
    parts: tuple[Part, ...] = ()
    name: str = ""


class Namespace(msgspec.Struct, frozen=True):
    """A group of tools (Responses)."""

    name: str
    description: str = ""


class Tool(Record, frozen=True):
    """A tool that the app runs. name: it is the only one of the request with that name. schema: JSON Schema of its
    arguments (OpenAI's and Gemini's `parameters`, Anthropic's `input_schema`). custom: it takes any text, or text that
    follows a grammar (OpenAI; as its chat format writes it). namespace, local: the group that it is in, and its name
    there; `name` is made of both (`tool_names.py`), for formats without groups."""

    name: str
    description: str = ""
    schema: Json | None = None
    strict: bool | None = None
    custom: bool = False
    grammar: Json | None = None
    cache: CacheMark | None = None
    namespace: Namespace | None = None
    local: str = ""


class ToolMode(enum.StrEnum):
    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"  # Anthropic's and Gemini's "any"


class ToolChoice(msgspec.Struct, frozen=True):
    """names: the only tools that may be called; empty: any. One tool that must be called is REQUIRED and its name
    (Anthropic's `tool`, OpenAI's `function`), several are OpenAI's `allowed_tools` and Gemini's
    `allowedFunctionNames`."""

    mode: ToolMode
    names: tuple[str, ...] = ()


class AnswerKind(enum.StrEnum):
    TEXT = "text"
    JSON = "json"
    SCHEMA = "schema"


class ResponseFormat(msgspec.Struct, frozen=True):
    """OpenAI's `response_format`, Responses' `text.format`, Anthropic's `output_config.format`, Gemini's
    `responseMimeType` and `responseSchema`."""

    kind: AnswerKind
    schema: Json | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


class Parameters(Record, frozen=True):
    """How to answer. None and "" mean that the app did not set it.

    max_output_tokens: Anthropic requires it; a writer of that format has to know the model's. stop: Anthropic's and
    Gemini's `stopSequences`. choices: OpenAI's `n`, Gemini's `candidateCount`. reasoning_effort: OpenAI's word,
    Gemini's `thinkingLevel`. reasoning_budget: tokens (Anthropic's `budget_tokens`, Gemini's `thinkingBudget`), 0:
    none. reasoning_shown: Gemini's `includeThoughts`, Responses' `reasoning.summary`. stream_usage: the app wants the
    usage at the end of its stream (OpenAI's `stream_options`; the others always send it). previous: the answer that
    this continues, which only its provider knows (Responses' `previous_response_id`). bound: fields of the original
    without which the request would mean something else, and which no other format has.

    OpenAI's `logit_bias`, `modalities`, `prediction`, `metadata` and the like have no counterpart and stay in the
    original; so do Gemini's `safetySettings` and Anthropic's `container`.
    """

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    choices: int | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    reasoning_effort: str = ""
    reasoning_budget: int | None = None
    reasoning_adaptive: bool = False  # the model decides how much (Anthropic's `adaptive`)
    reasoning_shown: bool | None = None
    verbosity: str = ""
    response_format: ResponseFormat | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    user: str = ""
    stream: bool = False
    stream_usage: bool = False
    previous: str = ""
    bound: tuple[str, ...] = ()


class Conversation(msgspec.Struct, frozen=True):
    """A request. model: as the app named it, in the body or, with Gemini, in the path."""

    model: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool | Other, ...] = ()
    parameters: Parameters = Parameters()
