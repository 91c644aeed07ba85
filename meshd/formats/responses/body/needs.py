"""What a request to the Responses API needs from a model, read from its body once.

Must never: change the body; its values stay raw bytes that pass through.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.core.needs import BYTES_PER_TOKEN, PREAMBLE, TOKENS_PER_IMAGE, TOOLS_PREAMBLE, RequestNeeds
from meshd.formats.openai.body.lengths import check_length
from meshd.formats.openai.body.needs import (
    Members,
    carried,
    has_any,
    read_top_level,
)
from meshd.formats.openai.records import Tokens
from meshd.formats.protocol import Asked
from meshd.formats.responses.body.known_items import load_item_fields
from meshd.sdk.calls.operation import OperationSpec
from meshd.sdk.reading.lenient import UNREADABLE
from modelmesh.errors import InvalidRequestError

_LOGPROBS = "message.output_text.logprobs"
_ABSENT = msgspec.Raw(b"null")
_NO_TEXT = msgspec.Raw(b'""')


class _Format(msgspec.Struct):
    type: str = ""


class _Text(msgspec.Struct):
    format: _Format | None = None


class _Parameters(msgspec.Struct):
    """The parameters that routing reads."""

    stream: bool | None = None
    text: _Text | None = None
    max_output_tokens: Tokens | None = None
    include: list[Any] | None = None


class _Item(msgspec.Struct):
    """Any map; if its content or output is a list, it has parts."""

    content: msgspec.Raw = _NO_TEXT
    output: msgspec.Raw = _NO_TEXT


_NONE = _Parameters()
_members = Members(_Parameters)
_parameters = msgspec.json.Decoder(_Parameters)
_items = msgspec.json.Decoder(list[_Item])
_LISTS = ("input", "tools", "include")


def read(operation: OperationSpec, body: bytes, *, budgeted: bool = True) -> Asked:
    """Raises InvalidRequestError."""
    fields, sent, model, parameters, length = read_top_level(body, _LISTS, _read_parameters)
    needs = load_item_fields().judged(_needs(operation, fields, parameters, length), fields, budgeted=budgeted)
    return Asked(model, needs, fields, sent)


def _read_parameters(fields: Mapping[str, msgspec.Raw]) -> _Parameters:
    given = _members.alone(fields)
    return _parameters.decode(given) if given else _NONE


def _contents(given: msgspec.Raw) -> list[bytes]:
    """The contents and outputs that are lists of parts. Raises InvalidRequestError: a body that makes servers fail must
    not count against them."""
    if bytes(given).startswith((b'"', b"null")):
        return []
    try:
        items = _items.decode(given)
    except UNREADABLE:
        raise InvalidRequestError(
            "`input` has to be text, or a list of items, each of them a map", param="input"
        ) from None
    lists = [raw for item in items for raw in (bytes(item.content), bytes(item.output)) if raw.startswith(b"[")]
    for raw in lists:
        check_length("input[].content", raw)
    return lists


def _needs(
    operation: OperationSpec, fields: Mapping[str, msgspec.Raw], parameters: _Parameters, length: int
) -> RequestNeeds:
    attached = carried(_contents(fields.get("input", _ABSENT)))
    kind = parameters.text.format.type if parameters.text is not None and parameters.text.format is not None else ""
    tools = has_any(fields.get("tools", _ABSENT))
    size = sum(len(fields[name]) for name in ("instructions", "input") if name in fields)
    limit = parameters.max_output_tokens
    return RequestNeeds(
        operation=operation,
        stream=bool(parameters.stream),
        tools=tools,
        structured=kind == "json_schema",
        json_mode=kind == "json_object",
        images=attached.images,
        logprobs=_LOGPROBS in (parameters.include or ()),
        tokens=max(size - attached.size, 0) // BYTES_PER_TOKEN + attached.tokens + TOKENS_PER_IMAGE * attached.images,
        max_output=limit if limit is not None and limit > 0 else None,
        # A token is at least a byte of text, as in `formats/openai/body/needs.py`.
        most=length - attached.size + PREAMBLE + (TOOLS_PREAMBLE if tools else 0),
        attached=attached.tokens,
    )
