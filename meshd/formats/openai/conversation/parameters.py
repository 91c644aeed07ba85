"""The top level of a request besides its messages and tools."""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.formats.conversation.portable import user_id
from meshd.formats.conversation.reading import Fields
from meshd.formats.conversation.request import AnswerKind, Parameters, ResponseFormat
from meshd.formats.openai.conversation.tools import read_tool_choice, written_tool_choice

_KINDS = {"text": AnswerKind.TEXT, "json_object": AnswerKind.JSON, "json_schema": AnswerKind.SCHEMA}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def read_parameters(fields: Fields) -> Parameters:
    """top_k and thinking_budget, which many servers accept and OpenAI refuses, are read but not taken: they are written
    back only if they came in this format."""
    given = fields.left.get("stream_options") is not None
    options = fields.inner("stream_options")
    stream_usage = options.on("include_usage")
    fields.keep(options)
    if given and not stream_usage:
        fields.odd()
    return Parameters(
        max_output_tokens=_limit(fields),
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        top_k=_extension(fields, "top_k"),
        stop=_stop(fields),
        seed=fields.whole("seed"),
        frequency_penalty=fields.number("frequency_penalty"),
        presence_penalty=fields.number("presence_penalty"),
        choices=fields.whole("n"),
        logprobs=fields.on("logprobs"),
        top_logprobs=fields.whole("top_logprobs"),
        reasoning_effort=fields.text("reasoning_effort"),
        reasoning_budget=_extension(fields, "thinking_budget"),
        verbosity=fields.text("verbosity"),
        response_format=_response_format(fields),
        tool_choice=read_tool_choice(fields),
        parallel_tool_calls=fields.flag("parallel_tool_calls"),
        user=fields.text("user"),
        stream=fields.on("stream"),
        stream_usage=stream_usage,
        original=fields.original(),
    )


def _limit(fields: Fields) -> int | None:
    """The larger of the two names: a server may use either. Zero or less means no limit."""
    newer, older = fields.whole("max_completion_tokens"), fields.whole("max_tokens")
    if older is not None or (newer is not None and newer <= 0):
        fields.odd()
    given = [limit for limit in (newer, older) if limit is not None]
    return max(given) if given and min(given) > 0 else None


def _extension(fields: Fields, name: str) -> int | None:
    value = fields.left.get(name)
    return value if type(value) is int and abs(value) < 2**63 else None


def _stop(fields: Fields) -> tuple[str, ...]:
    value = fields.take("stop")
    if value is None:
        return ()
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        fields.refuse("stop", "a text or a list of texts")
        return ()
    if texts is not value or not texts:
        fields.odd()
    return tuple(texts)


def _response_format(fields: Fields) -> ResponseFormat | None:
    if fields.left.get("response_format") is None:
        fields.take("response_format")
        return None
    inner = fields.inner("response_format")
    name = inner.take("type")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        inner.refuse("type", f"one of {', '.join(_KINDS)}")
        return None
    made = ResponseFormat(kind)
    if kind is AnswerKind.SCHEMA:
        schema = inner.inner("json_schema")
        made = ResponseFormat(
            kind, schema.json("schema"), schema.text("name", always=True), schema.text("description"),
            schema.flag("strict"),
        )  # fmt: skip
        inner.keep(schema)
    fields.keep(inner)
    return made


def written_parameters(parameters: Parameters) -> dict[str, Any]:
    choice, wanted = parameters.tool_choice, parameters.response_format
    values = {
        "max_completion_tokens": parameters.max_output_tokens,
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        "stop": parameters.stop or None,
        "seed": parameters.seed,
        "frequency_penalty": parameters.frequency_penalty,
        "presence_penalty": parameters.presence_penalty,
        "n": parameters.choices,
        "logprobs": parameters.logprobs or None,
        "top_logprobs": parameters.top_logprobs,
        "reasoning_effort": parameters.reasoning_effort or None,
        "verbosity": parameters.verbosity or None,
        "response_format": None if wanted is None else _written_format(wanted),
        "tool_choice": None if choice is None else written_tool_choice(choice),
        "parallel_tool_calls": parameters.parallel_tool_calls,
        "user": user_id(parameters.user, 64),  # of `safety_identifier`, which it became
        "stream": parameters.stream or None,
        "stream_options": {"include_usage": True} if parameters.stream_usage else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _written_format(wanted: ResponseFormat) -> dict[str, Any]:
    made: dict[str, Any] = {"type": _NAMES[wanted.kind]}
    if wanted.kind is AnswerKind.SCHEMA:
        values = {
            "name": wanted.name,
            "description": wanted.description or None,
            "schema": None if wanted.schema is None else msgspec.Raw(wanted.schema),
            "strict": wanted.strict,
        }
        made["json_schema"] = {name: value for name, value in values.items() if value is not None}
    return made
