"""Reads answers into the app's own classes: `chat.completions.parse` and the end of `.stream()`.

Owns: the strict JSON schema of a class, as the OpenAI SDK writes it, and reading answers back by it.
Must never: import pydantic before an app has given one of its classes.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any, get_origin

from modelmesh._objects.model_methods import held
from modelmesh._openai_sdk.arguments import given
from modelmesh.errors import MeshError
from modelmesh.types import ChatCompletion


class LengthFinishReasonError(MeshError):
    """The answer was cut off by the token limit and cannot be parsed. extra: completion."""

    code = "length_finish_reason"


class ContentFilterFinishReasonError(MeshError):
    """The answer was cut off by a content filter and cannot be parsed. extra: completion."""

    code = "content_filter_finish_reason"


def sent_format(wanted: Any) -> Any:
    """A `response_format` as sent: a class as its strict schema, anything else unchanged."""
    if get_origin(wanted) is not None:  # `list[Item]` and the like: neither a class nor a JSON value
        raise TypeError(f"Unsupported response_format type - {wanted}")
    if not inspect.isclass(wanted) or not given(wanted):
        return wanted
    schema = _strict(_adapter(wanted).json_schema())
    return {"type": "json_schema", "json_schema": {"schema": schema, "name": wanted.__name__, "strict": True}}


def _adapter(wanted: Any) -> Any:
    from pydantic import BaseModel, TypeAdapter

    if not issubclass(wanted, BaseModel) and not hasattr(wanted, "__pydantic_config__"):
        raise TypeError(f"Unsupported response_format type - {wanted}")
    return TypeAdapter(wanted)


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = _strictly(schema, schema)
    return made


def _strictly(node: Any, root: dict[str, Any]) -> Any:
    """The schema as `strict` demands: every property is required, no others are allowed, and references next to other
    keys are resolved."""
    if not isinstance(node, dict):
        return node
    for section in ("$defs", "definitions"):
        for each in _mapping(node.get(section)).values():
            _strictly(each, root)
    if node.get("type") == "object":
        node.setdefault("additionalProperties", False)
    properties = node.get("properties")
    if isinstance(properties, dict):
        node["required"] = list(properties)
        node["properties"] = {name: _strictly(each, root) for name, each in properties.items()}
    if isinstance(node.get("items"), dict):
        node["items"] = _strictly(node["items"], root)
    for union in ("anyOf", "allOf"):
        if isinstance(node.get(union), list):
            node[union] = [_strictly(each, root) for each in node[union]]
    if len(node.get("allOf") or ()) == 1:
        node.update(node.pop("allOf")[0])
    if "default" in node and node["default"] is None:
        del node["default"]
    if isinstance(node.get("$ref"), str) and len(node) > 1:
        target: Any = root
        for key in node["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        merged = {**target, **node}
        del merged["$ref"]
        node.clear()
        node.update(merged)
        return _strictly(node, root)
    return node


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def check_tools(tools: Sequence[Any]) -> None:
    """Raises ValueError for one whose calls could not be read."""
    for tool in tools:
        if tool["type"] != "function":
            raise ValueError(f"Currently only `function` tool types support auto-parsing; Received `{tool['type']}`")
        if tool["function"].get("strict") is not True:
            name = tool["function"]["name"]
            raise ValueError(f"`{name}` is not strict. Only `strict` function tools can be auto-parsed")


def reads_anything(response_format: Any, tools: Sequence[Any]) -> bool:
    """Whether anything has to be parsed, so that an incomplete answer is an error."""
    return (inspect.isclass(response_format) and given(response_format)) or any(map(is_strict, tools))


def is_strict(tool: Any) -> Any:
    """Whether a tool's calls have to match its schema."""
    function = tool.get("function") if isinstance(tool, Mapping) else None
    return hasattr(function, "model") or _mapping(function).get("strict")


def read_content(response_format: Any, content: Any, refusal: Any) -> Any:
    """The text as the requested class; None if there is no class or no text."""
    if not inspect.isclass(response_format) or not given(response_format) or not content or refusal:
        return None
    return _adapter(response_format).validate_json(content)


def read_arguments(tools: Sequence[Any], name: Any, arguments: Any) -> Any:
    """A call's arguments, parsed for its tool; None if the tool is not strict."""
    for tool in tools:
        function = _mapping(tool).get("function")
        if _mapping(function).get("name") == name:
            if (model := getattr(function, "model", None)) is not None:
                return model.model_validate_json(arguments)
            return json.loads(arguments) if _mapping(function).get("strict") else None
    return None


def read_partially(text: str) -> Any:
    """The readable part of incomplete JSON."""
    if not text.strip():
        return None
    from pydantic_core import from_json

    return from_json(text, allow_partial=True)


def read_completion(completion: ChatCompletion, response_format: Any, tools: Sequence[Any]) -> ChatCompletion:
    """The completion, with `.parsed` on its messages and `.parsed_arguments` on their calls.

    Raises LengthFinishReasonError or ContentFilterFinishReasonError for an incomplete answer, pydantic's
    ValidationError for one that does not match the class.
    """
    for choice in completion.choices or ():
        refuse_cut(choice.finish_reason, completion)
        message = choice.message
        for call in message.tool_calls or ():
            if (function := getattr(call, "function", None)) is not None:  # a custom tool has none
                held(function)["parsed_arguments"] = read_arguments(tools, function.name, function.arguments)
        held(message)["parsed"] = read_content(response_format, message.content, message.refusal)
    return completion


def refuse_cut(finish_reason: Any, completion: ChatCompletion) -> None:
    if finish_reason == "length":
        text = "Could not parse response content as the length limit was reached"
        usage = f" - {completion.usage}" if completion.usage else ""
        raise LengthFinishReasonError(text + usage, completion=completion)
    if finish_reason == "content_filter":
        text = "Could not parse response content as the request was rejected by the content filter"
        raise ContentFilterFinishReasonError(text, completion=completion)
