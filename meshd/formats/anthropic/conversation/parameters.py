"""The top level of a request besides its messages and tools."""

from __future__ import annotations

from typing import Any

from meshd.formats.anthropic.body.parameters import LEAST_THOUGHT, largest_output
from meshd.formats.anthropic.conversation.content import raw, refused
from meshd.formats.anthropic.conversation.tools import read_tool_choice, written_tool_choice
from meshd.formats.anthropic.versions import takes_sampling, thinks_adaptively, version_of
from meshd.formats.conversation.efforts import SHARES
from meshd.formats.conversation.reading import Fields
from meshd.formats.conversation.request import AnswerKind, Parameters, ResponseFormat, ToolMode

_MOST_THOUGHT = 32_000
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_XHIGH_SINCE = (4, 7)
_ONE_OF_TWO = (4, 1)  # since then, `temperature` and `top_p` may not both be given
_LEAST_TOP_P = 0.95  # with thinking


def read_parameters(fields: Fields) -> Parameters:
    limit = fields.whole("max_tokens")
    if limit is None:
        fields.odd()
    choice, parallel = read_tool_choice(fields)
    budget, adaptive, shown = _thinking(fields)
    effort, wanted = _output_config(fields)
    if effort and not adaptive:
        fields.odd()  # an effort alone asks for no thinking, unlike in other formats
    return Parameters(
        max_output_tokens=limit,
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        top_k=fields.whole("top_k"),
        stop=_stop(fields),
        reasoning_effort=effort,
        reasoning_budget=budget,
        reasoning_adaptive=adaptive,
        reasoning_shown=shown,
        response_format=wanted,
        tool_choice=choice,
        parallel_tool_calls=parallel,
        user=_user(fields),
        stream=fields.on("stream"),
        original=fields.original(),
    )


def _thinking(fields: Fields) -> tuple[int | None, bool, bool | None]:
    """Take `thinking`: its budget (0: none), whether it is adaptive, whether it is shown."""
    if fields.left.get("thinking") is None:
        fields.take("thinking")
        return None, False, None
    inner = fields.inner("thinking")
    kind, display = inner.take("type"), inner.take("display")
    budget = inner.whole("budget_tokens")
    shown = {"summarized": True, "omitted": False}.get(display) if isinstance(display, str) else None
    if display is not None and shown is None:
        inner.odd()
    match kind:
        case "disabled":
            budget = 0
        case "adaptive":
            budget = None
        case "enabled" if budget is not None and budget > 0:
            pass
        case "enabled":
            inner.refuse("budget_tokens", "a number of tokens")
        case _:
            inner.refuse("type", "one of enabled, disabled, adaptive")
    if kind == "disabled" and shown is not None:
        inner.odd()
    fields.keep(inner)
    return budget, kind == "adaptive", shown


def _output_config(fields: Fields) -> tuple[str, ResponseFormat | None]:
    """Take the effort and the format, also by its name in beta."""
    effort, wanted = "", None
    if fields.left.get("output_config") is None:
        fields.take("output_config")
    else:
        config = fields.inner("output_config")
        effort = config.text("effort")
        wanted = _format(config, "format")
        if not effort and wanted is None:
            config.odd()
        fields.keep(config)
    earlier = _format(fields, "output_format")
    if earlier is not None:
        fields.odd()
    return effort, wanted or earlier


def _format(fields: Fields, name: str) -> ResponseFormat | None:
    if fields.left.get(name) is None:
        fields.take(name)
        return None
    inner = fields.inner(name)
    if inner.take("type") != "json_schema":
        inner.refuse("type", "json_schema")
    made = ResponseFormat(AnswerKind.SCHEMA, inner.json("schema"))
    if made.schema is None:
        inner.odd()
    fields.keep(inner)
    return made


def _stop(fields: Fields) -> tuple[str, ...]:
    texts = fields.entries("stop_sequences")
    if not all(isinstance(text, str) for text in texts):
        fields.refuse("stop_sequences", "a list of texts")
        return ()
    if not all(text.strip() for text in texts):
        fields.odd()
    return tuple(texts)


def _user(fields: Fields) -> str:
    if fields.left.get("metadata") is None:
        fields.take("metadata")
        return ""
    metadata = fields.inner("metadata")
    user = metadata.text("user_id")
    if not user:
        metadata.odd()
    fields.keep(metadata)
    return user


def written_parameters(parameters: Parameters, model: str, *, tools: bool) -> dict[str, Any]:
    """model: the provider's, as its version decides what it takes. Raises InvalidRequestError for what cannot be said.

    Left out, as they only influence the wording: `seed`, the penalties, `verbosity`, and sampling parameters that a
    model does not take, or does not take while it thinks.
    """
    _refuse(parameters)
    limit = parameters.max_output_tokens or largest_output(model)
    thinking, config = written_thinking(parameters, model, limit)
    wanted = parameters.response_format
    if wanted is not None and wanted.kind is AnswerKind.SCHEMA:
        schema = {"type": "json_schema", "schema": raw(wanted.schema)}
        config["format"] = {name: value for name, value in schema.items() if value is not None}
    values = {
        "max_tokens": limit,
        **sampling(parameters, model, thinking=thinking is not None and thinking["type"] != "disabled"),
        "stop_sequences": parameters.stop or None,
        "thinking": thinking,
        "output_config": config or None,
        "tool_choice": written_tool_choice(parameters) if tools else None,
        "metadata": {"user_id": parameters.user} if parameters.user else None,
        "stream": parameters.stream or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _refuse(parameters: Parameters) -> None:
    if (parameters.choices or 1) > 1:
        raise refused("several answers to one request", "n")
    if parameters.logprobs or parameters.top_logprobs:
        raise refused("`logprobs`", "logprobs")
    wanted = parameters.response_format
    if wanted is not None and wanted.kind is AnswerKind.JSON:
        raise refused("JSON without a schema as a response format", "response_format")
    if any(not text.strip() for text in parameters.stop):
        raise refused("white space alone as a stop text", "stop")


def written_thinking(parameters: Parameters, model: str, limit: int) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """`thinking`, and the effort as a part of `output_config`."""
    budget, effort = parameters.reasoning_budget, parameters.reasoning_effort
    adaptive = parameters.reasoning_adaptive or _becomes_an_effort(parameters, model)
    if not adaptive and not budget:
        if budget == 0:
            return {"type": "disabled"}, {}
        budget = None if _is_forced(parameters) else _share(effort, limit)
    elif not adaptive and budget is not None and parameters.original is None and limit <= budget:
        budget = limit - 1 if limit > LEAST_THOUGHT else None
    if effort == "none" or not (adaptive or budget):
        return None, {}
    thinking: dict[str, Any] = {"type": "adaptive"} if adaptive else {"type": "enabled", "budget_tokens": budget}
    if parameters.reasoning_shown is not None:
        thinking["display"] = "summarized" if parameters.reasoning_shown else "omitted"
    word = _effort(effort, model) if adaptive else ""
    return thinking, {"effort": word} if word else {}


def _becomes_an_effort(parameters: Parameters, model: str) -> bool:
    """Whether thinking is requested by an effort: a word always is one, a budget if the model no longer takes
    budgets."""
    if not thinks_adaptively(model):
        return False
    if parameters.reasoning_budget:
        return not takes_sampling(model)
    return bool(parameters.reasoning_effort) and not _is_forced(parameters)


def _share(effort: str, limit: int) -> int | None:
    """The budget for an effort; None if there is not enough room for any."""
    share = SHARES.get(effort)
    if share is None or limit <= LEAST_THOUGHT:
        return None
    return min(max(int(limit * share), LEAST_THOUGHT), _MOST_THOUGHT, limit - 1)


def _effort(effort: str, model: str) -> str:
    version = version_of(model)
    if effort == "xhigh" and version is not None and version < _XHIGH_SINCE:
        return "high"
    return _EFFORTS.get(effort, "")


def _is_forced(parameters: Parameters) -> bool:
    """Whether a tool has to be called, which cannot be requested of a model that thinks."""
    return parameters.tool_choice is not None and parameters.tool_choice.mode is ToolMode.REQUIRED


def sampling(parameters: Parameters, model: str, *, thinking: bool) -> dict[str, Any]:
    """OpenAI's temperatures go up to 2, these up to 1."""
    if not takes_sampling(model):
        return {}
    temperature, top_p, top_k = parameters.temperature, parameters.top_p, parameters.top_k
    if thinking:
        temperature = temperature if temperature == 1 else None
        top_p = top_p if top_p is not None and top_p >= _LEAST_TOP_P else None
        top_k = None
    version = version_of(model)
    if temperature is not None and version is not None and version >= _ONE_OF_TWO:
        top_p = None
    if temperature is not None and temperature > 1:
        temperature = 1
    return {"temperature": temperature, "top_p": top_p, "top_k": top_k}
