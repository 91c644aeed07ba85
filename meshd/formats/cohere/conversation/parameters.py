"""The top level of a request besides its messages, tools and documents."""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.catalogue.known import ModelRow, load_models
from meshd.formats.cohere.conversation.tools import read_tool_choice, written_tool_choice
from meshd.formats.cohere.refused import refused
from meshd.formats.conversation.efforts import SHARES
from meshd.formats.conversation.reading import Fields
from meshd.formats.conversation.request import AnswerKind, Parameters, ResponseFormat

_CATALOGUE = "cohere.nlp.v1"
_LEAST_P, _MOST_P = 0.01, 0.99
_MOST_K = 500
_MOST_STOPS = 5


def read_parameters(fields: Fields) -> Parameters:
    budget, adaptive = _thinking(fields)
    stops = fields.entries("stop_sequences")
    if not all(isinstance(text, str) for text in stops):
        fields.refuse("stop_sequences", "a list of texts")
        stops = []
    return Parameters(
        max_output_tokens=fields.whole("max_tokens"),
        temperature=fields.number("temperature"),
        top_p=fields.number("p"),
        top_k=fields.whole("k"),
        stop=tuple(stops),
        seed=fields.whole("seed"),
        frequency_penalty=fields.number("frequency_penalty"),
        presence_penalty=fields.number("presence_penalty"),
        logprobs=fields.on("logprobs"),
        reasoning_budget=budget,
        reasoning_adaptive=adaptive,
        response_format=_response_format(fields),
        tool_choice=read_tool_choice(fields),
        stream=fields.on("stream"),
        original=fields.original(),
    )


def _thinking(fields: Fields) -> tuple[int | None, bool]:
    """Take `thinking`: its budget (0: none), and whether the model decides."""
    if fields.left.get("thinking") is None:
        fields.take("thinking")
        return None, False
    inner = fields.inner("thinking")
    kind, budget = inner.take("type"), inner.whole("token_budget")
    if kind == "disabled":
        return 0, False
    if kind != "enabled":
        inner.refuse("type", "one of enabled, disabled")
    return budget, budget is None


def _response_format(fields: Fields) -> ResponseFormat | None:
    if fields.left.get("response_format") is None:
        fields.take("response_format")
        return None
    inner = fields.inner("response_format")
    kind, schema = inner.take("type"), inner.json("json_schema")
    if kind == "text":
        return ResponseFormat(AnswerKind.TEXT)
    if kind != "json_object":
        inner.refuse("type", "one of text, json_object")
    return ResponseFormat(AnswerKind.JSON) if schema is None else ResponseFormat(AnswerKind.SCHEMA, schema)


def written_parameters(parameters: Parameters, model: str, *, tools: bool, documents: bool) -> dict[str, Any]:
    """model: the provider's, as it decides whether it thinks. Raises InvalidRequestError for what cannot be said.

    Left out, as they only influence the wording: `verbosity`, a penalty below 0, and the smaller of two penalties.
    """
    _refuse(parameters, tools=tools, documents=documents)
    top_k, top_p = parameters.top_k, parameters.top_p
    values = {
        "max_tokens": parameters.max_output_tokens,
        "temperature": parameters.temperature,
        "p": None if top_p is None else min(max(top_p, _LEAST_P), _MOST_P),
        "k": None if top_k is None else min(max(top_k, 0), _MOST_K),
        "stop_sequences": parameters.stop or None,
        "seed": parameters.seed,
        **_penalties(parameters),
        "response_format": _written_format(parameters.response_format),
        "tool_choice": written_tool_choice(parameters.tool_choice) if tools else None,
        "thinking": _written_thinking(parameters, model),
        "stream": parameters.stream or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _refuse(parameters: Parameters, *, tools: bool, documents: bool) -> None:
    if (parameters.choices or 1) > 1:
        raise refused("several answers to one request", "n")
    if parameters.logprobs or parameters.top_logprobs:
        raise refused("`logprobs` that name each token", "logprobs")
    if len(parameters.stop) > _MOST_STOPS:
        raise refused(f"more than {_MOST_STOPS} stop texts", "stop")
    if tools and parameters.parallel_tool_calls is False:
        raise refused("a limit to one tool call at a time", "parallel_tool_calls")
    wanted = parameters.response_format
    if wanted is not None and wanted.kind is not AnswerKind.TEXT and (tools or documents):
        raise refused(f"a response format next to {'tools' if tools else 'documents'}", "response_format")


def _penalties(parameters: Parameters) -> dict[str, float]:
    """From 0 to 1, and only one of the two."""
    given = {"frequency_penalty": parameters.frequency_penalty, "presence_penalty": parameters.presence_penalty}
    found = {name: min(value, 1) for name, value in given.items() if value is not None and value > 0}
    most = max(found, key=lambda name: found[name], default="")
    return {most: found[most]} if most else {}


def _written_format(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    if wanted is None or wanted.kind is AnswerKind.TEXT:
        return None
    schema = {} if wanted.schema is None else {"json_schema": msgspec.Raw(wanted.schema)}
    return {"type": "json_object", **schema}


def _written_thinking(parameters: Parameters, model: str) -> dict[str, Any] | None:
    """Nothing for a model that does not think according to the catalogue."""
    row = _row(model)
    if row is not None and "reasoning" not in row.features:
        return None
    effort, budget = parameters.reasoning_effort, parameters.reasoning_budget
    if budget == 0 or (budget is None and effort == "none"):
        return {"type": "disabled"}
    if budget is None and effort in SHARES:
        limit = parameters.max_output_tokens or (row.max_output_tokens if row is not None else None)
        budget = None if limit is None else max(int(limit * SHARES[effort]), 1)
    if budget is not None and budget > 0:
        return {"type": "enabled", "token_budget": budget}
    return {"type": "enabled"} if effort or parameters.reasoning_adaptive else None


def _row(model: str) -> ModelRow | None:
    return next((row for row in load_models(_CATALOGUE) if row.id == model), None)
