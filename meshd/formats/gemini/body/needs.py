"""What a Gemini API request needs from a model, read from its body once.

Must never: change the body; its values stay raw bytes that pass through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from meshd.core.needs import BYTES_PER_TOKEN, PREAMBLE, TOKENS_PER_IMAGE, TOOLS_PREAMBLE, RequestNeeds
from meshd.formats.gemini.body.known_parts import load_part_fields
from meshd.formats.gemini.body.values import CONTENTS, PROMPT, TOOLS, config_of, listed, member, parts_of
from meshd.formats.openai.body.lengths import check_length, check_values
from meshd.formats.openai.body.needs import (
    ELSEWHERE,
    Carried,
    Members,
    has_any,
    read_top_level,
)
from meshd.formats.openai.records import Tokens
from meshd.formats.protocol import Asked
from meshd.sdk.calls.operation import OperationSpec
from meshd.sdk.reading.lenient import UNREADABLE
from modelmesh.errors import InvalidRequestError

_LISTS = (*CONTENTS, *TOOLS)
_ABSENT = msgspec.Raw(b"null")
_AUDIO_BYTES = 32
"""Bytes of base64 per token: a second of audio is 32 tokens, and 1365 bytes at 8 kbit/s."""


class _Parameters(msgspec.Struct):
    """The parameters at the top level that routing reads."""

    stream: bool | None = None


_members = Members(_Parameters)
_parameters = msgspec.json.Decoder(_Parameters)


class _Content(msgspec.Struct):
    parts: msgspec.Raw = msgspec.Raw(b"")


_contents = msgspec.json.Decoder(list[_Content])
_MARKS = (b"nlineData", b"nline_data", b"ileData", b"ile_data", b"\\u")


class _Config(msgspec.Struct, rename="camel"):
    """Those inside `generationConfig`."""

    max_output_tokens: Tokens | None = None
    candidate_count: int | None = None
    response_logprobs: bool | None = None


def read(operation: OperationSpec, body: bytes, *, budgeted: bool = True) -> Asked:
    """Raises InvalidRequestError."""
    fields, sent, model, parameters, length = read_top_level(body, _LISTS, _read_parameters)
    needs = load_part_fields().judged(_needs(operation, fields, parameters, length), fields, budgeted=budgeted)
    return Asked(model, needs, fields, sent)


def _read_parameters(fields: Mapping[str, msgspec.Raw]) -> _Parameters:
    return _parameters.decode(_members.alone(fields) or b"{}")


def _needs(
    operation: OperationSpec, fields: Mapping[str, msgspec.Raw], parameters: _Parameters, length: int
) -> RequestNeeds:
    carried = _carried(fields)
    tools = has_any(fields.get("tools", _ABSENT))
    config = config_of(fields)
    read = _config(config)
    size = sum(len(fields[name]) for name in PROMPT if name in fields)
    schema = member(config, "responseJsonSchema", "responseSchema", "response_json_schema", "response_schema")
    kind = member(config, "responseMimeType", "response_mime_type")
    limit = read.max_output_tokens
    return RequestNeeds(
        operation=operation,
        stream=bool(parameters.stream),
        tools=tools,
        structured=schema is not None,
        json_mode=schema is None and kind == "application/json",
        images=carried.images,
        logprobs=bool(read.response_logprobs),
        choices=max(read.candidate_count or 1, 1),
        tokens=max(size - carried.size, 0) // BYTES_PER_TOKEN + carried.tokens + TOKENS_PER_IMAGE * carried.images,
        max_output=limit if limit is not None and limit > 0 else None,
        # A token is at least a byte of text: see OpenAI's `needs.py`.
        most=length - carried.size + PREAMBLE + (TOOLS_PREAMBLE if tools else 0),
        attached=carried.tokens,
    )


def _config(config: dict[str, Any]) -> _Config:
    """Raises InvalidRequestError."""
    names = {"max_output_tokens": "maxOutputTokens", "candidate_count": "candidateCount"}
    given = {names.get(name, name): each for name, each in config.items()}
    try:
        return msgspec.convert(given, _Config)
    except msgspec.ValidationError as error:
        where = "generationConfig"
        raise InvalidRequestError(f"`{where}` cannot be read: {error}", param=where) from None


def _parts(contents: bytes) -> list[bytes]:
    """Of each content. Raises InvalidRequestError: a body that makes servers fail must not count against them."""
    contents = contents.strip()
    try:
        read = _contents.decode(b"[%s]" % contents if contents.startswith(b"{") else contents)
    except UNREADABLE:
        where = "contents"
        raise InvalidRequestError(f"`{where}` has to be a list of contents, each of them a map", param=where) from None
    found = [bytes(content.parts) for content in read]
    for parts in found:
        check_length("contents[].parts", parts)
    return found


def _carried(fields: Mapping[str, msgspec.Raw]) -> Carried:
    images = size = tokens = 0
    for raw in _parts(bytes(fields["contents"])) if "contents" in fields else ():
        if not any(mark in raw for mark in _MARKS):
            continue
        check_values("contents[].parts", raw)
        for kind, bytes_of in _media(parts_of({"parts": msgspec.json.decode(raw)})):
            images += kind == "image"
            size += bytes_of
            if kind != "image":
                tokens += ELSEWHERE if not bytes_of else bytes_of // _AUDIO_BYTES if kind == "audio" else bytes_of
    return Carried(images, size, tokens)


def _media(parts: list[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    """(main type, bytes of base64, or 0 if it is stored elsewhere) for each medium, including those in a function's
    response."""
    for part in parts:
        result = member(part, "functionResponse", "function_response")
        if isinstance(result, dict):
            yield from _media([each for each in listed(result.get("parts")) if isinstance(each, dict)])
        data = member(part, "inlineData", "inline_data", "fileData", "file_data")
        if not isinstance(data, dict):
            continue
        kind, content = member(data, "mimeType", "mime_type"), data.get("data")
        main = kind.partition("/")[0].lower() if isinstance(kind, str) else ""
        yield main, len(content) if isinstance(content, str) else 0
