"""The content of a message: a text, or a list of parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from meshd.formats.conversation.parts import (
    Audio,
    CacheMark,
    File,
    Image,
    Other,
    Part,
    Reasoning,
    Refusal,
    Source,
    Text,
)
from meshd.formats.conversation.reading import Fields, as_it_came
from meshd.sdk.reading.message_content import read as read_said_part
from modelmesh.errors import InvalidRequestError

FORMAT = "openai"

_DATA_URL = re.compile(r"data:([^;,]*+)[^,]{0,200};\s*base64\s*,(.*)", re.IGNORECASE | re.DOTALL)


def read_content(fields: Fields, *, assistant: bool) -> list[Part]:
    """Take a message's content. assistant: whether null means that there is none; elsewhere an empty text does."""
    given = "content" in fields.left
    content = fields.left.pop("content", None)
    if content is None or content == "":
        if not given or assistant is (content == ""):
            fields.odd()
        return []
    if isinstance(content, str):
        return [Text(content)]
    if not isinstance(content, list):
        fields.refuse("content", "text or a list of parts")
        return []
    parts: list[Part] = []
    for n, part in enumerate(content):
        place = fields.place(f"content[{n}]")
        parts.append(read_part(Fields.of(part, place, FORMAT, strict=fields.strict)))
    if _is_plain(parts) or not parts or any(isinstance(part, Refusal | Reasoning) for part in parts):
        fields.odd()
    return parts


def read_part(fields: Fields) -> Part:
    """A part of the content, of whatever type."""
    kind = fields.take("type")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is not None:
        return reader(fields)
    if kind is None and isinstance(fields.left.get("text"), str):
        fields.odd()
        return _read_text(fields)
    fields.odd()
    thought = read_said_part({"content": [{**fields.left, "type": kind}]}).reasoning
    if thought:  # Mistral's
        return Reasoning(thought, original=fields.original())
    return Other(original=fields.original())


def _read_text(fields: Fields) -> Text:
    return Text(_required(fields, "text"), cache_mark(fields.left), original=fields.original())


def _required(fields: Fields, name: str) -> str:
    if fields.left.get(name) is None:
        fields.refuse(name, "text")
    return fields.text(name, always=True)


def _read_refusal(fields: Fields) -> Refusal:
    return Refusal(_required(fields, "refusal"), original=fields.original())


def _read_image(fields: Fields) -> Image:
    if isinstance(fields.left.get("image_url"), str):  # some servers accept the URL alone
        fields.odd()
        return Image(_read_url(fields, "image_url"), "", cache_mark(fields.left), original=fields.original())
    inner = fields.inner("image_url")
    source, detail = _read_url(inner, "url"), inner.text("detail")
    fields.keep(inner)
    return Image(source, detail, cache_mark(fields.left), original=fields.original())


def _read_url(fields: Fields, name: str) -> Source:
    url = fields.text(name)
    if not url:
        fields.refuse(name, "a URL")
    source = source_of(url)
    if source.url != url and data_url(source) != url:
        fields.odd()
    return source


def source_of(url: str) -> Source:
    data = _DATA_URL.fullmatch(url)
    return Source(url=url) if data is None else Source(data=data[2], media_type=data[1].lower())


def _read_audio(fields: Fields) -> Audio:
    inner = fields.inner("input_audio")
    data, kind = inner.text("data"), inner.text("format")
    if not data:
        inner.refuse("data", "base64")
    if not kind:
        inner.odd()
    fields.keep(inner)
    source = Source(data=data, media_type=f"audio/{kind}" if kind else "")
    return Audio(source, cache=cache_mark(fields.left), original=fields.original())


def _read_file(fields: Fields) -> File:
    inner = fields.inner("file")
    data, id, name = inner.text("file_data"), inner.text("file_id"), inner.text("filename")
    source = source_of(data) if data[:5].lower() == "data:" else Source(data=data)
    if source.url:  # an odd data URL
        source = Source(data=data)
    if data_url(source) != data:
        inner.odd()
    if not data and not id:
        inner.refuse("file_data", "base64, or file_id given")
    fields.keep(inner)
    source = Source(source.data, "", id, source.media_type, name)
    return File(source, cache_mark(fields.left), original=fields.original())


_READERS: dict[str, Callable[[Fields], Part]] = {
    "text": _read_text,
    "image_url": _read_image,
    "input_audio": _read_audio,
    "file": _read_file,
    "refusal": _read_refusal,
}


def cache_mark(values: dict[str, Any]) -> CacheMark | None:
    """OpenAI's own mark, or Anthropic's, which many servers for this format accept. The field stays: see
    `messages.py`."""
    for name in ("prompt_cache_breakpoint", "cache_control"):
        mark = values.get(name)
        if isinstance(mark, dict):
            ttl = mark.get("ttl")
            return CacheMark(ttl if isinstance(ttl, str) else "")
    return None


def data_url(source: Source) -> str:
    """Data with its type as a URL; without one, the bare base64."""
    return f"data:{source.media_type};base64,{source.data}" if source.media_type else source.data


def _is_plain(parts: Sequence[Part]) -> bool:
    """Whether it is a single text, which is written as a string."""
    return len(parts) == 1 and isinstance(parts[0], Text) and parts[0].original is None


def _is_ours(part: Part) -> bool:
    return part.original is not None and part.original.format == FORMAT


def written_content(parts: Sequence[Part], nothing: str | None) -> Any:
    """Raises InvalidRequestError for what cannot be said."""
    said = [part for part in parts if not isinstance(part, Refusal | Reasoning) or _is_ours(part)]
    if not said:
        return nothing
    if _is_plain(said) and isinstance(said[0], Text):
        return said[0].text
    return [as_it_came(part, _written(part), FORMAT, read_part) for part in said]


def _written(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Refusal():
            return {"type": "refusal", "refusal": part.text}
        case Image(source=source) if source.url or source.data:
            url = source.url or data_url(source)
            return {"type": "image_url", "image_url": {"url": url} | ({"detail": part.detail} if part.detail else {})}
        case Audio(source=source) if source.data:
            kind = source.media_type.removeprefix("audio/")
            return {"type": "input_audio", "input_audio": {"data": source.data, "format": _FORMATS.get(kind, kind)}}
        case File(source=source) if source.data or source.id:
            file = {"file_data": data_url(source), "file_id": source.id, "filename": source.name}
            return {"type": "file", "file": {name: value for name, value in file.items() if value}}
        case _ if _is_ours(part):
            return {}
    raise InvalidRequestError(f"this {type(part).__name__.lower()} part cannot be sent in OpenAI's format")


_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav"}
