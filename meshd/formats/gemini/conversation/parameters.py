"""The top level of a request besides its contents and tools: `generationConfig`, and the fields next to it."""

from __future__ import annotations

from typing import Any

from meshd.formats.conversation.reading import Fields, json_of
from meshd.formats.conversation.request import AnswerKind, Parameters, ResponseFormat
from meshd.formats.gemini.conversation.content import camelled, inner, raw, refused
from meshd.formats.gemini.conversation.schemas import json_schema
from meshd.formats.gemini.conversation.tools import read_tool_choice, written_tool_choice
from meshd.formats.gemini.versions import thinks_by_level, thinks_least

_JSON = "application/json"
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 24_576, "max": 24_576}
"""As in Google's own server for OpenAI's format: https://ai.google.dev/gemini-api/docs/openai, 2026-11-28."""
_LEVELS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
_MOST_STOPS = 5
_SEEDS = 2**31 - 1
_BOUND = ("responseModalities", "speechConfig")


def read_parameters(fields: Fields) -> Parameters:
    camelled(fields)
    choice = read_tool_choice(fields)
    bound = ("cachedContent",) if fields.left.get("cachedContent") else ()
    config = inner(fields, "generationConfig") if fields.left.get("generationConfig") is not None else None
    stream = fields.on("stream")
    if config is None:
        if "generationConfig" in fields.left:
            fields.take("generationConfig")
        return Parameters(tool_choice=choice, stream=stream, bound=bound, original=fields.original())
    config_bound = tuple(f"generationConfig.{name}" for name in _BOUND if _means_more(config, name))
    effort, budget, adaptive, shown = _thinking(config)
    logprobs = config.on("responseLogprobs")
    values: dict[str, Any] = {
        "max_output_tokens": config.whole("maxOutputTokens"),
        "temperature": config.number("temperature"),
        "top_p": config.number("topP"),
        "top_k": _whole(config, "topK"),
        "stop": _stop(config),
        "seed": _seed(config),
        "frequency_penalty": config.number("frequencyPenalty"),
        "presence_penalty": config.number("presencePenalty"),
        "choices": config.whole("candidateCount"),
        "top_logprobs": config.whole("logprobs"),
        "response_format": _format(config),
    }
    if values["choices"] == 1 or 0 in (values["frequency_penalty"], values["presence_penalty"]):
        config.odd()  # since they are left out
    if not config.left and values == dict.fromkeys(values) | {"stop": ()} and not (logprobs or effort or shown):
        config.odd()
    fields.keep(config)
    return Parameters(
        **values,
        logprobs=logprobs,
        reasoning_effort=effort,
        reasoning_budget=budget,
        reasoning_adaptive=adaptive,
        reasoning_shown=shown,
        tool_choice=choice,
        stream=stream,
        bound=(*bound, *config_bound),
        original=fields.original(),
    )


def _means_more(config: Fields, name: str) -> bool:
    """Whether asking for text alone would change the answer."""
    value = config.left.get(name)
    return bool(value) and not (isinstance(value, list) and all(str(each).upper() == "TEXT" for each in value))


def _whole(config: Fields, name: str) -> int | None:
    """A whole number, which Google's SDK writes as a float."""
    value = config.left.get(name)
    if isinstance(value, float) and value.is_integer():
        config.odd()
        config.left[name] = int(value)
    return config.whole(name)


def _seed(config: Fields) -> int | None:
    seed = config.whole("seed")
    if seed is not None and not 0 <= seed <= _SEEDS:
        config.odd()
    return seed


def _stop(config: Fields) -> tuple[str, ...]:
    texts = config.entries("stopSequences")
    if not all(isinstance(text, str) for text in texts):
        config.refuse("stopSequences", "a list of texts")
        return ()
    return tuple(texts)


def _thinking(config: Fields) -> tuple[str, int | None, bool, bool | None]:
    """Take `thinkingConfig`: an effort, a budget (0: none), whether the model decides, whether thoughts are shown."""
    if config.left.get("thinkingConfig") is None:
        config.take("thinkingConfig")
        return "", None, False, None
    given = inner(config, "thinkingConfig")
    shown, budget, level = given.flag("includeThoughts"), given.whole("thinkingBudget"), given.text("thinkingLevel")
    config.keep(given)
    config.odd()  # what is written depends on the model
    effort = level.lower() if level.upper() != "THINKING_LEVEL_UNSPECIFIED" else ""
    adaptive = budget is not None and budget < 0
    return effort, None if adaptive else budget, adaptive, shown


def _format(config: Fields) -> ResponseFormat | None:
    kind = config.text("responseMimeType")
    schema, own = config.json("responseJsonSchema"), config.take("responseSchema")
    if "_responseJsonSchema" in config.left:
        config.odd()
        schema = schema or config.json("_responseJsonSchema")
    if own is not None:
        config.odd()
        schema = schema or json_of(json_schema(own))
    if schema is not None:
        if kind != _JSON:
            config.odd()
        return ResponseFormat(AnswerKind.SCHEMA, schema)
    if kind == _JSON:
        return ResponseFormat(AnswerKind.JSON)
    if kind:
        config.odd()
    return None


def written_parameters(parameters: Parameters, model: str, *, tools: bool) -> dict[str, Any]:
    """model: the provider's, as its version decides what it takes. Raises InvalidRequestError for what cannot be said.

    Left out, as they only influence the wording: `verbosity`, `logit_bias`, the user; and `parallel_tool_calls`.
    """
    if len(parameters.stop) > _MOST_STOPS:
        raise refused(f"more than {_MOST_STOPS} stop texts", "stop")
    wanted = parameters.response_format
    values: dict[str, Any] = {
        "maxOutputTokens": parameters.max_output_tokens,
        "temperature": parameters.temperature,
        "topP": parameters.top_p,
        "topK": parameters.top_k,
        "stopSequences": parameters.stop or None,
        "seed": None if parameters.seed is None else parameters.seed & _SEEDS,
        "frequencyPenalty": parameters.frequency_penalty or None,
        "presencePenalty": parameters.presence_penalty or None,
        "candidateCount": parameters.choices if parameters.choices != 1 else None,
        "responseLogprobs": parameters.logprobs or None,
        "logprobs": parameters.top_logprobs,
        "thinkingConfig": _written_thinking(parameters, model),
    }
    if wanted is not None and wanted.kind is not AnswerKind.TEXT:
        values["responseMimeType"] = _JSON
        values["responseJsonSchema"] = raw(wanted.schema)
    config = {name: value for name, value in values.items() if value is not None}
    made: dict[str, Any] = {"generationConfig": config} if config else {}
    if tools and parameters.tool_choice is not None:
        made["toolConfig"] = written_tool_choice(parameters.tool_choice)
    if parameters.stream:
        made["stream"] = True
    return made


def _written_thinking(parameters: Parameters, model: str) -> dict[str, Any] | None:
    effort, budget = parameters.reasoning_effort, parameters.reasoning_budget
    asked = bool(effort) or budget is not None or parameters.reasoning_adaptive
    none = effort == "none" or (not effort and budget == 0)
    shown = parameters.reasoning_shown if parameters.reasoning_shown is not None else (asked and not none) or None
    made: dict[str, Any] = {}
    if thinks_by_level(model):
        if none or effort == "minimal":
            made["thinkingLevel"] = thinks_least(model)
        elif effort or budget:
            made["thinkingLevel"] = _LEVELS.get(effort, "high") if effort else _level(budget or 0)
    elif none:
        made["thinkingBudget"] = 0
    elif budget:
        made["thinkingBudget"] = budget
    elif effort:
        made["thinkingBudget"] = _BUDGETS.get(effort, _BUDGETS["high"])
    elif parameters.reasoning_adaptive:
        made["thinkingBudget"] = -1
    if shown is not None:
        made["includeThoughts"] = shown
    return made or None


def _level(budget: int) -> str:
    return next((level for level in ("low", "medium") if budget <= _BUDGETS[level]), "high")
