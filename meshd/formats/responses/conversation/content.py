"""The content of a message or of a tool's output: a text, or a list of parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from meshd.formats.conversation.parts import Audio, File, Image, Original, Other, Part, Refusal, Source, Text
from meshd.formats.conversation.reading import Fields, json_of
from meshd.formats.openai.conversation.content import cache_mark, data_url, source_of
from modelmesh.errors import InvalidRequestError

FORMAT = "responses"


def read_content(fields: Fields, name: str) -> list[Part]:
    """Take a text or a list of parts."""
    content = fields.take(name)
    if isinstance(content, str):
        return [Text(content)] if content else []
    if not isinstance(content, list):
        if content is not None or fields.strict:
            fields.refuse(name, "text or a list of parts")
        return []
    return [_read_part(part, fields.place(f"{name}[{n}]"), fields.strict) for n, part in enumerate(content)]


def _read_part(value: Any, place: str, strict: bool) -> Part:
    fields = Fields.of(value, place, FORMAT, strict=strict)
    kind = fields.take("type")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is not None:
        return reader(fields)
    if kind is None and isinstance(fields.left.get("text"), str):
        return _read_text(fields)
    return Other(kind=kind if isinstance(kind, str) else "", original=Original(FORMAT, json_of(value)))


def _read_text(fields: Fields) -> Text:
    if fields.left.get("text") is None:
        fields.refuse("text", "text")
    return Text(fields.text("text"), cache_mark(fields.left))


def _read_refusal(fields: Fields) -> Refusal:
    return Refusal(fields.text("refusal"))


def _read_image(fields: Fields) -> Image:
    url, id = fields.text("image_url"), fields.text("file_id")
    if not url and not id:
        fields.refuse("image_url", "a URL, or file_id given")
    source = source_of(url)
    return Image(Source(source.data, source.url, id, source.media_type), fields.text("detail"), cache_mark(fields.left))


def _read_file(fields: Fields) -> File:
    data, url, id, name = (fields.text(name) for name in ("file_data", "file_url", "file_id", "filename"))
    if not (data or url or id):
        fields.refuse("file_data", "base64, or file_url or file_id given")
    source = source_of(data)
    if source.url:  # bare base64
        source = Source(data=data)
    return File(Source(source.data, url, id, source.media_type, name), cache_mark(fields.left))


def _read_audio(fields: Fields) -> Audio:
    inner = fields.inner("input_audio")
    data, kind = inner.text("data"), inner.text("format")
    if not data:
        inner.refuse("data", "base64")
    return Audio(Source(data=data, media_type=f"audio/{kind}" if kind else ""), cache=cache_mark(fields.left))


_READERS: dict[str, Callable[[Fields], Part]] = {
    "input_text": _read_text,
    "output_text": _read_text,
    "text": _read_text,
    "refusal": _read_refusal,
    "input_image": _read_image,
    "input_file": _read_file,
    "input_audio": _read_audio,
}


def written_input(parts: Sequence[Part]) -> Any:
    """What is said to the model, written as a string if it is a single text. Raises InvalidRequestError for what cannot
    be said."""
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(parts[0], Text) and parts[0].cache is None:
        return parts[0].text
    return [_written(part) for part in parts]


def _written(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            made: dict[str, Any] = {"type": "input_text", "text": part.text}
        case Image(source=source) if source.url or source.data or source.id:
            url = source.url or (data_url(source) if source.data else "")
            # Servers that check requests by OpenAI's types (vLLM) ask for a detail.
            made = _given("input_image", image_url=url, file_id=source.id, detail=part.detail or "auto")
        case File(source=source) if source.url or source.data or source.id:
            data = data_url(source) if source.data else ""
            made = _given("input_file", file_data=data, file_url=source.url, file_id=source.id, filename=source.name)
        case Audio(source=source) if source.data:
            kind = source.media_type.removeprefix("audio/")
            made = {"type": "input_audio", "input_audio": {"data": source.data, "format": kind}}
        case Refusal():
            made = {"type": "refusal", "refusal": part.text}
        case _:
            raise InvalidRequestError(
                f"this {type(part).__name__.lower()} part cannot be sent to the Responses API", param="input"
            )
    mark = getattr(part, "cache", None)
    if mark is not None:
        made["prompt_cache_breakpoint"] = {"mode": "explicit"} | ({"ttl": mark.ttl} if mark.ttl in _TTLS else {})
    return made


_TTLS = ("30m", "12h")


def _given(kind: str, **values: str) -> dict[str, Any]:
    return {"type": kind, **{name: value for name, value in values.items() if value}}
