"""What a Messages API request needs from a model, read from its body once.

Must never: change the body; its values stay raw bytes that pass through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from meshd.core.needs import BYTES_PER_TOKEN, PREAMBLE, TOKENS_PER_IMAGE, TOOLS_PREAMBLE, RequestNeeds
from meshd.formats.openai.body.known_fields import load_body_fields
from meshd.formats.openai.body.lengths import parts_of_type
from meshd.formats.openai.body.needs import (
    ELSEWHERE,
    Carried,
    Members,
    contents_of,
    has_any,
    read_top_level,
)
from meshd.formats.openai.records import Tokens
from meshd.formats.protocol import Asked
from meshd.sdk.calls.operation import OperationSpec

_LISTS = ("messages", "tools", "system")
_PROMPT = ("system", "messages", "tools")
_ABSENT = msgspec.Raw(b"null")
_WITH_SOURCES = frozenset({"image", "document", "tool_result"})
_DEEPEST = 4  # an image in a document in a tool's result


class _Format(msgspec.Struct):
    type: str = ""


class _OutputConfig(msgspec.Struct):
    format: _Format | None = None


class _Parameters(msgspec.Struct):
    """The parameters that routing reads. output_format: the name from the beta."""

    stream: bool | None = None
    max_tokens: Tokens | None = None
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None


_members = Members(_Parameters)
_parameters = msgspec.json.Decoder(_Parameters)


def read(operation: OperationSpec, body: bytes, *, budgeted: bool = True) -> Asked:
    """Raises InvalidRequestError."""
    fields, sent, model, parameters, length = read_top_level(body, _LISTS, _read_parameters)
    needs = load_body_fields().judged(_needs(operation, fields, parameters, length), fields, budgeted=budgeted)
    return Asked(model, needs, fields, sent)


def _read_parameters(fields: Mapping[str, msgspec.Raw]) -> _Parameters:
    return _parameters.decode(_members.alone(fields) or b"{}")


def _needs(
    operation: OperationSpec, fields: Mapping[str, msgspec.Raw], parameters: _Parameters, length: int
) -> RequestNeeds:
    carried = _carried(contents_of(fields["messages"])) if "messages" in fields else Carried()
    tools = has_any(fields.get("tools", _ABSENT))
    size = sum(len(fields[name]) for name in _PROMPT if name in fields)
    config, limit = parameters.output_config, parameters.max_tokens
    wanted = (config.format if config else None) or parameters.output_format
    return RequestNeeds(
        operation=operation,
        stream=bool(parameters.stream),
        tools=tools,
        structured=wanted is not None and wanted.type == "json_schema",
        images=carried.images,
        tokens=max(size - carried.size, 0) // BYTES_PER_TOKEN + carried.tokens + TOKENS_PER_IMAGE * carried.images,
        # 0 only fills a cache, while None means that there is no limit.
        max_output=None if limit is None or limit < 0 else max(limit, 1),
        # A token is at least a byte of text: see OpenAI's `needs.py`.
        most=length - carried.size + PREAMBLE + (TOOLS_PREAMBLE if tools else 0),
        attached=carried.tokens,
    )


class _Source(NamedTuple):
    """An image or a document. size: bytes of base64 in the body. named: it is stored elsewhere, and the body only names
    it."""

    image: bool
    size: int = 0
    named: bool = False


def _carried(contents: list[bytes]) -> Carried:
    images = size = tokens = 0
    for content in contents:
        if b"source" not in content and b"\\" not in content:
            continue
        for source in _sources(list(parts_of_type(content, _WITH_SOURCES, "messages[].content")), 0):
            images += source.image
            size += source.size
            if not source.image:
                tokens += ELSEWHERE if source.named else source.size
    return Carried(images, size, tokens)


def _sources(blocks: Any, depth: int) -> Iterator[_Source]:
    """The sources of blocks, including the blocks in a tool's result and in a document. A document's own text counts as
    text."""
    for block in blocks if isinstance(blocks, list) and depth < _DEEPEST else ():
        if not isinstance(block, dict):
            continue
        kind, source = block.get("type"), block.get("source")
        if kind == "tool_result":
            yield from _sources(block.get("content"), depth + 1)
        elif kind in ("image", "document") and isinstance(source, dict):
            data, how = source.get("data"), source.get("type")
            if how == "content":
                yield from _sources(source.get("content"), depth + 1)
            elif how == "base64" and isinstance(data, str):
                yield _Source(kind == "image", len(data))
            elif how != "text":
                yield _Source(kind == "image", named=True)
