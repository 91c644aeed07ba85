"""What a request needs of a model, read from its JSON body once.

Owns: the reading of an OpenAI-format body for what routing decides by.
Must never: change the body; its values stay raw bytes that pass through.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from meshd.cdk.provider import Operation

BYTES_PER_TOKEN = 4
"""Of JSON text, for the estimate that decides whether a prompt fits a context window. English prose has 4 to
5 bytes a token, and JSON adds its own; a model that turns out too small refuses, and a larger one is asked."""

_IMAGE = re.compile(rb'"type"\s*:\s*"(?:image_url|input_image)"')
_INLINE = re.compile(rb'"data:[^"]*"')
TOKENS_PER_IMAGE = 1000
"""An image's bytes are no text: its tokens depend on its size, a few hundred to a thousand or two."""


class MalformedBody(ValueError):
    """The body is not a JSON object, or a field that routing reads is of the wrong type."""


class UnusableModelField(MalformedBody):
    """`model` is missing or not a string."""


@dataclass(frozen=True, slots=True)
class Needs:
    """tokens: an estimate of the prompt's. max_output: what the app asked for at most, None if it did not say."""

    operation: Operation
    stream: bool = False
    tools: bool = False
    structured: bool = False  # a JSON schema
    json_mode: bool = False
    images: int = 0
    logprobs: bool = False
    tokens: int = 0
    max_output: int | None = None
    choices: int = 1

    def describe(self) -> dict[str, object]:
        """For `explain`: only what is asked for."""
        asked = {
            "operation": str(self.operation),
            "stream": self.stream,
            "tools": self.tools,
            "structured_output": self.structured,
            "json_mode": self.json_mode,
            "images": self.images,
            "logprobs": self.logprobs,
            "tokens": self.tokens,
            "max_output_tokens": self.max_output,
        }
        return {name: value for name, value in asked.items() if value}


class _ResponseFormat(msgspec.Struct):
    type: str = ""


class _Fields(msgspec.Struct):
    """The fields that routing reads; `messages` and the like stay raw."""

    model: msgspec.Raw = msgspec.Raw(b"null")
    stream: bool | None = None
    tools: msgspec.Raw = msgspec.Raw(b"null")
    functions: msgspec.Raw = msgspec.Raw(b"null")
    response_format: _ResponseFormat | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    logprobs: bool | int | None = None
    n: int | None = None
    messages: msgspec.Raw = msgspec.Raw(b"")
    prompt: msgspec.Raw = msgspec.Raw(b"")
    input: msgspec.Raw = msgspec.Raw(b"")


_fields = msgspec.json.Decoder(_Fields)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str)
_EMPTY = (b"null", b"[]", b"{}", b"")
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def split(body: bytes) -> dict[str, msgspec.Raw]:
    """The body's top level, each value still raw JSON. Raises MalformedBody."""
    try:
        return _object.decode(body)
    except _UNREADABLE as error:
        raise MalformedBody(f"the body is not a JSON object: {error}") from None


def read(operation: Operation, body: bytes) -> tuple[str, Needs]:
    """(the `model` field, what the request needs). Raises MalformedBody, UnusableModelField."""
    try:
        fields = _fields.decode(body)
    except msgspec.ValidationError as error:
        raise MalformedBody(f"the request cannot be read: {error}") from None
    except _UNREADABLE as error:
        raise MalformedBody(f"the body is not JSON: {error}") from None
    try:
        model = _string.decode(fields.model)
    except _UNREADABLE:
        model = ""
    if not model:
        raise UnusableModelField("`model` has to name a pool, a capability or a model")
    return model, _needs(operation, fields)


def _given(value: msgspec.Raw) -> bool:
    """Whether a list or map has anything in it."""
    return len(value) > 64 or bytes(value).translate(None, b" \t\r\n") not in _EMPTY


def _needs(operation: Operation, fields: _Fields) -> Needs:
    prompt = memoryview(fields.messages or fields.prompt or fields.input)
    kind = fields.response_format.type if fields.response_format else ""
    images = len(_IMAGE.findall(prompt)) if operation is Operation.CHAT else 0
    text = len(prompt) - (sum(map(len, _INLINE.findall(prompt))) if images else 0)
    return Needs(
        operation=operation,
        stream=bool(fields.stream),
        tools=_given(fields.tools) or _given(fields.functions),
        structured=kind == "json_schema",
        json_mode=kind == "json_object",
        images=images,
        logprobs=bool(fields.logprobs),
        tokens=text // BYTES_PER_TOKEN + TOKENS_PER_IMAGE * images,
        max_output=fields.max_completion_tokens or fields.max_tokens,
        choices=fields.n or 1,
    )


def with_parameters(
    fields: Mapping[str, msgspec.Raw], defaults: Mapping[str, object], overrides: Mapping[str, object]
) -> Mapping[str, msgspec.Raw]:
    """The body with a model's `defaults` under it and its `overrides` over it; the same object if there are none."""
    if not defaults and not overrides:
        return fields
    merged = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in defaults.items()}
    merged.update(fields)
    merged.update((name, msgspec.Raw(msgspec.json.encode(value))) for name, value in overrides.items())
    return merged
