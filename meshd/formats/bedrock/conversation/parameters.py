"""The top level of a request besides its messages and tools.

What only some models take is in `additionalModelRequestFields`, under the names of the model's own API: for Claude,
those of Anthropic's.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html;
https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html;
https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html, 2026-11-28
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.formats.anthropic.body.parameters import largest_output
from meshd.formats.anthropic.conversation.parameters import sampling, written_thinking
from meshd.formats.anthropic.conversation.tools import written_tool_choice
from meshd.formats.bedrock.conversation.refused import refused
from meshd.formats.bedrock.families import is_claude, is_nova, thinks_by_effort
from meshd.formats.conversation.request import AnswerKind, Parameters, ResponseFormat

PASSED = ("guardrailConfig", "requestMetadata", "additionalModelResponseFieldPaths", "promptVariables")
"""Fields of this API that an app, or a model's `parameters`, may name in any format, as no other one has them."""
_MORE = "additionalModelRequestFields"
_NOVA_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


def written_parameters(parameters: Parameters, model: str, *, tools: bool) -> dict[str, Any]:
    """model: the provider's, as its family decides what it takes. Raises InvalidRequestError for what cannot be said.

    Left out, as they only influence the wording: `seed`, the penalties, `verbosity`, and `top_k` and reasoning
    parameters that a model does not take.
    """
    _refuse(parameters, model, tools=tools)
    config, more, limit = _sampling(parameters), dict[str, Any](), parameters.max_output_tokens
    output: dict[str, Any] = {}
    if is_claude(model):
        limit = _claude(parameters, model, config, more, output)
        if tools and is_single(parameters, model):
            more["tool_choice"] = written_tool_choice(parameters)
    elif is_nova(model):
        _nova(parameters, model, config, more)
    if parameters.response_format is not None and parameters.response_format.kind is AnswerKind.SCHEMA:
        output["textFormat"] = _schema(parameters.response_format)
    given = _given(parameters)
    asked = given.pop(_MORE, None)
    made = {
        "inferenceConfig": {"maxTokens": limit, **config} if limit is not None else config,
        "outputConfig": output,
        _MORE: {**more, **asked} if isinstance(asked, dict) else more,
        **given,
    }
    return {name: value for name, value in made.items() if value}


def is_single(parameters: Parameters, model: str) -> bool:
    """Whether the model can be told to make one call at a time; then the choice of tools is also written in its own
    API's form."""
    return parameters.parallel_tool_calls is False and is_claude(model)


def _refuse(parameters: Parameters, model: str, *, tools: bool) -> None:
    if (parameters.choices or 1) > 1:
        raise refused("several answers to one request", "n")
    if parameters.logprobs or parameters.top_logprobs:
        raise refused("`logprobs`", "logprobs")
    wanted = parameters.response_format
    if wanted is not None and wanted.kind is AnswerKind.JSON:
        raise refused("JSON without a schema as a response format", "response_format")
    if tools and parameters.parallel_tool_calls is False and not is_claude(model):
        raise refused("`parallel_tool_calls: false` for this model", "parallel_tool_calls")


def _sampling(parameters: Parameters) -> dict[str, Any]:
    """OpenAI's temperatures go up to 2, these up to 1."""
    temperature = parameters.temperature
    values = {
        "temperature": min(temperature, 1) if temperature is not None else None,
        "topP": parameters.top_p,
        "stopSequences": parameters.stop or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _claude(
    parameters: Parameters, model: str, config: dict[str, Any], more: dict[str, Any], output: dict[str, Any]
) -> int | None:
    """Thinking as Anthropic's API has it. Returns the output limit, which a thinking budget has to stay below."""
    limit = parameters.max_output_tokens or largest_output(model.rpartition("anthropic.")[2])
    thinking, effort = written_thinking(parameters, model, limit)
    if thinking is not None:
        more["thinking"] = thinking
    output |= effort
    thinks = thinking is not None and thinking["type"] != "disabled"
    takes = {name: value for name, value in sampling(parameters, model, thinking=thinks).items() if value is not None}
    for name, field in (("temperature", "temperature"), ("top_p", "topP")):
        config.pop(field, None)
        if name in takes:
            config[field] = takes[name]
    if "top_k" in takes:
        more["top_k"] = takes["top_k"]
    return limit if thinking is not None and "budget_tokens" in thinking else parameters.max_output_tokens


def _nova(parameters: Parameters, model: str, config: dict[str, Any], more: dict[str, Any]) -> None:
    """Nova 2 thinks by an effort. With the highest one it takes neither sampling parameters nor an output limit; the
    output limit takes precedence over the effort."""
    if parameters.top_k is not None:
        more["inferenceConfig"] = {"topK": parameters.top_k}
    effort = _NOVA_EFFORTS.get(parameters.reasoning_effort)
    if effort is None or not thinks_by_effort(model):
        return
    if effort == "high" and parameters.max_output_tokens is not None:
        effort = "medium"
    more["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": effort}
    if effort == "high":
        for name in ("temperature", "topP"):
            config.pop(name, None)


def _schema(wanted: ResponseFormat) -> dict[str, Any]:
    """The schema is a text in this API."""
    schema = {"schema": (wanted.schema or b"{}").decode(), "name": wanted.name, "description": wanted.description}
    inside = {name: value for name, value in schema.items() if value}
    return {"type": "json_schema", "structure": {"jsonSchema": inside}}


def _given(parameters: Parameters) -> dict[str, Any]:
    """This API's own fields in an app's request."""
    if parameters.original is None:
        return {}
    document = msgspec.json.decode(parameters.original.json)
    return {name: document[name] for name in (*PASSED, _MORE) if document.get(name) is not None}
