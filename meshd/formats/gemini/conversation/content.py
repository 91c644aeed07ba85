"""Parts of content as records, and records as parts."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from meshd.formats.conversation.parts import (
    Audio,
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
from meshd.formats.conversation.reading import Fields, as_it_came, json_of
from meshd.formats.conversation.seals import sealed, unsealed
from meshd.sdk.reading.lenient import UNREADABLE
from modelmesh.errors import InvalidRequestError

FORMAT = "gemini"

_UNDERSCORED = re.compile(r"(?<=[a-z0-9])_([a-z])")
_TYPES: dict[type, str] = {Image: "image/jpeg", Audio: "audio/wav", File: "application/pdf"}
"""The type that is sent for media of unknown type."""
_PDF_BEGINS = "JVBERi"  # "%PDF-" as base64
_AUDIO = {"audio/mp3": "audio/mpeg", "audio/x-wav": "audio/wav"}
_SEALED = base64.urlsafe_b64encode(b"mesh.").decode()[:6]
_LONGEST_URL = 10_000  # characters, to look for a file's ending
_decode = msgspec.json.Decoder().decode


def camelled(fields: Fields) -> Fields:
    """The same fields in the spelling of JSON; Google's APIs also take `inline_data`."""
    if "_" not in "".join(fields.left):
        return fields
    for name in [name for name in fields.left if "_" in name]:
        camel = _UNDERSCORED.sub(lambda found: found[1].upper(), name)
        if camel != name:
            fields.odd()
            fields.left.setdefault(camel, fields.left.pop(name))
    return fields


def inner(fields: Fields, name: str) -> Fields:
    return camelled(fields.inner(name))


def read_parts(fields: Fields) -> list[Part]:
    """Take the parts of a content; a single part may come without a list."""
    given = fields.take("parts")
    if given is None:
        return []
    if isinstance(given, dict):
        fields.odd()
        given = [given]
    if not isinstance(given, list):
        fields.refuse("parts", "a list of parts")
        return []
    place = fields.place("parts")
    return [read_part(Fields.of(part, f"{place}[{n}]", FORMAT, strict=fields.strict)) for n, part in enumerate(given)]


def read_part(fields: Fields) -> Part:
    camelled(fields)
    kind = next((name for name in _READERS if name in fields.left), None)
    part = None if kind is None else _READERS[kind](fields)
    if part is not None:
        return part
    fields.odd()
    names = [name for name in fields.left if name not in _BESIDE]
    return Other(kind=names[0] if names else "", original=fields.original())


_BESIDE = frozenset({"thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"})


def _read_text(fields: Fields) -> Text | Reasoning:
    text, thought = fields.text("text", always=True), fields.on("thought")
    signature = fields.text("thoughtSignature")
    if not text and not signature:
        fields.odd()
    if thought:
        return replace(_unsealed(text, signature), original=fields.original())
    return Text(text, signature=signature, original=fields.original())


def _read_inline(fields: Fields) -> Part | None:
    if fields.left.get("thought"):
        return Other(kind="thought", spare=True, original=_odd(fields))
    data = inner(fields, "inlineData")
    kind, content = data.text("mimeType", always=True), data.text("data", always=True)
    name = data.text("displayName")
    if not content:
        data.refuse("data", "base64")
    fields.keep(data)
    usual = _usual_base64(content)
    if usual != content:
        fields.odd()
    return _media(Source(data=usual, media_type=kind.lower(), name=name), fields)


def _usual_base64(content: str) -> str:
    """The base64 that all other APIs take. Google's APIs take both alphabets, with or without padding, and its SDK
    writes the URL-safe one."""
    return content.replace("-", "+").replace("_", "/") + "=" * (-len(content) % 4)


def _read_file(fields: Fields) -> Part | None:
    data = inner(fields, "fileData")
    kind, uri = data.text("mimeType"), data.text("fileUri", always=True)
    name = data.text("displayName")
    if not uri:
        data.refuse("fileUri", "a URI")
    fields.keep(data)
    if not kind:
        fields.odd()  # a writer makes one up
    return _media(Source(url=uri, media_type=kind.lower(), name=name), fields)


def _media(source: Source, fields: Fields) -> Part:
    kind = source.media_type.partition("/")[0]
    if kind == "image":
        return Image(source, original=fields.original())
    if kind == "audio":
        return Audio(source, original=fields.original())
    return File(source, original=fields.original())


def _read_call(fields: Fields) -> ToolCall:
    call = inner(fields, "functionCall")
    id, name = call.text("id"), call.text("name", always=True)
    if not name:
        call.refuse("name", "the name of a function")
    if not isinstance(call.left.get("args"), dict):
        if call.left.get("args") is not None:
            call.refuse("args", "a map")
        call.odd()
    arguments = (call.json("args") or b"{}").decode()
    fields.keep(call)
    return ToolCall(id, name, arguments, signature=fields.text("thoughtSignature"), original=fields.original())


def _read_result(fields: Fields) -> ToolResult:
    result = inner(fields, "functionResponse")
    id, name = result.text("id"), result.text("name", always=True)
    if not name:
        result.refuse("name", "the name of a function")
    response = result.take("response")
    if not isinstance(response, dict):
        result.refuse("response", "a map")
        response = {}
    texts, failed = _said(response)
    parts: list[Part] = [Text(text) for text in texts]
    if _response(texts, failed=failed) != response:
        result.odd()
    shown = result.entries("parts")
    parts += [read_part(Fields.of(part, fields.place("parts"), FORMAT, strict=False)) for part in shown]
    if any(part.original is not None for part in parts):
        result.odd()
    fields.keep(result)
    return ToolResult(id, tuple(parts), name, failed, original=fields.original())


def _said(response: dict[str, Any]) -> tuple[list[str], bool]:
    """The texts in a function's response, and whether it failed. Anything but the forms of `_response` is one text, as
    JSON."""
    failed = list(response) == ["error"]
    said = response[next(iter(response))] if list(response) in (["output"], ["error"], ["result"]) else response
    if isinstance(said, list) and said and all(isinstance(each, str) for each in said):
        return said, failed
    if isinstance(said, str):
        return [said] if said else [], failed
    return [json_of(said).decode()], failed


def _response(texts: Sequence[str], *, failed: bool) -> dict[str, Any]:
    said: Any = texts[0] if len(texts) == 1 else list(texts) if texts else ""
    return {"error" if failed else "output": said}


_READERS: dict[str, Callable[[Fields], Part | None]] = {
    "text": _read_text,
    "inlineData": _read_inline,
    "fileData": _read_file,
    "functionCall": _read_call,
    "functionResponse": _read_result,
}


def _odd(fields: Fields) -> Any:
    fields.odd()
    return fields.original()


def is_ours(part: Part) -> bool:
    return part.original is not None and part.original.format == FORMAT


def written_parts(parts: Sequence[Part], *, answer: bool = False) -> list[Any]:
    """answer: to an app. Raises InvalidRequestError for what cannot be said."""
    found: list[Any] = []
    for part in parts:
        made = written_part(part, answer=answer)
        if is_ours(part):
            found.append(as_it_came(part, made or {}, FORMAT, read_part))
        elif made is not None:
            found.append(made)
    return found


def written_part(part: Part, *, answer: bool = False) -> dict[str, Any] | None:
    """None for what is left out: an empty text, which is refused."""
    match part:
        case Text() | Refusal():
            signature = part.signature if isinstance(part, Text) else ""
            return signed({"text": part.text}, signature) if part.text or signature else None
        case Reasoning():
            signature = _sealed(part) if answer else part.signature
            return signed({"text": part.text, "thought": True}, signature) if part.text or signature else None
        case ToolCall() if answer or not part.custom:
            named = {"id": part.id, "name": part.name} if part.id else {"name": part.name}
            return signed({"functionCall": {**named, "args": as_args(part.arguments)}}, part.signature)
        case ToolResult():
            return {"functionResponse": _written_result(part)}
        case Audio() if part.transcript and not (answer and part.source.data):
            return {"text": part.transcript}
        case Image(source=source) | Audio(source=source) | File(source=source) if source.data or source.url:
            return _written_media(source, _TYPES[type(part)])
    if is_ours(part) or answer:
        return None
    raise refused(f"a part of the type {type(part).__name__.lower()} like this", "messages")


def signed(part: dict[str, Any], signature: str) -> dict[str, Any]:
    return {**part, "thoughtSignature": signature} if signature else part


def _sealed(part: Reasoning) -> str:
    """What another provider needs back from its thought, as a signature in an answer. It has to be base64, which
    Google's SDK decodes and encodes again in another alphabet."""
    seal = sealed(part, of_items=not part.id)
    return base64.urlsafe_b64encode(seal.encode(errors="replace")).decode() if seal else ""


def _unsealed(text: str, signature: str) -> Reasoning:
    """The reverse; a signature of Google's own stays as it is."""
    if signature.startswith(_SEALED):
        try:
            seal = base64.urlsafe_b64decode(signature).decode()
        except (binascii.Error, ValueError):
            return Reasoning(text, signature)
        return unsealed(text, seal, of_items=False)
    return Reasoning(text, signature)


def _written_media(source: Source, usual: str) -> dict[str, Any]:
    kind = source.media_type or _guessed(source) or usual
    named = {"displayName": source.name} if source.name else {}
    if source.data:
        return {"inlineData": {"mimeType": _AUDIO.get(kind, kind), "data": source.data, **named}}
    return {"fileData": {"mimeType": kind, "fileUri": source.url, **named}}


def _guessed(source: Source) -> str:
    if source.data:
        return "application/pdf" if source.data.startswith(_PDF_BEGINS) else ""
    path = source.url[:_LONGEST_URL].partition("?")[0].partition("#")[0]
    return mimetypes.guess_type(path.rpartition("/")[2])[0] or ""


def _written_result(result: ToolResult) -> dict[str, Any]:
    texts = [part.text for part in result.parts if isinstance(part, Text | Refusal)]
    shown = [part for part in result.parts if not isinstance(part, Text | Refusal)]
    made: dict[str, Any] = {
        "id": result.call or None,
        "name": result.name,
        "response": _response(texts, failed=result.failed),
    }
    made["parts"] = written_parts(shown) or None
    return {name: value for name, value in made.items() if value is not None}


def as_args(arguments: str) -> Any:
    """A call's arguments, which have to be an object here; the text of a custom tool, and anything but JSON, is put
    into an object."""
    if not arguments.strip():
        return {}
    try:
        value = _decode(arguments)
    except UNREADABLE:
        return {"INVALID_JSON": arguments}
    if value is None:  # some models write null for no arguments
        return {}
    return msgspec.Raw(arguments.encode()) if isinstance(value, dict) else {"INVALID_JSON": arguments}


def refused(what: str, param: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"Gemini's API does not take {what}; leave it out, or ask a model of another provider",
        param=param,
        code="unsupported_parameter",
    )


def raw(json: Json | None) -> msgspec.Raw | None:
    return None if json is None else msgspec.Raw(json)
