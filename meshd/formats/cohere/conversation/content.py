"""Content of messages as parts, and parts as content."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from meshd.formats.cohere.refused import refused
from meshd.formats.conversation.parts import Audio, File, Image, Part, Reasoning, Refusal, Source, Text
from meshd.formats.conversation.reading import Fields
from meshd.formats.openai.conversation.content import data_url, source_of

FORMAT = "cohere"
_TEXTS = ("text/", "application/json", "application/xml", "application/yaml")


def read_content(fields: Fields) -> list[Part]:
    """Take a message's content: a text, or a list of blocks."""
    content = fields.take("content")
    if isinstance(content, str):
        return [Text(content)] if content else []
    if content is not None and not isinstance(content, list):
        fields.refuse("content", "text or a list of blocks")
        content = []
    place = fields.place("content")
    blocks = [Fields.of(block, f"{place}[{n}]", FORMAT, strict=fields.strict) for n, block in enumerate(content or ())]
    return [_read_block(block) for block in blocks]


def _read_block(fields: Fields) -> Part:
    match fields.take("type"):
        case "text":
            return Text(fields.text("text"))
        case "thinking":
            return Reasoning(fields.text("thinking"))
        case "image_url":
            inner = fields.inner("image_url")
            return Image(source_of(inner.text("url")), inner.text("detail"))
        case "document":
            return read_document(fields.take("document"))
    fields.refuse("type", "one of text, thinking, image_url, document")
    return Text("")


def read_document(document: Any) -> File:
    """A text, or a map with its data. Data that other formats have no place for becomes part of its text."""
    data = document.get("data", document) if isinstance(document, dict) else document
    title, text = "", data if isinstance(data, str) else ""
    if isinstance(data, dict):
        title = str(data.get("title") or "")
        said = {name: value for name, value in data.items() if name != "title"}
        text = "\n".join(str(value) if len(said) == 1 else f"{name}: {value}" for name, value in said.items())
    encoded = base64.b64encode(text.encode(errors="replace")).decode()
    return File(Source(data=encoded, media_type="text/plain", name=title))


def written_content(parts: Sequence[Part]) -> Any:
    """A text, or blocks; None for nothing. Raises InvalidRequestError for what cannot be said."""
    blocks = [block for part in parts if (block := _written(part)) is not None]
    if len(blocks) == 1 and blocks[0]["type"] == "text":
        return blocks[0]["text"]
    return blocks or None


def _written(part: Part) -> dict[str, Any] | None:
    """None for what is left out: an empty text, which is refused, and reasoning, as nothing shows which model it came
    from."""
    match part:
        case Text() | Refusal():
            return {"type": "text", "text": part.text} if part.text else None
        case Reasoning():
            return None
        case Audio() if part.transcript:
            return {"type": "text", "text": part.transcript}
        case Image(source=source) if source.url or (source.data and source.media_type):
            url = source.url or data_url(source)
            return {"type": "image_url", "image_url": {"url": url} | ({"detail": part.detail} if part.detail else {})}
    raise refused(f"a part of the type {type(part).__name__.lower()}", "messages")


def written_document(part: File) -> dict[str, Any]:
    """Raises InvalidRequestError for anything but text."""
    source = part.source
    if not source.data or not source.media_type.startswith(_TEXTS):
        raise refused(f"a document of the type {source.media_type or 'unknown'}", "messages")
    try:
        text = base64.b64decode(source.data, validate=True).decode()
    except (binascii.Error, ValueError):
        raise refused("a text document that is not UTF-8 in base64", "messages") from None
    return {"data": ({"title": source.name} if source.name else {}) | {"text": text}}
