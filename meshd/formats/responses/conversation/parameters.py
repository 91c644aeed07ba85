"""The top level of a request besides its input and tools."""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.formats.conversation.parts import Original, Other
from meshd.formats.conversation.portable import user_id
from meshd.formats.conversation.reading import Fields, json_of
from meshd.formats.conversation.request import AnswerKind, Parameters, ResponseFormat, Tool
from meshd.formats.responses.conversation.content import FORMAT
from meshd.formats.responses.conversation.tools import read_tool_choice, written_tool_choice
from modelmesh.errors import InvalidRequestError

_KINDS = {"text": AnswerKind.TEXT, "json_object": AnswerKind.JSON, "json_schema": AnswerKind.SCHEMA}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_LOGPROBS = "message.output_text.logprobs"
_BOUND = ("conversation", "prompt", "background")
"""They refer to what OpenAI keeps, or leave the answer with OpenAI."""


def read_parameters(fields: Fields) -> Parameters:
    original = Original(FORMAT, json_of(fields.left))
    bound = tuple(name for name in _BOUND if fields.left.get(name) not in (None, False))
    effort, shown = _read_reasoning(fields)
    verbosity, wanted = _read_text(fields)
    include = fields.entries("include")
    stream, top_logprobs = fields.flag("stream"), fields.whole("top_logprobs")
    return Parameters(
        max_output_tokens=_limit(fields),
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        logprobs=_LOGPROBS in include,
        top_logprobs=top_logprobs,
        reasoning_effort=effort,
        reasoning_shown=shown,
        verbosity=verbosity,
        response_format=wanted,
        tool_choice=read_tool_choice(fields),
        parallel_tool_calls=fields.flag("parallel_tool_calls"),
        user=fields.text("user"),
        stream=bool(stream),
        stream_usage=bool(stream),
        previous=fields.text("previous_response_id"),
        bound=bound,
        original=original,
    )


def _read_reasoning(fields: Fields) -> tuple[str, bool | None]:
    """The effort, and whether it is shown."""
    if "reasoning" not in fields.left:
        return "", None
    reasoning = fields.inner("reasoning")
    effort, summary, generated = (reasoning.text(name) for name in ("effort", "summary", "generate_summary"))
    return effort, True if summary or generated else None


def _read_text(fields: Fields) -> tuple[str, ResponseFormat | None]:
    """The verbosity and the format."""
    if "text" not in fields.left:
        return "", None
    text = fields.inner("text")
    return text.text("verbosity"), _read_format(text)


def _limit(fields: Fields) -> int | None:
    limit = fields.whole("max_output_tokens")
    return limit if limit is not None and limit > 0 else None


def _read_format(text: Fields) -> ResponseFormat | None:
    if text.left.get("format") is None:
        return None
    inner = text.inner("format")
    name = inner.take("type")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        inner.refuse("type", f"one of {', '.join(_KINDS)}")
        return None
    if kind is not AnswerKind.SCHEMA:
        return ResponseFormat(kind)
    return ResponseFormat(
        kind, inner.json("schema"), inner.text("name"), inner.text("description"), inner.flag("strict")
    )


def written_parameters(parameters: Parameters, tools: tuple[Tool | Other, ...]) -> dict[str, Any]:
    """Raises InvalidRequestError for parameters that this API lacks and the app would miss.

    Left out, because the answer has the same form without them: seed, top_k, a budget for reasoning.
    """
    for name in ("stop", "choices", "frequency_penalty", "presence_penalty"):
        if getattr(parameters, name) not in (None, (), 0, 1):
            name = "n" if name == "choices" else name
            raise InvalidRequestError(
                f"`{name}` is not possible with this model: the Responses API has no such parameter",
                param=name,
                code="unsupported_parameter",
            )
    choice, wanted = parameters.tool_choice, parameters.response_format
    reasoning = {
        "effort": parameters.reasoning_effort or None,
        "summary": "auto" if parameters.reasoning_shown else None,
    }
    text = {
        "format": None if wanted is None else _written_format(wanted),
        "verbosity": parameters.verbosity or None,
    }
    return _given(
        {
            "max_output_tokens": parameters.max_output_tokens,
            "temperature": parameters.temperature,
            "top_p": parameters.top_p,
            "include": [_LOGPROBS] if parameters.logprobs else None,
            "top_logprobs": parameters.top_logprobs,
            "reasoning": _given(reasoning) or None,
            "text": _given(text) or None,
            "tool_choice": None if choice is None else written_tool_choice(choice, tools),
            "parallel_tool_calls": parameters.parallel_tool_calls,
            "user": user_id(parameters.user, 64),  # of `safety_identifier`, which it became
            "stream": parameters.stream or None,
            "previous_response_id": parameters.previous or None,
        }
    )


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _written_format(wanted: ResponseFormat) -> dict[str, Any]:
    made: dict[str, Any] = {"type": _NAMES[wanted.kind]}
    if wanted.kind is AnswerKind.SCHEMA:
        schema = None if wanted.schema is None else msgspec.Raw(wanted.schema)
        name, description = wanted.name or "answer", wanted.description or None
        made |= _given({"name": name, "schema": schema, "description": description, "strict": wanted.strict})
    return made
