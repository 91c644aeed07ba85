"""Parts as blocks of content, and blocks of an answer as parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from meshd.formats.anthropic.conversation.content import as_input
from meshd.formats.bedrock.conversation.documents import Names, document_block
from meshd.formats.bedrock.conversation.refused import FORMAT, refused
from meshd.formats.bedrock.families import hears_of_failed_tools, keeps_for_an_hour, takes_marks
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
    ToolCall,
    ToolResult,
)
from meshd.formats.conversation.reading import Fields, json_of

_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_SOUNDS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "x-m4a": "m4a", "x-flac": "flac"}
_SOUND_FORMATS = frozenset(
    {"mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpga", "pcm", "webm"}
)
_S3 = re.compile(r"s3://[a-z0-9][.\-a-z0-9]{1,61}[a-z0-9](?:/.*)?", re.DOTALL)


class ContentWriter:
    """Writes the content of one request to that model, and names its documents, of which no two may have the same
    name."""

    def __init__(self, model: str) -> None:
        self._marks = takes_marks(model)
        self._hour = keeps_for_an_hour(model)
        self._failed = hears_of_failed_tools(model)
        self._names = Names()

    def blocks(self, parts: Iterable[Part]) -> list[dict[str, Any]]:
        """Raises InvalidRequestError for what cannot be said."""
        blocks: list[dict[str, Any]] = []
        for part in parts:
            made = self._block(part)
            if made is None:
                continue
            blocks.append(made)
            mark = _mark_in(part)
            if mark is not None:
                blocks += self.mark(mark)
        return blocks

    def mark(self, mark: CacheMark) -> list[dict[str, Any]]:
        """The mark that follows a part; none for a model without a cache. An hour becomes the default duration if the
        model's cache has no other."""
        if not self._marks:
            return []
        return [{"cachePoint": {"type": "default"} | ({"ttl": "1h"} if mark.ttl == "1h" and self._hour else {})}]

    def _block(self, part: Part) -> dict[str, Any] | None:
        """None for what is left out: a blank text, which is refused, and reasoning of another provider."""
        match part:
            case Text() | Refusal():
                return {"text": part.text} if part.text.strip() else None
            case Reasoning():
                return _reasoning(part)
            case ToolCall():
                return {"toolUse": {"toolUseId": part.id, "name": part.name, "input": as_input(part.arguments)}}
            case ToolResult():
                return {"toolResult": self._result(part)}
            case Image():
                return {"image": _image(part.source)}
            case File():
                return {"document": document_block(part.source, self._names)}
            case Audio() if part.source.data:
                return {"audio": _sound(part.source)}
            case Audio():
                return {"text": part.transcript} if part.transcript.strip() else None
        raise refused(f"a part of the type {type(part).__name__.lower()}", "messages")

    def _result(self, result: ToolResult) -> dict[str, Any]:
        inside = [self._block(part) for part in result.parts]
        content = [block for block in inside if block is not None]
        if any("audio" in block or "toolUse" in block for block in content):
            raise refused("sound in a tool's result", "messages")
        made: dict[str, Any] = {"toolUseId": result.call, "content": content}
        return made | ({"status": "error"} if result.failed and self._failed else {})


def _mark_in(part: Part) -> CacheMark | None:
    """The mark of a part; a mark inside a tool's result goes after the result, as there is no place for it inside."""
    mark: CacheMark | None = getattr(part, "cache", None)
    if mark is None and isinstance(part, ToolResult):
        return next((inner for each in reversed(part.parts) if (inner := _mark_in(each)) is not None), None)
    return mark


def _reasoning(part: Reasoning) -> dict[str, Any] | None:
    """A provider takes back only its own, which it knows by the signature. An encrypted part with an id belongs to
    another API."""
    if part.encrypted and not part.id:
        return {"reasoningContent": {"redactedContent": part.encrypted}}
    if part.signature:
        return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}
    return None


def _image(source: Source) -> dict[str, Any]:
    """Raises InvalidRequestError."""
    kind = _IMAGES.get(source.media_type) or (_by_name(source.url) if source.url else "")
    if source.data and kind:
        return {"format": kind, "source": {"bytes": source.data}}
    if kind and _S3.fullmatch(source.url):
        return {"format": kind, "source": {"s3Location": {"uri": source.url}}}
    if source.url or source.id:
        raise refused("an image by its address or id, apart from `s3://…`; send its bytes", "messages")
    raise refused(f"an image of the type {source.media_type or 'unknown'}", "messages")


def _by_name(address: str) -> str:
    return _IMAGES.get(f"image/{address.rpartition('.')[2].lower()}", "")


def _sound(source: Source) -> dict[str, Any]:
    """Raises InvalidRequestError."""
    kind = source.media_type.removeprefix("audio/")
    kind = _SOUNDS.get(kind, kind)
    if kind not in _SOUND_FORMATS:
        raise refused(f"sound of the type {source.media_type or 'unknown'}", "messages")
    return {"format": kind, "source": {"bytes": source.data}}


# -- answers ----------------------------------------------------------------------------------------------


def read_blocks(content: Sequence[Any]) -> tuple[Part, ...]:
    """The parts of an answer's blocks, whatever they contain."""
    return tuple(part for block in content for part in _read(block))


def _read(block: Any) -> list[Part]:
    value = Fields(block if isinstance(block, dict) else {}, "", FORMAT, strict=False)
    if isinstance(text := value.left.get("text"), str):
        return [Text(text)]
    if (thought := value.left.get("reasoningContent")) is not None:
        return [read_reasoning(thought)]
    if isinstance(used := value.left.get("toolUse"), dict) and "type" not in used:
        call = Fields(used, "", FORMAT, strict=False)
        return [ToolCall(call.text("toolUseId"), call.text("name"), _arguments(call))]
    if isinstance(cited := value.left.get("citationsContent"), dict):
        said = cited.get("content")
        return list(read_blocks(said)) if isinstance(said, list) else []
    if isinstance(image := value.left.get("image"), dict):
        return _read_image(image)
    return [Other(original=value.original())]  # what a tool of Bedrock's own did


def read_reasoning(value: Any) -> Reasoning:
    """Reasoning of a block, or of a delta; deltas have the text and the signature one after the other."""
    fields = Fields(value if isinstance(value, dict) else {}, "", FORMAT, strict=False)
    inner = fields.inner("reasoningText") if "reasoningText" in fields.left else fields
    return Reasoning(inner.text("text"), inner.text("signature"), fields.text("redactedContent"))


def _arguments(call: Fields) -> str:
    given = call.left.get("input")
    return "{}" if given is None else json_of(given).decode()


def _read_image(image: dict[str, Any]) -> list[Part]:
    source, kind = image.get("source"), image.get("format")
    data = source.get("bytes") if isinstance(source, dict) else None
    if not isinstance(data, str) or not isinstance(kind, str):
        return []
    return [Image(Source(data=data, media_type=f"image/{kind}"))]
