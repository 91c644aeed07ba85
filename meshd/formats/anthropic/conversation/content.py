"""Blocks of content as parts, and parts as blocks."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from meshd.formats.anthropic.stream.assembled import invalid_input
from meshd.formats.conversation.parts import (
    Audio,
    CacheMark,
    File,
    Image,
    Json,
    Other,
    Part,
    Reasoning,
    Refusal,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from meshd.formats.conversation.reading import Fields, as_it_came
from meshd.formats.conversation.seals import sealed, unsealed
from meshd.sdk.reading.lenient import UNREADABLE
from modelmesh.errors import InvalidRequestError

FORMAT = "anthropic"

_TTLS = ("5m", "1h")
_PDF = "application/pdf"
_PDF_BEGINS = "JVBERi"  # "%PDF-" as base64
_decode = msgspec.json.Decoder().decode


def read_content(fields: Fields, name: str = "content") -> list[Part]:
    """Take a message's content: a text, or a list of blocks."""
    content = fields.left.pop(name, None)
    if content is None or content == "":
        fields.odd()
        return []
    if isinstance(content, str):
        return [Text(content)]
    if not isinstance(content, list):
        fields.refuse(name, "text or a list of blocks")
        return []
    place = fields.place(name)
    parts = [
        read_block(Fields.of(block, f"{place}[{n}]", FORMAT, strict=fields.strict)) for n, block in enumerate(content)
    ]
    if is_plain(parts) or not parts:
        fields.odd()
    return parts


def read_block(fields: Fields) -> Part:
    """A block of whatever type."""
    kind = fields.take("type")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    part = None if reader is None else reader(fields)
    if part is not None:
        return part
    fields.odd()
    if isinstance(kind, str):
        fields.left["type"] = kind
    return Other(original=fields.original())


def _read_text(fields: Fields) -> Text:
    text = _required(fields, "text")
    if not text:
        fields.odd()
    return Text(text, taken_mark(fields), original=fields.original())


def _required(fields: Fields, name: str) -> str:
    if fields.left.get(name) is None:
        fields.refuse(name, "text")
    return fields.text(name, always=True)


def _read_image(fields: Fields) -> Image | None:
    source = _read_source(fields)
    return None if source is None else Image(source, cache=taken_mark(fields), original=fields.original())


def _read_document(fields: Fields) -> File | None:
    source = _read_source(fields)
    if source is None:
        return None
    source = msgspec.structs.replace(source, name=fields.text("title"))
    return File(source, taken_mark(fields), original=fields.original())


_CONTAINS = {"base64": "data", "url": "url", "file": "file_id", "text": "data"}


def _read_source(fields: Fields) -> Source | None:
    """None for a source that has no counterpart in other formats: a document made of blocks, or without any text."""
    given = fields.left.get("source")
    if not isinstance(given, dict):
        fields.refuse("source", "a map")
        return None
    kind = given.get("type")
    name = _CONTAINS.get(kind) if isinstance(kind, str) else None
    if name is None or given.get(name) == "":
        return None
    inner = fields.inner("source")
    inner.take("type")
    value = _required(inner, name)
    if kind == "base64":
        source = Source(data=value, media_type=inner.text("media_type", always=True))
        if not source.media_type or source.media_type.startswith("text/"):
            inner.odd()
    elif kind == "url":
        source = Source(url=value)
    elif kind == "file":
        source = Source(id=value)
    else:
        if inner.text("media_type", always=True) != "text/plain":
            inner.odd()
        source = Source(data=base64.b64encode(value.encode(errors="replace")).decode(), media_type="text/plain")
    fields.keep(inner)
    return source


def _read_thinking(fields: Fields) -> Reasoning:
    text, signature = _required(fields, "thinking"), fields.text("signature", always=True)
    if not signature:
        fields.odd()
    return msgspec.structs.replace(unsealed(text, signature, of_items=False), original=fields.original())


def _read_redacted(fields: Fields) -> Reasoning:
    data = _required(fields, "data")
    if not data:
        fields.odd()
    return Reasoning(encrypted=data, original=fields.original())


def _read_call(fields: Fields) -> ToolCall:
    id, name = _required(fields, "id"), _required(fields, "name")
    if not id:
        fields.odd()
    given = fields.left.get("input")
    if not isinstance(given, dict):
        fields.refuse("input", "a map")
    arguments = (fields.json("input") or b"{}").decode()
    return ToolCall(id, name, arguments, cache=taken_mark(fields), original=fields.original())


def _read_result(fields: Fields) -> ToolResult:
    call = _required(fields, "tool_use_id")
    given = "content" in fields.left
    marked = fields.left.get("content")
    parts = tuple(read_content(fields)) if given else ()
    if given and marked is None:
        fields.odd()
    failed = fields.on("is_error")
    return ToolResult(call, parts, failed=failed, cache=taken_mark(fields), original=fields.original())


_READERS: dict[str, Callable[[Fields], Part | None]] = {
    "text": _read_text,
    "image": _read_image,
    "document": _read_document,
    "thinking": _read_thinking,
    "redacted_thinking": _read_redacted,
    "tool_use": _read_call,
    "tool_result": _read_result,
}


def taken_mark(fields: Fields) -> CacheMark | None:
    """Take `cache_control`; if it has more in it than a time, it stays in the original."""
    given = fields.left.get("cache_control")
    if not isinstance(given, dict):
        if "cache_control" in fields.left:
            fields.take("cache_control")
            fields.odd()
        return None
    ttl = given.get("ttl")
    mark = CacheMark(ttl if isinstance(ttl, str) else "")
    if given == written_mark(mark):
        fields.take("cache_control")
    return mark


def written_mark(mark: CacheMark) -> dict[str, Any]:
    return {"type": "ephemeral"} | ({"ttl": mark.ttl} if mark.ttl in _TTLS else {})


def is_plain(parts: Sequence[Part]) -> bool:
    """Whether it is a single text, which is written as a string."""
    return len(parts) == 1 and isinstance(part := parts[0], Text) and part.original is None and part.cache is None


def is_ours(part: Part) -> bool:
    return part.original is not None and part.original.format == FORMAT


def written_content(parts: Sequence[Part], *, answer: bool = False) -> Any:
    """A text or a list of blocks. Raises InvalidRequestError for what cannot be said."""
    if is_plain(parts) and isinstance(parts[0], Text) and not answer:
        return parts[0].text
    return written_blocks(parts, answer=answer)


def written_blocks(parts: Sequence[Part], *, answer: bool = False) -> list[Any]:
    """answer: to an app, which may be shown more than a provider takes back."""
    blocks: list[Any] = []
    for part in parts:
        made = _written(part, answer=answer)
        if is_ours(part):
            blocks.append(as_it_came(part, made or {}, FORMAT, read_block))
        elif made is not None:
            blocks.append(made)
    return blocks


def _written(part: Part, *, answer: bool) -> dict[str, Any] | None:
    """None for what is left out: an empty text, which is refused, and reasoning of another provider."""
    match part:
        case Text() | Refusal():
            made: dict[str, Any] | None = {"type": "text", "text": part.text} if part.text else None
        case Reasoning():
            made = _written_reasoning(part, answer=answer)
        case ToolCall() if answer or not part.custom:
            made = {"type": "tool_use", "id": part.id, "name": part.name, "input": as_input(part.arguments)}
        case ToolResult():
            made = {"type": "tool_result", "tool_use_id": part.call}
            if part.parts:
                made["content"] = written_content(part.parts)
            if part.failed:
                made["is_error"] = True
        case Image() | File() if answer:
            made = None
        case Image(source=source) if source.url or source.id or (source.data and source.media_type):
            made = {"type": "image", "source": _written_source(source)}
        case File(source=source) if source.url or source.id or source.data:
            made = {"type": "document", "source": _document_source(source)}
            if source.name:
                made["title"] = source.name
        case Audio() if part.transcript or answer:
            made = {"type": "text", "text": part.transcript} if part.transcript else None
        case _ if is_ours(part) or answer:
            made = None
        case _:
            raise refused(f"a part of the type {type(part).__name__.lower()}", "messages")
    mark = getattr(part, "cache", None)
    if made is not None and mark is not None:
        made["cache_control"] = written_mark(mark)
    return made


def _written_reasoning(part: Reasoning, *, answer: bool) -> dict[str, Any] | None:
    """A provider takes back only its own, which it knows by the signature. An encrypted part with an id belongs to
    another API, to which the app sends it back."""
    if part.encrypted and not part.id:
        return {"type": "redacted_thinking", "data": part.encrypted}
    signature = sealed(part, of_items=False) if answer else part.signature
    if signature or (answer and part.text):
        return {"type": "thinking", "thinking": part.text, "signature": signature}
    return None


def as_input(arguments: str) -> Any:
    """A call's arguments, which have to be an object here."""
    if not arguments.strip():
        return {}
    try:
        value = _decode(arguments)
    except UNREADABLE:
        return invalid_input(arguments)
    if value is None:  # some models write null for no arguments
        return {}
    return msgspec.Raw(arguments.encode()) if isinstance(value, dict) else invalid_input(arguments)


def _written_source(source: Source) -> dict[str, Any]:
    if source.id:
        return {"type": "file", "file_id": source.id}
    if source.url:
        return {"type": "url", "url": source.url}
    return {"type": "base64", "media_type": source.media_type, "data": source.data}


def _document_source(source: Source) -> dict[str, Any]:
    """A PDF, or plain text. Raises InvalidRequestError."""
    if not source.data:
        return _written_source(source)
    kind = source.media_type or (_PDF if source.data.startswith(_PDF_BEGINS) else "")
    if kind.startswith("text/"):
        try:
            text = base64.b64decode(source.data, validate=True).decode()
        except (binascii.Error, ValueError):
            raise refused("a text document that is not UTF-8 in base64", "messages") from None
        return {"type": "text", "media_type": "text/plain", "data": text}
    if kind != _PDF:
        raise refused(f"a document of the type {kind or 'unknown'}", "messages")
    return {"type": "base64", "media_type": kind, "data": source.data}


def refused(what: str, param: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"Anthropic's API does not take {what}; leave it out, or ask a model of another provider",
        param=param,
        code="unsupported_parameter",
    )


def raw(json: Json | None) -> msgspec.Raw | None:
    return None if json is None else msgspec.Raw(json)
